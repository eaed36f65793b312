// Rounds 256 floats to a block of GGUF's Q2_K: sixteen runs of 16 values, each code·d·scale −
// dmin·min with 2-bit codes and 4-bit scales and minima. The search is the one of llama.cpp's
// encoder (affine least squares over trial scales), so errors are alike; bytes may differ.
#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace gcompile {

struct Q2KBlock {
  uint16_t d = 0, dmin = 0;                 // f16
  std::array<uint8_t, 16> scales{}, mins{}; // 0…15
  std::array<uint8_t, 256> codes{};         // 0…3
};

Q2KBlock fitQ2K(std::span<const float, 256> values);

} // namespace gcompile
