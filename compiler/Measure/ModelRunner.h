// The one place where the compile side runs a model: an artifact, opened and asked for logits
// through the runtime's public C interface, as any program would. Tokens are ids, positions count
// from 0, logits are float32 after the soft cap. One runner is used by one thread at a time.
#pragma once

#include "compiler/Measure/TemporaryFile.h"

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

extern "C" {
typedef struct gc_model gc_model;
typedef struct gc_session gc_session;
}

namespace gcompile {

struct RunnerOptions {
  int32_t threads = 0;                       // 0: as many as this process may use
  std::string isa;                           // code variant; empty: the best that runs here
  const std::atomic<bool> *cancel = nullptr; // asked between chunks; ends a call with an error
};

class ModelRunner {
public:
  // Errors: no artifact, damaged, no code for this processor, no memory; each names the file.
  static llvm::Expected<std::unique_ptr<ModelRunner>> open(llvm::StringRef path,
                                                           const RunnerOptions &options = {});
  // Takes the file over and removes its name at once: nothing is left behind however this ends.
  static llvm::Expected<std::unique_ptr<ModelRunner>> open(TemporaryFile file,
                                                           const RunnerOptions &options = {});
  ~ModelRunner();
  ModelRunner(const ModelRunner &) = delete;
  ModelRunner &operator=(const ModelRunner &) = delete;

  int64_t vocabulary() const;
  int64_t context() const;   // positions
  int32_t bosToken() const;  // −1: none
  bool hasTokenizer() const; // without one, tokens have to come from elsewhere
  int32_t threads() const;

  // Special tokens in the text are recognised; no <bos> is added.
  llvm::Expected<std::vector<int32_t>> tokenize(llvm::StringRef text) const;

  // Runs `tokens` from position 0 and hands over the logits after each token from `firstScored` on.
  // The row holds for the call. What comes before is run without logits, which is cheaper.
  using RowSink = llvm::function_ref<llvm::Error(int64_t position, llvm::ArrayRef<float> logits)>;
  llvm::Error score(llvm::ArrayRef<int32_t> tokens, int64_t firstScored, RowSink sink);

  // For what else the interface offers (timing prefill and decode, measured memory). Both live as
  // long as this object.
  const gc_model *model() const { return openModel; }
  gc_session *session() const { return openSession; }

  // An error that says what failed, and the runtime's own line about it. `status` is a gc_status.
  llvm::Error failure(llvm::StringRef what, int status) const;

private:
  ModelRunner() = default;
  std::string shownName;
  gc_model *openModel = nullptr;
  gc_session *openSession = nullptr;
  const std::atomic<bool> *cancel = nullptr;
};

// Text cut into windows for scoring, as llama.cpp's perplexity does: <bos> and the text, cut every
// `window` tokens, the first of each replaced by <bos>, the last partial window dropped.
struct TokenWindows {
  std::vector<std::vector<int32_t>> windows;
  int64_t firstScored = 0; // logits from this position on count; those after the last token do not
  int64_t scoredPerWindow() const {
    return windows.empty() ? 0 : int64_t(windows.front().size()) - 1 - firstScored;
  }
  int64_t scored() const { return scoredPerWindow() * int64_t(windows.size()); }
};

struct WindowOptions {
  int64_t window = 512;     // tokens; lowered to the context where that is shorter
  int64_t most = 0;         // windows, evenly spread over the text; 0: all of them
  bool lastHalfOnly = true; // score the second half of each, which has context
};

// An error when the text is too short for one window, or the model has no tokenizer.
llvm::Expected<TokenWindows> cutWindows(const ModelRunner &runner, llvm::StringRef text,
                                        const WindowOptions &options = {});

} // namespace gcompile
