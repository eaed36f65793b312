// Quantized checkpoints over safetensors (docs/formats-read.md): mobile QAT, compressed-tensors,
// ModelOpt, MLX, GPTQ, AutoRound, AWQ, bitsandbytes. The form is told by the configuration and
// confirmed by the tensors; where they disagree the checkpoint is refused and both are named.
#pragma once

#include "compiler/Import/Checkpoint.h"
#include "compiler/Import/Gemma4Tensors.h"

namespace gcompile {

// Where tools put their settings when config.json has no quantization_config.
struct QuantSettingsFile {
  llvm::StringRef name, method; // method: where the file itself states none
};
inline constexpr QuantSettingsFile quantSettingsFiles[] = {
    {"hf_quant_config.json", "modelopt"},
    {"quantize_config.json", "gptq"},
    {"quant_config.json", "awq"},
};
// The method of such a file.
llvm::Expected<std::string> quantMethodOf(const QuantSettingsFile &file, llvm::StringRef text);

struct QuantizedSource {
  std::unique_ptr<Checkpoint> raw;             // tensors as they are in the files
  llvm::StringRef configText;                  // config.json
  const QuantSettingsFile *settings = nullptr; // the file that stands in for it, if one does …
  llvm::StringRef settingsText;                // … and what it says
  llvm::ArrayRef<TensorSpec> expectedTensors;  // of the text model
};

// Needs config.json with a quantization_config (or MLX's `quantization`), or a file of settings.
llvm::Expected<std::unique_ptr<Checkpoint>> openQuantized(QuantizedSource source);

} // namespace gcompile
