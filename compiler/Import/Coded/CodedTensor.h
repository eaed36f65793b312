// The one description of a matrix of integer (or table) codes that all quantized forms over
// safetensors and .litertlm share (docs/decisions/0009), and its decoder. A reader of a form fills
// in descriptions and decodes nothing itself.
//
//   value[n, k] = (code − zero) · scale + bias, scale and bias by (row, group of columns)
//
// Everything that a file states is checked by checkCodedTensor before the first read; scales are
// checked while they are read. Nothing is allocated from an unchecked size.
#pragma once

#include "compiler/Import/Checkpoint.h"

#include <memory>
#include <vector>

namespace gcompile {

// Where code k of row n lies. "Stream" = codes packed from the least significant bit on.
enum class CodeOrder : uint8_t {
  RowStream,      // each row a stream along k that begins at a byte
  RowWords,       // as RowStream in words of 32 bits that hold ⌊32 / bits⌋ whole codes each
  FlatStream,     // one stream over the whole matrix; rows need not begin at a byte
  FlatHighNibble, // 4 bits, one sequence over the whole matrix, high nibble first
  ColumnStream,   // words [columns · bits / 32, rows]: a row's stream runs down one column
  AwqWords        // words [columns, rows / 8]: row 8w + c at nibble 0 4 1 5 2 6 3 7 [c] of word w
};

enum class CodeNumbers : uint8_t {
  OffsetBinary,   // code = stored − 2^(bits − 1)
  TwosComplement, // code = stored, sign-extended
  Table           // code = table[stored]
};

// Floats by (row, group): scales or biases. Stored [rows / rowsPerEntry, groups], or transposed.
struct ScaleGrid {
  const TensorInfo *tensor = nullptr; // null: none
  TensorType type = TensorType::F32;  // of an entry; a U8 tensor may hold F8E4M3 or F8E8M0
  int64_t rowsPerEntry = 1;           // weight rows that share an entry: all for one per tensor
  int64_t groups = 1;
  bool transposed = false; // [groups, rows]
  // Double quantisation: entry i = nestedTable[stored] · nestedScale[i / nestedBlock] +
  // nestedOffset
  const TensorInfo *nestedTable = nullptr, *nestedScale = nullptr;
  int64_t nestedBlock = 0;
  float nestedOffset = 0;
};

enum class ZeroOrder : uint8_t {
  Plain,     // integers [rows, groups]
  DownRows,  // words [⌈rows · bits / 32⌉, groups]: a group's stream runs down
  DownWords, // as DownRows, ⌊32 / bits⌋ whole codes a word
  AlongRows, // words [groups, rows · bits / 32]: streams along the rows
  AwqWords   // words [groups, rows / 8] in AWQ's order
};

// In units of the stored code, so that code − zero needs no offset; Plain ones are signed already.
struct ZeroPoints {
  const TensorInfo *tensor = nullptr; // null: none
  ZeroOrder order = ZeroOrder::Plain;
  int add = 0; // 1 where files store zero − 1
};

struct CodedTensor {
  std::string module; // for messages
  int64_t rows = 0, columns = 0;
  unsigned bits = 0; // 1 to 8
  CodeOrder order = CodeOrder::RowStream;
  CodeNumbers numbers = CodeNumbers::OffsetBinary;
  const TensorInfo *codes = nullptr;
  std::shared_ptr<const std::vector<float>> table; // 2^bits values, of CodeNumbers::Table

  int64_t groupColumns = 0;               // columns that share a scale; `columns` for one group
  const TensorInfo *groupIndex = nullptr; // I32 [columns]: the group of a column, if not k / size
  int64_t sliceColumns = 0;               // > 0: a table read by rows, in slices of so many columns
  ScaleGrid scales, biases;
  ZeroPoints zeros;
  float factor = 1;            // one more scale of the whole tensor …
  bool divideByFactor = false; // … which some forms divide by

  int64_t groups() const { return scales.groups; }
};

// Sizes of all parts against rows, columns and groups; names the module and what was expected.
llvm::Error checkCodedTensor(const CodedTensor &tensor);

// Rows [firstRow, firstRow + rowCount) as f32. NaN and infinity in scales are errors.
llvm::Error decodeRows(const Checkpoint &raw, const CodedTensor &tensor, int64_t firstRow,
                       int64_t rowCount, llvm::MutableArrayRef<float> out);

// The weight format that holds all values exactly: the one with the fewest bits, if any. Reads the
// scales (group formats need each to be an f16) and the zero points.
llvm::Expected<std::optional<WeightFormat>> nativeFormatOf(const Checkpoint &raw,
                                                           const CodedTensor &tensor);

// Appends rows on the grid of `out.format`, which nativeFormatOf gave; adds to out.rows.
llvm::Error appendRowsOnGrid(const Checkpoint &raw, const CodedTensor &tensor, int64_t firstRow,
                             int64_t rowCount, GridRows &out);

} // namespace gcompile
