// `gcompile export FILE --model PATH --format gguf|compressed-tensors -o OUT`: a plan's mix of
// formats for people who run another program.
#include "compiler/Driver/Commands.h"
#include "compiler/Driver/ProgressLine.h"
#include "compiler/Export/ExportCompressedTensors.h"
#include "compiler/Export/ExportGguf.h"

#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"

namespace gcompile {

static llvm::json::Object summaryJson(llvm::StringRef kind, const Plan &plan,
                                      const std::string &path, const ExportSummary &summary) {
  llvm::json::Array formats;
  for (const ExportedFormat &format : summary.formats)
    formats.push_back(
        llvm::json::Object{{"planned", format.planned},
                           {"written", format.written},
                           {"tensors", format.tensors},
                           {"kept", format.kept},
                           {"same_grid", format.sameGrid},
                           {"bytes", format.bytes},
                           {"bits", 8.0 * double(format.bytes) / double(format.values)}});
  return llvm::json::Object{{"kind", "export"},
                            {"format", kind},
                            {"model", plan.model},
                            {"output", path},
                            {"bytes", int64_t(summary.fileBytes)},
                            {"formats", std::move(formats)}};
}

static void printSummary(const std::string &path, const ExportSummary &summary) {
  llvm::raw_ostream &out = llvm::outs();
  out << "planned    written                 tensors  as they were       bytes   bits\n";
  for (const ExportedFormat &format : summary.formats) {
    std::string written = format.written + (format.sameGrid ? "" : " (nearest type)");
    out << llvm::format("%-10s %-23s %7lld %13lld %11lld %6.3f\n", format.planned.c_str(),
                        written.c_str(), (long long)format.tensors, (long long)format.kept,
                        (long long)format.bytes,
                        8.0 * double(format.bytes) / double(format.values));
  }
  out << "\nwrote " << path << ", " << humanBytes(int64_t(summary.fileBytes)) << "\n";
}

ExitCode runExport(const CommandContext &context) {
  const CompilerInvocation &options = context.invocation;
  llvm::Expected<Plan> plan = loadPlan(options.arguments.front());
  if (!plan)
    return failWith(ExitCode::BadInput, plan.takeError());
  std::string path = options.output;
  bool toGguf = options.exportFormat == "gguf";
  if (path.empty())
    path = llvm::sys::path::filename(plan->model).str() +
           (toGguf ? ".gguf" : "-" + options.exportFormat);
  if (llvm::Error error = checkOutputFolder(path))
    return failWith(ExitCode::BadInput, std::move(error));
  ImportOptions import;
  import.syntheticSeed = options.syntheticSeed;
  llvm::Expected<ImportedModel> model = importModel(options.model, import);
  if (!model)
    return failWith(ExitCode::BadInput, model.takeError());
  for (const std::string &note : model->notes)
    printNote(context, note);

  ProgressLine line(options.quiet || options.json ? ProgressLine::Off : ProgressLine::WhenTerminal);
  ExportOptions exporting;
  exporting.jobs = unsigned(options.jobs);
  auto progress = [&](uint64_t done, uint64_t total) { line.show("write tensors", done, total); };
  exporting.progress = progress;
  llvm::StringRef source = options.model;
  llvm::Expected<ExportSummary> summary =
      toGguf
          ? exportGguf(*model, *plan, path, exporting)
          : exportCompressedTensors(
                *model, *plan,
                llvm::sys::fs::is_directory(source) ? source : llvm::sys::path::parent_path(source),
                path, exporting);
  line.clear();
  if (!summary)
    return failWith(ExitCode::BadInput, summary.takeError());
  if (toGguf && (plan->localK != KvFormat::F16 || plan->globalK != KvFormat::F16))
    printNote(context, "a GGUF file holds no cache formats: give llama.cpp --cache-type-k and "
                       "--cache-type-v (the plan has local " +
                           std::string(name(plan->localK)) + ", global " +
                           std::string(name(plan->globalK)) + ")");
  if (!plan->activationScales.empty() || !statedActivationScales(*model).empty())
    printNote(context,
              "the exported file holds no static activations, which this model was made for: "
              "expect a clear loss");
  if (!toGguf && model->config.isMoe())
    printNote(context, "experts are written as modules, which vLLM loads; transformers would start "
                       "with random ones (docs/export.md)");
  if (options.json)
    printJson(summaryJson(options.exportFormat, *plan, path, *summary));
  else if (!options.quiet)
    printSummary(path, *summary);
  return ExitCode::Done;
}

} // namespace gcompile
