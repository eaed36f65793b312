#include "passes/Cost/PublishedRuntimes.h"

namespace gcompile {

// From tests/data/measurements by fitModelC with the prior of the other groups.
static constexpr PublishedRuntime runtimes[] = {
    {"jetson", "Jetson boards, llama.cpp and vLLM", 10, {0.4799, 122.1e-6}, 0.225},
    {"litert-cpu", "phones and boards, LiteRT-LM on 4 threads", 8, {0.3776, 163.0e-6}, 0.269},
    {"litert-cpu-desktop",
     "Apple M4 Max, LiteRT-LM on its processor",
     2,
     {0.1878, 407.5e-6},
     0.408},
    {"litert-gpu-desktop", "laptops and cards, LiteRT-LM", 6, {0.5051, 131.4e-6}, 0.262},
    {"litert-gpu-mobile", "phones' GPUs, LiteRT-LM", 5, {0.6708, 203.0e-6}, 0.355},
    {"llama-cpu", "phones, boards and laptops, llama.cpp", 5, {0.5700, 148.7e-6}, 0.130},
    {"llama-cuda", "NVIDIA cards, llama.cpp", 14, {0.9727, 87.1e-6}, 0.086},
    {"llama-metal", "Apple GPUs, llama.cpp", 11, {0.7328, 112.1e-6}, 0.191},
    {"strix-halo", "Strix Halo GPU, llama.cpp", 3, {0.8777, 158.0e-6}, 0.047},
};

std::span<const PublishedRuntime> publishedRuntimes() { return runtimes; }

const PublishedRuntime *findPublishedRuntime(std::string_view group) {
  for (const PublishedRuntime &runtime : runtimes)
    if (runtime.group == group)
      return &runtime;
  return nullptr;
}

} // namespace gcompile
