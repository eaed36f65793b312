#include "compiler/Import/TokenizerBuilder.h"

#include "compiler/Import/HostileJson.h"

#include "llvm/ADT/StringExtras.h"

using llvm::Error;
using llvm::Expected;
using llvm::StringRef;
using llvm::Twine;

namespace gcompile {

Error TokenizerBuilder::put(uint32_t id, StringRef piece) {
  if (piece.empty())
    return importError(what + ": id " + Twine(id) + " has an empty piece");
  if (id >= data.pieces.size()) {
    data.pieces.resize(id + 1);
    known.resize(id + 1);
  }
  if (known[id])
    return importError(what + ": id " + Twine(id) + " belongs to both " +
                       inQuotes(data.pieces[id]) + " and " + inQuotes(piece));
  auto [earlier, isNew] = ids.try_emplace(piece, id);
  if (!isNew)
    return importError(what + ": piece " + inQuotes(piece) + " has both id " +
                       Twine(earlier->second) + " and id " + Twine(id));
  known[id] = true;
  data.pieces[id] = piece.str();
  return Error::success();
}

std::optional<uint32_t> TokenizerBuilder::find(StringRef piece) const {
  auto found = ids.find(piece);
  return found == ids.end() ? std::nullopt : std::optional(found->second);
}

Error TokenizerBuilder::checkComplete() const {
  for (size_t id = 0; id < data.pieces.size(); ++id)
    if (!known[id])
      return importError(what + ": id " + Twine(id) + " has no piece, though " +
                         Twine(data.pieces.size() - 1) + " has");
  return Error::success();
}

void TokenizerBuilder::reserveMerges(size_t count) {
  data.merges.reserve(count);
  data.merged.reserve(count);
  seen.reserve(static_cast<unsigned>(count));
}

std::pair<StringRef, StringRef> TokenizerBuilder::splitPair(StringRef text) {
  size_t space = text.find(' ', 1);
  if (space == StringRef::npos)
    return {};
  return {text.take_front(space), text.drop_front(space + 1)};
}

Error TokenizerBuilder::addMerge(StringRef left, StringRef right) {
  size_t rank = data.merges.size();
  std::string joined = (left + right).str();
  uint32_t parts[3];
  StringRef texts[3] = {left, right, joined};
  for (int i = 0; i < 3; ++i) {
    std::optional<uint32_t> id = find(texts[i]);
    if (!id)
      return importError(what + ": merge " + Twine(rank) + " of " + inQuotes(left) + " and " +
                         inQuotes(right) + " needs the piece " + inQuotes(texts[i]) +
                         ", which is not in the vocabulary");
    parts[i] = *id;
  }
  auto [earlier, isNew] = seen.try_emplace({parts[0], parts[1]}, rank);
  if (!isNew)
    return importError(what + ": merge " + Twine(rank) + " of " + inQuotes(left) + " and " +
                       inQuotes(right) + " repeats merge " + Twine(earlier->second));
  data.merges.emplace_back(parts[0], parts[1]);
  data.merged.push_back(parts[2]);
  return Error::success();
}

Expected<TokenizerData> TokenizerBuilder::finish() {
  for (int byte = 0; byte < 256; ++byte) {
    std::string piece = "<0x" + llvm::utohexstr(byte, false, 2) + ">";
    std::optional<uint32_t> id = find(piece);
    if (!id)
      return importError(what + ": byte fallback needs the piece " + inQuotes(piece) +
                         ", which is not in the vocabulary");
    data.byteTokens[byte] = static_cast<int32_t>(*id);
  }
  return std::move(data);
}

} // namespace gcompile
