// Runs a compiled model's score program in this process, called as the runtime calls it, and reads
// golden files: for tests that look at what a whole program computes.
#pragma once

#include "compiler/Codegen/BuildArtifact.h"

#include <cstdint>
#include <string>
#include <vector>

namespace gcompile::test {

// Everything in f32, 64 positions, chunks of `rows`.
Plan referencePlan(const ModelConfig &config, int64_t rows = 16);

// Whether x86-64-v3 code, which runScore() compiles, can run here.
bool canRunScore();

// Values of `columns` for every token, in chunks of the score program. `spans` (docs/decisions/
// 0016): two a token, in positions; empty for models whose images are causal.
std::vector<float> runScore(const LoweredModel &lowered, const ImportedModel &model,
                            const std::vector<int32_t> &tokens, int64_t columns,
                            const std::vector<int32_t> &spans = {});

// A whole tensor of a golden file, as floats or as integers (I32 or I64).
std::vector<float> goldenFloats(const Checkpoint &file, llvm::StringRef name);
std::vector<int32_t> goldenIntegers(const Checkpoint &file, llvm::StringRef name);

} // namespace gcompile::test
