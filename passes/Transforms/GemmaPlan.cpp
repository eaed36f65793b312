// gemma-plan: builds the planning problem from the module and the option table, solves it, checks
// the answer and writes every decision.
#include "passes/Passes.h"
#include "passes/Planning/Solvers.h"
#include "passes/Transforms/ApplyPlan.h"
#include "passes/Transforms/BuildPlanProblem.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir;

namespace gcompile {
#define GEN_PASS_DEF_GEMMAPLAN
#include "passes/Passes.h.inc"

namespace {

// "TENSOR=FORMAT:BYTES:LOSS[:SECONDS],…;…"; formats of tables contain one colon themselves.
FailureOr<OptionTable> parseOptions(StringRef text, Operation *op) {
  OptionTable table;
  SmallVector<StringRef> entries, choices;
  text.split(entries, ';', -1, false);
  for (StringRef entry : entries) {
    auto [name, list] = entry.split('=');
    choices.clear();
    list.split(choices, ',', -1, false);
    for (StringRef choice : choices) {
      PlanOption option;
      if (choice.consume_front("!"))
        option.supported = false;
      SmallVector<StringRef> fields;
      choice.split(fields, ':');
      if (fields.size() > 3 && (fields[0] == gemma::inMemory || fields[0] == gemma::onStorage)) {
        option.format = tableOptionName({fields[0].str(), fields[1].str()});
        fields.erase(fields.begin(), fields.begin() + 2);
      } else {
        option.format = fields.front().str();
        fields.erase(fields.begin());
      }
      if (fields.size() < 2 || fields.size() > 3 || fields[0].getAsInteger(10, option.bytes) ||
          fields[1].getAsDouble(option.loss) ||
          (fields.size() == 3 && fields[2].getAsDouble(option.seconds)))
        return op->emitError() << "option '" << choice
                               << "' is not FORMAT:BYTES:LOSS or FORMAT:BYTES:LOSS:SECONDS";
      table.options[name.str()].push_back(std::move(option));
    }
  }
  return table;
}

struct GemmaPlan : impl::GemmaPlanBase<GemmaPlan> {
  using GemmaPlanBase::GemmaPlanBase;
  GemmaPlan(PlanningInputs inputs, PlanningOutcome *outcome)
      : given(std::move(inputs)), outcome(outcome) {}

  FailureOr<PlanningInputs> inputs() {
    if (given)
      return *given;
    FailureOr<OptionTable> table = parseOptions(optionTable, getOperation());
    if (failed(table))
      return failure();
    table->budgetBytes = budget;
    table->fixedBytes = fixedBytes;
    return PlanningInputs{std::move(*table), solver, context, chunk, cacheRows};
  }

  // The solution as decisions, read from the names of the chosen options.
  FailureOr<PlanDecisions> decisionsOf(const PlanProblem &problem, const PlanSolution &solution,
                                       const PlanningInputs &inputs) {
    PlanDecisions decisions;
    decisions.context = inputs.context;
    decisions.chunk = inputs.chunk;
    decisions.tableCacheRows = inputs.tableCacheRows;
    decisions.expertSlots = inputs.table.expertSlots;
    for (size_t i = 0; i < problem.items.size(); ++i) {
      const PlanItem &item = problem.items[i];
      std::string format = item.options[solution.choice[i]].format;
      auto unknown = [&] {
        return getOperation().emitError() << "'" << item.name << "' cannot take format '" << format
                                          << "', which the registry does not know";
      };
      if (item.kind == ItemKind::KvCache) {
        std::optional<KvFormat> kv = parseKvFormat(format);
        if (!kv)
          return unknown();
        bool local = item.name == localKvItem;
        (local ? decisions.localK : decisions.globalK) = *kv;
        (local ? decisions.localV : decisions.globalV) = *kv;
        continue;
      }
      if (item.kind == ItemKind::Table) {
        TableOption option = parseTableOptionName(format);
        decisions.tableOnStorage = option.placement == gemma::onStorage;
        format = option.format;
      }
      std::optional<WeightFormat> weight = parseWeightFormat(format);
      if (!weight)
        return unknown();
      decisions.tensorFormats[item.name] = *weight;
    }
    return decisions;
  }

  LogicalResult run() {
    ModuleOp module = getOperation();
    FailureOr<PlanningInputs> inputs = this->inputs();
    if (failed(inputs))
      return failure();
    FailureOr<PlanProblem> problem = buildPlanProblem(module, inputs->table);
    if (failed(problem))
      return failure();
    if (inputs->solver.empty())
      inputs->solver = solverNames().front();
    std::unique_ptr<Solver> solver = makeSolver(inputs->solver);
    if (!solver)
      return module.emitError() << "knows no solver '" << inputs->solver << "', only "
                                << llvm::join(solverNames(), ", ");
    SolveResult result = solver->solve(*problem);
    if (outcome)
      *outcome = {*problem, result};
    if (!result.solution)
      return module.emitError() << "nothing fits " << problem->budgetBytes
                                << " bytes: the smallest choice needs " << result.smallestBytes;
    if (std::string why = verify(*problem, *result.solution); !why.empty())
      return module.emitError() << "the solver's plan does not hold: " << why;
    FailureOr<PlanDecisions> decisions = decisionsOf(*problem, *result.solution, *inputs);
    if (failed(decisions) || failed(writeDecisions(module, *decisions)))
      return failure();
    Builder builder(module.getContext());
    module->setAttr(
        gemma::planAttrName,
        builder.getDictionaryAttr(
            {builder.getNamedAttr("solver", builder.getStringAttr(inputs->solver)),
             builder.getNamedAttr("objective", builder.getF64FloatAttr(result.cost.objective)),
             builder.getNamedAttr("bound", builder.getF64FloatAttr(result.bound)),
             builder.getNamedAttr("bytes", builder.getI64IntegerAttr(result.cost.bytes)),
             builder.getNamedAttr("budget", builder.getI64IntegerAttr(problem->budgetBytes))}));
    return success();
  }

  void runOnOperation() override {
    if (failed(run()))
      signalPassFailure();
  }

  std::optional<PlanningInputs> given;
  PlanningOutcome *outcome = nullptr;
};
} // namespace

std::unique_ptr<Pass> createGemmaPlan(PlanningInputs inputs, PlanningOutcome *outcome) {
  return std::make_unique<GemmaPlan>(std::move(inputs), outcome);
}
} // namespace gcompile
