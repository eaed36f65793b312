#include "compiler/Plan/PlanReport.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/raw_ostream.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace gcompile {

static std::string str(std::string_view text) { return std::string(text); }

static std::pair<const char *, int64_t> const *categories(const MemoryAccount &m,
                                                          std::pair<const char *, int64_t> *out) {
  out[0] = {"weights", m.weights};
  out[1] = {"tables", m.tables};
  out[2] = {"kv_cache", m.kvCache};
  out[3] = {"activations", m.activations};
  out[4] = {"encoders", m.encoders};
  out[5] = {"code", m.code};
  out[6] = {"runtime", m.runtime};
  return out;
}

llvm::json::Object planJson(const Plan &plan) {
  using namespace llvm::json;
  std::pair<const char *, int64_t> account[7];
  categories(plan.memory, account);
  Object memory;
  for (auto [category, bytes] : account)
    memory[category] = bytes;
  Array tensors;
  for (const PlannedTensor &tensor : plan.tensors) {
    Object entry{{"name", tensor.name},
                 {"role", tensor.role},
                 {"layer", tensor.layer < 0 ? Value(nullptr) : Value(tensor.layer)},
                 {"format", str(name(tensor.format))},
                 {"bytes", tensor.bytes},
                 {"placement", tensor.placement},
                 {"shape", Array{tensor.n, tensor.k}},
                 {"fixed", tensor.fixed}};
    tensors.push_back(std::move(entry));
  }
  Array caches;
  for (const PlannedKv &kv : plan.kvCaches)
    caches.push_back(Object{{"layer_type", kv.layerType},
                            {"k", str(name(kv.k))},
                            {"v", str(name(kv.v))},
                            {"bytes", kv.bytes},
                            {"layers", kv.layers},
                            {"capacity", kv.capacity}});
  const Predictions &p = plan.predicted;
  // Zero means that the profile knows too little to predict.
  auto known = [](double value) { return value > 0 ? Value(value) : Value(nullptr); };
  return Object{{"model", plan.model},
                {"target", plan.target},
                {"budget_bytes", plan.budgetBytes},
                {"peak_bytes", plan.memory.peak()},
                {"feasible", plan.memory.peak() <= plan.budgetBytes},
                {"context", plan.context},
                {"modalities", Array(plan.modalities)},
                {"objective", str(name(plan.objective))},
                {"memory", std::move(memory)},
                {"tables", Object{{"placement", str(name(plan.tables))},
                                  {"cache_rows", plan.tableCacheRows}}},
                {"prefill_chunk", plan.prefillChunk},
                {"score_chunk", plan.scoreChunk},
                {"tensors", std::move(tensors)},
                {"kv_cache", std::move(caches)},
                {"predicted", Object{{"decode_tokens_per_second", known(p.decodeTokensPerSecond)},
                                     {"prefill_tokens_per_second", known(p.prefillTokensPerSecond)},
                                     {"first_token_seconds", known(p.firstTokenSeconds)},
                                     {"decode_bound_by", p.decodeTerm},
                                     {"prefill_bound_by", p.prefillTerm},
                                     {"kl", p.kl},
                                     {"kl_low", p.klLow},
                                     {"kl_high", p.klHigh}}},
                {"optimality", Object{{"objective", plan.optimality.objective},
                                      {"bound", plan.optimality.bound},
                                      {"gap", plan.optimality.gap}}},
                {"solver", plan.solver},
                {"seconds", plan.seconds}};
}

std::string humanBytes(int64_t bytes) {
  std::string text;
  llvm::raw_string_ostream out(text);
  double value = double(bytes);
  if (std::abs(value) >= 1e9)
    out << llvm::format("%.2f GB", value / 1e9);
  else if (std::abs(value) >= 1e6)
    out << llvm::format("%.1f MB", value / 1e6);
  else if (std::abs(value) >= 1e3)
    out << llvm::format("%.1f KB", value / 1e3);
  else
    out << bytes << " B";
  return text;
}

// "0-3,7" from sorted numbers.
static std::string ranges(const std::vector<int64_t> &numbers) {
  std::string text;
  for (size_t i = 0; i < numbers.size();) {
    size_t j = i;
    while (j + 1 < numbers.size() && numbers[j + 1] == numbers[j] + 1)
      ++j;
    text += (text.empty() ? "" : ",") + std::to_string(numbers[i]);
    if (j > i)
      text += "-" + std::to_string(numbers[j]);
    i = j + 1;
  }
  return text;
}

static void reportMemory(const Plan &plan, llvm::raw_ostream &out) {
  std::pair<const char *, int64_t> account[7];
  categories(plan.memory, account);
  int64_t peak = std::max<int64_t>(plan.memory.peak(), 1);
  constexpr int width = 40;
  for (auto [category, bytes] : account) {
    if (bytes == 0)
      continue;
    int bar = int(std::lround(double(bytes) / double(peak) * width));
    out << llvm::format("  %-12s %10s  ", category, humanBytes(bytes).c_str())
        << std::string(size_t(std::max(bar, 1)), '#') << "\n";
  }
  out << llvm::format("  %-12s %10s  of %s (%.1f %%)\n", "peak",
                      humanBytes(plan.memory.peak()).c_str(), humanBytes(plan.budgetBytes).c_str(),
                      100.0 * double(plan.memory.peak()) /
                          double(std::max<int64_t>(plan.budgetBytes, 1)));
}

// Roles down, formats across: which layers take which.
static void reportFormats(const Plan &plan, llvm::raw_ostream &out) {
  std::vector<std::string> roles;
  std::map<std::string, std::map<std::string, std::vector<int64_t>>> layersOf;
  std::map<std::string, int64_t> bytesOf;
  for (const PlannedTensor &tensor : plan.tensors) {
    if (tensor.role == "norm")
      continue;
    if (!bytesOf.count(tensor.role))
      roles.push_back(tensor.role);
    bytesOf[tensor.role] += tensor.bytes;
    layersOf[tensor.role][str(name(tensor.format))].push_back(tensor.layer);
  }
  for (const std::string &role : roles) {
    out << llvm::format("  %-27s %10s  ", role.c_str(), humanBytes(bytesOf[role]).c_str());
    const auto &formats = layersOf[role];
    bool first = true;
    for (const auto &[format, layers] : formats) {
      out << (first ? "" : "  ") << format;
      if (layers.front() >= 0 && formats.size() > 1)
        out << "[" << ranges(layers) << "]";
      first = false;
    }
    if (role == "per_layer_table")
      out << " in " << name(plan.tables);
    if (role == "per_layer_table" && plan.tables == TablePlacement::Storage)
      out << ", " << plan.tableCacheRows << " rows cached";
    out << "\n";
  }
  for (const PlannedKv &kv : plan.kvCaches)
    out << llvm::format("  kv cache, %-17s %10s  k %s, v %s, %d layers of %d rows\n",
                        kv.layerType.c_str(), humanBytes(kv.bytes).c_str(), str(name(kv.k)).c_str(),
                        str(name(kv.v)).c_str(), int(kv.layers), int(kv.capacity));
}

std::string planReport(const Plan &plan) {
  std::string text;
  llvm::raw_string_ostream out(text);
  out << plan.model << " on " << plan.target << ", context " << plan.context << ", "
      << llvm::join(plan.modalities, "+") << ", objective " << name(plan.objective) << "\n\n";
  out << "memory\n";
  reportMemory(plan, out);
  out << "\nformats\n";
  reportFormats(plan, out);
  const Predictions &p = plan.predicted;
  out << "\nestimates\n";
  if (p.decodeTokensPerSecond > 0)
    out << llvm::format("  decode    %10.1f tok/s  bound by %s\n", p.decodeTokensPerSecond,
                        p.decodeTerm.c_str());
  else
    out << "  decode    not predicted: the profile has no read bandwidth\n";
  if (p.prefillTokensPerSecond > 0)
    out << llvm::format("  prefill   %10.1f tok/s  bound by %s\n", p.prefillTokensPerSecond,
                        p.prefillTerm.c_str());
  out << llvm::format("  KL        %10.4f nats/token, between %.4f and %.4f (prior, not measured "
                      "on this model)\n",
                      p.kl, p.klLow, p.klHigh);
  out << llvm::format(
      "  optimality gap %.2f %% (%s, against the linear bound), planned in %.2f s\n",
      100 * plan.optimality.gap, plan.solver.c_str(), plan.seconds);
  return text;
}

} // namespace gcompile
