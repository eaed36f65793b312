// The reader of device profiles. Whatever it accepts is finite, has a source, and fits together.
#include "compiler/Profile/DeviceProfile.h"

#include <cmath>
#include <cstdlib>

using namespace gcompile;

static void require(bool condition) {
  if (!condition)
    std::abort();
}

static void requireFact(const Fact &fact) {
  require(std::isfinite(fact.value) && fact.value > 0 && fact.value <= 1e18);
  require(!fact.unit.empty() && !fact.source.empty() && !fact.date.empty());
  require(fact.low == 0 || (fact.low <= fact.value && fact.value <= fact.high));
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  llvm::StringRef text(reinterpret_cast<const char *>(data), size);
  llvm::Expected<DeviceProfile> profile = parseProfile(text, "fuzz");
  if (!profile) {
    std::string message = llvm::toString(profile.takeError());
    require(!message.empty());
    return 0;
  }
  for (const Fact &fact : profile->facts)
    requireFact(fact);
  for (const ExecutionPath &path : profile->paths)
    for (const Fact &fact : path.facts)
      requireFact(fact);
  double memory = profile->value("memory_bytes", 0),
         budget = profile->value("process_budget_bytes", 0);
  require(budget > 0 && budget <= memory);
  require(profile->name.find('/') == std::string::npos);
  // What is kept of it reads back to the same.
  llvm::Expected<DeviceProfile> again = parseProfile(profile->text, "fuzz");
  require(bool(again) && again->text == profile->text &&
          again->facts.size() == profile->facts.size());
  return 0;
}
