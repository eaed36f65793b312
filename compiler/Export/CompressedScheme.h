// Which of compressed-tensors' integer schemes a planned format becomes, and the configuration that
// says so (config.json's quantization_config). The schemes are those that vLLM has kernels for: 4
// and 8 bits, symmetric. Modules that vLLM fuses (q, k, v; gate, up) get one scheme.
#pragma once

#include "ir/Format/Format.h"

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/JSON.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>

namespace gcompile {

// From fewer bytes to more; a fused module takes the largest of its parts.
enum class CompressedScheme : uint8_t {
  Int4Channel,
  Int4Group128,
  Int4Group32,
  Int8Channel, // with activations rounded to int8 per token, as our own w8 is computed
  Int8Group32,
  Plain // not quantized
};

struct CompressedSchemeInfo {
  const char *name; // for people: "int4 group 32"
  unsigned bits;
  int64_t group;         // columns that share a scale; 0: the row
  const char *format;    // compressed-tensors' name of the storage
  WeightFormat rounding; // what fresh values are rounded as
};
const CompressedSchemeInfo &info(CompressedScheme scheme);

// The scheme for a matrix of `columns` columns that the plan gives `planned`.
CompressedScheme schemeFor(WeightFormat planned, std::optional<WeightFormat> native,
                           int64_t columns);

// Whether codes and scales on the grid of `native` are codes and scales of the scheme.
bool keepsCodes(CompressedScheme scheme, WeightFormat native);

// Whether the scheme has the planned format's grid.
bool hasSameGrid(CompressedScheme scheme, WeightFormat planned);

// "layers.3.self_attn.q_proj" is layer 3 of unit "self_attn.(q|k|v)_proj".
struct CompressedUnit {
  std::string modules; // a regular expression for the modules of one layer, or of the model
  int64_t layer = -1;  // -1: of the whole model
  auto operator<=>(const CompressedUnit &) const = default;
};
// Of the canonical name of a weight; none: it is no linear layer.
std::optional<CompressedUnit> unitOfWeight(llvm::StringRef name);

// `units`: every linear layer of the text model; those that are Plain are listed as ignored, with
// everything of the towers.
llvm::json::Object quantizationConfig(const std::map<CompressedUnit, CompressedScheme> &units);

} // namespace gcompile
