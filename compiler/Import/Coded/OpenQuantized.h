// Quantized checkpoints over safetensors (docs/formats-read.md): mobile QAT, compressed-tensors,
// ModelOpt, MLX, GPTQ, AutoRound, AWQ, bitsandbytes. The form is told by the configuration and
// confirmed by the tensors; where they disagree the checkpoint is refused and both are named.
#pragma once

#include "compiler/Import/Checkpoint.h"
#include "compiler/Import/Gemma4Tensors.h"

namespace gcompile {

struct QuantizedSource {
  std::unique_ptr<Checkpoint> raw;            // tensors as they are in the files
  llvm::StringRef configText;                 // config.json
  llvm::StringRef extraText;                  // quantize_config.json or hf_quant_config.json; or ""
  llvm::ArrayRef<TensorSpec> expectedTensors; // of the text model
};

// Needs config.json with a quantization_config (or MLX's `quantization`).
llvm::Expected<std::unique_ptr<Checkpoint>> openQuantized(QuantizedSource source);

} // namespace gcompile
