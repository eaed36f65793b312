// Experts on every CPU variant: everything whose rounding the contract fixes bit for bit, weights
// of the choice and gelu against double precision.
#include "tests/conformance/ExpertCases.h"
#include "tests/conformance/KernelHarness.h"

#include <sys/mman.h>

#include <cmath>
#include <cstring>
#include <map>

namespace gcompile::test {
namespace {

template <class T>
std::vector<T> valuesOf(const std::vector<uint8_t> &bytes) {
  std::vector<T> values(bytes.size() / sizeof(T));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

using Memory = std::vector<std::vector<uint8_t>>;

class ExpertKernels : public testing::TestWithParam<std::string> {
protected:
  // What is in the buffers after the case's tasks, run in `pieces` calls.
  Memory run(const KernelCase &kernelCase, int64_t pieces) {
    std::unique_ptr<CompiledKernel> &kernel = kernels[kernelCase.source];
    if (!kernel) {
      auto made = CompiledKernel::compile(kernelCase.source, "kernel", GetParam());
      if (!made) {
        ADD_FAILURE() << toString(made.takeError()) << "\n" << kernelCase.source;
        return {};
      }
      kernel = std::move(*made);
    }
    Memory memory;
    for (const KernelArgument &argument : kernelCase.arguments)
      memory.push_back(argument.bytes);
    Calls calls;
    for (std::vector<uint8_t> &bytes : memory)
      calls.buffers.push_back(buffer(bytes));
    std::vector<int64_t> integers = kernelCase.integers;
    int64_t tasks = integers.back();
    for (int64_t piece = 0; piece < pieces; ++piece) {
      integers[integers.size() - 2] = tasks * piece / pieces;
      integers.back() = tasks * (piece + 1) / pieces;
      calls.integers.push_back(integers);
    }
    if (llvm::Error error = kernel->run({&calls, 1}))
      ADD_FAILURE() << toString(std::move(error));
    return memory;
  }

  std::map<std::string, std::unique_ptr<CompiledKernel>> kernels;
};

TEST_P(ExpertKernels, EqualBitForBit) {
  GC_SKIP_UNLESS_RUNNABLE(GetParam());
  size_t compared = 0;
  for (const KernelCase &kernelCase : expertCases()) {
    SCOPED_TRACE(kernelCase.name);
    Memory memory = run(kernelCase, kernelCase.integers.back() >= 2 ? 2 : 1);
    for (size_t i = 0; i < memory.size(); ++i) {
      if (kernelCase.arguments[i].expected.empty())
        continue;
      ++compared;
      EXPECT_TRUE(memory[i] == kernelCase.arguments[i].expected) << "buffer " << i;
    }
  }
  EXPECT_GT(compared, 40u);
}

TEST_P(ExpertKernels, WeightsOfTheChoiceAreNormalisedSoftmax) {
  GC_SKIP_UNLESS_RUNNABLE(GetParam());
  size_t seen = 0;
  for (const KernelCase &kernelCase : expertCases()) {
    if (kernelCase.operation != "choose_experts")
      continue;
    SCOPED_TRACE(kernelCase.name);
    Memory memory = run(kernelCase, 1);
    ASSERT_EQ(memory.size(), 4u);
    auto router = valuesOf<float>(memory[0]), scale = valuesOf<float>(memory[1]),
         gates = valuesOf<float>(memory[3]);
    auto chosen = valuesOf<int32_t>(kernelCase.arguments[2].expected);
    size_t experts = scale.size(), rows = router.size() / experts, ranks = gates.size() / rows;
    for (size_t row = 0; row < rows; ++row) {
      // As the model is written: softmax over all, the chosen ones made to sum to one.
      std::vector<double> p(experts);
      double all = 0, sum = 0;
      for (size_t e = 0; e < experts; ++e)
        all += p[e] = std::exp(0.125 * double(router[row * experts + e]));
      for (size_t rank = 0; rank < ranks; ++rank)
        sum += p[chosen[row * ranks + rank]] / all;
      for (size_t rank = 0; rank < ranks && std::isfinite(sum); ++rank, ++seen) {
        int32_t e = chosen[row * ranks + rank];
        double expected = p[e] / all / sum * double(scale[e]);
        EXPECT_NEAR(gates[row * ranks + rank], expected, 2e-6 * std::abs(expected))
            << "row " << row << " rank " << rank;
      }
    }
  }
  EXPECT_GT(seen, 100u);
}

TEST_P(ExpertKernels, GeluOfHalves) {
  GC_SKIP_UNLESS_RUNNABLE(GetParam());
  for (const KernelCase &kernelCase : expertCases()) {
    if (kernelCase.operation != "gelu_mul_halves")
      continue;
    Memory memory = run(kernelCase, 1);
    ASSERT_EQ(memory.size(), 2u);
    auto x = valuesOf<float>(memory[0]), y = valuesOf<float>(memory[1]);
    constexpr size_t columns = 70;
    ASSERT_EQ(y.size() % columns, 0u);
    for (size_t i = 0; i < y.size(); ++i) {
      size_t row = i / columns, column = i % columns;
      double gate = x[2 * columns * row + column], up = x[2 * columns * row + columns + column];
      double inner = std::sqrt(2 / M_PI) * (gate + 0.044715 * gate * gate * gate);
      double expected = 0.5 * gate * (1 + std::tanh(inner)) * up;
      EXPECT_NEAR(y[i], expected, 2e-6 * std::abs(up)) << i;
    }
  }
}

// Decode reads the chosen experts alone: the pages of the others cannot be read at all.
TEST(ExpertBytes, OfExpertsThatNobodyChoseAreNotTouched) {
  constexpr int64_t n = 64, k = 1024, experts = 6, ranks = 2, page = 4096;
  size_t seen = 0;
  for (const std::string &variant : cpuVariants()) {
    if (placeOf(variant) != Place::Native)
      continue;
    ++seen;
    int64_t one = packedBytes(WeightFormat::W4G32, n, k), groups = k / 32;
    ASSERT_EQ(one % page, 0);
    auto kernel = CompiledKernel::compile(
        kernelModule("%c: memref<1x1024xi8>, %s: memref<1x32xf32>, %u: memref<1x32xi32>, %w: "
                     "memref<" +
                         std::to_string(experts * one) +
                         "xi8>, %m: memref<2xi32>, %st: memref<3xi32>, %ch: memref<3xi32>, %y: "
                         "memref<2x64xf32>, %rows: index",
                     "kernel.matmul_integer %c, %s, %u, %w groups(%m, %st, %ch : memref<2xi32>, "
                     "memref<3xi32>, memref<3xi32>) outs(%y) rows %rows {format = \"w4g32\", "
                     "columns = 1024, matrices = 6, group_rows = 1} : memref<1x1024xi8>, "
                     "memref<1x32xf32>, memref<1x32xi32>, memref<" +
                         std::to_string(experts * one) + "xi8>, memref<2x64xf32>"),
        "kernel", variant);
    ASSERT_TRUE(bool(kernel)) << toString(kernel.takeError());
    auto *weights = static_cast<uint8_t *>(
        mmap(nullptr, experts * one, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    ASSERT_NE(weights, MAP_FAILED);
    std::memset(weights, 0x19, experts * one); // codes 1 and 9 − 8, scales of 0x1919
    for (int64_t expert : {0, 2, 3, 5})
      ASSERT_EQ(mprotect(weights + expert * one, one, PROT_NONE), 0);
    alignas(128) static int8_t codes[k];
    alignas(128) static float scales[32], out[ranks * n];
    alignas(128) static int32_t sums[32], members[2] = {0, 1}, starts[3] = {0, 1, 2},
                                          chosen[3] = {1, 4, 0};
    std::fill_n(codes, k, int8_t(1));
    std::fill_n(scales, groups, 1.0f);
    std::fill_n(sums, groups, 32);
    std::fill_n(out, ranks * n, 0.0f);
    using Function = void (*)(void *, void *, void *, void *, void *, void *, void *, void *,
                              int64_t, int64_t, int64_t);
    reinterpret_cast<Function>((*kernel)->address())(codes, scales, sums, weights, members, starts,
                                                     chosen, out, ranks, 0, ranks);
    for (float value : out)
      EXPECT_NE(value, 0);
    munmap(weights, experts * one);
  }
  if (seen == 0)
    GTEST_SKIP() << "no variant runs natively here";
}

INSTANTIATE_TEST_SUITE_P(Variants, ExpertKernels, testing::ValuesIn(cpuVariants()),
                         [](const auto &info) {
                           std::string text = info.param;
                           std::replace(text.begin(), text.end(), '-', '_');
                           return text;
                         });

} // namespace
} // namespace gcompile::test
