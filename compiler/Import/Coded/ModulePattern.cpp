// A Thompson automaton: the pattern becomes steps, built from its end, and a name is followed in
// all states at once.
#include "compiler/Import/Coded/ModulePattern.h"

#include "compiler/Import/HostileJson.h"

#include "llvm/ADT/StringExtras.h"

using llvm::Error;
using llvm::Expected;
using llvm::StringRef;
using llvm::Twine;

namespace gcompile {

constexpr size_t mostPatternBytes = 4096;
constexpr unsigned mostGroups = 32; // nested

// A fragment has one way in and dangling ends that the next fragment is patched into.
class PatternParser {
public:
  explicit PatternParser(ModulePattern &pattern) : pattern(pattern), text(pattern.source) {}

  Error parse() {
    Expected<Fragment> whole = alternatives(0);
    if (!whole)
      return whole.takeError();
    if (at < text.size())
      return refuse("an unmatched ')'");
    patch(whole->ends, add({Kind::Match, {}}));
    pattern.start = whole->start;
    return Error::success();
  }

private:
  using Kind = ModulePattern::Kind;
  struct End {
    uint32_t step;
    bool other;
  };
  struct Fragment {
    uint32_t start;
    std::vector<End> ends;
  };

  Error refuse(const Twine &what) {
    return importError("pattern " + inQuotes(text) + " has " + what + " at " + Twine(at) +
                       "; supported are literals, classes, groups, |, *, +, ?, ^ and $");
  }
  uint32_t add(ModulePattern::Step step) {
    pattern.steps.push_back(step);
    return uint32_t(pattern.steps.size() - 1);
  }
  void patch(const std::vector<End> &ends, uint32_t target) {
    for (End end : ends)
      (end.other ? pattern.steps[end.step].other : pattern.steps[end.step].next) = target;
  }
  uint32_t split(uint32_t next) {
    ModulePattern::Step step{Kind::Split, {}};
    step.next = next;
    return add(step);
  }

  Expected<Fragment> alternatives(unsigned depth) {
    if (depth > mostGroups)
      return refuse("groups nested too deep");
    Expected<Fragment> result = sequence(depth);
    while (result && at < text.size() && text[at] == '|') {
      ++at;
      Expected<Fragment> right = sequence(depth);
      if (!right)
        return right.takeError();
      uint32_t choice = split(result->start);
      pattern.steps[choice].other = right->start;
      result->start = choice;
      llvm::append_range(result->ends, right->ends);
    }
    return result;
  }

  Expected<Fragment> sequence(unsigned depth) {
    // An empty sequence is a split whose ways both lead on.
    uint32_t empty = split(0);
    Fragment result{empty, {{empty, false}, {empty, true}}};
    while (at < text.size() && text[at] != '|' && text[at] != ')') {
      Expected<Fragment> part = repeated(depth);
      if (!part)
        return part.takeError();
      patch(result.ends, part->start);
      result.ends = std::move(part->ends);
    }
    return result;
  }

  Expected<Fragment> repeated(unsigned depth) {
    Expected<Fragment> part = atom(depth);
    if (!part || at == text.size() || !StringRef("*+?").contains(text[at]))
      return part;
    char mark = text[at++];
    if (at < text.size() && text[at] == '?') // lazy: the same names match
      ++at;
    if (at < text.size() && StringRef("*+?").contains(text[at]))
      return refuse("a repetition of a repetition");
    uint32_t choice = split(part->start);
    if (mark == '?') {
      part->start = choice;
      part->ends.push_back({choice, true});
      return part;
    }
    patch(part->ends, choice);
    return Fragment{mark == '*' ? choice : part->start, {{choice, true}}};
  }

  Fragment one(ModulePattern::Step step) {
    uint32_t index = add(step);
    return {index, {{index, false}}};
  }

  Expected<Fragment> atom(unsigned depth) {
    char c = text[at++];
    ModulePattern::Step step{Kind::Set, {}};
    switch (c) {
    case '^':
      return one({Kind::Begin, {}});
    case '$':
      return one({Kind::End, {}});
    case '.':
      step.set.set();
      step.set.reset('\n');
      return one(step);
    case '(': {
      if (text.substr(at).starts_with("?:"))
        at += 2;
      else if (text.substr(at).starts_with("?"))
        return refuse("a special group");
      Expected<Fragment> inner = alternatives(depth + 1);
      if (!inner)
        return inner;
      if (at == text.size())
        return refuse("an unmatched '('");
      ++at;
      return inner;
    }
    case '[':
      if (Error error = charClass(step.set))
        return std::move(error);
      return one(step);
    case '\\':
      if (Error error = escaped(step.set))
        return std::move(error);
      return one(step);
    case '*':
    case '+':
    case '?':
    case '{':
      return refuse("'" + Twine(c) + "' that is not supported");
    default:
      step.set.set(uint8_t(c));
      return one(step);
    }
  }

  Error escaped(std::bitset<256> &set) {
    if (at == text.size())
      return refuse("a lone backslash");
    char c = text[at++];
    if (c == 'd' || c == 'w') {
      for (int other = 0; other < 128; ++other)
        if (llvm::isDigit(char(other)) ||
            (c == 'w' && (llvm::isAlpha(char(other)) || other == '_')))
          set.set(other);
      return Error::success();
    }
    if (llvm::isAlnum(c))
      return refuse("the escape '\\" + Twine(c) + "'");
    set.set(uint8_t(c));
    return Error::success();
  }

  Error charClass(std::bitset<256> &set) {
    bool negated = text.substr(at).starts_with("^");
    at += negated;
    for (bool first = true; at < text.size() && (first || text[at] != ']'); first = false) {
      uint8_t low = text[at++];
      if (low == '\\') {
        if (Error error = escaped(set))
          return error;
        continue;
      }
      uint8_t high = low;
      if (at + 1 < text.size() && text[at] == '-' && text[at + 1] != ']') {
        high = text[at + 1];
        at += 2;
        if (high == '\\' || high < low)
          return refuse("a range that is not understood");
      }
      for (unsigned c = low; c <= high; ++c)
        set.set(c);
    }
    if (at == text.size())
      return refuse("an unmatched '['");
    ++at;
    if (negated)
      set.flip();
    return Error::success();
  }

  ModulePattern &pattern;
  StringRef text;
  size_t at = 0;
};

Expected<ModulePattern> ModulePattern::parse(StringRef text) {
  if (text.size() > mostPatternBytes)
    return importError("pattern " + inQuotes(text) + " has " + Twine(text.size()) +
                       " bytes, at most " + Twine(mostPatternBytes) + " are supported");
  ModulePattern pattern;
  pattern.source = text.str();
  if (Error error = PatternParser(pattern).parse())
    return std::move(error);
  return pattern;
}

void ModulePattern::follow(uint32_t first, size_t at, size_t end, std::vector<uint32_t> &states,
                           std::vector<bool> &seen) const {
  std::vector<uint32_t> open{first};
  while (!open.empty()) {
    uint32_t index = open.back();
    open.pop_back();
    if (seen[index])
      continue;
    seen[index] = true;
    const Step &step = steps[index];
    switch (step.kind) {
    case Kind::Split:
      open.push_back(step.other);
      open.push_back(step.next);
      break;
    case Kind::Begin:
      if (at == 0)
        open.push_back(step.next);
      break;
    case Kind::End:
      if (at == end)
        open.push_back(step.next);
      break;
    default:
      states.push_back(index);
    }
  }
}

bool ModulePattern::run(StringRef name, size_t from, bool anywhere) const {
  std::vector<uint32_t> states, next;
  std::vector<bool> seen(steps.size());
  follow(start, from, name.size(), states, seen);
  for (size_t at = from;; ++at) {
    for (uint32_t index : states)
      if (steps[index].kind == Kind::Match)
        return true;
    if (at == name.size())
      return false;
    next.clear();
    std::fill(seen.begin(), seen.end(), false);
    for (uint32_t index : states)
      if (steps[index].set[uint8_t(name[at])])
        follow(steps[index].next, at + 1, name.size(), next, seen);
    if (anywhere)
      follow(start, at + 1, name.size(), next, seen);
    states.swap(next);
  }
}

bool ModulePattern::matchesStart(StringRef name) const { return run(name, 0, false); }
bool ModulePattern::foundIn(StringRef name) const { return run(name, 0, true); }

size_t ModulePattern::foundAt(StringRef name) const {
  for (size_t from = 0; from <= name.size(); ++from)
    if (run(name, from, false))
      return from;
  return StringRef::npos;
}

} // namespace gcompile
