// Scales of static activations for a checkpoint that states none (docs/decisions/0011), from what
// its linear layers take and give on a text. Inputs are observed on the compiled model; outputs are
// computed from them with the checkpoint's weights, which takes one pass over these and no further
// program.
#pragma once

#include "compiler/Measure/ObserveInputs.h"
#include "ir/Format/ActivationScales.h"

#include <array>

namespace gcompile {

// How often magnitudes occurred: 64 bins an octave. Counts alone, so it does not depend on order.
class MagnitudeCounts {
public:
  void add(float value);
  void add(const MagnitudeCounts &other);
  uint64_t total() const;
  double largest() const; // 0: nothing but zeros

  // Mean squared error of clamp(round(x / scale), −mostCode − 1, mostCode) · scale, as far as the
  // bins tell.
  double error(double scale, double mostCode = 127) const;
  // The scale of least error among those that clip at largest / 2^(i/8). 0: nothing but zeros.
  float bestScale(double mostCode = 127) const;

private:
  static constexpr int mantissaBits = 6;
  std::vector<uint64_t> counts = std::vector<uint64_t>(size_t(1) << (8 + mantissaBits), 0);
};

// For every linear layer but the head and those of experts and routers, by canonical name of the
// weight. Errors: as of observeInputs.
llvm::Expected<std::map<std::string, ActivationScales>>
measureActivationScales(const ImportedModel &model, llvm::ArrayRef<std::vector<int32_t>> windows,
                        const ObserveOptions &options = {});

// For every cache, by the layer that owns it: of what is written to it, keys after norm and
// rotation, values after norm. Derived keys have none.
llvm::Expected<std::map<int64_t, CacheScaleChoice>>
measureCacheScales(const ImportedModel &model, llvm::ArrayRef<std::vector<int32_t>> windows,
                   const ObserveOptions &options = {});

} // namespace gcompile
