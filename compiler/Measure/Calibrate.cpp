#include "compiler/Measure/Calibrate.h"

#include "compiler/Measure/KernelProbes.h"
#include "compiler/Measure/StorageProbe.h"

#include "llvm/Support/Format.h"
#include "llvm/Support/FormatVariadic.h"

#include <algorithm>
#include <chrono>
#include <sched.h>
#include <sys/resource.h>

namespace gcompile {

MeasuredFigure figureOf(std::vector<double> samples) {
  MeasuredFigure figure;
  if (samples.empty())
    return figure;
  std::sort(samples.begin(), samples.end());
  size_t n = samples.size();
  auto quantile = [&](double q) { return samples[std::min(n - 1, size_t(q * double(n)))]; };
  figure.median = quantile(0.5);
  figure.spread = figure.median > 0 ? (quantile(0.75) - quantile(0.25)) / figure.median : 0;
  figure.samples = int(n);
  return figure;
}

int64_t calibrationRegion(double budgetBytes) {
  int64_t quarter = int64_t(budgetBytes / 4) / (1 << 20) * (1 << 20);
  return std::clamp<int64_t>(quarter, 64 << 20, int64_t(1) << 30);
}

namespace {

using Clock = std::chrono::steady_clock;
double since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Seconds that this process has computed, all threads.
double processorSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  auto seconds = [](timeval t) { return double(t.tv_sec) + double(t.tv_usec) * 1e-6; };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// How often a thread of this process lost its processor to another process.
long preemptions() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_nivcsw;
}

class Calibrator {
public:
  Calibrator(const CalibrationOptions &options, std::string variant)
      : options(options), threads(chooseThreads(options.threads)), team(threads) {
    result.variant = std::move(variant);
    result.threads = threads;
  }

  llvm::Expected<CalibrationResult> run() {
    if (llvm::Error error = prepare())
      return std::move(error);
    if (llvm::Error error = sample())
      return std::move(error);
    if (llvm::Error error = storage())
      return std::move(error);
    collect();
    return std::move(result);
  }

private:
  static int chooseThreads(int wanted) {
    if (wanted > 0)
      return wanted;
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) > 0)
      return CPU_COUNT(&set);
    return 1;
  }

  void show(llvm::StringRef step, double done, double total) {
    if (options.progress)
      options.progress(step, uint64_t(done * 1000), uint64_t(total * 1000));
  }
  llvm::Error checkCancelled() {
    if (options.cancel && options.cancel->load())
      return llvm::createStringError("interrupted");
    return llvm::Error::success();
  }

  llvm::Error fillRegions() {
    auto step = [&](int64_t done) -> llvm::Error {
      show("fill memory", double(done), double(options.memoryBytes));
      return checkCancelled();
    };
    auto made = ProbeRegion::mapped(options.memoryBytes, options.folder, step);
    if (!made) {
      if (llvm::Error error = checkCancelled()) {
        llvm::consumeError(made.takeError());
        return error;
      }
      result.doubts.push_back("weights were not read from a file as models are: the file " +
                              llvm::toString(made.takeError()));
      made = ProbeRegion::anonymous(options.memoryBytes, step);
    }
    if (!made)
      return made.takeError();
    region = std::move(*made);
    // So many that between two visits the rest of the round has gone through all caches.
    made = ProbeRegion::anonymous(std::max<int64_t>(options.memoryBytes / 4, 64 << 20), step);
    if (!made)
      return made.takeError();
    caches = std::move(*made);
    return llvm::Error::success();
  }

  // Where the figure of a probe goes; `times`: the figure is 1 ÷ rate.
  llvm::Error add(llvm::Expected<Probe> probe, std::vector<size_t> &into) {
    if (!probe)
      return probe.takeError();
    into.push_back(probes.size());
    probes.push_back(std::move(*probe));
    return llvm::Error::success();
  }

  llvm::Error add(llvm::Expected<std::vector<Probe>> some, std::vector<size_t> &into) {
    if (!some)
      return some.takeError();
    for (Probe &probe : *some) {
      into.push_back(probes.size());
      probes.push_back(std::move(probe));
    }
    return llvm::Error::success();
  }

  llvm::Error prepare() {
    if (llvm::Error error = fillRegions())
      return error;
    kernels = std::make_unique<KernelProbes>(team, *region, *caches, result.variant);
    plainRead = kernels->read(threads);
    double total = double(weightFormats().size()) + 4, done = 0;
    for (const WeightFormatInfo &format : weightFormats()) {
      if (llvm::Error error = checkCancelled())
        return error;
      show("compile kernels", done++, total);
      for (auto step : {0, 1, 2})
        if (llvm::Error error = add(step == 0   ? kernels->matvec(format.format, false)
                                    : step == 1 ? kernels->matvec(format.format, true)
                                                : kernels->matmul(format.format),
                                    weightProbes))
          return error;
    }
    for (KvFormat format : kvFormats) {
      if (llvm::Error error = checkCancelled())
        return error;
      show("compile kernels", done++, total);
      for (int64_t headDim : {256, 512}) {
        if (llvm::Error error = add(kernels->attentionStream(format, headDim), kvProbes))
          return error;
        if (llvm::Error error = add(kernels->attentionChunk(format, headDim), kvProbes))
          return error;
      }
    }
    if (llvm::Error error = add(kernels->vectorOperations(), otherProbes))
      return error;
    if (llvm::Error error = add(kernels->launch(), otherProbes))
      return error;
    auto addRead = [&](int threadCount) {
      result.reads.push_back({threadCount, region->size(), {}});
      readProbes.push_back(probes.size());
      probes.push_back(kernels->read(threadCount));
    };
    for (int t = 1; t < threads; t *= 2)
      addRead(t);
    addRead(threads);
    return addSets();
  }

  // Small sets through kernels, in pieces as small models have them: what caches give depends on
  // how the threads share the work, and on the kernel. Large ones through one kernel.
  llvm::Error addSets() {
    for (const WeightFormatInfo &format : weightFormats()) {
      if (llvm::Error error = checkCancelled())
        return error;
      if (llvm::Error error = add(kernels->matvecSets(format.format, smallSets), setProbes))
        return error;
    }
    std::vector<int64_t> sizes;
    for (int64_t bytes : {int64_t(32) << 20, int64_t(128) << 20, int64_t(512) << 20})
      if (bytes < region->size()) {
        sizes.push_back(bytes);
        result.reads.push_back({threads, bytes, {}});
      }
    return add(kernels->matvecSets(WeightFormat::W8, sizes, probeInputs), largeSetProbes);
  }

  llvm::Error sample() {
    for (Probe &probe : probes)
      probe.seconds(); // the first call is not counted
    Clock::time_point start = Clock::now();
    double processorStart = processorSeconds();
    // At least five rounds, so that a median means something however slow the machine is.
    for (int round = 0; round < 5 || since(start) < options.seconds; ++round)
      for (Probe &probe : probes) {
        if (llvm::Error error = checkCancelled())
          return error;
        show("measure", std::min(since(start), options.seconds), options.seconds);
        takeSample(probe);
      }
    // Our threads spin, so whatever they did not compute, others did.
    double wanted = since(start) * threads;
    result.load = std::max(0.0, 1 - (processorSeconds() - processorStart) / wanted);
    return llvm::Error::success();
  }

  // A sample during which the system took a processor away from us measures the scheduler: it is
  // taken again, a few times. Starts when all threads are running.
  void takeSample(Probe &probe) {
    for (int attempt = 0; attempt < 4; ++attempt) {
      team.run(threads, threads, [](int64_t, int64_t) {});
      long before = preemptions();
      double rate = rateOf(probe);
      if (preemptions() == before) {
        probe.rates.push_back(rate);
        return;
      }
      probe.disturbed.push_back(rate);
    }
  }

  double rateOf(Probe &probe) {
    if (!probe.isShareOfRead && probe.readBytes == 0)
      return probe.amount / probe.seconds();
    double before = plainRead.seconds(), seconds = probe.seconds(), after = plainRead.seconds();
    double secondsPerByte = (before + after) / 2 / plainRead.amount;
    if (probe.isShareOfRead)
      return probe.amount / seconds * secondsPerByte;
    return probe.amount / std::max(seconds / 2, seconds - probe.readBytes * secondsPerByte);
  }

  llvm::Error storage() {
    if (options.storageBytes <= 0)
      return llvm::Error::success();
    show("read from storage", 0, 1);
    llvm::Expected<StorageFigures> figures =
        measureStorage(options.storageBytes, std::min(4.0, options.seconds / 4), options.cancel);
    if (!figures)
      return figures.takeError();
    result.coldRow = figures->coldRow;
    result.warmRow = figures->warmRow;
    result.storage = figures->sequential;
    if (!figures->pagesWereDropped)
      result.doubts.push_back(
          "this file system keeps its pages in memory: cold reads are not known");
    return llvm::Error::success();
  }

  // Disturbed samples count where hardly any other could be had.
  const std::vector<double> &samplesOf(size_t probe) const {
    return probes[probe].rates.size() >= 3 ? probes[probe].rates : probes[probe].disturbed;
  }
  MeasuredFigure figure(size_t probe) const { return figureOf(samplesOf(probe)); }
  // Seconds of one unit.
  MeasuredFigure inverse(size_t probe) const {
    std::vector<double> times;
    for (double rate : samplesOf(probe))
      times.push_back(1 / rate);
    return figureOf(std::move(times));
  }
  // Of head sizes 256 and 512, weighted alike.
  static MeasuredFigure mean(const MeasuredFigure &a, const MeasuredFigure &b) {
    return {2 / (1 / a.median + 1 / b.median), std::max(a.spread, b.spread),
            std::min(a.samples, b.samples)};
  }

  // Of a probe that reads memory, from its share of plain reads.
  MeasuredFigure streamFigure(size_t probe, double readBytesPerSecond) const {
    MeasuredFigure share = figure(probe);
    share.median *= readBytesPerSecond;
    return share;
  }

  void collect() {
    for (size_t i = 0; i < readProbes.size(); ++i)
      result.reads[i].rate = figure(readProbes[i]);
    double read = result.reads[readProbes.size() - 1].rate.median; // all threads come last
    result.vector = inverse(otherProbes[0]);
    result.launch = inverse(otherProbes[1]);
    for (size_t i = 0; i < weightFormats().size(); ++i) {
      WeightFormat format = weightFormats()[i].format;
      result.weights.push_back({format, streamFigure(weightProbes[3 * i], read),
                                figure(weightProbes[3 * i + 1]), figure(weightProbes[3 * i + 2]),
                                setsOf(format, i)});
    }
    // As if large sets were read plainly.
    double share = figure(weightProbes[3 * size_t(WeightFormat::W8)]).median;
    for (size_t i = 0; i < largeSetProbes.size(); ++i) {
      ReadFigure &set = result.reads[readProbes.size() + i];
      set.rate = figure(largeSetProbes[i]);
      if (share > 0)
        set.rate.median /= share;
    }
    for (size_t i = 0; i < std::size(kvFormats); ++i)
      result.caches.push_back(
          {kvFormats[i],
           mean(streamFigure(kvProbes[4 * i], read), streamFigure(kvProbes[4 * i + 2], read)),
           mean(figure(kvProbes[4 * i + 1]), figure(kvProbes[4 * i + 3]))});
    // Half of the formats decide: single figures may be disturbed.
    std::vector<double> spreads;
    for (const FormatFigures &format : result.weights)
      spreads.push_back(format.stream.spread);
    std::sort(spreads.begin(), spreads.end());
    if (double spread = spreads[spreads.size() / 2]; spread > 0.25)
      result.doubts.push_back(
          llvm::formatv("the samples differ by {0:f0} % between their quartiles", 100 * spread));
    if (result.load > 0.1)
      result.doubts.push_back(
          llvm::formatv("other programs took {0:f0} % of the processors", 100 * result.load));
  }

  // The cost model counts launches apart.
  std::vector<ReadFigure> setsOf(WeightFormat format, size_t index) const {
    std::vector<ReadFigure> sets;
    double piece = double(KernelProbes::setPieceBytes(format));
    for (size_t i = 0; i < std::size(smallSets); ++i) {
      ReadFigure set = {threads, smallSets[i], figure(setProbes[index * std::size(smallSets) + i])};
      if (double seconds = piece / set.rate.median; set.rate.known())
        set.rate.median = piece / std::max(seconds / 10, seconds - result.launch.median);
      sets.push_back(set);
    }
    return sets;
  }

  static constexpr int64_t smallSets[] = {2 << 20, 8 << 20, 32 << 20};
  static constexpr KvFormat kvFormats[] = {KvFormat::F32, KvFormat::F16, KvFormat::Kv8,
                                           KvFormat::Kv4};
  const CalibrationOptions &options;
  const int threads;
  ProbeTeam team;
  std::unique_ptr<ProbeRegion> region, caches;
  std::unique_ptr<KernelProbes> kernels;
  std::vector<Probe> probes;
  Probe plainRead;
  std::vector<size_t> weightProbes, kvProbes, otherProbes, readProbes, setProbes, largeSetProbes;
  CalibrationResult result;
};

} // namespace

llvm::Expected<CalibrationResult> calibrate(const CalibrationOptions &options) {
  std::string variant = bestHostVariant();
  if (variant.empty())
    return llvm::createStringError("no code of this gcompile runs on this processor; x86-64 needs "
                                   "AVX2 and FMA, AArch64 needs NEON");
  return Calibrator(options, variant).run();
}

} // namespace gcompile
