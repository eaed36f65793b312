#include "compiler/Profile/MeasuredRates.h"

#include "compiler/Profile/device_profile.pb.h"

#include "llvm/ADT/StringSwitch.h"

#include <algorithm>
#include <cmath>
#include <google/protobuf/text_format.h>

namespace gcompile {
namespace {

bool readMessage(llvm::StringRef text, profile::DeviceProfile &message) {
  google::protobuf::TextFormat::Parser parser;
  parser.SetRecursionLimit(20);
  return parser.ParseFromString(text.str(), &message) && message.has_calibration();
}

bool bySize(const BandwidthPoint &a, const BandwidthPoint &b) { return a.bytes < b.bytes; }

// Rows of storage-resident tables are read page by page.
constexpr double rowPages = 2;

} // namespace

llvm::Error checkCalibration(llvm::StringRef text) {
  profile::DeviceProfile message;
  if (!readMessage(text, message))
    return llvm::Error::success();
  const profile::Calibration &calibration = message.calibration();
  auto check = [](const profile::Measured &figure, const llvm::Twine &what) -> llvm::Error {
    double median = figure.median();
    if (!std::isfinite(median) || median <= 0 || median > 1e18 || !(figure.spread() >= 0) ||
        figure.samples() < 1)
      return llvm::createStringError("the calibration's " + what + " is " + std::to_string(median) +
                                     ", expected a positive number with samples");
    return llvm::Error::success();
  };
  for (const auto &weights : calibration.weights()) {
    if (!parseWeightFormat(weights.format()))
      return llvm::createStringError("the calibration names weight format '" + weights.format() +
                                     "', which does not exist");
    for (auto *figure :
         {&weights.stream_bytes(), &weights.cached_bytes(), &weights.matmul_operations()})
      if (llvm::Error error = check(*figure, "rate of " + weights.format()))
        return error;
    for (const auto &set : weights.sets()) {
      if (llvm::Error error = check(set.bytes(), "rate of " + weights.format() + " from caches"))
        return error;
      if (!(set.working_set_bytes() > 0) || set.working_set_bytes() > 1e18)
        return llvm::createStringError("the calibration's working set of " + weights.format() +
                                       " is " + std::to_string(set.working_set_bytes()) +
                                       ", expected a positive number of bytes");
    }
  }
  for (const auto &cache : calibration.caches()) {
    if (!parseKvFormat(cache.format()))
      return llvm::createStringError("the calibration names KV format '" + cache.format() +
                                     "', which does not exist");
    for (auto *figure : {&cache.stream_bytes(), &cache.attention_operations()})
      if (llvm::Error error = check(*figure, "rate of " + cache.format()))
        return error;
  }
  for (const auto &read : calibration.reads())
    if (llvm::Error error = check(read.bytes(), "read bandwidth"))
      return error;
  for (auto [given, figure, name] :
       {std::tuple(calibration.has_launch_seconds(), &calibration.launch_seconds(), "launch time"),
        std::tuple(calibration.has_vector_element_seconds(), &calibration.vector_element_seconds(),
                   "time of an element"),
        std::tuple(calibration.has_cold_row_seconds(), &calibration.cold_row_seconds(),
                   "time of a cold row"),
        std::tuple(calibration.has_warm_row_seconds(), &calibration.warm_row_seconds(),
                   "time of a warm row"),
        std::tuple(calibration.has_storage_bytes(), &calibration.storage_bytes(),
                   "storage bandwidth")})
    if (given)
      if (llvm::Error error = check(*figure, name))
        return error;
  if (calibration.threads() < 1 || calibration.cores() < 1 || calibration.processor().empty())
    return llvm::createStringError("the calibration names no processor, cores or threads");
  return llvm::Error::success();
}

void applyCalibration(llvm::StringRef text, MachineModel &machine) {
  profile::DeviceProfile message;
  if (!readMessage(text, message))
    return;
  const profile::Calibration &calibration = message.calibration();
  std::vector<double> spreads;
  for (const auto &weights : calibration.weights()) {
    WeightRates &rates = machine.weightRates[size_t(*parseWeightFormat(weights.format()))];
    rates.streamBytesPerSecond = weights.stream_bytes().median();
    rates.cachedBytesPerSecond = weights.cached_bytes().median();
    rates.matmulOperationsPerSecond = weights.matmul_operations().median();
    for (const auto &set : weights.sets())
      rates.sets.push_back({set.working_set_bytes(), set.bytes().median()});
    std::sort(rates.sets.begin(), rates.sets.end(), bySize);
    spreads.push_back(weights.stream_bytes().spread());
  }
  for (const auto &cache : calibration.caches()) {
    KvRates &rates = machine.kvRates[size_t(*parseKvFormat(cache.format()))];
    rates.streamBytesPerSecond = cache.stream_bytes().median();
    rates.attentionOperationsPerSecond = cache.attention_operations().median();
  }
  machine.readCurve.clear();
  for (const auto &read : calibration.reads())
    if (read.threads() == calibration.threads())
      machine.readCurve.push_back({read.working_set_bytes(), read.bytes().median()});
  std::sort(machine.readCurve.begin(), machine.readCurve.end(), bySize);
  if (!machine.readCurve.empty())
    machine.readBytesPerSecond = machine.readCurve.back().bytesPerSecond;
  machine.threads = calibration.threads();
  if (calibration.has_launch_seconds())
    machine.barrierSeconds = calibration.launch_seconds().median();
  if (calibration.has_vector_element_seconds())
    machine.vectorSeconds = calibration.vector_element_seconds().median();
  if (calibration.has_cold_row_seconds())
    machine.storageRowSeconds = calibration.cold_row_seconds().median() / rowPages;
  if (calibration.has_warm_row_seconds())
    machine.warmPageSeconds = calibration.warm_row_seconds().median() / rowPages;
  if (calibration.has_storage_bytes())
    machine.storageBytesPerSecond = calibration.storage_bytes().median();
  if (!spreads.empty()) {
    std::sort(spreads.begin(), spreads.end());
    // What varied while measuring varies again; 10 % is the aim of a calibrated prediction.
    double typical = 1 + std::max(0.1, spreads[spreads.size() / 2]);
    machine.uncertainty = {typical, std::max(1.15, typical), 1.5, 2};
    if (calibration.doubts_size() > 0)
      machine.uncertainty.bandwidth = std::max(1.5, typical);
  }
}

double factorOf(llvm::StringRef confidence) {
  return llvm::StringSwitch<double>(confidence)
      .Case("measured", 1.15)
      .Case("verified", 1.2)
      .Case("single_source", 1.2)
      .Case("derived", 1.25)
      .Case("recalled", 1.3)
      .Default(1.6); // heuristic
}

Uncertainty uncertaintyOf(const DeviceProfile &profile) {
  auto factor = [&](llvm::StringRef name, double otherwise) {
    const Fact *fact = profile.find(name);
    if (!fact)
      return otherwise;
    // A range that sources give is believed where it is wider.
    double range = fact->low > 0 ? std::max(fact->high / fact->value, fact->value / fact->low) : 1;
    return std::max(factorOf(fact->confidence), range);
  };
  Uncertainty uncertainty;
  uncertainty.bandwidth = factor("read_bytes_per_second", 2);
  // Shares of the arithmetic peak that kernels reach are a guess on a machine they did not run on.
  uncertainty.arithmetic = 1.3 * factor("integer_operations_per_second", 1.5);
  uncertainty.launches = 2;
  uncertainty.storage = 2;
  return uncertainty;
}

} // namespace gcompile
