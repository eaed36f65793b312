// Opens a folder or file of safetensors as a Checkpoint. Headers are read and checked at once, data
// on demand.
#include "compiler/Import/Coded/QatGrid.h"
#include "compiler/Import/HostileJson.h"
#include "compiler/Import/InputFile.h"
#include "compiler/Import/Safetensors.h"

#include "llvm/ADT/SmallString.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

#include <map>
#include <mutex>

using llvm::Error;
using llvm::Expected;
using llvm::StringRef;
using llvm::Twine;

namespace gcompile {

namespace {

class SafetensorsCheckpoint : public Checkpoint {
public:
  Error read(const TensorInfo &tensor, uint64_t offset,
             llvm::MutableArrayRef<uint8_t> out) const override {
    if (offset > tensor.bytes || out.size() > tensor.bytes - offset)
      return importError("tensor " + inQuotes(tensor.name) + " has " + Twine(tensor.bytes) +
                         " bytes, asked for " + Twine(out.size()) + " at " + Twine(offset));
    return inputs[tensor.file].read(tensor.offset + offset, out);
  }

  void willRead(const TensorInfo &tensor, uint64_t offset, uint64_t bytes) const override {
    inputs[tensor.file].willRead(tensor.offset + offset, bytes);
  }

  // Plain floats have a grid when they were trained for one.
  std::optional<WeightFormat> nativeFormat(const TensorInfo &tensor) const override {
    size_t index = &tensor - tensorList.data();
    {
      std::lock_guard lock(knownMutex);
      if (auto found = onGrid.find(index); found != onGrid.end())
        return found->second ? std::optional(WeightFormat::W4G32) : std::nullopt;
    }
    bool found = looksLikeQat(*this, tensor);
    std::lock_guard lock(knownMutex);
    onGrid[index] = found;
    return found ? std::optional(WeightFormat::W4G32) : std::nullopt;
  }

  Error readRowsOnGrid(const TensorInfo &tensor, int64_t firstRow, int64_t rowCount,
                       GridRows &out) const override {
    if (!nativeFormat(tensor))
      return Checkpoint::readRowsOnGrid(tensor, firstRow, rowCount, out);
    return recoverRows(*this, tensor, firstRow, rowCount, out);
  }

  Error addFile(StringRef path, StringRef name) {
    Expected<InputFile> input = InputFile::open(path, name);
    if (!input)
      return input.takeError();
    if (input->size() < 8)
      return importError(inQuotes(name) + " has " + Twine(input->size()) +
                         " bytes, too short for a safetensors file");
    uint64_t headerBytes = 0;
    if (Error error = input->read(0, {reinterpret_cast<uint8_t *>(&headerBytes), 8}))
      return error;
    constexpr uint64_t largest = 100 * 1000 * 1000;
    if (headerBytes > largest || headerBytes > input->size() - 8)
      return importError(inQuotes(name) + " states a header of " + Twine(headerBytes) +
                         " bytes; the file has " + Twine(input->size()) + " and a header at most " +
                         Twine(largest));
    std::string header(headerBytes, '\0');
    if (Error error = input->read(8, {reinterpret_cast<uint8_t *>(header.data()), headerBytes}))
      return error;
    uint64_t dataStart = 8 + headerBytes;
    Expected<std::vector<TensorInfo>> tensors =
        parseSafetensorsHeader(header, input->size() - dataStart, inQuotes(name));
    if (!tensors)
      return tensors.takeError();
    auto file = static_cast<uint32_t>(inputs.size());
    inputs.push_back(std::move(*input));
    fileNames.push_back(name.str());
    for (TensorInfo &tensor : *tensors) {
      tensor.file = file;
      tensor.offset += dataStart;
      if (Error error = addTensor(std::move(tensor)))
        return error;
    }
    return Error::success();
  }

  Error addShards(StringRef folder, StringRef indexPath) {
    StringRef indexName = llvm::sys::path::filename(indexPath);
    Expected<std::string> text = readTextFile(indexPath, indexName, uint64_t{1} << 26);
    if (!text)
      return text.takeError();
    auto entries = parseSafetensorsIndex(*text, indexName);
    if (!entries)
      return entries.takeError();
    std::map<std::string, uint32_t>
        shards; // sorted: the order of files does not depend on the index
    for (const auto &[tensor, file] : *entries)
      shards.try_emplace(file, 0);
    for (auto &[file, number] : shards) {
      number = static_cast<uint32_t>(inputs.size());
      llvm::SmallString<256> path(folder);
      llvm::sys::path::append(path, file);
      if (Error error = addFile(path, file))
        return error;
    }
    for (const auto &[name, file] : *entries) {
      const TensorInfo *tensor = find(name);
      if (!tensor || tensor->file != shards[file])
        return importError(indexName + ": tensor " + inQuotes(name) + " should be in " +
                           inQuotes(file) + ", which does not have it");
    }
    if (entries->size() != tensors().size()) {
      llvm::StringMap<char> listed;
      for (const auto &[name, file] : *entries)
        listed.try_emplace(name);
      for (const TensorInfo &tensor : tensors())
        if (!listed.count(tensor.name))
          return importError(inQuotes(fileNames[tensor.file]) + " has tensor " +
                             inQuotes(tensor.name) + ", which " + indexName + " does not list");
    }
    return Error::success();
  }

private:
  std::vector<InputFile> inputs;
  mutable std::mutex knownMutex;
  mutable std::map<size_t, bool> onGrid; // by index of the tensor, once asked for
};

// What else lies there, to say more than "not found".
std::string otherFormats(StringRef folder) {
  std::error_code code;
  for (llvm::sys::fs::directory_iterator entry(folder, code), end; !code && entry != end;
       entry.increment(code)) {
    StringRef name = llvm::sys::path::filename(entry->path());
    if (name.ends_with(".gguf"))
      return "; give the GGUF file " + inQuotes(name) + " itself to open it";
    if (name.ends_with(".bin") && name.starts_with("pytorch_model"))
      return "; " + inQuotes(name) + " is a pickle, save the model as safetensors";
    if (name.ends_with(".safetensors"))
      return "; give " + inQuotes(name) + " itself to open it alone";
  }
  return "";
}

} // namespace

Expected<std::unique_ptr<Checkpoint>> openSafetensors(StringRef path) {
  auto checkpoint = std::make_unique<SafetensorsCheckpoint>();
  StringRef name = llvm::sys::path::filename(path);
  llvm::sys::fs::file_status status;
  if (std::error_code code = llvm::sys::fs::status(path, status))
    return importError("cannot open " + inQuotes(path) + ": " + code.message());
  if (status.type() != llvm::sys::fs::file_type::directory_file) {
    if (Error error = checkpoint->addFile(path, name))
      return std::move(error);
    return checkpoint;
  }
  std::error_code unreadable;
  llvm::sys::fs::directory_iterator probe(path, unreadable);
  if (unreadable)
    return importError("cannot read folder " + inQuotes(path) + ": " + unreadable.message());
  llvm::SmallString<256> single(path), index(path);
  llvm::sys::path::append(single, "model.safetensors");
  llvm::sys::path::append(index, "model.safetensors.index.json");
  if (llvm::sys::fs::exists(single)) {
    if (Error error = checkpoint->addFile(single, "model.safetensors"))
      return std::move(error);
  } else if (llvm::sys::fs::exists(index)) {
    if (Error error = checkpoint->addShards(path, index))
      return std::move(error);
  } else {
    return importError("folder " + inQuotes(path) +
                       " has neither model.safetensors nor model.safetensors.index.json" +
                       otherFormats(path));
  }
  return checkpoint;
}

} // namespace gcompile
