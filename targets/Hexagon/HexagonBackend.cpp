#include "targets/Hexagon/HexagonBackend.h"
#include "mlir/Transforms/Passes.h"
#include "passes/Passes.h"
#include "targets/Common/EmitMachineCode.h"
#include "targets/Hexagon/HexagonMatmul.h"
#include "llvm/Object/ELFObjectFile.h"

using namespace mlir;

namespace gcompile {
namespace {

constexpr TargetVariant variantTable[] = {
    {"hexagon-v67", "hexagon-unknown-linux-musl", "hexagonv67", "+hvxv67,+hvx-length128b", 128, 32,
     "vrmpy"},
};

enum class LoopShape { Scalar, Vector };

// Integer products aside, kernels are float work, which v67 does in its 32 scalar registers. The
// default lowering shapes its loops by the module's target, so for as long as it runs that
// describes these instead of HVX; results do not depend on it, the amount of code does.
struct DescribeRegisters : PassWrapper<DescribeRegisters, OperationPass<ModuleOp>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(DescribeRegisters)
  explicit DescribeRegisters(LoopShape shape) : shape(shape) {}
  StringRef getArgument() const override { return "hexagon-describe-registers"; }
  StringRef getDescription() const override { return "registers that loops are shaped for"; }

  void runOnOperation() override {
    auto target = getOperation()->getAttrOfType<kernel::TargetAttr>(kernel::targetAttrName);
    if (!target) {
      getOperation().emitError() << "has no " << kernel::targetAttrName;
      return signalPassFailure();
    }
    for (const TargetVariant &known : variantTable) {
      if (known.name != std::string_view(target.getName()))
        continue;
      TargetVariant described = known;
      if (shape == LoopShape::Scalar) {
        described.vectorBytes = 4;
        described.dot = "none";
      }
      getOperation()->setAttr(kernel::targetAttrName, targetAttr(&getContext(), described));
    }
  }

private:
  LoopShape shape;
};

class HexagonBackend final : public TargetBackend {
public:
  llvm::StringRef name() const override { return "hexagon"; }
  llvm::ArrayRef<TargetVariant> variants() const override { return variantTable; }
  bool runsOnHost(const TargetVariant &) const override { return false; }

  void addKernelLowering(OpPassManager &passes) const override {
    passes.addPass(createHexagonMatmul());
    passes.addPass(std::make_unique<DescribeRegisters>(LoopShape::Scalar));
    passes.addPass(createKernelToLoops());
    passes.addPass(std::make_unique<DescribeRegisters>(LoopShape::Vector));
    passes.addPass(createCanonicalizerPass());
    passes.addPass(createCSEPass());
    passes.addPass(createExpandMath());
    gcompile::LowerToLLVMOptions options;
    options.indexBits = 32;
    passes.addPass(createLowerToLLVM(options));
  }

  // The bytes are a relocatable object; a symbol is its place in the object's code section.
  llvm::Expected<CodeImage> emitImage(ModuleOp module,
                                      llvm::ArrayRef<std::string> exports) const override {
    EmitOptions options;
    options.exports.assign(exports.begin(), exports.end());
    llvm::Expected<std::string> object = emitMachineCode(module, options);
    if (!object)
      return object.takeError();
    auto file = llvm::object::ELFObjectFile<llvm::object::ELF32LE>::create(
        llvm::MemoryBufferRef(*object, "hexagon object"));
    if (!file)
      return file.takeError();
    CodeImage image;
    for (const llvm::object::ELFSymbolRef &symbol : file->symbols()) {
      auto name = symbol.getName();
      auto place = symbol.getValue();
      if (!name)
        return name.takeError();
      if (!place)
        return place.takeError();
      if (llvm::is_contained(exports, name->str()))
        image.symbols[name->str()] = *place;
    }
    for (const std::string &name : exports)
      if (!image.symbols.contains(name))
        return llvm::createStringError("the object lacks the export '" + name + "'");
    image.bytes.assign(object->begin(), object->end());
    return image;
  }
};

} // namespace

const TargetBackend &hexagonBackend() {
  static const HexagonBackend backend;
  return backend;
}

} // namespace gcompile
