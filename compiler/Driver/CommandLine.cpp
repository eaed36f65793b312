#include "compiler/Driver/CommandLine.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"

namespace gcompile {

std::string shellQuoted(llvm::StringRef word) {
  auto plain = [](char c) { return llvm::isAlnum(c) || llvm::StringRef("_-./:=,+@%").contains(c); };
  if (!word.empty() && llvm::all_of(word, plain))
    return word.str();
  std::string out = "'";
  for (char c : word)
    out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

static std::string weightFormats(const CompilerInvocation &invocation) {
  std::vector<std::string> rules;
  for (const FormatRule &rule : invocation.weightFormats)
    rules.push_back((rule.pattern == "*" ? "" : rule.pattern + "=") +
                    std::string(name(rule.format)));
  return llvm::join(rules, ",");
}

static std::string kvFormats(const CompilerInvocation &invocation) {
  if (invocation.localKv && invocation.localKv == invocation.globalKv)
    return std::string(name(*invocation.localKv));
  std::vector<std::string> rules;
  if (invocation.localKv)
    rules.push_back("local=" + std::string(name(*invocation.localKv)));
  if (invocation.globalKv)
    rules.push_back("global=" + std::string(name(*invocation.globalKv)));
  return llvm::join(rules, ",");
}

std::string commandLine(const CompilerInvocation &invocation, llvm::StringRef model,
                        int64_t budgetBytes) {
  std::string line = "gcompile";
  if (invocation.command != Command::Compile)
    line += " " + commandName(invocation.command).str();
  auto add = [&](const char *flag, llvm::StringRef value) {
    if (!value.empty())
      line += std::string(" ") + flag + " " + shellQuoted(value);
  };
  const CompilerInvocation defaults;
  add("--model", model);
  add("--target", invocation.target);
  add("--budget", std::to_string(budgetBytes));
  if (invocation.contextGiven)
    add("--context", invocation.context == 0 ? "auto" : std::to_string(invocation.context));
  if (invocation.modalities != defaults.modalities)
    add("--modalities", llvm::join(invocation.modalities, ","));
  if (invocation.tables != TableChoice::Auto)
    add("--tables", invocation.tables == TableChoice::Storage ? "storage" : "memory");
  if (invocation.experts != TableChoice::Auto)
    add("--experts", invocation.experts == TableChoice::Storage ? "storage" : "memory");
  if (invocation.objective != defaults.objective)
    add("--objective", name(invocation.objective));
  if (invocation.minDecode > 0)
    add("--min-decode", llvm::formatv("{0}", llvm::json::Value(invocation.minDecode)).str());
  add("--weight-format", weightFormats(invocation));
  add("--kv-format", kvFormats(invocation));
  if (invocation.activations)
    add("--activations", name(*invocation.activations));
  if (invocation.kvScales)
    add("--kv-scales", name(*invocation.kvScales));
  add("--calibration", invocation.calibration);
  add("--imatrix", invocation.imatrix);
  add("--plan", invocation.planFile);
  if (invocation.syntheticSeed)
    add("--weights", "synthetic:" + std::to_string(*invocation.syntheticSeed));
  return line;
}

} // namespace gcompile
