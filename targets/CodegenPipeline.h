// From launches of kernel functions over planned memory (gemma-to-kernel-pipeline) to a module
// wholly in the LLVM dialect, for one code variant. Registered as gemma-codegen{target=VARIANT}.
#pragma once

#include "targets/TargetRegistry.h"

namespace gcompile {

void buildCodegenPipeline(mlir::OpPassManager &manager, BackendVariant target);

void registerCodegenPipeline();

} // namespace gcompile
