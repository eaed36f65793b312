// A checkpoint of f32 tensors held in memory.
#pragma once

#include "compiler/Import/Checkpoint.h"

#include <cstring>
#include <random>

class MemoryCheckpoint : public gcompile::Checkpoint {
public:
  // Values of a normal distribution with some rows larger than others.
  const gcompile::TensorInfo &add(const std::string &name, llvm::ArrayRef<int64_t> shape) {
    gcompile::TensorInfo tensor;
    tensor.name = name;
    tensor.type = gcompile::TensorType::F32;
    tensor.shape.assign(shape.begin(), shape.end());
    tensor.offset = bytes.size();
    tensor.bytes = 4 * static_cast<uint64_t>(tensor.elements());
    std::vector<float> values(tensor.elements());
    std::mt19937 random(static_cast<unsigned>(bytes.size()) + 1);
    std::normal_distribution<float> normal(0, 0.02f);
    for (float &value : values)
      value = normal(random);
    bytes.resize(bytes.size() + tensor.bytes);
    std::memcpy(bytes.data() + tensor.offset, values.data(), tensor.bytes);
    llvm::cantFail(addTensor(tensor));
    return tensors().back();
  }
  void reserve(size_t count) { tensorList.reserve(count); } // keeps references of add() valid
  void set(const gcompile::TensorInfo &tensor, int64_t index, float value) {
    std::memcpy(bytes.data() + tensor.offset + 4 * index, &value, 4);
  }
  std::vector<float> values(const gcompile::TensorInfo &tensor) const {
    std::vector<float> result(tensor.elements());
    std::memcpy(result.data(), bytes.data() + tensor.offset, tensor.bytes);
    return result;
  }
  llvm::Error read(const gcompile::TensorInfo &tensor, uint64_t offset,
                   llvm::MutableArrayRef<uint8_t> out) const override {
    std::memcpy(out.data(), bytes.data() + tensor.offset + offset, out.size());
    return llvm::Error::success();
  }

private:
  std::vector<uint8_t> bytes;
};
