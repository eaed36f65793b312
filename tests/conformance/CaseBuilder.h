// What the tables of kernel cases share: random values, memref types as text, and the collection of
// a case's arguments.
#pragma once

#include "tests/conformance/KernelCases.h"
#include "tests/conformance/KernelHarness.h"

#include <cstring>
#include <random>

namespace gcompile::test {

inline std::vector<float> randomFloats(size_t count, unsigned seed, float scale) {
  std::mt19937 generator(seed);
  std::vector<float> values(count);
  for (float &value : values)
    value = scale * ((int)(generator() % 20001) - 10000) / 10000.0f;
  return values;
}

template <class T>
std::vector<uint8_t> bytesOf(const std::vector<T> &values) {
  std::vector<uint8_t> bytes(values.size() * sizeof(T));
  memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

inline std::string inQuotes(std::string_view text) { return "\"" + std::string(text) + "\""; }

// Collects a case: buffers in order, each with its type in the function's arguments.
class CaseBuilder {
public:
  CaseBuilder(std::string operation, std::string suffix) {
    result.operation = operation;
    result.name = operation + (suffix.empty() ? "" : "_" + suffix);
  }

  // The types of arguments, as the operation's text lists them.
  template <class T>
  std::string input(const char *name, std::string type, const std::vector<T> &values) {
    return add(name, type, {bytesOf(values), Access::Input, {}});
  }
  template <class T>
  std::string output(const char *name, std::string type, const std::vector<T> &before,
                     const std::vector<T> &expected = {}) {
    return add(name, type, {bytesOf(before), Access::Output, bytesOf(expected)});
  }
  KernelCase build(std::string operation, std::vector<std::pair<const char *, int64_t>> scalars,
                   int64_t tasks) {
    for (auto [name, value] : scalars) {
      arguments += std::string(", ") + name + ": index";
      result.integers.push_back(value);
    }
    result.integers.insert(result.integers.end(), {0, tasks});
    result.source = kernelModule(arguments, "kernel." + result.operation + " " + operation);
    return std::move(result);
  }

private:
  std::string add(const char *name, std::string type, KernelArgument argument) {
    arguments += (arguments.empty() ? "" : ", ") + std::string(name) + ": " + type;
    result.arguments.push_back(std::move(argument));
    return type;
  }
  KernelCase result;
  std::string arguments;
};

inline std::string memref(std::initializer_list<int64_t> shape, const char *element) {
  std::string text = "memref<";
  for (int64_t size : shape)
    text += std::to_string(size) + "x";
  return text + element + ">";
}

inline constexpr float untouched = -77;
inline std::vector<float> blank(int64_t count) { return std::vector<float>(count, untouched); }

// Rows beyond the active ones stay as they were.
inline std::vector<float> activeRows(std::vector<float> values, int64_t from) {
  std::fill(values.begin() + from, values.end(), untouched);
  return values;
}

} // namespace gcompile::test
