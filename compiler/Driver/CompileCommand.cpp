// The commands `compile` and `plan`: profile → model → plan → code and artifact → report.
#include "compiler/Driver/ChooseModel.h"
#include "compiler/Driver/CommandLine.h"
#include "compiler/Driver/Commands.h"
#include "compiler/Driver/CompileArtifact.h"
#include "compiler/Driver/ModelSources.h"
#include "compiler/Driver/ProgressLine.h"
#include "compiler/Driver/ScaleNotes.h"
#include "compiler/Driver/WriteReport.h"
#include "compiler/Plan/PlanReport.h"
#include "compiler/Plan/PlanText.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/raw_ostream.h"

#include <optional>

namespace gcompile {

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

// Everything that a run knows once it has a plan.
namespace {
struct Run {
  const CommandContext &context;
  const DeviceProfile &profile;
  const Candidate &candidate;
  const PlanRequest &request;
  std::vector<Considered> considered;
  std::string explanation = ""; // why this model, when gcompile chose it
};
} // namespace

// What people should know of the plan beside its figures.
static std::vector<std::string> notesOf(const Run &run, const Plan &plan) {
  std::vector<std::string> notes = run.candidate.model.notes;
  const std::string &model = run.candidate.shape.name;
  if (!run.candidate.model.checkpoint)
    notes.push_back(
        "'" + model +
        "' is planned from its shapes alone: to compile it, fetch the checkpoint google/" + model +
        " and give its folder to --model, or use --weights synthetic:1");
  if (run.context.invocation.tables != TableChoice::Auto &&
      run.candidate.shape.perLayerVocabulary == 0)
    notes.push_back("--tables changes nothing: '" + model + "' has no per-layer table");
  if (run.context.invocation.experts != TableChoice::Auto && plan.experts == TablePlacement::None)
    notes.push_back("--experts changes nothing: '" + model + "' has no experts");
  if (plan.expertsOnStorage())
    notes.push_back(
        llvm::formatv("experts stay on storage: the cache holds {0} of them, and {1:f0} "
                      "% of what a token asks for is expected to be read (modelled: "
                      "uniform routing)",
                      plan.expertSlots, 100 * plan.predicted.expertMissRate)
            .str());
  if (std::string note = activationsNote(run.candidate, run.request, plan); !note.empty())
    notes.push_back(note);
  if (std::string note = cacheScalesNote(run.candidate, plan); !note.empty())
    notes.push_back(note);
  if (run.context.invocation.syntheticSeed)
    notes.push_back(
        "the weights are generated: bytes and speeds hold, the expected KL says nothing "
        "about a trained model");
  return notes;
}

// `arena`: of the generated code, if any.
static ExitCode report(const Run &run, const Plan &plan, const std::string &artifact,
                       const std::vector<ProgramArena> *arena = nullptr) {
  const CompilerInvocation &options = run.context.invocation;
  std::vector<std::string> notes = notesOf(run, plan);
  if (!options.report.empty()) {
    ReportFacts facts{&plan,
                      &run.profile,
                      commandLine(options, run.candidate.source, plan.budgetBytes),
                      notes,
                      arena,
                      /*exactSizes=*/arena != nullptr};
    if (llvm::Error error = writeReport(options.report, facts))
      return failWith(ExitCode::BadInput, std::move(error));
  }
  // Only now: a failure is one line.
  for (const std::string &note : notes)
    printNote(run.context, note);
  if (options.json) {
    llvm::json::Object object = planJson(plan);
    if (!run.considered.empty())
      object["considered"] = consideredJson(run.considered);
    if (!run.explanation.empty())
      object["choice"] = run.explanation;
    if (!run.candidate.model.checkpoint)
      object["checkpoint"] = "google/" + run.candidate.shape.name;
    if (!artifact.empty())
      object["artifact"] = artifact;
    printJson(std::move(object));
  } else if (!options.quiet && options.emit != EmitKind::Plan) {
    if (!run.explanation.empty())
      llvm::outs() << run.explanation << "\n";
    llvm::outs() << planReport(plan, terminalStyle());
    if (!artifact.empty())
      llvm::outs() << "\nwrote " << artifact << "\n";
  }
  return ExitCode::Done;
}

static ExitCode finishPlan(const Run &run, const Plan &plan) {
  const CompilerInvocation &options = run.context.invocation;
  bool emit = options.emit == EmitKind::Plan;
  if (!options.output.empty() || (emit && !options.json))
    if (llvm::Error error =
            writeOutput(options.output.empty() ? "-" : options.output, planText(plan)))
      return failWith(ExitCode::BadInput, std::move(error));
  if (emit && !options.json && options.report.empty())
    return ExitCode::Done;
  return report(run, plan, "");
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
  if (!model.checkpoint)
    return report(run, plan, "");
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
  std::vector<ProgramArena> arena = arenaLifetimes(*compiled->lowered.module);

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
  return report(run, plan, write.path, &arena);
}

// A budget beyond what the target leaves to one process is planned for as asked, but not silently.
static void noteLargeBudget(const CommandContext &context, const DeviceProfile &profile) {
  std::optional<int64_t> budget = context.invocation.budgetBytes;
  const Fact *left = profile.find("process_budget_bytes"), *memory = profile.find("memory_bytes");
  if (!budget || !left || double(*budget) <= left->value)
    return;
  bool beyondAll = memory && double(*budget) > memory->value;
  const Fact &limit = beyondAll ? *memory : *left;
  printNote(context, "--budget " + humanBytes(*budget) + " is more than " +
                         (beyondAll ? "all memory of " : "one process is left on ") + profile.name +
                         " (" + humanBytes(int64_t(limit.value)) + ", " + limit.confidence + ")");
}

// Towers are planned: whatever would emit code with them is refused before any work.
static std::optional<std::string> towersRefusal(const CompilerInvocation &options) {
  bool planOnly = options.command == Command::Plan || options.emit == EmitKind::Plan;
  bool withoutWeights = options.emit == EmitKind::Artifact && !options.syntheticSeed &&
                        (options.model.empty() ? findCheckpoints().empty()
                                               : isPresetName(options.model) &&
                                                     !llvm::sys::fs::exists(options.model));
  if (options.modalities.size() == 1 || planOnly || withoutWeights)
    return std::nullopt;
  return "--modalities " + llvm::join(options.modalities, ",") + ": the " + options.modalities[1] +
         " tower is planned, not compiled yet; stop after planning "
         "(gcompile plan) or keep text alone";
}

ExitCode runCompile(const CommandContext &context) {
  const CompilerInvocation &options = context.invocation;
  if (options.target.empty())
    return failWith(ExitCode::BadFlags,
                    "no target: give --target NAME, or --target host (see gcompile targets)");
  std::vector<std::string> folders = profileFolders(context.programPath);
  llvm::Expected<DeviceProfile> profile = loadProfile(options.target, folders);
  if (!profile)
    return failWith(targetFault(options.target, folders), profile.takeError());
  for (const std::string &file : {options.output, options.report})
    if (llvm::Error error = checkOutputFolder(file))
      return failWith(ExitCode::BadInput, std::move(error));
  noteLargeBudget(context, *profile);
  if (options.target == "host")
    measureHost(*profile, options.remeasure);

  std::vector<std::string> sources = {options.model};
  bool chooses = options.model.empty();
  if (std::optional<std::string> refusal = towersRefusal(options))
    return failWith(ExitCode::BadFlags, *refusal);
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
    CompilerInvocation asEdited = options;
    asEdited.modalities = edited->modalities;
    if (std::optional<std::string> refusal = towersRefusal(asEdited))
      return failWith(ExitCode::BadFlags, *refusal);
    llvm::Expected<Candidate> candidate = loadCandidate(options.model, options);
    if (!candidate)
      return failWith(ExitCode::BadInput, candidate.takeError());
    llvm::Expected<PlanRequest> request = requestFor(*candidate, *profile, options, &*edited);
    if (!request)
      return failWith(ExitCode::BadInput, request.takeError());
    llvm::Expected<Plan> plan = replayPlan(*request, *edited);
    if (!plan)
      return failWith(ExitCode::BadInput, plan.takeError());
    return finish({context, *profile, *candidate, *request, {}}, *plan, PlanOrigin::File);
  }

  if (!chooses) {
    llvm::Expected<Candidate> candidate = loadCandidate(options.model, options);
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

  ExitCode fault = ExitCode::BadInput;
  llvm::Expected<ModelChoice> best = chooseModel(sources, *profile, options, &fault);
  if (!best)
    return failWith(fault, best.takeError());
  for (const std::string &note : best->notes)
    printNote(context, note);
  const Candidate &candidate = best->candidate;
  if (!best->outcome.plan)
    return nothingFits(context, *profile, candidate.shape.name, best->outcome, best->considered);
  llvm::Expected<PlanRequest> request = requestFor(candidate, *profile, options);
  if (!request)
    return failWith(ExitCode::BadInput, request.takeError());
  return finish({context, *profile, candidate, *request, best->considered, best->explanation},
                *best->outcome.plan, PlanOrigin::Solver);
}

} // namespace gcompile
