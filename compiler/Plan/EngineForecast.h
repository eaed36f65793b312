// What a plan's model would do on the engines of its device, and on the best split over two of them
// (docs/decisions/0010). A forecast: gcompile compiles for one of them. Seconds, and tokens per
// second; 0: not predicted.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace gcompile {

// The whole model on one engine; files and the choice of a token stay with the processor, and
// handing over to it and back counts where it is known.
struct EngineSpeed {
  std::string name, title, through;
  bool ownBandwidth = false; // else the device's, since the memory is shared
  double decode = 0, decodeLow = 0, decodeHigh = 0;
  double prefill = 0, prefillLow = 0, prefillHigh = 0;
};

// What an engine has of a split.
struct EngineShare {
  std::string engine;
  int64_t blocks = 0;
  double seconds = 0; // of one token, or of the prompt
};

struct EngineBlock {
  std::string name;
  int64_t layer = -1;
  std::array<double, 2> seconds{}; // on each of the two; infinity: it cannot
  uint8_t engine = 0;              // that has it
};

struct EngineSplitForecast {
  double tokensPerSecond = 0, low = 0, high = 0;
  int64_t handovers = 0;      // of one token, or of one chunk of the prompt
  double handoverSeconds = 0; // of all of them, in one token or the prompt
  std::vector<EngineShare> shares;
  std::vector<EngineBlock> blocks; // in order; not in files
};

// What one handover takes, as the profile states it.
struct HandoverFigure {
  double seconds = 0, low = 0, high = 0;
  std::string source, confidence;
};

struct EngineForecast {
  std::string compiled; // the engine that gcompile emits programs for
  std::vector<EngineSpeed> engines;
  // Of the two engines that decode fastest together. Absent: no handover is stated.
  std::vector<std::string> splitEngines;
  std::optional<HandoverFigure> handover;
  std::optional<EngineSplitForecast> decode, prefill;
};

} // namespace gcompile
