#include "compiler/Driver/EncoderPhases.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"

#include <algorithm>

namespace gcompile {

llvm::Error checkModalities(const ModelShape &model, llvm::ArrayRef<std::string> modalities,
                            int64_t context) {
  std::vector<std::string> known = {"text"};
  for (const EncoderShape &encoder : model.encoders)
    known.push_back(encoder.modality);
  for (const std::string &modality : modalities)
    if (!llvm::is_contained(known, modality))
      return llvm::createStringError("--modalities " + llvm::join(modalities, ",") + ": " +
                                     model.name + " has no " + modality + ", it has " +
                                     llvm::join(known, ", "));
  int64_t taken = encoderPositions(model.encoders, modalities);
  if (taken >= context)
    return llvm::createStringError("--context " + llvm::Twine(context) +
                                   ": one input of each of --modalities " +
                                   llvm::join(modalities, ",") + " takes " + llvm::Twine(taken) +
                                   " positions, so that none are left for text");
  return llvm::Error::success();
}

// What is needed while a tower encodes: itself, what it computes with, and what text has to keep.
static MemoryAccount encodingPhase(const ModelShape &model, const Plan &plan,
                                   const EncoderShape &encoder, WeightFormat format) {
  MemoryAccount phase;
  phase.encoders = encoderBytes(encoder, format);
  // Caches stay whole, with the rings' rows beyond the window, which count as activations.
  phase.kvCache = plan.memory.kvCache;
  int64_t caches = 0;
  for (const PlannedKv &kv : plan.kvCaches)
    caches += kv.bytes;
  phase.activations = (caches - plan.memory.kvCache) + encoder.activationBytes +
                      softTokenBytes(model.encoders, plan.modalities, model.hidden);
  // Caches of rows and experts are memory of our own; a table in memory is mapped.
  bool cached = plan.tables == TablePlacement::Storage || plan.expertsOnStorage();
  phase.tables = cached ? plan.memory.tables : 0;
  phase.code = plan.memory.code;
  phase.runtime = plan.memory.runtime;
  return phase;
}

int64_t addEncoderPhases(const ModelShape &model, Plan &plan) {
  plan.phases.clear();
  plan.encoders.clear();
  int64_t largest = 0;
  const MemoryAccount text = plan.memory;
  for (const EncoderShape &encoder : model.encoders) {
    if (!llvm::is_contained(plan.modalities, encoder.modality))
      continue;
    MemoryAccount phase;
    WeightFormat chosen = WeightFormat::W4;
    // As stored if possible: towers are a small part, and text is unaffected by what they take.
    for (WeightFormat format : {WeightFormat::BF16, WeightFormat::W8, WeightFormat::W4}) {
      chosen = format;
      phase = encodingPhase(model, plan, encoder, format);
      if (phase.peak() <= plan.budgetBytes)
        break;
    }
    plan.encoders.push_back({encoder.modality, chosen, phase.encoders, encoder.softTokens});
    plan.phases.push_back({encoder.modality, phase});
    largest = std::max(largest, phase.peak());
  }
  if (plan.phases.empty())
    return 0;
  plan.phases.push_back({"text", text});
  for (const PlanPhase &phase : plan.phases)
    if (phase.memory.peak() > plan.memory.peak())
      plan.memory = phase.memory;
  return largest;
}

} // namespace gcompile
