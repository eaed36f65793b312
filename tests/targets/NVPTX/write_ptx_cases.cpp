// Writes what run_ptx runs: write_ptx_cases VARIANT FOLDER makes NAME.ptx and NAME.case of every
// kernel case (tests/conformance/KernelCases.h); the format stands in run_ptx.c.
#include "tests/conformance/KernelCases.h"
#include "tests/conformance/KernelHarness.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/raw_ostream.h"

using namespace gcompile::test;

namespace {

constexpr uint64_t magic = 0x3165736163787470; // "ptxcase1"
constexpr size_t mostBuffers = 8, mostIntegers = 6;

void append(std::vector<uint8_t> &bytes, const std::vector<uint8_t> &more) {
  bytes.insert(bytes.end(), more.begin(), more.end());
}

std::vector<uint8_t> bytesOf(const KernelCase &kernelCase) {
  std::vector<uint64_t> header = {magic, kernelCase.arguments.size(), kernelCase.integers.size()};
  header.resize(3 + 2 * mostBuffers + mostIntegers);
  std::vector<uint8_t> buffers;
  for (size_t i = 0; i < kernelCase.arguments.size(); ++i) {
    const KernelArgument &argument = kernelCase.arguments[i];
    header[3 + i] = argument.bytes.size();
    header[3 + mostBuffers + i] = argument.access == Access::Output;
    append(buffers, argument.bytes);
    if (argument.access == Access::Output)
      append(buffers, argument.expected);
  }
  for (size_t i = 0; i < kernelCase.integers.size(); ++i)
    header[3 + 2 * mostBuffers + i] = kernelCase.integers[i];
  const auto *words = reinterpret_cast<const uint8_t *>(header.data());
  std::vector<uint8_t> bytes(words, words + header.size() * sizeof(uint64_t));
  append(bytes, buffers);
  return bytes;
}

llvm::Error write(const llvm::Twine &path, llvm::StringRef bytes) {
  std::error_code failure;
  llvm::raw_fd_ostream stream(path.str(), failure);
  if (failure)
    return llvm::createStringError(failure, "cannot write '" + path + "'");
  stream << bytes;
  return llvm::Error::success();
}

llvm::Error writeCases(llvm::StringRef variant, const llvm::Twine &folder) {
  if (std::error_code failure = llvm::sys::fs::create_directories(folder))
    return llvm::createStringError(failure, "cannot make '" + folder + "'");
  for (KernelCase &kernelCase : kernelCases()) {
    if (llvm::Error error = expectFromCpu(kernelCase))
      return error;
    auto kernel = CompiledKernel::compile(kernelCase.source, "kernel", variant);
    if (!kernel)
      return kernel.takeError();
    llvm::ArrayRef<uint8_t> ptx = (*kernel)->image().bytes;
    std::vector<uint8_t> bytes = bytesOf(kernelCase);
    if (llvm::Error error = write(folder + "/" + kernelCase.name + ".ptx",
                                  llvm::toStringRef(ptx.drop_back()))) // the zero stays out
      return error;
    if (llvm::Error error =
            write(folder + "/" + kernelCase.name + ".case", llvm::toStringRef(bytes)))
      return error;
  }
  return llvm::Error::success();
}

} // namespace

int main(int argc, char **argv) {
  if (argc != 3) {
    llvm::errs() << "usage: write_ptx_cases VARIANT FOLDER\n";
    return 2;
  }
  if (llvm::Error error = writeCases(argv[1], argv[2])) {
    llvm::errs() << "write_ptx_cases: error: " << toString(std::move(error)) << "\n";
    return 1;
  }
}
