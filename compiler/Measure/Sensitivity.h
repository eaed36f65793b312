// Measures on the model itself what formats cost: KL(reference ‖ changed) in nats per token on a
// text, one change at a time, then a few whole plans that show how the parts add up.
//
// - Weights: each tensor (in large models each group of like tensors) takes the values of a format
//   inside one float program, so no compile is needed for a probe.
// - Activations: what integer kernels lose by rounding their inputs to int8, from programs compiled
//   with one kind of layer in w8.
// - Caches: one program for each cache format of each layer type.
// - Whole plans: compiled as users get them. They give the link from summed damage to KL, which
//   holds what parts do to each other (they help or hurt each other at 2 and 3 bits), and its
//   scatter, from which the interval of a prediction comes.
//
// The results are facts of model and text, not of the machine that measured or of a target.
#pragma once

#include "compiler/Measure/ProbeModel.h"
#include "passes/Cost/QualityModel.h"

namespace gcompile {

struct SensitivityOptions {
  int64_t windows = 6, window = 512; // of the text: how many, tokens each
  int64_t wholePlans = 16;           // for the link
  int64_t mostProbes = 300;          // tensors are grouped when there would be more
  uint64_t seed = 1;                 // of the whole plans
  int64_t jobs = 0;
  const std::atomic<bool> *cancel = nullptr;
  llvm::function_ref<void(llvm::StringRef step, uint64_t done, uint64_t total)> progress = nullptr;
};

struct SensitivityResult {
  int64_t positions = 0;
  std::vector<WholePlan> wholePlans; // what the link was fitted on
};

// Completes `quality`, whose errors are known for every tensor, by what is measured. `shape` is
// that of the model. Errors: no weights, a text too short, a machine without code generation.
llvm::Expected<SensitivityResult> measureSensitivity(const ImportedModel &model,
                                                     const ModelShape &shape, llvm::StringRef text,
                                                     QualityModel &quality,
                                                     const SensitivityOptions &options = {});

// Whole plans of many kinds: some have the least damage at a rate, as a solver's do, the others are
// drawn at random, from 2 to 8 bits. A function of the arguments alone.
std::vector<ModelFormats> drawPlans(const ModelShape &shape, const QualityModel &quality,
                                    int64_t count, uint64_t seed);

// Sum over a plan's choices.
double damageOf(const ModelShape &shape, const QualityModel &quality, const ModelFormats &formats);

} // namespace gcompile
