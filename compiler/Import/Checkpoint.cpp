#include "compiler/Import/Checkpoint.h"
#include "compiler/Import/ImportModel.h"

namespace gcompile {
Checkpoint::~Checkpoint() = default;
} // namespace gcompile
