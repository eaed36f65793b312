// NVIDIA GPUs, through PTX: sm_80 and sm_90. An image is PTX text in which every kernel is an
// `.entry`; the driver of the device compiles it. Untuned: each thread does whole tasks.
#pragma once

#include "targets/TargetBackend.h"

namespace gcompile {

const TargetBackend &nvptxBackend();

} // namespace gcompile
