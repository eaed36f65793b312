// What static scales cost a model (docs/decisions/0011), as KL(model ‖ model with them) in nats per
// token on a text: one program for all activations, one for each cache format of each layer type,
// all with float weights. The model is what the checkpoint was made for: where it states scales of
// activations it has these, and a plan without them is what differs.
#pragma once

#include "compiler/Measure/ProbeModel.h"

#include "llvm/ADT/STLFunctionalExtras.h"

namespace gcompile {

struct StaticCostOptions {
  std::map<std::string, ActivationScales> activations; // by tensor; may be empty
  std::map<int64_t, CacheScaleChoice> caches;          // by layer; empty: a scale a row
  bool pricesActivations = false, pricesCaches = false;
  int64_t windows = 6, window = 512; // of the text: how many, tokens each
  int64_t jobs = 0;
  const std::atomic<bool> *cancel = nullptr;
  llvm::function_ref<void(uint64_t done, uint64_t total)> progress = nullptr;
};

struct StaticCosts {
  double activations = 0; // 0 also where they are those of the model
  std::map<std::pair<bool, KvFormat>, double>
      caches; // (global, kv8 or kv4), of the types there are
};

// Errors: no weights, a text too short, a machine without code generation.
llvm::Expected<StaticCosts> measureStaticCosts(const ImportedModel &model, llvm::StringRef text,
                                               const StaticCostOptions &options);

} // namespace gcompile
