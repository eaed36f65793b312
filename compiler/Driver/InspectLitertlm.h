// What a LiteRT-LM file holds: sections, and the constants of its models by what they are, how they
// are stored and what they would be kept as.
#pragma once

#include "compiler/Import/LiteRt/Litertlm.h"

#include "llvm/Support/JSON.h"
#include "llvm/Support/raw_ostream.h"

namespace gcompile {

// Constants of one model that stand for the same thing and are stored alike.
struct LitertlmClass {
  std::string model, role, format;
  std::string kept;   // our weight format of the same grid; empty: none
  std::string unread; // why values cannot be read; empty: they can
  int64_t tensors = 0, parameters = 0, bytes = 0;
};
std::vector<LitertlmClass> classesOf(const LitertlmFile &file);

llvm::json::Object litertlmJson(const LitertlmFile &file, llvm::StringRef name);
void printLitertlm(llvm::raw_ostream &out, const LitertlmFile &file, llvm::StringRef name);

} // namespace gcompile
