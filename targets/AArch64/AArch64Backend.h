// AArch64: plain NEON, the dot product extension, and i8mm.
#pragma once

#include "targets/TargetBackend.h"

namespace gcompile {

const TargetBackend &aarch64Backend();

} // namespace gcompile
