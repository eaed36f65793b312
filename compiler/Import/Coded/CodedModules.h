// What recognisers of quantized forms share: raw tensors by module, the shapes that the model
// expects, the configuration, and the finished checkpoint that they fill.
#pragma once

#include "compiler/Import/Coded/CodedCheckpoint.h"
#include "compiler/Import/Gemma4Tensors.h"
#include "compiler/Import/HostileJson.h"

#include <map>
#include <set>

namespace gcompile {

// The raw tensors "NAME.suffix" of one module. "X.weight.absmax" has the suffix "weight.absmax".
struct CodedModule {
  std::string name;
  std::map<std::string, const TensorInfo *, std::less<>> parts;

  const TensorInfo *part(llvm::StringRef suffix) const;
};

class CodedBuilder {
public:
  CodedBuilder(std::unique_ptr<Checkpoint> raw, llvm::ArrayRef<TensorSpec> expected);

  const std::vector<CodedModule> &modules() const { return moduleList; }
  const Checkpoint &raw() const { return checkpoint->rawTensors(); }
  CodedCheckpoint &result() { return *checkpoint; }

  // The shape that the model expects of a tensor of this name, if it is one of the text model's or
  // a part of its experts.
  std::optional<llvm::SmallVector<int64_t, 4>> expectedShape(llvm::StringRef name) const;

  // Adds the matrix as "MODULE.weight" (or `name`) and hides the raw tensors that it is made of.
  llvm::Error add(const CodedModule &module, CodedTensor tensor, std::string name = "");
  // Hides a raw tensor: nobody will ask for it.
  void consume(const TensorInfo *tensor);
  // The value of a scalar, which has to be finite; nothing for null. Hides it.
  llvm::Expected<std::optional<float>> scalar(const TensorInfo *tensor);
  // Activation scales by these suffixes, and cache scales. Scales of other codes than int8 (FP8)
  // are hidden: nothing computes with them.
  struct Int8Codes {
    bool input = true, output = true;
  };
  llvm::Error takeScales(const CodedModule &module, llvm::StringRef input, llvm::StringRef output,
                         Int8Codes int8);
  llvm::Error takeCacheScales(CacheCodes codes);

  // Everything not hidden is passed through.
  llvm::Expected<std::unique_ptr<Checkpoint>> finish();

  size_t codedCount() const { return coded; }

private:
  std::unique_ptr<CodedCheckpoint> checkpoint;
  std::vector<CodedModule> moduleList; // in the order of the file
  std::map<std::string, llvm::SmallVector<int64_t, 4>, std::less<>> expectedShapes;
  std::set<const TensorInfo *> consumed;
  size_t coded = 0;
};

llvm::Error moduleError(const CodedModule &module, const llvm::Twine &what);
std::string describeTensor(const TensorInfo &tensor); // "'a.weight' is U8 3x4"

// The keys of an object in the order of the text, which llvm::json does not keep. `path` leads to
// the object from the top; the text has been parsed before.
std::vector<std::string> keysInOrder(llvm::StringRef text, llvm::ArrayRef<llvm::StringRef> path);

} // namespace gcompile
