#include "compiler/Import/Imatrix.h"

#include "compiler/Import/Gguf/GgufHeader.h"
#include "compiler/Import/Gguf/GgufNames.h"
#include "compiler/Import/HostileJson.h"
#include "compiler/Import/InputFile.h"

#include "llvm/ADT/StringMap.h"
#include "llvm/Support/Path.h"

#include <cmath>
#include <cstring>

using llvm::Error;
using llvm::Expected;
using llvm::StringRef;
using llvm::Twine;

namespace gcompile {

namespace {

// The largest published model has 60 layers of 7 matrices; 128 experts of 5000 columns are 2.5 MB.
constexpr uint64_t maxFileBytes = uint64_t{1} << 30;
constexpr int32_t maxEntries = 100000, maxNameBytes = 4096;

class Bytes {
public:
  explicit Bytes(StringRef bytes) : rest(bytes) {}
  template <typename T>
  bool take(T &value) {
    if (rest.size() < sizeof value)
      return false;
    std::memcpy(&value, rest.data(), sizeof value);
    rest = rest.drop_front(sizeof value);
    return true;
  }
  bool take(StringRef &text, int64_t count) {
    if (count < 0 || static_cast<uint64_t>(count) > rest.size())
      return false;
    text = rest.take_front(count);
    rest = rest.drop_front(count);
    return true;
  }
  size_t left() const { return rest.size(); }

private:
  StringRef rest;
};

// sum / count; ones for a matrix that nothing ran through.
Error addMeans(ImatrixEntry &entry, llvm::ArrayRef<float> sums, double count,
               const Twine &subject) {
  for (float sum : sums) {
    if (!std::isfinite(sum) || sum < 0)
      return importError(subject + " has a sum of squares that is negative or no finite number");
    entry.means.push_back(count > 0 ? static_cast<double>(sum) / count : 1.0);
  }
  return Error::success();
}

std::vector<float> floatsOf(StringRef bytes) {
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
  return values;
}

} // namespace

Expected<Imatrix> parseLegacyImatrix(StringRef bytes, StringRef what) {
  Bytes in(bytes);
  int32_t count = 0;
  if (!in.take(count) || count <= 0 || count > maxEntries)
    return importError(what +
                       " is no importance matrix: it is not GGUF, and does not begin with a "
                       "number of entries from 1 to " +
                       Twine(maxEntries));
  Imatrix result;
  for (int32_t i = 0; i < count; ++i) {
    int32_t length = 0, calls = 0, columns = 0;
    StringRef name, data;
    if (!in.take(length) || length <= 0 || length > maxNameBytes || !in.take(name, length))
      return importError(what + ": the name of entry " + Twine(i) + " has " + Twine(length) +
                         " bytes, which are not there");
    std::string subject = (what + ": entry " + inQuotes(name)).str();
    if (!in.take(calls) || !in.take(columns) || columns <= 0 ||
        !in.take(data, int64_t{columns} * static_cast<int64_t>(sizeof(float))))
      return importError(subject + " states " + Twine(columns) + " values, " + Twine(in.left()) +
                         " bytes are left in the file");
    if (calls < 0)
      return importError(subject + " states " + Twine(calls) + " calls, expected 0 or more");
    ImatrixEntry entry;
    if (Error error = addMeans(entry, floatsOf(data), calls, subject))
      return std::move(error);
    if (!result.entries.try_emplace(name.str(), std::move(entry)).second)
      return importError(subject + " is there twice");
  }
  int32_t chunks = 0, length = 0;
  StringRef dataset;
  if (in.left() == 0)
    return result;
  if (!in.take(chunks) || chunks < 0)
    return importError(what + ": it ends inside its number of chunks");
  result.chunks = chunks;
  if (in.left() == 0)
    return result;
  if (!in.take(length) || !in.take(dataset, length) || in.left() != 0)
    return importError(what + ": the name of its text does not end the file");
  result.datasets.push_back(dataset.str());
  return result;
}

Expected<Imatrix> parseGgufImatrix(StringRef bytes, StringRef what) {
  auto read = [&](uint64_t offset, llvm::MutableArrayRef<uint8_t> out) {
    std::memcpy(out.data(), bytes.data() + offset, out.size());
    return Error::success();
  };
  Expected<GgufHeader> header = parseGgufHeader({bytes.size(), read}, what);
  if (!header)
    return header.takeError();
  if (header->text("general.type") != "imatrix")
    return importError(what + " is no importance matrix but of type " +
                       inQuotes(header->text("general.type")) + "; llama-imatrix makes them");
  Imatrix result;
  for (StringRef key : {"imatrix.chunk_count", "imatrix.chunk_size", "imatrix.datasets"})
    if (!header->find(key))
      return importError(what + ": key " + key + " is missing");
  const GgufValue &chunks = *header->find("imatrix.chunk_count");
  const GgufValue &datasets = *header->find("imatrix.datasets");
  if (chunks.isArray || !chunks.isInteger() || chunks.integers[0] < 0 || !datasets.isArray ||
      datasets.type != GgufValueType::String)
    return importError(what + ": imatrix.chunk_count is no whole number, or imatrix.datasets no "
                              "list of texts");
  result.chunks = chunks.integers[0];
  for (size_t i = 0; i < datasets.size(); ++i)
    result.datasets.push_back(datasets.string(i).str());

  llvm::StringMap<const GgufTensor *> byName;
  for (const GgufTensor &tensor : header->tensors) {
    if (tensor.type->name != "F32") // before sums are read, whose counts may lie behind them
      return importError(what + ": tensor " + inQuotes(tensor.name) + " has type " +
                         tensor.type->name + ", expected F32");
    byName[tensor.name] = &tensor;
  }
  for (const GgufTensor &tensor : header->tensors) {
    StringRef name = tensor.name;
    std::string subject = (what + ": tensor " + inQuotes(name)).str();
    if (!name.consume_back(".in_sum2")) {
      if (!name.ends_with(".counts") || !byName.contains((name.drop_back(7) + ".in_sum2").str()))
        return importError(subject + " is neither sums (.in_sum2) nor counts of such");
      continue;
    }
    auto found = byName.find((name + ".counts").str());
    int64_t columns = tensor.extents.empty() ? 1 : tensor.extents[0];
    ImatrixEntry entry;
    entry.matrices = tensor.elements() / columns;
    if (found == byName.end() || found->second->elements() != entry.matrices)
      return importError(subject + " has no counts of " + Twine(entry.matrices) +
                         " values beside it");
    auto dataOf = [&](const GgufTensor &each) {
      return floatsOf(bytes.substr(each.offset, each.bytes));
    };
    std::vector<float> sums = dataOf(tensor), counts = dataOf(*found->second);
    for (int64_t matrix = 0; matrix < entry.matrices; ++matrix) {
      if (!std::isfinite(counts[matrix]) || counts[matrix] < 0)
        return importError(subject + " has a count that is negative or no finite number");
      entry.counts.push_back(counts[matrix]);
      llvm::ArrayRef<float> row = llvm::ArrayRef(sums).slice(matrix * columns, columns);
      if (Error error = addMeans(entry, row, counts[matrix], subject))
        return std::move(error);
    }
    result.entries.try_emplace(name.str(), std::move(entry));
  }
  if (result.entries.empty())
    return importError(what + " has no entries");
  return result;
}

Expected<Imatrix> readImatrix(StringRef path) {
  StringRef name = llvm::sys::path::filename(path);
  Expected<std::string> bytes = readTextFile(path, name, maxFileBytes);
  if (!bytes)
    return bytes.takeError();
  std::string what = inQuotes(name);
  return isGguf(*bytes) ? parseGgufImatrix(*bytes, what) : parseLegacyImatrix(*bytes, what);
}

Expected<ImatrixMoments> momentsOf(const Imatrix &imatrix, const ModelConfig &config) {
  ImatrixMoments result;
  size_t known = 0;
  for (const TensorSpec &spec : expectedTextTensors(config)) {
    std::optional<std::string> name = ggufNameOfLogical(spec.name);
    auto found = name ? imatrix.entries.find(*name) : imatrix.entries.end();
    if (found == imatrix.entries.end() || !isMatrixRole(spec.role))
      continue;
    ++known;
    const ImatrixEntry &entry = found->second;
    int64_t matrices = spec.shape.size() == 3 ? spec.shape[0] : 1;
    auto wanted = static_cast<size_t>(matrices * spec.shape.back());
    if (entry.means.size() != wanted)
      return importError("the importance matrix has " + Twine(entry.means.size()) + " values for " +
                         inQuotes(*name) + ", the model's weight wants " + Twine(wanted) +
                         "; it was made of another model");
    std::vector<double> &means = result.byTensor[spec.name] = entry.means;
    double all = 0;
    for (double count : entry.counts)
      all += count;
    if (matrices > 1 && entry.counts.size() == size_t(matrices) && all > 0)
      for (size_t i = 0; i < means.size(); ++i)
        means[i] *= entry.counts[i / size_t(spec.shape.back())] * double(matrices) / all;
  }
  result.unknown = imatrix.entries.size() - known;
  if (known == 0)
    return importError("the importance matrix has no entry for any weight of the model; its first "
                       "is " +
                       inQuotes(imatrix.entries.begin()->first));
  return result;
}

} // namespace gcompile
