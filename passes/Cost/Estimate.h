// What an estimate says: a time as a sum of named terms, the term that dominates, and an interval.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace gcompile {

// One cause of time, in seconds of the step that is estimated.
struct TimeTerm {
  std::string name; // "weights", "head", "kv_cache", "launches", "layers", "storage", …
  double seconds = 0;
  std::string_view limit; // what the machine waits for: "memory bandwidth", "arithmetic", …
};

struct TimeEstimate {
  std::vector<TimeTerm> terms;
  double low = 0, high = 0; // seconds: all figures of the machine at their fast and slow ends

  double seconds() const {
    double sum = 0;
    for (const TimeTerm &term : terms)
      sum += term.seconds;
    return sum;
  }
  bool known() const { return !terms.empty(); }
  double of(std::string_view name) const; // seconds of a term; 0: none of that name

  // The limit whose terms take the most time together; "" when nothing is known.
  std::string dominantLimit() const;

  void add(std::string_view name, double seconds, std::string_view limit) {
    if (seconds > 0)
      terms.push_back({std::string(name), seconds, limit});
  }
};

// What machines wait for, as written in plans.
inline constexpr std::string_view limitMemory = "memory bandwidth", limitArithmetic = "arithmetic",
                                  limitOperations = "operations", limitBarriers = "barriers",
                                  limitSmall = "small operations", limitStorage = "storage";

} // namespace gcompile
