#include "compiler/Measure/HostKernel.h"
#include "compiler/Support/InternalError.h"

#include "mlir/Parser/Parser.h"
#include "passes/Passes.h"
#include "targets/TargetRegistry.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <sys/mman.h>

namespace gcompile {

std::string bestHostVariant() {
  std::string best;
  for (const BackendVariant &candidate : targetVariants())
    if (candidate.backend->runsOnHost(*candidate.variant) &&
        (candidate.backend->name() == "x86" || candidate.backend->name() == "aarch64"))
      best = candidate.variant->name; // the simplest of an architecture comes first
  return best;
}

static llvm::Expected<CodeImage> emit(llvm::StringRef source, llvm::StringRef variant) {
  llvm::Expected<BackendVariant> found = findVariant(variant);
  if (!found)
    return found.takeError();
  mlir::DialectRegistry registry;
  registry.insert<kernel::KernelDialect, mlir::func::FuncDialect, mlir::memref::MemRefDialect,
                  mlir::arith::ArithDialect, mlir::scf::SCFDialect, mlir::vector::VectorDialect,
                  mlir::math::MathDialect, mlir::LLVM::LLVMDialect>();
  mlir::MLIRContext context(registry, mlir::MLIRContext::Threading::DISABLED);
  auto module = mlir::parseSourceString<mlir::ModuleOp>(source, &context);
  if (!module)
    return internalError("the kernel to measure does not parse");
  (*module)->setAttr(kernel::targetAttrName, targetAttr(&context, *found->variant));
  mlir::PassManager passes(&context);
  found->backend->addKernelLowering(passes);
  if (failed(passes.run(*module)))
    return internalError("the kernel to measure cannot be lowered");
  return found->backend->emitImage(*module, {"kernel"});
}

llvm::Expected<std::unique_ptr<HostKernel>>
HostKernel::compile(llvm::StringRef arguments, llvm::StringRef operation, llvm::StringRef variant) {
  std::string source = ("func.func private @kernel(" + arguments +
                        ", %begin: index, %end: index) attributes {kernel.function} {\n  " +
                        operation + "\n  return\n}\n")
                           .str();
  llvm::Expected<CodeImage> image = emit(source, variant);
  if (!image)
    return image.takeError();
  std::unique_ptr<HostKernel> kernel(new HostKernel);
  kernel->bytes = image->bytes.size();
  void *memory =
      mmap(nullptr, kernel->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    return llvm::createStringError("no memory for a kernel of " + llvm::Twine(kernel->bytes) +
                                   " bytes");
  kernel->mapping = memory;
  std::memcpy(memory, image->bytes.data(), kernel->bytes);
  if (mprotect(memory, kernel->bytes, PROT_READ | PROT_EXEC) != 0)
    return llvm::createStringError(
        "this system lets no program run code that it made itself: nothing can be measured here");
  kernel->entry = static_cast<char *>(memory) + image->symbols.at("kernel");
  return kernel;
}

HostKernel::~HostKernel() {
  if (mapping)
    munmap(mapping, bytes);
}

void HostKernel::run(llvm::ArrayRef<int64_t> arguments, int64_t begin, int64_t end) const {
  // Addresses and integers are one class of arguments in the calling conventions that we run on,
  // and arguments beyond a function's own are ignored.
  int64_t a[12] = {};
  assert(arguments.size() + 2 <= std::size(a));
  std::copy(arguments.begin(), arguments.end(), a);
  a[arguments.size()] = begin;
  a[arguments.size() + 1] = end;
  using Function = void (*)(int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t,
                            int64_t, int64_t, int64_t, int64_t);
  reinterpret_cast<Function>(entry)(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9],
                                    a[10], a[11]);
}

} // namespace gcompile
