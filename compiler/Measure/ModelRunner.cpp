#include "compiler/Measure/ModelRunner.h"

#include "runtime/include/gcompile/runtime.h"

#include "llvm/ADT/Twine.h"

#include <algorithm>

namespace gcompile {
namespace {

int stopWhenCancelled(void *user) {
  auto *cancel = static_cast<const std::atomic<bool> *>(user);
  return cancel && cancel->load(std::memory_order_relaxed);
}

} // namespace

llvm::Error ModelRunner::failure(llvm::StringRef what, int status) const {
  const char *more = gc_last_message();
  std::string line = *more ? more : gc_status_text(gc_status(status));
  return llvm::createStringError(shownName + ": " + what + ": " + line);
}

llvm::Expected<std::unique_ptr<ModelRunner>> ModelRunner::open(llvm::StringRef path,
                                                               const RunnerOptions &options) {
  std::unique_ptr<ModelRunner> runner(new ModelRunner);
  runner->shownName = "'" + path.str() + "'";
  runner->cancel = options.cancel;
  gc_open_options how{options.isa.empty() ? nullptr : options.isa.c_str()};
  if (gc_status status = gc_open(path.str().c_str(), &how, &runner->openModel); status != GC_OK)
    return runner->failure("cannot be opened", status);
  gc_session_options session{};
  session.threads = options.threads;
  if (options.cancel) {
    session.should_stop = stopWhenCancelled;
    session.user = const_cast<std::atomic<bool> *>(options.cancel);
  }
  if (gc_status status = gc_session_create(runner->openModel, &session, &runner->openSession);
      status != GC_OK)
    return runner->failure("cannot be run", status);
  return runner;
}

llvm::Expected<std::unique_ptr<ModelRunner>> ModelRunner::open(TemporaryFile file,
                                                               const RunnerOptions &options) {
  auto runner = open(file.path(), options);
  if (runner)
    (*runner)->shownName = "the compiled model";
  return runner; // `file` goes out of scope: the runtime has it mapped, its name is gone
}

ModelRunner::~ModelRunner() {
  gc_session_destroy(openSession);
  gc_close(openModel);
}

static gc_model_info infoOf(const gc_model *model) {
  gc_model_info info;
  gc_get_model_info(model, &info);
  return info;
}

int64_t ModelRunner::vocabulary() const { return infoOf(openModel).vocabulary; }
int64_t ModelRunner::context() const { return infoOf(openModel).context; }
int32_t ModelRunner::bosToken() const { return infoOf(openModel).bos_token; }
bool ModelRunner::hasTokenizer() const { return infoOf(openModel).has_tokenizer != 0; }
int32_t ModelRunner::threads() const { return gc_session_threads(openSession); }

llvm::Expected<std::vector<int32_t>> ModelRunner::tokenize(llvm::StringRef text) const {
  size_t count = 0;
  std::vector<int32_t> tokens;
  for (int pass = 0; pass < 2; ++pass) {
    if (gc_status status = gc_tokenize(openModel, text.data(), text.size(), GC_TEXT_SPECIALS,
                                       tokens.data(), tokens.size(), &count);
        status != GC_OK)
      return failure("the text cannot be cut into tokens", status);
    tokens.resize(count);
  }
  return tokens;
}

llvm::Error ModelRunner::score(llvm::ArrayRef<int32_t> tokens, int64_t firstScored, RowSink sink) {
  size_t before = size_t(std::clamp<int64_t>(firstScored, 0, int64_t(tokens.size())));
  gc_session_reset(openSession);
  if (before > 0)
    if (gc_status status = gc_append(openSession, tokens.data(), before); status != GC_OK)
      return failure("scoring stopped", status);
  struct Call {
    RowSink &sink;
    size_t vocabulary;
    llvm::Error error;
  } call{sink, size_t(vocabulary()), llvm::Error::success()};
  gc_status status = gc_score(
      openSession, tokens.data() + before, tokens.size() - before,
      [](void *user, int32_t position, const float *logits) -> int {
        auto &call = *static_cast<Call *>(user);
        // Checked above each assignment: an error ends the run.
        if (llvm::Error error = call.sink(position, {logits, call.vocabulary})) {
          llvm::consumeError(std::move(call.error));
          call.error = std::move(error);
          return 1;
        }
        return 0;
      },
      &call);
  if (call.error)
    return std::move(call.error);
  if (status != GC_OK)
    return failure("scoring stopped", status);
  return llvm::Error::success();
}

llvm::Expected<TokenWindows> cutWindows(const ModelRunner &runner, llvm::StringRef text,
                                        const WindowOptions &options) {
  llvm::Expected<std::vector<int32_t>> tokens = runner.tokenize(text);
  if (!tokens)
    return tokens.takeError();
  int32_t bos = runner.bosToken();
  if (bos >= 0)
    tokens->insert(tokens->begin(), bos);
  int64_t window = std::min(options.window, runner.context());
  int64_t all = window < 4 ? 0 : int64_t(tokens->size()) / window;
  if (all == 0)
    return llvm::createStringError(
        "the text has " + llvm::Twine(tokens->size()) + " tokens, one window needs " +
        llvm::Twine(std::max<int64_t>(window, 4)) + ": give a longer text");
  int64_t count = options.most > 0 ? std::min(options.most, all) : all;
  TokenWindows result;
  result.firstScored = options.lastHalfOnly ? window / 2 : 0;
  for (int64_t i = 0; i < count; ++i) {
    // The middle of each of `count` equal parts of the text.
    auto first = tokens->begin() + (2 * i + 1) * all / (2 * count) * window;
    result.windows.emplace_back(first, first + window);
    if (bos >= 0)
      result.windows.back().front() = bos;
  }
  return result;
}

} // namespace gcompile
