// Reading a profile: form, units, and whether its figures can be true together. A file may come
// from anywhere; the first fault is the message.
#include "compiler/Profile/DeviceProfile.h"

#include "compiler/Profile/MeasuredRates.h"
#include "compiler/Profile/device_profile.pb.h"
#include "compiler/Support/TextProto.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/raw_ostream.h"

#include <algorithm>
#include <cmath>
#include <google/protobuf/text_format.h>
#include <set>

namespace gcompile {
namespace {

// What a field's name promises, and the most that is believed of it.
struct FigureRule {
  llvm::StringRef unit;
  double largest;
  bool whole;
};

FigureRule ruleOf(llvm::StringRef field) {
  if (field.ends_with("operations_per_second"))
    return {"op/s", 1e18, false};
  if (field.ends_with("bytes_per_second"))
    return {"byte/s", 1e15, false};
  if (field.ends_with("_bytes"))
    return {"byte", 1e16, true};
  if (field.ends_with("_hertz"))
    return {"Hz", 1e11, false};
  if (field.ends_with("_seconds"))
    return {"s", 10, false};
  if (field == "sustained_compute")
    return {"ratio", 1, false};
  return {"count", 1e5, true};
}

std::string number(double value) {
  std::string text;
  llvm::raw_string_ostream(text) << llvm::format("%g", value);
  return text;
}

// YYYY-MM or YYYY-MM-DD.
bool isDate(llvm::StringRef text) {
  if (text.size() != 7 && text.size() != 10)
    return false;
  for (size_t i = 0; i < text.size(); ++i)
    if ((i == 4 || i == 7) ? text[i] != '-' : !llvm::isDigit(text[i]))
      return false;
  unsigned month = 0, day = 1;
  bool broken = text.substr(5, 2).getAsInteger(10, month) ||
                (text.size() == 10 && text.substr(8).getAsInteger(10, day));
  return !broken && month >= 1 && month <= 12 && day >= 1 && day <= 31;
}

std::string confidenceName(profile::Confidence confidence) {
  return llvm::StringRef(profile::Confidence_Name(confidence)).lower();
}

class Reader {
public:
  Reader(llvm::StringRef origin, ProfileOrigin kind) : origin(origin), kind(kind) {}

  llvm::Expected<DeviceProfile> read(llvm::StringRef text) {
    profile::DeviceProfile message;
    if (llvm::Error error = parseTextProto(text, message, 1 << 20))
      return fail(llvm::toString(std::move(error)));
    for (auto step : {&Reader::head, &Reader::features, &Reader::paths, &Reader::figures})
      if (llvm::Error error = (this->*step)(message))
        return std::move(error);
    if (llvm::Error error = together())
      return std::move(error);
    deriveBudget();
    google::protobuf::TextFormat::PrintToString(message, &result.text);
    return std::move(result);
  }

private:
  llvm::Error fail(const llvm::Twine &what) const {
    return llvm::createStringError("profile '" + origin + "': " + what);
  }

  // One printable line that says something.
  llvm::Error line(llvm::StringRef what, llvm::StringRef text, size_t longest) const {
    if (text.empty())
      return fail(what + " is empty");
    if (text.size() > longest)
      return fail(what + " has " + llvm::Twine(text.size()) + " characters, expected at most " +
                  llvm::Twine(longest));
    if (!llvm::all_of(text, [](char c) { return static_cast<unsigned char>(c) >= 32; }))
      return fail(what + " holds control characters; one line is wanted");
    return llvm::Error::success();
  }

  llvm::Error oneOf(llvm::StringRef what, llvm::StringRef text,
                    llvm::ArrayRef<std::string> known) const {
    if (llvm::is_contained(known, text))
      return llvm::Error::success();
    return fail(what + " is '" + text + "', expected one of " + llvm::join(known, ", "));
  }

  llvm::Error provenance(const llvm::Twine &owner, llvm::StringRef source, llvm::StringRef date,
                         profile::Confidence confidence) const {
    std::string name = owner.str();
    if (source.empty() || !confidence)
      return fail("'" + name + "' needs a source and a confidence");
    if (!profile::Confidence_IsValid(confidence))
      return fail("'" + name + "' has confidence " + llvm::Twine(int(confidence)) +
                  ", which is none");
    if (llvm::Error error = line("the source of '" + name + "'", source, 500))
      return error;
    if (date.empty() ? kind == ProfileOrigin::File : !isDate(date))
      return fail("'" + name + "' has date '" + date + "', expected YYYY-MM or YYYY-MM-DD");
    return llvm::Error::success();
  }

  llvm::Error line(const std::string &what, llvm::StringRef text, size_t longest) const {
    return line(llvm::StringRef(what), text, longest);
  }

  llvm::Error head(const profile::DeviceProfile &message) {
    result.name = message.name();
    result.title = message.title();
    result.architecture = message.architecture();
    result.kind = message.kind();
    result.operatingSystem = message.operating_system();
    if (result.name.empty() || result.title.empty())
      return fail("it has no name or no title");
    // It becomes part of file names.
    if (result.name.size() > 64 || !llvm::all_of(result.name, [](char c) {
          return llvm::isDigit(c) || (c >= 'a' && c <= 'z') || c == '-' || c == '_' || c == '.';
        }))
      return fail("its name is '" + result.name + "', expected small letters, digits and '-'");
    if (llvm::Error error = line(llvm::StringRef("the title"), result.title, 200))
      return error;
    if (llvm::Error error =
            oneOf("architecture", result.architecture, {"x86-64", "aarch64", "nvptx64", "wasm32"}))
      return error;
    if (!result.kind.empty())
      if (llvm::Error error =
              oneOf("kind", result.kind, {"phone", "board", "laptop", "gpu", "server", "web"}))
        return error;
    if (!result.operatingSystem.empty())
      if (llvm::Error error = oneOf("operating_system", result.operatingSystem,
                                    {"android", "ios", "linux", "macos", "windows", "web"}))
        return error;
    for (const std::string &note : message.notes()) {
      if (llvm::Error error = line(llvm::StringRef("a note"), note, 1000))
        return error;
      result.notes.push_back(note);
    }
    return llvm::Error::success();
  }

  llvm::Error features(const profile::DeviceProfile &message) {
    std::set<std::string> seen;
    for (const profile::Feature &feature : message.features()) {
      if (llvm::Error error = line(llvm::StringRef("the name of a feature"), feature.name(), 64))
        return error;
      if (!seen.insert(feature.name()).second)
        return fail("feature '" + feature.name() + "' is named twice");
      if (llvm::Error error = provenance("feature " + feature.name(), feature.source(),
                                         feature.date(), feature.confidence()))
        return error;
      result.features.push_back(
          {feature.name(), feature.source(), feature.date(), confidenceName(feature.confidence())});
    }
    return llvm::Error::success();
  }

  llvm::Error paths(const profile::DeviceProfile &message) {
    std::set<std::string> seen;
    for (const profile::Path &path : message.paths()) {
      if (llvm::Error error = oneOf("the name of a path", path.name(), {"cpu", "gpu", "npu"}))
        return error;
      if (!seen.insert(path.name()).second)
        return fail("path '" + path.name() + "' is named twice");
      if (!path.access() || !profile::Access_IsValid(path.access()))
        return fail("path '" + path.name() + "' has no access: OPEN, VENDOR or CLOSED is wanted");
      ExecutionPath out;
      out.name = path.name();
      out.title = path.title();
      out.access = llvm::StringRef(profile::Access_Name(path.access())).lower();
      out.through = path.through();
      out.source = path.source();
      out.date = path.date();
      for (auto [what, text] : {std::pair("the title of a path", &out.title),
                                std::pair("what a path is reached through", &out.through)})
        if (llvm::Error error = line(llvm::StringRef(what), *text, 300))
          return error;
      if (llvm::Error error =
              provenance("path " + out.name, path.source(), path.date(), path.confidence()))
        return error;
      out.confidence = confidenceName(path.confidence());
      if (llvm::Error error = figuresOf(path, out.name + ".", out.facts))
        return error;
      result.paths.push_back(std::move(out));
    }
    return llvm::Error::success();
  }

  llvm::Error figures(const profile::DeviceProfile &message) {
    return figuresOf(message, "", result.facts);
  }

  // All fields of type Figure that are there.
  llvm::Error figuresOf(const google::protobuf::Message &message, const std::string &prefix,
                        std::vector<Fact> &out) {
    const google::protobuf::Descriptor *type = message.GetDescriptor();
    const google::protobuf::Reflection *reflection = message.GetReflection();
    for (int i = 0; i < type->field_count(); ++i) {
      const google::protobuf::FieldDescriptor *field = type->field(i);
      if (field->is_repeated() || field->message_type() != profile::Figure::descriptor() ||
          !reflection->HasField(message, field))
        continue;
      const auto &figure =
          static_cast<const profile::Figure &>(reflection->GetMessage(message, field));
      std::string name = prefix + std::string(field->name());
      if (llvm::Error error = checkFigure(name, ruleOf(field->name()), figure))
        return error;
      out.push_back({std::string(field->name()), figure.value(), figure.unit(), figure.source(),
                     figure.date(), confidenceName(figure.confidence()), figure.low(),
                     figure.high()});
    }
    return llvm::Error::success();
  }

  llvm::Error checkFigure(const std::string &name, const FigureRule &rule,
                          const profile::Figure &figure) const {
    if (figure.unit() != rule.unit)
      return fail("'" + name + "' has unit '" + figure.unit() + "', expected '" + rule.unit + "'");
    double value = figure.value(), low = figure.low(), high = figure.high();
    for (double each : {value, low, high})
      if (!std::isfinite(each) || each < 0 || each > rule.largest)
        return fail("'" + name + "' is " + number(each) + ", expected a positive number up to " +
                    number(rule.largest));
    if (value == 0)
      return fail("'" + name + "' is 0, expected a positive number up to " + number(rule.largest));
    if (rule.whole && value != std::floor(value))
      return fail("'" + name + "' is " + number(value) + ", expected a whole number");
    if ((low != 0 || high != 0) && !(low > 0 && low <= value && value <= high))
      return fail("'" + name + "' is " + number(value) + ", outside its range of " + number(low) +
                  " to " + number(high));
    return provenance(name, figure.source(), figure.date(), figure.confidence());
  }

  // Figures that contradict each other.
  llvm::Error together() const {
    auto atMost = [&](llvm::StringRef small, llvm::StringRef large, double factor) -> llvm::Error {
      const Fact *a = result.find(small), *b = result.find(large);
      if (!a || !b || a->value <= b->value * factor)
        return llvm::Error::success();
      return fail("'" + small + "' is " + number(a->value) + ", more than '" + large +
                  "' allows (" + number(b->value) + ")");
    };
    for (auto [small, large, factor] :
         {std::tuple("read_bytes_per_second", "peak_read_bytes_per_second", 1.0),
          std::tuple("process_budget_bytes", "memory_bytes", 1.0),
          std::tuple("anonymous_limit_bytes", "memory_bytes", 1.0),
          std::tuple("accelerator_limit_bytes", "memory_bytes", 1.0),
          std::tuple("page_cache_bytes", "memory_bytes", 1.0),
          std::tuple("last_level_cache_bytes", "memory_bytes", 1.0),
          // Some processors run several threads a core.
          std::tuple("threads", "cores", 8.0)})
      if (llvm::Error error = atMost(small, large, factor))
        return error;
    if (kind == ProfileOrigin::Detected)
      return llvm::Error::success();
    if (!result.find("memory_bytes"))
      return fail("'memory_bytes' is missing");
    if (!result.find("process_budget_bytes") && !limit())
      return fail("what is left to one process is missing: 'anonymous_limit_bytes', on an "
                  "accelerator 'accelerator_limit_bytes', or 'process_budget_bytes'");
    return llvm::Error::success();
  }

  const Fact *limit() const {
    return result.find(result.architecture == "nvptx64" ? "accelerator_limit_bytes"
                                                        : "anonymous_limit_bytes");
  }

  // The default budget where the file names only the limits.
  void deriveBudget() {
    const Fact *own = limit();
    if (!own || result.find("process_budget_bytes"))
      return;
    Fact budget = *own;
    budget.name = "process_budget_bytes";
    budget.source = own->name + ": " + own->source;
    auto memory =
        llvm::find_if(result.facts, [](const Fact &fact) { return fact.name == "memory_bytes"; });
    result.facts.insert(memory == result.facts.end() ? result.facts.begin() : std::next(memory),
                        std::move(budget));
  }

  llvm::StringRef origin;
  ProfileOrigin kind;
  DeviceProfile result;
};

} // namespace

std::vector<std::string> profileFigureNames() {
  std::vector<std::string> names;
  const google::protobuf::Descriptor *type = profile::DeviceProfile::descriptor();
  for (int i = 0; i < type->field_count(); ++i)
    if (type->field(i)->message_type() == profile::Figure::descriptor())
      names.push_back(std::string(type->field(i)->name()));
  return names;
}

llvm::Expected<DeviceProfile> parseProfile(llvm::StringRef text, llvm::StringRef origin,
                                           ProfileOrigin kind) {
  llvm::Expected<DeviceProfile> profile = Reader(origin, kind).read(text);
  if (profile)
    if (llvm::Error error = checkCalibration(profile->text))
      return llvm::createStringError("profile '" + origin +
                                     "': " + llvm::toString(std::move(error)));
  return profile;
}

} // namespace gcompile
