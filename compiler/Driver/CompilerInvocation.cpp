#include "compiler/Driver/CompilerInvocation.h"

#include "compiler/Driver/Budget.h"
#include "compiler/Driver/CheckFlags.h"
#include "compiler/Profile/NearestName.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/GlobPattern.h"
#include "llvm/Support/raw_ostream.h"

#include <cmath>
#include <functional>

namespace gcompile {
namespace {

using Apply = std::function<llvm::Error(CompilerInvocation &, llvm::StringRef)>;

struct Flag {
  const char *name;      // with its dashes
  const char *valueName; // null: takes none
  const char *help;
  Apply apply;
};

struct CommandInfo {
  Command command;
  const char *name;
  const char *usage;
  const char *help;
  size_t leastArguments, mostArguments;
};

} // namespace

static const CommandInfo commands[] = {
    {Command::Compile, "compile",
     "--target NAME [--budget SIZE] [--model PATH|PRESET] [-o FILE.gpk]",
     "plan, and compile when there are weights (the default)", 0, 0},
    {Command::Plan, "plan", "--target NAME [--budget SIZE] [--model PATH|PRESET]",
     "stop after planning", 0, 0},
    {Command::Targets, "targets", "[NAME]", "known devices and where their figures come from", 0,
     1},
    {Command::Inspect, "inspect", "FILE|FOLDER|PRESET",
     "what a checkpoint (any form), plan or artifact holds: size, formats, bytes, tokenizer", 1, 1},
    {Command::Verify, "verify", "FILE.gpk [--model PATH --text FILE]",
     "read every byte of an artifact and check it; KL to the original model", 1, 1},
    {Command::Why, "why", "FILE TENSOR", "why a tensor has its format", 2, 2},
    {Command::Pareto, "pareto", "--target NAME [--model PATH|PRESET] [--points N] [-o FILE]",
     "the front: the best that each number of bytes buys, with its speed", 0, 0},
    {Command::Calibrate, "calibrate", "[-o FILE.textproto]",
     "measure this machine, in under a minute", 0, 0},
    {Command::Export, "export",
     "PLAN|FILE.gpk --model PATH --format gguf|compressed-tensors [-o OUT]",
     "a plan's mix of formats for llama.cpp or vLLM", 1, 1},
};

static llvm::Error bad(llvm::StringRef flag, llvm::StringRef value, const llvm::Twine &wanted) {
  return llvm::createStringError(flag + " " + value + ": expected " + wanted);
}

static llvm::Error integer(llvm::StringRef flag, llvm::StringRef value, int64_t least, int64_t most,
                           int64_t &out) {
  int64_t number = 0;
  if (value.getAsInteger(10, number) || number < least || number > most)
    return bad(flag, value,
               "a whole number from " + llvm::Twine(least) + " to " + llvm::Twine(most));
  out = number;
  return llvm::Error::success();
}

static std::vector<std::string> weightFormatNames() {
  std::vector<std::string> names;
  for (const WeightFormatInfo &format : weightFormats())
    names.push_back(std::string(format.name));
  return names;
}

// "w8" or "PATTERN=w8", several separated by commas.
static llvm::Error applyWeightFormat(CompilerInvocation &invocation, llvm::StringRef value) {
  llvm::SmallVector<llvm::StringRef> parts;
  value.split(parts, ',');
  for (llvm::StringRef part : parts) {
    llvm::StringRef pattern = "*", name = part;
    if (part.contains('='))
      std::tie(pattern, name) = part.rsplit('=');
    std::optional<WeightFormat> format = parseWeightFormat(std::string_view(name));
    if (!format)
      return bad("--weight-format", part,
                 "one of " + llvm::join(weightFormatNames(), " ") +
                     didYouMean(name, weightFormatNames()));
    if (pattern.empty())
      return bad("--weight-format", part, "a pattern of tensor names before '='");
    if (llvm::Expected<llvm::GlobPattern> glob = llvm::GlobPattern::create(pattern); !glob)
      return bad("--weight-format", part,
                 "a pattern like '*.mlp.*' (" + llvm::toString(glob.takeError()) + ")");
    invocation.weightFormats.push_back({pattern.str(), *format});
  }
  return llvm::Error::success();
}

static llvm::Error applyKvFormat(CompilerInvocation &invocation, llvm::StringRef value) {
  llvm::SmallVector<llvm::StringRef> parts;
  value.split(parts, ',');
  for (llvm::StringRef part : parts) {
    llvm::StringRef scope = "", name = part;
    if (part.contains('='))
      std::tie(scope, name) = part.split('=');
    std::optional<KvFormat> format = parseKvFormat(std::string_view(name));
    if (!format)
      return bad("--kv-format", part, "one of f32 f16 kv8 kv4");
    if (part.contains('=') && scope != "local" && scope != "global")
      return bad("--kv-format", part, "local=FORMAT or global=FORMAT");
    for (auto [kept, other, slot] : {std::tuple("local", "global", &invocation.localKv),
                                     std::tuple("global", "local", &invocation.globalKv)}) {
      if (scope == other)
        continue;
      if (*slot && *slot != format)
        return llvm::createStringError("--kv-format " + value + ": fixes the " + kept +
                                       " caches twice, to " + std::string(gcompile::name(**slot)) +
                                       " and " + std::string(gcompile::name(*format)));
      *slot = format;
    }
  }
  return llvm::Error::success();
}

static llvm::Error applyModalities(CompilerInvocation &invocation, llvm::StringRef value) {
  llvm::SmallVector<llvm::StringRef> parts;
  value.split(parts, ',');
  const llvm::StringRef known[] = {"text", "vision", "audio"};
  for (llvm::StringRef part : parts)
    if (!llvm::is_contained(known, part))
      return bad("--modalities", value, "text, or text with vision, audio or both");
  if (!llvm::is_contained(parts, "text"))
    return bad("--modalities", value, "text among them: the others are read into it");
  invocation.modalities.clear();
  for (llvm::StringRef each : known)
    if (llvm::is_contained(parts, each))
      invocation.modalities.push_back(each.str());
  return llvm::Error::success();
}

static llvm::Error applyEmit(CompilerInvocation &invocation, llvm::StringRef value) {
  auto kind = llvm::StringSwitch<std::optional<EmitKind>>(value)
                  .Case("plan", EmitKind::Plan)
                  .Case("mlir", EmitKind::Mlir)
                  .Case("llvm", EmitKind::Llvm)
                  .Case("asm", EmitKind::Asm)
                  .Case("object", EmitKind::Object)
                  .Default(std::nullopt);
  if (!kind)
    return bad("--emit", value, "plan, mlir, llvm, asm or object");
  invocation.emit = *kind;
  return llvm::Error::success();
}

static llvm::Error applyMinDecode(CompilerInvocation &invocation, llvm::StringRef value) {
  double rate = 0;
  if (value.getAsDouble(rate) || !std::isfinite(rate) || rate <= 0)
    return bad("--min-decode", value, "tokens per second, a positive number");
  invocation.minDecode = rate;
  return llvm::Error::success();
}

static llvm::Error applySensitivity(CompilerInvocation &invocation, llvm::StringRef value) {
  if (value == "measure")
    invocation.sensitivity = QualityBasis::Sensitivities;
  else if (std::optional<QualityBasis> basis = parseQualityBasis(std::string_view(value));
           basis && *basis != QualityBasis::Sensitivities)
    invocation.sensitivity = basis;
  else
    return bad("--sensitivity", value, "measure, calibration, weights or prior");
  return llvm::Error::success();
}

static Apply placement(TableChoice CompilerInvocation::*member, const char *flag) {
  return [=](CompilerInvocation &invocation, llvm::StringRef value) -> llvm::Error {
    auto choice = llvm::StringSwitch<std::optional<TableChoice>>(value)
                      .Case("auto", TableChoice::Auto)
                      .Case("memory", TableChoice::Memory)
                      .Case("storage", TableChoice::Storage)
                      .Default(std::nullopt);
    if (!choice)
      return bad(flag, value, "storage, memory or auto");
    invocation.*member = *choice;
    return llvm::Error::success();
  };
}

static Apply text(std::string CompilerInvocation::*member, const char *flag) {
  return [=](CompilerInvocation &invocation, llvm::StringRef value) -> llvm::Error {
    if (value.empty())
      return bad(flag, "''", "something that is not empty");
    invocation.*member = value.str();
    return llvm::Error::success();
  };
}

static Apply on(bool CompilerInvocation::*member) {
  return [=](CompilerInvocation &invocation, llvm::StringRef) {
    invocation.*member = true;
    return llvm::Error::success();
  };
}

static const std::vector<Flag> &flags() {
  static const std::vector<Flag> table = {
      {"--target", "NAME", "device to compile for; 'host' is this machine (gcompile targets)",
       text(&CompilerInvocation::target, "--target")},
      {"--budget", "SIZE",
       "memory that it may need: 800MB, 1.5GB, 2GiB (default: what the target leaves)",
       [](CompilerInvocation &invocation, llvm::StringRef value) -> llvm::Error {
         llvm::Expected<int64_t> bytes = parseByteSize(value);
         if (!bytes)
           return llvm::createStringError("--budget: " + llvm::toString(bytes.takeError()));
         invocation.budgetBytes = *bytes;
         return llvm::Error::success();
       }},
      {"--model", "PATH|PRESET",
       "checkpoint folder, GGUF or safetensors file, or a published size (gemma-4-E2B)",
       text(&CompilerInvocation::model, "--model")},
      {"-o", "FILE", "output (default MODEL-TARGET.gpk)", text(&CompilerInvocation::output, "-o")},
      {"--context", "N|auto", "positions (default 4096)",
       [](CompilerInvocation &invocation, llvm::StringRef value) -> llvm::Error {
         invocation.contextGiven = true;
         if (value == "auto") {
           invocation.context = 0;
           return llvm::Error::success();
         }
         return integer("--context", value, 1, 1 << 24, invocation.context);
       }},
      {"--modalities", "LIST",
       "text[,vision][,audio]: what is kept (vision and audio are planned, not compiled yet)",
       applyModalities},
      {"--tables", "storage|memory|auto", "where the per-layer table lies (default auto)",
       placement(&CompilerInvocation::tables, "--tables")},
      {"--experts", "storage|memory|auto",
       "where experts lie: on storage behind a cache, or all in memory (default auto)",
       placement(&CompilerInvocation::experts, "--experts")},
      {"--objective", "quality|speed|balanced", "what a byte is spent on (default quality)",
       [](CompilerInvocation &invocation, llvm::StringRef value) -> llvm::Error {
         std::optional<Objective> objective = parseObjective(std::string_view(value));
         if (!objective)
           return bad("--objective", value, "quality, speed or balanced");
         invocation.objective = *objective;
         return llvm::Error::success();
       }},
      {"--min-decode", "TOK/S", "refuse plans predicted to decode slower", applyMinDecode},
      {"--weight-format", "FORMAT|PATTERN=FORMAT,...",
       "fix formats: f32 bf16 f16 w8 w4 w2 w8g32 w4g32 w2g64 w4g128 q4_k q6_k nf4",
       applyWeightFormat},
      {"--kv-format", "FORMAT|local=FORMAT,global=FORMAT", "fix cache formats: f32 f16 kv8 kv4",
       applyKvFormat},
      {"--activations", "static|dynamic",
       "inputs and outputs of linear layers in int8 codes of fixed scales (default: if the "
       "checkpoint has them)",
       [](CompilerInvocation &invocation, llvm::StringRef value) -> llvm::Error {
         invocation.activations = parseActivations(std::string_view(value));
         if (!invocation.activations)
           return bad("--activations", value, "static or dynamic");
         return llvm::Error::success();
       }},
      {"--kv-scales", "static|dynamic",
       "scales of kv8 and kv4 caches: fixed, or one a row (default: as --activations)",
       [](CompilerInvocation &invocation, llvm::StringRef value) -> llvm::Error {
         invocation.kvScales = parseActivations(std::string_view(value));
         if (!invocation.kvScales)
           return bad("--kv-scales", value, "static or dynamic");
         return llvm::Error::success();
       }},
      {"--plan", "FILE", "replay a plan, edited or not",
       text(&CompilerInvocation::planFile, "--plan")},
      {"--emit", "plan|mlir|llvm|asm|object", "write this instead of an artifact", applyEmit},
      {"--weights", "synthetic:SEED", "generate weights instead of reading them",
       [](CompilerInvocation &invocation, llvm::StringRef value) -> llvm::Error {
         llvm::StringRef seed = value;
         uint64_t number = 0;
         if (!seed.consume_front("synthetic:") || seed.getAsInteger(10, number))
           return bad("--weights", value, "synthetic:SEED, with a whole number");
         invocation.syntheticSeed = number;
         return llvm::Error::success();
       }},
      {"--calibration", "FILE",
       "text like that which the model is for: what formats cost is measured on it, once",
       text(&CompilerInvocation::calibration, "--calibration")},
      {"--imatrix", "FILE",
       "importance matrix of llama.cpp for this model: errors of formats are weighted with it",
       text(&CompilerInvocation::imatrix, "--imatrix")},
      {"--seconds", "N", "calibrate: time for sampling (default 15)",
       [](CompilerInvocation &invocation, llvm::StringRef value) -> llvm::Error {
         return integer("--seconds", value, 0, 600, invocation.calibrationSeconds);
       }},
      {"--sensitivity", "measure|calibration|weights|prior",
       "what expected quality rests on (default measure with --calibration, else weights)",
       applySensitivity},
      {"--remeasure", nullptr,
       "measure again what is kept: this machine's bandwidth, rounding errors, sensitivities",
       on(&CompilerInvocation::remeasure)},
      {"--text", "FILE", "verify: text to measure the KL to --model on",
       text(&CompilerInvocation::text, "--text")},
      {"--format", "gguf",
       "export: gguf (a file for llama.cpp), compressed-tensors (a folder for vLLM)",
       [](CompilerInvocation &invocation, llvm::StringRef value) -> llvm::Error {
         if (value != "gguf" && value != "compressed-tensors")
           return bad("--format", value, "gguf or compressed-tensors");
         invocation.exportFormat = value.str();
         return llvm::Error::success();
       }},
      {"--jobs", "N", "threads of the compiler (default: one a core)",
       [](CompilerInvocation &invocation, llvm::StringRef value) -> llvm::Error {
         return integer("--jobs", value, 1, 1024, invocation.jobs);
       }},
      {"--points", "N", "plans to look for on the front (default 256)",
       [](CompilerInvocation &invocation, llvm::StringRef value) -> llvm::Error {
         return integer("--points", value, 2, 4096, invocation.points);
       }},
      {"--json", nullptr, "write the result as JSON", on(&CompilerInvocation::json)},
      {"--report", "FILE.html", "write the plan as a page to look at in a browser",
       [](CompilerInvocation &invocation, llvm::StringRef value) -> llvm::Error {
         if (value.empty() || value == "-")
           return bad("--report", value.empty() ? "''" : value, "the name of a file");
         invocation.report = value.str();
         return llvm::Error::success();
       }},
      {"--quiet", nullptr, "no notes and no progress", on(&CompilerInvocation::quiet)},
      {"--help", nullptr, "this text", on(&CompilerInvocation::help)},
      {"--version", nullptr, "version", on(&CompilerInvocation::version)},
  };
  return table;
}

llvm::StringRef commandName(Command command) {
  for (const CommandInfo &info : commands)
    if (info.command == command)
      return info.name;
  return "";
}

static std::string plural(size_t count, const char *what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

static llvm::Error checkArguments(const CompilerInvocation &invocation) {
  for (const CommandInfo &info : commands) {
    if (info.command != invocation.command)
      continue;
    size_t count = invocation.arguments.size();
    if (count > info.mostArguments)
      return llvm::createStringError("unexpected argument '" +
                                     invocation.arguments[info.mostArguments] +
                                     "'; usage: gcompile " + info.name + " " + info.usage);
    if (count < info.leastArguments)
      return llvm::createStringError(llvm::Twine("'") + info.name + "' needs " +
                                     plural(info.leastArguments, "argument") +
                                     "; usage: gcompile " + info.name + " " + info.usage);
  }
  return llvm::Error::success();
}

llvm::Expected<CompilerInvocation> parseCommandLine(llvm::ArrayRef<std::string> arguments) {
  CompilerInvocation invocation;
  std::vector<std::string> commandNames, flagNames;
  for (const CommandInfo &info : commands)
    commandNames.push_back(info.name);
  for (const Flag &flag : flags())
    flagNames.push_back(flag.name);

  bool first = true, onlyArguments = false;
  for (size_t i = 0; i < arguments.size(); ++i) {
    llvm::StringRef word = arguments[i];
    if (word == "--" && !onlyArguments) {
      onlyArguments = true;
      continue;
    }
    if (onlyArguments || !word.starts_with("-") || word == "-") {
      if (first) {
        const CommandInfo *found =
            llvm::find_if(commands, [&](const CommandInfo &info) { return word == info.name; });
        if (found == std::end(commands))
          return llvm::createStringError("unknown command '" + word + "'" +
                                         didYouMean(word, commandNames) + " (see gcompile --help)");
        invocation.command = found->command;
      } else {
        invocation.arguments.push_back(word.str());
      }
      first = false;
      continue;
    }
    first = false;
    auto [name, attached] = word.split('=');
    bool hasAttached = word.contains('=');
    if (name == "-h")
      name = "--help";
    const Flag *flag = nullptr;
    for (const Flag &candidate : flags())
      if (name == candidate.name)
        flag = &candidate;
    if (!flag)
      return llvm::createStringError("unknown option '" + name + "'" + didYouMean(name, flagNames) +
                                     " (see gcompile --help)");
    llvm::StringRef value;
    if (!flag->valueName && hasAttached)
      return llvm::createStringError("option '" + name + "' takes no value");
    if (flag->valueName) {
      if (!hasAttached && i + 1 == arguments.size())
        return llvm::createStringError("option '" + name + "' needs a value: " + flag->valueName);
      value = hasAttached ? attached : llvm::StringRef(arguments[++i]);
    }
    if (llvm::Error error = flag->apply(invocation, value))
      return error;
    // Rules for formats add up; everything else is said once.
    auto [known, added] = invocation.given.try_emplace(name.str(), value.str());
    if (!added && known->second != value && name != "--weight-format" && name != "--kv-format")
      return llvm::createStringError("option '" + name + "' is given twice, as '" + known->second +
                                     "' and '" + value + "'");
  }
  if (invocation.help || invocation.version)
    return invocation;
  if (llvm::Error error = checkArguments(invocation))
    return error;
  if (llvm::Error error = checkFlags(invocation))
    return error;
  return invocation;
}

std::string helpText(std::optional<Command> command) {
  std::string result;
  llvm::raw_string_ostream out(result);
  out << "gcompile compiles a Gemma 4 model for a device and a memory budget.\n\n";
  out << "usage:\n";
  for (const CommandInfo &info : commands) {
    if (command && *command != info.command)
      continue;
    std::string left = std::string("gcompile ") +
                       (info.command == Command::Compile ? "" : std::string(info.name) + " ") +
                       info.usage;
    out << "  " << left << "\n      " << info.help << "\n";
  }
  out << "\noptions:\n";
  for (const Flag &flag : flags()) {
    std::string left =
        flag.name + std::string(flag.valueName ? " " : "") + (flag.valueName ? flag.valueName : "");
    if (left.size() > 30)
      out << "  " << left << "\n" << std::string(34, ' ') << flag.help << "\n";
    else
      out << llvm::format("  %-32s", left.c_str()) << flag.help << "\n";
  }
  out << "\nexamples:\n"
         "  gcompile --model ./gemma-4-E2B-it --target host --budget 2GB -o gemma.gpk\n"
         "  gcompile plan --model gemma-4-E2B --target pixel9 --budget 1GB\n"
         "  gcompile plan --model gemma-4-E4B --target raspberrypi5 --json\n"
         "  gcompile --model ./gemma-4-E2B-it --target host --weight-format "
         "w4g32,embed_tokens*=w8\n"
         "  gcompile --model ./gemma-4-E2B-it --target host --budget 2GB --emit plan -o "
         "plan.textproto\n"
         "  gcompile --model ./gemma-4-E2B-it --target host --plan plan.textproto\n"
         "  gcompile plan --model gemma-4-E2B --target pixel9 --budget 1GB --report plan.html\n"
         "  gcompile pareto --model gemma-4-E2B --target pixel9\n"
         "  gcompile --model gemma-4-E2B-it-Q4_K_M.gguf --target host --budget 2GB\n"
         "  gcompile inspect gemma-4-E2B-it-Q4_K_M.gguf\n"
         "  gcompile why plan.textproto layers.3.mlp.down_proj.weight\n"
         "  gcompile export plan.textproto --model ./gemma-4-E2B-it --format gguf -o gemma.gguf\n"
         "  gcompile targets pixel9\n"
         "  gcompile calibrate -o desk.textproto && gcompile plan --target desk.textproto\n"
         "\nexit codes: 0 done, 1 bad input, 2 bad flags, 3 nothing fits, 4 a bug of gcompile\n";
  return result;
}

} // namespace gcompile
