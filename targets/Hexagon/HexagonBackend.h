// Qualcomm's Hexagon DSP with HVX vectors of 128 bytes (v67). An image is an ELF object for the
// 32-bit ABI (an index has 32 bits, pointers too), to be linked with runtime/hexagon. Integer
// products run on HVX; floats are scalar, as v67's vectors have none.
#pragma once

#include "targets/TargetBackend.h"

namespace gcompile {

const TargetBackend &hexagonBackend();

} // namespace gcompile
