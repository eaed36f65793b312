// Reads tokenizer.json into TokenizerData. The pipeline around the BPE model is compared with
// Gemma's: the runtime has exactly that one, so any other has to be refused rather than tokenized
// wrongly.
#include "compiler/Import/HostileJson.h"
#include "compiler/Import/TokenizerBuilder.h"

#include <algorithm>

using llvm::Error;
using llvm::Expected;
using llvm::StringRef;
using llvm::Twine;
using llvm::json::Array;
using llvm::json::Object;
using llvm::json::Value;

namespace gcompile {

namespace {

constexpr StringRef file = "tokenizer.json";
constexpr StringRef spaceMark = "\xe2\x96\x81"; // U+2581
constexpr size_t maxPieces = size_t{1} << 24;
constexpr size_t maxBytes = size_t{1} << 28;

bool isNullOrAbsent(const Object &object, StringRef key) {
  const Value *value = object.get(key);
  return !value || value->kind() == Value::Null;
}

StringRef typeOf(const Object &object) { return object.getString("type").value_or(""); }

// A step of the kind {"type": "Replace", "pattern": {"String": from}, "content": to}.
bool isReplace(const Object &step, StringRef from, StringRef to) {
  const Object *pattern = step.getObject("pattern");
  return typeOf(step) == "Replace" && pattern && pattern->getString("String") == from &&
         step.getString("content") == to;
}

// The steps of a Sequence, or the step itself; none for null.
Expected<std::vector<const Object *>> stepsOf(const Object &root, StringRef key,
                                              StringRef listKey) {
  std::vector<const Object *> steps;
  if (isNullOrAbsent(root, key))
    return steps;
  const Object *top = root.getObject(key);
  if (!top)
    return importError(file + ": " + key + " is not an object");
  if (typeOf(*top) != "Sequence") {
    steps.push_back(top);
    return steps;
  }
  const Array *list = top->getArray(listKey);
  if (!list)
    return importError(file + ": " + key + " is a Sequence without " + listKey);
  for (const Value &step : *list) {
    if (!step.getAsObject())
      return importError(file + ": " + key + " has a step that is not an object");
    steps.push_back(step.getAsObject());
  }
  return steps;
}

Error checkPipeline(const Object &root) {
  auto normalizer = stepsOf(root, "normalizer", "normalizers");
  if (!normalizer)
    return normalizer.takeError();
  if (normalizer->size() != 1 || !isReplace(*normalizer->front(), " ", spaceMark))
    return importError(file + ": normalizer " +
                       inQuotes(normalizer->empty() ? "null" : typeOf(*normalizer->front())) +
                       " is not supported; supported is Gemma's, which replaces ' ' by U+2581");

  // After the normaliser no space is left to split at, so this one step does nothing; any other
  // would.
  auto splitter = stepsOf(root, "pre_tokenizer", "pretokenizers");
  if (!splitter)
    return splitter.takeError();
  for (const Object *step : *splitter) {
    const Object *pattern = step->getObject("pattern");
    if (typeOf(*step) != "Split" || !pattern || pattern->getString("String") != StringRef(" ") ||
        step->getBoolean("invert").value_or(false))
      return importError(file + ": pre_tokenizer " + inQuotes(typeOf(*step)) +
                         " is not supported; supported are none and Gemma's split at ' '");
  }

  auto decoder = stepsOf(root, "decoder", "decoders");
  if (!decoder)
    return decoder.takeError();
  std::string found;
  for (const Object *step : *decoder)
    found += (found.empty() ? "" : ", ") + typeOf(*step).str();
  bool expected = decoder->size() == 3 && isReplace(*(*decoder)[0], spaceMark, " ") &&
                  typeOf(*(*decoder)[1]) == "ByteFallback" && typeOf(*(*decoder)[2]) == "Fuse";
  if (!expected)
    return importError(file + ": decoder " + inQuotes(found) +
                       " is not supported; supported is Gemma's Replace, ByteFallback, Fuse");
  return Error::success();
}

Error checkModel(const Object &model) {
  if (typeOf(model) != "BPE" && !isNullOrAbsent(model, "type"))
    return importError(file + ": model " + inQuotes(typeOf(model)) +
                       " is not supported; supported is BPE");
  if (!model.getBoolean("byte_fallback").value_or(false))
    return importError(file + ": byte_fallback is off; supported is BPE with byte fallback");
  if (model.getBoolean("ignore_merges").value_or(false))
    return importError(file + ": ignore_merges is on, which is not supported");
  for (StringRef key : {"continuing_subword_prefix", "end_of_word_suffix"})
    if (!isNullOrAbsent(model, key) && model.getString(key) != StringRef(""))
      return importError(file + ": " + key + " is set, which is not supported");
  if (!isNullOrAbsent(model, "dropout") && model.getNumber("dropout") != 0.0)
    return importError(file + ": dropout is set, which is not supported");
  return Error::success();
}

class Reader {
public:
  Reader(int64_t vocabulary)
      : limit(vocabulary > 0 ? static_cast<size_t>(vocabulary) : maxPieces) {}

  Expected<TokenizerData> read(const Object &root) {
    const Object *model = root.getObject("model");
    if (!model)
      return importError(file + ": there is no model");
    if (Error error = checkPipeline(root))
      return std::move(error);
    if (Error error = checkModel(*model))
      return std::move(error);
    if (Error error = readVocabulary(*model))
      return std::move(error);
    if (Error error = readAdded(root))
      return std::move(error);
    if (Error error = builder.checkComplete())
      return std::move(error);
    if (Error error = readMerges(*model))
      return std::move(error);
    if (std::optional<StringRef> unknown = model->getString("unk_token")) {
      std::optional<uint32_t> id = builder.find(*unknown);
      if (!id)
        return importError(file + ": unk_token " + inQuotes(*unknown) +
                           " is not in the vocabulary");
      builder.data.unknown = static_cast<int32_t>(*id);
    }
    return builder.finish();
  }

private:
  Expected<uint32_t> idOf(const Value *value, StringRef piece) {
    std::optional<int64_t> id = value ? value->getAsInteger() : std::nullopt;
    if (!id || *id < 0 || static_cast<uint64_t>(*id) >= limit)
      return importError(file + ": piece " + inQuotes(piece) + " has " +
                         (id ? "id " + std::to_string(*id) : std::string("no integer id")) +
                         ", expected ids from 0 to " + Twine(limit - 1));
    return static_cast<uint32_t>(*id);
  }

  Error readVocabulary(const Object &model) {
    const Object *vocabulary = model.getObject("vocab");
    if (!vocabulary || vocabulary->empty())
      return importError(file + ": the model has no vocab");
    for (const auto &[piece, value] : *vocabulary) {
      Expected<uint32_t> id = idOf(&value, piece);
      if (!id)
        return id.takeError();
      // An id far above the count would cost memory before the hole is found.
      if (*id >= vocabulary->size() + maxAdded)
        return importError(file + ": piece " + inQuotes(StringRef(piece)) + " has id " +
                           Twine(*id) + " in a vocabulary of " + Twine(vocabulary->size()));
      if (Error error = builder.put(*id, piece))
        return error;
    }
    return Error::success();
  }

  Error readAdded(const Object &root) {
    if (isNullOrAbsent(root, "added_tokens"))
      return Error::success();
    const Array *list = root.getArray("added_tokens");
    if (!list || list->size() > maxAdded)
      return importError(file + ": added_tokens is not a list of at most " + Twine(maxAdded));
    for (const Value &entry : *list) {
      const Object *object = entry.getAsObject();
      std::optional<StringRef> content =
          object ? object->getString("content") : std::optional<StringRef>();
      if (!content || content->empty())
        return importError(file + ": added_tokens has an entry without content");
      Expected<uint32_t> id = idOf(object->get("id"), *content);
      if (!id)
        return id.takeError();
      for (StringRef flag : {"lstrip", "rstrip", "single_word"})
        if (object->getBoolean(flag).value_or(false))
          return importError(file + ": added token " + inQuotes(*content) + " has " + flag +
                             ", which is not supported");
      std::optional<uint32_t> found = builder.find(*content);
      if (found && *found != *id)
        return importError(file + ": added token " + inQuotes(*content) + " has id " + Twine(*id) +
                           ", in the vocabulary it has " + Twine(*found));
      if (!found) {
        if (*id >= builder.data.pieces.size() + maxAdded)
          return importError(file + ": added token " + inQuotes(*content) + " has id " +
                             Twine(*id) + " after a vocabulary of " +
                             Twine(builder.data.pieces.size()));
        if (Error error = builder.put(*id, *content))
          return error;
      }
      builder.data.added.push_back(
          {*id, content->str(), object->getBoolean("special").value_or(false)});
    }
    std::vector<SpecialToken> &added = builder.data.added;
    std::sort(added.begin(), added.end(),
              [](const SpecialToken &a, const SpecialToken &b) { return a.id < b.id; });
    for (size_t i = 1; i < added.size(); ++i)
      if (added[i].id == added[i - 1].id)
        return importError(file + ": added token " + inQuotes(added[i].content) +
                           " is listed twice");
    return Error::success();
  }

  // "left right" or ["left", "right"].
  Error splitMerge(const Value &entry, size_t rank, StringRef &left, StringRef &right) {
    if (std::optional<StringRef> text = entry.getAsString())
      std::tie(left, right) = TokenizerBuilder::splitPair(*text);
    else if (const Array *pair = entry.getAsArray(); pair && pair->size() == 2) {
      left = (*pair)[0].getAsString().value_or("");
      right = (*pair)[1].getAsString().value_or("");
    }
    if (left.empty() || right.empty())
      return importError(file + ": merge " + Twine(rank) + " is not a pair of pieces");
    return Error::success();
  }

  Error readMerges(const Object &model) {
    const Array *list = model.getArray("merges");
    if (!list)
      return importError(file + ": the model has no merges");
    builder.reserveMerges(list->size());
    for (size_t rank = 0; rank < list->size(); ++rank) {
      StringRef left, right;
      if (Error error = splitMerge((*list)[rank], rank, left, right))
        return error;
      if (Error error = builder.addMerge(left, right))
        return error;
    }
    return Error::success();
  }

  static constexpr size_t maxAdded = 1 << 16;
  size_t limit;
  TokenizerBuilder builder{file};
};

} // namespace

Expected<TokenizerData> parseTokenizerJson(StringRef text, int64_t vocabulary) {
  Expected<Value> value = parseHostileJson(text, file, {maxBytes, 32, JsonNumbers::Any});
  if (!value)
    return value.takeError();
  const Object *root = value->getAsObject();
  if (!root)
    return importError(file + ": expected an object");
  return Reader(vocabulary).read(*root);
}

} // namespace gcompile
