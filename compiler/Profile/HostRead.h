// The read bandwidth of this machine, measured in a fifth of a second and kept for an hour, so that
// asking again with another budget takes no longer than planning. It serves predictions for
// `--target host` alone. A machine that is shared may be several times faster an hour later;
// whoever needs more than a first idea calibrates (`gcompile calibrate`).
#pragma once

#include "llvm/ADT/StringRef.h"

#include <cstdint>
#include <optional>
#include <string>

namespace gcompile {

// Bytes a second that `threads` threads read from buffers of their own: the best of a few passes.
double readBandwidth(int64_t threads, int64_t bytesPerThread);

struct HostRead {
  double bytesPerSecond = 0;
  int64_t measuredAt = 0; // seconds since 1970
};

// What a figure holds for: another machine, or another number of threads, has a file of its own.
struct ReadIdentity {
  std::string processor;
  int64_t memoryBytes = 0, threads = 1, bytesPerThread = 0;
};

constexpr int64_t hostReadSeconds = 3600; // that a figure is used for

// The kept figure if there is one that is whole and of the last hour, else a new one.
HostRead hostRead(const ReadIdentity &machine, int64_t now, bool remeasure);

// The file's text, and back; none when it is damaged, too old, or of the future.
std::string hostReadText(const HostRead &read);
std::optional<HostRead> parseHostRead(llvm::StringRef text, int64_t now);

std::string dateAndTime(int64_t seconds); // "2026-11-21 16:20 UTC"

} // namespace gcompile
