// The insides of gc_model, shared by the files that implement the C API, and the message of the
// thread.
#pragma once

#include "runtime/core/ArtifactReader.h"
#include "runtime/core/Tokenizer.h"
#include "runtime/host/MappedFile.h"

struct gc_model {
  gcompile::runtime::MappedFile file;
  gcompile::runtime::Artifact artifact;
  gcompile::runtime::Tokenizer tokenizer; // when the manifest has one
  const gc_code_variant *variant = nullptr;
  const uint8_t *code = nullptr;
  uint64_t codeBytes = 0;

  const gc_manifest &manifest() const { return *artifact.manifest; }
};

namespace gcompile::runtime {

Message &threadMessage();
// Writes the message and returns the status.
template <typename... Parts>
Status fail(Status status, const Parts &...parts) {
  threadMessage().clear();
  (threadMessage() << ... << parts);
  return status;
}

} // namespace gcompile::runtime
