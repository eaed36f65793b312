#include "compiler/Profile/HostRead.h"

#include "compiler/Support/KeptFile.h"

#include "llvm/ADT/SmallString.h"
#include "llvm/Support/Path.h"

#include <atomic>
#include <chrono>
#include <cmath>
#include <ctime>
#include <thread>
#include <vector>

namespace gcompile {

// Best rate of a few passes over a buffer that is larger than the cache a virtual machine really
// owns.
double readBandwidth(int64_t threads, int64_t bytesPerThread) {
  using Clock = std::chrono::steady_clock;
  std::vector<std::vector<uint64_t>> buffers(threads);
  std::atomic<int64_t> ready{0};
  std::atomic<bool> stop{false};
  std::atomic<int64_t> bytesRead{0};
  std::atomic<uint64_t> sink{0};
  std::vector<std::thread> workers;
  for (int64_t t = 0; t < threads; ++t)
    workers.emplace_back([&, t] {
      buffers[t].assign(size_t(bytesPerThread) / 8, 1);
      ++ready;
      while (ready.load() < threads)
        std::this_thread::yield();
      while (!stop.load(std::memory_order_relaxed)) {
        uint64_t sum[8] = {};
        constexpr size_t slice = 1 << 17;
        for (size_t from = 0; from < buffers[t].size() && !stop.load(std::memory_order_relaxed);
             from += slice) {
          const uint64_t *data = buffers[t].data() + from;
          size_t count = std::min(slice, buffers[t].size() - from) / 8 * 8;
          for (size_t i = 0; i < count; i += 8)
            for (size_t j = 0; j < 8; ++j)
              sum[j] += data[i + j];
          bytesRead += int64_t(count) * 8;
        }
        sink += sum[0] + sum[1] + sum[2] + sum[3] + sum[4] + sum[5] + sum[6] + sum[7];
      }
    });
  while (ready.load() < threads)
    std::this_thread::yield();
  double best = 0;
  for (int pass = 0; pass < 6; ++pass) {
    int64_t before = bytesRead.load();
    Clock::time_point start = Clock::now();
    std::this_thread::sleep_for(std::chrono::milliseconds(25));
    double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    best = std::max(best, double(bytesRead.load() - before) / seconds);
  }
  stop = true;
  for (std::thread &worker : workers)
    worker.join();
  return best;
}

static std::string pathOf(const ReadIdentity &machine) {
  std::string folder = cacheFolder();
  if (folder.empty())
    return "";
  llvm::SmallString<256> path(folder);
  llvm::sys::path::append(
      path, "read-" +
                hashOf((llvm::Twine("gcompile read 1\n") + machine.processor + "\n" +
                        llvm::Twine(machine.memoryBytes) + " " + llvm::Twine(machine.threads) +
                        " " + llvm::Twine(machine.bytesPerThread))
                           .str()) +
                ".txt");
  return std::string(path);
}

std::optional<HostRead> parseHostRead(llvm::StringRef text, int64_t now) {
  std::optional<std::string> content = unsealed(text);
  if (!content)
    return std::nullopt;
  HostRead read;
  llvm::StringRef rest = *content;
  if (!rest.consume_front("bytes_per_second "))
    return std::nullopt;
  auto [rate, when] = rest.split('\n');
  if (rate.getAsDouble(read.bytesPerSecond) || !std::isfinite(read.bytesPerSecond) ||
      read.bytesPerSecond < 1e6 || read.bytesPerSecond > 1e15)
    return std::nullopt;
  if (!when.consume_front("measured_at ") || when.trim().getAsInteger(10, read.measuredAt) ||
      read.measuredAt > now || now - read.measuredAt > hostReadSeconds)
    return std::nullopt;
  return read;
}

std::string hostReadText(const HostRead &read) {
  return sealed("bytes_per_second " + std::to_string(read.bytesPerSecond) + "\nmeasured_at " +
                std::to_string(read.measuredAt) + "\n");
}

HostRead hostRead(const ReadIdentity &machine, int64_t now, bool remeasure) {
  std::string path = pathOf(machine);
  if (!path.empty() && !remeasure) {
    llvm::Expected<std::string> text = readKeptFile(path, 4096);
    if (text) {
      if (std::optional<HostRead> kept = parseHostRead(*text, now))
        return *kept;
    } else {
      llvm::consumeError(text.takeError());
    }
  }
  HostRead read{readBandwidth(machine.threads, machine.bytesPerThread), now};
  // Whether it can be kept changes nothing but the time of the next run.
  if (!path.empty())
    llvm::consumeError(writeKeptFile(path, hostReadText(read)));
  return read;
}

std::string dateAndTime(int64_t seconds) {
  char text[32];
  time_t when = time_t(seconds);
  tm utc{};
  gmtime_r(&when, &utc);
  strftime(text, sizeof text, "%Y-%m-%d %H:%M UTC", &utc);
  return text;
}

} // namespace gcompile
