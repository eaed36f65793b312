// Weights from a counter-based generator: any element can be computed alone from (seed, name,
// index), so that full-size models stream without ever existing. Values are bell-shaped with rows
// of different size, and scaled so that activations stay near 1.
#include "compiler/Import/Gemma4Tensors.h"
#include "compiler/Import/HostileJson.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/BLAKE3.h"
#include "llvm/Support/xxhash.h"

#include <bit>
#include <cmath>
#include <cstring>

// Fused or not, products round differently: the same seed has to give the same bytes on every
// machine.
#pragma STDC FP_CONTRACT OFF

using llvm::Error;
using llvm::Expected;
using llvm::MutableArrayRef;
using llvm::StringRef;
using llvm::Twine;

namespace gcompile {

namespace {

constexpr StringRef generatorVersion =
    "synthetic 1"; // part of every hash; raise it when values change

// The finaliser of SplitMix64 (Steele, Lea, Flood 2014).
uint64_t mix(uint64_t value) {
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
  value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
  return value ^ (value >> 31);
}

// Sum of four uniform 16-bit numbers, centred: bell-shaped with variance 1 after `unit`.
float bell(uint64_t random) {
  auto sum = static_cast<int32_t>((random & 0xffff) + ((random >> 16) & 0xffff) +
                                  ((random >> 32) & 0xffff) + (random >> 48)) -
             2 * 0xffff;
  constexpr float unit = 1.0f / 37837.2f; // sqrt(4 · (2^32 − 1) / 12)
  return static_cast<float>(sum) * unit;
}

float uniform(uint64_t random) { return static_cast<float>(random >> 40) * 0x1p-24f; }

// Round to nearest even; the values are finite.
uint16_t toBf16(float value) {
  auto bits = std::bit_cast<uint32_t>(value);
  return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1)) >> 16);
}

// value = base + spread · bell, or for scalars base + spread · uniform.
struct Distribution {
  float base = 0;
  float spread = 0;
  bool perRow = false; // rows differ in size by up to a factor of 2
};

Distribution distributionOf(const TensorSpec &spec) {
  auto fanIn = static_cast<float>(spec.shape.back());
  switch (spec.role) {
  case TensorRole::LayerScalar:
    return {0.5f, 0.5f, false};
  case TensorRole::QueryNorm:
  case TensorRole::KeyNorm:
    // Scores are unscaled: norms of D^(-1/4) keep their deviation near 1, so attention is neither
    // flat nor one-hot.
    return {1.0f / std::sqrt(std::sqrt(fanIn)), 0.02f, false};
  case TensorRole::PerLayerTable:
    return {0, 1.0f / 16, true}; // the model multiplies by sqrt(256)
  default:
    if (isMatrixRole(spec.role))
      return {0, 1.0f / std::sqrt(fanIn), true};
    return {1.0f, 0.1f, false};
  }
}

class SyntheticCheckpoint : public Checkpoint {
public:
  SyntheticCheckpoint(const ModelConfig &config, uint64_t seed) : seed(seed) {
    fileNames.push_back("synthetic:" + std::to_string(seed));
    for (const TensorSpec &spec : expectedTextTensors(config)) {
      TensorInfo tensor;
      tensor.name = "model.language_model." + spec.name;
      tensor.type = TensorType::BF16;
      tensor.shape = spec.shape;
      tensor.offset = total;
      tensor.bytes = static_cast<uint64_t>(spec.elements()) * 2;
      total += tensor.bytes;
      generators.push_back({mix(seed ^ mix(llvm::xxHash64(spec.name))), distributionOf(spec),
                            static_cast<uint64_t>(spec.shape.back()),
                            spec.role == TensorRole::LayerScalar});
      llvm::cantFail(addTensor(std::move(tensor))); // names are distinct by construction
    }
  }

  Error read(const TensorInfo &tensor, uint64_t offset,
             MutableArrayRef<uint8_t> out) const override {
    if (offset > tensor.bytes || out.size() > tensor.bytes - offset)
      return importError("tensor " + inQuotes(tensor.name) + " has " + Twine(tensor.bytes) +
                         " bytes, asked for " + Twine(out.size()) + " at " + Twine(offset));
    if (out.empty())
      return Error::success();
    const Generator &generator = generators[&tensor - tensorList.data()];
    size_t written = 0;
    generate(generator, offset / 2, (offset + out.size() + 1) / 2, [&](uint16_t bits) {
      uint8_t bytes[2] = {static_cast<uint8_t>(bits), static_cast<uint8_t>(bits >> 8)};
      size_t first = written == 0 ? offset % 2 : 0;
      for (size_t i = first; i < 2 && written < out.size(); ++i)
        out[written++] = bytes[i];
    });
    return Error::success();
  }

  Error readRowsAsFloat(const TensorInfo &tensor, int64_t firstRow, int64_t rowCount,
                        MutableArrayRef<float> out) const override {
    int64_t columns = tensor.columns(), rows = tensor.rows();
    if (firstRow < 0 || rowCount < 0 || firstRow > rows || rowCount > rows - firstRow ||
        static_cast<int64_t>(out.size()) != rowCount * columns)
      return importError("tensor " + inQuotes(tensor.name) + ": rows " + Twine(firstRow) + " to " +
                         Twine(firstRow + rowCount) + " asked into " + Twine(out.size()) +
                         " values, it has shape " + shapeString(tensor.shape));
    const Generator &generator = generators[&tensor - tensorList.data()];
    float *target = out.data();
    generate(generator, firstRow * columns, (firstRow + rowCount) * columns, [&](uint16_t bits) {
      *target++ = std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
    });
    return Error::success();
  }

  // What determines the content, instead of the content: hashing 60 GB of noise tells nothing more.
  Expected<std::string> contentHash(const TensorInfo &tensor, const PieceHashes *) const override {
    llvm::BLAKE3 hasher;
    hasher.update(StringRef((generatorVersion + " seed " + Twine(seed) + " " + tensor.name + " " +
                             shapeString(tensor.shape))
                                .str()));
    return llvm::toHex(hasher.final<16>(), true);
  }
  void listHashPieces(const TensorInfo &, std::vector<HashPiece> &) const override {}

private:
  struct Generator {
    uint64_t key;
    Distribution distribution;
    uint64_t columns; // of the last dimension: the unit of "per row"
    bool flat;        // uniform instead of bell-shaped
  };

  // Elements [begin, end) in order, as bf16 bits.
  template <typename Sink>
  static void generate(const Generator &generator, uint64_t begin, uint64_t end, Sink sink) {
    constexpr uint64_t golden = 0x9e3779b97f4a7c15u;
    const Distribution &shape = generator.distribution;
    for (uint64_t index = begin; index < end;) {
      uint64_t row = index / generator.columns;
      uint64_t stop = std::min(end, (row + 1) * generator.columns);
      float spread = shape.spread;
      if (shape.perRow)
        spread *= 0.7f + 0.7f * uniform(mix(~generator.key + row * golden));
      if (generator.flat) {
        for (; index < stop; ++index)
          sink(toBf16(shape.base + spread * uniform(mix(generator.key + index * golden))));
        continue;
      }
      for (; index < stop; ++index)
        sink(toBf16(shape.base + spread * bell(mix(generator.key + index * golden))));
    }
  }

  uint64_t seed;
  uint64_t total = 0;
  std::vector<Generator> generators; // parallel to tensorList
};

} // namespace

std::unique_ptr<Checkpoint> makeSyntheticCheckpoint(const ModelConfig &config, uint64_t seed) {
  return std::make_unique<SyntheticCheckpoint>(config, seed);
}

} // namespace gcompile
