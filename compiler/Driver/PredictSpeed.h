// Speeds of a plan on a machine: from its formats and the shape of its model to the predictions
// that plans show.
#pragma once

#include "compiler/Plan/Plan.h"
#include "passes/Cost/CostModel.h"
#include "passes/Cost/PassBlocks.h"

namespace gcompile {

// One decoded token at a depth of `positions`, and a prompt from position 0. `plan.tensors` are in
// the order of model.tensors. `coldShare`: of rows of tables on storage that are not in the page
// cache; negative: what is usual.
TimeEstimate decodeTimeOf(const Plan &plan, const ModelShape &model, const MachineModel &machine,
                          int64_t positions, double coldShare = -1);
TimeEstimate prefillTimeOf(const Plan &plan, const ModelShape &model, const MachineModel &machine,
                           int64_t promptTokens, double coldShare = -1);

// The same in blocks.
std::vector<PassBlock> decodeBlocksOf(const Plan &plan, const ModelShape &model,
                                      const MachineModel &machine, int64_t positions,
                                      double coldShare = -1);
std::vector<PassBlock> prefillBlocksOf(const Plan &plan, const ModelShape &model,
                                       const MachineModel &machine, int64_t promptTokens,
                                       double coldShare = -1);

// What a decoded token waits for experts on storage; 0 where they lie in memory.
double expertReadSecondsOf(const Plan &plan, const ModelShape &model, const MachineModel &machine);

// What predictions are made for: the depth of a token, and the length of a prompt.
int64_t predictedPositions(const Plan &plan);
int64_t predictedPrompt(const Plan &plan);

// Bytes that such a token reads.
double decodeWorkingSetOf(const Plan &plan, const ModelShape &model, int64_t positions);

// Fills in the speeds of `plan.predicted`, at half of the context, with a prompt of 512 tokens or
// half of the context.
void predictSpeed(Plan &plan, const ModelShape &model, const MachineModel &machine);

} // namespace gcompile
