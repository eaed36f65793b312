// A small plan by hand: two layers, an embedding, two caches, every figure chosen so that sums can
// be done in the head.
#pragma once

#include "compiler/Plan/Plan.h"

namespace gcompile {

inline Plan samplePlan() {
  Plan plan;
  plan.model = "sample";
  plan.target = "board";
  plan.context = 1024;
  plan.budgetBytes = 10000;
  plan.tables = TablePlacement::Storage;
  plan.tableCacheRows = 64;
  plan.solver = "greedy";
  auto add = [&](const char *name, const char *role, int64_t layer, WeightFormat format,
                 int64_t bytes) {
    PlannedTensor tensor;
    tensor.name = name;
    tensor.role = role;
    tensor.layer = layer;
    tensor.n = 8;
    tensor.k = 100;
    tensor.format = format;
    tensor.bytes = bytes;
    if (tensor.role != "norm")
      tensor.options = {
          {"w8", 800, 0.001, 8e-6}, {"w4", 400, 0.010, 4e-6}, {"w2", 200, 0.100, 2e-6}};
    plan.tensorFormats[name] = format;
    plan.tensors.push_back(tensor);
  };
  add("embed.weight", "embedding", -1, WeightFormat::W8, 800);
  add("layers.0.q.weight", "q", 0, WeightFormat::W8, 800);
  add("layers.1.q.weight", "q", 1, WeightFormat::W4, 400);
  add("layers.0.down.weight", "down", 0, WeightFormat::W2, 200);
  add("layers.1.down.weight", "down", 1, WeightFormat::W4, 400);
  add("norm.weight", "norm", -1, WeightFormat::F32, 3200);
  PlannedTensor table;
  table.name = "table.weight";
  table.role = "per_layer_table";
  table.n = 100;
  table.k = 80;
  table.format = WeightFormat::W8;
  table.bytes = 8000;
  table.placement = "storage";
  table.options = {{"memory:w8", 8000, 0, 1e-6, 0}, {"storage:w8", 500, 0, 100e-6, 8000}};
  plan.tensorFormats[table.name] = table.format;
  plan.tensors.push_back(table);
  // A ring of 128 rows, 64 of them the window; 16 bytes a row.
  plan.kvCaches.push_back({"local",
                           KvFormat::Kv8,
                           KvFormat::Kv8,
                           1,
                           1,
                           8,
                           128,
                           2048,
                           false,
                           {{"f16", 4096, 0, 2e-6}, {"kv8", 2048, 0.002, 1e-6}}});
  plan.kvCaches.push_back({"global",
                           KvFormat::F16,
                           KvFormat::F16,
                           1,
                           1,
                           8,
                           1024,
                           1024,
                           false,
                           {{"f16", 1024, 0, 1e-6}, {"kv8", 512, 0.004, 0.5e-6}}});
  plan.localK = plan.localV = KvFormat::Kv8;
  plan.memory = {.weights = 5800,
                 .tables = 500,
                 .kvCache = 2048,
                 .activations = 1224,
                 .code = 100,
                 .runtime = 200};
  plan.predicted.decodeTokensPerSecond = 50;
  plan.predicted.decodeLow = 40;
  plan.predicted.decodeHigh = 60;
  plan.predicted.prefillTokensPerSecond = 1000;
  plan.predicted.firstTokenSeconds = 0.5;
  plan.predicted.decodeTerm = "memory bandwidth";
  plan.predicted.prefillTerm = "operations";
  plan.predicted.decodeParts = {{"weights", 0.015}, {"barriers", 0.005}};
  plan.predicted.kl = 0.124;
  plan.predicted.klLow = 0.05;
  plan.predicted.klHigh = 0.3;
  // 0.001 + 0.001 + 0.010 + 0.100 + 0.010 + 0 + 0.002 + 0 of loss; nothing for time and storage.
  plan.optimality.objective = 0.124;
  plan.optimality.bound = 0.1239;
  plan.optimality.gap = 0.0001 / 0.124;
  return plan;
}

// What two engines would do, with a split where `handover`.
inline EngineForecast sampleEngines(bool handover = true) {
  EngineForecast forecast;
  forecast.compiled = "cpu";
  forecast.engines = {{"cpu", "four cores", "machine code", true, 50, 40, 60, 1000, 800, 1200},
                      {"gpu", "shaders", "OpenCL", false, 70, 30, 140, 9000, 5000, 15000}};
  if (!handover)
    return forecast;
  forecast.splitEngines = {"cpu", "gpu"};
  forecast.handover = {75e-6, 50e-6, 100e-6, "a paper", "single_source"};
  forecast.decode = {72, 31, 141, 2, 150e-6, {{"cpu", 3, 0.002}, {"gpu", 100, 0.0117}}, {}};
  forecast.prefill = {9100, 5100, 15100, 2, 600e-6, {{"cpu", 2, 0}, {"gpu", 40, 0.056}}, {}};
  return forecast;
}

} // namespace gcompile
