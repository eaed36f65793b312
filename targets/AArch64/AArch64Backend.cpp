#include "targets/AArch64/AArch64Backend.h"
#include "llvm/TargetParser/Host.h"
#include "llvm/TargetParser/Triple.h"

namespace gcompile {
namespace {

constexpr TargetVariant variantTable[] = {
    {"aarch64-neon", "aarch64-unknown-linux-gnu", "cortex-a72", "", 16, 32, "none"},
    {"aarch64-dotprod", "aarch64-unknown-linux-gnu", "cortex-a76", "", 16, 32, "sdot"},
    // Tuned for, and limited to what all of, Cortex-A510, A715 and X3 class cores have.
    {"aarch64-i8mm", "aarch64-unknown-linux-gnu", "cortex-a76", "+v8.6a,+i8mm,+dotprod,-sve", 16,
     32, "usdot"},
};

class AArch64Backend final : public TargetBackend {
public:
  llvm::StringRef name() const override { return "aarch64"; }
  llvm::ArrayRef<TargetVariant> variants() const override { return variantTable; }

  bool runsOnHost(const TargetVariant &variant) const override {
    if (!llvm::Triple(llvm::sys::getDefaultTargetTriple()).isAArch64())
      return false;
    llvm::StringMap<bool> features = llvm::sys::getHostCPUFeatures();
    if (variant.dot == "sdot")
      return features.lookup("dotprod");
    if (variant.dot == "usdot")
      return features.lookup("dotprod") && features.lookup("i8mm");
    return true;
  }
};

} // namespace

const TargetBackend &aarch64Backend() {
  static const AArch64Backend backend;
  return backend;
}

} // namespace gcompile
