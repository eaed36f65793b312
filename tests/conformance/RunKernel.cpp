#include "tests/conformance/RunKernel.h"

#include <map>

namespace gcompile::conformance {

std::vector<std::string> runnableVariants() {
  std::vector<std::string> names;
  for (const char *variant : {"x86-64-v3", "x86-64-vnni", "aarch64-neon"})
    if (test::placeOf(variant) != test::Place::Nowhere)
      names.push_back(variant);
  return names;
}

void runKernel(const KernelRun &run) {
  static std::map<std::string, std::unique_ptr<test::CompiledKernel>> compiled;
  std::string arguments = run.arguments + ", %rows: index";
  std::vector<int64_t> integers = {run.rows};
  if (run.operation.find("%position") != std::string::npos) {
    arguments += ", %position: index";
    integers.push_back(run.position);
  }
  integers.push_back(run.firstTask);
  integers.push_back(run.tasks);
  std::string source = test::kernelModule(arguments, run.operation);
  std::unique_ptr<test::CompiledKernel> &kernel = compiled[run.variant + source];
  if (!kernel) {
    auto made = test::CompiledKernel::compile(source, "kernel", run.variant);
    ASSERT_TRUE(bool(made)) << run.variant << ": " << toString(made.takeError()) << "\n" << source;
    kernel = std::move(*made);
  }
  llvm::Error error = kernel->run(run.buffers, integers);
  ASSERT_FALSE(bool(error)) << run.variant << ": " << toString(std::move(error)) << "\n" << source;
}

std::vector<float> randomFloats(int64_t count, uint64_t seed, float scale) {
  std::vector<float> values;
  uint64_t state = seed * 0x9e3779b97f4a7c15u + 1;
  for (int64_t i = 0; i < count; ++i) {
    // splitmix64
    state += 0x9e3779b97f4a7c15u;
    uint64_t z = state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    values.push_back(scale * (float(z >> 40) / float(1 << 23) - 1.0f));
  }
  return values;
}

} // namespace gcompile::conformance
