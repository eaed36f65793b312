// Reads a .gpk in memory: checks every offset, size, count and checksum before anything relies on
// them.
//
// Freestanding. The file is hostile until read() has returned GC_OK; weights and tables are only
// bounded, not summed, unless asked. The view points into the file and lives as long as its
// mapping.
#pragma once

#include "runtime/abi/gc_artifact.h"
#include "runtime/core/Status.h"

namespace gcompile::runtime {

struct Artifact {
  const uint8_t *data = nullptr; // the whole file
  uint64_t bytes = 0;
  const gc_section *sections = nullptr;
  uint32_t sectionCount = 0;
  const gc_manifest *manifest = nullptr;
  const gc_section *weights = nullptr;
  const gc_section *table = nullptr;     // null: none
  const gc_section *experts = nullptr;   // on storage; null: none
  const gc_section *tokenizer = nullptr; // null: none
};

enum class Checksums { Structure, Everything };

// `Structure` sums all sections but weights, experts and tables.
Status readArtifact(const uint8_t *data, uint64_t bytes, Checksums checksums, Artifact &artifact,
                    Message &message);

// Bytes of a section's checksum: padding up to the next section or the end of the file is covered
// too.
uint64_t coveredBytes(const Artifact &artifact, uint32_t section);

const char *sectionName(uint32_t kind);

} // namespace gcompile::runtime
