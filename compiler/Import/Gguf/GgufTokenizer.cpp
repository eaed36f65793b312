#include "compiler/Import/Gguf/GgufModel.h"

#include "compiler/Import/HostileJson.h"
#include "compiler/Import/TokenizerBuilder.h"

#include "llvm/ADT/STLExtras.h"

using llvm::Error;
using llvm::Expected;
using llvm::StringRef;
using llvm::Twine;

namespace gcompile {

namespace {

// tokenizer.ggml.token_type
enum TokenKind : int64_t { Normal = 1, Unknown, Control, UserDefined, Unused, Byte };

// Converters mark these as the user's own so that llama.cpp prints them for its parser of answers;
// in the checkpoint's tokenizer.json they are special.
constexpr StringRef printedSpecials[] = {"<|channel>",   "<channel|>",       "<|tool_call>",
                                         "<tool_call|>", "<|tool_response>", "<tool_response|>",
                                         "<|\"|>"};

constexpr StringRef prefix = "tokenizer.ggml.";

Expected<const GgufValue *> arrayOf(const GgufHeader &header, StringRef key, bool ofTexts,
                                    StringRef what) {
  const GgufValue *value = header.find((prefix + key).str());
  if (!value || !value->isArray ||
      (ofTexts ? value->type != GgufValueType::String : !value->isInteger()))
    return importError(what + ": key " + prefix + key + " is not a list of " +
                       (ofTexts ? "texts" : "whole numbers"));
  return value;
}

} // namespace

Expected<std::optional<TokenizerData>> ggufTokenizer(const GgufHeader &header, int64_t vocabulary,
                                                     StringRef what) {
  StringRef model = header.text("tokenizer.ggml.model");
  if (!header.find("tokenizer.ggml.model") || model == "no_vocab" || model == "none")
    return std::nullopt;
  if (model != "gemma4")
    return importError(what + " has a tokenizer of the kind " + inQuotes(model) +
                       ", supported is 'gemma4'; convert the original again with a current "
                       "convert_hf_to_gguf.py");
  Expected<const GgufValue *> tokens = arrayOf(header, "tokens", true, what);
  if (!tokens)
    return tokens.takeError();
  Expected<const GgufValue *> types = arrayOf(header, "token_type", false, what);
  if (!types)
    return types.takeError();
  Expected<const GgufValue *> merges = arrayOf(header, "merges", true, what);
  if (!merges)
    return merges.takeError();
  size_t count = (*tokens)->size();
  if (count > static_cast<size_t>(vocabulary) || (*types)->size() != count)
    return importError(what + " has " + Twine(count) + " tokens and " + Twine((*types)->size()) +
                       " types of tokens, expected as many, and at most " + Twine(vocabulary) +
                       " (the rows of the embedding)");
  const GgufValue *space = header.find("tokenizer.ggml.add_space_prefix");
  if (space && !space->isArray && space->isInteger() && space->integers[0] != 0)
    return importError(what + ": tokenizer.ggml.add_space_prefix is set, which Gemma 4 has not");

  TokenizerBuilder builder(what);
  for (size_t id = 0; id < count; ++id) {
    StringRef piece = (*tokens)->string(id);
    int64_t kind = (*types)->integers[id];
    if (kind < Normal || kind > Byte)
      return importError(what + ": token " + Twine(id) + " has type " + Twine(kind) +
                         ", expected 1 to 6");
    if (Error error = builder.put(static_cast<uint32_t>(id), piece))
      return std::move(error);
    if (kind == Control || kind == UserDefined || kind == Unknown)
      builder.data.added.push_back(
          {static_cast<uint32_t>(id), piece.str(),
           kind != UserDefined || llvm::is_contained(printedSpecials, piece)});
  }
  builder.reserveMerges((*merges)->size());
  for (size_t rank = 0; rank < (*merges)->size(); ++rank) {
    auto [left, right] = TokenizerBuilder::splitPair((*merges)->string(rank));
    if (left.empty() || right.empty())
      return importError(what + ": merge " + Twine(rank) + " is not a pair of pieces");
    if (Error error = builder.addMerge(left, right))
      return std::move(error);
  }
  if (const GgufValue *unknown = header.find("tokenizer.ggml.unknown_token_id");
      unknown && !unknown->isArray && unknown->isInteger()) {
    if (unknown->integers[0] < 0 || unknown->integers[0] >= static_cast<int64_t>(count))
      return importError(what + ": tokenizer.ggml.unknown_token_id is " +
                         Twine(unknown->integers[0]) + ", there are " + Twine(count) + " tokens");
    builder.data.unknown = static_cast<int32_t>(unknown->integers[0]);
  }
  Expected<TokenizerData> data = builder.finish();
  if (!data)
    return data.takeError();
  return std::optional<TokenizerData>(std::move(*data));
}

} // namespace gcompile
