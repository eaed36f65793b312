// Messages and output files.
#include "compiler/Driver/Commands.h"
#include "compiler/Support/InternalError.h"
#include "compiler/Support/KeptFile.h"

#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"

#include <cstdlib>

namespace gcompile {

ExitCode failWith(ExitCode code, const std::string &message) {
  // One line, whatever a file name or a parser put into it.
  std::string line = message;
  for (char &character : line)
    if (character == '\n' || character == '\r')
      character = ' ';
  llvm::errs() << "gcompile: error: " << line << "\n";
  return code;
}

ExitCode failWith(ExitCode code, llvm::Error error) {
  if (error.isA<InternalError>())
    code = ExitCode::OurBug;
  return failWith(code, llvm::toString(std::move(error)));
}

void printJson(llvm::json::Object object) {
  llvm::outs() << llvm::formatv("{0:2}", llvm::json::Value(std::move(object))) << "\n";
}

ReportStyle terminalStyle() {
  auto variable = [](const char *name) {
    const char *value = std::getenv(name);
    return llvm::StringRef(value ? value : "");
  };
  ReportStyle style;
  llvm::StringRef terminal = variable("TERM");
  if (!llvm::outs().is_displayed() || terminal.empty() || terminal == "dumb")
    return style;
  // The first that is set decides, as in setlocale(3).
  llvm::StringRef locale;
  for (const char *name : {"LC_ALL", "LC_CTYPE", "LANG"})
    if (locale.empty())
      locale = variable(name);
  style.unicode = locale.contains_insensitive("utf-8") || locale.contains_insensitive("utf8");
  style.colour = variable("NO_COLOR").empty(); // no-color.org
  return style;
}

void printNote(const CommandContext &context, const std::string &message) {
  if (!context.invocation.quiet)
    llvm::errs() << "gcompile: note: " << message << "\n";
}

llvm::Error checkOutputFolder(llvm::StringRef path) {
  llvm::StringRef folder = llvm::sys::path::parent_path(path);
  if (path.empty() || path == "-" || folder.empty())
    return llvm::Error::success();
  if (!llvm::sys::fs::is_directory(folder))
    return llvm::createStringError("cannot write '" + path + "': there is no folder '" + folder +
                                   "'");
  return llvm::Error::success();
}

llvm::Error writeOutput(llvm::StringRef path, llvm::StringRef content) {
  if (path == "-") {
    llvm::outs() << content;
    return llvm::Error::success();
  }
  if (llvm::Error error = replaceFile(path, content))
    return llvm::createStringError("cannot write " + llvm::toString(std::move(error)));
  return llvm::Error::success();
}

} // namespace gcompile
