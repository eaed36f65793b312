#include "compiler/Measure/KernelProbes.h"

#include <algorithm>

namespace gcompile {
namespace {

std::string text(int64_t value) { return std::to_string(value); }
std::string floats(int64_t rows, int64_t columns) {
  return "memref<" + text(rows) + "x" + text(columns) + "xf32>";
}
int64_t address(const void *pointer) { return reinterpret_cast<int64_t>(pointer); }

} // namespace

KernelProbes::KernelProbes(ProbeTeam &team, ProbeRegion &weights, ProbeRegion &caches,
                           std::string variant)
    : team(team), region(weights), caches(caches), variant(std::move(variant)) {}

uint8_t *KernelProbes::scratch(int64_t bytes) {
  buffers.emplace_back(size_t(bytes) + 128 + 16384);
  uint8_t *start = buffers.back().data();
  start += (128 - address(start) % 128) % 128;
  uint64_t state = 1;
  fillWithNumbers(start, bytes, state);
  return start;
}

llvm::Expected<Probe> KernelProbes::product(WeightFormat format, int64_t rows, int64_t n, int64_t k,
                                            bool cached) {
  int64_t weightBytes = packedBytes(format, n, k);
  std::string name(gcompile::name(format)), w = "memref<" + text(weightBytes) + "xi8>",
                                            y = floats(rows, n);
  std::vector<int64_t> arguments;
  std::string types, operation;
  int64_t weightArgument;
  if (info(format).isInteger) {
    int64_t padded = paddedColumns(format, k),
            groups = info(format).group ? padded / info(format).group : 1;
    std::string c = "memref<" + text(rows) + "x" + text(padded) + "xi8>", s = floats(rows, groups),
                u = "memref<" + text(rows) + "x" + text(groups) + "xi32>";
    types = "%c: " + c + ", %s: " + s + ", %u: " + u + ", %w: " + w + ", %y: " + y;
    operation = "kernel.matmul_integer %c, %s, %u, %w outs(%y) rows %rows {format = \"" + name +
                "\", columns = " + text(k) + "} : " + c + ", " + s + ", " + u + ", " + w + ", " + y;
    arguments = {address(scratch(rows * padded)), address(scratch(rows * groups * 4)),
                 address(scratch(rows * groups * 4)), 0};
    weightArgument = 3;
  } else {
    std::string x = floats(rows, k);
    types = "%x: " + x + ", %w: " + w + ", %y: " + y;
    operation = "kernel.matmul_float %x, %w outs(%y) rows %rows {format = \"" + name +
                "\"} : " + x + ", " + w + ", " + y;
    arguments = {address(scratch(rows * k * 4)), 0};
    weightArgument = 1;
  }
  arguments.push_back(address(scratch(rows * n * 4)));
  arguments.push_back(rows);
  auto kernel = HostKernel::compile(types + ", %rows: index", operation, variant);
  if (!kernel)
    return kernel.takeError();
  kernels.push_back(std::move(*kernel));
  const HostKernel *code = kernels.back().get();
  uint8_t *fixed = cached ? scratch(weightBytes) : nullptr;
  Probe probe;
  probe.name = name;
  probe.amount = rows > 1 ? 2.0 * double(rows) * double(n) * double(k) : double(weightBytes);
  int64_t panels = (n + panelRows - 1) / panelRows;
  int repeats = cached && rows == 1 ? 16 : 1;
  probe.amount *= repeats;
  probe.seconds = [this, code, arguments, weightArgument, fixed, weightBytes, panels,
                   repeats]() mutable {
    arguments[weightArgument] = address(fixed ? fixed : region.next(weightBytes));
    auto once = [&] {
      return team.run(panels, team.size(),
                      [&](int64_t begin, int64_t end) { code->run(arguments, begin, end); });
    };
    if (fixed)
      once(); // other probes have emptied the caches
    double seconds = 0;
    for (int i = 0; i < repeats; ++i)
      seconds += once();
    return seconds;
  };
  return probe;
}

llvm::Expected<Probe> KernelProbes::matvec(WeightFormat format, bool cached) {
  // In cache: half a megabyte of weights for each thread, whatever the format.
  int64_t panel = panelBytes(format, probeInputs);
  int64_t panels = std::max<int64_t>(1, (512 << 10) / panel) * team.size();
  if (cached)
    return product(format, 1, panels * panelRows, probeInputs, true);
  llvm::Expected<Probe> both = upAndDown(format, 1);
  if (both)
    both->isShareOfRead = true;
  return both;
}

llvm::Expected<Probe> KernelProbes::matmul(WeightFormat format) {
  llvm::Expected<Probe> both = upAndDown(format, probeChunk);
  if (both)
    both->readBytes = double(packedBytes(format, probeOutputs, probeInputs) +
                             packedBytes(format, probeInputs, probeOutputs));
  return both;
}

llvm::Expected<Probe> KernelProbes::upAndDown(WeightFormat format, int64_t rows) {
  llvm::Expected<Probe> up = product(format, rows, probeOutputs, probeInputs, false);
  if (!up)
    return up;
  llvm::Expected<Probe> down = product(format, rows, probeInputs, probeOutputs, false);
  if (!down)
    return down;
  Probe both;
  both.name = up->name;
  both.amount = up->amount + down->amount;
  both.seconds = [first = up->seconds, second = down->seconds] { return first() + second(); };
  return both;
}

llvm::Expected<Probe> KernelProbes::attention(KvFormat format, int64_t headDim, int64_t rowCount,
                                              int64_t positions, bool cached) {
  constexpr int64_t heads = 8;
  int64_t capacity = (positions + rowCount + 63) / 64 * 64;
  KvLayout layout = kvLayout(format, format, 1, headDim, capacity);
  std::string rows = floats(rowCount, heads * headDim),
              cache = "memref<" + text(layout.bytes) + "xi8>", name(gcompile::name(format));
  std::string operation =
      "kernel.attend %q, %c outs(%o) rows %rows position %position {k_format = \"" + name +
      "\", v_format = \"" + name + "\", head_dim = " + text(headDim) +
      " : i64, heads = 8 : i64, kv_heads = 1 : i64, capacity = " + text(capacity) +
      " : i64, window = 0 : i64} : " + rows + ", " + cache + ", " + rows;
  auto kernel = HostKernel::compile("%q: " + rows + ", %c: " + cache + ", %o: " + rows +
                                        ", %rows: index, %position: index",
                                    operation, variant);
  if (!kernel)
    return kernel.takeError();
  kernels.push_back(std::move(*kernel));
  const HostKernel *code = kernels.back().get();
  int64_t rowBytes = 4 * rowCount * heads * headDim;
  std::vector<int64_t> arguments = {address(scratch(rowBytes)),
                                    cached ? address(scratch(layout.bytes)) : 0,
                                    address(scratch(rowBytes)), rowCount, positions - 1};
  Probe probe;
  probe.name = name;
  probe.isShareOfRead = !cached;
  double seen = double(rowCount) * (double(positions) + double(rowCount - 1) / 2);
  probe.amount = cached ? 4.0 * heads * double(headDim) * seen
                        : double(layout.bytes) * double(positions) / double(capacity);
  // Two tasks a row: four heads each (docs/performance.md).
  int64_t tasks = 2 * rowCount, bytes = layout.bytes;
  probe.seconds = [this, code, arguments, cached, tasks, bytes]() mutable {
    auto once = [&] {
      return team.run(tasks, team.size(),
                      [&](int64_t begin, int64_t end) { code->run(arguments, begin, end); });
    };
    if (cached)
      once();
    else
      arguments[1] = address(caches.next(bytes));
    return once();
  };
  return probe;
}

llvm::Expected<Probe> KernelProbes::attentionStream(KvFormat format, int64_t headDim) {
  return attention(format, headDim, 1, 4096, false);
}

llvm::Expected<Probe> KernelProbes::attentionChunk(KvFormat format, int64_t headDim) {
  return attention(format, headDim, 16, 256, true);
}

llvm::Expected<Probe> KernelProbes::vectorOperations() {
  constexpr int64_t columns = 2048, rowCount = 8;
  std::string rows = floats(rowCount, columns), weight = "memref<" + text(columns) + "xf32>";
  auto norm =
      HostKernel::compile("%x: " + rows + ", %w: " + weight + ", %o: " + rows + ", %rows: index",
                          "kernel.rms_norm %x weight %w : " + weight +
                              " outs(%o) rows %rows {groups = 1 : i64, epsilon = 1.0e-6 : "
                              "f32, input_scale = 1.0 : f32} : " +
                              rows + ", " + rows,
                          variant);
  if (!norm)
    return norm.takeError();
  auto gate = HostKernel::compile(
      "%x: " + rows + ", %y: " + rows + ", %o: " + rows + ", %rows: index",
      "kernel.gelu_mul %x, %y outs(%o) rows %rows : " + rows + ", " + rows + ", " + rows, variant);
  if (!gate)
    return gate.takeError();
  kernels.push_back(std::move(*norm));
  const HostKernel *normCode = kernels.back().get();
  kernels.push_back(std::move(*gate));
  const HostKernel *gateCode = kernels.back().get();
  int64_t bytes = 4 * columns * rowCount;
  int64_t x = address(scratch(bytes)), w = address(scratch(4 * columns)),
          o = address(scratch(bytes));
  Probe probe;
  probe.name = "vector";
  constexpr int repeats = 16;
  // A norm visits each element once, the gate counts as four (vectorElements).
  probe.amount = repeats * double(columns * rowCount) * 5;
  probe.seconds = [this, normCode, gateCode, x, w, o] {
    return team.run(1, 1, [&](int64_t, int64_t) {
      for (int i = 0; i < repeats; ++i) {
        // Tasks are rows of the norm, and tiles of 2048 columns of the gate.
        normCode->run({x, w, o, rowCount}, 0, rowCount);
        gateCode->run({x, o, o, rowCount}, 0, rowCount);
      }
    });
  };
  return probe;
}

Probe KernelProbes::read(int threads) {
  Probe probe;
  probe.name = "read";
  constexpr int64_t piece = 16 << 20, task = 65536;
  probe.amount = double(piece);
  probe.seconds = [this, threads] {
    const uint8_t *start = region.next(piece);
    return team.run(piece / task, threads, [&](int64_t begin, int64_t end) {
      // Sums of eight independent words: the compiler makes vectors of them.
      uint64_t sum[8] = {};
      const uint64_t *words = reinterpret_cast<const uint64_t *>(start);
      for (int64_t i = begin * task / 8; i < end * task / 8; i += 8)
        for (int j = 0; j < 8; ++j)
          sum[j] += words[i + j];
      for (uint64_t value : sum)
        __asm__ volatile("" : : "r"(value));
    });
  };
  return probe;
}

int64_t KernelProbes::setPieceBytes(WeightFormat format, int64_t inputs) {
  return (packedBytes(format, setOutputs, inputs) + 4095) / 4096 * 4096;
}

llvm::Expected<std::vector<Probe>> KernelProbes::matvecSets(WeightFormat format,
                                                            llvm::ArrayRef<int64_t> workingSetBytes,
                                                            int64_t inputs) {
  llvm::Expected<Probe> one = product(format, 1, setOutputs, inputs, false);
  if (!one)
    return one.takeError();
  std::vector<Probe> probes;
  for (int64_t bytes : workingSetBytes) {
    int64_t pieces = std::max<int64_t>(1, bytes / setPieceBytes(format, inputs));
    Probe probe;
    probe.name = one->name;
    probe.amount = one->amount * double(pieces);
    probe.seconds = [this, pieces, bytes, next = one->seconds] {
      // Unmeasured first, so that what can stay in caches is there: last-level caches keep what was
      // met more than once.
      int passes = bytes > (64 << 20) ? 2 : 5;
      double seconds = 0;
      for (int pass = 0; pass < passes; ++pass) {
        region.rewind();
        seconds = 0;
        for (int64_t i = 0; i < pieces; ++i)
          seconds += next();
      }
      return seconds;
    };
    probes.push_back(std::move(probe));
  }
  return probes;
}

Probe KernelProbes::launch() {
  Probe probe;
  probe.name = "launch";
  constexpr int repeats = 50; // short: a disturbed sample is lost
  probe.amount = repeats;
  probe.seconds = [this] {
    double seconds = 0;
    for (int i = 0; i < repeats; ++i)
      seconds += team.run(32 * team.size(), team.size(), [](int64_t, int64_t) {});
    return seconds;
  };
  return probe;
}

} // namespace gcompile
