// Reading protobuf text from files that anybody may have written.
#pragma once

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

namespace google::protobuf {
class Message;
}

namespace gcompile {

// Fills `message`. The error is one line: "LINE:COLUMN: what". Refuses more than `largest` bytes,
// unknown fields and deep nesting; nothing is printed.
llvm::Error parseTextProto(llvm::StringRef text, google::protobuf::Message &message,
                           size_t largest);

} // namespace gcompile
