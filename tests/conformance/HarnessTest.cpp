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

llvm::Error linkOf(const char *source) {
  return CompiledKernel::compile(source, "kernel", "x86-64-v3").takeError();
}

TEST(LinkImage, RefusesWritableData) {
  llvm::Error error = linkOf(R"(
llvm.mlir.global internal @counter(1 : i64) : i64
llvm.func @kernel(%begin: i64, %end: i64) {
  %address = llvm.mlir.addressof @counter : !llvm.ptr
  %old = llvm.load volatile %address : !llvm.ptr -> i64
  %new = llvm.add %old, %begin : i64
  llvm.store volatile %new, %address : i64, !llvm.ptr
  llvm.return
})");
  EXPECT_NE(toString(std::move(error)).find("writable"), std::string::npos);
}

TEST(LinkImage, RefusesPointersInConstants) {
  // The table's entry is the address of a function: known only where the image is mapped.
  llvm::Error error = linkOf(R"(
llvm.func internal @target() attributes {passthrough = ["noinline"]} { llvm.return }
llvm.mlir.global internal constant @table() : !llvm.ptr {
  %address = llvm.mlir.addressof @target : !llvm.ptr
  llvm.return %address : !llvm.ptr
}
llvm.func @kernel(%begin: i64, %end: i64) {
  %address = llvm.mlir.addressof @table : !llvm.ptr
  %function = llvm.load volatile %address : !llvm.ptr -> !llvm.ptr
  llvm.call %function() : !llvm.ptr, () -> ()
  llvm.return
})");
  std::string text = toString(std::move(error));
  EXPECT_TRUE(text.find("relocation") != std::string::npos ||
              text.find("writable") != std::string::npos)
      << text;
}

TEST(LinkImage, RefusesWhatIsNoObject) {
  auto image = linkImage("not an object", {"kernel"});
  EXPECT_NE(toString(image.takeError()).find("failed"), std::string::npos);
}

TEST(KernelToLoops, RefusesSumsThatDoNotFit) {
  llvm::Error error = linkOf(R"(
func.func private @kernel(%c: memref<1x65600xi8>, %s: memref<1x1xf32>, %u: memref<1x1xi32>,
    %w: memref<2099456xi8>, %y: memref<1x64xf32>, %rows: index, %begin: index, %end: index)
    attributes {kernel.function} {
  kernel.matmul_integer %c, %s, %u, %w outs(%y) rows %rows {format = "w4", columns = 65600}
      : memref<1x65600xi8>, memref<1x1xf32>, memref<1x1xi32>, memref<2099456xi8>, memref<1x64xf32>
  return
})");
  EXPECT_EQ(toString(std::move(error)), "lowering failed");
}

} // namespace
} // namespace gcompile::test
