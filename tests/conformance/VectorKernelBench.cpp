// Times the kernels on f32 rows and KV caches at the shapes of Gemma 4 E2B's decode, one thread,
// native code. Each figure is the median and the fastest of many runs; caches larger than L2 are
// walked over several copies, so that they come from memory. Not a test: run it by hand
// (docs/performance.md has results). usage: vector_kernel_bench [variant] [name part]
#include "ir/Format/Format.h"
#include "tests/conformance/RunKernel.h"
#include "llvm/Support/Format.h"

#include <algorithm>
#include <chrono>

using namespace gcompile;

namespace {

struct Kernel {
  std::string name, arguments, operation;
  std::vector<size_t> bufferBytes;
  int64_t position, tasks;
  double bytes; // read and written by one call
  double flops;
};

std::string type(int64_t rows, int64_t columns) {
  return "memref<" + std::to_string(rows) + "x" + std::to_string(columns) + "xf32>";
}

Kernel attend(const char *k, const char *v, int64_t headDim, int64_t window, int64_t capacity,
              int64_t position) {
  const int64_t heads = 8;
  KvLayout layout = kvLayout(*parseKvFormat(k), *parseKvFormat(v), 1, headDim, capacity);
  std::string rows = type(1, heads * headDim),
              cache = "memref<" + std::to_string(layout.bytes) + "xi8>";
  int64_t seen = window ? std::min(window, position + 1) : position + 1;
  return {
      "attend D=" + std::to_string(headDim) + " T=" + std::to_string(seen) + " " + k + "/" + v,
      "%q: " + rows + ", %c: " + cache + ", %o: " + rows,
      std::string("kernel.attend %q, %c outs(%o) rows %rows position %position {k_format = \"") +
          k + "\", v_format = \"" + v + "\", head_dim = " + std::to_string(headDim) +
          " : i64, heads = 8 : i64, kv_heads = 1 : i64, capacity = " + std::to_string(capacity) +
          " : i64, window = " + std::to_string(window) + " : i64} : " + rows + ", " + cache + ", " +
          rows,
      {size_t(4 * heads * headDim), size_t(layout.bytes), size_t(4 * heads * headDim)},
      position,
      2,
      double(layout.bytes) * seen / capacity,
      4.0 * heads * headDim * seen};
}

Kernel append(const char *format, int64_t headDim, int64_t capacity) {
  KvFormat f = *parseKvFormat(format);
  KvLayout layout = kvLayout(f, f, 1, headDim, capacity);
  std::string rows = type(1, headDim), cache = "memref<" + std::to_string(layout.bytes) + "xi8>";
  return {"append_kv D=" + std::to_string(headDim) + " " + format,
          "%k: " + rows + ", %v: " + rows + ", %c: " + cache,
          std::string("kernel.append_kv %k, %v into %c rows %rows position %position {k_format = "
                      "\"") +
              format + "\", v_format = \"" + format + "\", head_dim = " + std::to_string(headDim) +
              " : i64, heads = 1 : i64, capacity = " + std::to_string(capacity) +
              " : i64} : " + rows + ", " + rows + ", " + cache,
          {size_t(4 * headDim), size_t(4 * headDim), size_t(layout.bytes)},
          100,
          1,
          8.0 * headDim,
          0};
}

Kernel norm(int64_t columns, int64_t groups) {
  std::string rows = type(1, columns),
              weight = "memref<" + std::to_string(columns / groups) + "xf32>";
  return {"rms_norm " + std::to_string(groups) + "x" + std::to_string(columns / groups),
          "%x: " + rows + ", %w: " + weight + ", %o: " + rows,
          "kernel.rms_norm %x weight %w : " + weight +
              " outs(%o) rows %rows {groups = " + std::to_string(groups) +
              " : i64, epsilon = 1.0e-6 : f32, input_scale = 1.0 : f32} : " + rows + ", " + rows,
          {size_t(4 * columns), size_t(4 * columns / groups), size_t(4 * columns)},
          0,
          1,
          8.0 * columns,
          0};
}

Kernel rope(int64_t groups, int64_t size) {
  std::string rows = type(1, groups * size), table = type(1, size / 2);
  size_t bytes = 4 * groups * size;
  return {"rope " + std::to_string(groups) + "x" + std::to_string(size),
          "%x: " + rows + ", %c: " + table + ", %s: " + table + ", %o: " + rows,
          "kernel.rope %x, %c, %s outs(%o) rows %rows {groups = " + std::to_string(groups) +
              " : i64} : " + rows + ", " + table + ", " + table + ", " + rows,
          {bytes, size_t(2 * size), size_t(2 * size), bytes},
          0,
          1,
          2.0 * bytes,
          0};
}

Kernel ropeTable(int64_t half) {
  std::string frequencies = "memref<" + std::to_string(half) + "xf32>", table = type(1, half);
  return {"rope_table " + std::to_string(half),
          "%f: " + frequencies + ", %c: " + table + ", %s: " + table,
          "kernel.rope_table %f outs(%c, %s) rows %rows position %position : " + frequencies +
              ", " + table + ", " + table,
          {size_t(4 * half), size_t(4 * half), size_t(4 * half)},
          1000,
          1,
          12.0 * half,
          0};
}

Kernel elementwise(const std::string &name, int64_t columns) {
  std::string rows = type(1, columns);
  int64_t tasks = (columns + 2047) / 2048;
  size_t bytes = 4 * columns;
  if (name == "soft_cap")
    return {name + " " + std::to_string(columns),
            "%x: " + rows + ", %o: " + rows,
            "kernel.soft_cap %x outs(%o) rows %rows {cap = 30.0 : f32} : " + rows + ", " + rows,
            {bytes, bytes},
            0,
            tasks,
            2.0 * bytes,
            0};
  return {name + " " + std::to_string(columns),
          "%x: " + rows + ", %y: " + rows + ", %o: " + rows,
          "kernel." + name + " %x, %y outs(%o) rows %rows " +
              (name == "add" ? "{scale = 1.0 : f32} " : "") + ": " + rows + ", " + rows + ", " +
              rows,
          {bytes, bytes, bytes},
          0,
          tasks,
          3.0 * bytes,
          0};
}

void measure(const Kernel &kernel, const std::string &variant) {
  std::string arguments = kernel.arguments + ", %rows: index";
  bool hasPosition = kernel.operation.find("%position") != std::string::npos;
  if (hasPosition)
    arguments += ", %position: index";
  auto compiled = test::CompiledKernel::compile(test::kernelModule(arguments, kernel.operation),
                                                "kernel", variant);
  if (!compiled) {
    llvm::errs() << kernel.name << ": " << toString(compiled.takeError()) << "\n";
    return;
  }
  // Copies of everything that together exceed the caches, when one alone exceeds half an L2.
  size_t total = 0;
  for (size_t bytes : kernel.bufferBytes)
    total += bytes;
  size_t copies = total > (512 << 10) ? std::max<size_t>(2, (512u << 20) / total) : 1;
  std::vector<std::vector<std::vector<float>>> memory(copies);
  for (size_t copy = 0; copy < copies; ++copy)
    for (size_t bytes : kernel.bufferBytes) {
      memory[copy].push_back(conformance::randomFloats((bytes + 131) / 4, copy, 1.0f));
      // Bytes that are fine as codes, halves and floats alike.
      if (bytes > 100000)
        std::fill(memory[copy].back().begin(), memory[copy].back().end(), 0.0078125f);
    }
  auto run = [&](size_t copy) {
    int64_t a[12] = {};
    size_t n = 0;
    for (std::vector<float> &buffer : memory[copy])
      a[n++] = (reinterpret_cast<int64_t>(buffer.data()) + 63) / 64 * 64;
    a[n++] = 1;
    if (hasPosition)
      a[n++] = kernel.position;
    a[n++] = 0;
    a[n++] = kernel.tasks;
    using Function = void (*)(int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t,
                              int64_t, int64_t, int64_t, int64_t, int64_t);
    reinterpret_cast<Function>((*compiled)->address())(a[0], a[1], a[2], a[3], a[4], a[5], a[6],
                                                       a[7], a[8], a[9], a[10], a[11]);
  };
  std::vector<double> micros;
  auto start = std::chrono::steady_clock::now();
  for (size_t i = 0; i < 4000; ++i) {
    auto before = std::chrono::steady_clock::now();
    run(i % copies);
    auto after = std::chrono::steady_clock::now();
    micros.push_back(std::chrono::duration<double, std::micro>(after - before).count());
    if (after - start > std::chrono::milliseconds(700) && i > 30)
      break;
  }
  std::sort(micros.begin(), micros.end());
  double median = micros[micros.size() / 2], best = micros[micros.size() / 20];
  llvm::outs() << llvm::format("%-32s %9.2f us median %9.2f us p5 %7.2f GB/s %7.2f Gflop/s\n",
                               kernel.name.c_str(), median, best, kernel.bytes / best / 1e3,
                               kernel.flops / best / 1e3);
}

} // namespace

int main(int argc, char **argv) {
  std::string variant = argc > 1 ? argv[1] : "x86-64-vnni", part = argc > 2 ? argv[2] : "";
  if (test::placeOf(variant) != test::Place::Native) {
    llvm::errs() << "code of '" << variant << "' does not run natively here\n";
    return 1;
  }
  std::vector<Kernel> kernels;
  for (const char *format : {"f32", "f16", "kv8", "kv4"}) {
    kernels.push_back(attend(format, format, 256, 512, 1024, 2000));
    kernels.push_back(attend(format, format, 512, 0, 4096, 4095));
    kernels.push_back(append(format, 256, 1024));
    kernels.push_back(append(format, 512, 4096));
  }
  kernels.push_back(norm(1536, 1));
  kernels.push_back(norm(2048, 8));
  kernels.push_back(norm(4096, 8));
  kernels.push_back(rope(8, 256));
  kernels.push_back(rope(8, 512));
  kernels.push_back(ropeTable(128));
  kernels.push_back(ropeTable(256));
  kernels.push_back(elementwise("add", 1536));
  kernels.push_back(elementwise("gelu_mul", 6144));
  kernels.push_back(elementwise("gelu_mul", 12288));
  kernels.push_back(elementwise("soft_cap", 262144));
  for (const Kernel &kernel : kernels)
    if (kernel.name.find(part) != std::string::npos)
      measure(kernel, variant);
  return 0;
}
