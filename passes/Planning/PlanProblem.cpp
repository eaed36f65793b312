#include "passes/Planning/PlanProblem.h"

#include <cmath>
#include <set>

namespace gcompile {

static std::string quoted(const std::string &text) { return "'" + text + "'"; }

// Sums are kept well below the range, so that evaluating never overflows.
constexpr int64_t maxBytes = int64_t(1) << 56;

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

std::string check(const PlanProblem &problem) {
  if (problem.fixedBytes < 0 || problem.budgetBytes < 0)
    return "fixed bytes and budget must not be negative";
  if (problem.items.size() > 1000000)
    return "more than 1000000 items";
  for (const PlanItem &item : problem.items)
    if (std::string why = checkItem(item); !why.empty())
      return why;
  std::set<size_t> coupled;
  for (const Coupling &coupling : problem.couplings)
    for (size_t index : coupling.items) {
      if (index >= problem.items.size())
        return "coupling " + quoted(coupling.reason) + " names item " + std::to_string(index) +
               " of " + std::to_string(problem.items.size());
      if (!coupled.insert(index).second)
        return "item " + quoted(problem.items[index].name) + " is in two couplings";
    }
  return "";
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
    for (size_t index : coupling.items) {
      auto chosen = [&](size_t i) -> const std::string & {
        return problem.items[i].options[solution.choice[i]].format;
      };
      if (chosen(index) != chosen(coupling.items.front()))
        return "items " + quoted(problem.items[coupling.items.front()].name) + " and " +
               quoted(problem.items[index].name) + " must take one format (" + coupling.reason +
               "), but take " + quoted(chosen(coupling.items.front())) + " and " +
               quoted(chosen(index));
    }
  Evaluation cost = evaluate(problem, solution);
  if (cost.bytes > problem.budgetBytes)
    return "the plan needs " + std::to_string(cost.bytes) + " bytes, the budget is " +
           std::to_string(problem.budgetBytes);
  if (cost.seconds > problem.maxSeconds)
    return "the plan needs " + std::to_string(cost.seconds) + " s per token, the limit is " +
           std::to_string(problem.maxSeconds);
  return "";
}

} // namespace gcompile
