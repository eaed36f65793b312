// The reader of plan files. Whatever it accepts is shown without control characters and reads back
// to the same.
#include "compiler/Plan/PlanReport.h"
#include "compiler/Plan/PlanText.h"

#include "llvm/Support/FormatVariadic.h"

#include <cstdlib>

using namespace gcompile;

static void require(bool condition) {
  if (!condition)
    std::abort();
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  llvm::StringRef text(reinterpret_cast<const char *>(data), size);
  llvm::Expected<Plan> plan = parsePlan(text, "fuzz");
  if (!plan) {
    require(!llvm::toString(plan.takeError()).empty());
    return 0;
  }
  for (char c : planReport(*plan))
    require(c == '\n' || (c >= ' ' && c < 127));
  require(!llvm::formatv("{0}", llvm::json::Value(planJson(*plan))).str().empty());
  std::string kept = planText(*plan);
  llvm::Expected<Plan> again = parsePlan(kept, "fuzz");
  require(bool(again) && planText(*again) == kept);
  return 0;
}
