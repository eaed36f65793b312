// What the import tests share: a temporary folder, safetensors written byte by byte, and matchers
// for llvm::Expected.
#pragma once

#include "llvm/ADT/SmallString.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace gcompile {

// A folder that lives as long as this object.
class TemporaryFolder {
public:
  TemporaryFolder() {
    if (std::error_code code = llvm::sys::fs::createUniqueDirectory("gcompile-import", root))
      ADD_FAILURE() << code.message();
  }
  // Not LLVM's: that leaves folders which hold anything else than files, such as a named pipe.
  ~TemporaryFolder() { std::filesystem::remove_all(root.str().str()); }
  std::string path(const std::string &name = "") const {
    return name.empty() ? root.str().str() : root.str().str() + "/" + name;
  }
  std::string write(const std::string &name, const std::string &bytes) const {
    std::ofstream(path(name), std::ios::binary) << bytes;
    return path(name);
  }

private:
  llvm::SmallString<128> root;
};

inline std::string readBytes(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file.good()) << path;
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

inline std::string dataPath(const std::string &name) {
  return std::string(GC_TEST_DATA_DIR) + "/" + name;
}

// Length, header, data.
inline std::string safetensors(const std::string &header, const std::string &data) {
  uint64_t length = header.size();
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, 8);
  return bytes + header + data;
}

// The text of the error, or "" (which no error has) when there is none.
template <typename T>
std::string errorOf(llvm::Expected<T> value) {
  return value ? "" : llvm::toString(value.takeError());
}
inline std::string errorOf(llvm::Error error) {
  return error ? llvm::toString(std::move(error)) : "";
}

// The value; a test failure and a default one when there is an error.
template <typename T>
T valueOf(llvm::Expected<T> value) {
  if (value)
    return std::move(*value);
  ADD_FAILURE() << llvm::toString(value.takeError());
  return T();
}

inline std::string replaced(std::string text, const std::string &from, const std::string &to) {
  size_t position = text.find(from);
  EXPECT_NE(position, std::string::npos) << from;
  if (position != std::string::npos)
    text.replace(position, from.size(), to);
  return text;
}

} // namespace gcompile
