// Compiles one kernel function for a code variant and runs it: natively in this process, AArch64
// under qemu through the static driver KernelDriver.c. Arguments are those of a kernel function:
// buffers, then integers (rows, position, …, begin, end). Buffers are copied to 128-byte aligned
// memory between guard zones, which are checked after the run: a kernel that writes outside its
// buffers fails here.
#pragma once

#include "targets/TargetRegistry.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace gcompile::test {

// Memory that a kernel reads or writes; results are copied back.
struct Buffer {
  void *data;
  size_t bytes;
};

template <class T>
Buffer buffer(std::vector<T> &values) {
  return {values.data(), values.size() * sizeof(T)};
}

// Calls one after the other on the same buffers; integers of each: rows, position, …, begin, end.
struct Calls {
  std::vector<Buffer> buffers;
  std::vector<std::vector<int64_t>> integers;
};

enum class Place { Native, Qemu, Nowhere };
// Where a variant's code can run on this machine.
Place placeOf(llvm::StringRef variant);

class CompiledKernel {
public:
  // `source`: a module, or the body of one, with a kernel function of this name. The variant's
  // kernel.target is set here.
  static llvm::Expected<std::unique_ptr<CompiledKernel>>
  compile(llvm::StringRef source, llvm::StringRef function, llvm::StringRef variant);
  ~CompiledKernel();

  llvm::Error run(std::span<const Buffer> buffers, std::span<const int64_t> integers) const;
  // Under an emulator all in one process: starting one and translating the code again takes far
  // longer than a call.
  llvm::Error run(std::span<const Calls> all) const;
  // The native code; null for foreign variants. Cast to void (*)(void *…, int64_t…).
  void *address() const { return entry; }
  const CodeImage &image() const { return code; }

private:
  CompiledKernel() = default;
  class GuardedBuffers;
  void runNative(const GuardedBuffers &buffers, std::span<const int64_t> integers) const;
  llvm::Error runQemu(std::span<const Calls> all, std::span<GuardedBuffers> guarded) const;

  Place place = Place::Nowhere;
  std::string variantName;
  CodeImage code;
  uint64_t entryOffset = 0;
  void *mapping = nullptr;
  void *entry = nullptr;
};

// A module with the kernel function @kernel(arguments…, %begin, %end) of one operation.
// `arguments`: "%x: memref<4x8xf32>, %rows: index".
std::string kernelModule(llvm::StringRef arguments, llvm::StringRef operation);

// Assembly of the same, for measuring and looking.
llvm::Expected<std::string> compileToAssembly(llvm::StringRef source, llvm::StringRef function,
                                              llvm::StringRef variant);

// The variants of CPUs, as parameters of tests.
std::vector<std::string> cpuVariants();

// Skips the test when the variant cannot run here.
#define GC_SKIP_UNLESS_RUNNABLE(variant)                                                           \
  if (::gcompile::test::placeOf(variant) == ::gcompile::test::Place::Nowhere)                      \
  GTEST_SKIP() << "code of " << (variant) << " cannot run here (CPU or qemu missing)"

} // namespace gcompile::test
