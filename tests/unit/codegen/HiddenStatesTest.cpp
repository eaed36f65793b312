// The compiled model, layer by layer, against the reference implementation's hidden states
// (tests/data/conformance-f32/E: float32, 24 tokens, a window of 8): the embedding, the stream
// after every layer, and the final norm. Images run in this process, called as the runtime calls
// them.
#include "compiler/Codegen/BuildArtifact.h"
#include "llvm/Support/MemoryBuffer.h"
#include <cstring>
#include <gtest/gtest.h>
#include <sys/mman.h>

using namespace gcompile;

namespace {

void runInline(void *, gc_task_fn task, const void *arguments, int64_t tasks) {
  task(arguments, 0, tasks);
}

Plan referencePlan(const ModelConfig &config) {
  Plan plan;
  plan.context = 64;
  plan.prefillChunk = 16;
  plan.scoreChunk = 16;
  plan.localK = plan.localV = plan.globalK = plan.globalV = KvFormat::F32;
  plan.tables = TablePlacement::Memory;
  for (const TensorSpec &spec : expectedTextTensors(config))
    plan.tensorFormats[spec.name] = WeightFormat::F32;
  return plan;
}

// Memory of one session, aligned as gc_call asks.
struct Session {
  explicit Session(const LoweredModel &lowered)
      : weights(lowered.memory.weights), kv(lowered.memory.kvCache),
        arena(lowered.memory.scoreArena) {
    for (const PlacedWeight &weight : lowered.weights)
      if (weight.kind == PlacedWeight::RowTable)
        table.resize(weight.bytes);
  }
  struct Aligned {
    explicit Aligned(size_t bytes = 0) { resize(bytes); }
    void resize(size_t bytes) { storage.assign(bytes + 128, 0); }
    uint8_t *data() {
      return storage.data() + (128 - reinterpret_cast<uintptr_t>(storage.data()) % 128) % 128;
    }
    std::vector<uint8_t> storage;
  };
  Aligned weights, table, kv, arena;
};

// Values of `columns` for every token, in chunks of the score program.
std::vector<float> run(const LoweredModel &lowered, const ImportedModel &model,
                       const std::vector<int32_t> &tokens, int64_t columns) {
  llvm::Expected<CompiledVariant> variant = emitVariant(lowered, "x86-64-v3");
  EXPECT_TRUE(bool(variant)) << llvm::toString(variant.takeError());
  Session session(lowered);
  auto sink = [&](unsigned section, uint64_t offset, llvm::ArrayRef<uint8_t> bytes) {
    std::memcpy((section == 0 ? session.weights : session.table).data() + offset, bytes.data(),
                bytes.size());
    return llvm::Error::success();
  };
  llvm::Error packed = packModelWeights(model, lowered, 0, 1, sink);
  EXPECT_FALSE(bool(packed)) << llvm::toString(std::move(packed));
  void *image = mmap(nullptr, variant->image.size(), PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  std::memcpy(image, variant->image.data(), variant->image.size());
  mprotect(image, variant->image.size(), PROT_READ | PROT_EXEC);
  auto score =
      reinterpret_cast<gc_program_fn>(static_cast<uint8_t *>(image) + variant->score.offset);

  gc_env env{GC_MODULE_VERSION, 0, nullptr, runInline};
  std::vector<float> values(tokens.size() * columns);
  for (size_t first = 0; first < tokens.size(); first += variant->score.max_rows) {
    gc_call call{};
    call.weights = session.weights.data();
    call.per_layer_table = session.table.data();
    call.tokens = call.per_layer_rows = tokens.data() + first;
    call.kv_cache = session.kv.data();
    call.arena = session.arena.data();
    call.logits = values.data() + first * columns;
    call.rows = std::min<int64_t>(variant->score.max_rows, tokens.size() - first);
    call.position = first;
    score(&env, &call);
  }
  munmap(image, variant->image.size());
  return values;
}

// The whole tensor `name` of the golden file as floats or as ids.
std::vector<float> golden(const Checkpoint &file, llvm::StringRef name) {
  const TensorInfo *tensor = file.find(name);
  EXPECT_NE(tensor, nullptr) << name.str();
  llvm::Expected<std::vector<float>> values = file.readAllAsFloat(*tensor);
  EXPECT_TRUE(bool(values)) << llvm::toString(values.takeError());
  return *values;
}

std::vector<int32_t> goldenIds(const Checkpoint &file) {
  const TensorInfo *tensor = file.find("ids");
  std::vector<int64_t> ids(tensor->elements());
  llvm::Error error = file.read(
      *tensor, 0, {reinterpret_cast<uint8_t *>(ids.data()), ids.size() * sizeof(int64_t)});
  EXPECT_FALSE(bool(error)) << llvm::toString(std::move(error));
  return std::vector<int32_t>(ids.begin(), ids.end());
}

TEST(HiddenStates, EqualTheReferenceLayerByLayer) {
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma"))
    GTEST_SKIP() << "x86-64-v3 code cannot run here";
  std::string folder = GC_TEST_DATA_DIR "/conformance-f32/E";
  llvm::Expected<ImportedModel> model = importModel(folder);
  ASSERT_TRUE(bool(model)) << llvm::toString(model.takeError());
  auto goldens = openSafetensors(folder + "/golden.safetensors");
  ASSERT_TRUE(bool(goldens)) << llvm::toString(goldens.takeError());
  std::vector<int32_t> tokens = goldenIds(**goldens);
  std::vector<float> hidden = golden(**goldens, "hidden");
  const ModelConfig &config = model->config;
  size_t stateSize = tokens.size() * config.hidden;
  ASSERT_EQ(hidden.size(), stateSize * (config.layerCount() + 1));

  for (int64_t state = 0; state <= config.layerCount(); ++state) {
    // The reference's last hidden state has gone through the final norm; its others are inputs of
    // layers.
    int64_t afterLayer = state == config.layerCount() ? state + 1 : state;
    llvm::Expected<LoweredModel> lowered =
        lowerModel(config, referencePlan(config), {ModuleOutput::HiddenState, afterLayer});
    ASSERT_TRUE(bool(lowered)) << llvm::toString(lowered.takeError());
    std::vector<float> values = run(*lowered, *model, tokens, config.hidden);
    float worst = 0;
    for (size_t i = 0; i < stateSize; ++i)
      worst = std::max(worst, std::fabs(values[i] - hidden[state * stateSize + i]));
    EXPECT_LE(worst, 1e-3f) << "hidden state " << state;
    ::testing::Test::RecordProperty("worst_" + std::to_string(state), std::to_string(worst));
  }
}

} // namespace
