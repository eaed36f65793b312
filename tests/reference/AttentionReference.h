// What norms, rotary positions, KV caches, attention and element-wise operations mean, in double
// precision and without any cleverness: the oracle of the kernel tests. Written from
// docs/decisions/0001 and the operation descriptions; shares no code with what it judges.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace gcompile::reference {

using Floats = std::vector<float>;
using Doubles = std::vector<double>;

// Row-major [rows][columns] throughout.
Doubles rmsNorm(const Floats &x, const Floats &weight /* or empty */, int64_t rows, int64_t columns,
                int64_t groups, double epsilon, double inputScale);
// Cosines, then sines, of float(position + row) · frequency rounded to float.
struct RopeTable {
  Doubles cosines, sines;
};
RopeTable ropeTable(const Floats &frequencies, int64_t rows, int64_t position);
Doubles rope(const Floats &x, const Floats &cosines, const Floats &sines, int64_t rows,
             int64_t columns, int64_t groups);
Doubles geluMul(const Floats &gate, const Floats &up);
Doubles add(const Floats &a, const Floats &b, double scale, double factor);
Doubles softCap(const Floats &x, double cap);

// One layer's cache.
struct KvCache {
  std::string kFormat, vFormat; // f32 f16 kv8 kv4; K also "derived": only V is stored
  int64_t heads, headDim, capacity;
  std::vector<uint8_t> bytes;
  // What derived keys are formed with: k of position p = slot is rope_p(v ⊙ keyNorm), where the
  // first pairs turn by float(p) · frequency rounded to float, and pairs without a frequency do not
  // turn.
  Floats keyNorm, frequencies;
  float keyScale = 0, valueScale = 0; // static scales of formats with codes; 0: a scale a row

  KvCache(std::string k, std::string v, int64_t heads, int64_t headDim, int64_t capacity);

  void append(const Floats &k, const Floats &v, int64_t rows, int64_t position);
  double key(int64_t head, int64_t slot, int64_t dim) const;
  double value(int64_t head, int64_t slot, int64_t dim) const;
};

struct AttendQuestion {
  int64_t rows, position, heads, window; // window 0: none
  // Positions of the image of each row, first and last (text: its own); empty: no images. They see
  // each other, within the window or (`wholeImages`) beyond it.
  std::vector<std::pair<int64_t, int64_t>> images = {};
  bool wholeImages = false;
};
Doubles attend(const Floats &q, const KvCache &cache, const AttendQuestion &question);

} // namespace gcompile::reference
