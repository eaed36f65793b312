// Runs one kernel operation on every target that this machine can run, for tests that compare the
// targets' bits with each other and with a reference. A thin layer over KernelHarness: buffers,
// then the scalars %rows and %position as far as the operation names them, then the tasks.
#pragma once

#include "tests/conformance/KernelHarness.h"

#include <cstring>
#include <string>
#include <vector>

namespace gcompile::conformance {

struct KernelRun {
  std::string variant;
  std::string arguments; // the buffers: "%x: memref<4x8xf32>, %o: memref<4x8xf32>"
  std::string operation;
  std::vector<test::Buffer> buffers;
  int64_t rows = 1, position = 0;
  int64_t firstTask = 0, tasks = 1; // [firstTask, tasks)
};

// One variant for each kind of code that vector kernels become; those that can run here.
std::vector<std::string> runnableVariants();

// Compiles (once for each text and variant) and runs; failures are failures of the current test.
void runKernel(const KernelRun &run);

// Inputs are copied by the harness: its interface has no constant buffers.
template <typename T>
test::Buffer input(const std::vector<T> &values) {
  return {const_cast<T *>(values.data()), values.size() * sizeof(T)};
}
template <typename T>
test::Buffer output(std::vector<T> &values) {
  return test::buffer(values);
}

template <typename T>
bool sameBits(const std::vector<T> &x, const std::vector<T> &y) {
  return x.size() == y.size() && std::memcmp(x.data(), y.data(), x.size() * sizeof(T)) == 0;
}

// Uniform in [−scale, scale], the same on every platform.
std::vector<float> randomFloats(int64_t count, uint64_t seed, float scale);

} // namespace gcompile::conformance
