#include "targets/NVPTX/NvptxBackend.h"
#include "mlir/Transforms/Passes.h"
#include "passes/Passes.h"
#include "targets/Common/EmitMachineCode.h"
#include "targets/NVPTX/NvptxEntries.h"

using namespace mlir;

namespace gcompile {
namespace {

// A thread has 255 registers of 4 bytes; loops are shaped for half of them, in units of a 16-byte
// load. `dp4a` would be its dot product; the default lowering does without.
constexpr TargetVariant variantTable[] = {
    {"nvptx-sm80", "nvptx64-nvidia-cuda", "sm_80", "+ptx70", 16, 32, "none"},
    {"nvptx-sm90", "nvptx64-nvidia-cuda", "sm_90", "+ptx78", 16, 32, "none"},
};

class NvptxBackend final : public TargetBackend {
public:
  llvm::StringRef name() const override { return "nvptx"; }
  llvm::ArrayRef<TargetVariant> variants() const override { return variantTable; }
  bool runsOnHost(const TargetVariant &) const override { return false; }

  void addKernelLowering(OpPassManager &passes) const override {
    passes.addPass(createKernelToLoops());
    passes.addPass(createNvptxMakeEntries());
    passes.addPass(createCanonicalizerPass());
    passes.addPass(createCSEPass());
    passes.addPass(createExpandMath());
    passes.addPass(createLowerToLLVM());
    passes.addPass(createNvptxMarkEntries());
  }

  // The bytes are PTX text with its terminating zero, as the driver's loader wants it; a symbol is
  // the place of its `.entry`.
  llvm::Expected<CodeImage> emitImage(ModuleOp module,
                                      llvm::ArrayRef<std::string> exports) const override {
    EmitOptions options;
    options.kind = MachineCodeKind::Assembly;
    options.exports.assign(exports.begin(), exports.end());
    llvm::Expected<std::string> text = emitMachineCode(module, options);
    if (!text)
      return text.takeError();
    llvm::StringRef ptx = *text;
    if (size_t place = ptx.find(".extern .func"); place != llvm::StringRef::npos)
      return llvm::createStringError("PTX calls what it does not define: " +
                                     ptx.substr(place).take_until([](char c) { return c == ';'; }));
    CodeImage image;
    for (const std::string &name : exports) {
      size_t place = ptx.find(".entry " + name + "(");
      if (place == llvm::StringRef::npos)
        return llvm::createStringError("PTX has no entry '" + name +
                                       "'; only kernel functions become entries");
      image.symbols[name] = place;
    }
    image.bytes.assign(ptx.bytes_begin(), ptx.bytes_end());
    image.bytes.push_back(0);
    return image;
  }
};

} // namespace

const TargetBackend &nvptxBackend() {
  static const NvptxBackend backend;
  return backend;
}

} // namespace gcompile
