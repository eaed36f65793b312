#include "tests/conformance/KernelCases.h"
#include "ir/Format/Pack.h"
#include "tests/conformance/CaseBuilder.h"
#include "tests/conformance/ExpertCases.h"
#include "tests/reference/AttentionReference.h"
#include "tests/reference/LinearReference.h"

#include <cmath>

namespace gcompile::test {
namespace {

std::vector<uint8_t> randomWeights(WeightFormat format, int64_t n, int64_t k) {
  std::vector<uint8_t> blob(packedBytes(format, n, k));
  packMatrix(format, n, k, randomFloats(n * k, 7, 0.05f).data(), blob);
  return blob;
}

KernelCase matmulIntegerCase(WeightFormat format, int64_t n, int64_t k, int64_t capacity,
                             int64_t rows) {
  int64_t padded = paddedColumns(format, k), group = info(format).group,
          groups = group ? padded / group : 1;
  std::vector<uint8_t> weights = randomWeights(format, n, k);
  QuantizedRows x = quantizeRows(randomFloats(capacity * k, 3, 1), capacity, k, group);
  std::vector<float> expected =
      activeRows(matmulInteger(format, weights, x, capacity, n, k), rows * n);
  CaseBuilder c("matmul_integer", std::string(name(format)) + "_rows" + std::to_string(rows));
  std::string types = c.input("%c", memref({capacity, padded}, "i8"), x.codes) + ", " +
                      c.input("%s", memref({capacity, groups}, "f32"), x.scales) + ", " +
                      c.input("%u", memref({capacity, groups}, "i32"), x.sums) + ", " +
                      c.input("%w", memref({(int64_t)weights.size()}, "i8"), weights) + ", " +
                      c.output("%y", memref({capacity, n}, "f32"), blank(capacity * n), expected);
  return c.build("%c, %s, %u, %w outs(%y) rows %rows {format = " + inQuotes(name(format)) +
                     ", columns = " + std::to_string(k) + "} : " + types,
                 {{"%rows", rows}}, (n + 63) / 64);
}

KernelCase matmulFloatCase(WeightFormat format, int64_t n, int64_t k, int64_t capacity,
                           int64_t rows) {
  std::vector<uint8_t> weights = randomWeights(format, n, k);
  std::vector<float> x = randomFloats(capacity * k, 5, 1);
  std::vector<float> expected =
      activeRows(matmulFloat(format, weights, x, capacity, n, k), rows * n);
  CaseBuilder c("matmul_float", std::string(name(format)) + "_rows" + std::to_string(rows));
  std::string types = c.input("%x", memref({capacity, k}, "f32"), x) + ", " +
                      c.input("%w", memref({(int64_t)weights.size()}, "i8"), weights) + ", " +
                      c.output("%y", memref({capacity, n}, "f32"), blank(capacity * n), expected);
  return c.build("%x, %w outs(%y) rows %rows {format = " + inQuotes(name(format)) + "} : " + types,
                 {{"%rows", rows}}, (n + 63) / 64);
}

KernelCase quantizeCase(int64_t group) {
  constexpr int64_t rows = 5, k = 197;
  int64_t padded = (k + 63) / 64 * 64, groups = group ? padded / group : 1;
  std::vector<float> x = randomFloats(rows * k, 11, 3);
  std::fill_n(x.begin() + k, k, 0.0f); // a row of zeros
  for (int64_t i = 0; i < k; ++i) {
    x[2 * k + i] *= 1e-38f;                   // scales become denormal
    x[3 * k + i] = (i % 255) - 127.0f + 0.5f; // ties, once the scale is 1
  }
  x[3 * k] = 127.0f;
  QuantizedRows expected = quantizeRows(x, rows, k, group);
  CaseBuilder c("quantize_rows", "group" + std::to_string(group));
  std::string types =
      c.input("%x", memref({rows, k}, "f32"), x) + ", " +
      c.output("%c", memref({rows, padded}, "i8"), std::vector<int8_t>(rows * padded, 99),
               expected.codes) +
      ", " + c.output("%s", memref({rows, groups}, "f32"), blank(rows * groups), expected.scales) +
      ", " +
      c.output("%u", memref({rows, groups}, "i32"), std::vector<int32_t>(rows * groups, -7),
               expected.sums);
  return c.build("%x outs(%c, %s, %u) rows %rows {group = " + std::to_string(group) +
                     "} : " + types,
                 {{"%rows", rows}}, rows);
}

constexpr const char *scaleType = "memref<1xf32>";

// Static activations (docs/decisions/0011): a given scale, codes down to −128, rounded outputs.
KernelCase quantizeStaticCase(int64_t group) {
  constexpr int64_t rows = 3, k = 197;
  constexpr float scale = 0.02f;
  int64_t padded = (k + 63) / 64 * 64, groups = group ? padded / group : 1;
  std::vector<float> x = randomFloats(rows * k, 12, 3);
  QuantizedRows expected = quantizeRowsStatic(x, rows, k, group, scale);
  CaseBuilder c("quantize_rows", "static_group" + std::to_string(group));
  std::string types = c.input("%x", memref({rows, k}, "f32"), x);
  c.input("%f", scaleType, std::vector<float>{scale});
  types += ", " + c.output("%c", memref({rows, padded}, "i8"),
                           std::vector<int8_t>(rows * padded, 99), expected.codes);
  types +=
      ", " + c.output("%s", memref({rows, groups}, "f32"), blank(rows * groups), expected.scales);
  types += ", " + c.output("%u", memref({rows, groups}, "i32"),
                           std::vector<int32_t>(rows * groups, -7), expected.sums);
  return c.build("%x scale %f : memref<1xf32> outs(%c, %s, %u) rows %rows {group = " +
                     std::to_string(group) + "} : " + types,
                 {{"%rows", rows}}, rows);
}

KernelCase matmulStaticCase(WeightFormat format) {
  constexpr int64_t n = 130, k = 197, capacity = 3;
  int64_t padded = paddedColumns(format, k), group = info(format).group,
          groups = group ? padded / group : 1;
  std::vector<uint8_t> weights = randomWeights(format, n, k);
  QuantizedRows x = quantizeRowsStatic(randomFloats(capacity * k, 3, 3), capacity, k, group, 0.02f);
  std::vector<float> expected = matmulInteger(format, weights, x, capacity, n, k);
  roundToCodes(expected, 0.03f);
  CaseBuilder c("matmul_integer", std::string(name(format)) + "_static");
  std::string types = c.input("%c", memref({capacity, padded}, "i8"), x.codes) + ", " +
                      c.input("%s", memref({capacity, groups}, "f32"), x.scales) + ", " +
                      c.input("%u", memref({capacity, groups}, "i32"), x.sums) + ", " +
                      c.input("%w", memref({(int64_t)weights.size()}, "i8"), weights);
  c.input("%r", scaleType, std::vector<float>{0.03f});
  types += ", " + c.output("%y", memref({capacity, n}, "f32"), blank(capacity * n), expected);
  return c.build("%c, %s, %u, %w rounding %r : memref<1xf32> outs(%y) rows %rows {format = " +
                     inQuotes(name(format)) + ", columns = " + std::to_string(k) +
                     ", full_range} : " + types,
                 {{"%rows", capacity}}, (n + 63) / 64);
}

KernelCase matmulFloatStaticCase() {
  constexpr int64_t n = 70, k = 37, rows = 2;
  constexpr WeightFormat format = WeightFormat::F32;
  std::vector<uint8_t> weights = randomWeights(format, n, k);
  std::vector<float> x = randomFloats(rows * k, 5, 1);
  std::vector<float> expected = matmulFloat(format, weights, x, rows, n, k);
  roundToCodes(expected, 0.003f);
  CaseBuilder c("matmul_float", "f32_static");
  std::string types = c.input("%x", memref({rows, k}, "f32"), x) + ", " +
                      c.input("%w", memref({(int64_t)weights.size()}, "i8"), weights);
  c.input("%r", scaleType, std::vector<float>{0.003f});
  types += ", " + c.output("%y", memref({rows, n}, "f32"), blank(rows * n), expected);
  return c.build("%x, %w rounding %r : memref<1xf32> outs(%y) rows %rows {format = \"f32\"} : " +
                     types,
                 {{"%rows", rows}}, (n + 63) / 64);
}

KernelCase roundRowsCase() {
  constexpr int64_t rows = 2, columns = 2100; // two pieces a row
  std::vector<float> x = randomFloats(rows * columns, 64, 9), expected = x;
  roundToCodes(expected, 0.05f);
  CaseBuilder c("round_rows", "");
  std::string types = c.input("%x", memref({rows, columns}, "f32"), x);
  c.input("%s", scaleType, std::vector<float>{0.05f});
  types += ", " + c.output("%y", memref({rows, columns}, "f32"), blank(rows * columns), expected);
  return c.build("%x scale %s : memref<1xf32> outs(%y) rows %rows : " + types, {{"%rows", rows}},
                 rows * 2);
}

KernelCase gatherPackedCase(WeightFormat format) {
  constexpr int64_t n = 131, k = 101;
  std::vector<uint8_t> weights = randomWeights(format, n, k);
  std::vector<int32_t> indices = {0, 130, 17, 64};
  CaseBuilder c("gather_rows", "packed_" + std::string(name(format)));
  std::string types = c.input("%i", memref({4}, "i32"), indices) + ", " +
                      c.input("%t", memref({(int64_t)weights.size()}, "i8"), weights) + ", " +
                      c.output("%y", memref({4, k}, "f32"), blank(4 * k));
  return c.build("%i, %t outs(%y) rows %rows {format = " + inQuotes(name(format)) +
                     ", layout = \"packed\", table_rows = 131, columns = 101, slice = 0, "
                     "slices = 1, scale = 11.25 : f32} : " +
                     types,
                 {{"%rows", 4}}, 4);
}

KernelCase gatherTableCase(WeightFormat format) {
  constexpr int64_t tableRows = 9, slices = 3, columns = 75;
  int64_t rowBytes = rowTableRowBytes(format, columns, slices);
  std::vector<uint8_t> table(tableRows * rowBytes);
  for (int64_t row = 0; row < tableRows; ++row)
    encodeTableRows(format, 1, columns, slices, randomFloats(slices * columns, 100 + row, 1).data(),
                    std::span(table).subspan(row * rowBytes, rowBytes));
  std::vector<int32_t> indices = {8, 0, 3, 3};
  CaseBuilder c("gather_rows", "table_" + std::string(name(format)));
  std::string types = c.input("%i", memref({4}, "i32"), indices) + ", " +
                      c.input("%t", memref({(int64_t)table.size()}, "i8"), table) + ", " +
                      c.output("%y", memref({4, columns}, "f32"), blank(4 * columns));
  return c.build("%i, %t outs(%y) rows %rows {format = " + inQuotes(name(format)) +
                     ", layout = \"row\", table_rows = 9, columns = 75, slice = 1, slices = 3, "
                     "scale = 16.0 : f32} : " +
                     types,
                 {{"%rows", 4}}, 4);
}

KernelCase rmsNormCase(int64_t groups) {
  constexpr int64_t rows = 3, columns = 120;
  CaseBuilder c("rms_norm", "groups" + std::to_string(groups));
  std::string type = c.input("%x", memref({rows, columns}, "f32"), randomFloats(360, 21, 5));
  std::string weight;
  if (groups == 1)
    weight = " weight %w : " + c.input("%w", memref({columns}, "f32"), randomFloats(columns, 2, 1));
  c.output("%y", type, blank(rows * columns));
  return c.build("%x" + weight + " outs(%y) rows %rows {groups = " + std::to_string(groups) +
                     " : i64, epsilon = 1.0e-6 : f32, input_scale = 1.5 : f32} : " + type + ", " +
                     type,
                 {{"%rows", rows}}, rows);
}

KernelCase ropeTableCase() {
  constexpr int64_t rows = 3, half = 40;
  std::vector<float> frequencies(half);
  for (int64_t i = 0; i < half; ++i)
    frequencies[i] = (float)std::pow(10000.0, -double(i) / half);
  CaseBuilder c("rope_table", "");
  std::string types = c.input("%f", memref({half}, "f32"), frequencies) + ", " +
                      c.output("%c", memref({rows, half}, "f32"), blank(rows * half)) + ", " +
                      c.output("%s", memref({rows, half}, "f32"), blank(rows * half));
  return c.build("%f outs(%c, %s) rows %rows position %position : " + types,
                 {{"%rows", rows}, {"%position", 131071}}, rows);
}

KernelCase ropeCase() {
  constexpr int64_t rows = 3, columns = 80;
  CaseBuilder c("rope", "");
  std::string types =
      c.input("%x", memref({rows, columns}, "f32"), randomFloats(rows * columns, 31, 2)) + ", " +
      c.input("%c", memref({rows, 20}, "f32"), randomFloats(rows * 20, 32, 1)) + ", " +
      c.input("%s", memref({rows, 20}, "f32"), randomFloats(rows * 20, 33, 1)) + ", " +
      c.output("%y", memref({rows, columns}, "f32"), blank(rows * columns));
  return c.build("%x, %c, %s outs(%y) rows %rows {groups = 2 : i64} : " + types, {{"%rows", rows}},
                 rows);
}

// A ring of 64 slots that has wrapped: positions 56 … 119 lie in it.
struct Ring {
  static constexpr int64_t heads = 2, headDim = 40, capacity = 64, filled = 120;
  reference::KvCache cache;

  Ring(const std::string &k, const std::string &v) : cache(k, v, heads, headDim, capacity) {
    for (int64_t position = filled - capacity; position < filled; ++position)
      cache.append(randomFloats(heads * headDim, 1000 + position, 0.5f),
                   randomFloats(heads * headDim, 2000 + position, 1), 1, position);
  }
  std::string attributes() const {
    return "k_format = " + inQuotes(cache.kFormat) + ", v_format = " + inQuotes(cache.vFormat) +
           ", head_dim = 40 : i64, capacity = 64 : i64";
  }
};

KernelCase appendKvCase(const std::string &k, const std::string &v) {
  constexpr int64_t rows = 3;
  Ring ring(k, v);
  std::string rowType = memref({rows, Ring::heads * Ring::headDim}, "f32");
  CaseBuilder c("append_kv", k + "_" + v);
  std::string types =
      c.input("%k", rowType, randomFloats(rows * 80, 41, 4)) + ", " +
      c.input("%v", rowType, randomFloats(rows * 80, 42, 0.3f)) + ", " +
      c.output("%c", memref({(int64_t)ring.cache.bytes.size()}, "i8"), ring.cache.bytes);
  int64_t tasks = k == "kv4" ? Ring::heads : rows * Ring::heads;
  return c.build("%k, %v into %c rows %rows position %position {" + ring.attributes() +
                     ", heads = 2 : i64} : " + types,
                 {{"%rows", rows}, {"%position", 126}}, tasks);
}

// With static scales.
KernelCase appendStaticCase(const std::string &format) {
  constexpr int64_t rows = 3;
  Ring ring(format, format);
  std::string rowType = memref({rows, Ring::heads * Ring::headDim}, "f32");
  CaseBuilder c("append_kv", format + "_static");
  std::string types =
      c.input("%k", rowType, randomFloats(rows * 80, 41, 4)) + ", " +
      c.input("%v", rowType, randomFloats(rows * 80, 42, 0.3f)) + ", " +
      c.output("%c", memref({(int64_t)ring.cache.bytes.size()}, "i8"), ring.cache.bytes);
  std::string scale = memref({1}, "f32");
  float most = format == "kv4" ? 7 : 127;
  c.input("%s", scale, std::vector<float>{3 / most});
  c.input("%t", scale, std::vector<float>{0.25f / most});
  int64_t tasks = format == "kv4" ? Ring::heads : rows * Ring::heads;
  return c.build("%k, %v into %c key_scale %s : " + scale + " value_scale %t : " + scale +
                     " rows %rows position %position {" + ring.attributes() +
                     ", heads = 2 : i64} : " + types,
                 {{"%rows", rows}, {"%position", 126}}, tasks);
}

KernelCase attendCase(const std::string &k, const std::string &v, int64_t heads, int64_t window) {
  constexpr int64_t rows = 2;
  Ring ring(k, v);
  int64_t columns = heads * Ring::headDim;
  std::string rowType = memref({rows, columns}, "f32");
  CaseBuilder c("attend", k + "_" + v + "_window" + std::to_string(window));
  std::string types =
      c.input("%q", rowType, randomFloats(rows * columns, 51, 4)) + ", " +
      c.input("%c", memref({(int64_t)ring.cache.bytes.size()}, "i8"), ring.cache.bytes) + ", " +
      c.output("%y", rowType, blank(rows * columns));
  int64_t sharing = heads / Ring::heads, together = sharing % 4 == 0 ? 4 : sharing % 2 == 0 ? 2 : 1;
  return c.build("%q, %c outs(%y) rows %rows position %position {" + ring.attributes() +
                     ", heads = " + std::to_string(heads) +
                     " : i64, kv_heads = 2 : i64, window = " + std::to_string(window) +
                     " : i64} : " + types,
                 {{"%rows", rows}, {"%position", 118}}, rows * heads / together);
}

// A cache of values alone; keys are formed from them. 40 dims: half a head is no whole number of
// vectors; 64 dims: it is, and only half of the pairs rotate.
KernelCase appendValuesCase(const std::string &v) {
  constexpr int64_t rows = 3, columns = 80;
  reference::KvCache cache("derived", v, 2, 40, 64);
  std::string rowType = memref({rows, columns}, "f32");
  CaseBuilder c("append_kv", "derived_" + v);
  std::string types = c.input("%v", rowType, randomFloats(rows * columns, 43, 0.3f)) + ", " +
                      c.output("%c", memref({(int64_t)cache.bytes.size()}, "i8"), cache.bytes);
  return c.build("%v into %c rows %rows position %position {k_format = \"derived\", v_format = " +
                     inQuotes(v) +
                     ", head_dim = 40 : i64, capacity = 64 : i64, heads = 2 : i64} : " + types,
                 {{"%rows", rows}, {"%position", 13}}, rows * 2);
}

KernelCase attendDerivedCase(const std::string &v, int64_t headDim) {
  constexpr int64_t rows = 2, heads = 4, kvHeads = 2, capacity = 128, filled = 100, pairs = 16;
  reference::KvCache cache("derived", v, kvHeads, headDim, capacity);
  for (int64_t position = 0; position < filled; ++position)
    cache.append({}, randomFloats(kvHeads * headDim, 2000 + position, 1), 1, position);
  reference::RopeTable table = reference::ropeTable(randomFloats(pairs, 53, 1), capacity, 0);
  std::vector<float> cosines(table.cosines.begin(), table.cosines.end()),
      sines(table.sines.begin(), table.sines.end());
  std::string rowType = memref({rows, heads * headDim}, "f32");
  std::string normType = memref({headDim}, "f32"), tableType = memref({capacity, pairs}, "f32");
  CaseBuilder c("attend", "derived_" + v + "_" + std::to_string(headDim));
  c.input("%q", rowType, randomFloats(rows * heads * headDim, 54, 4));
  std::string cacheType = c.input("%c", memref({(int64_t)cache.bytes.size()}, "i8"), cache.bytes);
  c.input("%n", normType, randomFloats(headDim, 55, 0.4f));
  c.input("%cos", tableType, cosines);
  c.input("%sin", tableType, sines);
  c.output("%y", rowType, blank(rows * heads * headDim));
  return c.build(
      "%q, %c keys(%n, %cos, %sin : " + normType + ", " + tableType + ", " + tableType +
          ") outs(%y) rows %rows position %position {k_format = \"derived\", v_format = " +
          inQuotes(v) + ", head_dim = " + std::to_string(headDim) +
          " : i64, capacity = 128 : i64, heads = 4 : i64, kv_heads = 2 : i64, window = 0 "
          ": i64} : " +
          rowType + ", " + cacheType + ", " + rowType,
      {{"%rows", rows}, {"%position", filled - rows}}, rows * heads / 2);
}

KernelCase elementwiseCase(const std::string &operation) {
  constexpr int64_t rows = 2, columns = 2100, count = rows * columns; // two pieces a row
  CaseBuilder c(operation, "");
  std::string type = c.input("%x", memref({rows, columns}, "f32"), randomFloats(count, 61, 9));
  std::string text;
  if (operation == "soft_cap") {
    text = "%x outs(%y) rows %rows {cap = 30.0 : f32} : " + type + ", " + type;
  } else {
    c.input("%z", type, randomFloats(count, 62, 2));
    std::string types = type + ", " + type + ", " + type;
    if (operation == "gelu_mul")
      text = "%x, %z outs(%y) rows %rows : " + types;
    else
      text = "%x, %z factor %f : " + c.input("%f", memref({1}, "f32"), randomFloats(1, 63, 1)) +
             " outs(%y) rows %rows {scale = 0.70710677 : f32} : " + types;
  }
  c.output("%y", type, blank(count));
  return c.build(text, {{"%rows", rows}}, rows * 2);
}

} // namespace

std::vector<KernelCase> kernelCases() {
  std::vector<KernelCase> cases;
  for (const WeightFormatInfo &format : weightFormats()) {
    for (int64_t rows : {1, 5})
      cases.push_back(format.isInteger ? matmulIntegerCase(format.format, 130, 197, 7, rows)
                                       : matmulFloatCase(format.format, 70, 37, 7, rows));
    if (format.isInteger)
      cases.push_back(matmulStaticCase(format.format));
    cases.push_back(gatherPackedCase(format.format));
    if (isRowTableFormat(format.format))
      cases.push_back(gatherTableCase(format.format));
  }
  for (int64_t group : {0, 32, 64}) {
    cases.push_back(quantizeCase(group));
    cases.push_back(quantizeStaticCase(group));
  }
  cases.push_back(matmulFloatStaticCase());
  cases.push_back(roundRowsCase());
  cases.push_back(rmsNormCase(1));
  cases.push_back(rmsNormCase(3));
  cases.push_back(ropeTableCase());
  cases.push_back(ropeCase());
  for (auto [k, v] :
       {std::pair("f32", "f32"), {"f16", "f16"}, {"kv8", "kv8"}, {"kv4", "kv4"}, {"kv8", "kv4"}}) {
    cases.push_back(appendKvCase(k, v));
    cases.push_back(attendCase(k, v, 4, 0));
  }
  for (const char *format : {"kv8", "kv4"})
    cases.push_back(appendStaticCase(format));
  cases.push_back(attendCase("kv8", "kv8", 2, 33));
  for (const char *v : {"f32", "f16", "kv8", "kv4"}) {
    cases.push_back(appendValuesCase(v));
    cases.push_back(attendDerivedCase(v, 64));
  }
  cases.push_back(attendDerivedCase("kv4", 40));
  for (const char *operation : {"gelu_mul", "add", "soft_cap"})
    cases.push_back(elementwiseCase(operation));
  for (KernelCase &expert : expertCases())
    cases.push_back(std::move(expert));
  return cases;
}

std::vector<std::string> kernelOperations() {
  std::vector<std::string> names;
  for (const KernelCase &kernelCase : kernelCases())
    if (!llvm::is_contained(names, kernelCase.operation))
      names.push_back(kernelCase.operation);
  return names;
}

std::vector<KernelCase> casesOf(const std::string &operation) {
  std::vector<KernelCase> cases;
  for (KernelCase &kernelCase : kernelCases())
    if (kernelCase.operation == operation)
      cases.push_back(std::move(kernelCase));
  return cases;
}

llvm::Error expectFromCpu(KernelCase &kernelCase) {
  bool isComplete = llvm::all_of(kernelCase.arguments, [](const KernelArgument &argument) {
    return argument.access == Access::Input || !argument.expected.empty();
  });
  if (isComplete)
    return llvm::Error::success();
  for (const std::string &variant : cpuVariants()) {
    if (placeOf(variant) == Place::Nowhere)
      continue;
    auto kernel = CompiledKernel::compile(kernelCase.source, "kernel", variant);
    if (!kernel)
      return kernel.takeError();
    std::vector<std::vector<uint8_t>> memory;
    std::vector<Buffer> buffers;
    for (const KernelArgument &argument : kernelCase.arguments)
      memory.push_back(argument.bytes);
    for (std::vector<uint8_t> &bytes : memory)
      buffers.push_back(buffer(bytes));
    if (llvm::Error error = (*kernel)->run(buffers, kernelCase.integers))
      return error;
    for (size_t i = 0; i < memory.size(); ++i)
      if (kernelCase.arguments[i].access == Access::Output)
        kernelCase.arguments[i].expected = memory[i];
    return llvm::Error::success();
  }
  return llvm::createStringError("no CPU variant runs here to compare with");
}

} // namespace gcompile::test
