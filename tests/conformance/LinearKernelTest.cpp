// Matrix products, quantization and gathers on every CPU variant, against tests/reference. Results
// whose rounding the contract fixes must agree bit for bit, and so must variants with each other.
#include "ir/Format/Pack.h"
#include "tests/conformance/KernelHarness.h"
#include "tests/reference/LinearReference.h"

#include <cstring>
#include <random>

namespace gcompile::test {
namespace {

std::vector<float> randomFloats(size_t count, unsigned seed, float scale = 1) {
  std::mt19937 generator(seed);
  std::vector<float> values(count);
  for (float &value : values)
    value = scale * ((int)(generator() % 20001) - 10000) / 10000.0f;
  return values;
}

std::vector<uint8_t> randomWeights(WeightFormat format, int64_t n, int64_t k, unsigned seed) {
  std::vector<uint8_t> blob(packedBytes(format, n, k));
  std::vector<float> rows = randomFloats(n * k, seed, 0.05f);
  packMatrix(format, n, k, rows.data(), blob);
  return blob;
}

std::string memref(std::initializer_list<int64_t> shape, const char *element) {
  std::string text = "memref<";
  for (int64_t size : shape)
    text += std::to_string(size) + "x";
  return text + element + ">";
}

std::string quoted(std::string_view text) { return "\"" + std::string(text) + "\""; }

template <class T>
::testing::AssertionResult sameBits(const std::vector<T> &actual, const std::vector<T> &expected) {
  if (actual.size() != expected.size())
    return ::testing::AssertionFailure() << "sizes differ";
  for (size_t i = 0; i < actual.size(); ++i)
    if (memcmp(&actual[i], &expected[i], sizeof(T)) != 0)
      return ::testing::AssertionFailure()
             << "element " << i << ": " << +actual[i] << ", expected " << +expected[i];
  return ::testing::AssertionSuccess();
}

struct Shape {
  int64_t n, k, capacity;
};
constexpr Shape matmulShapes[] = {
    {130, 197, 9}, {64, 256, 1}, {7, 36, 3}, {192, 64, 13}, {70, 704, 2}};

using VariantAndFormat = std::tuple<std::string, WeightFormat>;

std::string parameterName(const testing::TestParamInfo<VariantAndFormat> &info) {
  std::string text = std::get<0>(info.param) + "_" + std::string(name(std::get<1>(info.param)));
  std::replace(text.begin(), text.end(), '-', '_');
  return text;
}

std::vector<WeightFormat> allFormats() {
  std::vector<WeightFormat> formats;
  for (const WeightFormatInfo &format : weightFormats())
    formats.push_back(format.format);
  return formats;
}

class LinearKernels : public testing::TestWithParam<VariantAndFormat> {
protected:
  const std::string &variant() const { return std::get<0>(GetParam()); }
  WeightFormat format() const { return std::get<1>(GetParam()); }
  std::unique_ptr<CompiledKernel> compile(const std::string &source) {
    auto kernel = CompiledKernel::compile(source, "kernel", variant());
    if (!kernel) {
      ADD_FAILURE() << toString(kernel.takeError()) << "\n" << source;
      return nullptr;
    }
    return std::move(*kernel);
  }
  void run(const CompiledKernel &kernel, std::vector<Buffer> buffers,
           std::vector<int64_t> integers) {
    if (llvm::Error error = kernel.run(buffers, integers))
      ADD_FAILURE() << toString(std::move(error));
  }
  // Products of 1 to all rows, each in calls over the panels between `cuts`. Rows beyond the
  // active ones stay as they were.
  void checkProducts(const CompiledKernel &kernel, Shape shape, std::vector<Buffer> inputs,
                     std::vector<int64_t> cuts, const std::vector<float> &expected) {
    std::vector<std::vector<float>> outs(shape.capacity,
                                         std::vector<float>(shape.capacity * shape.n, -7.0f));
    std::vector<Calls> all;
    for (int64_t rows = 1; rows <= shape.capacity; ++rows) {
      Calls calls{inputs, {}};
      calls.buffers.push_back(buffer(outs[rows - 1]));
      for (size_t i = 0; i + 1 < cuts.size(); ++i)
        calls.integers.push_back({rows, cuts[i], cuts[i + 1]});
      all.push_back(std::move(calls));
    }
    if (llvm::Error error = kernel.run(all))
      ADD_FAILURE() << toString(std::move(error));
    for (int64_t rows = 1; rows <= shape.capacity; ++rows) {
      std::vector<float> wanted = expected;
      std::fill(wanted.begin() + rows * shape.n, wanted.end(), -7.0f);
      EXPECT_TRUE(sameBits(outs[rows - 1], wanted))
          << "rows " << rows << " of " << shape.n << "x" << shape.k;
    }
  }
  // Static: codes −128 among them, and outputs rounded to the codes of a scale (0011).
  enum class Values { Random, Extreme, Static };
  void checkInteger(Shape shape, Values which);
  void checkFloat(Shape shape, Values which);
};

// Weights of the largest and smallest codes that kept grids may hold (−128 with eight bits), and
// scales of either sign: the largest sums there are, with activations to match.
std::vector<uint8_t> extremeWeights(WeightFormat format, int64_t n, int64_t k) {
  const WeightFormatInfo &facts = info(format);
  GridRuns runs = gridRuns(format);
  auto countOf = [&](int64_t run) { return run ? (k + run - 1) / run : 1; };
  GridRows grid;
  grid.format = format, grid.rows = n, grid.columns = k;
  int least = facts.bits == 8 ? -128 : facts.minCode;
  for (int64_t row = 0; row < n; ++row)
    for (int64_t i = 0; i < k; ++i)
      grid.codes.push_back(int8_t(row % 3 == 0 || (row % 3 == 1 && i % 2) ? least : facts.maxCode));
  for (int64_t i = 0; i < n * countOf(runs.scale); ++i)
    grid.scales.push_back(i % 2 ? -0.5f : 0.25f);
  bool hasMinima = format == WeightFormat::Q4K;
  for (int64_t i = 0; runs.subScale && i < n * countOf(runs.subScale); ++i) {
    grid.subScales.push_back(hasMinima ? 63 : i % 3 ? -128 : 127);
    if (hasMinima)
      grid.subMins.push_back(63);
  }
  if (hasMinima)
    grid.minScales = grid.scales;
  EXPECT_EQ(gridError(grid), "");
  std::vector<uint8_t> blob(packedBytes(format, n, k));
  int64_t bytes = panelBytes(format, k);
  for (int64_t first = 0; first < n; first += panelRows) {
    float scales[panelRows];
    int32_t corrections[panelRows];
    packPanelFromGrid(grid, first, std::min(panelRows, n - first),
                      std::span(blob).subspan(first / panelRows * bytes, bytes), scales,
                      corrections);
    if (facts.group == 0)
      memcpy(&blob[scalesOffset(format, n, k) + 4 * first], scales, sizeof(scales));
    if (format == WeightFormat::W8)
      memcpy(&blob[correctionOffset(format, n, k) + 4 * first], corrections, sizeof(corrections));
  }
  return blob;
}

void LinearKernels::checkInteger(Shape shape, Values which) {
  auto [n, k, capacity] = shape;
  int64_t padded = paddedColumns(format(), k), group = info(format()).group,
          groups = group ? padded / group : 1;
  bool isExtreme = which != Values::Random, isStatic = which == Values::Static;
  std::vector<uint8_t> weights =
      isExtreme ? extremeWeights(format(), n, k) : randomWeights(format(), n, k, 7);
  std::string c = memref({capacity, padded}, "i8"), s = memref({capacity, groups}, "f32"),
              u = memref({capacity, groups}, "i32"), w = memref({(int64_t)weights.size()}, "i8"),
              y = memref({capacity, n}, "f32");
  auto kernel = compile(
      kernelModule("%c: " + c + ", %s: " + s + ", %u: " + u + ", %w: " + w +
                       (isStatic ? ", %r: memref<1xf32>" : "") + ", %y: " + y + ", %rows: index",
                   std::string("kernel.matmul_integer %c, %s, %u, %w ") +
                       (isStatic ? "rounding %r : memref<1xf32> " : "") +
                       "outs(%y) rows %rows {format = " + quoted(name(format())) +
                       ", columns = " + std::to_string(k) + (isStatic ? ", full_range" : "") +
                       "} : " + c + ", " + s + ", " + u + ", " + w + ", " + y));
  if (!kernel)
    return;
  std::vector<float> inputs = randomFloats(capacity * k, 3);
  if (isExtreme)
    for (size_t i = 0; i < inputs.size(); ++i)
      inputs[i] = i / k % 2 || i % 2 ? -1 : 1;
  QuantizedRows x = isStatic ? quantizeRowsStatic(inputs, capacity, k, group, 1 / 128.0f)
                             : quantizeRows(inputs, capacity, k, group);
  std::vector<float> expected = matmulInteger(format(), weights, x, capacity, n, k);
  // Some outputs beyond the codes, most not.
  std::vector<float> rounding = {*std::max_element(expected.begin(), expected.end()) / 120};
  if (isStatic) {
    EXPECT_EQ(*std::min_element(x.codes.begin(), x.codes.end()), -128);
    roundToCodes(expected, rounding.front());
  }
  // Panels of other tasks stay as they were too.
  int64_t panels = (n + 63) / 64;
  std::vector<Buffer> given = {buffer(x.codes), buffer(x.scales), buffer(x.sums), buffer(weights)};
  if (isStatic)
    given.push_back(buffer(rounding));
  checkProducts(*kernel, shape, given, {0, panels / 2, panels}, expected);
}

void LinearKernels::checkFloat(Shape shape, Values which) {
  bool isStatic = which == Values::Static;
  auto [n, k, capacity] = shape;
  std::vector<uint8_t> weights = randomWeights(format(), n, k, 7);
  std::string x = memref({capacity, k}, "f32"), w = memref({(int64_t)weights.size()}, "i8"),
              y = memref({capacity, n}, "f32");
  auto kernel =
      compile(kernelModule("%x: " + x + ", %w: " + w + (isStatic ? ", %r: memref<1xf32>" : "") +
                               ", %y: " + y + ", %rows: index",
                           std::string("kernel.matmul_float %x, %w ") +
                               (isStatic ? "rounding %r : memref<1xf32> " : "") +
                               "outs(%y) rows %rows {format = " + quoted(name(format())) +
                               "} : " + x + ", " + w + ", " + y));
  if (!kernel)
    return;
  std::vector<float> values = randomFloats(capacity * k, 5);
  std::vector<float> expected = matmulFloat(format(), weights, values, capacity, n, k);
  std::vector<float> rounding = {*std::max_element(expected.begin(), expected.end()) / 120};
  if (isStatic)
    roundToCodes(expected, rounding.front());
  std::vector<Buffer> inputs = {buffer(values), buffer(weights)};
  if (isStatic)
    inputs.push_back(buffer(rounding));
  checkProducts(*kernel, shape, inputs, {0, (n + 63) / 64}, expected);
}

TEST_P(LinearKernels, MatmulAgreesBitForBit) {
  GC_SKIP_UNLESS_RUNNABLE(variant());
  for (Shape shape : matmulShapes) {
    if (info(format()).isInteger)
      checkInteger(shape, Values::Random);
    else
      checkFloat(shape, Values::Random);
  }
}

TEST_P(LinearKernels, StaticActivationsAgreeBitForBit) {
  GC_SKIP_UNLESS_RUNNABLE(variant());
  for (Shape shape : {Shape{70, 512, 5}, Shape{130, 197, 3}, Shape{64, 64, 1}}) {
    if (info(format()).isInteger)
      checkInteger(shape, Values::Static);
    else
      checkFloat(shape, Values::Static);
  }
}

TEST_P(LinearKernels, ExtremeCodesAndNegativeScalesAgreeBitForBit) {
  GC_SKIP_UNLESS_RUNNABLE(variant());
  if (info(format()).isInteger)
    checkInteger({70, 512, 5}, Values::Extreme);
}

TEST_P(LinearKernels, GatherPackedRows) {
  GC_SKIP_UNLESS_RUNNABLE(variant());
  constexpr int64_t n = 131, k = 101;
  std::vector<uint8_t> weights = randomWeights(format(), n, k, 11);
  std::vector<int32_t> indices = {0, 130, 17, 64, 63, 34, 99};
  int64_t m = indices.size();
  std::string i = memref({m}, "i32"), t = memref({(int64_t)weights.size()}, "i8"),
              y = memref({m, k}, "f32");
  auto kernel = compile(kernelModule(
      "%i: " + i + ", %t: " + t + ", %y: " + y + ", %rows: index",
      "kernel.gather_rows %i, %t outs(%y) rows %rows {format = " + quoted(name(format())) +
          ", layout = \"packed\", table_rows = 131, columns = 101, slice = 0, slices = 1, scale = "
          "11.25 : f32} : " +
          i + ", " + t + ", " + y));
  ASSERT_TRUE(kernel);
  std::vector<float> out(m * k, -7);
  run(*kernel, {buffer(indices), buffer(weights), buffer(out)}, {m, 0, m});
  std::vector<double> expected = gatherPacked(format(), weights, indices, n, k, 11.25);
  for (size_t j = 0; j < out.size(); ++j)
    ASSERT_NEAR(out[j], expected[j], 3e-7 * std::abs(expected[j])) << j;
}

TEST_P(LinearKernels, GatherTableRows) {
  GC_SKIP_UNLESS_RUNNABLE(variant());
  if (!isRowTableFormat(format()))
    return;
  for (int64_t columns : {256, 75}) {
    constexpr int64_t tableRows = 9, slices = 3, slice = 1;
    int64_t rowBytes = rowTableRowBytes(format(), columns, slices);
    std::vector<uint8_t> table(tableRows * rowBytes);
    for (int64_t row = 0; row < tableRows; ++row) {
      std::vector<float> values = randomFloats(slices * columns, 100 + row);
      encodeTableRows(format(), 1, columns, slices, values.data(),
                      std::span(table).subspan(row * rowBytes, rowBytes));
    }
    std::vector<int32_t> indices = {8, 0, 3, 3};
    std::string t = memref({(int64_t)table.size()}, "i8"), y = memref({4, columns}, "f32");
    auto kernel = compile(kernelModule(
        "%i: memref<4xi32>, %t: " + t + ", %y: " + y + ", %rows: index",
        "kernel.gather_rows %i, %t outs(%y) rows %rows {format = " + quoted(name(format())) +
            ", layout = \"row\", table_rows = 9, columns = " + std::to_string(columns) +
            ", slice = 1, slices = 3, scale = 16.0 : f32} : memref<4xi32>, " + t + ", " + y));
    ASSERT_TRUE(kernel);
    std::vector<float> out(4 * columns, -7);
    run(*kernel, {buffer(indices), buffer(table), buffer(out)}, {4, 0, 4});
    std::vector<double> expected =
        gatherTable(format(), table, indices, columns, slice, slices, 16);
    for (size_t j = 0; j < out.size(); ++j)
      ASSERT_NEAR(out[j], expected[j], 3e-7 * std::abs(expected[j])) << j;
  }
}

INSTANTIATE_TEST_SUITE_P(Variants, LinearKernels,
                         testing::Combine(testing::ValuesIn(cpuVariants()),
                                          testing::ValuesIn(allFormats())),
                         parameterName);

class QuantizeKernels : public testing::TestWithParam<std::tuple<std::string, int64_t>> {};

TEST_P(QuantizeKernels, CodesScalesAndSums) {
  auto [variant, group] = GetParam();
  GC_SKIP_UNLESS_RUNNABLE(variant);
  for (int64_t k : {64, 36, 7, 515, 1536}) {
    constexpr int64_t m = 7;
    int64_t padded = (k + 63) / 64 * 64, groups = group ? padded / group : 1;
    std::string x = memref({m, k}, "f32"), c = memref({m, padded}, "i8"),
                s = memref({m, groups}, "f32"), u = memref({m, groups}, "i32");
    auto kernel = CompiledKernel::compile(
        kernelModule("%x: " + x + ", %c: " + c + ", %s: " + s + ", %u: " + u + ", %rows: index",
                     "kernel.quantize_rows %x outs(%c, %s, %u) rows %rows {group = " +
                         std::to_string(group) + "} : " + x + ", " + c + ", " + s + ", " + u),
        "kernel", variant);
    ASSERT_TRUE(bool(kernel)) << toString(kernel.takeError());
    std::vector<float> values = randomFloats(m * k, k, 3);
    std::fill_n(values.begin() + k, k, 0.0f); // a row of zeros
    for (int64_t i = 0; i < k; ++i) {
      values[2 * k + i] *= 1e-44f;                   // denormals: coarse or vanishing scales
      values[3 * k + i] = (i % 255) - 127.0f + 0.5f; // ties, once the scale is 1
      values[4 * k + i] *= 1e37f;
    }
    values[3 * k] = 127.0f;
    QuantizedRows expected = quantizeRows(values, m, k, group);
    std::vector<int8_t> codes(m * padded, 99);
    std::vector<float> scales(m * groups, -7);
    std::vector<int32_t> sums(m * groups, -7);
    llvm::Error error = (*kernel)->run(
        {{buffer(values), buffer(codes), buffer(scales), buffer(sums)}}, {{m, 0, m}});
    ASSERT_FALSE(bool(error)) << toString(std::move(error));
    EXPECT_TRUE(sameBits(codes, expected.codes)) << k;
    EXPECT_TRUE(sameBits(scales, expected.scales)) << k;
    EXPECT_TRUE(sameBits(sums, expected.sums)) << k;
  }
}

// Values and what becomes of them with the scale 0.5, from the reference library's definition of
// static activations (q = clamp(round(x / s), −128, 127), half to even).
constexpr float givenValues[] = {.24f, .25f, .26f, .75f, 1.25f, -64.3f, 64, -.75f};
constexpr float givenRounded[] = {0, 0, .5f, 1, 1, -64, 63.5f, -1};

TEST(LinearReference, RoundsAsTheReferenceLibrary) {
  std::vector<float> values(std::begin(givenValues), std::end(givenValues));
  roundToCodes(values, .5f);
  EXPECT_TRUE(
      sameBits(values, std::vector<float>(std::begin(givenRounded), std::end(givenRounded))));
}

// Values of every size, the given ones first.
std::vector<float> staticValues(int64_t rows, int64_t columns) {
  std::vector<float> values = randomFloats(rows * columns, columns, 80);
  std::copy(std::begin(givenValues), std::end(givenValues), values.begin());
  for (int64_t i = 0; i < columns && rows > 2; ++i) {
    values[columns + i] *= 1e30f;                       // beyond any code
    values[2 * columns + i] = float(i % 300 - 150) / 4; // ties
  }
  return values;
}

TEST_P(QuantizeKernels, StaticScale) {
  auto [variant, group] = GetParam();
  GC_SKIP_UNLESS_RUNNABLE(variant);
  for (int64_t k : {64, 36, 515}) {
    constexpr int64_t m = 3;
    int64_t padded = (k + 63) / 64 * 64, groups = group ? padded / group : 1;
    std::string x = memref({m, k}, "f32"), c = memref({m, padded}, "i8"),
                s = memref({m, groups}, "f32"), u = memref({m, groups}, "i32");
    auto kernel = CompiledKernel::compile(
        kernelModule("%x: " + x + ", %f: memref<1xf32>, %c: " + c + ", %s: " + s + ", %u: " + u +
                         ", %rows: index",
                     "kernel.quantize_rows %x scale %f : memref<1xf32> outs(%c, %s, %u) rows %rows "
                     "{group = " +
                         std::to_string(group) + "} : " + x + ", " + c + ", " + s + ", " + u),
        "kernel", variant);
    ASSERT_TRUE(bool(kernel)) << toString(kernel.takeError());
    std::vector<float> values = staticValues(m, k), scale = {.5f};
    QuantizedRows expected = quantizeRowsStatic(values, m, k, group, scale.front());
    std::vector<int8_t> codes(m * padded, 99);
    std::vector<float> scales(m * groups, -7);
    std::vector<int32_t> sums(m * groups, -7);
    llvm::Error error = (*kernel)->run(
        {{buffer(values), buffer(scale), buffer(codes), buffer(scales), buffer(sums)}},
        {{m, 0, m}});
    ASSERT_FALSE(bool(error)) << toString(std::move(error));
    EXPECT_TRUE(sameBits(codes, expected.codes)) << k;
    EXPECT_TRUE(sameBits(scales, expected.scales)) << k;
    EXPECT_TRUE(sameBits(sums, expected.sums)) << k;
    for (size_t i = 0; i < std::size(givenRounded); ++i)
      EXPECT_EQ(codes[i] * scale.front(), givenRounded[i]) << i;
  }
}

class RoundKernels : public testing::TestWithParam<std::string> {};

// Against double precision: the code of a value is the same, except within 1e-5 of a tie.
TEST_P(RoundKernels, NearestCode) {
  GC_SKIP_UNLESS_RUNNABLE(GetParam());
  constexpr int64_t m = 3, k = 2100;
  std::string x = memref({m, k}, "f32");
  auto kernel = CompiledKernel::compile(
      kernelModule("%x: " + x + ", %s: memref<1xf32>, %y: " + x + ", %rows: index",
                   "kernel.round_rows %x scale %s : memref<1xf32> outs(%y) rows %rows : " + x +
                       ", " + x),
      "kernel", GetParam());
  ASSERT_TRUE(bool(kernel)) << toString(kernel.takeError());
  for (float step : {.5f, .05f, 3e-3f}) {
    std::vector<float> values = staticValues(m, k), out(m * k, -7), scale = {step};
    llvm::Error error =
        (*kernel)->run({{buffer(values), buffer(scale), buffer(out)}}, {{m, 0, 2 * m}});
    ASSERT_FALSE(bool(error)) << toString(std::move(error));
    std::vector<float> wanted = values;
    roundToCodes(wanted, step);
    EXPECT_TRUE(sameBits(out, wanted)) << step;
    for (size_t i = 0; i < values.size(); ++i) {
      double ratio = std::clamp((double)values[i] / step, -128.0, 127.0);
      if (std::abs(ratio - std::floor(ratio) - 0.5) > 1e-5)
        ASSERT_NEAR(out[i], std::nearbyint(ratio) * step, 1e-6 * step * std::abs(ratio)) << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Variants, RoundKernels, testing::ValuesIn(cpuVariants()),
                         [](const auto &info) {
                           std::string text = info.param;
                           std::replace(text.begin(), text.end(), '-', '_');
                           return text;
                         });

INSTANTIATE_TEST_SUITE_P(Variants, QuantizeKernels,
                         testing::Combine(testing::ValuesIn(cpuVariants()),
                                          testing::Values<int64_t>(0, 32, 64)),
                         [](const auto &info) {
                           std::string text = std::get<0>(info.param) + "_g" +
                                              std::to_string(std::get<1>(info.param));
                           std::replace(text.begin(), text.end(), '-', '_');
                           return text;
                         });

} // namespace
} // namespace gcompile::test
