// Every kernel operation in every format becomes PTX that ptxas accepts, for both variants. Without
// ptxas the PTX is still made and looked at. Results on a GPU: tests/targets/NVPTX/run_ptx.c.
#include "tests/conformance/KernelCases.h"
#include "tests/conformance/KernelHarness.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FileUtilities.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/raw_ostream.h"

#include <set>

namespace gcompile::test {
namespace {

// PTX of a case; empty after a failure.
std::string ptxOf(const KernelCase &kernelCase, llvm::StringRef variant) {
  auto kernel = CompiledKernel::compile(kernelCase.source, "kernel", variant);
  if (!kernel) {
    ADD_FAILURE() << toString(kernel.takeError()) << "\n" << kernelCase.source;
    return {};
  }
  const std::vector<uint8_t> &bytes = (*kernel)->image().bytes;
  return std::string(reinterpret_cast<const char *>(bytes.data()));
}

// Assembles into a cubin; fails the test when ptxas refuses.
void assemble(const std::string &ptx, const std::string &arch) {
  llvm::StringRef ptxas = GC_PTXAS;
  llvm::SmallString<128> input, output, messages;
  ASSERT_FALSE(llvm::sys::fs::createTemporaryFile("kernel", "ptx", input));
  ASSERT_FALSE(llvm::sys::fs::createTemporaryFile("kernel", "cubin", output));
  ASSERT_FALSE(llvm::sys::fs::createTemporaryFile("kernel", "txt", messages));
  llvm::FileRemover removeInput(input), removeOutput(output), removeMessages(messages);
  {
    std::error_code failure;
    llvm::raw_fd_ostream stream(input, failure);
    ASSERT_FALSE(failure);
    stream << ptx;
  }
  std::string archOption = "-arch=" + arch;
  // Code quality is of no interest here, time is.
  llvm::StringRef arguments[] = {ptxas, archOption, "-O1", "-o", output, input};
  std::optional<llvm::StringRef> redirects[] = {std::nullopt, messages.str(), messages.str()};
  int status = llvm::sys::ExecuteAndWait(ptxas, arguments, std::nullopt, redirects);
  auto said = llvm::MemoryBuffer::getFile(messages);
  EXPECT_EQ(status, 0) << (said ? (*said)->getBuffer().str() : "");
  uint64_t size = 0;
  EXPECT_FALSE(llvm::sys::fs::file_size(output, size));
  EXPECT_GT(size, 0u);
}

constexpr llvm::StringRef targetLine = ".target ";

// Without the lines that name the target and the language's version, which each target has a least
// of: what ptxas accepts for one target it accepts for every later one ("PTX code generated for
// some specific compute capability can always be compiled to binary code of greater or equal
// compute capability", CUDA programming guide).
std::string withoutTarget(llvm::StringRef ptx) {
  size_t begin = ptx.find(".version "), end = ptx.find('\n', ptx.find(targetLine));
  return begin < end && end != llvm::StringRef::npos
             ? (ptx.take_front(begin) + ptx.substr(end)).str()
             : ptx.str();
}

void check(llvm::StringRef ptx, llvm::StringRef arch) {
  EXPECT_TRUE(ptx.contains((targetLine + arch).str()));
  EXPECT_TRUE(ptx.contains(".visible .entry kernel("));
  EXPECT_TRUE(ptx.contains("%ctaid.x"));
  EXPECT_FALSE(ptx.contains(".extern"));
  // The contract fixes each rounding: ptxas may fuse `mul` and `add` unless they name theirs.
  for (const char *loose : {"add.f32", "mul.f32", "sub.f32", "div.full", "div.approx",
                            "sqrt.approx", ".ftz", "add.f64", "mul.f64", "sub.f64"})
    EXPECT_FALSE(ptx.contains(loose)) << loose;
}

class NvptxKernels : public testing::TestWithParam<std::string> {};

TEST_P(NvptxKernels, AssemblerAccepts) {
  std::set<std::string> sources; // cases that differ in their active rows alone are one kernel
  for (const KernelCase &kernelCase : casesOf(GetParam())) {
    if (!sources.insert(kernelCase.source).second)
      continue;
    SCOPED_TRACE(kernelCase.name);
    std::string earlier = ptxOf(kernelCase, "nvptx-sm80"), later = ptxOf(kernelCase, "nvptx-sm90");
    ASSERT_FALSE(earlier.empty() || later.empty());
    check(earlier, "sm_80");
    check(later, "sm_90");
    if (llvm::StringRef(GC_PTXAS).empty())
      continue;
    assemble(earlier, "sm_80");
    if (withoutTarget(earlier) != withoutTarget(later))
      assemble(later, "sm_90");
  }
  if (llvm::StringRef(GC_PTXAS).empty())
    GTEST_SKIP() << "ptxas was found neither in CUDA's folder, nor on PATH, nor in PyPI's "
                    "nvidia-cuda-nvcc: PTX was made but not assembled";
}

INSTANTIATE_TEST_SUITE_P(Operations, NvptxKernels, testing::ValuesIn(kernelOperations()),
                         [](const auto &info) { return info.param; });

} // namespace
} // namespace gcompile::test
