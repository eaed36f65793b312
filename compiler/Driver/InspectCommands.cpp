// The commands that only look: targets, inspect, verify, why.
#include "compiler/Artifact/ArtifactReader.h"
#include "compiler/Driver/Commands.h"
#include "compiler/Driver/ModelShape.h"
#include "compiler/Driver/OptionTable.h"
#include "compiler/Import/ImportModel.h"
#include "compiler/Plan/PlanReport.h"
#include "compiler/Plan/PlanText.h"
#include "compiler/Profile/DeviceProfile.h"
#include "compiler/Profile/NearestName.h"
#include "passes/Planning/GreedySolver.h"

#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/raw_ostream.h"

#include <map>

namespace gcompile {

static void printJson(llvm::json::Object object) {
  llvm::outs() << llvm::formatv("{0:2}", llvm::json::Value(std::move(object))) << "\n";
}

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
    llvm::outs() << planReport(*plan);
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

// --- why ---

// The name that the chosen option has in the priced list.
static std::string chosenOption(const Plan &plan, const PlannedTensor &tensor) {
  return tensor.role == "per_layer_table" ? tableOptionName(plan.tables, tensor.format)
                                          : std::string(name(tensor.format));
}

// The problem as the plan's own prices tell it.
static PlanProblem problemOf(const Plan &plan, std::vector<size_t> &chosen) {
  PlanProblem problem;
  int64_t chosenBytes = 0;
  auto add = [&](const std::string &name, const std::vector<PricedOption> &options,
                 const std::string &format, bool fixed) {
    PlanItem item;
    item.name = name;
    for (const PricedOption &option : options) {
      bool isChosen = option.format == format;
      if (isChosen) {
        chosenBytes += option.bytes;
        chosen.push_back(item.options.size());
      }
      item.options.push_back(
          {option.format, option.bytes, option.loss, option.seconds, isChosen || !fixed, 0});
    }
    problem.items.push_back(std::move(item));
  };
  for (const PlannedTensor &tensor : plan.tensors)
    if (!tensor.options.empty())
      add(tensor.name, tensor.options, chosenOption(plan, tensor), tensor.fixed);
  for (const PlannedKv &kv : plan.kvCaches)
    if (!kv.options.empty())
      add(kv.layerType, kv.options, std::string(name(kv.k)), kv.fixed);
  problem.fixedBytes = std::max<int64_t>(0, plan.memory.peak() - chosenBytes);
  problem.budgetBytes = plan.budgetBytes;
  problem.lossPerSecond = plan.optimality.lossPerSecond;
  return problem;
}

// The nearest larger budget at which the solver gives the item something else; 0: none does.
static int64_t flipBudget(PlanProblem problem, size_t item, size_t chosen) {
  int64_t largest = problem.fixedBytes;
  for (const PlanItem &each : problem.items) {
    int64_t most = 0;
    for (const PlanOption &option : each.options)
      most = std::max(most, option.bytes);
    largest += most;
  }
  auto flips = [&](int64_t budget) {
    problem.budgetBytes = budget;
    SolveResult result = GreedySolver().solve(problem);
    return result.solution && result.solution->choice[item] != chosen;
  };
  int64_t low = problem.budgetBytes, step = std::max<int64_t>(low / 64, 65536), high = low;
  do {
    low = high;
    if (low >= largest)
      return 0;
    high = std::min(low + step, largest);
    step *= 2;
  } while (!flips(high));
  while (high - low > 4096) {
    int64_t middle = low + (high - low) / 2;
    (flips(middle) ? high : low) = middle;
  }
  return high;
}

ExitCode runWhy(const CommandContext &context) {
  const std::string &path = context.invocation.arguments[0];
  const std::string &wanted = context.invocation.arguments[1];
  llvm::Expected<Plan> plan = loadPlan(path);
  if (!plan)
    return failWith(ExitCode::BadInput, plan.takeError());
  std::vector<size_t> chosen;
  PlanProblem problem = problemOf(*plan, chosen);
  if (chosen.size() != problem.items.size())
    return failWith(ExitCode::BadInput,
                    "plan '" + path + "' takes a format that it does not price");
  if (std::string why = check(problem); !why.empty())
    return failWith(ExitCode::BadInput, "plan '" + path + "': " + why);
  size_t index = 0;
  std::vector<std::string> names;
  for (const PlanItem &item : problem.items)
    names.push_back(item.name);
  while (index < names.size() && names[index] != wanted)
    ++index;
  if (index == names.size())
    return failWith(ExitCode::BadInput, "plan '" + path + "' decides no tensor '" + wanted + "'" +
                                            didYouMean(wanted, names));

  const PlanItem &item = problem.items[index];
  const PlanOption &now = item.options[chosen[index]];
  // The runner-up: what would be next best for one byte more or less, at the price that this choice
  // pays.
  auto cost = [&](const PlanOption &option) { return objectiveOf(problem, option); };
  const PlanOption *smaller = nullptr, *runnerUp = nullptr;
  for (const PlanOption &option : item.options)
    if (&option != &now && option.bytes < now.bytes && (!smaller || cost(option) < cost(*smaller)))
      smaller = &option;
  double pricePerByte =
      smaller ? (cost(*smaller) - cost(now)) / double(now.bytes - smaller->bytes) : 0;
  auto priced = [&](const PlanOption &option) {
    return cost(option) + std::max(pricePerByte, 0.0) * double(option.bytes);
  };
  for (const PlanOption &option : item.options)
    if (&option != &now && (!runnerUp || priced(option) < priced(*runnerUp)))
      runnerUp = &option;
  bool fixed = llvm::count_if(item.options, [](const PlanOption &o) { return o.supported; }) < 2;
  int64_t flips = fixed ? 0 : flipBudget(problem, index, chosen[index]);
  double klPerMib =
      smaller ? (smaller->loss - now.loss) / double(now.bytes - smaller->bytes) * 1048576 : 0;

  if (context.invocation.json) {
    llvm::json::Array options;
    for (const PlanOption &option : item.options)
      options.push_back(llvm::json::Object{{"format", option.format},
                                           {"bytes", option.bytes},
                                           {"kl", option.loss},
                                           {"seconds", option.seconds}});
    llvm::json::Object object{{"tensor", wanted},
                              {"format", now.format},
                              {"bytes", now.bytes},
                              {"kl", now.loss},
                              {"kl_per_mib", klPerMib},
                              {"fixed", fixed},
                              {"options", std::move(options)}};
    object["runner_up"] =
        runnerUp
            ? llvm::json::Value(llvm::json::Object{
                  {"format", runnerUp->format}, {"bytes", runnerUp->bytes}, {"kl", runnerUp->loss}})
            : llvm::json::Value(nullptr);
    object["flips_at_budget_bytes"] = flips ? llvm::json::Value(flips) : llvm::json::Value(nullptr);
    printJson(std::move(object));
    return ExitCode::Done;
  }
  llvm::raw_ostream &out = llvm::outs();
  out << wanted << " takes " << now.format << (fixed ? ", which was fixed" : "") << "\n";
  for (const PlanOption &option : item.options)
    out << llvm::format("  %s %-12s %10s  KL %.6f  %8.1f us a token\n", &option == &now ? "*" : " ",
                        option.format.c_str(), humanBytes(option.bytes).c_str(), option.loss,
                        option.seconds * 1e6);
  if (smaller)
    out << llvm::format("  its last bytes buy %.6f nats per MiB against %s\n", klPerMib,
                        smaller->format.c_str());
  if (flips)
    out << "  it changes at a budget of about " << humanBytes(flips) << "\n";
  else if (!fixed)
    out << "  no larger budget changes it\n";
  return ExitCode::Done;
}

} // namespace gcompile
