#include "compiler/Driver/PlanningModule.h"

#include "compiler/Codegen/BuildGemmaModule.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Pass/PassManager.h"
#include "passes/Passes.h"
#include "passes/Transforms/ApplyPlan.h"
#include "passes/Transforms/BuildPlanProblem.h"

using namespace mlir;

namespace gcompile {

struct PlanningModule::State {
  MLIRContext context{MLIRContext::Threading::DISABLED};
  OwningOpRef<ModuleOp> module;
};

PlanningModule::PlanningModule() : state(std::make_unique<State>()) {}
PlanningModule::~PlanningModule() = default;

// Calls `action` and gives the first error that it reported.
template <typename Action>
static std::string firstError(MLIRContext &context, Action action) {
  std::string text;
  ScopedDiagnosticHandler handler(&context, [&](Diagnostic &diagnostic) {
    if (diagnostic.getSeverity() == DiagnosticSeverity::Error && text.empty())
      text = diagnostic.str();
    return success();
  });
  if (succeeded(action()))
    return "";
  return text.empty() ? "no diagnostic" : text;
}

llvm::Expected<std::shared_ptr<PlanningModule>>
PlanningModule::build(const ModelConfig &config, const std::vector<std::string> &modalities) {
  std::shared_ptr<PlanningModule> planning(new PlanningModule);
  MLIRContext &context = planning->state->context;
  context.loadDialect<gemma::GemmaDialect, func::FuncDialect>();
  llvm::Expected<OwningOpRef<ModuleOp>> module = buildGemmaModule(config, context);
  if (!module)
    return module.takeError();
  planning->state->module = std::move(*module);
  PassManager manager(&context);
  SelectModalitiesOptions options;
  options.keep.assign(modalities.begin(), modalities.end());
  manager.addPass(createSelectModalities(options));
  manager.addPass(createShareKvCaches());
  std::string error = firstError(context, [&] { return manager.run(*planning->state->module); });
  if (!error.empty())
    return llvm::createStringError("preparing the module for planning failed: " + error);
  return planning;
}

llvm::Expected<PlanProblem> PlanningModule::problem(const OptionTable &table) {
  FailureOr<PlanProblem> problem = failure();
  std::string error = firstError(state->context, [&]() -> LogicalResult {
    problem = buildPlanProblem(*state->module, table);
    return problem;
  });
  if (!error.empty())
    return llvm::createStringError("the options make no sense: " + error);
  return std::move(*problem);
}

llvm::Expected<PlanningModule::Decision> PlanningModule::decide(const OptionTable &table,
                                                                const std::string &solver,
                                                                int64_t positions, int64_t chunk,
                                                                int64_t tableCacheRows) {
  PlanningOutcome outcome;
  PassManager manager(&state->context);
  manager.addPass(createGemmaPlan({table, solver, positions, chunk, tableCacheRows}, &outcome));
  // On a copy: decisions at one context must not be seen by the next (a ring as long as the context
  // is no ring any more).
  OwningOpRef<ModuleOp> copy = ModuleOp(*state->module).clone();
  std::string error = firstError(state->context, [&] { return manager.run(*copy); });
  bool solved = !outcome.problem.items.empty();
  if (!error.empty() && (!solved || outcome.result.solution))
    return llvm::createStringError("planning failed: " + error);
  return Decision{std::move(outcome.problem), std::move(outcome.result)};
}

} // namespace gcompile
