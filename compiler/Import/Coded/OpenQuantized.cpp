#include "compiler/Import/Coded/OpenQuantized.h"

#include "compiler/Import/Coded/Recognisers.h"

using llvm::Error;
using llvm::Expected;
using llvm::StringRef;
using llvm::Twine;

namespace gcompile {

namespace {

struct Method {
  StringRef name; // quant_method
  Error (*describe)(CodedBuilder &, const QuantConfig &);
};
constexpr Method methods[] = {
    {"gemma", describeMobileQat},
    {"compressed-tensors", describeCompressedTensors},
    {"modelopt", describeModelOpt},
    {"fp8", describeBlockFp8},
    {"mlx", describeMlx},
    {"gptq", describeGptq},
    {"auto-round", describeAutoRound},
    {"awq", describeAwq},
    {"bitsandbytes", describeBitsAndBytes},
};

// What is not read, and what of the same model is.
struct Refused {
  StringRef name, why;
};
constexpr Refused refused[] = {
    {"torchao", "its int4 tiles depend on one GPU kernel"},
    {"exl3", "its trellis codes belong to one runtime"},
    {"exl2", "its codes belong to one runtime"},
    {"quanto", "it is not described"},
    {"hqq", "it is not described"},
    {"aqlm", "its codebooks belong to one runtime"},
    {"quip", "its codebooks belong to one runtime"},
    {"spqr", "it is not described"},
    {"vptq", "its codebooks belong to one runtime"},
    {"eetq", "its layout depends on one GPU kernel"},
    {"higgs", "it is not described"},
    {"bitnet", "it is not described"},
    {"fbgemm_fp8", "it is not described"},
};
constexpr StringRef supported =
    "give the GGUF, compressed-tensors, mobile QAT or bf16 checkpoint of the model";

} // namespace

Expected<std::string> quantMethodOf(const QuantSettingsFile &file, StringRef text) {
  Expected<llvm::json::Value> value = parseHostileJson(text, file.name);
  if (!value)
    return value.takeError();
  const llvm::json::Object *object = value->getAsObject();
  if (!object)
    return importError(file.name + " is no JSON object");
  return JsonReader(*object, file.name).textOr("quant_method", file.method);
}

Expected<std::unique_ptr<Checkpoint>> openQuantized(QuantizedSource source) {
  StringRef file = source.settings ? source.settings->name : "config.json";
  Expected<llvm::json::Value> config =
      parseHostileJson(source.settings ? source.settingsText : source.configText, file);
  if (!config)
    return config.takeError();
  const llvm::json::Object *object = config->getAsObject();
  std::string what = file.str();
  if (!source.settings) {
    const llvm::json::Object *outer = object;
    object = outer ? outer->getObject("quantization_config") : nullptr;
    if (!object && outer)
      object = outer->getObject("quantization"); // MLX
    what += ": quantization_config";
  }
  if (!object)
    return importError(what + " is no object");
  StringRef usual = source.settings ? source.settings->method : "mlx";
  StringRef method = object->getString("quant_method").value_or(usual);
  for (const Refused &entry : refused)
    if (method == entry.name)
      return importError("the checkpoint is quantized by " + inQuotes(method) +
                         ", which is not read: " + entry.why + "; " + supported);
  CodedBuilder builder(std::move(source.raw), source.expectedTensors);
  for (const Method &entry : methods) {
    if (method != entry.name)
      continue;
    if (Error error = entry.describe(builder, {object, source.configText, what}))
      return std::move(error);
    if (builder.codedCount() == 0)
      return importError(file + " says quant_method " + inQuotes(method) +
                         ", but no tensor is quantized so; " + supported +
                         (source.settings ? ", or remove the file if the weights are plain" : ""));
    return builder.finish();
  }
  return importError("the checkpoint is quantized by " + inQuotes(method) +
                     ", which is not known; " + supported);
}

} // namespace gcompile
