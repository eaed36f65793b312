// A model compiled into a temporary file to be measured, whose weights can be replaced in place: a
// float program takes the decoded values of any format (compiler/Quantize/RoundTrip.h), so that
// hundreds of choices are tried with one compile.
#pragma once

#include "compiler/Codegen/CompileModel.h"
#include "compiler/Import/ImportModel.h"
#include "compiler/Measure/ModelRunner.h"

#include <map>
#include <memory>

namespace gcompile {

// The formats of one whole model.
struct ModelFormats {
  WeightFormat weights = WeightFormat::F32; // of tensors that `tensors` does not name
  std::map<std::string, WeightFormat> tensors;
  KvFormat localKv = KvFormat::F32, globalKv = KvFormat::F32;
  // Static activations; absent: those that the checkpoint was made for.
  std::optional<std::map<std::string, ActivationScales>> activationScales;
  std::optional<std::map<int64_t, CacheScaleChoice>> cacheScales; // likewise

  // As a tensor takes it: row tables know fewer formats.
  WeightFormat of(const std::string &name, bool rowTable) const;
};

// Float weights that a model is measured with: bf16 where f32 would take much memory.
WeightFormat measuringFormat(const ModelConfig &config);

struct ProbeOptions {
  int64_t context = 512; // positions
  int64_t scoreRows = 64;
  int64_t jobs = 0; // threads of packing and running; 0: as many as the machine has
  const std::atomic<bool> *cancel = nullptr;
  ModuleOutput output; // other than logits: for ObserveInputs.cpp
};

class ProbeModel {
public:
  // Compiles for this machine. Errors: a processor without a back end, an architecture that cannot
  // be compiled yet, no room for the file.
  static llvm::Expected<std::unique_ptr<ProbeModel>>
  compile(const ImportedModel &model, const ModelFormats &formats, const ProbeOptions &options);
  ~ProbeModel();
  ProbeModel(const ProbeModel &) = delete;
  ProbeModel &operator=(const ProbeModel &) = delete;

  ModelRunner &runner() { return *openRunner; }
  int64_t scoreRows() const { return lowered.memory.scoreRows; }

  // Replaces a tensor's values by what `format` makes of them; a format that holds them exactly
  // puts them back. The program has to hold the tensor as floats.
  llvm::Error setFormat(const std::string &tensor, WeightFormat format);

private:
  ProbeModel(const ImportedModel &model) : model(model) {}
  llvm::Error writeMatrix(const PlacedWeight &weight, const TensorInfo &tensor,
                          WeightFormat format);
  llvm::Error writeTable(const PlacedWeight &weight, const TensorInfo &tensor, WeightFormat format);
  llvm::Error write(uint64_t offset, llvm::ArrayRef<uint8_t> bytes);

  const ImportedModel &model;
  LoweredModel lowered;
  std::map<std::string, const TensorInfo *> tensors; // by canonical name
  std::unique_ptr<ModelRunner> openRunner;
  int file = -1; // writable
  uint64_t weightsOffset = 0, tableOffset = 0;
};

} // namespace gcompile
