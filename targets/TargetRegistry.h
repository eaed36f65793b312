// All backends and their variants. Adding a backend is one line in TargetRegistry.cpp.
#pragma once

#include "targets/TargetBackend.h"

namespace gcompile {

struct BackendVariant {
  const TargetBackend *backend;
  const TargetVariant *variant;
};

llvm::ArrayRef<const TargetBackend *> targetBackends();
// Every variant, the simplest of an architecture first.
llvm::ArrayRef<BackendVariant> targetVariants();
// Fails with the list of known names.
llvm::Expected<BackendVariant> findVariant(llvm::StringRef name);

} // namespace gcompile
