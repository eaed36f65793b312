#include "compiler/Plan/EngineText.h"

#include "compiler/Plan/deployment_plan.pb.h"

#include "llvm/ADT/STLExtras.h"

#include <cmath>

namespace gcompile {

static void writeSplit(const EngineSplitForecast &split, plan::EngineSplit &out) {
  out.set_tokens_per_second(split.tokensPerSecond);
  out.set_low(split.low);
  out.set_high(split.high);
  out.set_handovers(split.handovers);
  out.set_handover_seconds(split.handoverSeconds);
  for (const EngineShare &share : split.shares) {
    plan::EngineShare &written = *out.add_shares();
    written.set_engine(share.engine);
    written.set_blocks(share.blocks);
    written.set_seconds(share.seconds);
  }
}

void writeEngines(const EngineForecast &forecast, plan::Engines &out) {
  out.set_compiled(forecast.compiled);
  for (const EngineSpeed &engine : forecast.engines) {
    plan::EngineSpeed &written = *out.add_list();
    written.set_name(engine.name);
    written.set_title(engine.title);
    written.set_through(engine.through);
    written.set_own_bandwidth(engine.ownBandwidth);
    written.set_decode(engine.decode);
    written.set_decode_low(engine.decodeLow);
    written.set_decode_high(engine.decodeHigh);
    written.set_prefill(engine.prefill);
    written.set_prefill_low(engine.prefillLow);
    written.set_prefill_high(engine.prefillHigh);
  }
  for (const std::string &engine : forecast.splitEngines)
    out.add_split_engines(engine);
  if (const std::optional<HandoverFigure> &handover = forecast.handover) {
    plan::Handover &written = *out.mutable_handover();
    written.set_seconds(handover->seconds);
    written.set_low(handover->low);
    written.set_high(handover->high);
    written.set_source(handover->source);
    written.set_confidence(handover->confidence);
  }
  if (forecast.decode)
    writeSplit(*forecast.decode, *out.mutable_decode());
  if (forecast.prefill)
    writeSplit(*forecast.prefill, *out.mutable_prefill());
}

namespace {

// Names and figures as they are shown: short and finite. The first fault stays.
struct Checker {
  std::string text(const std::string &value, size_t longest) {
    if (value.empty() || value.size() > longest)
      fault = "a name of " + std::to_string(value.size()) + " characters, expected 1 to " +
              std::to_string(longest);
    return value;
  }
  double number(double value) {
    if (!std::isfinite(value) || value < 0)
      fault = "a figure that is negative or no finite number";
    return value;
  }
  int64_t count(int64_t value) {
    if (value < 0 || value > 1 << 24)
      fault = "a count of " + std::to_string(value) + ", expected 0 to 2^24";
    return value;
  }
  std::string fault;
};

constexpr int mostEngines = 8;

EngineSplitForecast readSplit(const plan::EngineSplit &in, Checker &check) {
  EngineSplitForecast split;
  split.tokensPerSecond = check.number(in.tokens_per_second());
  split.low = check.number(in.low());
  split.high = check.number(in.high());
  split.handovers = check.count(in.handovers());
  split.handoverSeconds = check.number(in.handover_seconds());
  if (in.shares_size() > mostEngines)
    check.fault = "a split over " + std::to_string(in.shares_size()) + " engines";
  for (const plan::EngineShare &share : llvm::make_range(in.shares().begin(), in.shares().end()))
    split.shares.push_back({check.text(share.engine(), 16), check.count(share.blocks()),
                            check.number(share.seconds())});
  return split;
}

} // namespace

std::string readEngines(const plan::Engines &in, EngineForecast &out) {
  Checker check;
  out.compiled = check.text(in.compiled(), 16);
  if (in.list_size() < 2 || in.list_size() > mostEngines)
    return "engines lists " + std::to_string(in.list_size()) + ", expected 2 to 8";
  for (const plan::EngineSpeed &engine : in.list())
    out.engines.push_back({check.text(engine.name(), 16), check.text(engine.title(), 300),
                           check.text(engine.through(), 300), engine.own_bandwidth(),
                           check.number(engine.decode()), check.number(engine.decode_low()),
                           check.number(engine.decode_high()), check.number(engine.prefill()),
                           check.number(engine.prefill_low()),
                           check.number(engine.prefill_high())});
  for (const std::string &engine : in.split_engines())
    out.splitEngines.push_back(check.text(engine, 16));
  bool split = in.has_decode();
  if (split != in.has_handover() || split != (out.splitEngines.size() == 2) ||
      (in.has_prefill() && !split) || (!split && !out.splitEngines.empty()))
    return "a split over engines needs two of them, a handover and decode";
  if (split) {
    const plan::Handover &handover = in.handover();
    out.handover = {check.number(handover.seconds()), check.number(handover.low()),
                    check.number(handover.high()), check.text(handover.source(), 500),
                    check.text(handover.confidence(), 32)};
    out.decode = readSplit(in.decode(), check);
  }
  if (in.has_prefill())
    out.prefill = readSplit(in.prefill(), check);
  return check.fault.empty() ? "" : "engines holds " + check.fault;
}

} // namespace gcompile
