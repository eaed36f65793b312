#include "passes/Planning/ChoiceGroups.h"

#include <algorithm>
#include <map>
#include <numeric>

namespace gcompile {

static const std::string &formatOf(const PlanProblem &problem, size_t item, size_t option) {
  return problem.items[item].options[option].format;
}

namespace {

// Enumerates the joint choices of one component, member by member.
class Enumerator {
public:
  Enumerator(const PlanProblem &problem, const std::vector<std::vector<size_t>> &couplingsOf,
             ChoiceGroup &group, std::vector<size_t> &choice, std::vector<bool> &assigned)
      : problem(problem), couplingsOf(couplingsOf), group(group), choice(choice),
        assigned(assigned) {}

  // False when there are too many.
  bool run() {
    if (group.members.size() > maxMembers)
      return false;
    visit(0);
    return !tooMany;
  }

private:
  // Joint choices may be rare among many partial ones.
  static constexpr size_t maxMembers = 10000; // visit() recurses
  static constexpr size_t maxNodes = 16 * maxJointChoices;

  void visit(size_t depth) {
    if (depth == group.members.size()) {
      if (group.choices.size() == maxJointChoices)
        tooMany = true;
      else
        keep();
      return;
    }
    size_t item = group.members[depth];
    const std::vector<PlanOption> &options = problem.items[item].options;
    assigned[item] = true;
    for (size_t o = 0; o < options.size() && !tooMany; ++o) {
      if (!options[o].supported)
        continue;
      choice[item] = o;
      tooMany |= ++nodes > maxNodes;
      if (allowed(item))
        visit(depth + 1);
    }
    assigned[item] = false;
  }

  void keep() {
    Choice joint;
    for (size_t item : group.members) {
      const PlanOption &option = problem.items[item].options[choice[item]];
      joint.bytes += option.bytes;
      joint.picoseconds += picoseconds(option.seconds);
      joint.cost += objectiveOf(problem, option);
      joint.options.push_back(uint32_t(choice[item]));
    }
    group.choices.push_back(std::move(joint));
  }

  bool allowed(size_t item) const {
    for (size_t index : couplingsOf[item]) {
      const Coupling &coupling = problem.couplings[index];
      if (coupling.rows.empty() ? !sameAsFirst(coupling, item) : !someRow(coupling))
        return false;
    }
    return true;
  }

  bool sameAsFirst(const Coupling &coupling, size_t item) const {
    const std::string &name = formatOf(problem, item, choice[item]);
    for (size_t other : coupling.items)
      if (other != item && assigned[other])
        return formatOf(problem, other, choice[other]) == name;
    return true;
  }

  bool someRow(const Coupling &coupling) const {
    for (const std::vector<std::string> &row : coupling.rows) {
      bool fits = true;
      for (size_t i = 0; fits && i < row.size(); ++i) {
        size_t item = coupling.items[i];
        fits = row[i].empty() || !assigned[item] || formatOf(problem, item, choice[item]) == row[i];
      }
      if (fits)
        return true;
    }
    return false;
  }

  const PlanProblem &problem;
  const std::vector<std::vector<size_t>> &couplingsOf; // by item
  ChoiceGroup &group;
  std::vector<size_t> &choice;
  std::vector<bool> &assigned;
  size_t nodes = 0;
  bool tooMany = false;
};

} // namespace

// Items that couplings connect, each component in the order in which it is reached: a member then
// mostly meets one that is already decided.
static std::vector<std::vector<size_t>>
components(const PlanProblem &problem, const std::vector<std::vector<size_t>> &couplingsOf) {
  std::vector<std::vector<size_t>> result;
  std::vector<bool> seen(problem.items.size(), false);
  for (size_t i = 0; i < problem.items.size(); ++i) {
    if (seen[i])
      continue;
    std::vector<size_t> members = {i};
    seen[i] = true;
    for (size_t next = 0; next < members.size(); ++next)
      for (size_t coupling : couplingsOf[members[next]])
        for (size_t other : problem.couplings[coupling].items)
          if (!seen[other]) {
            seen[other] = true;
            members.push_back(other);
          }
    result.push_back(std::move(members));
  }
  return result;
}

Contraction contract(const PlanProblem &problem) {
  std::vector<std::vector<size_t>> couplingsOf(problem.items.size());
  for (size_t c = 0; c < problem.couplings.size(); ++c)
    for (size_t item : problem.couplings[c].items)
      couplingsOf[item].push_back(c);
  Contraction result;
  std::vector<size_t> choice(problem.items.size(), 0);
  std::vector<bool> assigned(problem.items.size(), false);
  for (std::vector<size_t> &members : components(problem, couplingsOf)) {
    ChoiceGroup group;
    group.members = std::move(members);
    if (!Enumerator(problem, couplingsOf, group, choice, assigned).run()) {
      result.tooMany = true;
      result.tooManyAt = group.members.front();
      return result;
    }
    result.inconsistent += group.choices.empty();
    result.groups.push_back(std::move(group));
  }
  return result;
}

void dropDominated(std::vector<Choice> &choices, bool timed) {
  std::sort(choices.begin(), choices.end(), [&](const Choice &a, const Choice &b) {
    if (a.bytes != b.bytes)
      return a.bytes < b.bytes;
    if (timed && a.picoseconds != b.picoseconds)
      return a.picoseconds < b.picoseconds;
    return a.cost != b.cost ? a.cost < b.cost : a.options < b.options;
  });
  std::vector<Choice> kept;
  std::map<int64_t, double> least; // by time, falling cost: the best of what was kept so far
  for (Choice &choice : choices) {
    auto after = least.upper_bound(timed ? choice.picoseconds : 0);
    if (after != least.begin() && std::prev(after)->second <= choice.cost)
      continue;
    while (after != least.end() && after->second >= choice.cost)
      after = least.erase(after);
    least[timed ? choice.picoseconds : 0] = choice.cost;
    kept.push_back(std::move(choice));
  }
  choices = std::move(kept);
}

PlanSolution expand(const PlanProblem &problem, const std::vector<ChoiceGroup> &groups,
                    const std::vector<size_t> &choice) {
  PlanSolution solution;
  solution.choice.assign(problem.items.size(), 0);
  for (size_t g = 0; g < groups.size(); ++g)
    for (size_t m = 0; m < groups[g].members.size(); ++m)
      solution.choice[groups[g].members[m]] = groups[g].choices[choice[g]].options[m];
  return solution;
}

void findSmallest(const PlanProblem &problem, const std::vector<ChoiceGroup> &groups,
                  SolveResult &result) {
  std::vector<size_t> smallest;
  result.smallestBytes = problem.fixedBytes;
  for (const ChoiceGroup &group : groups) {
    auto least = std::min_element(group.choices.begin(), group.choices.end(),
                                  [](const Choice &a, const Choice &b) {
                                    return a.bytes != b.bytes ? a.bytes < b.bytes : a.cost < b.cost;
                                  });
    smallest.push_back(size_t(least - group.choices.begin()));
    result.smallestBytes += least->bytes;
  }
  result.smallest = expand(problem, groups, smallest);
}

std::string brokenCoupling(const PlanProblem &problem, const Coupling &coupling,
                           const std::vector<size_t> &choice) {
  auto quoted = [](const std::string &text) { return "'" + text + "'"; };
  auto chosen = [&](size_t item) -> const std::string & {
    return formatOf(problem, item, choice[item]);
  };
  if (coupling.rows.empty()) {
    for (size_t item : coupling.items)
      if (chosen(item) != chosen(coupling.items.front()))
        return "items " + quoted(problem.items[coupling.items.front()].name) + " and " +
               quoted(problem.items[item].name) + " must take one format (" + coupling.reason +
               "), but take " + quoted(chosen(coupling.items.front())) + " and " +
               quoted(chosen(item));
    return "";
  }
  for (const std::vector<std::string> &row : coupling.rows) {
    bool fits = true;
    for (size_t i = 0; i < row.size(); ++i)
      fits &= row[i].empty() || row[i] == chosen(coupling.items[i]);
    if (fits)
      return "";
  }
  std::string names;
  for (size_t item : coupling.items)
    names += (names.empty() ? "" : ", ") + quoted(problem.items[item].name) + " in " +
             quoted(chosen(item));
  return "items may not be combined so (" + coupling.reason + "): " + names;
}

} // namespace gcompile
