// FlatBuffers in a file that nobody vouches for, read a few bytes at a time: models are gigabytes
// with their tables between the data. The first thing that does not fit is kept as the error, and
// everything after it reads as absent, so that parsers need one check at the end. The work is
// bounded whatever the file says.
#pragma once

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/Twine.h"
#include "llvm/Support/Error.h"

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace gcompile {

class FlatReader {
public:
  using Read = std::function<llvm::Error(uint64_t offset, llvm::MutableArrayRef<uint8_t> out)>;
  // The buffer is `bytes` long; `what` names it in messages.
  FlatReader(uint64_t bytes, Read read, std::string what);

  // Positions of tables; 0: absent, or there was an error.
  using Table = uint64_t;
  struct Vector {
    uint64_t at = 0, count = 0; // of the first element
  };
  Table root();
  // By slot, the number of a field in its schema. Scalars of 1, 2, 4 or 8 bytes, not extended.
  uint64_t scalar(Table table, unsigned slot, unsigned bytes, uint64_t otherwise = 0);
  Table child(Table table, unsigned slot);
  Vector vector(Table table, unsigned slot, unsigned elementBytes);
  std::string text(Table table, unsigned slot);
  // Elements of a vector of tables, and of scalars.
  Table childAt(const Vector &vector, uint64_t index);
  uint64_t scalarAt(const Vector &vector, uint64_t index, unsigned bytes);

  bool failed() const { return !message.empty(); }
  void fail(const llvm::Twine &why);
  llvm::Error takeError() const;

private:
  uint64_t get(uint64_t at, unsigned bytes);
  uint64_t field(Table table, unsigned slot, unsigned bytes);
  uint64_t follow(uint64_t at); // the position that the offset at `at` points to

  uint64_t size, spent = 0;
  Read read;
  std::string what, message;
  std::vector<uint8_t> window;
  uint64_t windowStart = 0;
};

} // namespace gcompile
