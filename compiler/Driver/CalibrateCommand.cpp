// gcompile calibrate: measures this machine and writes what it found as a profile, which --target
// takes by its file's name. The last calibration of this machine is kept for --target host.
#include "compiler/Driver/Commands.h"
#include "compiler/Driver/ProgressLine.h"
#include "compiler/Measure/Calibrate.h"
#include "compiler/Profile/CalibrationCache.h"
#include "compiler/Profile/device_profile.pb.h"
#include "compiler/Support/KeptFile.h"

#include "llvm/ADT/SmallString.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"

#include <ctime>
#include <google/protobuf/text_format.h>

namespace gcompile {
namespace {

std::string today() {
  char text[16];
  time_t now = time(nullptr);
  tm utc{};
  gmtime_r(&now, &utc);
  strftime(text, sizeof text, "%Y-%m-%d", &utc);
  return text;
}

void set(profile::Measured *to, const MeasuredFigure &figure) {
  to->set_median(figure.median);
  to->set_spread(figure.spread);
  to->set_samples(figure.samples);
}

// The reads from memory with all threads.
const ReadFigure *memoryRead(const CalibrationResult &result) {
  const ReadFigure *best = nullptr;
  for (const ReadFigure &read : result.reads)
    if (read.threads == result.threads && (!best || read.workingSetBytes > best->workingSetBytes))
      best = &read;
  return best;
}

class ProfileWriter {
public:
  ProfileWriter(const CalibrationResult &result, const DeviceProfile &host)
      : result(result), host(host), date(today()) {}

  std::string write(llvm::StringRef name) {
    google::protobuf::TextFormat::ParseFromString(host.text, &message);
    message.set_name(name.str());
    dateFacts();
    addFacts();
    addCalibration();
    std::string text;
    google::protobuf::TextFormat::PrintToString(message, &text);
    return "# Written by gcompile calibrate. See profiles/device_profile.proto.\n"
           "# proto-file: profiles/device_profile.proto\n"
           "# proto-message: gcompile.profile.DeviceProfile\n\n" +
           text;
  }

private:
  // What was detected is of today.
  void dateFacts() {
    for (profile::Feature &feature : *message.mutable_features())
      if (feature.date().empty())
        feature.set_date(date);
    const auto *type = message.GetDescriptor();
    const auto *reflection = message.GetReflection();
    for (int i = 0; i < type->field_count(); ++i) {
      const auto *field = type->field(i);
      if (field->message_type() != profile::Figure::descriptor() || field->is_repeated() ||
          !reflection->HasField(message, field))
        continue;
      auto &figure = static_cast<profile::Figure &>(*reflection->MutableMessage(&message, field));
      if (figure.date().empty())
        figure.set_date(date);
    }
  }

  void fact(profile::Figure *figure, const MeasuredFigure &measured, const char *unit,
            const llvm::Twine &source) {
    figure->set_value(measured.median);
    figure->set_unit(unit);
    figure->set_date(date);
    figure->set_source(llvm::formatv("gcompile calibrate: {0}; median of {1}, quartiles {2:f0} % "
                                     "apart",
                                     source.str(), measured.samples, 100 * measured.spread));
    figure->set_confidence(result.doubts.empty() ? profile::MEASURED : profile::HEURISTIC);
  }

  void addFacts() {
    if (const ReadFigure *read = memoryRead(result))
      fact(message.mutable_read_bytes_per_second(), read->rate, "byte/s",
           "plain read of " + llvm::Twine(read->workingSetBytes >> 20) + " MiB, " +
               llvm::Twine(read->threads) + " threads");
    double integer = 0, floats = 0;
    MeasuredFigure best, bestFloat;
    for (const FormatFigures &format : result.weights) {
      MeasuredFigure &most = info(format.format).isInteger ? best : bestFloat;
      if (format.matmul.median > most.median)
        most = format.matmul;
    }
    integer = best.median;
    floats = bestFloat.median;
    if (integer > 0)
      fact(message.mutable_integer_operations_per_second(), best, "op/s",
           "products of a chunk by the generated kernels, the fastest format");
    if (floats > 0)
      fact(message.mutable_float_operations_per_second(), bestFloat, "op/s",
           "products of a chunk by the generated kernels, the fastest format");
    if (result.storage.known())
      fact(message.mutable_storage_read_bytes_per_second(), result.storage, "byte/s",
           "a file that was dropped from the page cache");
    if (result.coldRow.known()) {
      MeasuredFigure page = result.coldRow;
      page.median /= 2; // a row touches two pages
      fact(message.mutable_storage_random_read_seconds(), page, "s",
           "half the time of a row of 4608 bytes");
    }
  }

  void addCalibration() {
    profile::Calibration &calibration = *message.mutable_calibration();
    calibration.set_processor(hostProcessorName());
    calibration.set_cores(int(host.value("cores", 1)));
    calibration.set_threads(result.threads);
    calibration.set_variant(result.variant);
    calibration.set_date(date);
    for (const FormatFigures &format : result.weights) {
      profile::Calibration::Weights &weights = *calibration.add_weights();
      weights.set_format(std::string(name(format.format)));
      set(weights.mutable_stream_bytes(), format.stream);
      set(weights.mutable_cached_bytes(), format.cached);
      set(weights.mutable_matmul_operations(), format.matmul);
      for (const ReadFigure &figure : format.sets) {
        profile::Calibration::Set &small = *weights.add_sets();
        small.set_working_set_bytes(double(figure.workingSetBytes));
        set(small.mutable_bytes(), figure.rate);
      }
    }
    for (const KvFigures &format : result.caches) {
      profile::Calibration::Cache &cache = *calibration.add_caches();
      cache.set_format(std::string(name(format.format)));
      set(cache.mutable_stream_bytes(), format.stream);
      set(cache.mutable_attention_operations(), format.attention);
    }
    for (const ReadFigure &figure : result.reads) {
      profile::Calibration::Read &read = *calibration.add_reads();
      read.set_threads(figure.threads);
      read.set_working_set_bytes(double(figure.workingSetBytes));
      set(read.mutable_bytes(), figure.rate);
    }
    set(calibration.mutable_launch_seconds(), result.launch);
    set(calibration.mutable_vector_element_seconds(), result.vector);
    if (result.coldRow.known())
      set(calibration.mutable_cold_row_seconds(), result.coldRow);
    if (result.warmRow.known())
      set(calibration.mutable_warm_row_seconds(), result.warmRow);
    if (result.storage.known())
      set(calibration.mutable_storage_bytes(), result.storage);
    calibration.set_load(result.load);
    for (const std::string &doubt : result.doubts)
      calibration.add_doubts(doubt);
  }

  const CalibrationResult &result;
  const DeviceProfile &host;
  const std::string date;
  profile::DeviceProfile message;
};

// What was found, for people; standard output stays the profile.
void printSummary(const CalibrationResult &result, llvm::raw_ostream &out) {
  out << "code " << result.variant << ", " << result.threads
      << " threads; medians, quartiles in %\n";
  for (const ReadFigure &read : result.reads)
    out << llvm::format("read %5.0f MiB, %2d threads %8.1f GB/s  %3.0f\n",
                        double(read.workingSetBytes) / (1 << 20), read.threads,
                        read.rate.median / 1e9, 100 * read.rate.spread);
  out << "weights    from memory GB/s   from cache GB/s     chunk GOP/s   sets of";
  for (const ReadFigure &set : result.weights.front().sets)
    out << " " << (set.workingSetBytes >> 20);
  out << " MiB GB/s\n";
  for (const FormatFigures &f : result.weights) {
    out << llvm::format("  %-7s %12.1f %3.0f %14.1f %3.0f %11.0f %3.0f  ",
                        std::string(name(f.format)).c_str(), f.stream.median / 1e9,
                        100 * f.stream.spread, f.cached.median / 1e9, 100 * f.cached.spread,
                        f.matmul.median / 1e9, 100 * f.matmul.spread);
    for (const ReadFigure &set : f.sets)
      out << llvm::format(" %5.1f", set.rate.median / 1e9);
    out << "\n";
  }
  out << "attention  from memory GB/s   chunk GOP/s\n";
  for (const KvFigures &f : result.caches)
    out << llvm::format("  %-7s %12.1f %3.0f %10.0f %3.0f\n", std::string(name(f.format)).c_str(),
                        f.stream.median / 1e9, 100 * f.stream.spread, f.attention.median / 1e9,
                        100 * f.attention.spread);
  out << llvm::format("launch %.2f us, element %.3f ns", result.launch.median * 1e6,
                      result.vector.median * 1e9);
  if (result.warmRow.known())
    out << llvm::format(", row of a table: warm %.1f us", result.warmRow.median * 1e6);
  if (result.coldRow.known())
    out << llvm::format(", cold %.0f us", result.coldRow.median * 1e6);
  out << "\n";
}

} // namespace

ExitCode runCalibrate(const CommandContext &context) {
  const CompilerInvocation &invocation = context.invocation;
  if (llvm::Error error = checkOutputFolder(invocation.output))
    return failWith(ExitCode::BadInput, std::move(error));
  llvm::StringRef output = invocation.output;
  if (!output.empty() && output != "-" && !output.ends_with(".textproto"))
    return failWith(ExitCode::BadFlags,
                    "-o " + invocation.output + ": expected a name that ends in .textproto");
  DeviceProfile host = detectHost();
  ProgressLine line(invocation.quiet ? ProgressLine::Off : ProgressLine::WhenTerminal);
  CalibrationOptions options;
  options.seconds = double(invocation.calibrationSeconds);
  options.threads = int(host.value("threads", 1));
  double budget = host.value("process_budget_bytes", 1e9);
  options.memoryBytes = calibrationRegion(budget);
  if (options.seconds < 1) { // plumbing, for tests
    options.memoryBytes = 64 << 20;
    options.storageBytes = 8 << 20;
  } else if (std::string folder = cacheFolder();
             !folder.empty() && !llvm::sys::fs::create_directories(folder)) {
    options.folder = folder; // on a disk, as models are: $TMPDIR may be memory
  }
  auto progress = [&](llvm::StringRef step, uint64_t done, uint64_t total) {
    line.show(step, done, total);
  };
  options.progress = progress;
  llvm::Expected<CalibrationResult> result = calibrate(options);
  line.clear();
  if (!result)
    return failWith(ExitCode::BadInput, result.takeError());

  bool toFile = !output.empty() && output != "-";
  std::string name = toFile ? llvm::sys::path::stem(output).str() : "this-machine";
  std::string text = ProfileWriter(*result, host).write(name);
  if (!invocation.quiet)
    printSummary(*result, llvm::errs());
  for (const std::string &doubt : result->doubts)
    printNote(context, doubt + "; predictions that rest on this are marked as unsure. Repeat it "
                               "when the machine is quiet");
  if (llvm::Error error = writeOutput(output.empty() ? "-" : output, text))
    return failWith(ExitCode::BadInput, std::move(error));
  // A test of the plumbing is no calibration.
  if (invocation.calibrationSeconds > 0) {
    if (llvm::Error error = saveCalibration(text))
      printNote(context, "the calibration is not kept for --target host: " +
                             llvm::toString(std::move(error)));
    else
      printNote(context, "--target host predicts with this calibration from now on");
  }
  return ExitCode::Done;
}

} // namespace gcompile
