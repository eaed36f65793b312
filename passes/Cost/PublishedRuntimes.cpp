#include "passes/Cost/PublishedRuntimes.h"

namespace gcompile {

// From tests/data/measurements by fitModelC with the prior of the other groups.
static constexpr PublishedRuntime runtimes[] = {
    {"jetson-llama", "Jetson boards, llama.cpp", 5, {0.3854, 8.99e-6}, 0.211},
    {"jetson-vllm", "Jetson boards, vLLM", 5, {0.5658, 6.67e-6}, 0.198},
    {"litert-cpu", "phones and boards, LiteRT-LM on 4 threads", 8, {0.3746, 13.80e-6}, 0.267},
    {"litert-cpu-desktop",
     "Apple M4 Max, LiteRT-LM on its processor",
     2,
     {0.1549, 30.07e-6},
     0.502},
    {"litert-gpu-desktop", "laptops and cards, LiteRT-LM", 6, {0.4916, 11.56e-6}, 0.269},
    {"litert-gpu-mobile", "phones' GPUs, LiteRT-LM", 5, {0.6538, 17.05e-6}, 0.351},
    {"llama-cpu", "phones, boards and laptops, llama.cpp", 5, {0.5668, 12.32e-6}, 0.130},
    {"llama-cuda", "NVIDIA cards, llama.cpp", 14, {0.9238, 6.82e-6}, 0.068},
    {"llama-metal", "Apple GPUs, llama.cpp", 11, {0.7271, 9.90e-6}, 0.189},
    {"strix-halo", "Strix Halo GPU, llama.cpp", 3, {0.8612, 10.99e-6}, 0.014},
};

static constexpr PublishedPrefill prefillOfCards = {"llama.cpp CUDA", "NVIDIA cards, llama.cpp",
                                                    0.151},
                                  prefillOfLiteRt = {
                                      "LiteRT-LM", "phones, boards and laptops, LiteRT-LM", 0.4946};

const PublishedPrefill &publishedPrefill(bool cuda) {
  return cuda ? prefillOfCards : prefillOfLiteRt;
}

std::span<const PublishedRuntime> publishedRuntimes() { return runtimes; }

const PublishedRuntime *findPublishedRuntime(std::string_view group) {
  for (const PublishedRuntime &runtime : runtimes)
    if (runtime.group == group)
      return &runtime;
  return nullptr;
}

} // namespace gcompile
