#include "compiler/Driver/VerifyQuality.h"

#include "compiler/Driver/ProgressLine.h"
#include "compiler/Import/ImportModel.h"
#include "compiler/Measure/ProbeModel.h"

#include "llvm/Support/MemoryBuffer.h"

namespace gcompile {

// Most positions that are scored: more text than this changes the mean by little.
constexpr int64_t mostWindows = 256;
constexpr int64_t mostLogitBytes = int64_t(8) << 30; // of the reference, in a temporary file

llvm::Expected<Divergence> klToOriginal(const std::string &artifact,
                                        const CompilerInvocation &options) {
  auto text = llvm::MemoryBuffer::getFile(options.text);
  if (!text)
    return llvm::createStringError("--text '" + options.text + "': " + text.getError().message());
  llvm::Expected<ImportedModel> model = importModel(options.model);
  if (!model)
    return model.takeError();
  RunnerOptions run;
  run.threads = int32_t(options.jobs);
  auto candidate = ModelRunner::open(artifact, run);
  if (!candidate)
    return candidate.takeError();
  if ((*candidate)->vocabulary() != model->config.vocabulary)
    return llvm::createStringError(
        "'" + artifact + "' has a vocabulary of " + llvm::Twine((*candidate)->vocabulary()) +
        " tokens, '" + options.model + "' one of " + llvm::Twine(model->config.vocabulary) +
        ": it was not made of that model");

  WindowOptions cut;
  cut.window = std::min<int64_t>(512, (*candidate)->context());
  int64_t windowBytes = cut.window / 2 * model->config.vocabulary * int64_t(sizeof(float));
  cut.most =
      std::clamp<int64_t>(mostLogitBytes / std::max<int64_t>(windowBytes, 1), 1, mostWindows);
  llvm::Expected<TokenWindows> windows = cutWindows(**candidate, (*text)->getBuffer(), cut);
  if (!windows)
    return windows.takeError();

  ProgressLine line(options.quiet || options.json ? ProgressLine::Off : ProgressLine::WhenTerminal);
  line.show("compile the original", 0, 3);
  ModelFormats formats;
  formats.weights = measuringFormat(model->config);
  ProbeOptions probe;
  probe.context = cut.window;
  probe.jobs = options.jobs;
  auto original = ProbeModel::compile(*model, formats, probe);
  if (!original)
    return original.takeError();
  line.show("run the original", 1, 3);
  auto reference = ReferenceLogits::record((*original)->runner(), std::move(*windows));
  original->reset();
  if (!reference)
    return reference.takeError();
  line.show("run the artifact", 2, 3);
  llvm::Expected<Divergence> divergence = (*reference)->compare(**candidate);
  line.clear();
  return divergence;
}

} // namespace gcompile
