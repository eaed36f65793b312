#include "compiler/Support/InternalError.h"

#include "llvm/Support/raw_ostream.h"

namespace gcompile {

char InternalError::ID = 0;

void InternalError::log(llvm::raw_ostream &out) const { out << what; }

llvm::Error internalError(const llvm::Twine &what) {
  return llvm::make_error<InternalError>(what + " (a bug of gcompile)");
}

llvm::Error withContext(const llvm::Twine &where, llvm::Error error) {
  bool internal = error.isA<InternalError>();
  std::string text = (where + ": " + llvm::toString(std::move(error))).str();
  if (internal)
    return llvm::make_error<InternalError>(text);
  return llvm::createStringError(text);
}

} // namespace gcompile
