#include "compiler/Plan/EngineJson.h"
#include "compiler/Plan/PlanReport.h"

namespace gcompile {

static std::string str(std::string_view text) { return std::string(text); }

static llvm::json::Object memoryJson(const MemoryAccount &account) {
  llvm::json::Object memory;
  for (const MemoryCategory &category : memoryCategories())
    memory[category.key] = account.*category.bytes;
  return memory;
}

static llvm::json::Object plainPlanJson(const Plan &plan) {
  using namespace llvm::json;
  Object memory = memoryJson(plan.memory);
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
    if (auto found = plan.activationScales.find(tensor.name);
        found != plan.activationScales.end()) {
      entry["input_scale"] = found->second.input;
      entry["output_scale"] = found->second.output;
    }
    tensors.push_back(std::move(entry));
  }
  Array caches;
  for (const PlannedKv &kv : plan.kvCaches)
    caches.push_back(Object{{"layer_type", kv.layerType},
                            {"k", str(keyFormatName(kv))},
                            {"v", str(name(kv.v))},
                            {"bytes", kv.bytes},
                            {"layers", kv.layers},
                            {"capacity", kv.capacity}});
  Array cacheScales;
  for (const auto &[layer, scales] : plan.cacheScales)
    cacheScales.push_back(Object{{"layer", layer},
                                 {"kv8", Array{scales.kv8.key, scales.kv8.value}},
                                 {"kv4", Array{scales.kv4.key, scales.kv4.value}}});
  const Predictions &p = plan.predicted;
  // Zero means that the profile knows too little to predict.
  auto known = [](double value) { return value > 0 ? Value(value) : Value(nullptr); };
  Value staticCost = nullptr;
  if (p.staticCost)
    staticCost = Object{{"activations", p.staticCost->activations}};
  Array parts;
  for (const TimePart &part : p.decodeParts)
    parts.push_back(Object{{"term", part.term}, {"seconds", part.seconds}});
  return Object{{"model", plan.model},
                {"target", plan.target},
                {"budget_bytes", plan.budgetBytes},
                {"peak_bytes", plan.memory.peak()},
                {"feasible", plan.memory.peak() <= plan.budgetBytes},
                {"context", plan.context},
                {"modalities", Array(plan.modalities)},
                {"objective", str(name(plan.objective))},
                {"activations", str(name(plan.activations.value_or(Activations::Dynamic)))},
                {"memory", std::move(memory)},
                {"tables", Object{{"placement", str(name(plan.tables))},
                                  {"cache_rows", plan.tableCacheRows}}},
                {"prefill_chunk", plan.prefillChunk},
                {"score_chunk", plan.scoreChunk},
                {"tensors", std::move(tensors)},
                {"kv_cache", std::move(caches)},
                {"cache_scales", std::move(cacheScales)},
                {"predicted", Object{{"decode_tokens_per_second", known(p.decodeTokensPerSecond)},
                                     {"prefill_tokens_per_second", known(p.prefillTokensPerSecond)},
                                     {"first_token_seconds", known(p.firstTokenSeconds)},
                                     {"decode_low", known(p.decodeLow)},
                                     {"decode_high", known(p.decodeHigh)},
                                     {"prefill_low", known(p.prefillLow)},
                                     {"prefill_high", known(p.prefillHigh)},
                                     {"decode_bound_by", p.decodeTerm},
                                     {"prefill_bound_by", p.prefillTerm},
                                     {"decode_parts", std::move(parts)},
                                     {"kl", p.kl},
                                     {"kl_low", p.klLow},
                                     {"kl_high", p.klHigh},
                                     {"kl_basis", str(name(p.klBasis))},
                                     {"kl_from_plan", p.klFromFile},
                                     {"static_cost", std::move(staticCost)}}},
                {"optimality", Object{{"objective", plan.optimality.objective},
                                      {"bound", plan.optimality.bound},
                                      {"gap", plan.optimality.gap}}},
                {"solver", plan.solver},
                {"seconds", plan.seconds}};
}

llvm::json::Object planJson(const Plan &plan) {
  llvm::json::Object object = plainPlanJson(plan);
  if (plan.engines)
    object["engines"] = enginesJson(*plan.engines);
  if (plan.experts != TablePlacement::None)
    object["experts"] = llvm::json::Object{
        {"placement", str(name(plan.experts))},
        {"slots", plan.expertSlots},
        {"miss_rate", plan.expertsOnStorage() ? llvm::json::Value(plan.predicted.expertMissRate)
                                              : llvm::json::Value(nullptr)}};
  if (plan.phases.empty())
    return object;
  llvm::json::Array encoders, phases;
  for (const PlannedEncoder &encoder : plan.encoders)
    encoders.push_back(llvm::json::Object{{"modality", encoder.modality},
                                          {"format", str(name(encoder.format))},
                                          {"bytes", encoder.bytes},
                                          {"soft_tokens", encoder.softTokens}});
  for (const PlanPhase &phase : plan.phases)
    phases.push_back(llvm::json::Object{{"name", phase.name},
                                        {"bytes", phase.memory.peak()},
                                        {"memory", memoryJson(phase.memory)}});
  object["encoders"] = std::move(encoders);
  object["phases"] = std::move(phases);
  return object;
}

} // namespace gcompile
