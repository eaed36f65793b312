// One kernel function, compiled for the best code variant that runs on this machine, and callable.
// This is how single kernels are measured; whole models run through ModelRunner.
#pragma once

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <cstdint>
#include <memory>
#include <string>

namespace gcompile {

// The variant that the runtime would choose here; "" when no code of ours runs on this processor.
std::string bestHostVariant();

class HostKernel {
public:
  // `operation`: one operation of the kernel dialect on `arguments` ("%x: memref<4x8xf32>, %rows:
  // index"), which are buffers and then integers; %begin and %end follow them.
  static llvm::Expected<std::unique_ptr<HostKernel>>
  compile(llvm::StringRef arguments, llvm::StringRef operation, llvm::StringRef variant);
  ~HostKernel();
  HostKernel(const HostKernel &) = delete;
  HostKernel &operator=(const HostKernel &) = delete;

  // Runs tasks [begin, end). `arguments`: addresses and integers in order, at most 12 with the two.
  void run(llvm::ArrayRef<int64_t> arguments, int64_t begin, int64_t end) const;

private:
  HostKernel() = default;
  void *mapping = nullptr;
  size_t bytes = 0;
  void *entry = nullptr;
};

} // namespace gcompile
