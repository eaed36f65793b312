#include "targets/TargetRegistry.h"
#include "targets/AArch64/AArch64Backend.h"
#include "targets/Hexagon/HexagonBackend.h"
#include "targets/NVPTX/NvptxBackend.h"
#include "targets/X86/X86Backend.h"

#include <vector>

namespace gcompile {

llvm::ArrayRef<const TargetBackend *> targetBackends() {
  static const TargetBackend *const backends[] = {&x86Backend(), &aarch64Backend(), &nvptxBackend(),
                                                  &hexagonBackend()};
  return backends;
}

llvm::ArrayRef<BackendVariant> targetVariants() {
  static const std::vector<BackendVariant> all = [] {
    std::vector<BackendVariant> result;
    for (const TargetBackend *backend : targetBackends())
      for (const TargetVariant &variant : backend->variants())
        result.push_back({backend, &variant});
    return result;
  }();
  return all;
}

llvm::Expected<BackendVariant> findVariant(llvm::StringRef name) {
  std::string known;
  for (const BackendVariant &candidate : targetVariants()) {
    if (candidate.variant->name == std::string_view(name))
      return candidate;
    known += (known.empty() ? "" : ", ") + std::string(candidate.variant->name);
  }
  return llvm::createStringError("no code variant is named '" + name.str() + "'; known are " +
                                 known);
}

} // namespace gcompile
