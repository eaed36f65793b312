// One small run of every kernel operation in every format: what backends without a CPU's test
// suites (NVPTX, Hexagon) are compared on. Expected outputs come from tests/reference where the
// contract fixes every rounding (products, quantization), else from the plainest CPU variant that
// runs here, which its own suites hold against the double-precision reference.
#pragma once

#include "llvm/Support/Error.h"

#include <cstdint>
#include <string>
#include <vector>

namespace gcompile::test {

enum class Access { Input, Output };

struct KernelArgument {
  std::vector<uint8_t> bytes; // before the run
  Access access = Access::Input;
  std::vector<uint8_t> expected; // of outputs, once known
};

struct KernelCase {
  std::string name;      // an identifier: "matmul_integer_w4g32"
  std::string operation; // "matmul_integer"
  std::string source;    // a module with the kernel function @kernel
  std::vector<KernelArgument> arguments;
  std::vector<int64_t> integers; // after the buffers; begin and end task last
};

std::vector<KernelCase> kernelCases();
// Every operation's name, and the cases of one.
std::vector<std::string> kernelOperations();
std::vector<KernelCase> casesOf(const std::string &operation);

// Fills in what is expected of outputs that have no reference here. Fails when no CPU variant runs.
llvm::Error expectFromCpu(KernelCase &kernelCase);

} // namespace gcompile::test
