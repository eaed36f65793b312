#include "compiler/Driver/CompileArtifact.h"
#include "compiler/Artifact/TokenizerSection.h"
#include "compiler/Codegen/BuildArtifact.h"
#include "compiler/Driver/Commands.h"
#include "compiler/Plan/PlanText.h"

#include "llvm/ADT/StringExtras.h"

#include <tbb/global_control.h>
#include <tbb/parallel_for.h>

namespace gcompile {
namespace {

llvm::Expected<std::vector<CompiledVariant>> emitVariants(const LoweredModel &lowered,
                                                          const CompileInputs &inputs) {
  std::vector<std::string> names = variantsOf(inputs.architecture);
  if (names.empty())
    return llvm::createStringError(
        "target '" + inputs.options->target + "' has architecture '" + inputs.architecture +
        "', which no code is generated for yet (known: x86_64, aarch64); use gcompile plan");
  std::vector<std::optional<llvm::Expected<CompiledVariant>>> results(names.size());
  std::atomic<size_t> done = 0;
  tbb::parallel_for(size_t(0), names.size(), [&](size_t index) {
    results[index].emplace(emitVariant(lowered, names[index]));
    ++done;
  });
  std::vector<CompiledVariant> variants;
  llvm::Error error = llvm::Error::success();
  for (auto &result : results) {
    if (*result)
      variants.push_back(std::move(**result));
    else
      error = llvm::joinErrors(std::move(error), result->takeError());
  }
  if (error)
    return std::move(error);
  return variants;
}

// What went in, by content: the same input and options give the same text.
llvm::Expected<std::string> provenance(const CompileInputs &inputs, const Plan &plan) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  stream << "tool: \"gcompile " GCOMPILE_VERSION "\"\n";
  stream << "options { target: \"" << plan.target << "\" budget_bytes: " << plan.budgetBytes
         << " context: " << plan.context << " objective: \"" << name(plan.objective) << "\" }\n";
  for (const TensorSpec &spec : expectedTextTensors(inputs.model->config)) {
    const TensorInfo *tensor = inputs.model->tensors->find(spec.role, spec.layer);
    if (!tensor)
      continue;
    auto hash = inputs.model->checkpoint->contentHash(*tensor);
    if (!hash)
      return hash.takeError();
    stream << "source { tensor: \"" << spec.name << "\" hash: \"" << *hash << "\" }\n";
  }
  return text;
}

bool holds(const Plan &plan, const MemoryAccount &exact) {
  return plan.budgetBytes == 0 || exact.peak() <= plan.budgetBytes;
}

} // namespace

llvm::Error compileArtifact(const CompileInputs &inputs, Plan &plan, Replan replan,
                            llvm::StringRef output) {
  std::optional<tbb::global_control> jobs;
  if (inputs.options->jobs > 0)
    jobs.emplace(tbb::global_control::max_allowed_parallelism, inputs.options->jobs);
  auto step = [&](llvm::StringRef what, uint64_t done, uint64_t total) {
    if (inputs.progress)
      inputs.progress(what, done, total);
  };

  std::optional<LoweredModel> lowered;
  std::vector<CompiledVariant> variants;
  // One more plan is enough unless the chunk changes too; three rounds bound it.
  for (int round = 0;; ++round) {
    step("lower", 0, 1);
    llvm::Expected<LoweredModel> model = lowerModel(inputs.model->config, plan);
    if (!model)
      return model.takeError();
    lowered.emplace(std::move(*model));
    if (inputs.options->emit == EmitKind::Mlir)
      return writeOutput(output, lowered->planned);
    if (inputs.options->emit == EmitKind::Llvm || inputs.options->emit == EmitKind::Asm ||
        inputs.options->emit == EmitKind::Object) {
      llvm::StringRef kind = inputs.options->emit == EmitKind::Llvm  ? "llvm"
                             : inputs.options->emit == EmitKind::Asm ? "asm"
                                                                     : "object";
      std::vector<std::string> names = variantsOf(inputs.architecture);
      if (names.empty())
        return llvm::createStringError("no code is generated for architecture '" +
                                       inputs.architecture + "' yet");
      auto text = emitText(*lowered, names.back(), kind);
      return text ? writeOutput(output, *text) : text.takeError();
    }
    step("generate code", 0, 1);
    auto compiled = emitVariants(*lowered, inputs);
    if (!compiled)
      return compiled.takeError();
    variants = std::move(*compiled);
    step("generate code", 1, 1);
    MemoryAccount exact = exactAccount(plan, *lowered, codeBytes(variants));
    if (holds(plan, exact)) {
      plan.memory = exact;
      break;
    }
    if (round == 2)
      return llvm::createStringError("the plan needs " + llvm::Twine(exact.peak()) +
                                     " bytes with its code, over the budget of " +
                                     llvm::Twine(plan.budgetBytes) +
                                     "; give a larger --budget or a smaller --context");
    ExactSizes sizes;
    sizes.prefillChunk = plan.prefillChunk;
    sizes.arenaBytes = std::max(lowered->memory.prefillArena, lowered->memory.decodeArena);
    sizes.codeBytes = codeBytes(variants);
    llvm::Expected<Plan> next = replan(sizes);
    if (!next)
      return next.takeError();
    plan = std::move(*next);
  }

  BuildInputs build;
  build.model = inputs.model;
  build.plan = &plan;
  build.lowered = &*lowered;
  build.variants = std::move(variants);
  if (inputs.model->tokenizer) {
    auto section = serializeTokenizer(*inputs.model->tokenizer);
    if (!section)
      return section.takeError();
    build.tokenizerSection = std::move(*section);
  }
  build.planText = planText(plan, PlanTextUse::Artifact);
  build.profileText = inputs.profileText;
  auto text = provenance(inputs, plan);
  if (!text)
    return text.takeError();
  build.provenanceText = std::move(*text);
  BuildOptions options;
  options.jobs = inputs.options->jobs;
  options.cancel = inputs.cancel;
  auto weightsProgress = [&](uint64_t done, uint64_t total) {
    step("quantize and pack", done, total);
  };
  options.progress = weightsProgress;
  return buildArtifact(output, build, options);
}

} // namespace gcompile
