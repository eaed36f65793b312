// LiteRT-LM files (".litertlm"): a list of sections, among them tflite models, and the constant
// tensors of those with their codes and scales. The tensors are read by the decoder of all coded
// forms. What such a file does not say: the sizes of the model, and which constants of its graphs
// are norms and scalars; so there is no model to import, and the file is looked at (docs/
// formats-read.md).
#pragma once

#include "compiler/Import/Checkpoint.h"

#include <functional>
#include <map>

namespace gcompile {

struct LitertlmSection {
  uint8_t type = 0; // sectionTypeName
  uint64_t begin = 0, end = 0;
  std::map<std::string, std::string> items; // texts alone: "model_type", "backend_constraint"

  std::string model() const; // "tf_lite_embedder"; "" for sections that are no models
};
llvm::StringRef sectionTypeName(uint8_t type); // "TFLite model"

// Bytes of a file at an offset.
struct FileBytes {
  uint64_t size = 0;
  std::function<llvm::Error(uint64_t offset, llvm::MutableArrayRef<uint8_t> out)> read;
};

struct LitertlmHeader {
  uint32_t version[3] = {};
  std::vector<LitertlmSection> sections;
};
bool isLitertlm(llvm::StringRef firstBytes);
bool isLitertlmFile(llvm::StringRef path); // a regular file that begins so
llvm::Expected<LitertlmHeader> parseLitertlm(const FileBytes &file, llvm::StringRef what);

// One constant of a graph.
struct TfliteTensor {
  std::string name;
  TensorType type = TensorType::F32; // I8 for codes of fewer bits too
  unsigned bits = 32;
  std::string typeText; // "INT4"
  llvm::SmallVector<int64_t, 4> shape;
  uint64_t offset = 0, bytes = 0; // in the section
  // Codes: scales for the rows of dimension 0 (or one for all), or for blocks along the last.
  uint64_t scaleOffset = 0, scaleCount = 0, zeroOffset = 0, zeroCount = 0;
  TensorType scaleType = TensorType::F32;
  int64_t block = 0;
  std::string unread; // why its values cannot be read; "": they can

  bool isCoded() const { return scaleCount != 0; }
};
llvm::Expected<std::vector<TfliteTensor>> parseTflite(const FileBytes &section,
                                                      llvm::StringRef what);

// What a name of the published graphs stands for: "query", "gate", …; "other".
llvm::StringRef litertRole(llvm::StringRef name);

struct LitertlmTensor {
  size_t section;
  TfliteTensor tensor;
  std::string name; // in `weights`: "tf_lite_prefill_decode/NAME"
};
struct LitertlmFile {
  uint64_t bytes = 0;
  LitertlmHeader header;
  std::vector<LitertlmTensor> tensors;
  std::unique_ptr<Checkpoint> weights; // those that can be read
};
llvm::Expected<LitertlmFile> openLitertlm(llvm::StringRef path);
// The same over bytes in memory or anywhere.
llvm::Expected<LitertlmFile> openLitertlm(FileBytes file, llvm::StringRef name);

} // namespace gcompile
