// The commands that only look: targets, inspect, verify.
#include "compiler/Artifact/ArtifactReader.h"
#include "compiler/Driver/Commands.h"
#include "compiler/Driver/ModelShape.h"
#include "compiler/Import/ImportModel.h"
#include "compiler/Plan/PlanReport.h"
#include "compiler/Plan/PlanText.h"
#include "compiler/Profile/DeviceProfile.h"
#include "compiler/Profile/NearestName.h"

#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/raw_ostream.h"

#include <map>

namespace gcompile {

static std::string humanFact(const Fact &fact) {
  if (fact.unit == "byte")
    return humanBytes(int64_t(fact.value));
  if (fact.unit == "byte/s")
    return humanBytes(int64_t(fact.value)) + "/s";
  if (fact.unit == "Hz")
    return llvm::formatv("{0:f2} GHz", fact.value / 1e9).str();
  if (fact.unit == "op/s")
    return llvm::formatv("{0:f2} Top/s", fact.value / 1e12).str();
  if (fact.unit == "s")
    return llvm::formatv("{0:f0} us", fact.value * 1e6).str();
  return llvm::formatv("{0}", fact.value).str();
}

static llvm::json::Object profileJson(const DeviceProfile &profile) {
  using namespace llvm::json;
  Array facts, features, notes(profile.notes);
  for (const Fact &fact : profile.facts)
    facts.push_back(Object{{"name", fact.name},
                           {"value", fact.value},
                           {"unit", fact.unit},
                           {"source", fact.source},
                           {"date", fact.date},
                           {"confidence", fact.confidence}});
  for (const DeviceFeature &feature : profile.features)
    features.push_back(Object{
        {"name", feature.name}, {"source", feature.source}, {"confidence", feature.confidence}});
  return Object{{"name", profile.name},
                {"title", profile.title},
                {"architecture", profile.architecture},
                {"facts", std::move(facts)},
                {"features", std::move(features)},
                {"notes", std::move(notes)}};
}

static void printProfile(const DeviceProfile &profile) {
  llvm::raw_ostream &out = llvm::outs();
  out << profile.name << ": " << profile.title << " (" << profile.architecture << ")\n";
  out << "  features:";
  for (const DeviceFeature &feature : profile.features)
    out << " " << feature.name;
  out << "\n";
  for (const Fact &fact : profile.facts)
    out << llvm::format("  %-30s %12s  %-13s %s\n", fact.name.c_str(), humanFact(fact).c_str(),
                        fact.confidence.c_str(), fact.source.c_str());
  for (const std::string &note : profile.notes)
    out << "  note: " << note << "\n";
}

ExitCode runTargets(const CommandContext &context) {
  const CompilerInvocation &options = context.invocation;
  std::vector<std::string> folders = profileFolders(context.programPath);
  std::vector<std::string> names =
      options.arguments.empty() ? profileNames(folders) : options.arguments;
  llvm::json::Array targets;
  for (const std::string &name : names) {
    llvm::Expected<DeviceProfile> profile = loadProfile(name, folders);
    if (!profile) {
      bool exists = llvm::is_contained(profileNames(folders), name);
      return failWith(exists ? ExitCode::BadInput : ExitCode::BadFlags, profile.takeError());
    }
    if (name == "host" && !options.arguments.empty())
      measureHost(*profile);
    if (options.json)
      targets.push_back(profileJson(*profile));
    else if (!options.arguments.empty())
      printProfile(*profile);
    else
      llvm::outs() << llvm::format(
          "%-18s %-9s %10s for one process  %s\n", profile->name.c_str(),
          profile->architecture.c_str(),
          humanBytes(int64_t(profile->value("process_budget_bytes", 0))).c_str(),
          profile->title.c_str());
  }
  if (options.json)
    printJson(llvm::json::Object{{"targets", std::move(targets)}});
  return ExitCode::Done;
}

namespace {
enum class FileKind { Checkpoint, Plan, Artifact, Unreadable };
}

// By content, not by name.
static FileKind kindOf(const std::string &path) {
  if (llvm::sys::fs::is_directory(path) || llvm::StringRef(path).ends_with(".safetensors") ||
      (!llvm::sys::fs::exists(path) && isPresetName(path)))
    return FileKind::Checkpoint;
  auto file = llvm::MemoryBuffer::getFileSlice(path, 8, 0);
  if (!file)
    return FileKind::Unreadable;
  return (*file)->getBuffer().starts_with("GCPK") ? FileKind::Artifact : FileKind::Plan;
}

llvm::Expected<Plan> loadPlan(const std::string &path) {
  switch (kindOf(path)) {
  case FileKind::Plan: {
    auto buffer = llvm::MemoryBuffer::getFile(path, /*IsText=*/true);
    if (!buffer)
      return llvm::createStringError("'" + path +
                                     "' cannot be read: " + buffer.getError().message());
    return parsePlan((*buffer)->getBuffer(), path);
  }
  case FileKind::Artifact: {
    llvm::Expected<std::unique_ptr<ArtifactFile>> file = ArtifactFile::open(path);
    if (!file)
      return file.takeError();
    llvm::Expected<std::string> text = (*file)->readText(GC_SECTION_PLAN);
    if (!text)
      return text.takeError();
    return parsePlan(*text, path);
  }
  case FileKind::Checkpoint:
    return llvm::createStringError("'" + path +
                                   "' is a checkpoint; a plan or an artifact is wanted");
  case FileKind::Unreadable:
    break;
  }
  return llvm::createStringError("'" + path + "' cannot be read");
}

static ExitCode inspectCheckpoint(const CommandContext &context, const std::string &path) {
  llvm::Expected<ImportedModel> model = importModel(path);
  if (!model)
    return failWith(ExitCode::BadInput, model.takeError());
  for (const std::string &note : model->notes)
    printNote(context, note);
  const ModelConfig &config = model->config;
  ModelShape shape = shapeOf(config);
  std::map<std::string, std::pair<int64_t, int64_t>> roles; // tensors, parameters
  for (const TensorShape &tensor : shape.tensors) {
    roles[tensor.role].first += 1;
    roles[tensor.role].second += tensor.n * tensor.k;
  }
  int64_t parameters = countTextParameters(config);
  if (context.invocation.json) {
    llvm::json::Object roleObject;
    for (const auto &[role, counts] : roles)
      roleObject[role] =
          llvm::json::Object{{"tensors", counts.first}, {"parameters", counts.second}};
    printJson(llvm::json::Object{{"kind", "checkpoint"},
                                 {"model", model->name},
                                 {"architecture", config.architecture},
                                 {"parameters", parameters},
                                 {"layers", config.layerCount()},
                                 {"hidden", config.hidden},
                                 {"vocabulary", config.vocabulary},
                                 {"window", config.window},
                                 {"max_positions", config.maxPositions},
                                 {"has_weights", model->checkpoint != nullptr},
                                 {"has_tokenizer", model->tokenizer.has_value()},
                                 {"roles", std::move(roleObject)}});
    return ExitCode::Done;
  }
  llvm::raw_ostream &out = llvm::outs();
  out << model->name << ": " << config.architecture << ", " << parameters << " text parameters\n";
  out << "  " << config.layerCount() << " layers, hidden " << config.hidden << ", " << config.heads
      << " heads, vocabulary " << config.vocabulary << ", window " << config.window << ", up to "
      << config.maxPositions << " positions\n";
  out << "  weights " << (model->checkpoint ? "present" : "absent (preset)") << ", tokenizer "
      << (model->tokenizer ? "present" : "absent") << "\n";
  for (const auto &[role, counts] : roles)
    out << llvm::format("  %-27s %5d tensors %14lld parameters\n", role.c_str(), int(counts.first),
                        (long long)counts.second);
  return ExitCode::Done;
}

ExitCode runInspect(const CommandContext &context) {
  const std::string &path = context.invocation.arguments.front();
  if (kindOf(path) == FileKind::Checkpoint)
    return inspectCheckpoint(context, path);
  llvm::Expected<Plan> plan = loadPlan(path);
  if (!plan)
    return failWith(ExitCode::BadInput, plan.takeError());
  if (context.invocation.json)
    printJson(planJson(*plan));
  else
    llvm::outs() << planReport(*plan, terminalStyle());
  if (!context.invocation.json && kindOf(path) == FileKind::Artifact) {
    llvm::Expected<std::unique_ptr<ArtifactFile>> file = ArtifactFile::open(path);
    if (!file)
      return failWith(ExitCode::BadInput, file.takeError());
    llvm::outs() << "\nsections of " << humanBytes(int64_t((*file)->fileBytes())) << "\n"
                 << (*file)->describeSections();
  }
  return ExitCode::Done;
}

ExitCode runVerify(const CommandContext &context) {
  const std::string &path = context.invocation.arguments.front();
  if (kindOf(path) != FileKind::Artifact)
    return failWith(ExitCode::BadInput, "'" + path + "' is no artifact");
  llvm::Expected<std::unique_ptr<ArtifactFile>> file = ArtifactFile::open(path);
  if (!file)
    return failWith(ExitCode::BadInput, file.takeError());
  if (llvm::Error error = (*file)->verify())
    return failWith(ExitCode::BadInput, std::move(error));
  if (context.invocation.json)
    printJson(llvm::json::Object{{"intact", true}, {"bytes", int64_t((*file)->fileBytes())}});
  else
    llvm::outs() << path << ": intact, " << humanBytes(int64_t((*file)->fileBytes())) << "\n";
  return ExitCode::Done;
}

} // namespace gcompile
