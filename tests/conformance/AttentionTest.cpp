// append_kv and attend against the double-precision reference: layouts byte by byte, rings before
// and after they wrap, windows, chunks, all formats. All targets must give the same bits.
#include "ir/Format/CacheLayout.h"
#include "tests/conformance/RunKernel.h"
#include "tests/reference/AttentionReference.h"
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <optional>

using namespace gcompile;
using namespace gcompile::conformance;
using gcompile::reference::AttendQuestion;
using gcompile::reference::Doubles;
using gcompile::reference::Floats;
using gcompile::reference::KvCache;

namespace {

const char *const formats[] = {"f32", "f16", "kv8", "kv4"};

std::string rowsType(int64_t rows, int64_t columns) {
  return "memref<" + std::to_string(rows) + "x" + std::to_string(columns) + "xf32>";
}
std::string cacheType(const KvCache &cache) {
  return "memref<" + std::to_string(cache.bytes.size()) + "xi8>";
}
std::string cacheAttributes(const KvCache &cache) {
  return "k_format = \"" + cache.kFormat + "\", v_format = \"" + cache.vFormat +
         "\", head_dim = " + std::to_string(cache.headDim) +
         " : i64, capacity = " + std::to_string(cache.capacity) + " : i64";
}

int64_t appendTasks(const KvCache &cache, int64_t rows) {
  return cache.kFormat == "kv4" ? cache.heads : rows * cache.heads;
}

// Appends with the kernel of `variant`, `maxRows` being the capacity of the activations.
void appendWithKernel(const std::string &variant, KvCache &cache, const Floats &k, const Floats &v,
                      int64_t maxRows, int64_t rows, int64_t position) {
  std::string type = rowsType(maxRows, cache.heads * cache.headDim), bytes = cacheType(cache);
  bool hasKeys = cache.kFormat != "derived";
  KernelRun run;
  run.variant = variant;
  run.arguments = (hasKeys ? "%k: " + type + ", " : "") + "%v: " + type + ", %c: " + bytes;
  // Kernels take scales from memory.
  Floats keyScale = {cache.keyScale}, valueScale = {cache.valueScale};
  std::string scales;
  for (auto [scale, argument, word] :
       {std::tuple(&keyScale, "%ks", "key_scale"), std::tuple(&valueScale, "%vs", "value_scale")})
    if (scale->front() != 0) {
      run.arguments += std::string(", ") + argument + ": memref<1xf32>";
      scales += std::string(word) + " " + argument + " : memref<1xf32> ";
    }
  run.operation = std::string("kernel.append_kv ") + (hasKeys ? "%k, " : "") + "%v into %c " +
                  scales + "rows %rows position %position {" + cacheAttributes(cache) +
                  ", heads = " + std::to_string(cache.heads) +
                  " : i64} : " + (hasKeys ? type + ", " : "") + type + ", " + bytes;
  if (hasKeys)
    run.buffers.push_back(input(k));
  run.buffers.insert(run.buffers.end(), {input(v), output(cache.bytes)});
  for (const Floats *scale : {&keyScale, &valueScale})
    if (scale->front() != 0)
      run.buffers.push_back(input(*scale));
  run.rows = rows;
  run.position = position;
  run.tasks = appendTasks(cache, rows);
  runKernel(run);
}

// Query heads of one task (docs/decisions/0001).
int64_t groupOf(int64_t heads, int64_t kvHeads) {
  int64_t sharing = heads / kvHeads;
  return sharing % 4 == 0 ? 4 : sharing % 2 == 0 ? 2 : 1;
}

// What a derived cache's keys are rotated with, for all slots: as many pairs as the operation wants
// (whole vectors or all), of which those without a frequency turn by 0.
struct KeyRotations {
  int64_t pairs = 0;
  Floats cosines, sines;

  explicit KeyRotations(const KvCache &cache) {
    pairs = (int64_t(cache.frequencies.size()) + 15) / 16 * 16;
    pairs = std::min(pairs, cache.headDim / 2);
    Floats frequencies = cache.frequencies;
    frequencies.resize(pairs, 0.0f);
    reference::RopeTable table = reference::ropeTable(frequencies, cache.capacity, 0);
    cosines.assign(table.cosines.begin(), table.cosines.end());
    sines.assign(table.sines.begin(), table.sines.end());
  }
};

Floats attendWithKernel(const std::string &variant, const KvCache &cache, const Floats &q,
                        const AttendQuestion &question, int64_t maxRows) {
  int64_t columns = question.heads * cache.headDim;
  Floats out(maxRows * columns, -77.0f);
  std::string type = rowsType(maxRows, columns), bytes = cacheType(cache);
  KernelRun run;
  run.variant = variant;
  run.arguments = "%q: " + type + ", %c: " + bytes + ", %o: " + type;
  run.buffers = {input(q), input(cache.bytes), output(out)};
  std::string keys;
  std::optional<KeyRotations> rotations;
  if (cache.kFormat == "derived") {
    rotations.emplace(cache);
    // Slots that were never written have no rotations: what lies there must not matter.
    for (size_t i = (question.position + question.rows) * rotations->pairs;
         i < rotations->cosines.size(); ++i)
      rotations->cosines[i] = rotations->sines[i] = NAN;
    std::string norm = "memref<" + std::to_string(cache.headDim) + "xf32>",
                table = rowsType(cache.capacity, rotations->pairs);
    run.arguments += ", %n: " + norm + ", %cos: " + table + ", %sin: " + table;
    keys = "keys(%n, %cos, %sin : " + norm + ", " + table + ", " + table + ") ";
    run.buffers.insert(run.buffers.end(),
                       {input(cache.keyNorm), input(rotations->cosines), input(rotations->sines)});
  }
  std::vector<int32_t> spans(2 * maxRows, -77);
  if (!question.images.empty()) {
    for (size_t row = 0; row < question.images.size(); ++row) {
      spans[2 * row] = question.images[row].first;
      spans[2 * row + 1] = question.images[row].second;
    }
    std::string pairs = "memref<" + std::to_string(maxRows) + "x2xi32>";
    run.arguments += ", %s: " + pairs;
    run.buffers.push_back(input(spans));
    keys += "spans %s : " + pairs + " ";
  }
  run.operation = "kernel.attend %q, %c " + keys + "outs(%o) rows %rows position %position {" +
                  (question.wholeImages ? "whole_spans, " : "") + cacheAttributes(cache) +
                  ", heads = " + std::to_string(question.heads) +
                  " : i64, kv_heads = " + std::to_string(cache.heads) +
                  " : i64, window = " + std::to_string(question.window) + " : i64} : " + type +
                  ", " + bytes + ", " + type;
  run.rows = question.rows;
  run.position = question.position;
  run.tasks = question.rows * question.heads / groupOf(question.heads, cache.heads);
  runKernel(run);
  return out;
}

// --- append_kv -----------------------------------------------------------------------------------

struct AppendCase {
  int64_t heads, headDim, capacity;
};

class AppendKv : public testing::TestWithParam<AppendCase> {};

TEST_P(AppendKv, writesTheReferencesBytes) {
  auto [heads, headDim, capacity] = GetParam();
  const int64_t maxRows = 37;
  for (const char *kFormat : formats)
    for (const char *vFormat : formats) {
      // Mixed formats matter for the places of the parts alone: one shape will do.
      if (std::string(kFormat) != vFormat && headDim != 16)
        continue;
      KvCache wanted(kFormat, vFormat, heads, headDim, capacity);
      ASSERT_EQ(int64_t(wanted.bytes.size()),
                kvLayout(*parseKvFormat(kFormat), *parseKvFormat(vFormat), heads, headDim, capacity)
                    .bytes);
      std::vector<KvCache> caches(runnableVariants().size(), wanted);
      // Chunks, single rows, and a chunk across the ring's end.
      int64_t position = 0;
      for (int64_t rows : {int64_t(3), int64_t(37), int64_t(1), capacity - 44, int64_t(20)}) {
        while (rows > 0) {
          int64_t now = std::min(rows, maxRows);
          Floats k = randomFloats(maxRows * heads * headDim, position + 1, 4.0f);
          Floats v = randomFloats(maxRows * heads * headDim, position + 2, 0.3f);
          std::fill(k.begin(), k.begin() + headDim, 0.0f); // scale 0
          k[headDim - 1] = 0.0f;
          v[headDim / 2] = -9.0f; // codes far from each other
          wanted.append(k, v, now, position);
          for (size_t i = 0; i < caches.size(); ++i)
            appendWithKernel(runnableVariants()[i], caches[i], k, v, maxRows, now, position);
          position += now;
          rows -= now;
        }
      }
      for (size_t i = 0; i < caches.size(); ++i)
        for (size_t byte = 0; byte < wanted.bytes.size(); ++byte)
          ASSERT_EQ(int(caches[i].bytes[byte]), int(wanted.bytes[byte]))
              << runnableVariants()[i] << " K " << kFormat << " V " << vFormat << " byte " << byte
              << " of " << wanted.bytes.size();
    }
}

INSTANTIATE_TEST_SUITE_P(Shapes, AppendKv,
                         testing::Values(AppendCase{1, 16, 64}, AppendCase{2, 32, 64},
                                         AppendCase{2, 40, 128}, AppendCase{1, 256, 64},
                                         AppendCase{3, 10, 64}));

TEST(AppendKv, writesValuesAloneWhereKeysAreDerived) {
  const int64_t rows = 5;
  for (const char *format : formats)
    for (int64_t headDim : {16, 40, 64}) {
      KvCache wanted("derived", format, 2, headDim, 64);
      if (headDim == 64) // no padding
        EXPECT_EQ(2 * wanted.bytes.size(), KvCache(format, format, 2, headDim, 64).bytes.size());
      ASSERT_EQ(int64_t(wanted.bytes.size()),
                cacheLayout("derived", format, 2, headDim, 64)->bytes);
      KvCache empty = wanted;
      Floats v = randomFloats(rows * 2 * headDim, 3, 0.3f);
      wanted.append({}, v, rows, 17);
      for (const std::string &variant : runnableVariants()) {
        KvCache got = empty;
        appendWithKernel(variant, got, {}, v, rows, rows, 17);
        EXPECT_EQ(got.bytes, wanted.bytes) << variant << " " << format << " D " << headDim;
      }
    }
}

TEST(AppendKv, takesStaticScales) {
  const int64_t rows = 5, headDim = 40;
  for (const char *kFormat : {"derived", "f16", "kv8", "kv4"})
    for (const char *vFormat : {"kv8", "kv4"}) {
      KvCache wanted(kFormat, vFormat, 2, headDim, 64);
      // Small enough that values of either sign are cut off, at −128 and 127, or −8 and 7.
      wanted.keyScale = kFormat[0] == 'k' ? 3.0f / (kFormat[2] == '8' ? 127 : 7) : 0;
      wanted.valueScale = 0.25f / (vFormat[2] == '8' ? 127 : 7);
      KvCache empty = wanted;
      bool hasKeys = std::string(kFormat) != "derived";
      Floats k = randomFloats(rows * 2 * headDim, 5, 4.0f), v = randomFloats(k.size(), 6, 0.3f);
      k[0] = v[0] = -100; // the lowest code
      k[1] = v[1] = 100;
      std::fill(v.begin() + headDim, v.begin() + 2 * headDim, 0.0f); // zeros keep the scale
      if (!hasKeys)
        k.clear();
      wanted.append(k, v, rows, 62); // across the end of the ring
      double lowest = vFormat[2] == '8' ? -128 : -8;
      EXPECT_NEAR(wanted.value(0, 62, 0), lowest * wanted.valueScale, 1e-6);
      for (const std::string &variant : runnableVariants()) {
        KvCache got = empty;
        appendWithKernel(variant, got, k, v, rows, rows, 62);
        EXPECT_EQ(got.bytes, wanted.bytes) << variant << " K " << kFormat << " V " << vFormat;
      }
    }
}

TEST(AppendKv, halvesAreRoundedToEven) {
  // Ties of the code (scale 1) and of f16 (between 1 and 1 + 2⁻¹⁰).
  Floats row = {127.0f,
                0.5f,
                1.5f,
                2.5f,
                -0.5f,
                -1.5f,
                1.0f + std::ldexp(1.0f, -11),
                1.0f + 3 * std::ldexp(1.0f, -11)};
  for (const std::string &variant : runnableVariants()) {
    KvCache codes("kv8", "f16", 1, 8, 64);
    appendWithKernel(variant, codes, row, row, 1, 1, 5);
    const double wantedCodes[] = {127, 0, 2, 2, 0, -2, 1, 1};
    const double wantedHalves[] = {127, 0.5, 1.5, 2.5, -0.5, -1.5, 1, 1 + std::ldexp(1.0, -9)};
    for (int64_t d = 0; d < 8; ++d) {
      EXPECT_EQ(codes.key(0, 5, d), wantedCodes[d]) << variant << " " << d;
      EXPECT_EQ(codes.value(0, 5, d), wantedHalves[d]) << variant << " " << d;
    }
  }
}

// --- attend --------------------------------------------------------------------------------------

struct AttendCase {
  const char *kFormat, *vFormat;
  int64_t heads, kvHeads, headDim, window, capacity;
  int64_t position, rows; // of the question; the cache was filled by chunks of `rows` before
};

std::ostream &operator<<(std::ostream &out, const AttendCase &c) {
  return out << "K " << c.kFormat << " V " << c.vFormat << ", " << c.heads << " heads on "
             << c.kvHeads << ", D " << c.headDim << ", window " << c.window << ", capacity "
             << c.capacity << ", position " << c.position << ", rows " << c.rows;
}

// Keys and queries whose scores spread over some units; values up to 1.
Floats keyRows(const AttendCase &c, int64_t rows, int64_t position) {
  return randomFloats(rows * c.kvHeads * c.headDim, 1000 + position,
                      3.0f / std::sqrt(float(c.headDim)));
}
Floats valueRows(const AttendCase &c, int64_t rows, int64_t position) {
  return randomFloats(rows * c.kvHeads * c.headDim, 500000 + position, 1.0f);
}

// The cache as it is when `question` is asked.
KvCache filledCache(const AttendCase &c) {
  KvCache cache(c.kFormat, c.vFormat, c.kvHeads, c.headDim, c.capacity);
  if (cache.kFormat == "derived") {
    // A quarter of the pairs turns, as in Gemma 4's global layers; scores of some units.
    cache.keyNorm = randomFloats(c.headDim, 77, 3.0f / std::sqrt(float(c.headDim)));
    for (int64_t pair = 0; pair < std::max<int64_t>(c.headDim / 8, 1); ++pair)
      cache.frequencies.push_back(float(std::pow(1e6, -2.0 * pair / double(c.headDim))));
  }
  int64_t last = c.position + c.rows - 1;
  for (int64_t position = std::max<int64_t>(0, last - c.capacity + 1); position <= last; ++position)
    cache.append(keyRows(c, 1, position), valueRows(c, 1, position), 1, position);
  return cache;
}

AttendQuestion questionOf(const AttendCase &c) { return {c.rows, c.position, c.heads, c.window}; }

void expectReference(const AttendCase &c, const AttendQuestion &question) {
  KvCache cache = filledCache(c);
  Floats q = randomFloats(c.rows * c.heads * c.headDim, 9, 4.0f);
  Doubles wanted = reference::attend(q, cache, question);
  Floats first;
  for (const std::string &variant : runnableVariants()) {
    Floats got = attendWithKernel(variant, cache, q, question, c.rows);
    if (first.empty())
      first = got;
    EXPECT_TRUE(sameBits(first, got)) << variant << " differs from " << runnableVariants().front();
    // Values are at most 1; the error comes from scores, which are sums of headDim products.
    double worst = 0;
    for (size_t i = 0; i < got.size(); ++i)
      worst = std::max(worst, std::isnan(got[i]) ? INFINITY : std::abs(got[i] - wanted[i]));
    EXPECT_LE(worst, 4e-6) << variant;
  }
}

class Attend : public testing::TestWithParam<AttendCase> {};

TEST_P(Attend, matchesReference) { expectReference(GetParam(), questionOf(GetParam())); }

// Images (docs/decisions/0016): rows 2 to 10 and 12 of the call belong to two, and the last rows to
// a third, with one row of text between them; within the window and beyond it.
class AttendImages : public testing::TestWithParam<AttendCase> {};

TEST_P(AttendImages, matchesReference) {
  const AttendCase &c = GetParam();
  AttendQuestion question = questionOf(c);
  for (int64_t row = 0; row < c.rows; ++row)
    question.images.push_back({c.position + row, c.position + row});
  for (auto [first, last] : {std::pair<int64_t, int64_t>(2, 10), {12, 12}, {14, c.rows - 1}})
    for (int64_t row = first; row <= std::min(last, c.rows - 1); ++row)
      question.images[row] = {c.position + first, c.position + std::min(last, c.rows - 1)};
  for (bool whole : {false, true}) {
    question.wholeImages = whole;
    expectReference(c, question);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Attend, AttendImages,
    testing::Values(AttendCase{"f32", "f32", 2, 1, 16, 0, 64, 0, 20},
                    AttendCase{"f32", "f32", 2, 1, 16, 4, 64, 0, 20},   // images beyond the window
                    AttendCase{"kv8", "kv4", 4, 1, 32, 16, 64, 50, 30}, // around the wrap
                    AttendCase{"f16", "kv8", 4, 2, 32, 48, 128, 1000, 70},
                    AttendCase{"f32", "f32", 1, 1, 16, 8, 64, 120, 64}, // a ring of one call
                    AttendCase{"derived", "kv8", 4, 1, 32, 0, 128, 90, 20}));

std::vector<AttendCase> formatCases() {
  std::vector<AttendCase> cases;
  for (const char *k : formats)
    for (const char *v : formats) {
      cases.push_back({k, v, 4, 1, 32, 0, 128, 99, 1});
      cases.push_back({k, v, 4, 2, 16, 16, 64, 130, 3});
    }
  return cases;
}
INSTANTIATE_TEST_SUITE_P(Formats, Attend, testing::ValuesIn(formatCases()));

INSTANTIATE_TEST_SUITE_P(
    Shapes, Attend,
    testing::Values(AttendCase{"f32", "f32", 8, 1, 256, 512, 1024, 700, 1}, // E2B
                    AttendCase{"kv8", "kv8", 8, 1, 256, 512, 1024, 1500, 2},
                    AttendCase{"kv8", "kv8", 8, 1, 512, 0, 512, 400, 1},
                    AttendCase{"kv4", "kv4", 8, 1, 512, 0, 256, 200, 1},
                    AttendCase{"f16", "f16", 2, 2, 64, 0, 128, 70, 2},   // no sharing
                    AttendCase{"kv8", "kv8", 3, 1, 32, 0, 128, 70, 1},   // groups of 1
                    AttendCase{"kv4", "kv4", 12, 2, 128, 0, 128, 70, 1}, // groups of 2
                    AttendCase{"kv8", "kv4", 4, 1, 24, 0, 128, 70, 1},   // padded dims
                    AttendCase{"kv4", "kv4", 2, 1, 40, 0, 128, 70, 1},
                    AttendCase{"f32", "f32", 2, 1, 10, 0, 64, 20, 1}));

INSTANTIATE_TEST_SUITE_P(Rings, Attend,
                         testing::Values(AttendCase{"f32", "f32", 1, 1, 16, 0, 64, 0, 1}, // one
                                         AttendCase{"f32", "f32", 1, 1, 16, 0, 64, 63, 1},
                                         AttendCase{"f32", "f32", 1, 1, 16, 0, 64, 0, 64},
                                         // The window's edge: 15, 16, 17 positions seen.
                                         AttendCase{"f32", "f32", 1, 1, 16, 16, 64, 14, 1},
                                         AttendCase{"f32", "f32", 1, 1, 16, 16, 64, 15, 1},
                                         AttendCase{"f32", "f32", 1, 1, 16, 16, 64, 16, 1},
                                         AttendCase{"f32", "f32", 1, 1, 16, 1, 64, 70, 1},
                                         // Around the wrap, with chunks.
                                         AttendCase{"f32", "f32", 1, 1, 16, 30, 64, 62, 3},
                                         AttendCase{"f32", "f32", 1, 1, 16, 48, 64, 100, 17},
                                         AttendCase{"f32", "f32", 1, 1, 16, 100, 128, 1000, 29},
                                         // First and last slot of the interval in one block.
                                         AttendCase{"f32", "f32", 1, 1, 16, 120, 128, 160, 2},
                                         // A window that the ring is too short for.
                                         AttendCase{"f32", "f32", 1, 1, 16, 100, 64, 150, 1}));

// Keys formed from values: every format and group size, whole and cut vectors of pairs, first and
// last slots, chunks.
INSTANTIATE_TEST_SUITE_P(
    Derived, Attend,
    testing::Values(AttendCase{"derived", "f32", 4, 1, 32, 0, 128, 99, 1},
                    AttendCase{"derived", "f16", 4, 1, 32, 0, 128, 99, 1},
                    AttendCase{"derived", "kv8", 4, 1, 32, 0, 128, 99, 1},
                    AttendCase{"derived", "kv4", 4, 1, 32, 0, 128, 99, 1},
                    AttendCase{"derived", "f32", 16, 1, 512, 0, 256, 255, 1}, // 12B
                    AttendCase{"derived", "f16", 8, 1, 512, 0, 256, 200, 2},
                    AttendCase{"derived", "kv8", 16, 2, 512, 0, 192, 150, 2}, // 26B-A4B
                    AttendCase{"derived", "kv4", 32, 4, 512, 0, 128, 64, 1},  // 31B
                    AttendCase{"derived", "f32", 2, 2, 64, 0, 128, 70, 2},    // no sharing
                    AttendCase{"derived", "kv8", 3, 1, 32, 0, 128, 70, 1},    // groups of 1
                    AttendCase{"derived", "kv4", 12, 2, 128, 0, 128, 70, 1},  // groups of 2
                    AttendCase{"derived", "f32", 4, 2, 16, 0, 64, 50, 3},     // half a vector
                    AttendCase{"derived", "f16", 4, 2, 40, 0, 64, 50, 3},
                    AttendCase{"derived", "kv8", 4, 1, 24, 0, 64, 50, 1},
                    AttendCase{"derived", "kv4", 4, 1, 40, 0, 64, 50, 1},
                    AttendCase{"derived", "f32", 1, 1, 10, 0, 64, 0, 64},
                    AttendCase{"derived", "kv8", 4, 1, 64, 0, 64, 0, 1}, // one position
                    AttendCase{"derived", "f32", 4, 1, 64, 0, 128, 0, 128}));

TEST(Attend, derivedKeysAreTheKeysThatCachesHold) {
  // k = rope(v ⊙ norm) stored, and the same formed on the way: the f32 results differ by the order
  // of sums alone. (With kv8 and kv4 they need not agree: V's codes are not K's.)
  AttendCase c{"derived", "f32", 4, 1, 64, 0, 128, 99, 1};
  KvCache derived = filledCache(c), both("f32", "f32", 1, 64, 128);
  for (int64_t slot = 0; slot <= c.position; ++slot) {
    Floats k, v;
    for (int64_t d = 0; d < c.headDim; ++d) {
      k.push_back(float(derived.key(0, slot, d)));
      v.push_back(float(derived.value(0, slot, d)));
    }
    both.append(k, v, 1, slot);
  }
  Floats q = randomFloats(c.heads * c.headDim, 21, 4.0f);
  for (const std::string &variant : runnableVariants()) {
    Floats one = attendWithKernel(variant, derived, q, questionOf(c), 1),
           other = attendWithKernel(variant, both, q, questionOf(c), 1);
    for (size_t i = 0; i < one.size(); ++i)
      ASSERT_NEAR(one[i], other[i], 4e-6) << variant << " " << i;
  }
}

TEST(Attend, rowsOfAChunkEqualSingleRows) {
  for (bool derived : {false, true})
    for (const char *format : formats) {
      if (derived && std::string(format) != "f32" && std::string(format) != "kv4")
        continue;
      AttendCase chunk{derived ? "derived" : format, format, 4, 1, 32, derived ? 0 : 40, 128,
                       derived ? 100 : 120,          24};
      Floats q = randomFloats(chunk.rows * chunk.heads * chunk.headDim, 11, 4.0f);
      for (const std::string &variant : runnableVariants()) {
        Floats together =
            attendWithKernel(variant, filledCache(chunk), q, questionOf(chunk), chunk.rows);
        int64_t columns = chunk.heads * chunk.headDim;
        for (int64_t row = 0; row < chunk.rows; row += 5) {
          AttendCase single = chunk;
          single.position += row;
          single.rows = 1;
          Floats query(q.begin() + row * columns, q.begin() + (row + 1) * columns);
          Floats alone =
              attendWithKernel(variant, filledCache(single), query, questionOf(single), 1);
          Floats wanted(together.begin() + row * columns, together.begin() + (row + 1) * columns);
          EXPECT_TRUE(sameBits(wanted, alone)) << variant << " " << format << " row " << row;
        }
      }
    }
}

TEST(Attend, maskedSlotsHaveNoEffect) {
  std::vector<std::pair<const char *, const char *>> pairs = {{"derived", "f32"},
                                                              {"derived", "kv8"}};
  for (const char *format : formats)
    pairs.push_back({format, format});
  for (auto [keys, format] : pairs) {
    // Positions 0…20 are seen; slots of 21… hold zeros in one cache and large values in the other.
    AttendCase c{keys, format, 2, 1, 16, 0, 64, 20, 1};
    KvCache clean = filledCache(c), dirty = clean;
    Floats large(c.headDim);
    for (int64_t d = 0; d < c.headDim; ++d)
      large[d] = d % 2 ? 6e4f : -6e4f;
    for (int64_t slot = 21; slot < 64; ++slot)
      dirty.append(large, large, 1, slot);
    Floats q = randomFloats(c.heads * c.headDim, 12, 4.0f);
    for (const std::string &variant : runnableVariants())
      EXPECT_TRUE(sameBits(attendWithKernel(variant, clean, q, questionOf(c), 1),
                           attendWithKernel(variant, dirty, q, questionOf(c), 1)))
          << variant << " K " << keys << " V " << format;
  }
}

TEST(Attend, largeScoresStayFinite) {
  // One key is far ahead of the others: its value is the result.
  AttendCase c{"f32", "f32", 1, 1, 16, 0, 128, 99, 1};
  KvCache cache = filledCache(c);
  Floats key(16, 1e4f), value(16), q(16, 1e4f);
  for (int64_t d = 0; d < 16; ++d)
    value[d] = float(d);
  cache.append(key, value, 1, 37);
  for (const std::string &variant : runnableVariants())
    EXPECT_EQ(attendWithKernel(variant, cache, q, questionOf(c), 1), value) << variant;
}

TEST(Attend, inactiveRowsAreNotWritten) {
  AttendCase c{"f32", "f32", 2, 1, 16, 0, 64, 5, 2};
  Floats q = randomFloats(4 * c.heads * c.headDim, 13, 1.0f);
  for (const std::string &variant : runnableVariants()) {
    Floats out = attendWithKernel(variant, filledCache(c), q, questionOf(c), 4);
    EXPECT_NE(out[2 * 32 - 1], -77.0f);
    for (size_t i = 2 * 32; i < out.size(); ++i)
      ASSERT_EQ(out[i], -77.0f) << variant << " " << i;
  }
}

} // namespace
