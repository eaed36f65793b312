#include "compiler/Import/Gguf/GgufCheckpoint.h"

#include "compiler/Import/Gemma4Tensors.h"
#include "compiler/Import/Gguf/GgufNames.h"
#include "compiler/Import/Gguf/GgufSplit.h"
#include "compiler/Import/Gguf/GgufStorage.h"
#include "compiler/Import/HostileJson.h"

#include "llvm/ADT/SmallString.h"
#include "llvm/Support/Path.h"

#include <cmath>

using llvm::Error;
using llvm::Expected;
using llvm::MutableArrayRef;
using llvm::StringRef;
using llvm::Twine;

namespace gcompile {

namespace {

constexpr StringRef ropeName = "rope_freqs.weight";

struct Located {
  GgufTensor tensor;
  uint32_t file = 0;
};

// Makes the logical tensors out of those of all parts.
class Assembler {
public:
  Assembler(GgufFile &file, GgufStorage &checkpoint) : file(file), checkpoint(checkpoint) {}

  Error addPart(uint32_t number, std::vector<GgufTensor> tensors) {
    for (GgufTensor &tensor : tensors) {
      file.names.push_back(tensor.name);
      auto [position, isNew] = byName.try_emplace(tensor.name, all.size());
      if (!isNew)
        return importError("tensor " + inQuotes(tensor.name) + " is both in " +
                           inQuotes(checkpoint.files()[all[position->second].file]) + " and in " +
                           inQuotes(checkpoint.files()[number]));
      all.push_back({std::move(tensor), number});
    }
    return Error::success();
  }

  Error finish() {
    file.vocabulary = rowsOf("token_embd.weight");
    file.perLayerVocabulary = rowsOf("per_layer_token_embd.weight");
    if (const Located *rope = find(ropeName)) {
      Expected<std::vector<float>> values = smallFloats(*rope);
      if (!values)
        return values.takeError();
      file.ropeFrequencies = std::move(*values);
    }
    int64_t layers = 0;
    for (const Located &located : all) {
      StringRef name = located.tensor.name;
      if (name.consume_front("blk.")) {
        int64_t layer = 0;
        if (!name.consumeInteger(10, layer) && layer < 4096)
          layers = std::max(layers, layer + 1);
      }
      if (Error error = add(located))
        return error;
    }
    for (int64_t layer = 0; layer < layers; ++layer)
      if (!find("blk." + std::to_string(layer) + ".layer_output_scale.weight"))
        if (Error error = checkpoint.add(canonicalTensorName(TensorRole::LayerScalar, layer), {1},
                                         {{}, {}, 1.0f}))
          return error;
    return Error::success();
  }

private:
  const Located *find(const Twine &name) const {
    auto found = byName.find(name.str());
    return found == byName.end() ? nullptr : &all[found->second];
  }

  int64_t rowsOf(StringRef name) const {
    const Located *table = find(name);
    return table && table->tensor.extents.size() == 2 ? table->tensor.extents[1] : 0;
  }

  Expected<std::vector<float>> smallFloats(const Located &located) const {
    const GgufTensor &tensor = located.tensor;
    if (tensor.type->name != "F32" || tensor.elements() > (int64_t{1} << 20))
      return importError("tensor " + inQuotes(tensor.name) + " has " + Twine(tensor.elements()) +
                         " values of type " + tensor.type->name + ", expected a few of F32");
    std::vector<float> values(tensor.elements());
    if (Error error = checkpoint.readFile(
            located.file, tensor.offset,
            {reinterpret_cast<uint8_t *>(values.data()), values.size() * sizeof(float)}))
      return std::move(error);
    return values;
  }

  Error add(const Located &located) {
    StringRef name = located.tensor.name;
    if (name == ropeName || name.ends_with(".input_scale"))
      return Error::success(); // computed, or for activations that are not static
    // ".scale" belongs to a weight, except where it is one of the router's.
    if (name.ends_with(".scale") && !name.ends_with("ffn_gate_inp.scale") &&
        !name.ends_with("ffn_down_exps.scale") && find(name.drop_back(5) + "weight"))
      return Error::success();
    if (name.ends_with("ffn_up_exps.weight") &&
        find(replaceTail(name, "ffn_up_exps.weight", "ffn_gate_exps.weight")))
      return Error::success(); // comes with its gate
    if (name.ends_with("attn_qkv.weight"))
      return addFused(located);
    if (name.ends_with("ffn_gate_exps.weight"))
      return addExperts(located);
    return addOne(logicalNameOfGguf(name).value_or(name.str()), {&located});
  }

  static std::string replaceTail(StringRef name, StringRef tail, StringRef other) {
    return (name.drop_back(tail.size()) + other).str();
  }

  // Rows of queries, below them those of keys, then values. llama.cpp splits them so (models/
  // gemma4.cpp, commit of llama-cpp-python 0.3.36): queries are as wide as what the output
  // projection reads, keys and values share the rest.
  Error addFused(const Located &fused) {
    const GgufTensor &tensor = fused.tensor;
    StringRef stem = StringRef(tensor.name).drop_back(StringRef("attn_qkv.weight").size());
    const Located *output = find(stem + "attn_output.weight");
    int64_t rows = tensor.extents.size() == 2 ? tensor.extents[1] : 0;
    int64_t queries =
        output && output->tensor.extents.size() == 2 ? output->tensor.extents[0] : rows;
    if (queries >= rows || (rows - queries) % 2 != 0)
      return importError("tensor " + inQuotes(tensor.name) + " has " + Twine(rows) +
                         " rows of queries, keys and values; with 'attn_output.weight' beside it " +
                         "that reads " + Twine(queries) +
                         " they do not split into these and two equal halves");
    if (find(stem + "attn_qkv.scale"))
      return importError("tensor " + inQuotes(tensor.name) +
                         " has a further scale, which is not read of fused weights");
    uint64_t rowBytes = tensor.bytes / static_cast<uint64_t>(rows);
    int64_t first = 0;
    for (auto [part, count] :
         {std::pair("attn_q.weight", queries), std::pair("attn_k.weight", (rows - queries) / 2),
          std::pair("attn_v.weight", (rows - queries) / 2)}) {
      Located one = fused;
      one.tensor.name = (stem + part).str();
      one.tensor.extents[1] = count;
      one.tensor.offset += static_cast<uint64_t>(first) * rowBytes;
      one.tensor.bytes = static_cast<uint64_t>(count) * rowBytes;
      first += count;
      if (find(one.tensor.name))
        return importError("tensors " + inQuotes(tensor.name) + " and " +
                           inQuotes(one.tensor.name) + " are the same weight");
      file.names.push_back(one.tensor.name);
      if (Error error =
              addOne(logicalNameOfGguf(one.tensor.name).value_or(one.tensor.name), {&one}))
        return error;
    }
    return Error::success();
  }

  // Older files hold the gates and the ups of experts apart; the model wants them side by side.
  Error addExperts(const Located &gate) {
    StringRef name = gate.tensor.name, tail = "ffn_gate_exps.weight";
    const Located *up = find(replaceTail(name, tail, "ffn_up_exps.weight"));
    if (!up || up->tensor.extents != gate.tensor.extents || gate.tensor.extents.size() != 3)
      return importError("tensor " + inQuotes(name) +
                         " has no 'ffn_up_exps.weight' of the same three extents beside it");
    return addOne(*logicalNameOfGguf(replaceTail(name, tail, "ffn_gate_up_exps.weight")),
                  {&gate, up});
  }

  Error addOne(std::string logical, llvm::ArrayRef<const Located *> sources) {
    llvm::SmallVector<int64_t, 4> shape(llvm::reverse(sources[0]->tensor.extents));
    GgufStored stored;
    for (const Located *source : sources) {
      const GgufTensor &tensor = source->tensor;
      if (!tensor.type->decode)
        return importError("tensor " + inQuotes(tensor.name) + " has type " + tensor.type->name +
                           ", which is not one of weights");
      GgufPart part;
      part.type = tensor.type;
      part.file = source->file;
      part.offset = tensor.offset;
      int64_t rows = shape.empty() ? 1 : shape[0];
      part.rowBytes = tensor.bytes / static_cast<uint64_t>(rows);
      part.columns = tensor.elements() / rows;
      part.name = tensor.name;
      // Vectors of block types would have rows that end inside a block.
      if (part.columns % tensor.type->blockValues != 0)
        return importError("tensor " + inQuotes(tensor.name) + " is a vector of type " +
                           tensor.type->name + ", expected a plain type");
      stored.parts.push_back(std::move(part));
    }
    if (sources.size() > 1)
      shape[1] *= static_cast<int64_t>(sources.size());
    if (Error error = addScales(*sources[0], shape, stored))
      return error;
    return checkpoint.add(std::move(logical), std::move(shape), std::move(stored));
  }

  // A further scale per tensor or per expert (NVFP4). That of ffn_down_exps acts as the router's
  // scale of experts, so it is applied there.
  Error addScales(const Located &weight, llvm::ArrayRef<int64_t> shape, GgufStored &stored) {
    StringRef name = weight.tensor.name;
    if (!name.ends_with(".weight") || name.ends_with("ffn_gate_inp.weight") ||
        name.ends_with("ffn_down_exps.weight"))
      return Error::success();
    const Located *scale = find(name.drop_back(6) + "scale");
    if (!scale)
      return Error::success();
    if (stored.parts.size() > 1)
      return importError("tensor " + inQuotes(scale->tensor.name) +
                         " scales experts whose gates and ups are stored apart, which is not read");
    Expected<std::vector<float>> values = smallFloats(*scale);
    if (!values)
      return values.takeError();
    bool perMatrix = shape.size() == 3 && static_cast<int64_t>(values->size()) == shape[0];
    if (values->size() != 1 && !perMatrix)
      return importError("tensor " + inQuotes(scale->tensor.name) + " has " +
                         Twine(values->size()) + " values, expected one, or one an expert");
    for (float value : *values)
      if (!std::isfinite(value))
        return importError("tensor " + inQuotes(scale->tensor.name) +
                           " has a value that is no finite number");
    stored.scales = std::move(*values);
    return Error::success();
  }

  GgufFile &file;
  GgufStorage &checkpoint;
  std::vector<Located> all;
  llvm::StringMap<size_t> byName;
};

Expected<GgufHeader> readHeader(const InputFile &input, StringRef name) {
  auto read = [&](uint64_t offset, MutableArrayRef<uint8_t> out) {
    return input.read(offset, out);
  };
  return parseGgufHeader({input.size(), read}, inQuotes(name));
}

} // namespace

Expected<GgufFile> openGguf(StringRef path) {
  GgufFile file;
  auto checkpoint = std::make_unique<GgufStorage>();
  Assembler assembler(file, *checkpoint);
  StringRef given = llvm::sys::path::filename(path);
  auto openPart = [&](StringRef partPath, StringRef name, int64_t number,
                      int64_t count) -> Expected<GgufHeader> {
    Expected<InputFile> input = InputFile::open(partPath, name);
    if (!input)
      return count > 1 ? importError(llvm::toString(input.takeError()) + "; it is part " +
                                     Twine(number + 1) + " of " + Twine(count) + " of the model")
                       : input.takeError();
    Expected<GgufHeader> header = readHeader(*input, name);
    if (!header)
      return header;
    if (count > 0)
      if (Error error = checkGgufPart(*header, name, number, count))
        return std::move(error);
    uint32_t index = checkpoint->addFile(std::move(*input), name);
    if (Error error = assembler.addPart(index, header->tensors))
      return std::move(error);
    return header;
  };

  // Only the header tells whether there are other parts.
  Expected<InputFile> probe = InputFile::open(path, given);
  if (!probe)
    return probe.takeError();
  Expected<GgufHeader> header = readHeader(*probe, given);
  if (!header)
    return header.takeError();
  Expected<int64_t> count = ggufSplitKey(*header, "split.count", given);
  if (!count)
    return count.takeError();
  if (*count <= 1) {
    uint32_t index = checkpoint->addFile(std::move(*probe), given);
    if (Error error = assembler.addPart(index, header->tensors))
      return std::move(error);
    file.header = std::move(*header);
  } else {
    std::optional<GgufSplitName> split = ggufSplitName(given);
    if (!split || split->count != *count)
      return importError(
          inQuotes(given) + " is one of " + Twine(*count) +
          " parts, but is not called like one ('" +
          ggufPartName("NAME", 1, static_cast<unsigned>(std::min<int64_t>(*count, 99999))) +
          "'), so that the others cannot be found");
    for (unsigned number = 1; number <= split->count; ++number) {
      std::string name = ggufPartName(split->prefix, number, split->count);
      llvm::SmallString<256> partPath(llvm::sys::path::parent_path(path));
      llvm::sys::path::append(partPath, name);
      Expected<GgufHeader> part = openPart(partPath, name, number - 1, *count);
      if (!part)
        return part.takeError();
      if (number == 1)
        file.header = std::move(*part);
    }
    Expected<int64_t> total = ggufSplitKey(file.header, "split.tensors.count", given);
    if (!total)
      return total.takeError();
    if (*total >= 0 && *total != static_cast<int64_t>(file.names.size()))
      return importError("the parts of " + inQuotes(given) + " have " + Twine(file.names.size()) +
                         " tensors, split.tensors.count says " + Twine(*total));
  }
  // Checked last, so that what is wrong with the container is told first.
  if (Error error = assembler.finish())
    return std::move(error);
  file.checkpoint = std::move(checkpoint);
  return file;
}

} // namespace gcompile
