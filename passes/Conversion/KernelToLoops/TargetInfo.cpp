#include "passes/Conversion/KernelToLoops/TargetInfo.h"
#include "llvm/ADT/StringSwitch.h"

using namespace mlir;

namespace gcompile::kernel {

FailureOr<TargetInfo> targetInfo(Operation *op) {
  auto module = isa<ModuleOp>(op) ? cast<ModuleOp>(op) : op->getParentOfType<ModuleOp>();
  TargetAttr target = module ? module->getAttrOfType<TargetAttr>(targetAttrName) : TargetAttr();
  if (!target)
    return op->emitError() << "has no " << targetAttrName
                           << " on its module; set it to a #kernel.target<…>";
  auto dot = llvm::StringSwitch<std::optional<DotProduct>>(target.getDot())
                 .Case("none", DotProduct::None)
                 .Case("maddubs", DotProduct::Maddubs)
                 .Case("vpdpbusd", DotProduct::Vpdpbusd)
                 .Case("sdot", DotProduct::Sdot)
                 .Case("usdot", DotProduct::Usdot)
                 .Case("vrmpy", DotProduct::Vrmpy)
                 .Default(std::nullopt);
  if (!dot)
    return op->emitError() << "names dot product '" << target.getDot()
                           << "', expected none, maddubs, vpdpbusd, sdot, usdot or vrmpy";
  if (target.getVectorBytes() < 4 || target.getVectorRegisters() < 1)
    return op->emitError() << "describes a machine of " << target.getVectorRegisters()
                           << " registers of " << target.getVectorBytes() << " bytes";
  TargetInfo info;
  info.dot = *dot;
  info.vectorBytes = target.getVectorBytes();
  info.vectorRegisters = target.getVectorRegisters();
  info.isX86 = target.getTriple().starts_with("x86_64");
  return info;
}

} // namespace gcompile::kernel
