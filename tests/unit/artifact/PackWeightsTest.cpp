// The pipeline against the plain packers, and its promises: bytes and sums independent of threads,
// bounded work in flight, first error in order, nothing left of an interrupted run.
#include "compiler/Quantize/PackWeights.h"
#include "compiler/Artifact/ArtifactWriter.h"
#include "compiler/Quantize/MeasureError.h"
#include "compiler/Quantize/RoundTrip.h"
#include "ir/Format/ReferenceDecode.h"

#include "MemoryCheckpoint.h"
#include "TemporaryFolder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <limits>
#include <thread>

using namespace gcompile;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

namespace {

PackItem itemOf(const TensorInfo &tensor, WeightFormat format, PackKind kind = PackKind::Matrix) {
  PackItem item;
  item.kind = kind;
  item.format = format;
  item.sources = {{&tensor}};
  return item;
}

uint64_t bytesOf(const PackItem &item) { return llvm::cantFail(packedItemBytes(item)); }

// Packs into one buffer; the error text, or "" .
std::string packInto(std::vector<uint8_t> &out, const Checkpoint &checkpoint,
                     std::vector<PackItem> &items, const PackOptions &options = {},
                     std::vector<PackError> *errors = nullptr) {
  uint64_t end = 0;
  for (PackItem &item : items) {
    item.offset = end;
    end += (bytesOf(item) + 127) / 128 * 128;
  }
  out.assign(end, 0);
  auto result = packWeights(
      checkpoint, items,
      [&](unsigned, uint64_t offset, llvm::ArrayRef<uint8_t> bytes) {
        EXPECT_LE(offset + bytes.size(), out.size());
        std::copy(bytes.begin(), bytes.end(), out.begin() + static_cast<long>(offset));
        return llvm::Error::success();
      },
      options);
  if (!result)
    return llvm::toString(result.takeError());
  if (errors)
    *errors = *result;
  return "";
}

TEST(PackWeights, MatrixEqualsThePlainPacker) {
  MemoryCheckpoint checkpoint;
  // More than one task: 1 MiB of floats are 4 panels of 1000 columns; the last panel is partial.
  const TensorInfo &tensor = checkpoint.add("m", {600, 1000});
  std::vector<float> values = checkpoint.values(tensor);
  for (const WeightFormatInfo &format : weightFormats()) {
    std::vector<uint8_t> expected(packedBytes(format.format, 600, 1000)), out;
    PackError error = packMatrix(format.format, 600, 1000, values.data(), expected);
    std::vector<PackItem> items = {itemOf(tensor, format.format)};
    ASSERT_EQ(bytesOf(items[0]), expected.size());
    std::vector<PackError> errors;
    ASSERT_EQ(packInto(out, checkpoint, items, {}, &errors), "");
    out.resize(expected.size());
    EXPECT_TRUE(out == expected) << format.name;
    EXPECT_NEAR(errors[0].squaredError, error.squaredError, 1e-12 * error.squaredSum);
    EXPECT_NEAR(errors[0].squaredSum, error.squaredSum, 1e-12 * error.squaredSum);
  }
}

// A checkpoint whose tensors are codes already: value = code · scale of its row, slice or group.
class GridCheckpoint : public MemoryCheckpoint {
public:
  WeightFormat format = WeightFormat::W4;
  int64_t scalesPerRow = 1;
  int8_t code(int64_t row, int64_t column) const { return int8_t((row * 7 + column * 3) % 16 - 8); }
  float scale(int64_t row, int64_t index) const { return 0.25f * float((row + 3 * index) % 5 - 1); }

  std::optional<WeightFormat> nativeFormat(const TensorInfo &tensor) const override {
    return tensor.name == "plain" ? std::nullopt : std::optional(format);
  }
  llvm::Error readRowsOnGrid(const TensorInfo &tensor, int64_t first, int64_t count,
                             GridRows &out) const override {
    out = {};
    out.format = format;
    out.rows = count;
    out.columns = tensor.columns();
    for (int64_t row = first; row < first + count; ++row) {
      for (int64_t column = 0; column < out.columns; ++column)
        out.codes.push_back(code(row, column));
      for (int64_t index = 0; index < scalesPerRow; ++index)
        out.scales.push_back(scale(row, index));
    }
    return llvm::Error::success();
  }
};

TEST(PackWeights, CodesOfAQuantizedCheckpointAreTakenOver) {
  constexpr int64_t rows = 300, columns = 1024; // more than one task, the last panel partial
  for (WeightFormat format : {WeightFormat::W4, WeightFormat::W8, WeightFormat::W4G32}) {
    GridCheckpoint checkpoint;
    checkpoint.format = format;
    int64_t group = info(format).group ? info(format).group : columns;
    checkpoint.scalesPerRow = columns / group;
    const TensorInfo &tensor = checkpoint.add("m", {rows, columns});
    std::vector<PackItem> items = {itemOf(tensor, format)};
    std::vector<uint8_t> out;
    std::vector<PackError> errors;
    ASSERT_EQ(packInto(out, checkpoint, items, {}, &errors), "");
    EXPECT_EQ(errors[0].squaredError, 0) << name(format);
    int64_t wrong = 0;
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t column = 0; column < columns; ++column)
        wrong += decodeElement(format, out.data(), row, column, rows, columns) !=
                 double(checkpoint.code(row, column)) * checkpoint.scale(row, column / group);
    EXPECT_EQ(wrong, 0) << name(format);
  }
}

TEST(PackWeights, CodesOfAQuantizedTableAreTakenOver) {
  constexpr int64_t rows = 40, slices = 3, columns = 64;
  GridCheckpoint checkpoint;
  checkpoint.scalesPerRow = slices;
  const TensorInfo &tensor = checkpoint.add("t", {rows, slices * columns});
  PackItem item = itemOf(tensor, WeightFormat::W4, PackKind::RowTable);
  item.slices = slices;
  std::vector<PackItem> items = {item};
  std::vector<uint8_t> out;
  ASSERT_EQ(packInto(out, checkpoint, items), "");
  int64_t rowBytes = rowTableRowBytes(WeightFormat::W4, columns, slices);
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t i = 0; i < slices * columns; ++i)
      ASSERT_EQ(decodeTableElement(WeightFormat::W4, out.data() + row * rowBytes, i / columns,
                                   i % columns, columns, slices),
                double(checkpoint.code(row, i)) * checkpoint.scale(row, i / columns));
}

TEST(PackWeights, AnotherFormatThanTheGridsIsRounded) {
  GridCheckpoint checkpoint; // w4
  const TensorInfo &tensor = checkpoint.add("m", {64, 128});
  std::vector<uint8_t> expected(packedBytes(WeightFormat::W8, 64, 128)), out;
  packMatrix(WeightFormat::W8, 64, 128, checkpoint.values(tensor).data(), expected);
  std::vector<PackItem> items = {itemOf(tensor, WeightFormat::W8)};
  ASSERT_EQ(packInto(out, checkpoint, items), "");
  out.resize(expected.size());
  EXPECT_EQ(out, expected);
}

TEST(PackWeights, RowRangesAndStackedSources) {
  MemoryCheckpoint checkpoint;
  checkpoint.reserve(2);
  const TensorInfo &a = checkpoint.add("a", {300, 64}), &b = checkpoint.add("b", {50, 64});
  PackItem item = itemOf(a, WeightFormat::W8);
  item.sources = {{&a, 10, 100}, {&b, 0, -1}, {&a, 290, -1}};
  std::vector<float> va = checkpoint.values(a), vb = checkpoint.values(b), stacked;
  stacked.insert(stacked.end(), va.begin() + 10 * 64, va.begin() + 110 * 64);
  stacked.insert(stacked.end(), vb.begin(), vb.end());
  stacked.insert(stacked.end(), va.begin() + 290 * 64, va.end());
  std::vector<uint8_t> expected(packedBytes(WeightFormat::W8, 160, 64)), out;
  packMatrix(WeightFormat::W8, 160, 64, stacked.data(), expected);
  std::vector<PackItem> items = {item};
  ASSERT_EQ(packInto(out, checkpoint, items), "");
  out.resize(expected.size());
  EXPECT_TRUE(out == expected);
}

// Five matrices of 70 × 40: no whole panels, and several tasks where 1 MiB is not enough.
TEST(PackWeights, StackedMatricesArePackedEachForItself) {
  for (auto [n, k] : {std::pair<int64_t, int64_t>{70, 40}, {600, 1000}}) {
    MemoryCheckpoint checkpoint;
    const TensorInfo &tensor = checkpoint.add("experts", {5, n, k});
    std::vector<float> values = checkpoint.values(tensor);
    for (const WeightFormatInfo &format : weightFormats()) {
      PackItem item = itemOf(tensor, format.format);
      int64_t one = packedBytes(format.format, n, k), stride = (one + 127) / 128 * 128;
      ASSERT_EQ(int64_t(bytesOf(item)), 4 * stride + one) << format.name;
      std::vector<uint8_t> out, expected(one);
      std::vector<PackItem> items = {item};
      ASSERT_EQ(packInto(out, checkpoint, items), "");
      for (int64_t matrix = 0; matrix < 5; ++matrix) {
        packMatrix(format.format, n, k, values.data() + matrix * n * k, expected);
        EXPECT_EQ(memcmp(out.data() + matrix * stride, expected.data(), one), 0)
            << format.name << " " << matrix;
      }
      items[0].sources[0].rowCount = 4; // some of the matrices
      llvm::Expected<uint64_t> some = packedItemBytes(items[0]);
      ASSERT_FALSE(bool(some));
      EXPECT_THAT(llvm::toString(some.takeError()), HasSubstr("stack of 5 matrices"));
    }
  }
}

TEST(PackWeights, VectorsAndRowTables) {
  MemoryCheckpoint checkpoint;
  checkpoint.reserve(3);
  const TensorInfo &norm = checkpoint.add("norm", {96}), &scalar = checkpoint.add("scalar", {}),
                   &table = checkpoint.add("table", {1000, 5 * 96});
  PackItem tableItem = itemOf(table, WeightFormat::W4, PackKind::RowTable);
  tableItem.slices = 5;
  std::vector<PackItem> items = {itemOf(norm, WeightFormat::F32, PackKind::Vector),
                                 itemOf(scalar, WeightFormat::F32, PackKind::Vector), tableItem};
  std::vector<uint8_t> out;
  std::vector<PackError> errors;
  ASSERT_EQ(packInto(out, checkpoint, items, {}, &errors), "");
  std::vector<float> values = checkpoint.values(norm);
  EXPECT_EQ(memcmp(out.data(), values.data(), 384), 0);
  EXPECT_EQ(errors[0].squaredError, 0);
  EXPECT_GT(errors[0].squaredSum, 0);
  EXPECT_EQ(memcmp(out.data() + 384, checkpoint.values(scalar).data(), 4), 0);
  int64_t rowBytes = rowTableRowBytes(WeightFormat::W4, 96, 5);
  EXPECT_EQ(bytesOf(tableItem), 1000u * rowBytes);
  values = checkpoint.values(table);
  std::vector<uint8_t> row(rowBytes);
  for (int64_t index : {0, 499, 999}) {
    encodeTableRows(WeightFormat::W4, 1, 96, 5, values.data() + index * 480, row);
    EXPECT_EQ(memcmp(out.data() + items[2].offset + index * rowBytes, row.data(), rowBytes), 0);
  }
}

TEST(PackWeights, ThreadsChangeNoByteAndNoSum) {
  MemoryCheckpoint checkpoint;
  checkpoint.reserve(weightFormats().size() + 1);
  TemporaryFolder folder;
  std::vector<PackItem> items;
  uint64_t end = 0;
  for (const WeightFormatInfo &format : weightFormats()) {
    items.push_back(itemOf(checkpoint.add(std::string(format.name), {700, 500}), format.format));
    items.back().offset = end;
    end += (bytesOf(items.back()) + 127) / 128 * 128;
  }
  PackItem table = itemOf(checkpoint.add("ple", {3000, 256}), WeightFormat::W2, PackKind::RowTable);
  table.slices = 4;
  table.section = 1;
  items.push_back(table);

  std::vector<PackError> first;
  for (unsigned jobs : {1u, 2u, 5u}) {
    SectionSpec sections[] = {{GC_SECTION_WEIGHTS, end}, {GC_SECTION_TABLE, bytesOf(table)}};
    std::string path = folder / std::to_string(jobs);
    auto writer = llvm::cantFail(ArtifactWriter::create(path, sections));
    PackOptions options;
    options.jobs = jobs;
    auto errors = packWeights(
        checkpoint, items,
        [&](unsigned section, uint64_t offset, llvm::ArrayRef<uint8_t> bytes) {
          return writer->writeAt(section, offset, bytes);
        },
        options);
    ASSERT_TRUE(bool(errors));
    ASSERT_FALSE(writer->commit());
    if (jobs == 1) {
      first = *errors;
      continue;
    }
    EXPECT_TRUE(readBytes(path) == readBytes(folder / "1")) << jobs;
    for (size_t i = 0; i < first.size(); ++i) {
      EXPECT_EQ((*errors)[i].squaredError, first[i].squaredError);
      EXPECT_EQ((*errors)[i].squaredSum, first[i].squaredSum);
    }
  }
}

TEST(PackWeights, MemoryBoundsWhatIsInFlight) {
  MemoryCheckpoint checkpoint;
  const TensorInfo &tensor = checkpoint.add("m", {2000, 1000});
  PackItem item = itemOf(tensor, WeightFormat::F32);
  // A task is 192 rows of 1000 floats (768000 bytes), accounted three times over.
  for (auto [memory, most] : {std::pair(1, 1), std::pair(5000000, 2)}) {
    PackOptions options;
    options.jobs = 4;
    options.memoryBytes = memory;
    std::atomic<int> active{0}, largest{0};
    auto result = packWeights(
        checkpoint, item,
        [&](unsigned, uint64_t, llvm::ArrayRef<uint8_t>) {
          int now = ++active, seen = largest;
          while (now > seen && !largest.compare_exchange_weak(seen, now))
            ;
          std::this_thread::sleep_for(std::chrono::milliseconds(2));
          --active;
          return llvm::Error::success();
        },
        options);
    ASSERT_TRUE(bool(result));
    EXPECT_LE(largest, most);
  }
}

TEST(PackWeights, ProgressReachesTheTotal) {
  MemoryCheckpoint checkpoint;
  checkpoint.reserve(2);
  std::vector<PackItem> items = {itemOf(checkpoint.add("a", {1000, 600}), WeightFormat::W4),
                                 itemOf(checkpoint.add("b", {64, 64}), WeightFormat::W2)};
  uint64_t last = 0, all = 0;
  auto progress = [&](uint64_t done, uint64_t total) {
    EXPECT_GT(done, last);
    last = done, all = total;
  };
  PackOptions options;
  options.progress = progress;
  std::vector<uint8_t> out;
  ASSERT_EQ(packInto(out, checkpoint, items, options), "");
  EXPECT_EQ(last, 4u * (600000 + 4096));
  EXPECT_EQ(all, last);
}

// Counts the bytes that are read as they are.
class CountingCheckpoint : public MemoryCheckpoint {
public:
  mutable std::atomic<uint64_t> bytesRead{0};
  llvm::Error read(const TensorInfo &tensor, uint64_t offset,
                   llvm::MutableArrayRef<uint8_t> out) const override {
    bytesRead += out.size();
    return MemoryCheckpoint::read(tensor, offset, out);
  }
};

TEST(PackWeights, WhatIsPackedIsHashedOnTheWay) {
  CountingCheckpoint checkpoint;
  checkpoint.reserve(2);
  // More than one piece of 4 MiB; rows of one tensor in two items are hashed once.
  const TensorInfo &large = checkpoint.add("large", {1300, 1000}),
                   &small = checkpoint.add("s", {9});
  PackItem first = itemOf(large, WeightFormat::W4), second = itemOf(large, WeightFormat::W8);
  first.sources[0] = {&large, 0, 640};
  second.sources[0] = {&large, 640, -1};
  std::vector<PackItem> items = {first, second, itemOf(small, WeightFormat::F32, PackKind::Vector)};
  std::vector<uint8_t> plain, hashed;
  ASSERT_EQ(packInto(plain, checkpoint, items), "");
  for (unsigned jobs : {1, 2, 5}) {
    PieceHashes hashes;
    PackOptions options;
    options.jobs = jobs;
    options.hashes = &hashes;
    ASSERT_EQ(packInto(hashed, checkpoint, items, options), "");
    EXPECT_TRUE(hashed == plain);
    for (const TensorInfo *tensor : {&large, &small}) {
      std::string expected = llvm::cantFail(checkpoint.contentHash(*tensor));
      checkpoint.bytesRead = 0;
      EXPECT_EQ(llvm::cantFail(checkpoint.contentHash(*tensor, &hashes)), expected);
      EXPECT_EQ(checkpoint.bytesRead, 0u);
    }
  }
}

TEST(PackWeights, ReportsTheFirstBadTensorInOrder) {
  MemoryCheckpoint checkpoint;
  checkpoint.reserve(3);
  const TensorInfo &good = checkpoint.add("good", {2000, 300});
  const TensorInfo &bad = checkpoint.add("bad", {2000, 300}),
                   &worse = checkpoint.add("worse", {64, 64});
  checkpoint.set(bad, 1500 * 300 + 7, std::numeric_limits<float>::quiet_NaN());
  checkpoint.set(worse, 0, std::numeric_limits<float>::infinity());
  std::vector<PackItem> items = {itemOf(good, WeightFormat::W4), itemOf(bad, WeightFormat::W4),
                                 itemOf(worse, WeightFormat::W4)};
  for (unsigned jobs : {1u, 4u}) {
    PackOptions options;
    options.jobs = jobs;
    std::vector<uint8_t> out;
    EXPECT_THAT(packInto(out, checkpoint, items, options), HasSubstr("'bad'"));
  }
}

TEST(PackWeights, RefusesItemsThatCannotBe) {
  MemoryCheckpoint checkpoint;
  checkpoint.reserve(2);
  const TensorInfo &a = checkpoint.add("a", {10, 64}), &b = checkpoint.add("b", {10, 32});
  auto messageOf = [](const PackItem &item) {
    auto bytes = packedItemBytes(item);
    return bytes ? std::string() : llvm::toString(bytes.takeError());
  };
  PackItem item = itemOf(a, WeightFormat::W4);
  item.sources[0].rowCount = 11;
  EXPECT_THAT(messageOf(item), HasSubstr("tensor 'a' has 10 rows"));
  item.sources[0] = {&a, 10, -1};
  EXPECT_THAT(messageOf(item), HasSubstr("tensor 'a' has 10 rows"));
  item.sources = {{&a}, {&b}};
  EXPECT_THAT(messageOf(item), HasSubstr("'b' has 32 columns and cannot be stacked on 'a'"));
  EXPECT_THAT(messageOf(itemOf(a, WeightFormat::W4, PackKind::Vector)), HasSubstr("always f32"));
  EXPECT_THAT(messageOf(itemOf(a, WeightFormat::W4G32, PackKind::RowTable)),
              HasSubstr("cannot be w4g32"));
  item = itemOf(a, WeightFormat::W4, PackKind::RowTable);
  item.slices = 3;
  EXPECT_THAT(messageOf(item), HasSubstr("3 slices do not divide"));
}

TEST(PackWeights, AnInterruptedRunLeavesNoFile) {
  MemoryCheckpoint checkpoint;
  TemporaryFolder folder;
  PackItem item = itemOf(checkpoint.add("m", {4000, 500}), WeightFormat::W4);
  std::atomic<bool> cancel{false};
  {
    OutputFileOptions writerOptions;
    writerOptions.cancel = &cancel;
    writerOptions.temporaryFile = TemporaryFile::Named;
    SectionSpec sections[] = {{GC_SECTION_WEIGHTS, bytesOf(item)}};
    auto writer = llvm::cantFail(ArtifactWriter::create(folder / "m.gpk", sections, writerOptions));
    auto stopHalfWay = [&](uint64_t done, uint64_t total) {
      if (done > total / 2)
        cancel = true;
    };
    PackOptions options;
    options.cancel = &cancel;
    options.progress = stopHalfWay;
    auto result = packWeights(
        checkpoint, item,
        [&](unsigned section, uint64_t offset, llvm::ArrayRef<uint8_t> bytes) {
          return writer->writeAt(section, offset, bytes);
        },
        options);
    ASSERT_FALSE(bool(result));
    EXPECT_THAT(llvm::toString(result.takeError()), HasSubstr("interrupted"));
    EXPECT_EQ(folder.files().size(), 1u);
  }
  EXPECT_THAT(folder.files(), IsEmpty());
}

TEST(MeasureErrors, SamplesEvenly) {
  EXPECT_THAT(sampledRows(3, 64), ElementsAre(0, 1, 2));
  EXPECT_THAT(sampledRows(1000, 4), ElementsAre(125, 375, 625, 875));
  EXPECT_THAT(sampledRows(1, 0), ElementsAre(0));
}

TEST(MeasureErrors, EqualsTheErrorOfPackingTheSample) {
  MemoryCheckpoint checkpoint;
  checkpoint.reserve(2);
  const TensorInfo &m = checkpoint.add("m", {64, 512}), &table = checkpoint.add("t", {40, 256});
  std::vector<WeightFormat> formats = {WeightFormat::F32, WeightFormat::W8, WeightFormat::W4,
                                       WeightFormat::W2G64};
  auto errors = measureErrors(checkpoint, {{&m, formats, 1}, {&table, {WeightFormat::W4}, 4}});
  ASSERT_TRUE(bool(errors));
  for (size_t i = 0; i < formats.size(); ++i) {
    std::vector<uint8_t> blob(packedBytes(formats[i], 64, 512));
    double expected = packMatrix(formats[i], 64, 512, checkpoint.values(m).data(), blob).relative();
    EXPECT_NEAR((*errors)[0][i], expected, 1e-9 * expected) << name(formats[i]);
  }
  PackError sum;
  std::vector<uint8_t> row(rowTableRowBytes(WeightFormat::W4, 64, 4));
  for (int64_t i = 0; i < 40; ++i)
    sum +=
        encodeTableRows(WeightFormat::W4, 1, 64, 4, checkpoint.values(table).data() + i * 256, row);
  EXPECT_NEAR((*errors)[1][0], sum.relative(), 1e-9 * sum.relative());
}

// Each matrix of a stack is rounded by itself, and counts with its own inputs.
TEST(MeasureErrors, SamplesMatricesOfStacks) {
  MemoryCheckpoint checkpoint;
  checkpoint.reserve(1);
  const TensorInfo &stack = checkpoint.add("experts", {6, 10, 64});
  StackSample sample = sampledStack(stack, 16);
  EXPECT_THAT(sample.matrices, ElementsAre(0, 2, 3, 5));
  EXPECT_THAT(sample.rows, ElementsAre(1, 3, 6, 8));
  std::vector<double> moments(6 * 64, 0.0);
  for (size_t column = 0; column < 64; ++column) {
    moments[1 * 64 + column] = column == 5 ? 1000 : 0.1;
    moments[4 * 64 + column] = column % 2 ? 3 : 0;
  }
  const std::vector<float> all = checkpoint.values(stack);
  auto errorOf = [&](const std::vector<double> *inputs) {
    MeasureItem item{&stack, {WeightFormat::W4}, 1, inputs};
    MeasureOptions options;
    options.sampleRows = 16;
    return llvm::cantFail(measureErrors(checkpoint, {item}, options))[0][0];
  };
  auto expected = [&](llvm::ArrayRef<int64_t> matrices, const std::vector<double> &inputs) {
    double wrong = 0, whole = 0;
    std::vector<float> decoded(64);
    for (int64_t matrix : matrices)
      for (int64_t row : {1, 3, 6, 8}) {
        const float *values = all.data() + (matrix * 10 + row) * 64;
        roundTripRows(WeightFormat::W4, 1, 64, values, decoded.data());
        for (int64_t i = 0; i < 64; ++i) {
          double weight = inputs.empty() ? 1 : inputs[matrix * 64 + i];
          wrong += weight * (double(values[i]) - decoded[i]) * (double(values[i]) - decoded[i]);
          whole += weight * double(values[i]) * values[i];
        }
      }
    return wrong / whole;
  };
  double even = expected({0, 2, 3, 5}, {}), uneven = expected({1, 4}, moments);
  EXPECT_NEAR(errorOf(nullptr), even, 1e-6 * even);
  EXPECT_THAT(sampledStack(stack, 16, &moments).matrices,
              ElementsAre(1, 4)); // the others see nothing
  EXPECT_NEAR(errorOf(&moments), uneven, 1e-9 * uneven);
  EXPECT_GT(std::abs(uneven / even - 1), 0.01);
  std::vector<double> none(6 * 64, 0.0), few(64, 1.0);
  EXPECT_EQ(errorOf(&none), errorOf(nullptr));
  auto refused = measureErrors(checkpoint, {{&stack, {WeightFormat::W4}, 1, &few}});
  ASSERT_FALSE(bool(refused));
  EXPECT_THAT(llvm::toString(refused.takeError()), HasSubstr("has 384 columns"));
}

TEST(MeasureErrors, ReportsTheFirstBadTensor) {
  MemoryCheckpoint checkpoint;
  checkpoint.reserve(2);
  const TensorInfo &a = checkpoint.add("a", {8, 64}), &b = checkpoint.add("b", {8, 64});
  checkpoint.set(a, 5, std::nanf(""));
  checkpoint.set(b, 5, std::nanf(""));
  auto errors = measureErrors(checkpoint, {{&a, {WeightFormat::W4}}, {&b, {WeightFormat::W4}}});
  ASSERT_FALSE(bool(errors));
  EXPECT_THAT(llvm::toString(errors.takeError()), HasSubstr("'a'"));
}

} // namespace
