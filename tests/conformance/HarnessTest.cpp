// The harness itself, and with it the way from MLIR to an image: a kernel function that is loops
// already, with a constant table (read-only data) and a polynomial in place of exp.
#include "tests/conformance/KernelHarness.h"

#include <cmath>

namespace gcompile::test {
namespace {

constexpr const char *scaledExp = R"(
func.func private @kernel(%x: memref<64xf32>, %y: memref<64xf32>, %begin: index, %end: index)
    attributes {kernel.function} {
  %step = arith.constant 16 : index
  %table = arith.constant dense<[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0,
                                 12.0, 13.0, 14.0, 15.0]> : vector<16xf32>
  scf.for %i = %begin to %end step %step {
    %v = vector.load %x[%i] : memref<64xf32>, vector<16xf32>
    %e = math.exp %v : vector<16xf32>
    %s = math.fma %e, %table, %v : vector<16xf32>
    vector.store %s, %y[%i] : memref<64xf32>, vector<16xf32>
  }
  return
})";

class HarnessTest : public testing::TestWithParam<std::string> {};

TEST_P(HarnessTest, RunsLoopsOverTasks) {
  GC_SKIP_UNLESS_RUNNABLE(GetParam());
  auto kernel = CompiledKernel::compile(scaledExp, "kernel", GetParam());
  ASSERT_TRUE(bool(kernel)) << toString(kernel.takeError());
  std::vector<float> x(64), y(64, -1.0f);
  for (int i = 0; i < 64; ++i)
    x[i] = 0.1f * i - 3;
  llvm::Error error = (*kernel)->run({{buffer(x), buffer(y)}}, {{16, 48}});
  ASSERT_FALSE(bool(error)) << toString(std::move(error));
  for (int i = 0; i < 64; ++i) {
    double expected = i < 16 || i >= 48 ? -1 : std::exp((double)x[i]) * (i % 16) + x[i];
    EXPECT_NEAR(y[i], expected, 1e-6 * (1 + std::abs(expected))) << i;
  }
}

TEST_P(HarnessTest, SeesWritesOutsideBuffers) {
  GC_SKIP_UNLESS_RUNNABLE(GetParam());
  auto kernel = CompiledKernel::compile(scaledExp, "kernel", GetParam());
  ASSERT_TRUE(bool(kernel)) << toString(kernel.takeError());
  std::vector<float> x(64), y(64);
  llvm::Error error = (*kernel)->run({{buffer(x), buffer(y)}}, {{48, 80}});
  EXPECT_EQ(toString(std::move(error)), "kernel wrote outside buffer 1");
}

INSTANTIATE_TEST_SUITE_P(Variants, HarnessTest, testing::ValuesIn(cpuVariants()), [](auto &info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

TEST(Variants, UnknownNamesAreRefusedWithTheKnownOnes) {
  auto found = findVariant("z80");
  ASSERT_FALSE(bool(found));
  EXPECT_NE(toString(found.takeError()).find("x86-64-v3"), std::string::npos);
}

TEST(LinkImage, RefusesUndefinedSymbols) {
  auto kernel = CompiledKernel::compile(R"(
func.func private @elsewhere(%i: index)
func.func private @kernel(%begin: index, %end: index) attributes {kernel.function} {
  func.call @elsewhere(%begin) : (index) -> ()
  return
})",
                                        "kernel", "x86-64-v3");
  ASSERT_FALSE(bool(kernel));
  EXPECT_NE(toString(kernel.takeError()).find("elsewhere"), std::string::npos);
}

} // namespace
} // namespace gcompile::test
