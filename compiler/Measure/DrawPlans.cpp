#include "compiler/Measure/Sensitivity.h"

#include "llvm/ADT/ArrayRef.h"

#include <algorithm>
#include <cmath>
#include <random>

namespace gcompile {
namespace {

// The library's distributions differ between implementations; these do not.
class Random {
public:
  explicit Random(uint64_t seed) : engine(seed) {}
  size_t below(size_t count) { return size_t(engine() % count); }
  template <typename T>
  const T &of(const std::vector<T> &list) {
    return list[below(list.size())];
  }

private:
  std::mt19937_64 engine;
};

bool isTable(const TensorShape &tensor) { return tensor.role == "per_layer_table"; }

std::vector<WeightFormat> formatsWithBits(unsigned least, unsigned most, bool rowTable) {
  std::vector<WeightFormat> formats;
  for (const WeightFormatInfo &facts : weightFormats())
    if (facts.isInteger && !facts.keptGridOnly && facts.bits >= least && facts.bits <= most &&
        (!rowTable || isRowTableFormat(facts.format)))
      formats.push_back(facts.format);
  return formats;
}

// Each tensor for itself: least damage + price · bytes.
ModelFormats cheapest(const ModelShape &shape, const QualityModel &quality, double price,
                      double &bits) {
  ModelFormats formats;
  double bytes = 0, values = 0;
  for (const TensorShape &tensor : shape.tensors) {
    if (tensor.role == "norm")
      continue;
    double best = 0, bestBytes = 0;
    bool first = true;
    for (WeightFormat format : formatsWithBits(2, 8, isTable(tensor))) {
      double size = double(packedBytes(format, tensor.n, tensor.k));
      double cost = quality.damage(tensor, format) + price * size;
      if (first || cost < best) {
        formats.tensors[tensor.name] = format;
        best = cost;
        bestBytes = size;
        first = false;
      }
    }
    bytes += bestBytes;
    values += double(tensor.n) * double(tensor.k);
  }
  bits = 8 * bytes / std::max(values, 1.0);
  return formats;
}

ModelFormats cheapestAtBits(const ModelShape &shape, const QualityModel &quality, double target) {
  double low = 1e-14, high = 1e2, bits = 0;
  for (int i = 0; i < 60; ++i) {
    double middle = std::sqrt(low * high);
    cheapest(shape, quality, middle, bits);
    (bits > target ? low : high) = middle;
  }
  return cheapest(shape, quality, high, bits);
}

// Formats from a range of bits, drawn for each tensor, each role or each layer; of the ways users
// and solvers mix, the wild ones.
ModelFormats randomMix(const ModelShape &shape, Random &random) {
  static const std::vector<std::pair<unsigned, unsigned>> ranges = {{2, 8}, {4, 8}, {8, 8}, {4, 4},
                                                                    {2, 4}, {2, 2}, {4, 8}};
  auto [least, most] = random.of(ranges);
  size_t by = random.below(3);
  ModelFormats formats;
  std::map<std::string, WeightFormat> drawn;
  for (const TensorShape &tensor : shape.tensors) {
    if (tensor.role == "norm")
      continue;
    std::string key = by == 0 ? tensor.name : by == 1 ? tensor.role : std::to_string(tensor.layer);
    if (isTable(tensor))
      key = tensor.name;
    auto found = drawn.find(key);
    if (found == drawn.end()) {
      std::vector<WeightFormat> allowed = formatsWithBits(least, most, isTable(tensor));
      if (allowed.empty()) // a range that no table format falls into
        allowed = formatsWithBits(2, 8, isTable(tensor));
      found = drawn.emplace(key, random.of(allowed)).first;
    }
    formats.tensors[tensor.name] = found->second;
  }
  return formats;
}

} // namespace

std::vector<ModelFormats> drawPlans(const ModelShape &shape, const QualityModel &quality,
                                    int64_t count, uint64_t seed) {
  static const std::vector<KvFormat> caches = {KvFormat::F16, KvFormat::Kv8, KvFormat::Kv8,
                                               KvFormat::Kv4};
  Random random(seed);
  std::vector<ModelFormats> plans;
  int64_t solved = (count + 1) / 2;
  for (int64_t i = 0; i < count; ++i) {
    ModelFormats formats;
    if (i % 2 == 0) {
      // From 8.2 bits down to 2.2, evenly in their logarithm.
      double share = solved > 1 ? double(i / 2) / double(solved - 1) : 0.5;
      formats = cheapestAtBits(shape, quality, 8.2 * std::pow(2.3 / 8.2, share));
    } else {
      formats = randomMix(shape, random);
    }
    formats.localKv = random.of(caches);
    formats.globalKv = random.of(caches);
    plans.push_back(std::move(formats));
  }
  return plans;
}

double damageOf(const ModelShape &shape, const QualityModel &quality, const ModelFormats &formats) {
  double sum = 0;
  for (const TensorShape &tensor : shape.tensors)
    if (tensor.role != "norm")
      sum += quality.damage(tensor, formats.of(tensor.name, isTable(tensor)));
  bool local = false, global = false;
  for (const LayerShape &layer : shape.layers)
    (layer.global ? global : local) = true;
  if (local)
    sum += quality.kvDamage(false, formats.localKv);
  if (global)
    sum += quality.kvDamage(true, formats.globalKv);
  return sum;
}

} // namespace gcompile
