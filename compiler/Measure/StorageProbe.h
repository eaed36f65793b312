// Reads rows at random from a file, as the runtime reads tables on storage: with pread, told not to
// read ahead. Cold: the file's pages are dropped from the page cache first. Seconds, bytes per
// second.
#pragma once

#include "compiler/Measure/Calibrate.h"

namespace gcompile {

constexpr int64_t storageProbeRowBytes = 4608; // a row of E2B's table at 4 bits

struct StorageFigures {
  MeasuredFigure coldRow, warmRow; // seconds a row
  MeasuredFigure sequential;       // bytes per second, cold
  bool pagesWereDropped = false;   // false: cold figures are absent, the system kept the pages
};

// The file lies in $TMPDIR (else /tmp) without a name. Errors: no room, cancelled.
llvm::Expected<StorageFigures> measureStorage(int64_t fileBytes, double seconds,
                                              const std::atomic<bool> *cancel);

} // namespace gcompile
