// Pieces of a page. Everything that comes from a file goes through `escaped`; numbers are written
// with their exact value beside what people read, so that a page can be checked against the JSON.
#pragma once

#include "llvm/ADT/StringRef.h"

#include <cstdint>
#include <string>

namespace gcompile::html {

// Text that is safe between tags and inside quoted attributes. Control characters, which no HTML
// document may hold, become U+FFFD.
std::string escaped(llvm::StringRef text);

// How far a figure can be trusted.
enum class Mark : uint8_t {
  Counted,   // arithmetic on shapes, formats or generated code: exact
  Measured,  // by an instrument, on a device or on the model
  Published, // read in a source
  Modelled,  // computed from other figures by a model
  Assumed,   // a planning rule, or recalled and not read again
};
const char *word(Mark mark);
std::string badge(Mark mark);

// <data value="…" data-key="…">shown</data>: `key` is the path in the plan's JSON, "" for none.
std::string figure(llvm::StringRef key, int64_t value, llvm::StringRef shown);
std::string figure(llvm::StringRef key, double value, llvm::StringRef shown);
std::string bytesFigure(llvm::StringRef key, int64_t bytes);

// "12.3" with at most so many digits behind the point, for coordinates: short, and the same
// everywhere.
std::string decimal(double value, int digits = 1);

} // namespace gcompile::html
