#include "compiler/Codegen/CompileModel.h"
#include "compiler/Codegen/BuildGemmaModule.h"
#include "compiler/Support/InternalError.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/Passes.h"
#include "passes/Passes.h"
#include "passes/Pipelines.h"
#include "passes/Transforms/ApplyPlan.h"
#include "targets/CodegenPipeline.h"
#include "targets/Common/EmitMachineCode.h"
#include "targets/TargetRegistry.h"

using namespace mlir;

namespace gcompile {
namespace {

struct VariantIsa {
  StringRef name;
  StringRef architecture;
  gc_isa isa;
};
constexpr VariantIsa variantIsas[] = {
    {"x86-64-v3", "x86-64", GC_ISA_X86_64_V3},
    {"x86-64-vnni", "x86-64", GC_ISA_X86_64_VNNI},
    {"aarch64-neon", "aarch64", GC_ISA_AARCH64_NEON},
    {"aarch64-dotprod", "aarch64", GC_ISA_AARCH64_DOTPROD},
    {"aarch64-i8mm", "aarch64", GC_ISA_AARCH64_I8MM},
};

const std::vector<std::string> programNames = {"gc_prefill", "gc_decode", "gc_score"};

// Runs a pipeline and turns its diagnostics into one error.
llvm::Error run(PassManager &manager, ModuleOp module, StringRef what) {
  std::string text;
  ScopedDiagnosticHandler handler(module.getContext(), [&](Diagnostic &diagnostic) {
    if (diagnostic.getSeverity() == DiagnosticSeverity::Error && text.empty())
      text = diagnostic.str();
    return success();
  });
  if (succeeded(manager.run(module)))
    return llvm::Error::success();
  // The module was built by gcompile from a checkpoint and a plan that were checked.
  return internalError(what + " failed: " + (text.empty() ? "no diagnostic" : text));
}

PlanDecisions decisionsOf(const Plan &plan) {
  PlanDecisions decisions;
  for (const auto &[tensor, format] : plan.tensorFormats)
    decisions.tensorFormats[tensor] = format;
  for (const auto &[tensor, scales] : plan.activationScales)
    decisions.activationScales[tensor] = scales;
  decisions.localK = plan.localK;
  decisions.localV = plan.localV;
  decisions.globalK = plan.globalK;
  decisions.globalV = plan.globalV;
  for (const auto &[layer, scales] : plan.cacheScales)
    decisions.cacheScales[layer] = scales;
  decisions.tableOnStorage = plan.tables == TablePlacement::Storage;
  decisions.tableCacheRows = plan.tableCacheRows;
  decisions.expertSlots = plan.expertsOnStorage() ? plan.expertSlots : 0;
  decisions.context = plan.context;
  decisions.chunk = std::max(plan.prefillChunk, plan.scoreChunk);
  return decisions;
}

// What the IR does not know: encoders, the process, and code once there is some.
VerifyBudgetOptions budgetOf(const Plan &plan, int64_t codeBytes) {
  VerifyBudgetOptions options;
  options.budget = plan.budgetBytes;
  options.other = plan.memory.encoders + plan.memory.runtime + codeBytes;
  return options;
}

PlacedWeight place(gemma::WeightOp weight) {
  PlacedWeight placed;
  auto type = cast<ShapedType>(weight.getType());
  placed.source = weight.getSource().str();
  placed.firstRow = weight.getFirstRow();
  placed.format = *parseWeightFormat(*weight.getFormat());
  if (auto offset = weight->getAttrOfType<IntegerAttr>("kernel.offset"))
    placed.offset = offset.getInt();
  if (type.getRank() == 1) {
    placed.kind = PlacedWeight::Vector;
    placed.rows = 1;
    placed.columns = type.getNumElements();
    placed.bytes = placed.columns * 4;
    if (weight.getRole() == gemma::ropeRole) {
      placed.kind = PlacedWeight::RopeFrequencies;
      placed.theta = weight.getTheta()->convertToDouble();
      placed.rotatedPairs = *weight.getPairs();
    } else if (weight.getValue()) {
      placed.kind = PlacedWeight::Constant;
      placed.value = weight.getValue()->convertToFloat();
    }
    return placed;
  }
  placed.rows = type.getDimSize(0);
  placed.columns = type.getDimSize(1);
  if (weight.getRole() == gemma::perLayerTableRole) {
    placed.kind = PlacedWeight::RowTable;
    placed.slices = weight.getSlices();
    placed.cacheRows = weight.getCacheRows().value_or(0);
    placed.columns /= placed.slices;
    placed.bytes = placed.rows * rowTableRowBytes(placed.format, placed.columns, placed.slices);
  } else {
    placed.bytes = gemma::packedBytes(weight, placed.format);
    placed.blockBytes = weight.getBlockBytes().value_or(0);
  }
  return placed;
}

void collectLayout(LoweredModel &model) {
  ModuleOp module = *model.module;
  for (auto weight : module.getOps<gemma::WeightOp>()) {
    bool table = weight.getRole() == gemma::perLayerTableRole;
    // A weight without an offset is used by no program (dead parts of sharing layers).
    if (table || weight->hasAttr("kernel.offset"))
      model.weights.push_back(place(weight));
    if (gemma::isExpertOnStorage(weight)) {
      model.memory.expertSlots = *weight.getCacheSlots();
      model.memory.expertLayers =
          std::max<int64_t>(model.memory.expertLayers, weight.getLayer() + 1);
      model.memory.expertsPerLayer = weight.getMatrices();
      model.memory.expertBlockBytes = *weight.getBlockBytes();
    }
  }
  auto section = [](const PlacedWeight &weight) {
    return weight.kind == PlacedWeight::RowTable ? 2 : weight.isOnStorage() ? 1 : 0;
  };
  llvm::stable_sort(model.weights, [&](const PlacedWeight &a, const PlacedWeight &b) {
    return std::pair(section(a), a.offset) < std::pair(section(b), b.offset);
  });
  auto integer = [](Operation *op, StringRef name) {
    return op->getAttrOfType<IntegerAttr>(name).getInt();
  };
  model.memory.weights = integer(module, "kernel.weights_bytes");
  model.memory.kvCache = integer(module, "kernel.cache_bytes");
  for (auto program : module.getOps<func::FuncOp>()) {
    if (!program->hasAttr("kernel.arena_bytes"))
      continue;
    int64_t arena = integer(program, "kernel.arena_bytes"),
            rows = integer(program, gemma::rowsAttrName);
    if (program.getName() == "prefill")
      std::tie(model.memory.prefillArena, model.memory.prefillRows) = std::tie(arena, rows);
    else if (program.getName() == "decode")
      model.memory.decodeArena = arena;
    else
      std::tie(model.memory.scoreArena, model.memory.scoreRows) = std::tie(arena, rows);
  }
}

std::string print(ModuleOp module) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  module.print(stream);
  return text;
}

// A module of its own context: LLVM translation and passes of several variants then share nothing.
struct VariantModule {
  std::unique_ptr<MLIRContext> context;
  OwningOpRef<ModuleOp> module;
};

llvm::Expected<VariantModule> lowerForVariant(const LoweredModel &model, BackendVariant target) {
  DialectRegistry registry;
  registerModelDialects(registry);
  registerMachineCodeTranslations(registry);
  VariantModule result;
  result.context = std::make_unique<MLIRContext>(registry, MLIRContext::Threading::DISABLED);
  result.context->loadAllAvailableDialects();
  // Through text: clones cannot leave their context.
  result.module =
      parseSourceString<ModuleOp>(print(*model.module), ParserConfig(result.context.get()));
  if (!result.module)
    return internalError("the lowered module does not read back");
  PassManager manager(result.context.get());
  buildCodegenPipeline(manager, target);
  if (llvm::Error error =
          run(manager, *result.module, "code generation for " + std::string(target.variant->name)))
    return std::move(error);
  return result;
}

} // namespace

llvm::Expected<LoweredModel> lowerModel(const ModelConfig &config, const Plan &plan,
                                        ModuleOutput output) {
  LoweredModel model;
  DialectRegistry registry;
  registerModelDialects(registry);
  model.context = std::make_unique<MLIRContext>(registry, MLIRContext::Threading::DISABLED);
  model.context->loadAllAvailableDialects();
  auto module = buildGemmaModule(config, *model.context, output);
  if (!module)
    return module.takeError();
  model.module = std::move(*module);

  PassManager prepare(model.context.get());
  PrepareOptions options;
  options.modalities = plan.modalities;
  options.prefillChunk = plan.prefillChunk;
  options.scoreChunk = plan.scoreChunk;
  buildPreparePipeline(prepare, options);
  prepare.addPass(createApplyPlan(decisionsOf(plan)));
  prepare.addPass(createVerifyBudget(budgetOf(plan, 0)));
  if (llvm::Error error = run(prepare, *model.module, "applying the plan"))
    return std::move(error);
  model.planned = print(*model.module);

  PassManager lower(model.context.get());
  buildToKernelPipeline(lower);
  if (llvm::Error error = run(lower, *model.module, "lowering to kernels"))
    return std::move(error);
  collectLayout(model);
  return model;
}

llvm::Error verifyBudget(const LoweredModel &model, const Plan &plan, int64_t codeBytes) {
  PassManager manager(model.context.get());
  manager.addPass(createVerifyBudget(budgetOf(plan, codeBytes)));
  OwningOpRef<ModuleOp> module =
      ModuleOp(model.module.get()).clone(); // a pass needs a module of its own
  return run(manager, *module, "the budget check");
}

llvm::Expected<CompiledVariant> emitVariant(const LoweredModel &model, llvm::StringRef name) {
  auto target = findVariant(name);
  if (!target)
    return target.takeError();
  const VariantIsa *isa =
      llvm::find_if(variantIsas, [&](const VariantIsa &entry) { return entry.name == name; });
  if (isa == std::end(variantIsas))
    return llvm::createStringError(
        "variant '" + name +
        "' has no number in the artifact format: whole programs are not compiled for it yet");
  auto lowered = lowerForVariant(model, *target);
  if (!lowered)
    return lowered.takeError();
  auto image = target->backend->emitImage(*lowered->module, programNames);
  if (!image)
    return image.takeError();
  CompiledVariant variant;
  variant.name = name.str();
  variant.isa = isa->isa;
  variant.image = std::move(image->bytes);
  const LoweredMemory &memory = model.memory;
  variant.prefill = {image->symbols["gc_prefill"], (uint64_t)memory.prefillArena,
                     (uint64_t)memory.prefillRows};
  variant.decode = {image->symbols["gc_decode"], (uint64_t)memory.decodeArena, 1};
  variant.score = {image->symbols["gc_score"], (uint64_t)memory.scoreArena,
                   (uint64_t)memory.scoreRows};
  return variant;
}

llvm::Expected<std::string> emitText(const LoweredModel &model, llvm::StringRef name,
                                     llvm::StringRef kind) {
  auto target = findVariant(name);
  if (!target)
    return target.takeError();
  auto lowered = lowerForVariant(model, *target);
  if (!lowered)
    return lowered.takeError();
  EmitOptions options;
  options.kind = kind == "llvm"  ? MachineCodeKind::LlvmIr
                 : kind == "asm" ? MachineCodeKind::Assembly
                                 : MachineCodeKind::Object;
  options.exports = programNames;
  return emitMachineCode(*lowered->module, options);
}

std::vector<std::string> variantsOf(llvm::StringRef architecture) {
  std::vector<std::string> names;
  for (const VariantIsa &entry : variantIsas)
    if (entry.architecture == architecture)
      names.push_back(entry.name.str());
  return names;
}

} // namespace gcompile
