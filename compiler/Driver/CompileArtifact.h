// From a plan to an artifact: lowers, emits every code variant of the target's family, replaces the
// account's estimates by exact sizes, and checks the budget a second time. When the exact sizes do
// not fit, the caller plans again with them.
#pragma once

#include "compiler/Codegen/BuildArtifact.h"
#include "compiler/Driver/PlanModel.h"

#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/Support/Error.h"

#include <string>
#include <vector>

namespace gcompile {

struct CompiledModel {
  LoweredModel lowered;
  std::vector<CompiledVariant> variants;
  MemoryAccount account; // exact
  ExactSizes exact;      // for planning again
};

// `jobs`: variants are emitted side by side; 0: one thread a core.
llvm::Expected<CompiledModel> compilePlan(const ModelConfig &config, const Plan &plan,
                                          const DeviceProfile &profile, int64_t jobs);

// Names of the code variants for a profile; an error when whole programs are not emitted for it.
llvm::Expected<std::vector<std::string>> variantsFor(const DeviceProfile &profile);

// What an artifact says about where it comes from: no paths, no times.
llvm::Expected<std::string> provenanceText(const ImportedModel &model,
                                           std::optional<uint64_t> syntheticSeed, int64_t jobs);

struct WriteRequest {
  std::string path;
  const ImportedModel *model = nullptr;
  const Plan *plan = nullptr; // with the exact account
  const DeviceProfile *profile = nullptr;
  std::optional<uint64_t> syntheticSeed;
  int64_t jobs = 0;
  llvm::function_ref<void(llvm::StringRef step, uint64_t done, uint64_t total)> progress = nullptr;
};
llvm::Error writeArtifact(const WriteRequest &request, CompiledModel compiled);

} // namespace gcompile
