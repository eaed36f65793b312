// What every format costs every matrix of a model: relative squared errors on a sample of its rows
// (compiler/Quantize/MeasureError.h), measured or, when the same rows were measured before, taken
// from the cache folder.
#pragma once

#include "compiler/Import/ImportModel.h"
#include "compiler/Measure/ObserveInputs.h"
#include "passes/Cost/QualityModel.h"

namespace gcompile {

struct TensorErrorOptions {
  int64_t sampleRows = 16;
  unsigned jobs = 0;                     // 0: as many as the machine has
  const InputMoments *moments = nullptr; // weigh errors by these
};

// Fills in errors and source formats of the matrices of `quality`, and its basis.
llvm::Error measureTensorErrors(const ImportedModel &model, const TensorErrorOptions &options,
                                QualityModel &quality);

// What the errors without moments are a function of, as text: names, shapes, types, formats, and a
// hash of the very rows that are sampled. With `hashed` it asks the checkpoint for the hash of the
// whole content instead: cheap for generated weights, whose rows are not.
llvm::Expected<std::string> errorIdentity(const ImportedModel &model,
                                          const TensorErrorOptions &options, bool hashed);

// As measureTensorErrors without moments, but what was measured of the same content before is taken
// from the cache folder, unless `remeasure`; a file there that is damaged or of something else is
// written anew, and a folder that cannot be written is no error: the figures are the same bits
// either way. `hashed` as above.
struct KeptErrorOptions {
  TensorErrorOptions measuring;
  bool hashed = false, remeasure = false;
};
llvm::Error keptTensorErrors(const ImportedModel &model, const ModelShape &shape,
                             const KeptErrorOptions &options, QualityModel &quality);

} // namespace gcompile
