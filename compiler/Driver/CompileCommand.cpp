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
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/raw_ostream.h"

#include <algorithm>

namespace gcompile {
namespace {

// Relative squared error of every format on the tensors that the solver may choose for.
using MeasuredErrors = llvm::StringMap<std::map<WeightFormat, double>>;

struct Candidate {
  std::string source;
  ImportedModel model;
  ModelShape shape;
  MeasuredErrors errors;
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

static llvm::Expected<MeasuredErrors> measureFormats(const Candidate &candidate,
                                                     const CompilerInvocation &options) {
  MeasuredErrors errors;
  const ImportedModel &model = candidate.model;
  bool allFixed = llvm::any_of(options.weightFormats,
                               [](const FormatRule &rule) { return rule.pattern == "*"; });
  if (!model.checkpoint || !model.tensors || allFixed)
    return errors;
  std::vector<MeasureItem> items;
  std::vector<std::string> names;
  for (const TensorSpec &spec : expectedTextTensors(model.config)) {
    const TensorInfo *tensor = model.tensors->find(spec.role, spec.layer);
    if (!tensor || spec.shape.size() != 2)
      continue;
    MeasureItem item;
    item.tensor = tensor;
    bool table = spec.role == TensorRole::PerLayerTable;
    item.slices = table ? model.config.layerCount() : 1;
    for (const WeightFormatInfo &format : weightFormats())
      if (!table || isRowTableFormat(format.format))
        item.formats.push_back(format.format);
    items.push_back(std::move(item));
    names.push_back(spec.name);
  }
  MeasureOptions measure;
  measure.jobs = unsigned(options.jobs);
  auto measured = measureErrors(*model.checkpoint, items, measure);
  if (!measured)
    return measured.takeError();
  for (size_t index = 0; index < items.size(); ++index)
    for (size_t option = 0; option < items[index].formats.size(); ++option)
      errors[names[index]][items[index].formats[option]] = (*measured)[index][option];
  return errors;
}

static PlanRequest requestFor(const Candidate &candidate, const DeviceProfile &profile,
                              const CompilerInvocation &options) {
  PlanRequest request;
  request.model = &candidate.shape;
  request.profile = &profile;
  request.options = &options;
  request.maxPositions = candidate.model.config.maxPositions;
  request.tokenizerBytes = tokenizerBytes(candidate.model);
  request.measuredError = [&candidate](const TensorShape &tensor,
                                       WeightFormat format) -> std::optional<double> {
    auto measured = candidate.errors.find(tensor.name);
    if (measured == candidate.errors.end() || !measured->second.count(format))
      return std::nullopt;
    return measured->second.at(format);
  };
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
  Candidate candidate{source, std::move(*model), {}, {}};
  candidate.shape = shapeOf(candidate.model.config);
  if (!candidate.model.name.empty())
    candidate.shape.name = candidate.model.name;
  llvm::Expected<MeasuredErrors> errors = measureFormats(candidate, options);
  if (!errors)
    return errors.takeError();
  candidate.errors = std::move(*errors);
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

static std::string outputPath(const CompilerInvocation &options, const Candidate &candidate) {
  if (!options.output.empty())
    return options.output;
  return options.emit == EmitKind::Artifact ? candidate.shape.name + "-" + options.target + ".gpk"
                                            : "-";
}

static void printPlan(const CommandContext &context, const Plan &plan,
                      const std::vector<Considered> &considered) {
  if (context.invocation.json) {
    llvm::json::Object object = planJson(plan);
    if (!considered.empty())
      object["considered"] = consideredJson(considered);
    printJson(std::move(object));
  } else if (!context.invocation.quiet) {
    llvm::outs() << planReport(plan);
  }
}

// Writes the artifact, or what --emit asks for; `plan` gets the exact account.
static ExitCode compile(const CommandContext &context, const DeviceProfile &profile,
                        const Candidate &candidate, Plan &plan) {
  const CompilerInvocation &options = context.invocation;
  CompileInputs inputs;
  inputs.model = &candidate.model;
  inputs.options = &options;
  inputs.architecture = profile.architecture;
  inputs.profileText = profile.text;
  ProgressLine line(options.quiet || options.json ? ProgressLine::Off : ProgressLine::WhenTerminal);
  auto progress = [&](llvm::StringRef step, uint64_t done, uint64_t total) {
    line.show(step, done, total);
  };
  inputs.progress = progress;
  auto replan = [&](const ExactSizes &sizes) -> llvm::Expected<Plan> {
    PlanRequest request = requestFor(candidate, profile, options);
    request.exact = sizes;
    llvm::Expected<PlanOutcome> outcome = planModel(request);
    if (!outcome)
      return outcome.takeError();
    if (!outcome->plan)
      return llvm::createStringError(outcome->message);
    return std::move(*outcome->plan);
  };
  std::string output = outputPath(options, candidate);
  llvm::Error error = compileArtifact(inputs, plan, replan, output);
  line.clear();
  if (error)
    return failWith(ExitCode::BadInput, std::move(error));
  if (options.emit == EmitKind::Artifact)
    printNote(context, "wrote " + output);
  return ExitCode::Done;
}

static ExitCode finish(const CommandContext &context, const DeviceProfile &profile,
                       const Candidate &candidate, Plan plan,
                       const std::vector<Considered> &considered) {
  const CompilerInvocation &options = context.invocation;
  if (options.command == Command::Plan || options.emit == EmitKind::Plan) {
    if (!options.output.empty() || (options.emit == EmitKind::Plan && !options.json))
      if (llvm::Error error =
              writeOutput(options.output.empty() ? "-" : options.output, planText(plan)))
        return failWith(ExitCode::BadInput, std::move(error));
    if (options.json || options.emit != EmitKind::Plan)
      printPlan(context, plan, considered);
    return ExitCode::Done;
  }
  if (!candidate.model.checkpoint) {
    printPlan(context, plan, considered);
    printNote(context, "'" + candidate.shape.name +
                           "' is known by its shapes alone: fetch the checkpoint google/" +
                           candidate.shape.name +
                           " and give its folder to --model, or use --weights synthetic:1");
    return ExitCode::Done;
  }
  ExitCode code = compile(context, profile, candidate, plan);
  if (code == ExitCode::Done && options.emit == EmitKind::Artifact)
    printPlan(context, plan, considered);
  return code;
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
