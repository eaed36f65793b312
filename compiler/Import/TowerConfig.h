// The vision and audio parts of a checkpoint as far as planning needs them: shapes alone. The
// towers are planned, not compiled, so a part that is described differently than the published ones
// is absent rather than an error.
#pragma once

#include "llvm/Support/JSON.h"

#include <cstdint>
#include <optional>

namespace gcompile {

struct VisionConfig {
  bool unified = false; // no tower: patches are projected straight into the stream (12B)
  int64_t layers = 0, hidden = 0, intermediate = 0, heads = 0, headDim = 0;
  int64_t patch = 0, pooling = 0; // pixels of a patch's side; patches of a soft token's side
  int64_t positions = 0;          // rows of each position table
  bool clipped = false, standardized = false;
  int64_t softTokens = 280; // of one image, at most
};

struct AudioConfig {
  bool unified = false; // raw frames are projected straight into the stream (12B)
  int64_t layers = 0, hidden = 0, heads = 0, kernel = 0, output = 0;
  int64_t channels0 = 0, channels1 = 0, melBins = 128;
  bool clipped = false;
  int64_t frame = 0;        // samples of a raw frame
  int64_t softTokens = 750; // of the longest clip: 30 s at 25 a second
};

std::optional<VisionConfig> parseVisionConfig(const llvm::json::Object &vision,
                                              const llvm::json::Object &outer);
std::optional<AudioConfig> parseAudioConfig(const llvm::json::Object &audio);

} // namespace gcompile
