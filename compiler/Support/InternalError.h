// Errors that only a fault of gcompile itself can cause: its exit code is 4, whatever it was doing.
#pragma once

#include "llvm/ADT/Twine.h"
#include "llvm/Support/Error.h"

#include <string>

namespace gcompile {

class InternalError : public llvm::ErrorInfo<InternalError> {
public:
  static char ID;
  explicit InternalError(const llvm::Twine &what) : what(what.str()) {}
  void log(llvm::raw_ostream &out) const override;
  std::error_code convertToErrorCode() const override { return llvm::inconvertibleErrorCode(); }

private:
  std::string what;
};

// `what` says what went wrong; "(a bug of gcompile)" is added.
llvm::Error internalError(const llvm::Twine &what);

// The same error with `where: ` in front; its class stays.
llvm::Error withContext(const llvm::Twine &where, llvm::Error error);

} // namespace gcompile
