// What the fuzzers of the import call with arbitrary bytes; shared with the unit test that runs the
// kept corpus. Beyond not crashing, whatever is accepted has to be consistent, which is asserted by
// abort().
#pragma once

#include "compiler/Import/ChatTemplate.h"
#include "compiler/Import/Coded/OpenQuantized.h"
#include "compiler/Import/ExpertStacks.h"
#include "compiler/Import/Gemma4Tensors.h"
#include "compiler/Import/Gguf/GgufModel.h"
#include "compiler/Import/Imatrix.h"
#include "compiler/Import/LiteRt/Litertlm.h"
#include "compiler/Import/Safetensors.h"
#include "compiler/Import/TokenizerData.h"

#include <cmath>
#include <cstdlib>
#include <cstring>

namespace gcompile {

inline void require(bool condition) {
  if (!condition)
    std::abort();
}

// A whole file: header length, header, data. Also as an index.
inline void fuzzSafetensors(llvm::StringRef bytes) {
  if (auto index = parseSafetensorsIndex(bytes, "fuzz")) {
    for (const auto &[tensor, file] : *index)
      require(file.find('/') == std::string::npos && file.find('\0') == std::string::npos);
  } else {
    llvm::consumeError(index.takeError());
  }
  uint64_t length = 0;
  if (bytes.size() < 8)
    return;
  std::memcpy(&length, bytes.data(), 8);
  llvm::StringRef rest = bytes.drop_front(8);
  if (length > rest.size())
    return;
  uint64_t dataBytes = rest.size() - length;
  auto tensors = parseSafetensorsHeader(rest.take_front(length), dataBytes, "fuzz");
  if (!tensors) {
    llvm::consumeError(tensors.takeError());
    return;
  }
  uint64_t total = 0;
  for (const TensorInfo &tensor : *tensors) {
    require(tensor.offset <= dataBytes && tensor.bytes <= dataBytes - tensor.offset);
    require(static_cast<uint64_t>(tensor.elements() * tensorTypeBytes(tensor.type)) ==
            tensor.bytes);
    total += tensor.bytes;
  }
  require(total == dataBytes);
}

// A safetensors file in memory.
class MemoryTensors : public Checkpoint {
public:
  static llvm::Expected<std::unique_ptr<Checkpoint>> parse(llvm::StringRef file) {
    uint64_t length = 0;
    if (file.size() >= 8)
      std::memcpy(&length, file.data(), 8);
    if (file.size() < 8 || length > file.size() - 8)
      return llvm::createStringError("no header");
    std::unique_ptr<MemoryTensors> result(new MemoryTensors);
    result->data = file.drop_front(8 + length);
    result->fileNames.push_back("fuzz");
    auto tensors = parseSafetensorsHeader(file.substr(8, length), result->data.size(), "fuzz");
    if (!tensors)
      return tensors.takeError();
    for (TensorInfo &tensor : *tensors)
      if (llvm::Error error = result->addTensor(std::move(tensor)))
        return std::move(error);
    return std::move(result);
  }
  llvm::Error read(const TensorInfo &tensor, uint64_t offset,
                   llvm::MutableArrayRef<uint8_t> out) const override {
    require(offset <= tensor.bytes && out.size() <= tensor.bytes - offset);
    if (!out.empty())
      std::memcpy(out.data(), data.data() + tensor.offset + offset, out.size());
    return llvm::Error::success();
  }

private:
  MemoryTensors() = default;
  llvm::StringRef data;
};

// config.json of a quantized checkpoint, and after a zero byte its safetensors file. What opens is
// read whole; what has a grid gives the same values on it.
inline void fuzzQuantized(llvm::StringRef bytes) {
  auto [config, file] = bytes.split('\0');
  auto raw = MemoryTensors::parse(file);
  if (!raw) {
    llvm::consumeError(raw.takeError());
    return;
  }
  // Small stacks of experts, which the file may hold apart.
  const TensorSpec stacks[] = {
      {TensorRole::ExpertsGateUp, 0, "layers.0.experts.gate_up_proj", {2, 4, 32}},
      {TensorRole::ExpertsDown, 0, "layers.0.experts.down_proj", {2, 4, 32}}};
  auto checkpoint = openQuantized({std::move(*raw), config, nullptr, "", stacks});
  if (checkpoint)
    checkpoint = joinExperts(std::move(*checkpoint), stacks);
  if (!checkpoint) {
    llvm::consumeError(checkpoint.takeError());
    return;
  }
  for (const TensorInfo &tensor : (*checkpoint)->tensors()) {
    llvm::consumeError((*checkpoint)->contentHash(tensor).takeError());
    auto values = (*checkpoint)->readAllAsFloat(tensor);
    if (!values) {
      llvm::consumeError(values.takeError());
      continue;
    }
    if (!(*checkpoint)->nativeFormat(tensor))
      continue;
    GridRows grid;
    llvm::cantFail((*checkpoint)->readRowsOnGrid(tensor, 0, tensor.rows(), grid));
    require(grid.codes.size() == values->size() && !grid.scales.empty());
    require(values->size() % grid.scales.size() == 0);
    size_t group = values->size() / grid.scales.size();
    for (size_t i = 0; i < values->size(); ++i)
      require(float(grid.codes[i]) * grid.scales[i / group] == (*values)[i]);
  }
}

// config.json, and after a zero byte generation_config.json.
inline void fuzzConfig(llvm::StringRef bytes) {
  auto [configText, generationText] = bytes.split('\0');
  auto config = parseModelConfig(configText, generationText);
  if (!config) {
    llvm::consumeError(config.takeError());
    return;
  }
  for (const TensorSpec &spec : expectedTextTensors(*config))
    require(spec.elements() > 0);
  require(countTextParameters(*config) > 0);
  for (int64_t layer = 0; layer < config->layerCount(); ++layer) {
    const LayerConfig &entry = config->layers[layer];
    require(entry.kvDonor <= layer && config->layers[entry.kvDonor].ownsKv);
    require(config->heads % entry.kvHeads == 0);
  }
}

inline void fuzzTokenizer(llvm::StringRef bytes) {
  auto data = parseTokenizerJson(bytes, 300);
  if (!data) {
    llvm::consumeError(data.takeError());
    return;
  }
  require(data->pieces.size() <= 300 && data->merges.size() == data->merged.size());
  for (size_t rank = 0; rank < data->merges.size(); ++rank)
    require(data->pieces[data->merges[rank].first] + data->pieces[data->merges[rank].second] ==
            data->pieces[data->merged[rank]]);
}

inline void fuzzTemplate(llvm::StringRef bytes) {
  ChatTemplate reduced = reduceChatTemplate(bytes);
  require((reduced.form.present == 1) == reduced.note.empty());
  require(std::memchr(reduced.form.generation_prompt, 0, sizeof reduced.form.generation_prompt));
  llvm::consumeError(chatTemplateOfTokenizerConfig(bytes).takeError());
}

// A whole GGUF file: header, blocks, and what its keys say of a model.
inline void fuzzGguf(llvm::StringRef bytes) {
  auto read = [&](uint64_t offset, llvm::MutableArrayRef<uint8_t> out) {
    require(offset <= bytes.size() && out.size() <= bytes.size() - offset);
    std::memcpy(out.data(), bytes.data() + offset, out.size());
    return llvm::Error::success();
  };
  auto header = parseGgufHeader({bytes.size(), read}, "fuzz");
  if (!header) {
    llvm::consumeError(header.takeError());
    return;
  }
  GgufFacts facts;
  llvm::StringMap<const GgufTensor *> tensors;
  uint64_t end = 0;
  for (const GgufTensor &tensor : header->tensors) {
    require(tensor.offset >= end && tensor.bytes <= bytes.size() - tensor.offset);
    end = tensor.offset + tensor.bytes;
    uint64_t blocks = static_cast<uint64_t>(tensor.elements()) / tensor.type->blockValues;
    require(blocks * tensor.type->blockBytes == tensor.bytes);
    tensors[tensor.name] = &tensor;
    std::vector<float> values(tensor.type->blockValues);
    if (tensor.type->decode)
      tensor.type->decode(reinterpret_cast<const uint8_t *>(bytes.data()) + tensor.offset, 1,
                          values.data());
    if (tensor.name == "token_embd.weight" && tensor.extents.size() == 2)
      facts.vocabulary = tensor.extents[1];
    if (tensor.name == "per_layer_token_embd.weight" && tensor.extents.size() == 2)
      facts.perLayerVocabulary = tensor.extents[1];
  }
  const float divisors[] = {1, 1e30f};
  facts.ropeFrequencies = divisors;
  auto has = [&](llvm::StringRef name) { return tensors.contains(name); };
  facts.has = has;
  auto config = ggufModelConfig(*header, facts, "fuzz");
  if (config)
    require(countTextParameters(*config) > 0);
  else
    llvm::consumeError(config.takeError());
  auto tokenizer = ggufTokenizer(*header, std::max<int64_t>(facts.vocabulary, 300), "fuzz");
  if (!tokenizer)
    llvm::consumeError(tokenizer.takeError());
  else if (*tokenizer)
    require((*tokenizer)->merges.size() == (*tokenizer)->merged.size());
}

// A whole LiteRT-LM file; or one tflite model, which a byte before says.
inline void fuzzLitertlm(llvm::StringRef bytes) {
  auto over = [](llvm::StringRef data) {
    return FileBytes{data.size(), [data](uint64_t offset, llvm::MutableArrayRef<uint8_t> out) {
                       require(offset <= data.size() && out.size() <= data.size() - offset);
                       if (!out.empty())
                         std::memcpy(out.data(), data.data() + offset, out.size());
                       return llvm::Error::success();
                     }};
  };
  if (bytes.consume_front("t"))
    return llvm::consumeError(parseTflite(over(bytes), "fuzz").takeError());
  auto file = openLitertlm(over(bytes), "fuzz");
  if (!file)
    return llvm::consumeError(file.takeError());
  for (const TensorInfo &tensor : file->weights->tensors()) {
    // Codes of few bits, so that the values are not many more than the bytes.
    require(uint64_t(tensor.elements()) <= 4 * bytes.size());
    if (tensor.type == TensorType::F32)
      llvm::consumeError(file->weights->readAllAsFloat(tensor).takeError());
    file->weights->nativeFormat(tensor);
  }
}

inline void fuzzImatrix(llvm::StringRef bytes) {
  for (auto parse : {parseLegacyImatrix, parseGgufImatrix}) {
    auto matrix = parse(bytes, "fuzz");
    if (!matrix) {
      llvm::consumeError(matrix.takeError());
      continue;
    }
    for (const auto &[name, entry] : matrix->entries) {
      require(entry.matrices > 0 && entry.means.size() % entry.matrices == 0);
      for (double mean : entry.means)
        require(std::isfinite(mean) && mean >= 0);
    }
  }
}

} // namespace gcompile
