#include "compiler/Plan/EngineJson.h"

#include "llvm/Support/FormatVariadic.h"

#include <cmath>

namespace gcompile {

using llvm::json::Array;
using llvm::json::Object;
using llvm::json::Value;

static Value known(double value) {
  return value > 0 && std::isfinite(value) ? Value(value) : Value(nullptr);
}

static Object splitJson(const EngineForecast &forecast, const EngineSplitForecast &split) {
  Array shares, blocks;
  for (const EngineShare &share : split.shares)
    shares.push_back(
        Object{{"engine", share.engine}, {"blocks", share.blocks}, {"seconds", share.seconds}});
  for (const EngineBlock &block : split.blocks) {
    Object seconds;
    for (size_t i = 0; i < forecast.splitEngines.size() && i < block.seconds.size(); ++i)
      seconds[forecast.splitEngines[i]] =
          std::isfinite(block.seconds[i]) ? Value(block.seconds[i]) : Value(nullptr);
    blocks.push_back(Object{{"name", block.name},
                            {"layer", block.layer < 0 ? Value(nullptr) : Value(block.layer)},
                            {"engine", forecast.splitEngines[block.engine]},
                            {"seconds", std::move(seconds)}});
  }
  Object object{{"tokens_per_second", known(split.tokensPerSecond)},
                {"low", known(split.low)},
                {"high", known(split.high)},
                {"handovers", split.handovers},
                {"handover_seconds", split.handoverSeconds},
                {"shares", std::move(shares)}};
  if (!split.blocks.empty())
    object["blocks"] = std::move(blocks);
  return object;
}

Object enginesJson(const EngineForecast &forecast) {
  Array list;
  for (const EngineSpeed &engine : forecast.engines)
    list.push_back(Object{{"name", engine.name},
                          {"title", engine.title},
                          {"through", engine.through},
                          {"compiled", engine.name == forecast.compiled},
                          {"own_bandwidth", engine.ownBandwidth},
                          {"decode_tokens_per_second", known(engine.decode)},
                          {"decode_low", known(engine.decodeLow)},
                          {"decode_high", known(engine.decodeHigh)},
                          {"prefill_tokens_per_second", known(engine.prefill)},
                          {"prefill_low", known(engine.prefillLow)},
                          {"prefill_high", known(engine.prefillHigh)}});
  Object object{{"compiled", forecast.compiled}, {"list", std::move(list)}};
  if (!forecast.decode || !forecast.handover) {
    object["best_split"] = nullptr;
    object["missing"] = missingSplit(forecast);
    return object;
  }
  const HandoverFigure &handover = *forecast.handover;
  Object figure{{"seconds", handover.seconds},
                {"source", handover.source},
                {"confidence", handover.confidence}};
  if (handover.low > 0) {
    figure["low"] = handover.low;
    figure["high"] = handover.high;
  }
  object["best_split"] = Object{
      {"engines", Array(forecast.splitEngines)},
      {"handover", std::move(figure)},
      {"decode", splitJson(forecast, *forecast.decode)},
      {"prefill", forecast.prefill ? Value(splitJson(forecast, *forecast.prefill)) : nullptr}};
  return object;
}

std::string missingSplit(const EngineForecast &forecast) {
  return forecast.decode ? "" : "the profile states no handover_seconds between these engines";
}

std::string engineLine(const EngineForecast &forecast, bool decode) {
  std::string line;
  auto add = [&](llvm::StringRef what, double speed) {
    if (speed > 0)
      line += llvm::formatv("{0}{1} {2:f1}", line.empty() ? "" : ", ", what, speed).str();
  };
  for (const EngineSpeed &engine : forecast.engines)
    add(engine.name, decode ? engine.decode : engine.prefill);
  const std::optional<EngineSplitForecast> &split = decode ? forecast.decode : forecast.prefill;
  if (split)
    add("best split", split->tokensPerSecond);
  if (line.empty())
    return line;
  line += " tok/s";
  if (!split)
    return line;
  std::string shares;
  for (const EngineShare &share : split->shares) {
    if (split->handovers == 0 && share.blocks > 0)
      return line + " (all on the " + share.engine + ")";
    shares +=
        llvm::formatv("{0}{1} {2}", shares.empty() ? "" : ", ", share.engine, share.blocks).str();
  }
  return line + " (" + shares + " blocks)";
}

} // namespace gcompile
