#include "compiler/Support/TextProto.h"

#include "llvm/ADT/Twine.h"

#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/text_format.h>
#include <string>

namespace gcompile {
namespace {

// Keeps the first error as a value; by default protobuf prints all of them.
class FirstError final : public google::protobuf::io::ErrorCollector {
public:
  void AddError(int line, google::protobuf::io::ColumnNumber column,
                const std::string &message) override {
    if (text.empty())
      text = (llvm::Twine(line + 1) + ":" + llvm::Twine(column + 1) + ": " + message).str();
  }
  std::string text;
};

} // namespace

llvm::Error parseTextProto(llvm::StringRef text, google::protobuf::Message &message,
                           size_t largest) {
  if (text.size() > largest)
    return llvm::createStringError("larger than " + llvm::Twine(largest >> 20) + " MiB");
  google::protobuf::TextFormat::Parser parser;
  FirstError error;
  parser.RecordErrorsTo(&error);
  parser.SetRecursionLimit(20);
  if (!parser.ParseFromString(text.str(), &message))
    return llvm::createStringError(error.text);
  return llvm::Error::success();
}

} // namespace gcompile
