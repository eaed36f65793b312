// Collects pieces and merges of a tokenizer into TokenizerData and checks them, whatever file they
// come from: ids without holes, merges of known pieces, every byte has a piece.
#pragma once

#include "compiler/Import/TokenizerData.h"

#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/StringMap.h"

#include <optional>

namespace gcompile {

class TokenizerBuilder {
public:
  explicit TokenizerBuilder(llvm::StringRef what) : what(what) {} // names the file in messages

  // The caller bounds `id`, up to which memory is taken.
  llvm::Error put(uint32_t id, llvm::StringRef piece);
  std::optional<uint32_t> find(llvm::StringRef piece) const;
  llvm::Error checkComplete() const; // no id without a piece; before merges

  void reserveMerges(size_t count);
  llvm::Error addMerge(llvm::StringRef left, llvm::StringRef right); // in order of rank

  // "left right", cut at the first space that leaves something on the left; empty: no pair.
  static std::pair<llvm::StringRef, llvm::StringRef> splitPair(llvm::StringRef text);

  // Finds the pieces of bytes. The builder is empty afterwards.
  llvm::Expected<TokenizerData> finish();

  TokenizerData data; // fields that need no checking are set here

private:
  std::string what;
  std::vector<bool> known;
  llvm::StringMap<uint32_t> ids;
  llvm::DenseMap<std::pair<uint32_t, uint32_t>, size_t> seen; // pairs -> rank
};

} // namespace gcompile
