// Small quantized checkpoints made in the tests: raw tensors by name, and a configuration.
#pragma once

#include "compiler/Import/Coded/OpenQuantized.h"
#include "tests/unit/import/TestFiles.h"

namespace gcompile {

inline std::string fromHex(llvm::StringRef hex) {
  std::string bytes;
  for (; hex.size() >= 2; hex = hex.drop_front(2)) {
    unsigned byte = 0;
    EXPECT_FALSE(hex.take_front(2).getAsInteger(16, byte)) << hex.str();
    bytes += static_cast<char>(byte);
  }
  return bytes;
}

template <typename T>
std::string bytesOf(std::vector<T> values) {
  return {reinterpret_cast<const char *>(values.data()), values.size() * sizeof(T)};
}

// Raw tensors in the order added.
class RawTensors {
public:
  RawTensors &add(const std::string &name, const std::string &type, const std::string &shape,
                  const std::string &bytes) {
    header += (header.size() > 1 ? ",\"" : "\"") + name + "\":{\"dtype\":\"" + type +
              "\",\"shape\":[" + shape + "],\"data_offsets\":[" + std::to_string(data.size()) +
              "," + std::to_string(data.size() + bytes.size()) + "]}";
    data += bytes;
    return *this;
  }
  std::string file() const { return safetensors(header + "}", data); }

  // Opens as the quantization that `quantization` (the JSON of quantization_config) says.
  llvm::Expected<std::unique_ptr<Checkpoint>> open(const std::string &quantization,
                                                   llvm::ArrayRef<TensorSpec> expected = {}) const {
    TemporaryFolder folder;
    auto raw = openSafetensors(folder.write("x.safetensors", file()));
    if (!raw)
      return raw.takeError();
    std::string config = "{\"quantization_config\":" + quantization + "}";
    return openQuantized({std::move(*raw), config, nullptr, "", expected});
  }

private:
  std::string header = "{", data;
};

// What the seam promises: the codes and scales of the grid decode to the floats.
inline void expectGridEqualsFloats(const Checkpoint &checkpoint, const TensorInfo &tensor) {
  GridRows grid;
  ASSERT_EQ(errorOf(checkpoint.readRowsOnGrid(tensor, 0, tensor.rows(), grid)), "");
  EXPECT_EQ(gridError(grid), "") << tensor.name;
  std::vector<float> values = valueOf(checkpoint.readAllAsFloat(tensor));
  ASSERT_EQ(grid.codes.size(), values.size()) << tensor.name;
  ASSERT_EQ(grid.rows * grid.columns, int64_t(values.size()));
  ASSERT_EQ(values.size() % grid.scales.size(), 0u);
  size_t group = values.size() / grid.scales.size(), wrong = 0;
  if (int64_t run = gridRuns(grid.format).scale)
    EXPECT_EQ(int64_t(group), std::min(run, grid.columns));
  bool isTable = grid.format == WeightFormat::NF4;
  for (size_t i = 0; i < values.size(); ++i) {
    float number = isTable ? nf4Table[grid.codes[i]] : float(grid.codes[i]);
    wrong += number * grid.scales[i / group] != values[i];
  }
  EXPECT_EQ(wrong, 0u) << tensor.name;
}

} // namespace gcompile
