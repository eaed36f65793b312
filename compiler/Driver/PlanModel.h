// Planning one model on one target: prices the options, lets gemma-plan decide on the IR, and turns
// the decision into a plan; or checks a plan that a user edited. The table rests on static facts
// alone, so the same input and options give the same decisions whatever the machine is doing at the
// moment; measured speeds enter predictions only (except under --min-decode, which asks for them).
#pragma once

#include "compiler/Driver/CompilerInvocation.h"
#include "compiler/Driver/PlanningModule.h"
#include "compiler/Plan/Plan.h"
#include "compiler/Profile/DeviceProfile.h"
#include "passes/Cost/ModelShape.h"
#include "passes/Cost/QualityModel.h"

#include "llvm/ADT/StringMap.h"
#include "llvm/Support/Error.h"

#include <functional>
#include <optional>

namespace gcompile {

// Sizes that code generation found; they replace the estimates. Valid for one choice of chunks.
struct ExactSizes {
  int64_t prefillChunk = 0;
  int64_t arenaBytes = 0, codeBytes = 0;
  int64_t otherBytes = 0; // weights and caches beyond what the plan counted
};

struct PlanRequest {
  const ModelShape *model = nullptr;
  std::shared_ptr<PlanningModule> module; // the IR of the same model
  std::string solver;                     // empty: the default one
  const DeviceProfile *profile = nullptr;
  const CompilerInvocation *options = nullptr;
  int64_t maxPositions = 0;
  int64_t tokenizerBytes = 0; // of its section in the artifact; 0: none
  // How activations are rounded, and with which scales if these are static (0011).
  Activations activations = Activations::Dynamic;
  std::map<std::string, ActivationScales> activationScales;
  std::map<int64_t, CacheScaleChoice> cacheScales; // by layer; empty: a scale a row
  // What formats cost this model; null: priors, which know its shapes alone.
  std::shared_ptr<const QualityModel> quality;
  std::optional<StaticCost> staticCost; // of the scales above
  // Basis and link of a plan file whose losses replace those of `quality`; null: none.
  const Predictions *keptQuality = nullptr;
  // A plan that is replayed: the formats it names are options, kept grids too. Null: none.
  const Plan *replayed = nullptr;
  std::optional<ExactSizes> exact;
};

struct PlanOutcome {
  std::optional<Plan> plan;
  int64_t budgetBytes = 0, smallestBudgetBytes = 0; // when nothing fits
  std::string suggestion, message;
};

// The budget of the flags or of the target; the context of the flags, 0: to be chosen.
int64_t budgetOf(const PlanRequest &request);
llvm::Expected<int64_t> contextOf(const PlanRequest &request);

// Errors are contradictions in the flags (exit code 2).
llvm::Expected<PlanOutcome> planModel(const PlanRequest &request);

// Takes every decision from `edited`, counts bytes and predictions anew, and refuses what
// contradicts the model or the budget.
llvm::Expected<Plan> replayPlan(const PlanRequest &request, const Plan &edited);

} // namespace gcompile
