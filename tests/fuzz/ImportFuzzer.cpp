// One libFuzzer program per target: GC_FUZZ_TARGET names the function of ImportTargets.h.
#include "tests/fuzz/ImportTargets.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
  gcompile::GC_FUZZ_TARGET({reinterpret_cast<const char *>(bytes), size});
  return 0;
}
