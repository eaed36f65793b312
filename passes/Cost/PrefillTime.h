// Time of a prompt. It goes through the layers in chunks; a product of a chunk takes as long as its
// operations or as reading its weights, whichever is longer. Layers that feed no cache and the head
// run for the last token alone (exact: nobody reads the rest), which is decoded: the first token
// comes after prefillTime and one decodeTime. Operations count 2 for a multiply and add; times are
// seconds.
#pragma once

#include "passes/Cost/DecodeTime.h"

namespace gcompile {

struct PrefillWork {
  std::span<const WeightFormat> formats; // one for each of model.tensors
  KvFormat localK = KvFormat::F16, localV = KvFormat::F16;
  KvFormat globalK = KvFormat::F16, globalV = KvFormat::F16;
  int64_t chunk = 128;     // tokens that are done at once
  int64_t tokens = 512;    // of the prompt
  double storagePages = 0; // of 4 KiB, of table rows that the whole prompt fetches from storage
  double coldShare = usualColdShare; // of them, that are not in the page cache
  double expertBytes = 0;            // of experts that the whole prompt reads from storage
};

// "products", "weights" (where reading them takes longer), "attention", "layers" (norms, gates,
// rounding), "launches", "storage", "experts".
TimeEstimate prefillTime(const MachineModel &machine, const ModelShape &model,
                         const PrefillWork &work);

// Operations of the products of one token in all layers that prefill computes, and of attention
// over `tokens` positions from 0.
double productOperations(const ModelShape &model, int64_t layers);
double attentionOperations(const ModelShape &model, int64_t layers, bool global, int64_t tokens);

// Bytes of weights that a chunk reads.
double prefillWorkingSet(const ModelShape &model, const PrefillWork &work);

// The whole prompt in one tensor (0: the arithmetic rate of its format is not known) and in the
// attention of one layer. `workingSetBytes`: that of the chunk; 0: more than caches hold.
double prefillSeconds(const MachineModel &machine, const TensorShape &tensor, WeightFormat format,
                      const PrefillWork &work, double workingSetBytes = 0);
double attentionSeconds(const MachineModel &machine, const ModelShape &model,
                        const LayerShape &layer, const PrefillWork &work);
// Chunks that a prompt goes through in.
double chunksOf(const PrefillWork &work);

// A prompt of 512 tokens. `formatOf` has one format for each of model.tensors.
SpeedEstimate prefillSpeed(const MachineModel &machine, const ModelShape &model,
                           const std::vector<WeightFormat> &formatOf, int64_t chunk);
SpeedEstimate prefillSpeed(const TimeEstimate &prompt, int64_t tokens);

// An encoder (vision, audio) of so many operations and weight bytes, run once: it computes or
// reads.
double encoderSeconds(const MachineModel &machine, double operations, double weightBytes);

} // namespace gcompile
