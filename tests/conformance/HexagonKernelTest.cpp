// Every kernel operation in every format becomes a Hexagon object, which is linked with
// runtime/hexagon and run under qemu-hexagon: outputs must equal the reference, or a CPU's, bit for
// bit. Skipped, saying why, where clang's Hexagon target or the emulator is missing.
#include "tests/conformance/KernelCases.h"
#include "tests/conformance/KernelHarness.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FileUtilities.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/Regex.h"
#include "llvm/Support/raw_ostream.h"

#include <cstring>
#include <map>
#include <set>

namespace gcompile::test {
namespace {

constexpr size_t guardBytes = 256, mostBuffers = 8, mostIntegers = 6;
constexpr uint8_t guardByte = 0xA5;

// Files of one run, removed with it.
class Workplace {
public:
  Workplace() {
    if (std::error_code failure = llvm::sys::fs::createUniqueDirectory("hexagon", folder))
      ADD_FAILURE() << failure.message();
  }
  ~Workplace() { llvm::sys::fs::remove_directories(folder); }
  std::string path(const char *name) const { return (folder + "/" + name).str(); }
  void write(const char *name, llvm::ArrayRef<uint8_t> bytes) const {
    std::error_code failure;
    llvm::raw_fd_ostream stream(path(name), failure);
    stream << llvm::toStringRef(bytes);
  }

private:
  llvm::SmallString<128> folder;
};

// Runs a program; its output is part of the failure.
testing::AssertionResult succeeds(std::vector<std::string> command, const Workplace &place) {
  std::vector<llvm::StringRef> arguments(command.begin(), command.end());
  std::string messages = place.path("messages"), why;
  std::optional<llvm::StringRef> redirects[] = {std::nullopt, messages, messages};
  int status =
      llvm::sys::ExecuteAndWait(command[0], arguments, std::nullopt, redirects, 60, 0, &why);
  if (status == 0)
    return testing::AssertionSuccess();
  auto said = llvm::MemoryBuffer::getFile(messages);
  return testing::AssertionFailure() << command[0] << " ended with " << status << ": " << why
                                     << (said ? (*said)->getBuffer().take_front(2000).str() : "");
}

std::string toolMissing() {
  if (llvm::StringRef(GC_HEXAGON_OBJECTS).empty())
    return "no clang with a Hexagon target was found: runtime/hexagon was not built";
  if (llvm::StringRef(GC_QEMU_HEXAGON).empty())
    return "qemu-hexagon was not found (package qemu-user)";
  return {};
}

// The buffers in one arena: offsets of 64 modulo 128, the least alignment that 0001 promises, with
// guard zones around them.
struct Arena {
  std::vector<uint8_t> bytes;
  std::vector<size_t> offsets;

  explicit Arena(const KernelCase &kernelCase) {
    size_t end = 0;
    for (const KernelArgument &argument : kernelCase.arguments) {
      offsets.push_back((end + guardBytes + 127) / 128 * 128 + 64);
      end = offsets.back() + argument.bytes.size();
    }
    bytes.assign(end + guardBytes, guardByte);
    for (size_t i = 0; i < offsets.size(); ++i)
      llvm::copy(kernelCase.arguments[i].bytes, bytes.begin() + offsets[i]);
  }
  // Everything as it has to be after the run.
  Arena expected(const KernelCase &kernelCase) const {
    Arena result = *this;
    for (size_t i = 0; i < offsets.size(); ++i)
      if (kernelCase.arguments[i].access == Access::Output)
        llvm::copy(kernelCase.arguments[i].expected, result.bytes.begin() + offsets[i]);
    return result;
  }
};

void link(llvm::ArrayRef<uint8_t> object, const Workplace &place) {
  auto linker = findLinker();
  ASSERT_TRUE(bool(linker)) << toString(linker.takeError());
  place.write("kernel.o", object);
  std::vector<std::string> command = {*linker, "-static", "-o", place.path("run")};
  llvm::SmallVector<llvm::StringRef> objects;
  llvm::StringRef(GC_HEXAGON_OBJECTS).split(objects, ':');
  for (llvm::StringRef name : objects)
    command.push_back(name.str());
  command.push_back(place.path("kernel.o"));
  ASSERT_TRUE(succeeds(command, place));
}

// Hexagon makes negative NaNs, which choose_experts puts last where CPUs put a positive one first:
// a logit that is none is compared as the largest one instead.
void replaceNaN(KernelArgument &argument) {
  for (size_t at = 0; at + 4 <= argument.bytes.size(); at += 4) {
    float value;
    memcpy(&value, argument.bytes.data() + at, 4);
    if (std::isnan(value)) {
      value = 1000;
      memcpy(argument.bytes.data() + at, &value, 4);
    }
  }
}

void runAndCompare(const KernelCase &kernelCase, const Workplace &place) {
  Arena before(kernelCase);
  std::vector<int32_t> header = {(int32_t)before.bytes.size(), (int32_t)before.offsets.size(),
                                 (int32_t)kernelCase.integers.size()};
  header.insert(header.end(), before.offsets.begin(), before.offsets.end());
  header.resize(3 + mostBuffers);
  header.insert(header.end(), kernelCase.integers.begin(), kernelCase.integers.end());
  header.resize(3 + mostBuffers + mostIntegers);
  std::vector<uint8_t> input(header.size() * sizeof(int32_t));
  memcpy(input.data(), header.data(), input.size());
  input.insert(input.end(), before.bytes.begin(), before.bytes.end());
  place.write("input", input);
  ASSERT_TRUE(succeeds(
      {GC_QEMU_HEXAGON, place.path("run"), place.path("input"), place.path("output")}, place));
  auto output = llvm::MemoryBuffer::getFile(place.path("output"));
  ASSERT_TRUE(bool(output));
  std::vector<uint8_t> wanted = before.expected(kernelCase).bytes;
  ASSERT_EQ((*output)->getBufferSize(), wanted.size());
  const auto *got = reinterpret_cast<const uint8_t *>((*output)->getBufferStart());
  size_t wrong = 0, first = 0;
  for (size_t i = wanted.size(); i-- > 0;)
    if (got[i] != wanted[i]) {
      ++wrong;
      first = i;
    }
  size_t buffer = 0;
  while (buffer + 1 < before.offsets.size() && before.offsets[buffer + 1] <= first)
    ++buffer;
  EXPECT_EQ(wrong, 0u) << "bytes differ, first " << (ptrdiff_t)(first - before.offsets[buffer])
                       << " of buffer " << buffer;
}

// The format with blocks that a case is about; null: none. These have the loops of all targets,
// which take groups of rows; the other integer formats have loops for HVX.
const WeightFormatInfo *blockFormatOf(const std::string &caseName) {
  for (const WeightFormatInfo &format : weightFormats())
    if (format.block && caseName.find(format.name) != std::string::npos)
      return &format;
  return nullptr;
}

// What products on Hexagon refuse by name; empty: nothing.
std::string refusalOf(const std::string &caseName) {
  if (caseName.starts_with("matmul_integer_experts") && !blockFormatOf(caseName))
    return "groups of rows";
  return caseName.starts_with("matmul_float") && caseName.find("nf4") != std::string::npos
             ? "nf4 weights"
             : "";
}

class HexagonKernels : public testing::TestWithParam<std::string> {};

TEST_P(HexagonKernels, EqualBitForBit) {
  std::string missing = toolMissing();
  std::map<std::string, std::unique_ptr<CompiledKernel>> kernels;
  std::set<const WeightFormatInfo *> seenBlocks;
  for (KernelCase &kernelCase : casesOf(GetParam())) {
    SCOPED_TRACE(kernelCase.name);
    // Scalar code, slow under an emulator: one case of each.
    if (const WeightFormatInfo *format = blockFormatOf(kernelCase.name))
      if (GetParam() == "matmul_integer" && !seenBlocks.insert(format).second)
        continue;
    std::unique_ptr<CompiledKernel> &kernel = kernels[kernelCase.source];
    if (!kernel) {
      testing::internal::CaptureStderr(); // where diagnostics go
      auto made = CompiledKernel::compile(kernelCase.source, "kernel", "hexagon-v67");
      std::string diagnostics = testing::internal::GetCapturedStderr();
      if (std::string refusal = refusalOf(kernelCase.name); !refusal.empty()) {
        ASSERT_FALSE(bool(made));
        consumeError(made.takeError());
        EXPECT_NE(diagnostics.find(refusal), std::string::npos) << diagnostics;
        continue;
      }
      ASSERT_TRUE(bool(made)) << toString(made.takeError()) << "\n" << kernelCase.source;
      kernel = std::move(*made);
    }
    if (!missing.empty())
      continue;
    if (GetParam() == "choose_experts")
      replaceNaN(kernelCase.arguments.front());
    llvm::Error error = expectFromCpu(kernelCase);
    ASSERT_FALSE(bool(error)) << toString(std::move(error));
    Workplace place;
    link(kernel->image().bytes, place);
    if (!HasFatalFailure())
      runAndCompare(kernelCase, place);
  }
  if (!missing.empty())
    GTEST_SKIP() << missing << "; objects were made but not run";
}

INSTANTIATE_TEST_SUITE_P(Operations, HexagonKernels, testing::ValuesIn(kernelOperations()),
                         [](const auto &info) { return info.param; });

// Signed weights by signed activations; unsigned codes by a scalar quad, or by a vector of two.
TEST(HexagonProducts, UseVectorInstructions) {
  const std::map<std::string, std::string> instructions = {
      {"matmul_integer_w8_rows1", R"(\.w \+= vrmpy\(v[0-9]+\.b,v[0-9]+\.b\))"},
      {"matmul_integer_w4_rows1", R"(\.w \+= vrmpy\(v[0-9]+\.ub,r[0-9]+\.b\))"},
      {"matmul_integer_w2_rows1", R"(\.w \+= vrmpy\(v[0-9]+\.ub,v[0-9]+\.b\))"}};
  size_t seen = 0;
  for (const KernelCase &kernelCase : casesOf("matmul_integer")) {
    auto found = instructions.find(kernelCase.name);
    if (found == instructions.end())
      continue;
    ++seen;
    auto assembly = compileToAssembly(kernelCase.source, "kernel", "hexagon-v67");
    ASSERT_TRUE(bool(assembly)) << toString(assembly.takeError());
    EXPECT_TRUE(llvm::Regex(found->second).match(*assembly)) << kernelCase.name;
  }
  EXPECT_EQ(seen, instructions.size());
}

} // namespace
} // namespace gcompile::test
