#include "compiler/Codegen/ArenaLifetimes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace gcompile {

std::vector<ProgramArena> arenaLifetimes(mlir::ModuleOp module) {
  std::vector<ProgramArena> programs;
  for (auto function : module.getOps<mlir::func::FuncOp>()) {
    auto arena = function->getAttrOfType<mlir::IntegerAttr>("kernel.arena_bytes");
    auto live = function->getAttrOfType<mlir::DenseI64ArrayAttr>("kernel.arena_live");
    if (!arena || !live)
      continue;
    programs.push_back({function.getName().str(),
                        arena.getInt(),
                        {live.asArrayRef().begin(), live.asArrayRef().end()}});
  }
  return programs;
}

} // namespace gcompile
