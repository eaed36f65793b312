#include "compiler/Driver/PredictEngines.h"

#include "compiler/Driver/PredictSpeed.h"
#include "compiler/Profile/EngineMachines.h"
#include "passes/Planning/EngineSplit.h"

#include "llvm/ADT/STLExtras.h"

#include <cmath>
#include <limits>

namespace gcompile {
namespace {

// A machine's figures as they are, or all at one end of what they may be.
enum class End { Usual, Fast, Slow };

MachineModel at(End end, const MachineModel &machine) {
  return end == End::Usual  ? machine
         : end == End::Fast ? optimistic(machine)
                            : pessimistic(machine);
}

// Of rows of tables on storage: what is usual, none and all.
double coldShareAt(End end) { return end == End::Usual ? -1 : end == End::Fast ? 0 : 1; }

double handoverAt(End end, const std::optional<Fact> &handover) {
  if (!handover)
    return 0;
  bool range = handover->low > 0;
  switch (end) {
  case End::Usual:
    return handover->value;
  case End::Fast:
    return range ? handover->low : handover->value / 2;
  case End::Slow:
    return range ? handover->high : handover->value * 2;
  }
  return handover->value;
}

// One token, or one prompt, over the processor and another engine.
class Pass {
public:
  Pass(const Plan &plan, const ModelShape &model, const EngineMachine &processor,
       const EngineMachine &other, bool decode)
      : plan(plan), model(model), engines{&processor, &other}, decode(decode) {
    for (End end : {End::Usual, End::Fast, End::Slow})
      if (!build(end, graphs[size_t(end)]))
        return;
    known = true;
  }

  bool isKnown() const { return known; }

  // Everything that can be on the other engine is.
  void predictOther(double &usual, double &low, double &high) const {
    std::vector<uint8_t> engine;
    for (const EngineOperation &operation : graphs[0].operations)
      engine.push_back(std::isfinite(operation.seconds[1]) ? 1 : 0);
    speeds(engine, usual, low, high);
  }

  EngineSplitForecast split() const {
    EngineSplit best = splitOverEngines(graphs[0]);
    EngineSplitForecast forecast;
    speeds(best.engine, forecast.tokensPerSecond, forecast.low, forecast.high);
    forecast.handoverSeconds = best.transferSeconds;
    for (size_t i = 0; i < 2; ++i)
      forecast.shares.push_back({engines[i]->name, 0, 0});
    for (size_t i = 0; i < best.engine.size(); ++i) {
      uint8_t engine = best.engine[i];
      forecast.handovers += i > 0 && best.engine[i - 1] != engine ? 1 : 0;
      ++forecast.shares[engine].blocks;
      forecast.shares[engine].seconds += graphs[0].operations[i].seconds[engine];
      forecast.blocks.push_back(
          {names[i].name, names[i].layer, graphs[0].operations[i].seconds, engine});
    }
    return forecast;
  }

private:
  std::vector<PassBlock> blocksOf(const EngineMachine &engine, End end) const {
    MachineModel machine = at(end, engine.machine);
    return decode ? decodeBlocksOf(plan, model, machine, predictedPositions(plan), coldShareAt(end))
                  : prefillBlocksOf(plan, model, machine, predictedPrompt(plan), coldShareAt(end));
  }

  bool build(End end, EngineGraph &graph) {
    std::vector<PassBlock> on[2] = {blocksOf(*engines[0], end), blocksOf(*engines[1], end)};
    if (on[0].empty() || on[0].size() != on[1].size())
      return false;
    double handover = handoverAt(end, engines[1]->handover);
    if (!decode) // every chunk goes through
      handover *= std::ceil(double(predictedPrompt(plan)) / double(plan.prefillChunk));
    for (size_t i = 0; i < on[0].size(); ++i) {
      double there =
          on[0][i].processorOnly ? std::numeric_limits<double>::infinity() : on[1][i].seconds;
      graph.operations.push_back({{on[0][i].seconds, there}});
      if (i > 0)
        graph.edges.push_back({i - 1, i, {handover, handover}});
    }
    if (end == End::Usual)
      names = std::move(on[0]);
    return check(graph).empty();
  }

  void speeds(const std::vector<uint8_t> &engine, double &usual, double &low, double &high) const {
    double tokens = decode ? 1 : double(predictedPrompt(plan));
    usual = tokens / evaluate(graphs[size_t(End::Usual)], engine).seconds;
    high = tokens / evaluate(graphs[size_t(End::Fast)], engine).seconds;
    low = tokens / evaluate(graphs[size_t(End::Slow)], engine).seconds;
  }

  const Plan &plan;
  const ModelShape &model;
  std::array<const EngineMachine *, 2> engines;
  bool decode, known = false;
  std::array<EngineGraph, 3> graphs;
  std::vector<PassBlock> names;
};

} // namespace

void predictEngines(Plan &plan, const ModelShape &model, const DeviceProfile &profile) {
  plan.engines.reset();
  std::vector<EngineMachine> engines = engineMachines(profile);
  const Predictions &own = plan.predicted;
  if (engines.size() < 2 || own.decodeTokensPerSecond <= 0)
    return;
  EngineForecast forecast;
  forecast.compiled = engines.front().name;
  for (const EngineMachine &engine : engines) {
    EngineSpeed speed{engine.name, engine.title, engine.through, engine.ownBandwidth};
    if (&engine == &engines.front()) {
      speed.decode = own.decodeTokensPerSecond;
      speed.decodeLow = own.decodeLow;
      speed.decodeHigh = own.decodeHigh;
      speed.prefill = own.prefillTokensPerSecond;
      speed.prefillLow = own.prefillLow;
      speed.prefillHigh = own.prefillHigh;
      forecast.engines.push_back(speed);
      continue;
    }
    Pass decode(plan, model, engines.front(), engine, true),
        prefill(plan, model, engines.front(), engine, false);
    if (decode.isKnown())
      decode.predictOther(speed.decode, speed.decodeLow, speed.decodeHigh);
    if (prefill.isKnown())
      prefill.predictOther(speed.prefill, speed.prefillLow, speed.prefillHigh);
    forecast.engines.push_back(speed);
    if (!engine.handover || !decode.isKnown())
      continue;
    EngineSplitForecast split = decode.split();
    if (forecast.decode && forecast.decode->tokensPerSecond >= split.tokensPerSecond)
      continue;
    const Fact &handover = *engine.handover;
    forecast.splitEngines = {engines.front().name, engine.name};
    forecast.handover = {handover.value, handover.low, handover.high, handover.source,
                         handover.confidence};
    forecast.decode = std::move(split);
    forecast.prefill.reset();
    if (prefill.isKnown())
      forecast.prefill = prefill.split();
  }
  plan.engines = std::move(forecast);
}

} // namespace gcompile
