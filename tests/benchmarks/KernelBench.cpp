// kernel_bench: what fraction of the machine the matrix kernels reach. Decode (one row): bytes of
// weights per second against a plain read of the same memory, all formats and the read interleaved
// round robin over a region larger than any cache. Prefill: operations per second against a loop of
// the dot-product instruction that touches no memory. Rates are medians and 90th percentiles of
// single calls: on a shared machine the slow half of the samples measures the scheduler.
#include "tests/conformance/KernelHarness.h"

#include "llvm/Support/CommandLine.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/raw_ostream.h"

#include <atomic>
#include <chrono>
#include <sched.h>
#include <sys/mman.h>
#include <thread>

namespace {

using namespace gcompile;
using namespace gcompile::test;
namespace cl = llvm::cl;

cl::OptionCategory category("kernel_bench");
cl::opt<std::string> variantName("variant", cl::desc("code variant (default: the host's best)"),
                                 cl::cat(category));
cl::opt<int> threadCount("workers", cl::init(1), cl::desc("threads"), cl::cat(category));
cl::opt<int> repeats("repeat", cl::init(15), cl::desc("samples of each kernel"), cl::cat(category));
cl::opt<int> inputs("k", cl::init(1536), cl::desc("columns"), cl::cat(category));
cl::opt<int> outputs("n", cl::init(6144), cl::desc("output rows"), cl::cat(category));
cl::opt<int> rowCount("rows", cl::init(1), cl::desc("active rows"), cl::cat(category));
cl::opt<int> regionMegabytes("region", cl::init(1024), cl::desc("MB of distinct weights"),
                             cl::cat(category));
cl::list<std::string> onlyFormats("only", cl::desc("formats (default: all)"), cl::cat(category));
cl::opt<bool> inCache("in-cache", cl::desc("reuse one small matrix: arithmetic alone"),
                      cl::cat(category));
cl::opt<bool> printAssembly("assembly", cl::desc("print the code and stop"), cl::cat(category));

// Threads that spin between tasks, so that starting them costs less than a microsecond.
class Team {
public:
  explicit Team(int size) : size(size) {
    for (int i = 1; i < size; ++i)
      threads.emplace_back([this, i] { work(i); });
    pin(0);
  }
  ~Team() {
    stop = true;
    ++epoch;
    for (std::thread &thread : threads)
      thread.join();
  }
  // Seconds that task(member, size) took on all members together.
  double run(const std::function<void(int, int)> &job) {
    task = &job;
    left = size - 1;
    auto start = std::chrono::steady_clock::now();
    ++epoch;
    job(0, size);
    while (left.load() != 0)
      ;
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }

private:
  static void pin(int cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu % std::thread::hardware_concurrency(), &set);
    sched_setaffinity(0, sizeof set, &set);
  }
  void work(int member) {
    pin(member);
    for (int seen = 0;;) {
      while (epoch.load() == seen)
        ;
      ++seen;
      if (stop)
        return;
      (*task)(member, size);
      --left;
    }
  }
  const int size;
  std::vector<std::thread> threads;
  std::atomic<int> epoch{0}, left{0};
  std::atomic<bool> stop{false};
  const std::function<void(int, int)> *task = nullptr;
};

std::string number(int64_t value) { return std::to_string(value); }

// Hints of a plain read: none, every line to the first cache, every other line to the second.
enum class Hints { None, Near, Far };

std::string readSource(int64_t bytes, Hints hints) {
  std::string body;
  std::string carried, initial, types, next;
  constexpr int streams = 8;
  body = "func.func private @kernel(%x: memref<" + number(bytes) +
         "xi8>, %y: memref<64xi8>, %begin: index, %end: index) attributes {kernel.function} {\n"
         "%zero = arith.constant dense<0> : vector<64xi8>\n%step = arith.constant 512 : index\n"
         "%o = arith.constant 0 : index\n%far = arith.constant " +
         number(hints == Hints::Near ? 4096 : 8192) + " : index\n";
  for (int i = 0; i < streams; ++i) {
    std::string n = number(i);
    body += "%c" + n + " = arith.constant " + number(64 * i) + " : index\n";
    initial += (i ? ", " : "") + std::string("%a") + n + " = %zero";
    types += (i ? ", " : "") + std::string("vector<64xi8>");
    next += (i ? ", " : "") + std::string("%n") + n;
  }
  body += "%r:8 = scf.for %i = %begin to %end step %step iter_args(" + initial + ") -> (" + types +
          ") {\n";
  for (int i = 0; i < streams; ++i) {
    std::string n = number(i);
    body += "%p" + n + " = arith.addi %i, %c" + n + " : index\n";
    if (hints == Hints::Near || (hints == Hints::Far && i % 2 == 0))
      body += "%q" + n + " = arith.addi %p" + n + ", %far : index\nmemref.prefetch %x[%q" + n +
              "], read, locality<" + (hints == Hints::Near ? "3" : "2") + ">, data : memref<" +
              number(bytes) + "xi8>\n";
    body += "%v" + n + " = vector.load %x[%p" + n + "] : memref<" + number(bytes) +
            "xi8>, vector<64xi8>\n%n" + n + " = arith.xori %a" + n + ", %v" + n +
            " : vector<64xi8>\n";
  }
  body += "scf.yield " + next + " : " + types + "\n}\n";
  std::string sum = "%r#0";
  for (int i = 1; i < streams; ++i) {
    body += "%s" + number(i) + " = arith.xori " + sum + ", %r#" + number(i) + " : vector<64xi8>\n";
    sum = "%s" + number(i);
  }
  return body + "vector.store " + sum + ", %y[%o] : memref<64xi8>, vector<64xi8>\nreturn\n}\n";
}

// 24 independent dot products an iteration.
std::string peakSource() {
  constexpr int count = 24;
  std::string initial, types, body, next;
  for (int i = 0; i < count; ++i) {
    std::string n = number(i);
    initial += (i ? ", " : "") + std::string("%a") + n + " = %zero";
    types += (i ? ", " : "") + std::string("vector<16xi32>");
    next += (i ? ", " : "") + std::string("%n") + n;
    body += "%n" + n + " = llvm.call_intrinsic \"llvm.x86.avx512.vpdpbusd.512\"(%a" + n +
            ", %x, %x) : (vector<16xi32>, vector<64xi8>, vector<64xi8>) -> vector<16xi32>\n";
  }
  std::string source =
      "func.func private @kernel(%y: memref<64xi8>, %begin: index, %end: index) attributes "
      "{kernel.function} {\n%zero = arith.constant dense<0> : vector<16xi32>\n%one = "
      "arith.constant 1 : index\n%o = arith.constant 0 : index\n%x = vector.load %y[%o] : "
      "memref<64xi8>, vector<64xi8>\n%r:24 = scf.for %i = %begin to %end step %one iter_args(" +
      initial + ") -> (" + types + ") {\n" + body + "scf.yield " + next + " : " + types + "\n}\n";
  std::string sum = "%r#0";
  for (int i = 1; i < count; ++i) {
    source +=
        "%s" + number(i) + " = arith.addi " + sum + ", %r#" + number(i) + " : vector<16xi32>\n";
    sum = "%s" + number(i);
  }
  return source + "%b = vector.bitcast " + sum +
         " : vector<16xi32> to vector<64xi8>\nvector.store %b, %y[%o] : memref<64xi8>, "
         "vector<64xi8>\nreturn\n}\n";
}

std::string matmulSource(WeightFormat format, int64_t m, int64_t n, int64_t k) {
  std::string f(name(format)), w = "memref<" + number(packedBytes(format, n, k)) + "xi8>",
                               y = "memref<" + number(m) + "x" + number(n) + "xf32>";
  if (!info(format).isInteger) {
    std::string x = "memref<" + number(m) + "x" + number(k) + "xf32>";
    return kernelModule("%x: " + x + ", %w: " + w + ", %y: " + y + ", %rows: index",
                        "kernel.matmul_float %x, %w outs(%y) rows %rows {format = \"" + f +
                            "\"} : " + x + ", " + w + ", " + y);
  }
  int64_t padded = paddedColumns(format, k);
  int64_t groups = info(format).group ? padded / info(format).group : 1;
  std::string c = "memref<" + number(m) + "x" + number(padded) + "xi8>",
              s = "memref<" + number(m) + "x" + number(groups) + "xf32>",
              u = "memref<" + number(m) + "x" + number(groups) + "xi32>";
  return kernelModule(
      "%c: " + c + ", %s: " + s + ", %u: " + u + ", %w: " + w + ", %y: " + y + ", %rows: index",
      "kernel.matmul_integer %c, %s, %u, %w outs(%y) rows %rows {format = \"" + f +
          "\", columns = " + number(k) + "} : " + c + ", " + s + ", " + u + ", " + w + ", " + y);
}

struct Job {
  std::string name;
  int64_t bytes; // of weights that one sample reads
  double operations;
  std::unique_ptr<CompiledKernel> kernel;
  std::function<void(uint8_t *weights, int member, int size)> call;
  std::vector<double> seconds;
};

double quantile(std::vector<double> values, double q) {
  std::sort(values.begin(), values.end());
  return values[std::min(values.size() - 1, (size_t)(q * values.size()))];
}

std::unique_ptr<CompiledKernel> compileOrExit(const std::string &source) {
  llvm::ExitOnError exitOnError("kernel_bench: ");
  return exitOnError(CompiledKernel::compile(source, "kernel", variantName));
}

template <class... Arguments>
void callKernel(const CompiledKernel &kernel, Arguments... arguments) {
  reinterpret_cast<void (*)(Arguments...)>(kernel.address())(arguments...);
}

uint8_t *allocate(size_t bytes) {
  void *memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    llvm::errs() << "kernel_bench: cannot allocate " << bytes << " bytes\n";
    exit(1);
  }
  madvise(memory, bytes, MADV_HUGEPAGE);
  return static_cast<uint8_t *>(memory);
}

} // namespace

int main(int argc, char **argv) {
  cl::HideUnrelatedOptions(category);
  cl::ParseCommandLineOptions(argc, argv, "rates of matrix kernels against the machine's own\n");
  if (variantName.empty())
    for (const std::string &name : cpuVariants())
      if (placeOf(name) == Place::Native)
        variantName = name; // the last one is the best
  int64_t m = rowCount, n = outputs, k = inputs, panels = (n + 63) / 64;

  // Bytes that are ordinary numbers in every format, so that no sample meets denormals.
  size_t region = size_t(regionMegabytes) << 20;
  uint8_t *weights = allocate(region + (64 << 20));
  uint32_t state = 1;
  for (size_t i = 0; i < region + (64 << 20); ++i) {
    state = state * 1664525 + 1013904223;
    weights[i] = 0x30 | (state >> 28);
  }
  uint8_t *codes = allocate(m * (k + 64) * 4 + 4096), *scales = allocate(m * (k + 64) + 4096),
          *sums = allocate(m * (k + 64) + 4096), *out = allocate(m * n * 4 + 4096);
  std::fill_n(codes, m * (k + 64) * 4, 0x3f);
  std::fill_n(scales, m * (k + 64), 0x3f);

  std::vector<Job> jobs;
  for (const WeightFormatInfo &format : weightFormats()) {
    if (!onlyFormats.empty() && !llvm::is_contained(onlyFormats, std::string(format.name)))
      continue;
    std::string source = matmulSource(format.format, m, n, k);
    if (printAssembly) {
      llvm::ExitOnError exitOnError("kernel_bench: ");
      llvm::outs() << exitOnError(compileToAssembly(source, "kernel", variantName));
      continue;
    }
    Job job;
    job.name = format.name;
    job.bytes = packedBytes(format.format, n, k);
    job.operations = 2.0 * m * n * k;
    job.kernel = compileOrExit(source);
    const CompiledKernel *kernel = job.kernel.get();
    bool isInteger = format.isInteger;
    job.call = [=](uint8_t *w, int member, int size) {
      int64_t begin = panels * member / size, end = panels * (member + 1) / size;
      if (isInteger)
        callKernel(*kernel, codes, scales, sums, w, out, m, begin, end);
      else
        callKernel(*kernel, codes, w, out, m, begin, end);
    };
    jobs.push_back(std::move(job));
  }
  if (printAssembly)
    return 0;

  bool isDecode = m == 1;
  if (isDecode) {
    constexpr int64_t readBytes = 8 << 20;
    for (auto [label, hints] : {std::pair("read", Hints::None), std::pair("read t0", Hints::Near),
                                std::pair("read t1", Hints::Far)}) {
      Job read;
      read.name = label;
      read.bytes = readBytes;
      read.operations = 0;
      read.kernel = compileOrExit(readSource(readBytes, hints));
      const CompiledKernel *kernel = read.kernel.get();
      read.call = [=](uint8_t *w, int member, int size) {
        int64_t begin = readBytes / 512 * member / size * 512,
                end = readBytes / 512 * (member + 1) / size * 512;
        callKernel(*kernel, w, out + 64 * member, begin, end);
      };
      jobs.push_back(std::move(read));
    }
  } else if (llvm::StringRef(variantName).contains("vnni")) {
    constexpr int64_t steps = 200000;
    Job peak;
    peak.name = "peak";
    peak.bytes = 0;
    peak.operations = 2.0 * 64 * 24 * steps;
    peak.kernel = compileOrExit(peakSource());
    const CompiledKernel *kernel = peak.kernel.get();
    peak.call = [=](uint8_t *, int member, int size) {
      callKernel(*kernel, out + 64 * member, steps * member / size, steps * (member + 1) / size);
    };
    jobs.push_back(std::move(peak));
  }

  Team team(threadCount);
  size_t position = 0;
  for (int sample = 0; sample < repeats; ++sample)
    for (Job &job : jobs) {
      size_t bytes = (job.bytes + 4095) / 4096 * 4096;
      if (inCache || position + bytes > region)
        position = 0;
      uint8_t *at = weights + position;
      if (inCache)
        team.run([&](int member, int size) { job.call(at, member, size); });
      job.seconds.push_back(team.run([&](int member, int size) { job.call(at, member, size); }));
      if (!inCache)
        position += bytes;
    }

  // The best of the reads, or the peak.
  double baseRate = 0;
  for (const Job &job : jobs)
    if (isDecode ? job.operations == 0 : job.bytes == 0)
      baseRate =
          std::max(baseRate, (isDecode ? job.bytes : job.operations) / quantile(job.seconds, 0.1));
  llvm::outs() << "variant " << variantName << ", " << threadCount << " threads, " << k << " -> "
               << n << ", " << m << " rows\n"
               << llvm::format("%-7s %12s %12s %8s\n", "format",
                               isDecode ? "GB/s p90" : "TOP/s p90",
                               isDecode ? "GB/s med" : "TOP/s med", "of base");
  for (const Job &job : jobs) {
    double amount = isDecode ? job.bytes / 1e9 : job.operations / 1e12;
    double fast = amount / quantile(job.seconds, 0.1), middle = amount / quantile(job.seconds, 0.5);
    llvm::outs() << llvm::format("%-7s %12.3f %12.3f %8.2f\n", job.name.c_str(), fast, middle,
                                 fast * (isDecode ? 1e9 : 1e12) / baseRate);
  }
  return 0;
}
