// What was measured of a model, kept as a file in the user's cache folder, so that the next
// compile, for whatever device, need not measure again. The file is text (protobuf), named by a
// hash of all that its content depends on. It is treated as hostile: a file that is damaged, of
// another version or about another model is an error, and the caller measures anew.
#pragma once

#include "passes/Cost/QualityModel.h"

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <string>

namespace gcompile {

struct SensitivityKey {
  std::string checkpoint; // content hash
  std::string text;       // of the calibration text: its content
  std::string options;    // whatever else the figures depend on, as text
  QualityBasis basis = QualityBasis::Sensitivities;

  std::string hash() const; // 32 hex digits; covers the version and the known formats too
};

// Its file in the cache folder (compiler/Support/KeptFile.h).
std::string sensitivityPath(llvm::StringRef folder, const SensitivityKey &key);

std::string sensitivityText(const QualityModel &quality, const SensitivityKey &key,
                            llvm::ArrayRef<WholePlan> wholePlans, int64_t positions);

// Completes `quality` (of a model of that shape) with what the text says; on an error it is
// unchanged. Every matrix of the model has to be in it, and nothing else; on the basis of weights
// some may be missing.
llvm::Error readSensitivity(llvm::StringRef text, const SensitivityKey &key,
                            const ModelShape &shape, QualityModel &quality);

// Reads a file of sealed text (compiler/Support/KeptFile.h). One that does not exist is an error
// like others.
llvm::Error loadSensitivity(llvm::StringRef path, const SensitivityKey &key,
                            const ModelShape &shape, QualityModel &quality);

} // namespace gcompile
