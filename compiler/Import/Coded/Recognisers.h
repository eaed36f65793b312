// The recognisers of the quantized forms, one file each. Each describes what it finds through the
// builder; none decodes anything.
#pragma once

#include "compiler/Import/Coded/CodedModules.h"

namespace gcompile {

struct QuantConfig {
  const llvm::json::Object *object; // quantization_config
  llvm::StringRef configText;       // all of config.json, for the order of keys
  std::string what;                 // where it stands, for messages
};

llvm::Error describeMobileQat(CodedBuilder &builder, const QuantConfig &config);
llvm::Error describeCompressedTensors(CodedBuilder &builder, const QuantConfig &config);
llvm::Error describeModelOpt(CodedBuilder &builder, const QuantConfig &config);
llvm::Error describeBlockFp8(CodedBuilder &builder, const QuantConfig &config); // "fp8"
llvm::Error describeMlx(CodedBuilder &builder, const QuantConfig &config);
llvm::Error describeGptq(CodedBuilder &builder, const QuantConfig &config);
llvm::Error describeAutoRound(CodedBuilder &builder, const QuantConfig &config);
llvm::Error describeAwq(CodedBuilder &builder, const QuantConfig &config);
llvm::Error describeBitsAndBytes(CodedBuilder &builder, const QuantConfig &config);

} // namespace gcompile
