#include "passes/Transforms/ImageSpans.h"
#include "ir/Gemma/Gemma.h"

using namespace mlir;

namespace gcompile {

void dropImageSpans(func::FuncOp program) {
  for (auto attention : program.getOps<gemma::AttentionOp>()) {
    attention.getSpansMutable().clear();
    attention.setWholeSpans(false);
  }
  llvm::BitVector unused(program.getNumArguments());
  for (BlockArgument argument : program.getArguments())
    if (gemma::isSpans(argument.getType()))
      unused.set(argument.getArgNumber());
  (void)program.eraseArguments(unused); // fails only where the type is no function type
}

} // namespace gcompile
