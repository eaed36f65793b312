#include "compiler/Import/ExpertStacks.h"

#include "compiler/Import/CheckpointView.h"
#include "compiler/Import/HostileJson.h"

#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/BLAKE3.h"

#include <map>

using llvm::Error;
using llvm::Expected;
using llvm::MutableArrayRef;
using llvm::StringRef;
using llvm::Twine;

namespace gcompile {

namespace {

struct PartName {
  StringRef tail, stack;
  int64_t half, halves;
};
constexpr PartName partNames[] = {{"gate_proj.weight", "gate_up_proj", 0, 2},
                                  {"up_proj.weight", "gate_up_proj", 1, 2},
                                  {"down_proj.weight", "down_proj", 0, 1}};
constexpr StringRef mlxStacks = "switch_glu";

// Rows of a tensor of the file that are one matrix of one expert.
struct Matrix {
  const TensorInfo *tensor = nullptr;
  int64_t firstRow = 0, rowCount = 0;

  uint64_t rowBytes() const { return tensor->bytes / static_cast<uint64_t>(tensor->rows()); }
  uint64_t bytes() const { return rowBytes() * static_cast<uint64_t>(rowCount); }
};

struct Stack {
  std::vector<Matrix> matrices; // `halves` for each expert
  int64_t halves = 1;

  // Those of experts [first, first + count).
  llvm::ArrayRef<Matrix> of(int64_t first, int64_t count) const {
    return llvm::ArrayRef(matrices).slice(first * halves, count * halves);
  }
};

class JoinedExperts : public CheckpointView {
public:
  explicit JoinedExperts(std::unique_ptr<Checkpoint> apart) : CheckpointView(std::move(apart)) {}

  Error addStack(std::string name, llvm::ArrayRef<int64_t> shape, std::vector<Matrix> matrices);

protected:
  Error readMade(const TensorInfo &tensor, uint64_t offset,
                 MutableArrayRef<uint8_t> out) const override;
  Error readMadeRows(const TensorInfo &tensor, int64_t firstRow, int64_t rowCount,
                     MutableArrayRef<float> out) const override;
  std::optional<WeightFormat> nativeFormatOfMade(const TensorInfo &tensor) const override;
  Error readMadeOnGrid(const TensorInfo &tensor, int64_t firstRow, int64_t rowCount,
                       GridRows &out) const override;
  Expected<std::string> hashOfMade(const TensorInfo &tensor,
                                   const PieceHashes *known) const override;
  std::vector<const TensorInfo *> partsOfMade(const TensorInfo &tensor) const override;

private:
  const Stack &stackOf(const TensorInfo &tensor) const { return stacks[madeIndex(tensor)]; }

  std::vector<Stack> stacks;
};

Error JoinedExperts::addStack(std::string name, llvm::ArrayRef<int64_t> shape,
                              std::vector<Matrix> matrices) {
  TensorInfo info = *matrices.front().tensor;
  info.name = std::move(name);
  info.shape.assign(shape.begin(), shape.end());
  bool oneType = llvm::all_of(
      matrices, [&](const Matrix &matrix) { return matrix.tensor->type == info.type; });
  if (!oneType)
    info.type = TensorType::F32; // which holds the values of all
  info.bytes = static_cast<uint64_t>(info.elements() * tensorTypeBytes(info.type));
  int64_t halves = static_cast<int64_t>(matrices.size()) / shape[0];
  stacks.push_back({std::move(matrices), halves});
  return addMade(std::move(info));
}

Error JoinedExperts::readMade(const TensorInfo &tensor, uint64_t offset,
                              MutableArrayRef<uint8_t> out) const {
  const Stack &stack = stackOf(tensor);
  for (const Matrix &matrix : stack.matrices)
    if (matrix.tensor->type != tensor.type)
      return readAsF32(tensor, offset, out);
  if (offset > tensor.bytes || out.size() > tensor.bytes - offset)
    return importError("tensor " + inQuotes(tensor.name) + " has " + Twine(tensor.bytes) +
                       " bytes, asked for " + Twine(out.size()) + " at " + Twine(offset));
  for (const Matrix &matrix : stack.matrices) {
    uint64_t bytes = matrix.bytes();
    if (out.empty())
      break;
    if (offset >= bytes) {
      offset -= bytes;
      continue;
    }
    uint64_t count = std::min<uint64_t>(out.size(), bytes - offset);
    uint64_t start = static_cast<uint64_t>(matrix.firstRow) * matrix.rowBytes() + offset;
    if (Error error = inner().read(*matrix.tensor, start, out.take_front(count)))
      return error;
    out = out.drop_front(count);
    offset = 0;
  }
  return Error::success();
}

Error JoinedExperts::readMadeRows(const TensorInfo &tensor, int64_t firstRow, int64_t rowCount,
                                  MutableArrayRef<float> out) const {
  for (const Matrix &matrix : stackOf(tensor).of(firstRow, rowCount)) {
    auto values = static_cast<size_t>(matrix.rowCount * matrix.tensor->columns());
    if (Error error = inner().readRowsAsFloat(*matrix.tensor, matrix.firstRow, matrix.rowCount,
                                              out.take_front(values)))
      return error;
    out = out.drop_front(values);
  }
  return Error::success();
}

std::optional<WeightFormat> JoinedExperts::nativeFormatOfMade(const TensorInfo &tensor) const {
  const Stack &stack = stackOf(tensor);
  std::optional<WeightFormat> format = inner().nativeFormat(*stack.matrices.front().tensor);
  for (const Matrix &matrix : stack.matrices)
    if (!format || inner().nativeFormat(*matrix.tensor) != format)
      return std::nullopt;
  return format;
}

Error JoinedExperts::readMadeOnGrid(const TensorInfo &tensor, int64_t firstRow, int64_t rowCount,
                                    GridRows &out) const {
  out.columns = tensor.shape.back();
  GridRows rows;
  for (const Matrix &matrix : stackOf(tensor).of(firstRow, rowCount)) {
    if (Error error =
            inner().readRowsOnGrid(*matrix.tensor, matrix.firstRow, matrix.rowCount, rows))
      return error;
    out.rows += rows.rows;
    llvm::append_range(out.codes, rows.codes);
    llvm::append_range(out.scales, rows.scales);
    llvm::append_range(out.subScales, rows.subScales);
    llvm::append_range(out.subMins, rows.subMins);
    llvm::append_range(out.minScales, rows.minScales);
  }
  return Error::success();
}

// One tensor may hold the matrices of all experts.
std::vector<const TensorInfo *> JoinedExperts::partsOfMade(const TensorInfo &tensor) const {
  llvm::SetVector<const TensorInfo *> parts;
  for (const Matrix &matrix : stackOf(tensor).matrices)
    parts.insert(matrix.tensor);
  return {parts.begin(), parts.end()};
}

Expected<std::string> JoinedExperts::hashOfMade(const TensorInfo &tensor,
                                                const PieceHashes *known) const {
  llvm::BLAKE3 hasher;
  hasher.update(StringRef("experts " + shapeString(tensor.shape) + "\n"));
  for (const TensorInfo *part : partsOfMade(tensor)) {
    Expected<std::string> hash = inner().contentHash(*part, known);
    if (!hash)
      return hash;
    hasher.update(StringRef(*hash));
  }
  return llvm::toHex(hasher.final<16>(), true);
}

// What was found of one stack.
struct Found {
  llvm::SmallVector<int64_t, 4> shape;
  std::vector<Matrix> matrices;
};

Error addMatrices(Found &found, const ExpertPart &part, const TensorInfo &tensor) {
  int64_t experts = found.shape[0];
  if (part.expert && *part.expert >= experts)
    return importError("tensor " + inQuotes(tensor.name) + " is of expert " + Twine(*part.expert) +
                       ", but the configuration has " + Twine(experts) + " experts");
  llvm::SmallVector<int64_t, 4> wanted = expertPartShape(part, found.shape);
  if (tensor.shape != wanted)
    return importError("tensor " + inQuotes(tensor.name) + " has shape " +
                       shapeString(tensor.shape) + ", expected " + shapeString(wanted));
  for (int64_t expert = part.expert.value_or(0), end = part.expert ? expert + 1 : experts;
       expert < end; ++expert) {
    Matrix &place = found.matrices[expert * part.halves + part.half];
    if (place.tensor)
      return importError("tensors " + inQuotes(place.tensor->name) + " and " +
                         inQuotes(tensor.name) + " are the same matrix of expert " + Twine(expert));
    place = part.expert ? Matrix{&tensor, 0, tensor.rows()} : Matrix{&tensor, expert, 1};
  }
  return Error::success();
}

} // namespace

std::optional<ExpertPart> expertPartOf(StringRef name) {
  size_t at = name.find(".experts.");
  if (at == StringRef::npos)
    return std::nullopt;
  StringRef stacks = name.take_front(at + StringRef(".experts.").size());
  auto [which, tail] = name.drop_front(stacks.size()).split('.');
  int64_t expert = 0;
  bool all = which == mlxStacks;
  // "07" would be another name of expert 7.
  if (!all && (which.getAsInteger(10, expert) || which != std::to_string(expert)))
    return std::nullopt;
  for (const PartName &part : partNames)
    if (tail == part.tail)
      return ExpertPart{(stacks + part.stack).str(), all ? std::nullopt : std::optional(expert),
                        part.half, part.halves};
  return std::nullopt;
}

llvm::SmallVector<int64_t, 4> expertPartShape(const ExpertPart &part,
                                              llvm::ArrayRef<int64_t> stackShape) {
  llvm::SmallVector<int64_t, 4> shape(stackShape.drop_front(part.expert ? 1 : 0));
  shape[shape.size() - 2] /= part.halves;
  return shape;
}

Expected<std::unique_ptr<Checkpoint>> joinExperts(std::unique_ptr<Checkpoint> checkpoint,
                                                  llvm::ArrayRef<TensorSpec> expected) {
  std::map<std::string, llvm::SmallVector<int64_t, 4>, std::less<>> stackShapes;
  for (const TensorSpec &spec : expected)
    if (spec.shape.size() == 3)
      stackShapes[spec.name] = spec.shape;
  std::map<std::string, Found> stacks;
  std::vector<const TensorInfo *> others;
  for (const TensorInfo &tensor : checkpoint->tensors()) {
    std::optional<ExpertPart> part = expertPartOf(tensor.name);
    auto shape =
        part ? stackShapes.find(std::string_view(textTensorName(part->stack))) : stackShapes.end();
    if (shape == stackShapes.end()) {
      others.push_back(&tensor);
      continue;
    }
    auto [position, isNew] = stacks.try_emplace(part->stack);
    Found &found = position->second;
    if (isNew) {
      found.shape = shape->second;
      found.matrices.resize(static_cast<size_t>(found.shape[0] * part->halves));
    }
    if (Error error = addMatrices(found, *part, tensor))
      return std::move(error);
  }
  if (stacks.empty())
    return checkpoint;
  auto joined = std::make_unique<JoinedExperts>(std::move(checkpoint));
  for (const TensorInfo *tensor : others)
    if (Error error = joined->addPlain(*tensor, tensor->name))
      return std::move(error);
  for (auto &[name, found] : stacks) {
    for (size_t i = 0; i < found.matrices.size(); ++i)
      if (!found.matrices[i].tensor)
        return importError("stack " + inQuotes(name) + ": matrix " + Twine(i) + " of " +
                           Twine(found.matrices.size()) + " is missing: the checkpoint has not " +
                           "all matrices of the " + Twine(found.shape[0]) + " experts");
    if (Error error = joined->addStack(name, found.shape, std::move(found.matrices)))
      return std::move(error);
  }
  return joined;
}

} // namespace gcompile
