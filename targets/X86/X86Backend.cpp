#include "targets/X86/X86Backend.h"
#include "llvm/TargetParser/Host.h"
#include "llvm/TargetParser/Triple.h"

namespace gcompile {
namespace {

constexpr TargetVariant variantTable[] = {
    {"x86-64-v3", "x86_64-unknown-linux-gnu", "x86-64-v3", "", 32, 16, "maddubs"},
    // Vectors of 512 bits are the unit of kernels, so LLVM must not halve them.
    {"x86-64-vnni", "x86_64-unknown-linux-gnu", "x86-64-v4", "+avx512vnni,-prefer-256-bit", 64, 32,
     "vpdpbusd"},
};

class X86Backend final : public TargetBackend {
public:
  llvm::StringRef name() const override { return "x86"; }
  llvm::ArrayRef<TargetVariant> variants() const override { return variantTable; }

  bool runsOnHost(const TargetVariant &variant) const override {
    if (!llvm::Triple(llvm::sys::getDefaultTargetTriple()).isX86())
      return false;
    llvm::StringMap<bool> features = llvm::sys::getHostCPUFeatures();
    auto hasAll = [&](std::initializer_list<llvm::StringRef> wanted) {
      return llvm::all_of(wanted, [&](llvm::StringRef f) { return features.lookup(f); });
    };
    if (!hasAll({"avx2", "fma", "f16c", "bmi", "bmi2", "lzcnt", "movbe"}))
      return false;
    return variant.dot != "vpdpbusd" ||
           hasAll({"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl", "avx512vnni"});
  }
};

} // namespace

const TargetBackend &x86Backend() {
  static const X86Backend backend;
  return backend;
}

} // namespace gcompile
