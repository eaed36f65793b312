#include "tests/unit/codegen/RunProgram.h"

#include <cstring>
#include <gtest/gtest.h>
#include <sys/mman.h>

namespace gcompile::test {
namespace {

void runInline(void *, gc_task_fn task, const void *arguments, int64_t tasks) {
  task(arguments, 0, tasks);
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

} // namespace

Plan referencePlan(const ModelConfig &config, int64_t rows) {
  Plan plan;
  plan.context = 64;
  plan.prefillChunk = plan.scoreChunk = rows;
  plan.localK = plan.localV = plan.globalK = plan.globalV = KvFormat::F32;
  plan.tables = TablePlacement::Memory;
  for (const TensorSpec &spec : expectedTextTensors(config))
    plan.tensorFormats[spec.name] = WeightFormat::F32;
  return plan;
}

bool canRunScore() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

std::vector<float> runScore(const LoweredModel &lowered, const ImportedModel &model,
                            const std::vector<int32_t> &tokens, int64_t columns,
                            const std::vector<int32_t> &spans) {
  llvm::Expected<CompiledVariant> variant = emitVariant(lowered, "x86-64-v3");
  EXPECT_TRUE(bool(variant)) << llvm::toString(variant.takeError());
  Session session(lowered);
  auto sink = [&](unsigned section, uint64_t offset, llvm::ArrayRef<uint8_t> bytes) {
    std::memcpy((section == 0 ? session.weights : session.table).data() + offset, bytes.data(),
                bytes.size());
    return llvm::Error::success();
  };
  llvm::Error packed = packModelWeights(model, lowered, {.weights = 0, .table = 1}, sink);
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
    call.spans = spans.empty() ? nullptr : spans.data() + 2 * first;
    score(&env, &call);
  }
  munmap(image, variant->image.size());
  return values;
}

std::vector<float> goldenFloats(const Checkpoint &file, llvm::StringRef name) {
  const TensorInfo *tensor = file.find(name);
  EXPECT_NE(tensor, nullptr) << name.str();
  llvm::Expected<std::vector<float>> values = file.readAllAsFloat(*tensor);
  EXPECT_TRUE(bool(values)) << llvm::toString(values.takeError());
  return *values;
}

std::vector<int32_t> goldenIntegers(const Checkpoint &file, llvm::StringRef name) {
  const TensorInfo *tensor = file.find(name);
  EXPECT_NE(tensor, nullptr) << name.str();
  std::vector<uint8_t> bytes(tensor->bytes);
  llvm::Error error = file.read(*tensor, 0, bytes);
  EXPECT_FALSE(bool(error)) << llvm::toString(std::move(error));
  std::vector<int32_t> values(tensor->elements());
  size_t width = bytes.size() / values.size(); // little-endian: the low half of an I64
  for (size_t i = 0; i < values.size(); ++i)
    std::memcpy(&values[i], bytes.data() + i * width, sizeof(int32_t));
  return values;
}

} // namespace gcompile::test
