#include "tests/conformance/KernelHarness.h"
#include "mlir/Parser/Parser.h"
#include "passes/Passes.h"
#include "targets/Common/EmitMachineCode.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FileUtilities.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/raw_ostream.h"

#include <cstring>
#include <sys/mman.h>

namespace gcompile::test {
namespace {

constexpr size_t guardBytes = 256, alignment = 128;
constexpr uint8_t guardByte = 0xA5;
constexpr size_t mostBuffers = 8, mostIntegers = 6;

std::string driverPath() { return GC_KERNEL_DRIVER_AARCH64; }
std::string qemuPath() { return GC_QEMU_AARCH64; }

struct Parsed {
  std::unique_ptr<mlir::MLIRContext> context;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  const TargetBackend *backend;
};

llvm::Expected<Parsed> lower(llvm::StringRef source, llvm::StringRef variant) {
  llvm::Expected<BackendVariant> found = findVariant(variant);
  if (!found)
    return found.takeError();
  mlir::DialectRegistry registry;
  registry.insert<kernel::KernelDialect, mlir::func::FuncDialect, mlir::memref::MemRefDialect,
                  mlir::arith::ArithDialect, mlir::scf::SCFDialect, mlir::vector::VectorDialect,
                  mlir::math::MathDialect, mlir::LLVM::LLVMDialect>();
  Parsed result;
  result.context =
      std::make_unique<mlir::MLIRContext>(registry, mlir::MLIRContext::Threading::DISABLED);
  result.backend = found->backend;
  result.module = mlir::parseSourceString<mlir::ModuleOp>(source, result.context.get());
  if (!result.module)
    return llvm::createStringError("the test's module does not parse");
  (*result.module)
      ->setAttr(kernel::targetAttrName, targetAttr(result.context.get(), *found->variant));
  mlir::PassManager passes(result.context.get());
  found->backend->addKernelLowering(passes);
  if (failed(passes.run(*result.module)))
    return llvm::createStringError("lowering failed");
  return result;
}

} // namespace

Place placeOf(llvm::StringRef variant) {
  llvm::Expected<BackendVariant> found = findVariant(variant);
  if (!found) {
    llvm::consumeError(found.takeError());
    return Place::Nowhere;
  }
  if (found->backend->runsOnHost(*found->variant))
    return Place::Native;
  bool canEmulate = variant.starts_with("aarch64") && llvm::sys::fs::can_execute(qemuPath()) &&
                    llvm::sys::fs::can_execute(driverPath());
  return canEmulate ? Place::Qemu : Place::Nowhere;
}

llvm::Expected<std::unique_ptr<CompiledKernel>>
CompiledKernel::compile(llvm::StringRef source, llvm::StringRef function, llvm::StringRef variant) {
  llvm::Expected<Parsed> lowered = lower(source, variant);
  if (!lowered)
    return lowered.takeError();
  llvm::Expected<CodeImage> image = lowered->backend->emitImage(*lowered->module, {function.str()});
  if (!image)
    return image.takeError();
  std::unique_ptr<CompiledKernel> kernel(new CompiledKernel);
  kernel->place = placeOf(variant);
  kernel->variantName = variant.str();
  kernel->code = std::move(*image);
  kernel->entryOffset = kernel->code.symbols.at(function.str());
  if (kernel->place == Place::Native) {
    size_t bytes = kernel->code.bytes.size();
    void *memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
      return llvm::createStringError("cannot map the image");
    memcpy(memory, kernel->code.bytes.data(), bytes);
    if (mprotect(memory, bytes, PROT_READ | PROT_EXEC) != 0)
      return llvm::createStringError("cannot make the image executable");
    kernel->mapping = memory;
    kernel->entry = static_cast<char *>(memory) + kernel->entryOffset;
  }
  return kernel;
}

CompiledKernel::~CompiledKernel() {
  if (mapping)
    munmap(mapping, code.bytes.size());
}

// Copies of buffers between guard zones.
class CompiledKernel::GuardedBuffers {
public:
  explicit GuardedBuffers(std::span<const Buffer> buffers) : buffers(buffers) {
    for (const Buffer &buffer : buffers) {
      size_t total = buffer.bytes + 2 * guardBytes + alignment;
      memory.emplace_back(new uint8_t[total]);
      memset(memory.back().get(), guardByte, total);
      uintptr_t start = reinterpret_cast<uintptr_t>(memory.back().get()) + guardBytes;
      start = (start + alignment - 1) / alignment * alignment;
      data.push_back(reinterpret_cast<uint8_t *>(start));
      memcpy(data.back(), buffer.data, buffer.bytes);
    }
  }
  // Copies results back, unless something was written beside them.
  llvm::Error takeOver() const {
    for (size_t i = 0; i < data.size(); ++i) {
      size_t bytes = buffers[i].bytes;
      for (size_t j = 1; j <= guardBytes; ++j)
        if (data[i][-(ptrdiff_t)j] != guardByte || data[i][bytes + j - 1] != guardByte)
          return llvm::createStringError("kernel wrote outside buffer " + llvm::Twine(i));
      memcpy(buffers[i].data, data[i], bytes);
    }
    return llvm::Error::success();
  }

  const std::span<const Buffer> buffers;
  std::vector<uint8_t *> data;

private:
  std::vector<std::unique_ptr<uint8_t[]>> memory;
};

llvm::Error CompiledKernel::run(std::span<const Buffer> buffers,
                                std::span<const int64_t> integers) const {
  Calls one{{buffers.begin(), buffers.end()}, {{integers.begin(), integers.end()}}};
  return run(std::span(&one, 1));
}

llvm::Error CompiledKernel::run(std::span<const Calls> all) const {
  std::vector<GuardedBuffers> guarded;
  for (const Calls &calls : all) {
    for (const std::vector<int64_t> &integers : calls.integers)
      if (calls.buffers.size() > mostBuffers || integers.size() > mostIntegers)
        return llvm::createStringError("too many arguments for the harness");
    guarded.emplace_back(calls.buffers);
  }
  if (place != Place::Native)
    if (llvm::Error error = runQemu(all, guarded))
      return error;
  for (size_t i = 0; i < all.size(); ++i) {
    for (const std::vector<int64_t> &integers : all[i].integers)
      if (place == Place::Native)
        runNative(guarded[i], integers);
    if (llvm::Error error = guarded[i].takeOver())
      return error;
  }
  return llvm::Error::success();
}

void CompiledKernel::runNative(const GuardedBuffers &buffers,
                               std::span<const int64_t> integers) const {
  // Pointers and integers are one argument class in the calling conventions that we run on, and
  // arguments beyond a function's own are ignored.
  int64_t a[mostBuffers + mostIntegers] = {};
  size_t n = 0;
  for (void *pointer : buffers.data)
    a[n++] = reinterpret_cast<int64_t>(pointer);
  for (int64_t integer : integers)
    a[n++] = integer;
  using Function = void (*)(int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t,
                            int64_t, int64_t, int64_t, int64_t, int64_t, int64_t);
  reinterpret_cast<Function>(entry)(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9],
                                    a[10], a[11], a[12], a[13]);
}

llvm::Error CompiledKernel::runQemu(std::span<const Calls> all,
                                    std::span<GuardedBuffers> guarded) const {
  if (place != Place::Qemu)
    return llvm::createStringError("code of " + variantName + " cannot run here");
  llvm::SmallString<128> input, output;
  if (llvm::sys::fs::createTemporaryFile("kernel", "in", input) ||
      llvm::sys::fs::createTemporaryFile("kernel", "out", output))
    return llvm::createStringError("cannot create temporary files");
  llvm::FileRemover removeInput(input), removeOutput(output);
  // Guard zones travel too, so that writes outside are seen here.
  auto eachZone = [&](auto visit) {
    for (const GuardedBuffers &buffers : guarded)
      for (size_t i = 0; i < buffers.data.size(); ++i)
        visit((char *)buffers.data[i] - guardBytes, buffers.buffers[i].bytes + 2 * guardBytes);
  };
  size_t bytes = 0;
  eachZone([&](char *, size_t size) { bytes += size; });
  {
    std::error_code failure;
    llvm::raw_fd_ostream stream(input, failure);
    auto number = [&](uint64_t value) { stream.write((const char *)&value, 8); };
    number(code.bytes.size());
    number(entryOffset);
    number(all.size());
    for (const Calls &calls : all) {
      number(calls.buffers.size());
      number(calls.integers.size());
      for (const Buffer &buffer : calls.buffers)
        number(buffer.bytes + 2 * guardBytes);
      for (std::vector<int64_t> integers : calls.integers) {
        integers.resize(mostIntegers);
        for (int64_t integer : integers)
          number(integer);
      }
    }
    stream.write((const char *)code.bytes.data(), code.bytes.size());
    eachZone([&](char *zone, size_t size) { stream.write(zone, size); });
  }
  std::string cpu = variantName == "aarch64-neon" ? "cortex-a72" : "max";
  std::string qemu = qemuPath(), driver = driverPath();
  llvm::StringRef arguments[] = {qemu, "-cpu", cpu, driver, input, output};
  int status = llvm::sys::ExecuteAndWait(qemu, arguments);
  if (status != 0)
    return llvm::createStringError("the driver under qemu ended with " + llvm::Twine(status));
  auto result = llvm::MemoryBuffer::getFile(output);
  if (!result || (*result)->getBufferSize() != bytes)
    return llvm::createStringError("the driver under qemu wrote no result");
  const char *from = (*result)->getBufferStart();
  eachZone([&](char *zone, size_t size) {
    memcpy(zone, from, size);
    from += size;
  });
  return llvm::Error::success();
}

std::string kernelModule(llvm::StringRef arguments, llvm::StringRef operation) {
  return ("func.func private @kernel(" + arguments + (arguments.empty() ? "" : ", ") +
          "%begin: index, %end: index) "
          "attributes {kernel.function} {\n  " +
          operation + "\n  return\n}\n")
      .str();
}

llvm::Expected<std::string> compileToAssembly(llvm::StringRef source, llvm::StringRef function,
                                              llvm::StringRef variant) {
  llvm::Expected<Parsed> lowered = lower(source, variant);
  if (!lowered)
    return lowered.takeError();
  EmitOptions options;
  options.kind = MachineCodeKind::Assembly;
  options.exports = {function.str()};
  return emitMachineCode(*lowered->module, options);
}

std::vector<std::string> cpuVariants() {
  std::vector<std::string> names;
  for (const BackendVariant &variant : targetVariants())
    if (variant.backend->name() == "x86" || variant.backend->name() == "aarch64")
      names.emplace_back(variant.variant->name);
  return names;
}

} // namespace gcompile::test
