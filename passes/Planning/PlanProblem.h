// The planning problem as a plain value: items that each take one option, couplings between them,
// fixed bytes and one byte budget. A weight tensor, the KV caches of one layer type, and a row
// table with its placement are all items, so that one solver weighs a byte of any of them against a
// byte of any other. Sizes are bytes, losses nats per token, times seconds per decoded token.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace gcompile {

struct PlanOption {
  std::string format;      // "w4", "kv8/kv4", "storage:w4"; names are unique within an item
  int64_t bytes = 0;       // resident
  double loss = 0;         // expected KL of this choice alone
  double seconds = 0;      // expected time it adds to one decoded token
  bool supported = true;   // the target has a tested kernel for it, and the user allows it
  int64_t storedBytes = 0; // in the artifact though not resident (tables on storage)
};

enum class ItemKind : uint8_t { Weight, Table, KvCache };

struct PlanItem {
  std::string name, role;
  ItemKind kind = ItemKind::Weight;
  int64_t layer = -1;
  int64_t n = 0, k = 0;
  std::vector<PlanOption> options;
};

// What items may take together. Without rows: all take options of the same name (tied tensors, a KV
// donor and its readers, fused projections of one format). With rows: the names taken, in the order
// of `items`, are those of one row, where an empty name stands for any ("only if that one has this
// format"). An item may be in several couplings.
struct Coupling {
  std::string reason;
  std::vector<size_t> items;
  std::vector<std::vector<std::string>> rows = {};
};

// Items that hang together through couplings are decided as one. More joint choices than this are
// refused by `check`.
constexpr size_t maxJointChoices = size_t(1) << 16;

struct PlanProblem {
  std::vector<PlanItem> items;
  std::vector<Coupling> couplings;
  int64_t fixedBytes = 0; // activations, code, runtime, encoders, tensors without a choice
  int64_t budgetBytes = 0;
  double fixedSeconds = 0;                                     // of a token, whatever is chosen
  double maxSeconds = std::numeric_limits<double>::infinity(); // --min-decode
  // Exchange rates of the objective: nats that a second of a token, and a byte of the artifact, are
  // worth.
  double lossPerSecond = 0, lossPerStoredByte = 0;
};

// loss + lossPerSecond · seconds + lossPerStoredByte · storedBytes, of one option.
double objectiveOf(const PlanProblem &problem, const PlanOption &option);

struct PlanSolution {
  std::vector<size_t> choice; // option index per item
};

// Times are summed in whole picoseconds, so that a sum does not depend on its order and every
// solver agrees with `verify` on what meets the limit, to the last one.
int64_t picoseconds(double seconds);

// maxSeconds in picoseconds, less the fixed ones: what the options may take together.
int64_t picosecondsLeft(const PlanProblem &problem);

// What a solution costs. `objective` = loss + lossPerSecond · seconds + lossPerStoredByte · stored
// bytes.
struct Evaluation {
  int64_t bytes = 0;
  double loss = 0, seconds = 0, objective = 0;
  int64_t picoseconds = 0; // of the options alone
};

// Empty when the problem makes sense; else one line that names what is wrong.
std::string check(const PlanProblem &problem);

// What the sum of an item's loss, time and storage is worth does not depend on other items: what
// truly interacts has to be one item. Assumes that `verify` of everything but the limits would
// pass.
Evaluation evaluate(const PlanProblem &problem, const PlanSolution &solution);

// Empty when the solution is valid, supported, coupled and within both limits; else one line that
// says why not.
std::string verify(const PlanProblem &problem, const PlanSolution &solution);

} // namespace gcompile
