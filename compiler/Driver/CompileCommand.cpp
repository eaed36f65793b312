// The commands `compile` and `plan`: profile → model → plan → code and artifact → report.
#include "compiler/Driver/Commands.h"
#include "compiler/Driver/ModelShape.h"
#include "compiler/Driver/ModelSources.h"
#include "compiler/Driver/PlanModel.h"
#include "compiler/Plan/PlanReport.h"
#include "compiler/Plan/PlanText.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/raw_ostream.h"

#include <algorithm>

namespace gcompile {
namespace {

struct Candidate {
  std::string source;
  ImportedModel model;
  ModelShape shape;
};

// One model that was planned.
struct Considered {
  std::string model;
  bool feasible = false;
  int64_t peakBytes = 0;
  double quality = 0;
};

} // namespace

static WeightFormat storedFormat(TensorType type) {
  switch (type) {
  case TensorType::F32:
  case TensorType::F64:
    return WeightFormat::F32;
  case TensorType::F16:
    return WeightFormat::F16;
  default:
    return WeightFormat::BF16;
  }
}

// Bytes of the tokenizer's section, to within a few percent.
static int64_t tokenizerBytes(const ImportedModel &model) {
  if (!model.tokenizer)
    return 0;
  int64_t bytes = int64_t(model.tokenizer->merges.size()) * 16;
  for (const std::string &piece : model.tokenizer->pieces)
    bytes += int64_t(piece.size()) + 8;
  return bytes;
}

static PlanRequest requestFor(const Candidate &candidate, const DeviceProfile &profile,
                              const CompilerInvocation &options) {
  PlanRequest request;
  request.model = &candidate.shape;
  request.profile = &profile;
  request.options = &options;
  request.maxPositions = candidate.model.config.maxPositions;
  request.tokenizerBytes = tokenizerBytes(candidate.model);
  if (candidate.model.tensors)
    for (const TensorSpec &spec : expectedTextTensors(candidate.model.config))
      if (const TensorInfo *info = candidate.model.tensors->find(spec.role, spec.layer))
        request.sourceFormats[spec.name] = storedFormat(info->type);
  return request;
}

static llvm::Expected<Candidate> load(const std::string &source,
                                      const CompilerInvocation &options) {
  ImportOptions import;
  import.syntheticSeed = options.syntheticSeed;
  llvm::Expected<ImportedModel> model = importModel(source, import);
  if (!model)
    return model.takeError();
  Candidate candidate{source, std::move(*model), {}};
  candidate.shape = shapeOf(candidate.model.config);
  if (!candidate.model.name.empty())
    candidate.shape.name = candidate.model.name;
  return candidate;
}

static llvm::json::Array consideredJson(const std::vector<Considered> &considered) {
  llvm::json::Array array;
  for (const Considered &one : considered)
    array.push_back(llvm::json::Object{{"model", one.model},
                                       {"feasible", one.feasible},
                                       {"peak_bytes", one.peakBytes},
                                       {"expected_quality", one.quality}});
  return array;
}

static void printJson(llvm::json::Object object) {
  llvm::outs() << llvm::formatv("{0:2}", llvm::json::Value(std::move(object))) << "\n";
}

static ExitCode nothingFits(const CommandContext &context, const DeviceProfile &profile,
                            const std::string &model, const PlanOutcome &outcome,
                            const std::vector<Considered> &considered) {
  if (context.invocation.json) {
    llvm::json::Object object{{"model", model},
                              {"target", profile.name},
                              {"budget_bytes", outcome.budgetBytes},
                              {"feasible", false},
                              {"smallest_budget_bytes", outcome.smallestBudgetBytes},
                              {"suggestion", outcome.suggestion}};
    if (!considered.empty())
      object["considered"] = consideredJson(considered);
    printJson(std::move(object));
  }
  return failWith(ExitCode::NothingFits, outcome.message);
}

// Plans every source and keeps the best that fits; without any, the smallest need.
static llvm::Expected<std::pair<Candidate, PlanOutcome>>
bestOf(const CommandContext &context, const DeviceProfile &profile,
       const std::vector<std::string> &sources, std::vector<Considered> &considered) {
  std::optional<std::pair<Candidate, PlanOutcome>> best;
  double bestQuality = 0;
  for (const std::string &source : sources) {
    llvm::Expected<Candidate> candidate = load(source, context.invocation);
    if (!candidate) {
      if (sources.size() == 1)
        return candidate.takeError();
      printNote(context, "left out: " + llvm::toString(candidate.takeError()));
      continue;
    }
    llvm::Expected<PlanOutcome> outcome =
        planModel(requestFor(*candidate, profile, context.invocation));
    if (!outcome)
      return outcome.takeError();
    bool fits = outcome->plan.has_value();
    double quality = fits ? expectedQuality(candidate->shape, outcome->plan->predicted.kl) : 0;
    considered.push_back({candidate->shape.name, fits,
                          fits ? outcome->plan->memory.peak() : outcome->smallestBudgetBytes,
                          quality});
    bool better = !best;
    if (best && fits)
      better = !best->second.plan || quality > bestQuality;
    else if (best && !best->second.plan)
      better = outcome->smallestBudgetBytes < best->second.smallestBudgetBytes;
    if (better) {
      best.emplace(std::move(*candidate), std::move(*outcome));
      bestQuality = quality;
    }
  }
  if (!best)
    return llvm::createStringError("no checkpoint found could be read");
  return std::move(*best);
}

static llvm::Expected<Plan> readPlanFile(const std::string &path) {
  auto buffer = llvm::MemoryBuffer::getFile(path, /*IsText=*/true);
  if (!buffer)
    return llvm::createStringError("plan '" + path +
                                   "' cannot be read: " + buffer.getError().message());
  return parsePlan((*buffer)->getBuffer(), path);
}

static ExitCode finish(const CommandContext &context, const DeviceProfile &profile,
                       const Candidate &candidate, const Plan &plan,
                       const std::vector<Considered> &considered) {
  const CompilerInvocation &options = context.invocation;
  if (!candidate.model.checkpoint)
    printNote(context,
              "'" + candidate.shape.name +
                  "' is planned from its shapes alone: to compile it, fetch the checkpoint "
                  "google/" +
                  candidate.shape.name +
                  " and give its folder to --model, or use --weights synthetic:1");
  bool planOnly = options.command == Command::Plan || options.emit == EmitKind::Plan;
  if (options.emit == EmitKind::Plan ||
      (options.command == Command::Plan && !options.output.empty()))
    if (!options.output.empty() || !options.json)
      if (llvm::Error error =
              writeOutput(options.output.empty() ? "-" : options.output, planText(plan)))
        return failWith(ExitCode::BadInput, std::move(error));
  if (options.json) {
    llvm::json::Object object = planJson(plan);
    if (!considered.empty())
      object["considered"] = consideredJson(considered);
    printJson(std::move(object));
  } else if (options.emit != EmitKind::Plan && !options.quiet) {
    llvm::outs() << planReport(plan);
  }
  if (planOnly)
    return ExitCode::Done;
  if (!candidate.model.checkpoint)
    return ExitCode::Done;
  return failWith(ExitCode::OurBug,
                  "this build has no code generation yet: only plans are written");
}

ExitCode runCompile(const CommandContext &context) {
  const CompilerInvocation &options = context.invocation;
  if (options.target.empty())
    return failWith(ExitCode::BadFlags,
                    "no target: give --target NAME, or --target host (see gcompile targets)");
  for (auto [given, flag] : {std::pair(!options.calibration.empty(), "--calibration"),
                             std::pair(!options.report.empty(), "--report")})
    if (given)
      return failWith(ExitCode::BadFlags, std::string(flag) + " comes later");
  std::vector<std::string> folders = profileFolders(context.programPath);
  llvm::Expected<DeviceProfile> profile = loadProfile(options.target, folders);
  if (!profile) {
    // A profile that exists and is broken is bad input; one that does not exist a bad flag.
    bool exists = llvm::is_contained(profileNames(folders), options.target);
    return failWith(exists ? ExitCode::BadInput : ExitCode::BadFlags, profile.takeError());
  }
  if (options.target == "host")
    measureHost(*profile);

  std::vector<std::string> sources = {options.model};
  bool chooses = options.model.empty();
  if (chooses) {
    sources = findCheckpoints();
    if (sources.empty())
      sources = presetNames();
  } else if (options.model.find('/') == std::string::npos && !isPresetName(options.model) &&
             !llvm::sys::fs::exists(options.model)) {
    return failWith(ExitCode::BadFlags, "--model " + options.model +
                                            ": neither a path nor a published size (" +
                                            llvm::join(presetNames(), ", ") + ")");
  }

  if (!options.planFile.empty()) {
    llvm::Expected<Plan> edited = readPlanFile(options.planFile);
    if (!edited)
      return failWith(ExitCode::BadInput, edited.takeError());
    if (chooses)
      return failWith(ExitCode::BadFlags, "--plan needs --model");
    llvm::Expected<Candidate> candidate = load(options.model, options);
    if (!candidate)
      return failWith(ExitCode::BadInput, candidate.takeError());
    for (const std::string &note : candidate->model.notes)
      printNote(context, note);
    llvm::Expected<Plan> plan = replayPlan(requestFor(*candidate, *profile, options), *edited);
    if (!plan)
      return failWith(ExitCode::BadInput, plan.takeError());
    return finish(context, *profile, *candidate, *plan, {});
  }

  if (!chooses) {
    llvm::Expected<Candidate> candidate = load(options.model, options);
    if (!candidate)
      return failWith(ExitCode::BadInput, candidate.takeError());
    for (const std::string &note : candidate->model.notes)
      printNote(context, note);
    llvm::Expected<PlanOutcome> outcome = planModel(requestFor(*candidate, *profile, options));
    if (!outcome)
      return failWith(ExitCode::BadFlags, outcome.takeError());
    if (!outcome->plan)
      return nothingFits(context, *profile, candidate->shape.name, *outcome, {});
    return finish(context, *profile, *candidate, *outcome->plan, {});
  }

  std::vector<Considered> considered;
  auto best = bestOf(context, *profile, sources, considered);
  if (!best)
    return failWith(ExitCode::BadInput, best.takeError());
  if (!best->second.plan)
    return nothingFits(context, *profile, best->first.shape.name, best->second, considered);
  return finish(context, *profile, best->first, *best->second.plan, considered);
}

} // namespace gcompile
