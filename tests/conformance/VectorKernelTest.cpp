// Norms, rotary positions and element-wise kernels against the double-precision reference, on every
// target that this machine can run; all targets must give the same bits.
#include "tests/conformance/RunKernel.h"
#include "tests/reference/AttentionReference.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

using namespace gcompile;
using namespace gcompile::conformance;
using gcompile::reference::Doubles;
using gcompile::reference::Floats;

namespace {

std::string rowsType(int64_t rows, int64_t columns) {
  return "memref<" + std::to_string(rows) + "x" + std::to_string(columns) + "xf32>";
}
std::string vectorType(int64_t n) { return "memref<" + std::to_string(n) + "xf32>"; }

// |got − wanted| ≤ relative · |wanted| + absolute, element by element.
void expectNear(const Floats &got, const Doubles &wanted, double relative, double absolute,
                const std::string &what) {
  ASSERT_EQ(got.size(), wanted.size()) << what;
  double worst = 0;
  size_t worstAt = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    double bound = relative * std::abs(wanted[i]) + absolute;
    double error = std::abs(got[i] - wanted[i]);
    double ratio = error == 0 ? 0 : error / bound;
    if (!(ratio <= worst)) {
      worst = ratio;
      worstAt = i;
    }
  }
  EXPECT_LE(worst, 1) << what << ": element " << worstAt << " is " << got[worstAt] << ", wanted "
                      << wanted[worstAt];
}

// Runs `kernel` on every target with `out` as the buffer to compare; returns the common result.
template <typename MakeRun>
Floats runEverywhere(MakeRun makeRun, size_t outSize) {
  Floats first;
  for (const std::string &variant : runnableVariants()) {
    Floats out(outSize, -77.0f);
    KernelRun run = makeRun(out);
    run.variant = variant;
    runKernel(run);
    if (first.empty())
      first = out;
    EXPECT_TRUE(sameBits(first, out))
        << variant << " gives other bits than " << runnableVariants().front();
  }
  return first;
}

struct NormShape {
  int64_t rows, columns, groups;
  float inputScale;
  bool hasWeight;
};

class RmsNorm : public testing::TestWithParam<NormShape> {};

TEST_P(RmsNorm, matchesReference) {
  auto [rows, columns, groups, inputScale, hasWeight] = GetParam();
  int64_t piece = columns / groups;
  Floats x = randomFloats(rows * columns, 1, 3.0f);
  // A piece of zeros stays zero.
  std::fill(x.begin(), x.begin() + piece, 0.0f);
  Floats weight = hasWeight ? randomFloats(piece, 2, 1.5f) : Floats();
  std::string type = rowsType(rows, columns), weightType = vectorType(piece);
  Floats got = runEverywhere(
      [&](Floats &out) {
        KernelRun run;
        run.arguments = "%x: " + type + (hasWeight ? ", %w: " + weightType : "") + ", %o: " + type;
        run.operation =
            "kernel.rms_norm %x " + (hasWeight ? "weight %w : " + weightType : std::string()) +
            " outs(%o) rows %rows {groups = " + std::to_string(groups) +
            " : i64, epsilon = 1.0e-6 : f32, input_scale = " + std::to_string(inputScale) +
            " : f32} : " + type + ", " + type;
        run.buffers = {input(x)};
        if (hasWeight)
          run.buffers.push_back(input(weight));
        run.buffers.push_back(output(out));
        run.rows = rows;
        run.tasks = rows;
        return run;
      },
      x.size());
  Doubles wanted = reference::rmsNorm(x, weight, rows, columns, groups, 1e-6f, inputScale);
  expectNear(got, wanted, 1e-6, 0, "rms_norm");
}

INSTANTIATE_TEST_SUITE_P(Shapes, RmsNorm,
                         testing::Values(NormShape{1, 1536, 1, 1, true},
                                         NormShape{2, 2048, 8, 1, true}, // E2B's query heads
                                         NormShape{3, 64, 4, 1, true},
                                         NormShape{2, 64, 8, 1, false},
                                         NormShape{2, 24, 3, 0.5f, true},
                                         NormShape{2, 579, 3, 1.25f, true},
                                         NormShape{4, 5, 1, 1, false}));

TEST(RmsNormTasks, onlyTheirRowsAreWritten) {
  Floats x = randomFloats(4 * 32, 3, 1.0f);
  std::string type = rowsType(4, 32);
  Floats out = runEverywhere(
      [&](Floats &out) {
        KernelRun run;
        run.arguments = "%x: " + type + ", %o: " + type;
        run.operation = "kernel.rms_norm %x outs(%o) rows %rows {groups = 1 : i64, epsilon = 0.0 : "
                        "f32, input_scale = 1.0 : f32} : " +
                        type + ", " + type;
        run.buffers = {input(x), output(out)};
        run.rows = 4;
        run.firstTask = 1;
        run.tasks = 3;
        return run;
      },
      x.size());
  for (int64_t i : {0, 31, 96, 127})
    EXPECT_EQ(out[i], -77.0f) << i;
  for (int64_t i : {32, 95})
    EXPECT_NE(out[i], -77.0f) << i;
}

class RopeTable : public testing::TestWithParam<std::pair<int64_t, int64_t>> {};

TEST_P(RopeTable, matchesReferenceAtAllPositions) {
  auto [half, position] = GetParam();
  const int64_t rows = 3;
  Floats frequencies;
  for (int64_t i = 0; i < half; ++i)
    frequencies.push_back(float(std::pow(i % 2 ? 1e4 : 1e6, -double(i) / half)));
  frequencies.back() = 0; // a pair that proportional rope does not turn
  std::string table = rowsType(rows, half);
  // Both destinations in one buffer of test data: cosines, then sines.
  Floats cosines, sines;
  for (const std::string &variant : runnableVariants()) {
    Floats c(rows * half, -77.0f), s(rows * half, -77.0f);
    KernelRun run;
    run.variant = variant;
    run.arguments = "%f: " + vectorType(half) + ", %c: " + table + ", %s: " + table;
    run.operation =
        "kernel.rope_table %f outs(%c, %s) rows %rows position %position : " + vectorType(half) +
        ", " + table + ", " + table;
    run.buffers = {input(frequencies), output(c), output(s)};
    run.rows = rows;
    run.position = position;
    run.tasks = rows;
    runKernel(run);
    if (cosines.empty()) {
      cosines = c;
      sines = s;
    }
    EXPECT_TRUE(sameBits(cosines, c) && sameBits(sines, s)) << variant;
  }
  reference::RopeTable wanted = reference::ropeTable(frequencies, rows, position);
  expectNear(cosines, wanted.cosines, 0, 6e-8, "cosines");
  expectNear(sines, wanted.sines, 0, 6e-8, "sines");
}

INSTANTIATE_TEST_SUITE_P(Positions, RopeTable,
                         testing::Values(std::pair(8, 0), std::pair(4, 77), std::pair(16, 511),
                                         std::pair(128, 32766), std::pair(256, 262141),
                                         std::pair(20, 262143)));

class Rope : public testing::TestWithParam<std::array<int64_t, 3>> {};

TEST_P(Rope, matchesReference) {
  auto [rows, groups, size] = GetParam();
  int64_t columns = groups * size, half = size / 2;
  Floats x = randomFloats(rows * columns, 4, 2.0f);
  Floats angles = randomFloats(rows * half, 5, 3.0f), cosines, sines;
  for (float angle : angles) {
    cosines.push_back(std::cos(angle));
    sines.push_back(std::sin(angle));
  }
  std::string type = rowsType(rows, columns), table = rowsType(rows, half);
  Floats got = runEverywhere(
      [&](Floats &out) {
        KernelRun run;
        run.arguments = "%x: " + type + ", %c: " + table + ", %s: " + table + ", %o: " + type;
        run.operation =
            "kernel.rope %x, %c, %s outs(%o) rows %rows {groups = " + std::to_string(groups) +
            " : i64} : " + type + ", " + table + ", " + table + ", " + type;
        run.buffers = {input(x), input(cosines), input(sines), output(out)};
        run.rows = rows;
        run.tasks = rows;
        return run;
      },
      x.size());
  // Two roundings of values up to 2.
  expectNear(got, reference::rope(x, cosines, sines, rows, columns, groups), 1.2e-7, 2.4e-7,
             "rope");
}

INSTANTIATE_TEST_SUITE_P(Shapes, Rope,
                         testing::Values(std::array<int64_t, 3>{1, 8, 256},
                                         std::array<int64_t, 3>{2, 1, 512},
                                         std::array<int64_t, 3>{3, 4, 16},
                                         std::array<int64_t, 3>{2, 2, 8},
                                         std::array<int64_t, 3>{2, 2, 72}));

// Row widths: one piece, with tails, and several pieces.
class Elementwise : public testing::TestWithParam<int64_t> {
protected:
  int64_t rows = 2, columns = GetParam();
  std::string type = rowsType(rows, columns);
  int64_t tasks = rows * ((columns + 2047) / 2048);

  KernelRun makeRun(std::string operation, std::vector<test::Buffer> buffers,
                    std::string arguments) {
    KernelRun run;
    run.arguments = std::move(arguments);
    run.operation = std::move(operation);
    run.buffers = std::move(buffers);
    run.rows = rows;
    run.tasks = tasks;
    return run;
  }

  // Numbers of all sizes: random ones, and the ends of the range.
  Floats numbers(float scale) {
    Floats x = randomFloats(rows * columns, 6, scale);
    const float special[] = {0.0f, -0.0f, 1e-40f, -1e-30f, 1e-8f, 88.0f, -88.0f, 1e4f, -1e4f};
    for (size_t i = 0; i < std::size(special) && i < x.size(); ++i)
      x[x.size() - 1 - i] = special[i];
    return x;
  }
};

TEST_P(Elementwise, geluMul) {
  for (float scale : {1.0f, 8.0f, 60.0f}) {
    Floats gate = numbers(scale), up = randomFloats(gate.size(), 7, 2.0f);
    Floats got = runEverywhere(
        [&](Floats &out) {
          return makeRun("kernel.gelu_mul %g, %u outs(%o) rows %rows : " + type + ", " + type +
                             ", " + type,
                         {input(gate), input(up), output(out)},
                         "%g: " + type + ", %u: " + type + ", %o: " + type);
        },
        gate.size());
    Doubles wanted = reference::geluMul(gate, up);
    for (size_t i = 0; i < got.size(); ++i) {
      // Where the factor of x is below e^−14, its relative error grows with the exponent: bounded
      // there by a millionth of a millionth of |x · up|.
      double bound =
          1.5e-6 * std::abs(wanted[i]) + 1e-12 * std::abs(double(gate[i]) * up[i]) + 1e-44;
      ASSERT_LE(std::abs(got[i] - wanted[i]), bound)
          << "gelu_mul of " << gate[i] << " is " << got[i] << ", wanted " << wanted[i];
    }
  }
}

TEST_P(Elementwise, softCap) {
  for (float scale : {0.01f, 20.0f, 500.0f}) {
    Floats x = numbers(scale);
    Floats got = runEverywhere(
        [&](Floats &out) {
          return makeRun("kernel.soft_cap %x outs(%o) rows %rows {cap = 30.0 : f32} : " + type +
                             ", " + type,
                         {input(x), output(out)}, "%x: " + type + ", %o: " + type);
        },
        x.size());
    expectNear(got, reference::softCap(x, 30), 6e-7, 1e-40, "soft_cap");
  }
}

TEST_P(Elementwise, add) {
  Floats a = numbers(5), b = randomFloats(a.size(), 8, 5.0f), factor = {0.37f};
  for (bool hasFactor : {false, true}) {
    Floats got = runEverywhere(
        [&](Floats &out) {
          std::string arguments = "%a: " + type + ", %b: " + type;
          std::vector<test::Buffer> buffers = {input(a), input(b)};
          if (hasFactor) {
            arguments += ", %f: memref<1xf32>";
            buffers.push_back(input(factor));
          }
          buffers.push_back(output(out));
          return makeRun("kernel.add %a, %b " +
                             std::string(hasFactor ? "factor %f : memref<1xf32> " : "") +
                             "outs(%o) rows %rows {scale = 0.70710678 : f32} : " + type + ", " +
                             type + ", " + type,
                         buffers, arguments + ", %o: " + type);
        },
        a.size());
    Doubles wanted = reference::add(a, b, 0.70710678f, hasFactor ? factor[0] : 1.0);
    expectNear(got, wanted, hasFactor ? 1.8e-7 : 1.2e-7, 1e-44, "add");
  }
}

INSTANTIATE_TEST_SUITE_P(Columns, Elementwise, testing::Values(8, 16, 43, 2048, 4104, 6144));

} // namespace
