#include "compiler/Import/Coded/CodedModules.h"

#include "compiler/Import/Coded/ScaleRows.h"
#include "compiler/Import/ExpertStacks.h"

#include <cmath>

using llvm::Error;
using llvm::Expected;
using llvm::StringRef;
using llvm::Twine;

namespace gcompile {

const TensorInfo *CodedModule::part(StringRef suffix) const {
  auto found = parts.find(std::string_view(suffix));
  return found == parts.end() ? nullptr : found->second;
}

Error moduleError(const CodedModule &module, const Twine &what) {
  return importError("module " + inQuotes(module.name) + ": " + what);
}

std::string describeTensor(const TensorInfo &tensor) {
  return inQuotes(tensor.name) + " is " + tensorTypeName(tensor.type).str() + " " +
         shapeString(tensor.shape);
}

CodedBuilder::CodedBuilder(std::unique_ptr<Checkpoint> raw, llvm::ArrayRef<TensorSpec> expected)
    : checkpoint(std::make_unique<CodedCheckpoint>(std::move(raw))) {
  for (const TensorSpec &spec : expected) {
    expectedShapes[spec.name] = spec.shape;
    if (spec.role == TensorRole::Embedding)
      expectedShapes["lm_head.weight"] = spec.shape;
  }
  std::map<std::string, size_t, std::less<>> byName;
  for (const TensorInfo &tensor : this->raw().tensors()) {
    // An empty tensor may state any other extent.
    if (tensor.bytes == 0)
      continue;
    StringRef name = tensor.name;
    // bitsandbytes puts its parts behind ".weight."
    size_t at = name.find(".weight.");
    if (at == StringRef::npos)
      at = name.rfind('.');
    StringRef module = at == StringRef::npos ? "" : name.take_front(at);
    StringRef suffix = at == StringRef::npos ? name : name.drop_front(at + 1);
    auto [position, isNew] = byName.try_emplace(module.str(), moduleList.size());
    if (isNew)
      moduleList.push_back({module.str(), {}});
    moduleList[position->second].parts[suffix.str()] = &tensor;
  }
}

std::optional<llvm::SmallVector<int64_t, 4>> CodedBuilder::expectedShape(StringRef name) const {
  if (isTowerTensor(name))
    return std::nullopt;
  std::optional<ExpertPart> part = expertPartOf(name);
  auto found =
      expectedShapes.find(std::string_view(textTensorName(part ? StringRef(part->stack) : name)));
  if (found == expectedShapes.end())
    return std::nullopt;
  return part ? expertPartShape(*part, found->second) : found->second;
}

void CodedBuilder::consume(const TensorInfo *tensor) {
  if (tensor)
    consumed.insert(tensor);
}

Error CodedBuilder::add(const CodedModule &module, CodedTensor tensor, std::string name) {
  tensor.module = module.name;
  if (name.empty())
    name = module.name + ".weight";
  for (const TensorInfo *part :
       {tensor.codes, static_cast<const TensorInfo *>(tensor.scales.tensor),
        tensor.scales.nestedTable, tensor.scales.nestedScale, tensor.biases.tensor,
        tensor.zeros.tensor, tensor.groupIndex})
    consume(part);
  int64_t rows = tensor.rows, columns = tensor.columns;
  if (textTensorName(name) == canonicalTensorName(TensorRole::PerLayerTable))
    if (auto norm = expectedShapes.find(canonicalTensorName(TensorRole::PerLayerProjectionNorm));
        norm != expectedShapes.end() && columns % norm->second[0] == 0)
      tensor.sliceColumns = norm->second[0];
  ++coded;
  llvm::SmallVector<int64_t, 4> shape{rows, columns};
  // Stacked matrices: the codes of all experts in one tensor.
  if (auto expected = expectedShape(name); expected && expected->size() == 3 &&
                                           expected->back() == columns &&
                                           (*expected)[0] * (*expected)[1] == rows)
    shape = *expected;
  return checkpoint->addCoded(std::move(name), shape, std::move(tensor));
}

Expected<std::optional<float>> CodedBuilder::scalar(const TensorInfo *tensor) {
  if (!tensor)
    return std::nullopt;
  bool isFloat = tensor->type == TensorType::F32 || tensor->type == TensorType::BF16 ||
                 tensor->type == TensorType::F16;
  if (!isFloat || tensor->elements() != 1)
    return importError("tensor " + describeTensor(*tensor) + ", expected one float");
  consume(tensor);
  std::vector<float> value;
  ScaleGrid grid;
  grid.tensor = tensor;
  grid.type = tensor->type;
  if (Error error = readGrid(raw(), grid, 1, 0, 1, value))
    return std::move(error);
  return value[0];
}

Error CodedBuilder::takeScales(const CodedModule &module, StringRef input, StringRef output,
                               Int8Codes int8) {
  StaticScales scales;
  for (auto [suffix, target, isInt8] : {std::tuple(input, &scales.input, int8.input),
                                        std::tuple(output, &scales.output, int8.output)}) {
    if (suffix.empty())
      continue;
    Expected<std::optional<float>> value = scalar(module.part(suffix));
    if (!value)
      return value.takeError();
    if (*value && **value < 0)
      return moduleError(module,
                         suffix + " is " + std::to_string(**value) + ", expected at least 0");
    if (*value && **value != 0 && isInt8) // 0: not calibrated, no rounding
      *target = **value;
  }
  if (scales.input || scales.output)
    checkpoint->setActivationScales(module.name + ".weight", scales);
  return Error::success();
}

Error CodedBuilder::takeCacheScales(CacheCodes codes) {
  for (const CodedModule &module : moduleList) {
    if (isTowerTensor(module.name + "."))
      continue;
    for (auto [suffix, isKey] :
         {std::pair("k_cache_scale", true), std::pair("v_cache_scale", false),
          std::pair("k_scale", true), std::pair("v_scale", false)}) {
      Expected<std::optional<float>> value = scalar(module.part(suffix));
      if (!value)
        return value.takeError();
      if (!*value || **value == 0 || codes == CacheCodes::Other)
        continue;
      if (**value < 0)
        return moduleError(module, std::string(suffix) + " is " + std::to_string(**value) +
                                       ", expected at least 0");
      CacheScales scales;
      (isKey ? scales.key : scales.value) = **value;
      checkpoint->setCacheScales(module.name, scales, codes);
    }
  }
  return Error::success();
}

Expected<std::unique_ptr<Checkpoint>> CodedBuilder::finish() {
  for (const TensorInfo &tensor : raw().tensors())
    if (!consumed.count(&tensor))
      if (Error error = checkpoint->addPlain(tensor, tensor.name))
        return std::move(error);
  return std::move(checkpoint);
}

namespace {

// Walks valid JSON; every method starts at the first character of what it handles.
class KeyWalker {
public:
  explicit KeyWalker(StringRef text) : text(text) {}

  std::vector<std::string> keys(llvm::ArrayRef<StringRef> path) {
    std::vector<std::string> found;
    skipSpace();
    object([&](const std::string &key) {
      if (path.empty()) {
        found.push_back(key);
      } else if (key == path.front() && next() == '{') {
        found = keys(path.drop_front());
        return true;
      }
      return false;
    });
    return found;
  }

private:
  char next() const { return at < text.size() ? text[at] : '\0'; }
  void skipSpace() {
    while (at < text.size() && StringRef(" \t\r\n").contains(text[at]))
      ++at;
  }
  std::string string() {
    size_t begin = at++;
    while (at < text.size() && text[at] != '"')
      at += text[at] == '\\' ? 2 : 1;
    ++at;
    auto value = llvm::json::parse(text.slice(begin, at));
    if (!value) {
      llvm::consumeError(value.takeError());
      return "";
    }
    return value->getAsString().value_or("").str();
  }
  // `visit` returns whether it walked over the value itself.
  template <typename Visit>
  void object(Visit visit) {
    if (next() != '{')
      return;
    ++at;
    for (skipSpace(); next() == '"'; skipSpace()) {
      std::string key = string();
      skipSpace();
      ++at; // ':'
      skipSpace();
      if (!visit(key))
        value();
      skipSpace();
      if (next() == ',')
        ++at;
    }
    ++at;
  }
  // Strings are skipped whole, so that brackets in them do not count.
  void value() {
    size_t depth = 0;
    while (at < text.size()) {
      char c = next();
      if (c == '"') {
        string();
        if (depth == 0)
          return;
        continue;
      }
      if (c == '{' || c == '[')
        ++depth;
      else if (c == '}' || c == ']') {
        if (depth == 0)
          return; // of the object around
        if (--depth == 0) {
          ++at;
          return;
        }
      } else if (c == ',' && depth == 0)
        return;
      ++at;
    }
  }

  StringRef text;
  size_t at = 0;
};

} // namespace

std::vector<std::string> keysInOrder(StringRef text, llvm::ArrayRef<StringRef> path) {
  return KeyWalker(text).keys(path);
}

} // namespace gcompile
