#include "compiler/Import/Gguf/GgufStorage.h"

#include "compiler/Import/Gguf/GgufGrid.h"
#include "compiler/Import/HostileJson.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/BLAKE3.h"

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

std::optional<TensorType> plainType(const GgufType &type) {
  if (type.name == "F32")
    return TensorType::F32;
  if (type.name == "F16")
    return TensorType::F16;
  if (type.name == "BF16")
    return TensorType::BF16;
  return std::nullopt;
}

Error badScale(const TensorInfo &tensor, const GgufPart &part, int64_t row, int64_t column) {
  row += column / tensor.columns(); // blocks of several rows
  column %= tensor.columns();
  return importError("weight " + inQuotes(tensor.name) + " (" + inQuotes(part.name) + ", " +
                     part.type->name +
                     ") has a scale that is no finite number in the block at row " + Twine(row) +
                     ", column " + Twine(column));
}

Error applyScale(const TensorInfo &tensor, const GgufStored &stored, int64_t row,
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

} // namespace

const GgufStored &GgufStorage::storageOf(const TensorInfo &tensor) const {
  return storage[static_cast<size_t>(find(tensor.name) - tensorList.data())];
}

// Calls visit(part, row, column, blocks, count) for all blocks of these rows. A run of blocks may
// go on into the next rows where a row is one part.
template <typename Visit>
Error GgufStorage::visitBlocks(const TensorInfo &tensor, int64_t firstRow, int64_t rowCount,
                               const Visit &visit) const {
  const GgufStored &stored = storageOf(tensor);
  // One a row when rows have to be treated apart.
  bool joined = stored.parts.size() == 1 && stored.scales.size() <= 1;
  int64_t runs = joined ? 1 : rowCount;
  llvm::SmallVector<uint8_t, 0> buffer;
  for (int64_t run = 0; run < runs; ++run) {
    int64_t column = 0, row = firstRow + run;
    for (const GgufPart &part : stored.parts) {
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

uint32_t GgufStorage::addFile(InputFile file, StringRef name) {
  inputs.push_back(std::move(file));
  fileNames.push_back(name.str());
  return static_cast<uint32_t>(inputs.size() - 1);
}

Error GgufStorage::readFile(uint32_t file, uint64_t offset, MutableArrayRef<uint8_t> out) const {
  return inputs[file].read(offset, out);
}

Error GgufStorage::add(std::string name, llvm::SmallVector<int64_t, 4> shape, GgufStored stored) {
  TensorInfo info;
  info.name = std::move(name);
  info.shape = std::move(shape);
  for (const GgufPart &part : stored.parts) {
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
    bool same = llvm::all_of(
        stored.parts, [&](const GgufPart &part) { return part.type == stored.parts[0].type; });
    info.type = plain && same && stored.scales.empty() ? *plain : TensorType::Encoded;
    if (info.type != TensorType::Encoded)
      info.encoding.clear();
  }
  storage.push_back(std::move(stored));
  return addTensor(std::move(info));
}

Error GgufStorage::read(const TensorInfo &tensor, uint64_t offset,
                        MutableArrayRef<uint8_t> out) const {
  if (offset > tensor.bytes || out.size() > tensor.bytes - offset)
    return importError("tensor " + inQuotes(tensor.name) + " has " + Twine(tensor.bytes) +
                       " bytes, asked for " + Twine(out.size()) + " at " + Twine(offset));
  const GgufStored &stored = storageOf(tensor);
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
    for (const GgufPart &part : stored.parts) {
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

Error GgufStorage::readRowsAsFloat(const TensorInfo &tensor, int64_t firstRow, int64_t rowCount,
                                   MutableArrayRef<float> out) const {
  if (tensor.type != TensorType::Encoded)
    return Checkpoint::readRowsAsFloat(tensor, firstRow, rowCount, out);
  if (Error error = checkRows(tensor, firstRow, rowCount, out.size()))
    return error;
  const GgufStored &stored = storageOf(tensor);
  int64_t columns = tensor.columns();
  auto visit = [&](const GgufPart &part, int64_t row, int64_t column, const uint8_t *blocks,
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

std::optional<WeightFormat> GgufStorage::nativeFormat(const TensorInfo &tensor) const {
  const GgufStored &stored = storageOf(tensor);
  if (tensor.type != TensorType::Encoded || !stored.scales.empty())
    return std::nullopt;
  for (const GgufPart &part : stored.parts)
    if (part.type != stored.parts[0].type)
      return std::nullopt;
  return gridFormatOf(*stored.parts[0].type);
}

Error GgufStorage::readRowsOnGrid(const TensorInfo &tensor, int64_t firstRow, int64_t rowCount,
                                  GridRows &out) const {
  std::optional<WeightFormat> format = nativeFormat(tensor);
  if (!format)
    return Checkpoint::readRowsOnGrid(tensor, firstRow, rowCount, out);
  int64_t columns = tensor.columns();
  if (Error error = checkRows(tensor, firstRow, rowCount, rowCount * columns))
    return error;
  out = emptyGrid(*storageOf(tensor).parts[0].type, rowCount, columns);
  auto visit = [&](const GgufPart &part, int64_t row, int64_t column, const uint8_t *blocks,
                   size_t count) -> Error {
    size_t good = blocksOnGrid(*part.type, blocks, count, (row - firstRow) * columns + column, out);
    return good == count ? Error::success()
                         : badScale(tensor, part, row,
                                    column + static_cast<int64_t>(good * part.type->blockValues));
  };
  return visitBlocks(tensor, firstRow, rowCount, visit);
}

void GgufStorage::willRead(const TensorInfo &tensor, uint64_t offset, uint64_t bytes) const {
  const GgufStored &stored = storageOf(tensor);
  if (stored.parts.size() == 1) // parts side by side lie in as many places as there are rows
    inputs[stored.parts[0].file].willRead(stored.parts[0].offset + offset, bytes);
}

Expected<std::string> GgufStorage::contentHash(const TensorInfo &tensor,
                                               const PieceHashes *known) const {
  Expected<std::string> hash = Checkpoint::contentHash(tensor, known);
  const std::vector<float> &scales = storageOf(tensor).scales;
  if (!hash || scales.empty())
    return hash;
  llvm::BLAKE3 hasher;
  hasher.update(StringRef(*hash));
  hasher.update({reinterpret_cast<const uint8_t *>(scales.data()), scales.size() * sizeof(float)});
  auto digest = hasher.final<16>();
  return llvm::toHex(digest, true);
}

} // namespace gcompile
