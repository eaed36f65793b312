#include "tests/conformance/ExpertCases.h"
#include "ir/Format/Pack.h"
#include "tests/conformance/CaseBuilder.h"
#include "tests/reference/LinearReference.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace gcompile::test {
namespace {

constexpr int32_t untouchedIndex = -77;

// `experts` blobs, each at a multiple of 128 bytes; and where.
std::vector<uint8_t> randomStack(WeightFormat format, int64_t experts, int64_t n, int64_t k,
                                 std::vector<std::vector<uint8_t>> &matrices) {
  std::vector<uint8_t> stack;
  for (int64_t expert = 0; expert < experts; ++expert) {
    matrices.emplace_back(packedBytes(format, n, k));
    packMatrix(format, n, k, randomFloats(n * k, 700 + expert, 0.05f).data(), matrices.back());
    stack.resize((stack.size() + 127) / 128 * 128);
    stack.insert(stack.end(), matrices.back().begin(), matrices.back().end());
  }
  return stack;
}

KernelCase groupRowsCase(const Choice &choice, int64_t active) {
  std::vector<int32_t> blankSlots(choice.members.size(), untouchedIndex),
      blankGroups(choice.groups + 1, untouchedIndex);
  CaseBuilder c("group_rows", std::to_string(active) + "_of_" + std::to_string(choice.experts));
  std::string types =
      c.input("%e", memref({choice.rows, choice.ranks}, "i32"), choice.chosenBy) + ", " +
      c.output("%m", memref({choice.rows * choice.ranks}, "i32"), blankSlots, choice.members) +
      ", " + c.output("%s", memref({choice.groups + 1}, "i32"), blankGroups, choice.starts) + ", " +
      c.output("%c", memref({choice.groups + 1}, "i32"), blankGroups, choice.chosen);
  // Where each expert's members end, once they are listed.
  std::vector<int32_t> places(choice.experts, 0);
  int32_t end = 0;
  for (int64_t expert = 0; expert < choice.experts; ++expert) {
    end += std::count(choice.chosenBy.begin(), choice.chosenBy.begin() + active * choice.ranks,
                      int32_t(expert));
    places[expert] = end;
  }
  types += ", " + c.output("%p", memref({choice.experts}, "i32"),
                           std::vector<int32_t>(choice.experts, untouchedIndex), places);
  return c.build("%e outs(%m, %s, %c, %p) rows %rows : " + types, {{"%rows", active}}, 1);
}

KernelCase chooseExpertsCase(int64_t experts, int64_t ranks) {
  constexpr int64_t rows = 5;
  std::vector<float> router = randomFloats(rows * experts, 71, 6);
  std::fill_n(router.begin() + experts, experts, 0.25f); // ties: the lowest numbers
  for (int64_t e = 0; e < experts; ++e)                  // zeros of both signs tie
    router[2 * experts + e] = e % 2 ? 0.0f : -0.0f;
  router[3 * experts + experts - 1] = std::numeric_limits<float>::quiet_NaN();
  std::vector<int32_t> expected(rows * ranks);
  for (int64_t row = 0; row < rows; ++row) {
    std::vector<int32_t> order(experts);
    for (int64_t e = 0; e < experts; ++e)
      order[e] = int32_t(e);
    const float *l = router.data() + row * experts;
    // A positive NaN lies above all numbers.
    auto size = [&](int32_t e) { return std::isnan(l[e]) ? HUGE_VALF : l[e]; };
    std::stable_sort(order.begin(), order.end(),
                     [&](int32_t a, int32_t b) { return size(a) > size(b); });
    std::copy_n(order.begin(), ranks, expected.begin() + row * ranks);
  }
  CaseBuilder c("choose_experts", std::to_string(ranks) + "_of_" + std::to_string(experts));
  std::string types = c.input("%r", memref({rows, experts}, "f32"), router) + ", " +
                      c.input("%s", memref({experts}, "f32"), randomFloats(experts, 72, 1)) + ", " +
                      c.output("%e", memref({rows, ranks}, "i32"),
                               std::vector<int32_t>(rows * ranks, -7), expected) +
                      ", " + c.output("%g", memref({rows, ranks}, "f32"), blank(rows * ranks));
  return c.build("%r, %s outs(%e, %g) rows %rows {scale = 0.125 : f32} : " + types,
                 {{"%rows", rows}}, rows);
}

KernelCase combineExpertsCase() {
  constexpr int64_t rows = 3, ranks = 4, columns = 2100;
  std::vector<float> y = randomFloats(rows * ranks * columns, 81, 2),
                     gates = randomFloats(rows * ranks, 82, 1), expected(rows * columns);
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t i = 0; i < columns; ++i)
      for (int64_t rank = 0; rank < ranks; ++rank)
        expected[row * columns + i] =
            std::fma(gates[row * ranks + rank], y[(row * ranks + rank) * columns + i],
                     expected[row * columns + i]);
  CaseBuilder c("combine_experts", "");
  std::string types =
      c.input("%y", memref({rows * ranks, columns}, "f32"), y) + ", " +
      c.input("%g", memref({rows, ranks}, "f32"), gates) + ", " +
      c.output("%o", memref({rows, columns}, "f32"), blank(rows * columns), expected);
  return c.build("%y, %g outs(%o) rows %rows : " + types, {{"%rows", rows}}, rows * 2);
}

KernelCase geluMulHalvesCase() {
  constexpr int64_t rows = 2, columns = 70;
  CaseBuilder c("gelu_mul_halves", "");
  std::string types =
      c.input("%x", memref({rows, 2 * columns}, "f32"), randomFloats(rows * 2 * columns, 91, 4)) +
      ", " + c.output("%y", memref({rows, columns}, "f32"), blank(rows * columns));
  return c.build("%x outs(%y) rows %rows : " + types, {{"%rows", rows}}, rows);
}

} // namespace

Choice randomChoice(int64_t rows, int64_t active, int64_t ranks, int64_t experts) {
  Choice choice{rows, ranks, experts, std::min(experts, rows * ranks), {}, {}, {}, {}};
  std::mt19937 generator(17);
  for (int64_t row = 0; row < rows; ++row) {
    std::vector<int32_t> order;
    for (int64_t e = 1; e < experts; ++e)
      order.push_back(int32_t(e));
    for (size_t i = order.size(); i > 1; --i)
      std::swap(order[i - 1], order[generator() % i]);
    choice.chosenBy.insert(choice.chosenBy.end(), order.begin(), order.begin() + ranks);
  }
  for (int32_t expert = 0; expert < experts; ++expert) {
    size_t before = choice.members.size();
    for (int64_t slot = 0; slot < active * ranks; ++slot)
      if (choice.chosenBy[slot] == expert)
        choice.members.push_back(int32_t(slot));
    if (choice.members.size() == before)
      continue;
    choice.starts.push_back(int32_t(before));
    choice.chosen.push_back(expert);
  }
  choice.starts.resize(choice.groups + 1, int32_t(choice.members.size()));
  choice.chosen.resize(choice.groups + 1, 0);
  choice.members.resize(rows * ranks, untouchedIndex);
  return choice;
}

KernelCase expertProductCase(WeightFormat format, const Choice &choice, int64_t active,
                             bool perSlot) {
  constexpr int64_t n = 70, k = 101;
  int64_t slots = choice.rows * choice.ranks, inputs = perSlot ? slots : choice.rows;
  std::vector<std::vector<uint8_t>> matrices;
  std::vector<uint8_t> stack = randomStack(format, choice.experts, n, k, matrices);
  int64_t padded = paddedColumns(format, k), group = info(format).group,
          groups = group ? padded / group : 1;
  std::vector<float> x = randomFloats(inputs * k, 3, 1), expected = blank(slots * n);
  QuantizedRows q = quantizeRows(x, inputs, k, group);
  for (int64_t expert = 0; expert < choice.experts; ++expert) {
    std::vector<float> all = info(format).isInteger
                                 ? matmulInteger(format, matrices[expert], q, inputs, n, k)
                                 : matmulFloat(format, matrices[expert], x, inputs, n, k);
    for (int64_t slot = 0; slot < active * choice.ranks; ++slot)
      if (choice.chosenBy[slot] == expert)
        std::copy_n(all.begin() + (perSlot ? slot : slot / choice.ranks) * n, n,
                    expected.begin() + slot * n);
  }
  std::string inputTypes, names;
  CaseBuilder c(info(format).isInteger ? "matmul_integer" : "matmul_float",
                "experts_" + std::string(name(format)) + (perSlot ? "_slots" : "_rows") +
                    std::to_string(active) + "_of_" + std::to_string(choice.rows));
  if (info(format).isInteger) {
    names = "%c, %s, %u";
    inputTypes = c.input("%c", memref({inputs, padded}, "i8"), q.codes) + ", " +
                 c.input("%s", memref({inputs, groups}, "f32"), q.scales) + ", " +
                 c.input("%u", memref({inputs, groups}, "i32"), q.sums);
  } else {
    names = "%x";
    inputTypes = c.input("%x", memref({inputs, k}, "f32"), x);
  }
  std::string weights = c.input("%w", memref({(int64_t)stack.size()}, "i8"), stack);
  std::string lists = c.input("%m", memref({slots}, "i32"), choice.members) + ", " +
                      c.input("%st", memref({choice.groups + 1}, "i32"), choice.starts) + ", " +
                      c.input("%ch", memref({choice.groups + 1}, "i32"), choice.chosen);
  std::string out = c.output("%y", memref({slots, n}, "f32"), blank(slots * n), expected);
  std::string columns = info(format).isInteger ? ", columns = " + std::to_string(k) : std::string();
  return c.build(names + ", %w groups(%m, %st, %ch : " + lists +
                     ") outs(%y) rows %rows {format = " + inQuotes(name(format)) + columns +
                     ", matrices = " + std::to_string(choice.experts) +
                     ", group_rows = " + std::to_string(choice.rows) + "} : " + inputTypes + ", " +
                     weights + ", " + out,
                 {{"%rows", active * choice.ranks}}, choice.groups * ((n + 63) / 64));
}

std::vector<KernelCase> expertCases() {
  std::vector<KernelCase> cases;
  Choice several = randomChoice(7, 5, 3, 6), one = randomChoice(1, 1, 3, 6);
  for (const WeightFormatInfo &format : weightFormats()) {
    cases.push_back(expertProductCase(format.format, several, 5, false));
    cases.push_back(expertProductCase(format.format, several, 5, true));
    cases.push_back(expertProductCase(format.format, one, 1, false));
    cases.push_back(expertProductCase(format.format, one, 1, true));
  }
  cases.push_back(groupRowsCase(several, 5));
  cases.push_back(groupRowsCase(one, 1));
  cases.push_back(groupRowsCase(randomChoice(4, 3, 2, 40), 3));
  cases.push_back(chooseExpertsCase(8, 2));
  cases.push_back(chooseExpertsCase(128, 8));
  cases.push_back(chooseExpertsCase(19, 18));
  cases.push_back(combineExpertsCase());
  cases.push_back(geluMulHalvesCase());
  return cases;
}

} // namespace gcompile::test
