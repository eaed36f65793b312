// What kernel lowerings may know of the machine, decoded from `#kernel.target`. It shapes loops and
// names instructions; it never changes a result: every emitter gives the same bits on every target.
#pragma once

#include "ir/Kernel/Kernel.h"

namespace gcompile::kernel {

// The 4-way int8 dot product of the instruction set (KernelDialect.td).
enum class DotProduct { None, Maddubs, Vpdpbusd, Sdot, Usdot, Vrmpy };

struct TargetInfo {
  DotProduct dot = DotProduct::None;
  int64_t vectorBytes = 16;
  int64_t vectorRegisters = 16;
  bool isX86 = false;

  // How many 16-lane (64-byte) values the registers hold together.
  int64_t wideRegisters() const { return vectorBytes * vectorRegisters / 64; }
};

// Reads the attribute of the module around `op`; reports on `op` what is missing or unknown.
mlir::FailureOr<TargetInfo> targetInfo(mlir::Operation *op);

} // namespace gcompile::kernel
