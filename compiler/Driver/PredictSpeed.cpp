#include "compiler/Driver/PredictSpeed.h"

#include "passes/Cost/ExpertShape.h"

#include <algorithm>

namespace gcompile {

static std::vector<WeightFormat> formatsOf(const Plan &plan) {
  std::vector<WeightFormat> formats;
  for (const PlannedTensor &tensor : plan.tensors)
    formats.push_back(tensor.format);
  return formats;
}

// Pages of 4 KiB that a row of a table on storage needs; 0: tables are in memory.
static double pagesOfRow(const Plan &plan, const ModelShape &model) {
  if (plan.tables != TablePlacement::Storage)
    return 0;
  for (const PlannedTensor &tensor : plan.tensors)
    if (tensor.role == "per_layer_table")
      return double((tableRowBytes(model, tensor.format) + storagePageBytes - 1) /
                    storagePageBytes);
  return 0;
}

// Bytes of experts that a pass over `tokens` tokens reads from storage.
static double expertBytesOf(const Plan &plan, const ModelShape &model, int64_t tokens) {
  if (!plan.expertsOnStorage())
    return 0;
  ExpertShape shape = expertsOf(model);
  auto formatOf = [&](std::string_view role) {
    for (const PlannedTensor &tensor : plan.tensors)
      if (tensor.role == role)
        return tensor.format;
    return WeightFormat::F32;
  };
  int64_t block = expertBlockBytes(model, formatOf("expert_gate_up"), formatOf("expert_down")),
          all = expertsInAll(model), layers = all / std::max<int64_t>(shape.experts, 1);
  if (tokens == 1)
    return expertMissRate(plan.expertSlots, all) * double(shape.perToken * layers * block);
  // A prompt goes through the layers in chunks.
  double bytes = 0;
  for (int64_t done = 0; done < tokens; done += plan.prefillChunk) {
    int64_t rows = std::min(plan.prefillChunk, tokens - done);
    double distinct = distinctExperts(shape.experts, shape.perToken, rows);
    bytes += expertMissRateOfRounds(plan.expertSlots, all, distinct, layers) * distinct *
             double(layers * block);
  }
  return bytes;
}

double expertReadSecondsOf(const Plan &plan, const ModelShape &model, const MachineModel &machine) {
  return expertSeconds(machine, expertBytesOf(plan, model, 1));
}

// `formats` has to live as long as the work.
static DecodeWork decodeWork(const Plan &plan, const ModelShape &model,
                             const std::vector<WeightFormat> &formats, int64_t positions,
                             double coldShare) {
  DecodeWork work;
  work.formats = formats;
  work.localK = plan.localK;
  work.localV = plan.localV;
  work.globalK = plan.globalK;
  work.globalV = plan.globalV;
  work.positions = positions;
  work.storagePages = pagesOfRow(plan, model);
  work.expertBytes = expertBytesOf(plan, model, 1);
  if (coldShare >= 0)
    work.coldShare = coldShare;
  return work;
}

double decodeWorkingSetOf(const Plan &plan, const ModelShape &model, int64_t positions) {
  std::vector<WeightFormat> formats = formatsOf(plan);
  return workingSetBytes(model, decodeWork(plan, model, formats, positions, 0));
}

static PrefillWork prefillWork(const Plan &plan, const ModelShape &model,
                               const std::vector<WeightFormat> &formats, int64_t promptTokens,
                               double coldShare) {
  PrefillWork work;
  work.formats = formats;
  work.localK = plan.localK;
  work.localV = plan.localV;
  work.globalK = plan.globalK;
  work.globalV = plan.globalV;
  work.chunk = plan.prefillChunk;
  work.tokens = promptTokens;
  work.storagePages = pagesOfRow(plan, model) * double(promptTokens);
  work.expertBytes = expertBytesOf(plan, model, promptTokens);
  if (coldShare >= 0)
    work.coldShare = coldShare;
  return work;
}

TimeEstimate decodeTimeOf(const Plan &plan, const ModelShape &model, const MachineModel &machine,
                          int64_t positions, double coldShare) {
  std::vector<WeightFormat> formats = formatsOf(plan);
  return decodeTime(machine, model, decodeWork(plan, model, formats, positions, coldShare));
}

TimeEstimate prefillTimeOf(const Plan &plan, const ModelShape &model, const MachineModel &machine,
                           int64_t promptTokens, double coldShare) {
  std::vector<WeightFormat> formats = formatsOf(plan);
  return prefillTime(machine, model, prefillWork(plan, model, formats, promptTokens, coldShare));
}

std::vector<PassBlock> decodeBlocksOf(const Plan &plan, const ModelShape &model,
                                      const MachineModel &machine, int64_t positions,
                                      double coldShare) {
  std::vector<WeightFormat> formats = formatsOf(plan);
  return decodeBlocks(machine, model, decodeWork(plan, model, formats, positions, coldShare));
}

std::vector<PassBlock> prefillBlocksOf(const Plan &plan, const ModelShape &model,
                                       const MachineModel &machine, int64_t promptTokens,
                                       double coldShare) {
  std::vector<WeightFormat> formats = formatsOf(plan);
  return prefillBlocks(machine, model, prefillWork(plan, model, formats, promptTokens, coldShare));
}

int64_t predictedPositions(const Plan &plan) { return std::max<int64_t>(plan.context / 2, 1); }
int64_t predictedPrompt(const Plan &plan) {
  return std::min<int64_t>(512, predictedPositions(plan));
}

void predictSpeed(Plan &plan, const ModelShape &model, const MachineModel &machine) {
  Predictions &predicted = plan.predicted;
  int64_t positions = predictedPositions(plan), prompt = predictedPrompt(plan);
  TimeEstimate token = decodeTimeOf(plan, model, machine, positions),
               chunks = prefillTimeOf(plan, model, machine, prompt);
  SpeedEstimate decode = decodeSpeed(token), prefill = prefillSpeed(chunks, prompt);
  predicted.decodeTokensPerSecond = decode.tokensPerSecond;
  predicted.decodeTerm = decode.term;
  predicted.decodeLow = decode.low;
  predicted.decodeHigh = decode.high;
  if (plan.expertsOnStorage())
    predicted.expertMissRate = expertMissRate(plan.expertSlots, expertsInAll(model));
  predicted.decodeParts.clear();
  for (const TimeTerm &term : token.terms) {
    std::string name = term.name == "kv_cache" ? "kv cache" : term.name;
    auto same = std::find_if(predicted.decodeParts.begin(), predicted.decodeParts.end(),
                             [&](const TimePart &part) { return part.term == name; });
    if (same == predicted.decodeParts.end())
      predicted.decodeParts.push_back({name, term.seconds});
    else
      same->seconds += term.seconds;
  }
  predicted.prefillTokensPerSecond = prefill.tokensPerSecond;
  predicted.prefillTerm = prefill.term;
  predicted.prefillLow = prefill.low;
  predicted.prefillHigh = prefill.high;
  predicted.firstTokenSeconds =
      token.known() && chunks.known() ? chunks.seconds() + token.seconds() : 0;
}

} // namespace gcompile
