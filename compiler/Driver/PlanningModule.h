// The IR that is planned on: the gemma module of a configuration, built once and planned on as
// often as budgets and contexts are tried.
#pragma once

#include "compiler/Import/ModelConfig.h"
#include "passes/Planning/OptionTable.h"
#include "passes/Planning/Solver.h"

#include "llvm/Support/Error.h"

#include <memory>
#include <string>
#include <vector>

namespace gcompile {

class PlanningModule {
public:
  // Modalities are selected and cache sharing is resolved; formats are not.
  static llvm::Expected<std::shared_ptr<PlanningModule>>
  build(const ModelConfig &config, const std::vector<std::string> &modalities);
  ~PlanningModule();

  // What gemma-plan would solve with this table.
  llvm::Expected<PlanProblem> problem(const OptionTable &table);

  struct Decision {
    PlanProblem problem;
    SolveResult result; // no solution: nothing fits
  };
  // Runs gemma-plan on a copy of the module. `chunk` and `tableCacheRows` as in ProgramShape and
  // ProgramChoice.
  llvm::Expected<Decision> decide(const OptionTable &table, const std::string &solver,
                                  int64_t context, int64_t chunk, int64_t tableCacheRows);

private:
  PlanningModule();
  struct State; // keeps MLIR out of this header
  std::unique_ptr<State> state;
};

} // namespace gcompile
