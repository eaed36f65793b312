#include "passes/Planning/PlanProblem.h"

#include "passes/Planning/ChoiceGroups.h"

#include <algorithm>
#include <cmath>
#include <set>

namespace gcompile {

static std::string quoted(const std::string &text) { return "'" + text + "'"; }

// Sums are kept well below the range, so that evaluating never overflows.
constexpr int64_t maxBytes = int64_t(1) << 56;
constexpr double maxTotalSeconds = 1e6; // 10^18 picoseconds

static std::string checkItem(const PlanItem &item) {
  std::set<std::string> names;
  bool anySupported = false;
  for (const PlanOption &option : item.options) {
    if (!names.insert(option.format).second)
      return "item " + quoted(item.name) + " has option " + quoted(option.format) + " twice";
    if (option.bytes < 0 || option.bytes > maxBytes)
      return "item " + quoted(item.name) + ", option " + quoted(option.format) + " has " +
             std::to_string(option.bytes) + " bytes, expected 0 to 2^56";
    if (!std::isfinite(option.loss) || !std::isfinite(option.seconds))
      return "item " + quoted(item.name) + ", option " + quoted(option.format) +
             " has a loss or time that is no finite number";
    anySupported |= option.supported;
  }
  if (!anySupported)
    return "item " + quoted(item.name) + " has no supported option";
  return "";
}

// The sums of the largest bytes and times stay below 2^62.
static std::string checkSums(const PlanProblem &problem) {
  double bytes = double(problem.fixedBytes), seconds = 0;
  for (const PlanItem &item : problem.items) {
    double mostBytes = 0, mostSeconds = 0;
    for (const PlanOption &option : item.options) {
      mostBytes = std::max(mostBytes, double(option.bytes));
      mostSeconds = std::max(mostSeconds, std::abs(option.seconds));
    }
    bytes += mostBytes;
    seconds += mostSeconds;
  }
  if (bytes > double(int64_t(1) << 60))
    return "the items' largest options have " + std::to_string(bytes) + " bytes, more than 2^60";
  if (seconds > maxTotalSeconds || !(std::abs(problem.fixedSeconds) <= maxTotalSeconds))
    return "the items' slowest options take " + std::to_string(seconds) + " s, more than " +
           std::to_string(maxTotalSeconds);
  if (std::isnan(problem.maxSeconds) || !std::isfinite(problem.lossPerSecond) ||
      !std::isfinite(problem.lossPerStoredByte))
    return "the time limit or an exchange rate is no number";
  return "";
}

static std::string checkCoupling(const PlanProblem &problem, const Coupling &coupling) {
  std::set<size_t> members;
  for (size_t index : coupling.items) {
    if (index >= problem.items.size())
      return "coupling " + quoted(coupling.reason) + " names item " + std::to_string(index) +
             " of " + std::to_string(problem.items.size());
    if (!members.insert(index).second)
      return "coupling " + quoted(coupling.reason) + " names item " +
             quoted(problem.items[index].name) + " twice";
  }
  for (const std::vector<std::string> &row : coupling.rows) {
    if (row.size() != coupling.items.size())
      return "coupling " + quoted(coupling.reason) + " has a row of " + std::to_string(row.size()) +
             " formats for " + std::to_string(coupling.items.size()) + " items";
    for (size_t i = 0; i < row.size(); ++i) {
      const PlanItem &item = problem.items[coupling.items[i]];
      if (!row[i].empty() &&
          std::none_of(item.options.begin(), item.options.end(),
                       [&](const PlanOption &option) { return option.format == row[i]; }))
        return "coupling " + quoted(coupling.reason) + " names format " + quoted(row[i]) +
               ", which item " + quoted(item.name) + " does not have";
    }
  }
  return "";
}

std::string check(const PlanProblem &problem) {
  if (problem.fixedBytes < 0 || problem.budgetBytes < 0)
    return "fixed bytes and budget must not be negative";
  if (problem.items.size() > 1000000)
    return "more than 1000000 items";
  for (const PlanItem &item : problem.items)
    if (std::string why = checkItem(item); !why.empty())
      return why;
  if (std::string why = checkSums(problem); !why.empty())
    return why;
  bool joint = problem.items.size() > 1000; // groups may be large or have many choices
  for (const Coupling &coupling : problem.couplings) {
    if (std::string why = checkCoupling(problem, coupling); !why.empty())
      return why;
    joint |= !coupling.rows.empty();
  }
  if (joint)
    if (Contraction contraction = contract(problem); contraction.tooMany)
      return "the couplings around item " + quoted(problem.items[contraction.tooManyAt].name) +
             " connect too many items or leave more than " + std::to_string(maxJointChoices) +
             " joint choices";
  return "";
}

int64_t picoseconds(double seconds) { return std::llround(seconds * 1e12); }

int64_t picosecondsLeft(const PlanProblem &problem) {
  double left = problem.maxSeconds - problem.fixedSeconds;
  return std::isnan(left) ? 0 : picoseconds(std::clamp(left, -1e6, 4e6));
}

double objectiveOf(const PlanProblem &problem, const PlanOption &option) {
  return option.loss + problem.lossPerSecond * option.seconds +
         problem.lossPerStoredByte * double(option.storedBytes);
}

Evaluation evaluate(const PlanProblem &problem, const PlanSolution &solution) {
  Evaluation total;
  total.bytes = problem.fixedBytes;
  total.seconds = problem.fixedSeconds;
  for (size_t i = 0; i < problem.items.size(); ++i) {
    const PlanOption &option = problem.items[i].options[solution.choice[i]];
    total.bytes += option.bytes;
    total.loss += option.loss;
    total.seconds += option.seconds;
    total.picoseconds += picoseconds(option.seconds);
    total.objective += objectiveOf(problem, option);
  }
  total.objective += problem.lossPerSecond * problem.fixedSeconds;
  return total;
}

std::string verify(const PlanProblem &problem, const PlanSolution &solution) {
  if (solution.choice.size() != problem.items.size())
    return "solution chooses " + std::to_string(solution.choice.size()) + " options for " +
           std::to_string(problem.items.size()) + " items";
  for (size_t i = 0; i < problem.items.size(); ++i) {
    const PlanItem &item = problem.items[i];
    if (solution.choice[i] >= item.options.size())
      return "item " + quoted(item.name) + " takes option " + std::to_string(solution.choice[i]) +
             " of " + std::to_string(item.options.size());
    const PlanOption &option = item.options[solution.choice[i]];
    if (!option.supported)
      return "item " + quoted(item.name) + " takes option " + quoted(option.format) +
             ", which is not supported";
  }
  for (const Coupling &coupling : problem.couplings)
    if (std::string why = brokenCoupling(problem, coupling, solution.choice); !why.empty())
      return why;
  Evaluation cost = evaluate(problem, solution);
  if (cost.bytes > problem.budgetBytes)
    return "the plan needs " + std::to_string(cost.bytes) + " bytes, the budget is " +
           std::to_string(problem.budgetBytes);
  if (cost.picoseconds > picosecondsLeft(problem))
    return "the plan needs " + std::to_string(cost.seconds) + " s per token, the limit is " +
           std::to_string(problem.maxSeconds);
  return "";
}

} // namespace gcompile
