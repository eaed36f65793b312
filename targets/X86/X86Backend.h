// x86-64: AVX2 (x86-64-v3) and AVX-512 with VNNI.
#pragma once

#include "targets/TargetBackend.h"

namespace gcompile {

const TargetBackend &x86Backend();

} // namespace gcompile
