#include "compiler/Support/KeptFile.h"

#include "llvm/ADT/SmallString.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/Support/xxhash.h"

#include <cstdlib>

namespace gcompile {

std::string cacheFolder() {
  if (const char *folder = std::getenv("GCOMPILE_CACHE"); folder && *folder)
    return folder;
  llvm::SmallString<256> path;
  if (const char *cache = std::getenv("XDG_CACHE_HOME"); cache && *cache == '/')
    path = cache;
  else if (const char *home = std::getenv("HOME"); home && *home == '/')
    llvm::sys::path::append(path, home, ".cache");
  else
    return "";
  llvm::sys::path::append(path, "gcompile");
  return std::string(path);
}

std::string hashOf(llvm::StringRef text) {
  llvm::XXH128_hash_t sum =
      llvm::xxh3_128bits({reinterpret_cast<const uint8_t *>(text.data()), text.size()});
  return llvm::utohexstr(sum.high64, /*LowerCase=*/true, 16) +
         llvm::utohexstr(sum.low64, /*LowerCase=*/true, 16);
}

llvm::Expected<std::string> readKeptFile(llvm::StringRef path, uint64_t mostBytes) {
  llvm::sys::fs::file_status status;
  if (std::error_code error = llvm::sys::fs::status(path, status))
    return llvm::createStringError("'" + path + "': " + error.message());
  if (status.type() != llvm::sys::fs::file_type::regular_file || status.getSize() > mostBytes)
    return llvm::createStringError("'" + path + "' is no file of at most " +
                                   llvm::Twine(mostBytes >> 10) + " KiB");
  auto buffer = llvm::MemoryBuffer::getFile(path);
  if (!buffer)
    return llvm::createStringError("'" + path + "': " + buffer.getError().message());
  return (*buffer)->getBuffer().str();
}

static llvm::Error failed(llvm::StringRef path, const std::string &why) {
  return llvm::createStringError("'" + path + "': " + why);
}

llvm::Error replaceFile(llvm::StringRef path, llvm::StringRef content) {
  llvm::SmallString<256> model(path);
  model += ".tmp-%%%%%%%%";
  llvm::Expected<llvm::sys::fs::TempFile> file = llvm::sys::fs::TempFile::create(model);
  if (!file)
    return failed(path, llvm::toString(file.takeError()));
  llvm::raw_fd_ostream out(file->FD, /*shouldClose=*/false);
  out << content;
  out.flush();
  std::string why;
  if (out.has_error()) {
    why = out.error().message();
    out.clear_error(); // else the stream ends the program
  } else if (llvm::Error error = file->keep(path)) {
    why = llvm::toString(std::move(error));
  } else {
    return llvm::Error::success();
  }
  llvm::consumeError(file->discard());
  return failed(path, why);
}

llvm::Error writeKeptFile(llvm::StringRef path, llvm::StringRef text) {
  if (std::error_code error = llvm::sys::fs::create_directories(llvm::sys::path::parent_path(path)))
    return failed(path, error.message());
  return replaceFile(path, text);
}

static constexpr llvm::StringLiteral sealStart = "# kept by gcompile, hash ";

std::string sealed(llvm::StringRef text) { return (sealStart + hashOf(text) + "\n" + text).str(); }

std::optional<std::string> unsealed(llvm::StringRef text) {
  if (!text.consume_front(sealStart))
    return std::nullopt;
  auto [hash, rest] = text.split('\n');
  if (hash != hashOf(rest))
    return std::nullopt;
  return rest.str();
}

} // namespace gcompile
