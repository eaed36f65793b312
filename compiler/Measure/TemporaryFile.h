// A file that lives as long as this object: made in a folder or in $TMPDIR (else /tmp), readable by
// the user alone, and gone afterwards, also when the program is interrupted.
#pragma once

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <string>
#include <utility>

namespace gcompile {

class TemporaryFile {
public:
  // An empty file called "gcompile-…" with that ending ("gpk").
  static llvm::Expected<TemporaryFile> create(llvm::StringRef ending, llvm::StringRef folder = "");

  TemporaryFile(TemporaryFile &&other) : name(std::exchange(other.name, "")) {}
  TemporaryFile &operator=(TemporaryFile &&other);
  ~TemporaryFile() { remove(); }

  const std::string &path() const { return name; } // empty once removed or moved from

  // Takes the name away now. Who has the file open keeps what is in it until it is closed.
  void remove();

private:
  explicit TemporaryFile(std::string path) : name(std::move(path)) {}
  std::string name;
};

} // namespace gcompile
