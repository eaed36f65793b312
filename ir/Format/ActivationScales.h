// Static activations of one linear layer (docs/decisions/0011): its input and its output are
// rounded to the codes −128 … 127 of these scales.
#pragma once

namespace gcompile {

struct ActivationScales {
  float input = 0, output = 0; // value = code · scale; 0: not rounded

  explicit operator bool() const { return input != 0 || output != 0; }
  bool operator==(const ActivationScales &) const = default;
};

} // namespace gcompile
