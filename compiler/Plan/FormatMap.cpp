#include "compiler/Plan/FormatMap.h"

#include <algorithm>
#include <map>
#include <set>

namespace gcompile {

// More layers than any model has; an edited plan cannot ask for a larger grid.
constexpr int64_t mostLayers = 4096;

// Easy to remember, and stable between plans: a digit is channel-wise, a letter group-wise or
// float.
static char preferredCode(const std::string &format) {
  static const std::map<std::string, char> codes = {
      {"f32", 'F'},   {"bf16", 'B'},  {"f16", 'H'},   {"w8", '8'},     {"w4", '4'}, {"w2", '2'},
      {"w8g32", 'e'}, {"w4g32", 'f'}, {"w2g64", 't'}, {"w4g128", 'g'}, {"w3", '3'}, {"w5", '5'},
      {"w6", '6'},    {"q4_k", 'k'},  {"q6_k", 'K'},  {"nf4", 'n'}};
  auto found = codes.find(format);
  return found == codes.end() ? 0 : found->second;
}

// Formats without a letter of their own take the first free one.
static void assignCodes(std::vector<FormatCode> &codes) {
  std::set<char> taken;
  for (FormatCode &code : codes) {
    code.code = preferredCode(code.format);
    if (code.code && !taken.insert(code.code).second)
      code.code = 0;
  }
  for (FormatCode &code : codes)
    for (char letter = 'a'; !code.code && letter <= 'z'; ++letter)
      if (taken.insert(letter).second)
        code.code = letter;
  for (FormatCode &code : codes)
    if (!code.code)
      code.code = '?';
}

FormatMap formatMap(const Plan &plan) {
  FormatMap map;
  std::map<WeightFormat, FormatCode> codeOf;
  std::map<WeightFormat, double> valuesOf;
  for (const PlannedTensor &tensor : plan.tensors) {
    if (tensor.role == "norm")
      continue;
    FormatCode &code = codeOf[tensor.format];
    code.format = std::string(name(tensor.format));
    code.bytes += tensor.bytes;
    if (tensor.placement == "memory")
      code.residentBytes += tensor.bytes;
    code.tensors += 1;
    valuesOf[tensor.format] += double(tensor.n) * double(tensor.k);
    if (tensor.layer >= 0 && tensor.layer < mostLayers)
      map.layers = std::max(map.layers, tensor.layer + 1);
  }
  for (auto &[format, code] : codeOf) {
    code.bits = double(code.bytes) * 8 / std::max(valuesOf[format], 1.0);
    map.codes.push_back(code);
  }
  std::sort(map.codes.begin(), map.codes.end(), [](const FormatCode &a, const FormatCode &b) {
    return a.bits != b.bits ? a.bits > b.bits : a.format < b.format;
  });
  assignCodes(map.codes);
  auto indexOf = [&](WeightFormat format) {
    return int(std::find_if(map.codes.begin(), map.codes.end(),
                            [&](const FormatCode &code) { return code.format == name(format); }) -
               map.codes.begin());
  };

  std::map<std::string, size_t> rowOf;
  std::vector<double> values, layerBytes(size_t(map.layers)), layerValues(size_t(map.layers));
  for (const PlannedTensor &tensor : plan.tensors) {
    if (tensor.role == "norm")
      continue;
    auto [entry, added] = rowOf.try_emplace(tensor.role, map.rows.size());
    if (added) {
      map.rows.push_back({tensor.role, std::vector<int>(size_t(map.layers), -1), -1, 0, 0});
      values.push_back(0);
    }
    FormatRow &row = map.rows[entry->second];
    double count = double(tensor.n) * double(tensor.k);
    row.bytes += tensor.bytes;
    values[entry->second] += count;
    int code = indexOf(tensor.format);
    if (tensor.layer < 0 || tensor.layer >= mostLayers) {
      row.whole = row.whole == -1 || row.whole == code ? code : -2;
      continue;
    }
    int &cell = row.cells[size_t(tensor.layer)];
    cell = cell == -1 || cell == code ? code : -2;
    layerBytes[size_t(tensor.layer)] += double(tensor.bytes);
    layerValues[size_t(tensor.layer)] += count;
  }
  for (size_t r = 0; r < map.rows.size(); ++r)
    map.rows[r].bits = double(map.rows[r].bytes) * 8 / std::max(values[r], 1.0);
  for (size_t l = 0; l < size_t(map.layers); ++l)
    map.bitsOfLayer.push_back(layerValues[l] > 0 ? layerBytes[l] * 8 / layerValues[l] : 0);
  return map;
}

} // namespace gcompile
