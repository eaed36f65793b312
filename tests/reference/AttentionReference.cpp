// Straight from the definitions.
#include "tests/reference/AttentionReference.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace gcompile::reference {

Doubles rmsNorm(const Floats &x, const Floats &weight, int64_t rows, int64_t columns,
                int64_t groups, double epsilon, double inputScale) {
  Doubles out(rows * columns);
  int64_t piece = columns / groups;
  for (int64_t first = 0; first < rows * columns; first += piece) {
    double sum = 0;
    for (int64_t i = 0; i < piece; ++i)
      sum += std::pow(inputScale * x[first + i], 2);
    double factor = std::pow(sum / piece + epsilon, -0.5);
    for (int64_t i = 0; i < piece; ++i)
      out[first + i] = inputScale * x[first + i] * factor * (weight.empty() ? 1.0 : weight[i]);
  }
  return out;
}

RopeTable ropeTable(const Floats &frequencies, int64_t rows, int64_t position) {
  RopeTable table;
  for (int64_t row = 0; row < rows; ++row)
    for (float frequency : frequencies) {
      float angle = float(position + row) * frequency;
      table.cosines.push_back(std::cos(double(angle)));
      table.sines.push_back(std::sin(double(angle)));
    }
  return table;
}

Doubles rope(const Floats &x, const Floats &cosines, const Floats &sines, int64_t rows,
             int64_t columns, int64_t groups) {
  Doubles out(rows * columns);
  int64_t size = columns / groups, half = size / 2;
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t group = 0; group < groups; ++group)
      for (int64_t i = 0; i < half; ++i) {
        int64_t low = row * columns + group * size + i, high = low + half;
        double c = cosines[row * half + i], s = sines[row * half + i];
        out[low] = x[low] * c - x[high] * s;
        out[high] = x[high] * c + x[low] * s;
      }
  return out;
}

Doubles geluMul(const Floats &gate, const Floats &up) {
  Doubles out;
  for (size_t i = 0; i < gate.size(); ++i) {
    double x = gate[i];
    // 1 + tanh u as 2 / (1 + e^(−2u)): tanh of a large negative u would cancel even in double.
    double u = std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x);
    out.push_back(x / (1 + std::exp(-2 * u)) * up[i]);
  }
  return out;
}

Doubles add(const Floats &a, const Floats &b, double scale, double factor) {
  Doubles out;
  for (size_t i = 0; i < a.size(); ++i)
    out.push_back((double(a[i]) + b[i]) * scale * factor);
  return out;
}

Doubles softCap(const Floats &x, double cap) {
  Doubles out;
  for (float value : x)
    out.push_back(cap * std::tanh(value / cap));
  return out;
}

namespace {

int64_t roundUp(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

bool isDerived(const KvCache &cache) { return cache.kFormat == "derived"; }

bool hasScales(const std::string &format) { return format == "kv8" || format == "kv4"; }

int64_t bitsOf(const std::string &format) {
  return format == "f32" ? 32 : format == "f16" ? 16 : format == "kv8" ? 8 : 4;
}

// Where one value lies: its byte, and for 4-bit formats which nibble of it.
struct Place {
  int64_t byte;
  int64_t nibble = 0;
};

Place placeOfKey(const std::string &format, int64_t dims, int64_t t, int64_t d) {
  if (format == "kv8")
    return {t / 16 * 16 * dims + d / 4 * 64 + t % 16 * 4 + d % 4};
  if (format == "kv4")
    return {t / 32 * 16 * dims + d / 4 * 64 + t % 16 * 4 + d % 4, t / 16 % 2};
  return {(t / 16 * 16 * dims + d * 16 + t % 16) * bitsOf(format) / 8};
}

Place placeOfValue(const std::string &format, int64_t dims, int64_t t, int64_t d) {
  if (format == "kv8")
    return {t / 64 * 64 * dims + d / 16 * 1024 + t % 64 / 4 * 64 + d % 16 * 4 + t % 4};
  if (format == "kv4")
    return {t / 64 * 32 * dims + d / 32 * 1024 + t % 64 / 4 * 64 + d % 16 * 4 + t % 4, d / 16 % 2};
  return {(t * dims + d) * bitsOf(format) / 8};
}

// The parts of a cache's bytes, in order.
struct Parts {
  int64_t dimsK, dimsV, headBytesK, headBytesV, dataK, scalesK, dataV, scalesV, end;

  explicit Parts(const KvCache &cache) {
    dimsK = roundUp(cache.headDim, 16);
    dimsV = roundUp(cache.headDim, cache.vFormat == "kv4" ? 32 : 16);
    headBytesK = isDerived(cache) ? 0 : cache.capacity * dimsK * bitsOf(cache.kFormat) / 8;
    headBytesV = cache.capacity * dimsV * bitsOf(cache.vFormat) / 8;
    int64_t scaleBytes = cache.heads * cache.capacity * 4;
    dataK = 0;
    scalesK = roundUp(dataK + cache.heads * headBytesK, 64);
    dataV = roundUp(scalesK + (hasScales(cache.kFormat) ? scaleBytes : 0), 64);
    scalesV = roundUp(dataV + cache.heads * headBytesV, 64);
    end = roundUp(scalesV + (hasScales(cache.vFormat) ? scaleBytes : 0), 64);
  }
};

double decode(const uint8_t *data, Place place, const std::string &format, bool isKey) {
  if (format == "f32") {
    float value;
    std::memcpy(&value, data + place.byte, 4);
    return value;
  }
  if (format == "f16") {
    _Float16 value;
    std::memcpy(&value, data + place.byte, 2);
    return double(value);
  }
  if (format == "kv8")
    return isKey ? int(data[place.byte]) - 128 : int(int8_t(data[place.byte]));
  return int(data[place.byte] >> (4 * place.nibble) & 15) - 8;
}

void encode(uint8_t *data, Place place, const std::string &format, bool isKey, float value) {
  if (format == "f32") {
    std::memcpy(data + place.byte, &value, 4);
  } else if (format == "f16") {
    _Float16 half = _Float16(value);
    std::memcpy(data + place.byte, &half, 2);
  } else if (format == "kv8") {
    data[place.byte] = uint8_t(int(value) + (isKey ? 128 : 0));
  } else {
    int code = int(value) + 8;
    data[place.byte] &= place.nibble ? 0x0f : 0xf0;
    data[place.byte] |= code << (4 * place.nibble);
  }
}

// Values of one head's row, as what is stored: themselves, or codes; returns the scale.
float quantize(const std::string &format, Floats &row, float fixedScale) {
  if (!hasScales(format))
    return 1;
  if (fixedScale != 0) {
    float least = format == "kv8" ? -128.0f : -8.0f;
    for (float &x : row)
      x = std::clamp(std::nearbyint(x / fixedScale), least, -least - 1);
    return fixedScale;
  }
  float most = 0;
  for (float x : row)
    most = std::max(most, std::abs(x));
  float scale = most / (format == "kv8" ? 127.0f : 7.0f);
  for (float &x : row)
    x = scale == 0 ? 0 : std::nearbyint(x / scale); // half to even
  return scale;
}

} // namespace

KvCache::KvCache(std::string k, std::string v, int64_t heads, int64_t headDim, int64_t capacity)
    : kFormat(std::move(k)), vFormat(std::move(v)), heads(heads), headDim(headDim),
      capacity(capacity) {
  bytes.resize(Parts(*this).end);
}

void KvCache::append(const Floats &k, const Floats &v, int64_t rows, int64_t position) {
  Parts parts(*this);
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t head = 0; head < heads; ++head) {
      int64_t slot = (position + row) % capacity;
      int64_t first = (row * heads + head) * headDim;
      Floats value(v.begin() + first, v.begin() + first + headDim);
      value.resize(parts.dimsV);
      float vScale = quantize(vFormat, value, valueScale);
      for (int64_t d = 0; d < parts.dimsV; ++d)
        encode(bytes.data() + parts.dataV + head * parts.headBytesV,
               placeOfValue(vFormat, parts.dimsV, slot, d), vFormat, false, value[d]);
      if (hasScales(vFormat))
        std::memcpy(bytes.data() + parts.scalesV + 4 * (head * capacity + slot), &vScale, 4);
      if (isDerived(*this))
        continue;
      Floats key(k.begin() + first, k.begin() + first + headDim);
      key.resize(parts.dimsK);
      float kScale = quantize(kFormat, key, keyScale);
      for (int64_t d = 0; d < parts.dimsK; ++d)
        encode(bytes.data() + parts.dataK + head * parts.headBytesK,
               placeOfKey(kFormat, parts.dimsK, slot, d), kFormat, true, key[d]);
      if (hasScales(kFormat))
        std::memcpy(bytes.data() + parts.scalesK + 4 * (head * capacity + slot), &kScale, 4);
    }
}

double KvCache::key(int64_t head, int64_t slot, int64_t dim) const {
  if (isDerived(*this)) {
    int64_t half = headDim / 2, pair = dim % half;
    double low = value(head, slot, pair) * keyNorm[pair];
    double high = value(head, slot, pair + half) * keyNorm[pair + half];
    double angle = pair < int64_t(frequencies.size()) ? float(slot) * frequencies[pair] : 0;
    return dim < half ? low * std::cos(angle) - high * std::sin(angle)
                      : high * std::cos(angle) + low * std::sin(angle);
  }
  Parts parts(*this);
  double code = decode(bytes.data() + parts.dataK + head * parts.headBytesK,
                       placeOfKey(kFormat, parts.dimsK, slot, dim), kFormat, true);
  float scale = 1;
  if (hasScales(kFormat))
    std::memcpy(&scale, bytes.data() + parts.scalesK + 4 * (head * capacity + slot), 4);
  return code * scale;
}

double KvCache::value(int64_t head, int64_t slot, int64_t dim) const {
  Parts parts(*this);
  double code = decode(bytes.data() + parts.dataV + head * parts.headBytesV,
                       placeOfValue(vFormat, parts.dimsV, slot, dim), vFormat, false);
  float scale = 1;
  if (hasScales(vFormat))
    std::memcpy(&scale, bytes.data() + parts.scalesV + 4 * (head * capacity + slot), 4);
  return code * scale;
}

Doubles attend(const Floats &q, const KvCache &cache, const AttendQuestion &question) {
  int64_t heads = question.heads, dims = cache.headDim;
  int64_t last = question.position + question.rows - 1;
  Doubles out(question.rows * heads * dims);
  for (int64_t row = 0; row < question.rows; ++row)
    for (int64_t head = 0; head < heads; ++head) {
      int64_t p = question.position + row, kvHead = head * cache.heads / heads;
      const float *query = q.data() + (row * heads + head) * dims;
      std::vector<int64_t> slots;
      for (int64_t j = 0; j <= last; ++j) {
        bool isOverwritten = j + cache.capacity <= last;
        bool isOutside = question.window > 0 && j <= p - question.window;
        bool isSameImage = !question.images.empty() && question.images[row].first <= j &&
                           j <= question.images[row].second;
        bool isSeen = question.wholeImages ? (j <= p && !isOutside) || isSameImage
                                           : (j <= p || isSameImage) && !isOutside;
        if (!isOverwritten && isSeen)
          slots.push_back(j % cache.capacity);
      }
      Doubles scores;
      for (int64_t slot : slots) {
        double score = 0;
        for (int64_t d = 0; d < dims; ++d)
          score += query[d] * cache.key(kvHead, slot, d);
        scores.push_back(score);
      }
      double most = *std::max_element(scores.begin(), scores.end()), total = 0;
      for (double &score : scores)
        total += score = std::exp(score - most);
      for (int64_t d = 0; d < dims; ++d) {
        double sum = 0;
        for (size_t i = 0; i < slots.size(); ++i)
          sum += scores[i] * cache.value(kvHead, slots[i], d);
        out[(row * heads + head) * dims + d] = sum / total;
      }
    }
  return out;
}

} // namespace gcompile::reference
