#include "compiler/Profile/DeviceProfile.h"

#include "compiler/Profile/NearestName.h"
#include "compiler/Profile/device_profile.pb.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"

#include <cmath>
#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/text_format.h>
#include <set>

namespace gcompile {
namespace {

// Keeps the first error of protobuf's text parser as a value; by default it would be printed.
class FirstError final : public google::protobuf::io::ErrorCollector {
public:
  void AddError(int line, google::protobuf::io::ColumnNumber column,
                const std::string &message) override {
    if (text.empty())
      text = (llvm::Twine(line + 1) + ":" + llvm::Twine(column + 1) + ": " + message).str();
  }
  std::string text;
};

} // namespace

static std::string confidenceName(profile::Confidence confidence) {
  return llvm::StringRef(profile::Confidence_Name(confidence)).lower();
}

// The unit that a field's name promises.
static llvm::StringRef unitOf(llvm::StringRef field) {
  if (field.ends_with("operations_per_second"))
    return "op/s";
  if (field.ends_with("bytes_per_second"))
    return "byte/s";
  if (field.ends_with("_bytes"))
    return "byte";
  if (field.ends_with("_hertz"))
    return "Hz";
  if (field.ends_with("_seconds"))
    return "s";
  if (field == "sustained_compute")
    return "ratio";
  return "count";
}

const Fact *DeviceProfile::find(llvm::StringRef fact) const {
  for (const Fact &candidate : facts)
    if (candidate.name == fact)
      return &candidate;
  return nullptr;
}

double DeviceProfile::value(llvm::StringRef fact, double otherwise) const {
  const Fact *found = find(fact);
  return found ? found->value : otherwise;
}

bool DeviceProfile::hasFeature(llvm::StringRef feature) const {
  for (const DeviceFeature &candidate : features)
    if (candidate.name == feature)
      return true;
  return false;
}

llvm::Expected<DeviceProfile> parseProfile(llvm::StringRef text, llvm::StringRef origin) {
  auto fail = [&](const llvm::Twine &what) {
    return llvm::createStringError("profile '" + origin + "': " + what);
  };
  if (text.size() > 1 << 20)
    return fail("larger than 1 MiB");
  profile::DeviceProfile message;
  google::protobuf::TextFormat::Parser parser;
  FirstError error;
  parser.RecordErrorsTo(&error);
  parser.SetRecursionLimit(20);
  if (!parser.ParseFromString(text.str(), &message))
    return fail(error.text);

  DeviceProfile result;
  result.name = message.name();
  result.title = message.title();
  result.architecture = message.architecture();
  if (result.name.empty() || result.title.empty())
    return fail("it has no name or no title");
  const std::set<std::string> architectures = {"x86-64", "aarch64", "nvptx64"};
  if (!architectures.count(result.architecture))
    return fail("architecture is '" + result.architecture +
                "', expected 'x86-64', 'aarch64' or 'nvptx64'");
  for (const profile::Feature &feature : message.features()) {
    if (feature.name().empty() || feature.source().empty() || !feature.confidence())
      return fail("feature '" + feature.name() + "' needs a name, a source and a confidence");
    result.features.push_back(
        {feature.name(), feature.source(), feature.date(), confidenceName(feature.confidence())});
  }
  for (const std::string &note : message.notes())
    result.notes.push_back(note);

  const google::protobuf::Descriptor *type = message.GetDescriptor();
  const google::protobuf::Reflection *reflection = message.GetReflection();
  for (int i = 0; i < type->field_count(); ++i) {
    const google::protobuf::FieldDescriptor *field = type->field(i);
    if (field->message_type() != profile::Figure::descriptor() ||
        !reflection->HasField(message, field))
      continue;
    const auto &figure =
        static_cast<const profile::Figure &>(reflection->GetMessage(message, field));
    if (figure.unit() != unitOf(field->name()))
      return fail("'" + field->name() + "' has unit '" + figure.unit() + "', expected '" +
                  unitOf(field->name()) + "'");
    if (!std::isfinite(figure.value()) || figure.value() <= 0 || figure.value() > 1e18)
      return fail("'" + field->name() + "' is " + std::to_string(figure.value()) +
                  ", expected a positive number up to 10^18");
    if (figure.source().empty() || !figure.confidence())
      return fail("'" + field->name() + "' needs a source and a confidence");
    result.facts.push_back({field->name(), figure.value(), figure.unit(), figure.source(),
                            figure.date(), confidenceName(figure.confidence())});
  }
  google::protobuf::TextFormat::PrintToString(message, &result.text);
  return result;
}

std::vector<std::string> profileFolders(llvm::StringRef programPath) {
  std::vector<std::string> folders;
  if (const char *named = getenv("GCOMPILE_PROFILES"); named && *named)
    folders.push_back(named);
  if (!programPath.empty()) {
    llvm::SmallString<256> path(llvm::sys::path::parent_path(programPath));
    llvm::sys::path::append(path, "..", "share", "gcompile", "profiles");
    folders.push_back(std::string(path));
  }
  folders.push_back(GCOMPILE_SOURCE_PROFILES);
  return folders;
}

std::vector<std::string> profileNames(llvm::ArrayRef<std::string> folders) {
  std::set<std::string> names;
  for (const std::string &folder : folders) {
    std::error_code error;
    for (llvm::sys::fs::directory_iterator entry(folder, error), end; entry != end && !error;
         entry.increment(error))
      if (llvm::sys::path::extension(entry->path()) == ".textproto")
        names.insert(llvm::sys::path::stem(entry->path()).str());
  }
  std::vector<std::string> sorted = {"host"};
  sorted.insert(sorted.end(), names.begin(), names.end());
  return sorted;
}

llvm::Expected<DeviceProfile> loadProfile(llvm::StringRef name,
                                          llvm::ArrayRef<std::string> folders) {
  if (name == "host")
    return detectHost();
  std::vector<std::string> known = profileNames(folders);
  if (llvm::is_contained(known, name))
    for (const std::string &folder : folders) {
      llvm::SmallString<256> path(folder);
      llvm::sys::path::append(path, name + ".textproto");
      auto buffer = llvm::MemoryBuffer::getFile(path, /*IsText=*/true);
      if (!buffer)
        continue;
      llvm::Expected<DeviceProfile> profile = parseProfile((*buffer)->getBuffer(), path.str());
      if (profile && profile->name != name)
        return llvm::createStringError("profile '" + path.str() + "' calls itself '" +
                                       profile->name + "', expected '" + name + "'");
      return profile;
    }
  return llvm::createStringError("unknown target '" + name + "'" + didYouMean(name, known) +
                                 " (known: " + llvm::join(known, ", ") + ")");
}

MachineModel machineModel(const DeviceProfile &profile) {
  MachineModel machine;
  machine.readBytesPerSecond = profile.value("read_bytes_per_second", 0);
  machine.integerOpsPerSecond = profile.value("integer_operations_per_second", 0);
  machine.floatOpsPerSecond = profile.value("float_operations_per_second", 0);
  machine.hasDotProduct = profile.hasFeature("dotprod") || profile.hasFeature("avx512_vnni") ||
                          profile.hasFeature("avx_vnni") || profile.hasFeature("mma_int8");
  if (profile.architecture == "nvptx64") {
    machine.barrierSeconds = 85e-6 / 7; // 85 µs a layer: fit over ten cards with llama.cpp
  } else {
    // About two vector instructions a cycle and core.
    double clock = profile.value("clock_hertz", 0), threads = profile.value("threads", 0);
    machine.instructionsPerSecond = 2 * clock * threads;
  }
  machine.storageRowSeconds = 2 * profile.value("storage_random_read_seconds", 100e-6);
  return machine;
}

} // namespace gcompile
