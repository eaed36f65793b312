// GGUF files written field by field, for tests.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace gcompile {

template <typename T>
std::string rawBytes(T value) {
  return {reinterpret_cast<const char *>(&value), sizeof value};
}

inline std::string ggufString(const std::string &text) {
  return rawBytes(uint64_t{text.size()}) + text;
}

class GgufWriter {
public:
  static constexpr int u32 = 4, i32 = 5, f32 = 6, boolean = 7, string = 8, array = 9;

  void raw(const std::string &key, int type, const std::string &value) {
    pairs += ggufString(key) + rawBytes(int32_t(type)) + value;
    ++keys;
  }
  void text(const std::string &key, const std::string &value) {
    raw(key, string, ggufString(value));
  }
  void number(const std::string &key, uint32_t value) { raw(key, u32, rawBytes(value)); }
  void real(const std::string &key, float value) { raw(key, f32, rawBytes(value)); }
  void flag(const std::string &key, bool value) { raw(key, boolean, rawBytes(uint8_t(value))); }
  void texts(const std::string &key, const std::vector<std::string> &values) {
    std::string body = rawBytes(int32_t(string)) + rawBytes(uint64_t{values.size()});
    for (const std::string &value : values)
      body += ggufString(value);
    raw(key, array, body);
  }
  void integers(const std::string &key, const std::vector<int32_t> &values, int type = i32) {
    std::string body = rawBytes(int32_t(type)) + rawBytes(uint64_t{values.size()});
    for (int32_t value : values)
      body += type == boolean ? rawBytes(uint8_t(value)) : rawBytes(value);
    raw(key, array, body);
  }
  // `extents`: the fastest first.
  void tensor(const std::string &name, std::vector<int64_t> extents, uint32_t type,
              const std::string &bytes) {
    infos += ggufString(name) + rawBytes(uint32_t(extents.size()));
    for (int64_t extent : extents)
      infos += rawBytes(extent);
    infos += rawBytes(type) + rawBytes(uint64_t{data.size()});
    data += bytes;
    data.resize((data.size() + 31) / 32 * 32);
    ++tensors;
  }
  std::string header() const {
    std::string bytes =
        "GGUF" + rawBytes(uint32_t{3}) + rawBytes(tensors) + rawBytes(keys) + pairs + infos;
    bytes.resize((bytes.size() + 31) / 32 * 32);
    return bytes;
  }
  std::string file() const { return header() + data; }

private:
  std::string pairs, infos, data;
  int64_t keys = 0, tensors = 0;
};

inline std::string floatBytes(const std::vector<float> &values) {
  return {reinterpret_cast<const char *>(values.data()), values.size() * 4};
}

} // namespace gcompile
