// gcompile targets: known devices, what is emitted for each, and where every figure comes from.
#include "compiler/Driver/Commands.h"
#include "compiler/Driver/CompileArtifact.h"
#include "compiler/Plan/PlanReport.h"
#include "compiler/Profile/DeviceProfile.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/raw_ostream.h"

#include <algorithm>
#include <map>
#include <tuple>

namespace gcompile {
namespace {

// What gcompile makes for a device now.
enum class Emission { Programs, Kernels, Plans };

struct Group {
  llvm::StringRef kind, heading;
};

constexpr Group groups[] = {{"host", "this machine"},
                            {"phone", "phones"},
                            {"board", "boards"},
                            {"laptop", "laptops"},
                            {"gpu", "graphics cards and accelerators"},
                            {"server", "servers and cloud machines"},
                            {"web", "browsers"},
                            {"", "other"}};

} // namespace

static Emission emissionFor(const DeviceProfile &profile) {
  llvm::Expected<std::vector<std::string>> variants = variantsFor(profile);
  bool programs = bool(variants);
  llvm::consumeError(variants.takeError());
  // The runtime maps an ELF image: it runs where that works.
  llvm::StringRef system = profile.operatingSystem;
  if (programs && (system.empty() || system == "linux" || system == "android"))
    return Emission::Programs;
  return profile.architecture == "nvptx64" ? Emission::Kernels : Emission::Plans;
}

static llvm::StringRef jsonName(Emission emission) {
  switch (emission) {
  case Emission::Programs:
    return "programs";
  case Emission::Kernels:
    return "kernels";
  case Emission::Plans:
    return "plans";
  }
  return "";
}

static llvm::StringRef words(Emission emission) {
  switch (emission) {
  case Emission::Programs:
    return "whole programs";
  case Emission::Kernels:
    return "kernels only";
  case Emission::Plans:
    return "planned only";
  }
  return "";
}

static std::string humanValue(double value, llvm::StringRef unit) {
  if (unit == "byte")
    return humanBytes(int64_t(value));
  if (unit == "byte/s")
    return humanBytes(int64_t(value)) + "/s";
  if (unit == "Hz")
    return llvm::formatv("{0:f2} GHz", value / 1e9).str();
  if (unit == "op/s")
    return llvm::formatv("{0:f2} Top/s", value / 1e12).str();
  if (unit == "s")
    return llvm::formatv("{0:f0} us", value * 1e6).str();
  if (unit == "count")
    return std::to_string(int64_t(value));
  return llvm::formatv("{0}", value).str();
}

static std::string humanFact(const Fact &fact) {
  std::string text = humanValue(fact.value, fact.unit);
  if (fact.low > 0 && fact.low < fact.high)
    text +=
        " (" + humanValue(fact.low, fact.unit) + " to " + humanValue(fact.high, fact.unit) + ")";
  return text;
}

static llvm::json::Array factsJson(const std::vector<Fact> &facts) {
  llvm::json::Array array;
  for (const Fact &fact : facts) {
    llvm::json::Object object{{"name", fact.name}, {"value", fact.value},
                              {"unit", fact.unit}, {"source", fact.source},
                              {"date", fact.date}, {"confidence", fact.confidence}};
    if (fact.low > 0) {
      object["low"] = fact.low;
      object["high"] = fact.high;
    }
    array.push_back(std::move(object));
  }
  return array;
}

static llvm::json::Object profileJson(const DeviceProfile &profile) {
  using namespace llvm::json;
  Array features, paths, notes(profile.notes);
  for (const DeviceFeature &feature : profile.features)
    features.push_back(Object{{"name", feature.name},
                              {"source", feature.source},
                              {"date", feature.date},
                              {"confidence", feature.confidence}});
  for (const ExecutionPath &path : profile.paths)
    paths.push_back(Object{{"name", path.name},
                           {"title", path.title},
                           {"access", path.access},
                           {"through", path.through},
                           {"source", path.source},
                           {"date", path.date},
                           {"confidence", path.confidence},
                           {"facts", factsJson(path.facts)}});
  return Object{{"name", profile.name},
                {"title", profile.title},
                {"kind", profile.name == "host" ? "host" : profile.kind},
                {"architecture", profile.architecture},
                {"operating_system", profile.operatingSystem},
                {"emits", jsonName(emissionFor(profile))},
                {"facts", factsJson(profile.facts)},
                {"features", std::move(features)},
                {"paths", std::move(paths)},
                {"notes", std::move(notes)}};
}

static void printFacts(llvm::raw_ostream &out, const std::vector<Fact> &facts,
                       const std::string &indent) {
  for (const Fact &fact : facts)
    out << indent
        << llvm::format("%-30s %-36s %-13s %-10s ", fact.name.c_str(), humanFact(fact).c_str(),
                        fact.confidence.c_str(), fact.date.c_str())
        << fact.source << "\n";
}

static void printProfile(const DeviceProfile &profile) {
  llvm::raw_ostream &out = llvm::outs();
  out << profile.name << ": " << profile.title << "\n";
  out << "  " << profile.architecture;
  if (!profile.operatingSystem.empty())
    out << ", " << profile.operatingSystem;
  out << "; gcompile makes: " << words(emissionFor(profile)) << "\n";

  if (!profile.paths.empty())
    out << "\nengines\n";
  for (const ExecutionPath &path : profile.paths) {
    const char *access = path.access == "open"     ? "open"
                         : path.access == "vendor" ? "vendor's compiler only"
                                                   : "no public path";
    out << llvm::format("  %-4s ", path.name.c_str()) << path.title << ": " << access << " ("
        << path.through << ")\n       " << path.confidence << " " << path.date << ", "
        << path.source << "\n";
    printFacts(out, path.facts, "       ");
  }

  // Most features of a device share a source.
  std::map<std::tuple<std::string, std::string, std::string>, std::vector<std::string>> bySource;
  for (const DeviceFeature &feature : profile.features)
    bySource[{feature.confidence, feature.date, feature.source}].push_back(feature.name);
  if (!bySource.empty())
    out << "\nfeatures\n";
  for (const auto &[source, names] : bySource)
    out << "  " << llvm::join(names, " ") << "\n       " << std::get<0>(source) << " "
        << std::get<1>(source) << ", " << std::get<2>(source) << "\n";

  out << "\nfacts\n";
  printFacts(out, profile.facts, "  ");
  std::vector<std::string> unknown;
  for (const std::string &name : profileFigureNames())
    if (!profile.find(name))
      unknown.push_back(name);
  if (!unknown.empty())
    out << "  not known: " << llvm::join(unknown, ", ") << "\n";
  if (!profile.notes.empty())
    out << "\nnotes\n";
  for (const std::string &note : profile.notes)
    out << "  " << note << "\n";
}

static void printList(const std::vector<DeviceProfile> &profiles) {
  llvm::raw_ostream &out = llvm::outs();
  size_t nameWidth = 0, titleWidth = 0;
  for (const DeviceProfile &profile : profiles) {
    nameWidth = std::max(nameWidth, profile.name.size());
    titleWidth = std::max(titleWidth, std::min<size_t>(profile.title.size(), 60));
  }
  auto row = [&](llvm::StringRef name, llvm::StringRef title, llvm::StringRef memory,
                 llvm::StringRef budget, llvm::StringRef emission) {
    out << "  " << llvm::left_justify(name, nameWidth) << "  "
        << llvm::left_justify(title.take_front(60), titleWidth) << "  "
        << llvm::right_justify(memory, 9) << "  " << llvm::right_justify(budget, 9) << "  "
        << emission << "\n";
  };
  row("", "", "memory", "one app", "gcompile makes");
  for (const Group &group : groups) {
    bool first = true;
    for (const DeviceProfile &profile : profiles) {
      llvm::StringRef kind = profile.name == "host" ? "host" : llvm::StringRef(profile.kind);
      if (kind != group.kind)
        continue;
      if (first)
        out << group.heading << "\n";
      first = false;
      auto bytes = [&](const char *fact) {
        const Fact *found = profile.find(fact);
        return found ? humanBytes(int64_t(found->value)) : std::string("unknown");
      };
      row(profile.name, profile.title, bytes("memory_bytes"), bytes("process_budget_bytes"),
          words(emissionFor(profile)));
    }
  }
  out << "\n'gcompile targets NAME' shows every figure with its source; a file is named by its "
         "path: --target my-device.textproto\n";
}

ExitCode targetFault(llvm::StringRef target, llvm::ArrayRef<std::string> folders) {
  bool exists = isProfileFile(target) || llvm::is_contained(profileNames(folders), target);
  return exists ? ExitCode::BadInput : ExitCode::BadFlags;
}

ExitCode runTargets(const CommandContext &context) {
  const CompilerInvocation &options = context.invocation;
  std::vector<std::string> folders = profileFolders(context.programPath);
  std::vector<std::string> names =
      options.arguments.empty() ? profileNames(folders) : options.arguments;
  std::vector<DeviceProfile> profiles;
  for (const std::string &name : names) {
    llvm::Expected<DeviceProfile> profile = loadProfile(name, folders);
    if (!profile)
      return failWith(targetFault(name, folders), profile.takeError());
    if (name == "host" && !options.arguments.empty())
      measureHost(*profile, options.remeasure);
    profiles.push_back(std::move(*profile));
  }
  if (options.json) {
    llvm::json::Array targets;
    for (const DeviceProfile &profile : profiles)
      targets.push_back(profileJson(profile));
    llvm::outs() << llvm::formatv("{0:2}", llvm::json::Value(
                                               llvm::json::Object{{"targets", std::move(targets)}}))
                 << "\n";
  } else if (options.arguments.empty()) {
    printList(profiles);
  } else {
    printProfile(profiles.front());
  }
  return ExitCode::Done;
}

} // namespace gcompile
