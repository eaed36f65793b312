#include "compiler/Driver/InspectLitertlm.h"

#include "compiler/Import/HostileJson.h"
#include "compiler/Plan/PlanReport.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Format.h"

#include <tuple>

namespace gcompile {

static std::string versionOf(const LitertlmFile &file) {
  const uint32_t *version = file.header.version;
  return std::to_string(version[0]) + "." + std::to_string(version[1]) + "." +
         std::to_string(version[2]);
}

std::vector<LitertlmClass> classesOf(const LitertlmFile &file) {
  std::vector<LitertlmClass> classes;
  for (const LitertlmTensor &entry : file.tensors) {
    LitertlmClass own;
    own.model = file.header.sections[entry.section].model();
    own.role = litertRole(entry.tensor.name).str();
    own.format = entry.tensor.typeText;
    own.unread = entry.tensor.unread;
    own.tensors = 1;
    own.parameters = 1;
    for (int64_t extent : entry.tensor.shape)
      own.parameters *= std::max<int64_t>(extent, 0);
    own.bytes = static_cast<int64_t>(entry.tensor.bytes);
    if (const TensorInfo *tensor = file.weights->find(entry.name))
      if (std::optional<WeightFormat> native = file.weights->nativeFormat(*tensor))
        own.kept = name(*native);
    auto key = [](const LitertlmClass &each) {
      return std::tie(each.model, each.role, each.format, each.kept, each.unread);
    };
    auto same =
        llvm::find_if(classes, [&](const LitertlmClass &other) { return key(other) == key(own); });
    if (same == classes.end()) {
      classes.push_back(std::move(own));
      continue;
    }
    same->tensors += 1;
    same->parameters += own.parameters;
    same->bytes += own.bytes;
  }
  return classes;
}

llvm::json::Object litertlmJson(const LitertlmFile &file, llvm::StringRef name) {
  using llvm::json::fixUTF8;
  auto textOrNull = [](const std::string &text) {
    return text.empty() ? llvm::json::Value(nullptr) : llvm::json::Value(fixUTF8(text));
  };
  llvm::json::Array sections, constants;
  for (const LitertlmSection &section : file.header.sections) {
    auto constraint = section.items.find("backend_constraint");
    sections.push_back(llvm::json::Object{
        {"kind", sectionTypeName(section.type)},
        {"model", textOrNull(section.model())},
        {"backend", textOrNull(constraint == section.items.end() ? "" : constraint->second)},
        {"bytes", static_cast<int64_t>(section.end - section.begin)}});
  }
  for (const LitertlmClass &each : classesOf(file))
    constants.push_back(llvm::json::Object{{"model", fixUTF8(each.model)},
                                           {"class", each.role},
                                           {"format", each.format},
                                           {"kept_as", textOrNull(each.kept)},
                                           {"unread", textOrNull(each.unread)},
                                           {"tensors", each.tensors},
                                           {"parameters", each.parameters},
                                           {"bytes", each.bytes}});
  return llvm::json::Object{{"kind", "litertlm"},
                            {"file", fixUTF8(name)},
                            {"container", "LiteRT-LM"},
                            {"version", versionOf(file)},
                            {"bytes", static_cast<int64_t>(file.bytes)},
                            {"sections", std::move(sections)},
                            {"constants", std::move(constants)}};
}

void printLitertlm(llvm::raw_ostream &out, const LitertlmFile &file, llvm::StringRef name) {
  out << name << ": LiteRT-LM " << versionOf(file) << ", " << file.header.sections.size()
      << " sections, " << humanBytes(static_cast<int64_t>(file.bytes)) << "\n";
  for (const LitertlmSection &section : file.header.sections)
    out << llvm::format("  %-20s %-28s %11s\n", sectionTypeName(section.type).str().c_str(),
                        section.model().empty() ? "-" : inQuotes(section.model()).c_str(),
                        humanBytes(static_cast<int64_t>(section.end - section.begin)).c_str());
  out << llvm::format("\n  %-28s %-21s %-10s %-8s %7s %14s %11s\n", "model", "class", "stored as",
                      "kept as", "tensors", "parameters", "bytes");
  for (const LitertlmClass &each : classesOf(file)) {
    out << llvm::format("  %-28s %-21s %-10s %-8s %7lld %14lld %11s", inQuotes(each.model).c_str(),
                        each.role.c_str(), each.format.c_str(),
                        each.kept.empty() ? "-" : each.kept.c_str(), (long long)each.tensors,
                        (long long)each.parameters, humanBytes(each.bytes).c_str());
    out << (each.unread.empty() ? "" : "  not read: " + each.unread) << "\n";
  }
}

} // namespace gcompile
