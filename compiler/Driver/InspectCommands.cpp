// The commands that only look: inspect, verify.
#include "compiler/Artifact/ArtifactReader.h"
#include "compiler/Driver/CommandLine.h"
#include "compiler/Driver/Commands.h"
#include "compiler/Driver/InspectCheckpoint.h"
#include "compiler/Driver/InspectLitertlm.h"
#include "compiler/Driver/VerifyQuality.h"
#include "compiler/Driver/WriteReport.h"
#include "compiler/Import/ImportModel.h"
#include "compiler/Plan/PlanReport.h"
#include "compiler/Plan/PlanText.h"

#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"

namespace gcompile {

namespace {
enum class FileKind { Checkpoint, Plan, Artifact, Unreadable };
}

// By content, not by name.
static FileKind kindOf(const std::string &path) {
  if (llvm::sys::fs::is_directory(path) || (!llvm::sys::fs::exists(path) && isPresetName(path)))
    return FileKind::Checkpoint;
  auto file = llvm::MemoryBuffer::getFileSlice(path, 8, 0);
  if (!file)
    return FileKind::Unreadable;
  if ((*file)->getBuffer().starts_with("GCPK"))
    return FileKind::Artifact;
  // A cut one is told apart by its name alone.
  bool checkpoint = isCheckpointFile(path) || llvm::StringRef(path).ends_with(".safetensors");
  return checkpoint ? FileKind::Checkpoint : FileKind::Plan;
}

llvm::Expected<Plan> loadPlan(const std::string &path) {
  switch (kindOf(path)) {
  case FileKind::Plan: {
    auto buffer = llvm::MemoryBuffer::getFile(path, /*IsText=*/true);
    if (!buffer)
      return llvm::createStringError("'" + path +
                                     "' cannot be read: " + buffer.getError().message());
    return parsePlan((*buffer)->getBuffer(), path);
  }
  case FileKind::Artifact: {
    llvm::Expected<std::unique_ptr<ArtifactFile>> file = ArtifactFile::open(path);
    if (!file)
      return file.takeError();
    llvm::Expected<std::string> text = (*file)->readText(GC_SECTION_PLAN);
    if (!text)
      return text.takeError();
    return parsePlan(*text, path);
  }
  case FileKind::Checkpoint:
    return llvm::createStringError("'" + path +
                                   "' is a checkpoint; a plan or an artifact is wanted");
  case FileKind::Unreadable:
    break;
  }
  return llvm::createStringError("'" + path + "' cannot be read");
}

static ExitCode inspectLitertlm(const CommandContext &context, const std::string &path) {
  llvm::Expected<LitertlmFile> file = openLitertlm(path);
  if (!file)
    return failWith(ExitCode::BadInput, file.takeError());
  llvm::StringRef name = llvm::sys::path::filename(path);
  if (context.invocation.json)
    printJson(litertlmJson(*file, name));
  else
    printLitertlm(llvm::outs(), *file, name);
  return ExitCode::Done;
}

static ExitCode inspectCheckpoint(const CommandContext &context, const std::string &path) {
  if (isLitertlmFile(path))
    return inspectLitertlm(context, path);
  llvm::Expected<ImportedModel> model = importModel(path);
  if (!model)
    return failWith(ExitCode::BadInput, model.takeError());
  for (const std::string &note : model->notes)
    printNote(context, note);
  CheckpointFacts facts = factsOf(*model);
  if (context.invocation.json)
    printJson(factsJson(*model, facts));
  else
    printFacts(llvm::outs(), *model, facts);
  return ExitCode::Done;
}

// A plan or an artifact as a page; the target's facts when its profile is still known.
static llvm::Error reportPlan(const CommandContext &context, const std::string &path,
                              const Plan &plan, bool artifact) {
  llvm::Expected<DeviceProfile> profile =
      loadProfile(plan.target, profileFolders(context.programPath));
  ReportFacts facts;
  facts.plan = &plan;
  if (profile)
    facts.profile = &*profile;
  else
    llvm::consumeError(profile.takeError());
  facts.command = "gcompile inspect " + shellQuoted(path) + " --report FILE.html";
  facts.exactSizes = artifact;
  return writeReport(context.invocation.report, facts);
}

ExitCode runInspect(const CommandContext &context) {
  const std::string &path = context.invocation.arguments.front();
  if (kindOf(path) == FileKind::Checkpoint)
    return inspectCheckpoint(context, path);
  llvm::Expected<Plan> plan = loadPlan(path);
  if (!plan)
    return failWith(ExitCode::BadInput, plan.takeError());
  if (!context.invocation.report.empty())
    if (llvm::Error error = reportPlan(context, path, *plan, kindOf(path) == FileKind::Artifact))
      return failWith(ExitCode::BadInput, std::move(error));
  if (context.invocation.json)
    printJson(planJson(*plan));
  else
    llvm::outs() << planReport(*plan, terminalStyle());
  if (!context.invocation.json && kindOf(path) == FileKind::Artifact) {
    llvm::Expected<std::unique_ptr<ArtifactFile>> file = ArtifactFile::open(path);
    if (!file)
      return failWith(ExitCode::BadInput, file.takeError());
    llvm::outs() << "\nsections of " << humanBytes(int64_t((*file)->fileBytes())) << "\n"
                 << (*file)->describeSections();
  }
  return ExitCode::Done;
}

static void addDivergence(llvm::json::Object &object, const Divergence &divergence) {
  object["kl"] = divergence.mean;
  object["kl_standard_error"] = divergence.standardError;
  object["kl_p99"] = divergence.p99;
  object["kl_p999"] = divergence.p999;
  object["kl_worst"] = divergence.worst;
  object["top1_agreement"] = divergence.top1Agreement;
  object["positions"] = divergence.positions;
  object["perplexity"] = divergence.perplexity;
  object["reference_perplexity"] = divergence.referencePerplexity;
}

static void printDivergence(const Divergence &divergence, const Plan &plan) {
  llvm::outs() << llvm::formatv(
      "  KL to the original {0:f5} ± {1:f5} nats per token over {2} positions (99 %: {3:f4}, "
      "99.9 %: {4:f4}, worst {5:f3})\n",
      divergence.mean, divergence.standardError, divergence.positions, divergence.p99,
      divergence.p999, divergence.worst);
  if (plan.predicted.kl > 0)
    llvm::outs() << llvm::formatv("  the plan expected {0:f5}, between {1:f5} and {2:f5} ({3})\n",
                                  plan.predicted.kl, plan.predicted.klLow, plan.predicted.klHigh,
                                  name(plan.predicted.klBasis));
  llvm::outs() << llvm::formatv(
      "  same most likely token {0:f2} %, perplexity {1:f3} (original {2:f3})\n",
      100 * divergence.top1Agreement, divergence.perplexity, divergence.referencePerplexity);
}

ExitCode runVerify(const CommandContext &context) {
  const CompilerInvocation &options = context.invocation;
  const std::string &path = options.arguments.front();
  if (kindOf(path) != FileKind::Artifact)
    return failWith(ExitCode::BadInput, "'" + path + "' is no artifact");
  llvm::Expected<std::unique_ptr<ArtifactFile>> file = ArtifactFile::open(path);
  if (!file)
    return failWith(ExitCode::BadInput, file.takeError());
  if (llvm::Error error = (*file)->verify())
    return failWith(ExitCode::BadInput, std::move(error));
  std::optional<Divergence> divergence;
  if (!options.text.empty()) {
    llvm::Expected<Divergence> measured = klToOriginal(path, options);
    if (!measured)
      return failWith(ExitCode::BadInput, measured.takeError());
    divergence = *measured;
  }
  llvm::json::Object object{{"intact", true}, {"bytes", int64_t((*file)->fileBytes())}};
  if (options.json) {
    if (divergence)
      addDivergence(object, *divergence);
    printJson(std::move(object));
    return ExitCode::Done;
  }
  llvm::outs() << path << ": intact, " << humanBytes(int64_t((*file)->fileBytes())) << "\n";
  if (divergence) {
    llvm::Expected<Plan> plan = loadPlan(path);
    if (!plan)
      return failWith(ExitCode::BadInput, plan.takeError());
    printDivergence(*divergence, *plan);
  }
  return ExitCode::Done;
}

} // namespace gcompile
