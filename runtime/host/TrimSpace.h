// White space at both ends of a text, as Python's str.strip() and the trim of chat templates see
// it.
#pragma once

#include <stddef.h>

namespace gcompile::runtime {

void trimSpace(const char *&text, size_t &bytes);

} // namespace gcompile::runtime
