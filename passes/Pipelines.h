// The named pipelines: from an imported model to planned programs, from there to kernel functions.
// gcompile and gcompile-opt build them here. Code generation for a machine goes on in targets/
// (buildCodegenPipeline). Registered names: gemma-prepare, gemma-to-kernel-pipeline.
#pragma once

#include "mlir/Pass/PassManager.h"

#include <string>
#include <vector>

namespace gcompile {

struct PrepareOptions {
  std::vector<std::string> modalities = {"text"};
  int64_t prefillChunk = 128, scoreChunk = 16; // rows
};

// Modalities, KV sharing, phases: what does not depend on formats.
void buildPreparePipeline(mlir::OpPassManager &manager, const PrepareOptions &options = {});

// Planned programs to launches of kernel functions over planned memory.
void buildToKernelPipeline(mlir::OpPassManager &manager);

// Registers the pipelines by name, and nothing else.
void registerPipelines();

// Dialects and interfaces that the pipelines need.
void registerModelDialects(mlir::DialectRegistry &registry);

} // namespace gcompile
