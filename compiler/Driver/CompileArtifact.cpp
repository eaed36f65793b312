#include "compiler/Driver/CompileArtifact.h"

#include "compiler/Artifact/TokenizerSection.h"
#include "compiler/Driver/provenance.pb.h"
#include "compiler/Plan/PlanText.h"
#include "compiler/Support/InternalError.h"
#include "compiler/Support/KeptFile.h"

#include <algorithm>
#include <atomic>
#include <google/protobuf/text_format.h>
#include <thread>

namespace gcompile {

static int64_t threadsFor(int64_t jobs, size_t tasks) {
  int64_t cores = std::max(1u, std::thread::hardware_concurrency());
  return std::min<int64_t>(jobs > 0 ? jobs : cores, std::max<int64_t>(int64_t(tasks), 1));
}

// Runs task(i) for all i; what each writes must not depend on the others.
template <typename Task>
static void inParallel(int64_t jobs, size_t tasks, Task task) {
  std::atomic<size_t> next{0};
  std::vector<std::thread> workers;
  for (int64_t t = 0; t < threadsFor(jobs, tasks); ++t)
    workers.emplace_back([&] {
      for (size_t i = next++; i < tasks; i = next++)
        task(i);
    });
  for (std::thread &worker : workers)
    worker.join();
}

llvm::Expected<std::vector<std::string>> variantsFor(const DeviceProfile &profile) {
  std::vector<std::string> names = variantsOf(profile.architecture);
  if (names.empty())
    return llvm::createStringError("target '" + profile.name + "' (" + profile.architecture +
                                   ") can be planned; whole programs are not compiled for it yet");
  return names;
}

llvm::Expected<CompiledModel> compilePlan(const ModelConfig &config, const Plan &plan,
                                          const DeviceProfile &profile, int64_t jobs) {
  llvm::Expected<std::vector<std::string>> names = variantsFor(profile);
  if (!names)
    return names.takeError();
  llvm::Expected<LoweredModel> lowered = lowerModel(config, plan);
  if (!lowered)
    return lowered.takeError();
  std::vector<std::optional<CompiledVariant>> variants(names->size());
  std::vector<llvm::Error> faults;
  for (size_t i = 0; i < names->size(); ++i)
    faults.push_back(llvm::Error::success());
  inParallel(jobs, names->size(), [&](size_t i) {
    llvm::consumeError(std::move(faults[i]));
    llvm::Expected<CompiledVariant> variant = emitVariant(*lowered, (*names)[i]);
    faults[i] = variant ? llvm::Error::success() : variant.takeError();
    if (variant)
      variants[i] = std::move(*variant);
  });
  CompiledModel result;
  llvm::Error fault = llvm::Error::success(); // of several the first in order is told
  for (size_t i = 0; i < names->size(); ++i) {
    if (!faults[i]) {
      result.variants.push_back(std::move(*variants[i]));
      continue;
    }
    if (fault)
      llvm::consumeError(std::move(faults[i]));
    else
      fault = withContext((*names)[i], std::move(faults[i]));
  }
  if (fault)
    return std::move(fault);
  int64_t code = codeBytes(result.variants);
  result.account = exactAccount(plan, *lowered, code);
  result.exact.prefillChunk = plan.prefillChunk;
  result.exact.arenaBytes = std::max(lowered->memory.prefillArena, lowered->memory.decodeArena);
  result.exact.codeBytes = code;
  // Tables that no tensor of the plan stands for (rotary frequencies), and alignment.
  result.exact.otherBytes = (result.account.weights - plan.memory.weights) +
                            (result.account.kvCache - plan.memory.kvCache);
  result.lowered = std::move(*lowered);
  return result;
}

// Of the names and contents of all tensors of the text model.
static llvm::Expected<std::string> sourceHash(const ImportedModel &model, int64_t jobs,
                                              const PieceHashes *known) {
  std::vector<std::pair<std::string, const TensorInfo *>> tensors;
  for (const TensorSpec &spec : expectedTextTensors(model.config))
    if (const TensorInfo *info = model.tensors->find(spec.role, spec.layer))
      tensors.push_back({spec.name, info});
  std::vector<std::string> hashes(tensors.size());
  std::vector<std::string> faults(tensors.size());
  inParallel(jobs, tensors.size(), [&](size_t i) {
    llvm::Expected<std::string> hash = model.checkpoint->contentHash(*tensors[i].second, known);
    if (hash)
      hashes[i] = *hash;
    else
      faults[i] = llvm::toString(hash.takeError());
  });
  std::string all;
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (!faults[i].empty())
      return llvm::createStringError(faults[i]);
    all += tensors[i].first + " " + hashes[i] + "\n";
  }
  return hashOf(all);
}

static std::string provenanceOf(const ImportedModel &model, std::optional<uint64_t> syntheticSeed,
                                llvm::StringRef sourceHash) {
  provenance::Provenance message;
  message.set_tool("gcompile " GCOMPILE_VERSION);
  message.set_model(model.name);
  if (syntheticSeed)
    message.set_synthetic_seed(std::to_string(*syntheticSeed));
  else
    message.set_source_hash(sourceHash.str());
  std::string text;
  google::protobuf::TextFormat::PrintToString(message, &text);
  return text;
}

llvm::Expected<std::string> provenanceText(const ImportedModel &model,
                                           std::optional<uint64_t> syntheticSeed, int64_t jobs) {
  if (syntheticSeed)
    return provenanceOf(model, syntheticSeed, "");
  llvm::Expected<std::string> hash = sourceHash(model, jobs, nullptr);
  if (!hash)
    return hash.takeError();
  return provenanceOf(model, std::nullopt, *hash);
}

llvm::Error writeArtifact(const WriteRequest &request, CompiledModel compiled) {
  BuildInputs inputs;
  inputs.model = request.model;
  inputs.plan = request.plan;
  inputs.lowered = &compiled.lowered;
  inputs.variants = std::move(compiled.variants);
  if (request.model->tokenizer) {
    llvm::Expected<std::vector<uint8_t>> section = serializeTokenizer(*request.model->tokenizer);
    if (!section)
      return section.takeError();
    inputs.tokenizerSection = std::move(*section);
  }
  inputs.planText = planText(*request.plan, PlanTextUse::Artifact);
  inputs.profileText = request.profile->text;
  // Weights are hashed while they are packed; until then any hash holds the place.
  inputs.provenanceText = provenanceOf(*request.model, request.syntheticSeed, hashOf(""));
  if (!request.syntheticSeed)
    inputs.finalProvenance = [&](const PieceHashes &known) -> llvm::Expected<std::string> {
      llvm::Expected<std::string> hash = sourceHash(*request.model, request.jobs, &known);
      if (!hash)
        return hash.takeError();
      return provenanceOf(*request.model, std::nullopt, *hash);
    };

  BuildOptions options;
  options.jobs = unsigned(request.jobs);
  auto progress = [&](uint64_t done, uint64_t total) {
    if (request.progress)
      request.progress("quantize and pack", done, total);
  };
  options.progress = progress;
  return buildArtifact(request.path, inputs, options);
}

} // namespace gcompile
