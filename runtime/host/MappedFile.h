// A file mapped read-only, and parts of it mapped executable. Closed when the object goes.
//
// The file must not be changed while it is mapped; a file that shrinks ends the program (SIGBUS),
// as for every mapped executable.
#pragma once

#include "runtime/core/Status.h"

namespace gcompile::runtime {

class MappedFile {
public:
  MappedFile() = default;
  MappedFile(const MappedFile &) = delete;
  MappedFile &operator=(const MappedFile &) = delete;
  ~MappedFile() { close(); }

  Status open(const char *path, Message &message);
  void close();

  const uint8_t *data() const { return mapping; }
  uint64_t bytes() const { return length; }
  int descriptor() const { return file; }

  // Maps [offset, offset + bytes) readable and executable; offset is a multiple of 64 KiB, so of
  // every page. Unmapped on close.
  Status mapCode(uint64_t offset, uint64_t bytes, const uint8_t *&code, Message &message);

private:
  int file = -1;
  const uint8_t *mapping = nullptr;
  uint64_t length = 0;
  void *codeMapping = nullptr;
  uint64_t codeBytes = 0;
};

} // namespace gcompile::runtime
