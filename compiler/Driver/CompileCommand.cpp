// The commands `compile` and `plan`: profile → model → plan → code and artifact → report.
#include "compiler/Driver/Commands.h"
#include "compiler/Driver/CompileArtifact.h"
#include "compiler/Driver/ModelShape.h"
#include "compiler/Driver/ModelSources.h"
#include "compiler/Driver/PlanModel.h"
#include "compiler/Driver/ProgressLine.h"
#include "compiler/Plan/PlanReport.h"
#include "compiler/Plan/PlanText.h"
#include "compiler/Quantize/MeasureError.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/raw_ostream.h"

#include <algorithm>
#include <map>
#include <memory>

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

// What only the weights know: the format in which they lie, and what each format would cost them.
static llvm::Error addWeightFacts(const Candidate &candidate, const CompilerInvocation &options,
                                  PlanRequest &request) {
  const ImportedModel &model = candidate.model;
  std::vector<MeasureItem> items;
  std::vector<std::string> names;
  for (const TensorSpec &spec : expectedTextTensors(model.config)) {
    const TensorInfo *info = model.tensors->find(spec.role, spec.layer);
    if (!info)
      continue;
    request.sourceFormats[spec.name] = storedFormat(info->type);
    if (!isMatrixRole(spec.role) || info->shape.size() != 2)
      continue;
    MeasureItem item;
    item.tensor = info;
    bool table = spec.role == TensorRole::PerLayerTable;
    item.slices = table ? model.config.layerCount() : 1;
    for (const WeightFormatInfo &format : weightFormats())
      if (!table || isRowTableFormat(format.format))
        item.formats.push_back(format.format);
    items.push_back(std::move(item));
    names.push_back(spec.name);
  }
  // Also when the user fixed every format: a replayed plan has to give the same figures.
  MeasureOptions measure;
  measure.sampleRows = 16;
  measure.jobs = unsigned(options.jobs);
  auto errors = measureErrors(*model.checkpoint, items, measure);
  if (!errors)
    return errors.takeError();
  auto found = std::make_shared<llvm::StringMap<std::map<WeightFormat, double>>>();
  for (size_t i = 0; i < items.size(); ++i)
    for (size_t j = 0; j < items[i].formats.size(); ++j)
      (*found)[names[i]][items[i].formats[j]] = (*errors)[i][j];
  request.measuredError = [found](const TensorShape &tensor,
                                  WeightFormat format) -> std::optional<double> {
    auto entry = found->find(tensor.name);
    if (entry == found->end() || !entry->second.count(format))
      return std::nullopt;
    return entry->second.at(format);
  };
  return llvm::Error::success();
}

static llvm::Expected<PlanRequest> requestFor(const Candidate &candidate,
                                              const DeviceProfile &profile,
                                              const CompilerInvocation &options) {
  PlanRequest request;
  request.model = &candidate.shape;
  request.profile = &profile;
  request.options = &options;
  request.maxPositions = candidate.model.config.maxPositions;
  request.tokenizerBytes = tokenizerBytes(candidate.model);
  if (candidate.model.checkpoint && candidate.model.tensors)
    if (llvm::Error error = addWeightFacts(candidate, options, request))
      return error;
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
    llvm::Expected<PlanRequest> request = requestFor(*candidate, profile, context.invocation);
    if (!request)
      return request.takeError();
    llvm::Expected<PlanOutcome> outcome = planModel(*request);
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

// Everything that a run knows once it has a plan.
namespace {
struct Run {
  const CommandContext &context;
  const DeviceProfile &profile;
  const Candidate &candidate;
  const PlanRequest &request;
  std::vector<Considered> considered;
};
} // namespace

static void report(const Run &run, const Plan &plan, const std::string &artifact) {
  const CompilerInvocation &options = run.context.invocation;
  // Only now: a failure is one line.
  for (const std::string &note : run.candidate.model.notes)
    printNote(run.context, note);
  if (!run.candidate.model.checkpoint)
    printNote(run.context, "'" + run.candidate.shape.name +
                               "' is planned from its shapes alone: to compile it, fetch the "
                               "checkpoint google/" +
                               run.candidate.shape.name +
                               " and give its folder to --model, or use --weights synthetic:1");
  if (options.json) {
    llvm::json::Object object = planJson(plan);
    if (!run.considered.empty())
      object["considered"] = consideredJson(run.considered);
    if (!run.candidate.model.checkpoint)
      object["checkpoint"] = "google/" + run.candidate.shape.name;
    if (!artifact.empty())
      object["artifact"] = artifact;
    printJson(std::move(object));
  } else if (!options.quiet) {
    llvm::outs() << planReport(plan);
    if (!artifact.empty())
      llvm::outs() << "\nwrote " << artifact << "\n";
  }
}

static ExitCode finishPlan(const Run &run, const Plan &plan) {
  const CompilerInvocation &options = run.context.invocation;
  bool emit = options.emit == EmitKind::Plan;
  if (!options.output.empty() || (emit && !options.json))
    if (llvm::Error error =
            writeOutput(options.output.empty() ? "-" : options.output, planText(plan)))
      return failWith(ExitCode::BadInput, std::move(error));
  if (!emit || options.json)
    report(run, plan, "");
  return ExitCode::Done;
}

// --emit mlir, llvm, asm, object: one text, of the target's most capable variant.
static ExitCode emitOne(const Run &run, const Plan &plan) {
  const CompilerInvocation &options = run.context.invocation;
  llvm::Expected<std::vector<std::string>> variants = variantsFor(run.profile);
  if (!variants)
    return failWith(ExitCode::BadFlags, variants.takeError());
  if (options.emit == EmitKind::Object && options.output.empty())
    return failWith(ExitCode::BadFlags, "--emit object needs -o FILE");
  llvm::Expected<LoweredModel> lowered = lowerModel(run.candidate.model.config, plan);
  if (!lowered)
    return failWith(ExitCode::BadInput, lowered.takeError());
  std::string text = lowered->planned;
  if (options.emit != EmitKind::Mlir) {
    const char *kind = options.emit == EmitKind::Llvm  ? "llvm"
                       : options.emit == EmitKind::Asm ? "asm"
                                                       : "object";
    llvm::Expected<std::string> emitted = emitText(*lowered, variants->back(), kind);
    if (!emitted)
      return failWith(ExitCode::BadInput, emitted.takeError());
    text = std::move(*emitted);
  }
  if (llvm::Error error = writeOutput(options.output.empty() ? "-" : options.output, text))
    return failWith(ExitCode::BadInput, std::move(error));
  return ExitCode::Done;
}

static std::string defaultOutput(const Run &run) {
  return run.candidate.shape.name + "-" + run.profile.name + ".gpk";
}

// Whether the plan may change when its exact sizes do not fit.
enum class PlanOrigin { Solver, File };

static ExitCode finish(const Run &run, Plan plan, PlanOrigin origin) {
  const CompilerInvocation &options = run.context.invocation;
  const ImportedModel &model = run.candidate.model;
  if (options.command == Command::Plan || options.emit == EmitKind::Plan)
    return finishPlan(run, plan);
  if (options.emit != EmitKind::Artifact)
    return emitOne(run, plan);
  if (!model.checkpoint) {
    report(run, plan, "");
    return ExitCode::Done;
  }
  if (llvm::Expected<std::vector<std::string>> variants = variantsFor(run.profile); !variants)
    return failWith(ExitCode::BadFlags, variants.takeError());

  ProgressLine line(options.quiet || options.json ? ProgressLine::Off : ProgressLine::WhenTerminal);
  auto progress = [&](llvm::StringRef step, uint64_t done, uint64_t total) {
    line.show(step, done, total);
  };
  int64_t budget = plan.budgetBytes;
  std::optional<CompiledModel> compiled;
  for (int attempt = 0; attempt < 4; ++attempt) {
    progress("generate code", 0, 1);
    llvm::Expected<CompiledModel> result =
        compilePlan(model.config, plan, run.profile, options.jobs);
    line.clear();
    if (!result)
      return failWith(ExitCode::BadInput, result.takeError());
    if (result->account.peak() <= budget) {
      compiled = std::move(*result);
      break;
    }
    if (origin == PlanOrigin::File)
      return failWith(ExitCode::BadInput, "the plan cannot be replayed: with its code it needs " +
                                              humanBytes(result->account.peak()) +
                                              ", the budget is " + humanBytes(budget));
    // The second check found more than was estimated: plan again with what is now known.
    PlanRequest again = run.request;
    again.exact = result->exact;
    llvm::Expected<PlanOutcome> outcome = planModel(again);
    if (!outcome)
      return failWith(ExitCode::BadFlags, outcome.takeError());
    if (!outcome->plan)
      return nothingFits(run.context, run.profile, run.candidate.shape.name, *outcome,
                         run.considered);
    plan = std::move(*outcome->plan);
  }
  if (!compiled)
    return failWith(ExitCode::OurBug, "exact sizes and plan do not settle under " +
                                          humanBytes(budget) + "; try a slightly larger --budget");
  plan.memory = compiled->account;

  WriteRequest write;
  write.path = options.output.empty() ? defaultOutput(run) : options.output;
  write.model = &model;
  write.plan = &plan;
  write.profile = &run.profile;
  write.syntheticSeed = options.syntheticSeed;
  write.jobs = options.jobs;
  write.progress = progress;
  llvm::Error error = writeArtifact(write, std::move(*compiled));
  line.clear();
  if (error)
    return failWith(ExitCode::BadInput, std::move(error));
  report(run, plan, write.path);
  return ExitCode::Done;
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
  if (llvm::Error error = checkOutputFolder(options.output))
    return failWith(ExitCode::BadInput, std::move(error));
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
    llvm::Expected<Plan> edited = loadPlan(options.planFile);
    if (!edited)
      return failWith(ExitCode::BadInput, edited.takeError());
    if (chooses)
      return failWith(ExitCode::BadFlags, "--plan needs --model");
    llvm::Expected<Candidate> candidate = load(options.model, options);
    if (!candidate)
      return failWith(ExitCode::BadInput, candidate.takeError());
    llvm::Expected<PlanRequest> request = requestFor(*candidate, *profile, options);
    if (!request)
      return failWith(ExitCode::BadInput, request.takeError());
    llvm::Expected<Plan> plan = replayPlan(*request, *edited);
    if (!plan)
      return failWith(ExitCode::BadInput, plan.takeError());
    return finish({context, *profile, *candidate, *request, {}}, *plan, PlanOrigin::File);
  }

  if (!chooses) {
    llvm::Expected<Candidate> candidate = load(options.model, options);
    if (!candidate)
      return failWith(ExitCode::BadInput, candidate.takeError());
    llvm::Expected<PlanRequest> request = requestFor(*candidate, *profile, options);
    if (!request)
      return failWith(ExitCode::BadInput, request.takeError());
    llvm::Expected<PlanOutcome> outcome = planModel(*request);
    if (!outcome)
      return failWith(ExitCode::BadFlags, outcome.takeError());
    if (!outcome->plan)
      return nothingFits(context, *profile, candidate->shape.name, *outcome, {});
    return finish({context, *profile, *candidate, *request, {}}, *outcome->plan,
                  PlanOrigin::Solver);
  }

  std::vector<Considered> considered;
  auto best = bestOf(context, *profile, sources, considered);
  if (!best)
    return failWith(ExitCode::BadInput, best.takeError());
  if (!best->second.plan)
    return nothingFits(context, *profile, best->first.shape.name, best->second, considered);
  llvm::Expected<PlanRequest> request = requestFor(best->first, *profile, options);
  if (!request)
    return failWith(ExitCode::BadInput, request.takeError());
  return finish({context, *profile, best->first, *request, considered}, *best->second.plan,
                PlanOrigin::Solver);
}

} // namespace gcompile
