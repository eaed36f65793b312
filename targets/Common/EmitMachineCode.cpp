#include "targets/Common/EmitMachineCode.h"
#include "ir/Kernel/Kernel.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Analysis/TargetLibraryInfo.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"

#include <mutex>

using namespace mlir;

namespace gcompile {
namespace {

void initializeTargetsOnce() {
  static std::once_flag once;
  std::call_once(once, [] {
    llvm::InitializeAllTargetInfos();
    llvm::InitializeAllTargets();
    llvm::InitializeAllTargetMCs();
    llvm::InitializeAllAsmPrinters();
    llvm::InitializeAllAsmParsers();
  });
}

llvm::Expected<std::unique_ptr<llvm::TargetMachine>> makeMachine(kernel::TargetAttr attribute) {
  initializeTargetsOnce();
  llvm::Triple triple(attribute.getTriple());
  std::string why;
  const llvm::Target *target = llvm::TargetRegistry::lookupTarget(triple, why);
  if (!target)
    return llvm::createStringError("target '" + attribute.getName().str() + "': " + why);
  llvm::TargetOptions options;
  options.AllowFPOpFusion = llvm::FPOpFusion::Strict; // only explicit fma: results must not vary
  options.NoTrapAfterNoreturn = true;
  std::unique_ptr<llvm::TargetMachine> machine(target->createTargetMachine(
      triple, attribute.getCpu(), attribute.getFeatures(), options, llvm::Reloc::PIC_, std::nullopt,
      llvm::CodeGenOptLevel::Aggressive));
  if (!machine)
    return llvm::createStringError("LLVM has no code generator for '" + triple.str() + "'");
  return machine;
}

// Entry points stay visible but are bound inside the image, everything else is internal.
llvm::Error limitExports(llvm::Module &module, llvm::ArrayRef<std::string> exports) {
  for (const std::string &name : exports) {
    llvm::Function *function = module.getFunction(name);
    if (!function || function->isDeclaration())
      return llvm::createStringError("the module does not define '" + name +
                                     "', which was to be exported");
  }
  llvm::StringSet<> names;
  for (const std::string &name : exports)
    names.insert(name);
  for (llvm::Function &function : module) {
    function.setDSOLocal(true);
    if (function.isDeclaration())
      continue;
    function.addFnAttr(llvm::Attribute::NoUnwind);
    function.addFnAttr("no-builtins");
    if (names.contains(function.getName()))
      function.setVisibility(llvm::GlobalValue::ProtectedVisibility);
    else
      function.setLinkage(llvm::GlobalValue::InternalLinkage);
  }
  return llvm::Error::success();
}

void optimize(llvm::Module &module, llvm::TargetMachine &machine) {
  llvm::PipelineTuningOptions tuning;
  // Kernels are vectors and unrolled loops already; what LLVM would add is code size.
  tuning.LoopVectorization = false;
  tuning.SLPVectorization = false;
  tuning.LoopInterleaving = false;
  tuning.LoopUnrolling = false;
  llvm::PassBuilder builder(&machine, tuning);
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager components;
  llvm::ModuleAnalysisManager modules;
  // No library: no loop may turn into a call of memset or memcpy.
  llvm::TargetLibraryInfoImpl library(machine.getTargetTriple());
  library.disableAllFunctions();
  functions.registerPass([&] { return llvm::TargetLibraryAnalysis(library); });
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(components);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, components, modules);
  builder.buildPerModuleDefaultPipeline(llvm::OptimizationLevel::O3).run(module, modules);
}

} // namespace

void registerMachineCodeTranslations(DialectRegistry &registry) {
  registerBuiltinDialectTranslation(registry);
  registerLLVMDialectTranslation(registry);
}

llvm::Expected<std::string> emitMachineCode(ModuleOp module, const EmitOptions &options) {
  auto attribute = module->getAttrOfType<kernel::TargetAttr>(kernel::targetAttrName);
  if (!attribute)
    return llvm::createStringError("the module has no kernel.target attribute");
  llvm::Expected<std::unique_ptr<llvm::TargetMachine>> machine = makeMachine(attribute);
  if (!machine)
    return machine.takeError();

  DialectRegistry registry;
  registerMachineCodeTranslations(registry);
  module.getContext()->appendDialectRegistry(registry);
  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> code = translateModuleToLLVMIR(module, context, "gcompile");
  if (!code)
    return llvm::createStringError("translation to LLVM IR failed; see the diagnostics above");
  code->setTargetTriple((*machine)->getTargetTriple());
  code->setDataLayout((*machine)->createDataLayout());
  code->setPICLevel(llvm::PICLevel::BigPIC);
  if (llvm::Error error = limitExports(*code, options.exports))
    return error;
  optimize(*code, **machine);

  llvm::SmallString<0> bytes;
  llvm::raw_svector_ostream stream(bytes);
  if (options.kind == MachineCodeKind::LlvmIr) {
    code->print(stream, nullptr);
    return std::string(bytes);
  }
  llvm::legacy::PassManager emission;
  auto kind = options.kind == MachineCodeKind::Assembly ? llvm::CodeGenFileType::AssemblyFile
                                                        : llvm::CodeGenFileType::ObjectFile;
  if ((*machine)->addPassesToEmitFile(emission, stream, nullptr, kind))
    return llvm::createStringError("'" + attribute.getTriple().str() +
                                   "' cannot emit this kind of file");
  emission.run(*code);
  return std::string(bytes);
}

} // namespace gcompile
