#include "compiler/Import/Gguf/GgufCheckpoint.h"

#include "compiler/Import/Gemma4Tensors.h"
#include "compiler/Import/Gguf/GgufGrid.h"
#include "compiler/Import/Gguf/GgufNames.h"
#include "compiler/Import/HostileJson.h"
#include "compiler/Import/InputFile.h"

#include "llvm/ADT/SmallString.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/BLAKE3.h"
#include "llvm/Support/Path.h"

#include <cmath>
#include <cstring>

using llvm::Error;
using llvm::Expected;
using llvm::MutableArrayRef;
using llvm::StringRef;
using llvm::Twine;

namespace gcompile {

namespace {

constexpr uint64_t chunkBytes = uint64_t{1} << 20;
constexpr StringRef ropeName = "rope_freqs.weight";

// One tensor of a file, seen as `rows` rows of the logical tensor (or of its part of them).
struct Part {
  const GgufType *type = nullptr;
  uint32_t file = 0;
  uint64_t offset = 0, rowBytes = 0;
  int64_t columns = 0;
  std::string name; // in the file
};

struct Stored {
  llvm::SmallVector<Part, 1> parts; // side by side in every row; none: `constant`
  std::vector<float> scales;        // multiplied to the decoded values, one or one a row; or none
  float constant = 0;
};

std::optional<TensorType> plainType(const GgufType &type) {
  if (type.name == "F32")
    return TensorType::F32;
  if (type.name == "F16")
    return TensorType::F16;
  if (type.name == "BF16")
    return TensorType::BF16;
  return std::nullopt;
}

class GgufCheckpoint : public Checkpoint {
public:
  uint32_t addFile(InputFile file, StringRef name) {
    inputs.push_back(std::move(file));
    fileNames.push_back(name.str());
    return static_cast<uint32_t>(inputs.size() - 1);
  }

  Error readFile(uint32_t file, uint64_t offset, MutableArrayRef<uint8_t> out) const {
    return inputs[file].read(offset, out);
  }

  Error add(std::string name, llvm::SmallVector<int64_t, 4> shape, Stored stored) {
    TensorInfo info;
    info.name = std::move(name);
    info.shape = std::move(shape);
    for (const Part &part : stored.parts) {
      info.bytes += part.rowBytes * static_cast<uint64_t>(info.rows());
      if (!StringRef(info.encoding).contains(part.type->name))
        info.encoding += (info.encoding.empty() ? "" : "+") + part.type->name.str();
    }
    if (stored.parts.empty()) {
      info.bytes = 4;
    } else {
      info.file = stored.parts[0].file;
      info.offset = stored.parts[0].offset;
      std::optional<TensorType> plain = plainType(*stored.parts[0].type);
      bool same = llvm::all_of(stored.parts,
                               [&](const Part &part) { return part.type == stored.parts[0].type; });
      info.type = plain && same && stored.scales.empty() ? *plain : TensorType::Encoded;
      if (info.type != TensorType::Encoded)
        info.encoding.clear();
    }
    storage.push_back(std::move(stored));
    return addTensor(std::move(info));
  }

  Error read(const TensorInfo &tensor, uint64_t offset,
             MutableArrayRef<uint8_t> out) const override {
    if (offset > tensor.bytes || out.size() > tensor.bytes - offset)
      return importError("tensor " + inQuotes(tensor.name) + " has " + Twine(tensor.bytes) +
                         " bytes, asked for " + Twine(out.size()) + " at " + Twine(offset));
    const Stored &stored = storageOf(tensor);
    if (stored.parts.empty()) {
      std::memcpy(out.data(), reinterpret_cast<const uint8_t *>(&stored.constant) + offset,
                  out.size());
      return Error::success();
    }
    if (stored.parts.size() == 1)
      return readFile(stored.parts[0].file, stored.parts[0].offset + offset, out);
    uint64_t rowBytes = tensor.bytes / static_cast<uint64_t>(tensor.rows());
    uint64_t row = offset / rowBytes, within = offset % rowBytes;
    while (!out.empty()) {
      for (const Part &part : stored.parts) {
        if (within >= part.rowBytes) {
          within -= part.rowBytes;
          continue;
        }
        uint64_t count = std::min<uint64_t>(part.rowBytes - within, out.size());
        if (Error error = readFile(part.file, part.offset + row * part.rowBytes + within,
                                   out.take_front(count)))
          return error;
        out = out.drop_front(count);
        within = 0;
      }
      ++row;
    }
    return Error::success();
  }

  Error readRowsAsFloat(const TensorInfo &tensor, int64_t firstRow, int64_t rowCount,
                        MutableArrayRef<float> out) const override {
    if (tensor.type != TensorType::Encoded)
      return Checkpoint::readRowsAsFloat(tensor, firstRow, rowCount, out);
    if (Error error = checkRows(tensor, firstRow, rowCount, out.size()))
      return error;
    const Stored &stored = storageOf(tensor);
    int64_t columns = tensor.columns();
    auto visit = [&](const Part &part, int64_t row, int64_t column, const uint8_t *blocks,
                     size_t count) -> Error {
      float *target = out.data() + (row - firstRow) * columns + column;
      size_t good = part.type->decode(blocks, count, target);
      if (good != count)
        return badScale(tensor, part, row,
                        column + static_cast<int64_t>(good * part.type->blockValues));
      return applyScale(tensor, stored, row, {target, count * part.type->blockValues});
    };
    return visitBlocks(tensor, firstRow, rowCount, visit);
  }

  std::optional<WeightFormat> nativeFormat(const TensorInfo &tensor) const override {
    const Stored &stored = storageOf(tensor);
    if (tensor.type != TensorType::Encoded || !stored.scales.empty())
      return std::nullopt;
    for (const Part &part : stored.parts)
      if (part.type != stored.parts[0].type)
        return std::nullopt;
    return gridFormatOf(*stored.parts[0].type);
  }

  Error readRowsOnGrid(const TensorInfo &tensor, int64_t firstRow, int64_t rowCount,
                       GridRows &out) const override {
    std::optional<WeightFormat> format = nativeFormat(tensor);
    if (!format)
      return Checkpoint::readRowsOnGrid(tensor, firstRow, rowCount, out);
    int64_t columns = tensor.columns();
    if (Error error = checkRows(tensor, firstRow, rowCount, rowCount * columns))
      return error;
    out = emptyGrid(*format, rowCount, columns);
    auto visit = [&](const Part &part, int64_t row, int64_t column, const uint8_t *blocks,
                     size_t count) -> Error {
      size_t good =
          blocksOnGrid(*part.type, blocks, count, (row - firstRow) * columns + column, out);
      return good == count ? Error::success()
                           : badScale(tensor, part, row,
                                      column + static_cast<int64_t>(good * part.type->blockValues));
    };
    return visitBlocks(tensor, firstRow, rowCount, visit);
  }

  Expected<std::string> contentHash(const TensorInfo &tensor) const override {
    Expected<std::string> hash = Checkpoint::contentHash(tensor);
    const std::vector<float> &scales = storageOf(tensor).scales;
    if (!hash || scales.empty())
      return hash;
    llvm::BLAKE3 hasher;
    hasher.update(StringRef(*hash));
    hasher.update(
        {reinterpret_cast<const uint8_t *>(scales.data()), scales.size() * sizeof(float)});
    auto digest = hasher.final<16>();
    return llvm::toHex(digest, true);
  }

private:
  const Stored &storageOf(const TensorInfo &tensor) const {
    return storage[static_cast<size_t>(find(tensor.name) - tensorList.data())];
  }

  // Calls visit(part, row, column, blocks, count) for all blocks of these rows. A run of blocks may
  // go on into the next rows where a row is one part.
  template <typename Visit>
  Error visitBlocks(const TensorInfo &tensor, int64_t firstRow, int64_t rowCount,
                    const Visit &visit) const {
    const Stored &stored = storageOf(tensor);
    // One a row when rows have to be treated apart.
    bool joined = stored.parts.size() == 1 && stored.scales.size() <= 1;
    int64_t runs = joined ? 1 : rowCount;
    llvm::SmallVector<uint8_t, 0> buffer;
    for (int64_t run = 0; run < runs; ++run) {
      int64_t column = 0, row = firstRow + run;
      for (const Part &part : stored.parts) {
        uint64_t bytes = part.rowBytes * static_cast<uint64_t>(joined ? rowCount : 1);
        uint64_t step = chunkBytes / part.type->blockBytes * part.type->blockBytes;
        buffer.resize_for_overwrite(std::min(bytes, step));
        for (uint64_t done = 0; done < bytes; done += step) {
          uint64_t size = std::min(step, bytes - done);
          uint64_t start = static_cast<uint64_t>(row) * part.rowBytes + done;
          if (Error error = readFile(part.file, part.offset + start, {buffer.data(), size}))
            return error;
          auto values = static_cast<int64_t>(done / part.type->blockBytes * part.type->blockValues);
          if (Error error = visit(part, row + values / part.columns, column + values % part.columns,
                                  buffer.data(), size / part.type->blockBytes))
            return error;
        }
        column += part.columns;
      }
    }
    return Error::success();
  }

  static Error badScale(const TensorInfo &tensor, const Part &part, int64_t row, int64_t column) {
    row += column / tensor.columns(); // blocks of several rows
    column %= tensor.columns();
    return importError("weight " + inQuotes(tensor.name) + " (" + inQuotes(part.name) + ", " +
                       part.type->name +
                       ") has a scale that is no finite number in the block at row " + Twine(row) +
                       ", column " + Twine(column));
  }

  static Error applyScale(const TensorInfo &tensor, const Stored &stored, int64_t row,
                          MutableArrayRef<float> values) {
    if (stored.scales.empty())
      return Error::success();
    float scale = stored.scales.size() == 1 ? stored.scales[0] : stored.scales[row];
    for (float &value : values) {
      value *= scale;
      if (!std::isfinite(value))
        return importError("weight " + inQuotes(tensor.name) + " has a value in row " + Twine(row) +
                           " that its scale " + std::to_string(scale) + " makes infinite");
    }
    return Error::success();
  }

  std::vector<InputFile> inputs;
  std::vector<Stored> storage; // as tensorList
};

struct Located {
  GgufTensor tensor;
  uint32_t file = 0;
};

// Makes the logical tensors out of those of all parts.
class Assembler {
public:
  Assembler(GgufFile &file, GgufCheckpoint &checkpoint) : file(file), checkpoint(checkpoint) {}

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
    std::string base;
    // ".scale" belongs to a weight, except where it is one of the router's.
    if (name.ends_with(".scale") && !name.ends_with("ffn_gate_inp.scale") &&
        !name.ends_with("ffn_down_exps.scale") && find(name.drop_back(5) + "weight"))
      return Error::success();
    if (name.ends_with("ffn_up_exps.weight") &&
        find(replaceTail(name, "ffn_up_exps.weight", "ffn_gate_exps.weight")))
      return Error::success(); // comes with its gate
    if (name.ends_with("attn_qkv.weight"))
      return importError("tensor " + inQuotes(name) +
                         " is a fused query, key and value, which is not read; give a file that "
                         "convert_hf_to_gguf.py made without fusing");
    if (name.ends_with("ffn_gate_exps.weight"))
      return addExperts(located);
    return addOne(logicalNameOfGguf(name).value_or(name.str()), {&located});
  }

  static std::string replaceTail(StringRef name, StringRef tail, StringRef other) {
    return (name.drop_back(tail.size()) + other).str();
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
    Stored stored;
    for (const Located *source : sources) {
      const GgufTensor &tensor = source->tensor;
      if (!tensor.type->decode)
        return importError("tensor " + inQuotes(tensor.name) + " has type " + tensor.type->name +
                           ", which is not one of weights");
      Part part;
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
  Error addScales(const Located &weight, llvm::ArrayRef<int64_t> shape, Stored &stored) {
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
  GgufCheckpoint &checkpoint;
  std::vector<Located> all;
  llvm::StringMap<size_t> byName;
};

struct SplitName {
  StringRef prefix;
  unsigned number = 0, count = 0; // from 1
};

// "PREFIX-00001-of-00003.gguf".
std::optional<SplitName> splitName(StringRef name) {
  constexpr size_t tail = StringRef("-00001-of-00003").size();
  if (!name.consume_back(".gguf") || name.size() <= tail)
    return std::nullopt;
  SplitName result{name.drop_back(tail)};
  StringRef rest = name.take_back(tail);
  if (!rest.consume_front("-") || rest.take_front(5).getAsInteger(10, result.number) ||
      rest.substr(5, 4) != "-of-" || rest.drop_front(9).getAsInteger(10, result.count))
    return std::nullopt;
  return result;
}

std::string partName(StringRef prefix, unsigned number, unsigned count) {
  auto digits = [](unsigned value) {
    std::string text = std::to_string(value);
    return std::string(5 - std::min<size_t>(5, text.size()), '0') + text;
  };
  return (prefix + "-" + digits(number) + "-of-" + digits(count) + ".gguf").str();
}

Expected<GgufHeader> readHeader(const InputFile &input, StringRef name) {
  auto read = [&](uint64_t offset, MutableArrayRef<uint8_t> out) {
    return input.read(offset, out);
  };
  return parseGgufHeader({input.size(), read}, inQuotes(name));
}

// A key of one integer; −1: absent.
Expected<int64_t> splitKey(const GgufHeader &header, StringRef key, StringRef name) {
  const GgufValue *value = header.find(key);
  if (!value)
    return -1;
  if (value->isArray || !value->isInteger() || value->integers[0] < 0)
    return importError(inQuotes(name) + ": " + key + " is not a whole number");
  return value->integers[0];
}

Error checkPart(const GgufHeader &header, StringRef name, int64_t number, int64_t count) {
  Expected<int64_t> statedCount = splitKey(header, "split.count", name);
  if (!statedCount)
    return statedCount.takeError();
  Expected<int64_t> statedNumber = splitKey(header, "split.no", name);
  if (!statedNumber)
    return statedNumber.takeError();
  if (*statedCount != count || *statedNumber != number)
    return importError(inQuotes(name) + " says that it is part " + Twine(*statedNumber + 1) +
                       " of " + Twine(*statedCount) + ", expected part " + Twine(number + 1) +
                       " of " + Twine(count));
  return Error::success();
}

} // namespace

StringRef ggufStem(StringRef path) {
  StringRef name = llvm::sys::path::filename(path);
  if (std::optional<SplitName> split = splitName(name))
    return split->prefix;
  name.consume_back(".gguf");
  return name;
}

Expected<GgufFile> openGguf(StringRef path) {
  GgufFile file;
  auto checkpoint = std::make_unique<GgufCheckpoint>();
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
      if (Error error = checkPart(*header, name, number, count))
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
  Expected<int64_t> count = splitKey(*header, "split.count", given);
  if (!count)
    return count.takeError();
  if (*count <= 1) {
    uint32_t index = checkpoint->addFile(std::move(*probe), given);
    if (Error error = assembler.addPart(index, header->tensors))
      return std::move(error);
    file.header = std::move(*header);
  } else {
    std::optional<SplitName> split = splitName(given);
    if (!split || split->count != *count)
      return importError(
          inQuotes(given) + " is one of " + Twine(*count) +
          " parts, but is not called like one ('" +
          partName("NAME", 1, static_cast<unsigned>(std::min<int64_t>(*count, 99999))) +
          "'), so that the others cannot be found");
    for (unsigned number = 1; number <= split->count; ++number) {
      std::string name = partName(split->prefix, number, split->count);
      llvm::SmallString<256> partPath(llvm::sys::path::parent_path(path));
      llvm::sys::path::append(partPath, name);
      Expected<GgufHeader> part = openPart(partPath, name, number - 1, *count);
      if (!part)
        return part.takeError();
      if (number == 1)
        file.header = std::move(*part);
    }
    Expected<int64_t> total = splitKey(file.header, "split.tensors.count", given);
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
