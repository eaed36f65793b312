// Which instruction sets of gc_isa this processor and operating system run, and how many CPUs this
// process may use.
#pragma once

#include "runtime/abi/gc_artifact.h"

namespace gcompile::runtime {

bool isSupported(uint32_t isa);      // a gc_isa
const char *isaName(uint32_t isa);   // "v3" … ; "unknown"
uint32_t parseIsa(const char *name); // 0: no such name

// CPUs allowed by affinity, lowered to the CPU quota of the control groups (v1 and v2) this process
// is in; at least 1.
int allowedCpus();

} // namespace gcompile::runtime
