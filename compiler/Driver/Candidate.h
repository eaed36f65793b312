// A model that a run may be about: read from where it lies, with the shapes that planning needs.
#pragma once

#include "compiler/Driver/PlanModel.h"
#include "compiler/Import/ImportModel.h"

#include <string>

namespace gcompile {

struct Candidate {
  std::string source; // path or preset
  ImportedModel model;
  ModelShape shape;
};

llvm::Expected<Candidate> loadCandidate(const std::string &source,
                                        const CompilerInvocation &options);

// What planning needs to know of it, what its weights tell included. The request points into the
// first three arguments. `replayed`: a plan whose static scales are taken; null: none.
llvm::Expected<PlanRequest> requestFor(const Candidate &candidate, const DeviceProfile &profile,
                                       const CompilerInvocation &options,
                                       const Plan *replayed = nullptr);

} // namespace gcompile
