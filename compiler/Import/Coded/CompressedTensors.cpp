// compressed-tensors (llm-compressor, Google's w4a16-ct and mobile-ct): pack-quantized integers in
// both packings, int-quantized, FP8, NVFP4 and MXFP4. What a module is follows from its tensors;
// the configuration gives the bits and has to agree.
#include "compiler/Import/Coded/ModulePattern.h"
#include "compiler/Import/Coded/Recognisers.h"
#include "compiler/Import/Coded/SmallFloats.h"

#include <cstring>

using llvm::Error;
using llvm::Expected;
using llvm::StringRef;
using llvm::Twine;

namespace gcompile {

namespace {

// One list entry: a class of modules, a name, or "re:" and an expression.
struct Target {
  std::string text;
  std::optional<ModulePattern> pattern;
};

Expected<std::vector<Target>> parseTargets(const llvm::json::Array *list, StringRef key) {
  std::vector<Target> targets;
  if (!list)
    return targets;
  for (const llvm::json::Value &value : *list) {
    std::optional<StringRef> text = value.getAsString();
    if (!text)
      return importError("config.json: " + key + " holds something else than names");
    Target target{text->str(), std::nullopt};
    if (text->starts_with("re:")) {
      Expected<ModulePattern> pattern = ModulePattern::parse(text->drop_front(3));
      if (!pattern)
        return pattern.takeError();
      target.pattern = std::move(*pattern);
    }
    targets.push_back(std::move(target));
  }
  return targets;
}

bool isEmbedding(StringRef module) {
  return module.ends_with("embed_tokens") || module.ends_with("embed_tokens_per_layer");
}

// How closely a list names a module: 3 by name, 2 by expression, 1 by class, 0 not at all.
int closeness(llvm::ArrayRef<Target> targets, StringRef module) {
  int best = 0;
  for (const Target &target : targets) {
    if (target.text == module)
      return 3;
    if (target.pattern && target.pattern->matchesStart(module))
      best = 2;
    else if (target.text == (isEmbedding(module) ? "Embedding" : "Linear"))
      best = std::max(best, 1);
  }
  return best;
}

struct Group {
  std::string name;
  std::vector<Target> targets;
  unsigned bits = 0;
  bool isFloat = false, symmetric = true;
  std::string strategy;
  int64_t groupSize = 0, blockRows = 0, blockColumns = 0;
  CodedBuilder::Int8Codes staticInt8; // what input_scale and output_scale are scales of
};

// Whether the scales of these activations, if there are any, are of symmetric int8 codes.
bool areStaticInt8(const llvm::json::Object *activations) {
  return activations && activations->getInteger("num_bits").value_or(8) == 8 &&
         activations->getString("type").value_or("int") == "int" &&
         activations->getBoolean("symmetric").value_or(true) &&
         !activations->getBoolean("dynamic").value_or(false);
}

Expected<Group> parseGroup(StringRef name, const llvm::json::Object &object) {
  std::string what = ("config.json: config_groups " + inQuotes(name));
  Group group;
  group.name = name.str();
  Expected<std::vector<Target>> targets =
      parseTargets(object.getArray("targets"), "config_groups " + name.str() + ".targets");
  if (!targets)
    return targets.takeError();
  group.targets = std::move(*targets);
  const llvm::json::Object *weights = object.getObject("weights");
  if (!weights)
    return importError(what + " has no weights");
  JsonReader reader(*weights, what);
  Expected<int64_t> bits = reader.integer("num_bits", 1, 8);
  if (!bits)
    return bits.takeError();
  group.bits = unsigned(*bits);
  Expected<std::string> type = reader.textOr("type", "int");
  if (!type)
    return type.takeError();
  group.isFloat = *type == "float";
  Expected<bool> symmetric = reader.flagOr("symmetric", true);
  if (!symmetric)
    return symmetric.takeError();
  group.symmetric = *symmetric;
  Expected<std::string> strategy = reader.textOr("strategy", "");
  if (!strategy)
    return strategy.takeError();
  group.strategy = *strategy;
  Expected<int64_t> size = reader.integerOr("group_size", -1, int64_t(1) << 30, 0);
  if (!size)
    return size.takeError();
  group.groupSize = *size;
  Expected<std::vector<int64_t>> block = reader.integers("block_structure", 1, int64_t(1) << 20);
  if (!block)
    return block.takeError();
  if (block->size() == 2) {
    group.blockRows = (*block)[0];
    group.blockColumns = (*block)[1];
  }
  group.staticInt8 = {areStaticInt8(object.getObject("input_activations")),
                      areStaticInt8(object.getObject("output_activations"))};
  return group;
}

class CompressedTensors {
public:
  CompressedTensors(CodedBuilder &builder, const llvm::json::Object &config)
      : builder(builder), config(config) {}

  Error run() {
    if (Error error = readConfig())
      return error;
    for (const CodedModule &module : builder.modules())
      if (Error error = describe(module))
        return error;
    bool isInt8 = areStaticInt8(config.getObject("kv_cache_scheme"));
    return builder.takeCacheScales(isInt8 ? CacheCodes::Int8 : CacheCodes::Other);
  }

private:
  Error describe(const CodedModule &module) {
    const TensorInfo *packed = module.part("weight_packed"), *weight = module.part("weight");
    if (packed && weight)
      return moduleError(module, "there are both weight and weight_packed");
    if (packed)
      return packed->type == TensorType::I32 ? packedIntegers(module, *packed)
                                             : packedFloats(module, *packed);
    return weight && module.part("weight_scale") ? bytes(module, *weight) : Error::success();
  }

  Error readConfig() {
    StringRef format = config.getString("format").value_or("");
    if (format.starts_with("marlin") || format.contains("sparse"))
      return importError("config.json: compressed-tensors format " + inQuotes(format) +
                         " is not read; give the pack-quantized checkpoint of the model");
    for (StringRef key : {"sparsity_config", "transform_config"})
      if (const llvm::json::Object *object = config.getObject(key); object && !object->empty()) {
        StringRef inner = object->getString("format").value_or("");
        if (key == "transform_config" || (inner != "dense" && !inner.empty()))
          return importError("config.json: quantization_config has a " + key + " (" +
                             inQuotes(inner) +
                             "), which is not read; give a checkpoint without it");
      }
    version = config.getString("version").value_or("").str();
    Expected<std::vector<Target>> listed = parseTargets(config.getArray("ignore"), "ignore");
    if (!listed)
      return listed.takeError();
    ignored = std::move(*listed);
    if (const llvm::json::Object *list = config.getObject("config_groups"))
      for (const auto &[name, value] : *list) {
        const llvm::json::Object *object = value.getAsObject();
        if (!object)
          return importError("config.json: config_groups " + inQuotes(StringRef(name)) +
                             " is no object");
        Expected<Group> group = parseGroup(name, *object);
        if (!group)
          return group.takeError();
        groups.push_back(std::move(*group));
      }
    return Error::success();
  }

  Expected<const Group *> groupOf(const CodedModule &module, const TensorInfo &codes) {
    if (closeness(ignored, module.name))
      return moduleError(module, describeTensor(codes) +
                                     " is quantized, but config.json lists the module in ignore");
    const Group *best = nullptr;
    int closest = 0;
    for (const Group &group : groups)
      if (int found = closeness(group.targets, module.name); found > closest) {
        closest = found;
        best = &group;
      }
    if (!best)
      return moduleError(module,
                         describeTensor(codes) +
                             " is quantized, but no config_groups of config.json target it");
    return best;
  }

  // Scales [1], [out], [out, groups] or blocks, against strategy and group size.
  Error setScales(const CodedModule &module, const Group &group, const TensorInfo &scales,
                  CodedTensor &tensor) {
    ScaleGrid &grid = tensor.scales;
    grid.tensor = &scales;
    grid.type = scales.type;
    if (scales.type != TensorType::BF16 && scales.type != TensorType::F16 &&
        scales.type != TensorType::F32)
      return moduleError(module, describeTensor(scales) + ", expected BF16, F16 or F32");
    tensor.groupColumns = tensor.columns;
    if (scales.elements() == 1) {
      grid.rowsPerEntry = tensor.rows;
      return agree(module, group, scales, "tensor", tensor.rows == 1);
    }
    if (group.strategy == "block" && group.blockRows && scales.shape.size() == 2) {
      grid.rowsPerEntry = group.blockRows;
      tensor.groupColumns = group.blockColumns;
      grid.groups = scales.shape[1];
      return Error::success();
    }
    grid.groups = scales.shape.size() == 2 ? scales.shape[1] : 1;
    if (grid.groups == 1)
      return agree(module, group, scales, "channel", group.groupSize == tensor.columns);
    if (grid.groups <= 0 || tensor.columns % grid.groups != 0)
      return moduleError(module,
                         describeTensor(scales) + " for " + Twine(tensor.columns) + " columns");
    tensor.groupColumns = tensor.columns / grid.groups;
    if (group.groupSize != tensor.groupColumns)
      return moduleError(
          module, describeTensor(scales) + ", which is groups of " + Twine(tensor.groupColumns) +
                      " columns; config.json (group " + inQuotes(group.name) + ") says strategy " +
                      inQuotes(group.strategy) + " with group_size " + Twine(group.groupSize));
    return Error::success();
  }

  Error agree(const CodedModule &module, const Group &group, const TensorInfo &scales,
              StringRef strategy, bool otherwise) {
    if (group.strategy == strategy || group.strategy.empty() || otherwise)
      return Error::success();
    return moduleError(module, describeTensor(scales) + ", which is strategy " +
                                   inQuotes(strategy) + "; config.json (group " +
                                   inQuotes(group.name) + ") says " + inQuotes(group.strategy));
  }

  Error finish(const CodedModule &module, const Group &group, CodedTensor tensor) {
    const TensorInfo *zeros = module.part("weight_zero_point");
    if (!group.symmetric && !zeros)
      return moduleError(module, "config.json (group " + inQuotes(group.name) +
                                     ") says asymmetric, but there is no weight_zero_point");
    if (zeros) {
      tensor.zeros.tensor = zeros;
      bool packed = zeros->type == TensorType::I32 && tensor.codes->type == TensorType::I32;
      bool words = tensor.order == CodeOrder::RowWords;
      tensor.zeros.order = !packed ? ZeroOrder::Plain
                           : words ? ZeroOrder::DownWords
                                   : ZeroOrder::DownRows;
    }
    tensor.groupIndex = module.part("weight_g_idx");
    if (Error error = builder.add(module, std::move(tensor)))
      return error;
    return builder.takeScales(module, "input_scale", "output_scale", group.staticInt8);
  }

  Error packedIntegers(const CodedModule &module, const TensorInfo &packed) {
    Expected<const Group *> group = groupOf(module, packed);
    if (!group)
      return group.takeError();
    const TensorInfo *shape = module.part("weight_shape"), *scales = module.part("weight_scale");
    if (!shape || !scales || packed.shape.size() != 2)
      return moduleError(module,
                         describeTensor(packed) + " needs weight_shape and weight_scale beside it");
    if (shape->type != TensorType::I64 || shape->elements() != 2)
      return moduleError(module, describeTensor(*shape) + ", expected I64 2");
    int64_t extents[2];
    if (Error error =
            builder.raw().read(*shape, 0, {reinterpret_cast<uint8_t *>(extents), sizeof extents}))
      return error;
    builder.consume(shape);
    if (extents[0] != packed.shape[0] || extents[1] <= 0 || extents[1] > int64_t(1) << 40)
      return moduleError(module, "weight_shape is " + Twine(extents[0]) + "x" + Twine(extents[1]) +
                                     ", but " + describeTensor(packed));
    CodedTensor tensor;
    tensor.codes = &packed;
    tensor.rows = extents[0];
    tensor.columns = extents[1];
    tensor.bits = (*group)->bits;
    if ((*group)->isFloat)
      return moduleError(module, describeTensor(packed) +
                                     " is packed integers; config.json (group " +
                                     inQuotes((*group)->name) + ") says floats");
    // Until 0.17 words held whole codes; from 0.18 rows are streams. Equal for 1, 2, 4 and 8 bits.
    int64_t bits = tensor.bits, perWord = 32 / bits;
    int64_t old = (tensor.columns + perWord - 1) / perWord;
    int64_t dense = (tensor.columns * bits + 31) / 32;
    if (packed.shape[1] != old && packed.shape[1] != dense)
      return moduleError(module, describeTensor(packed) + "; config.json (group " +
                                     inQuotes((*group)->name) + ") says " + Twine(bits) +
                                     " bits, which for " + Twine(tensor.columns) + " columns is " +
                                     Twine(dense) + " words" +
                                     (old == dense ? "" : " (or " + std::to_string(old) + ")"));
    if (32 % bits != 0) {
      bool isOld = packed.shape[1] == old;
      if (old == dense) {
        unsigned major = 0, minor = 0;
        auto [first, rest] = StringRef(version).split('.');
        if (first.getAsInteger(10, major) || rest.split('.').first.getAsInteger(10, minor))
          return moduleError(module, describeTensor(packed) +
                                         " may be packed in two ways; config.json has no version "
                                         "that tells which (" +
                                         inQuotes(version) + ")");
        isOld = major == 0 && minor < 18;
      }
      tensor.order = isOld ? CodeOrder::RowWords : CodeOrder::RowStream;
    }
    if (Error error = setScales(module, **group, *scales, tensor))
      return error;
    return finish(module, **group, std::move(tensor));
  }

  // int-quantized and float-quantized: a byte per value.
  Error bytes(const CodedModule &module, const TensorInfo &weight) {
    bool isFloat = weight.type == TensorType::F8E4M3;
    if ((weight.type != TensorType::I8 && !isFloat) || weight.shape.size() != 2)
      return Error::success(); // full precision with the scales of an unfinished run
    Expected<const Group *> group = groupOf(module, weight);
    if (!group)
      return group.takeError();
    if ((*group)->isFloat != isFloat || (isFloat && (*group)->bits != 8))
      return moduleError(module, describeTensor(weight) + "; config.json (group " +
                                     inQuotes((*group)->name) + ") says " + Twine((*group)->bits) +
                                     " bits, type " + ((*group)->isFloat ? "float" : "int"));
    CodedTensor tensor;
    tensor.codes = &weight;
    tensor.rows = weight.shape[0];
    tensor.columns = weight.shape[1];
    tensor.bits = 8;
    tensor.numbers = isFloat ? CodeNumbers::Table : CodeNumbers::TwosComplement;
    if (isFloat)
      tensor.table = e4m3;
    if (Error error = setScales(module, **group, *module.part("weight_scale"), tensor))
      return error;
    return finish(module, **group, std::move(tensor));
  }

  // NVFP4 and MXFP4: nibbles, low first.
  Error packedFloats(const CodedModule &module, const TensorInfo &packed) {
    Expected<const Group *> group = groupOf(module, packed);
    if (!group)
      return group.takeError();
    const TensorInfo *scales = module.part("weight_scale");
    if (packed.type != TensorType::U8 || packed.shape.size() != 2 || !scales ||
        scales->shape.size() != 2)
      return moduleError(module, describeTensor(packed) + ", expected U8 with weight_scale of two "
                                                          "dimensions beside it");
    bool nv = scales->type == TensorType::F8E4M3;
    if (!(*group)->isFloat || (*group)->bits != 4)
      return moduleError(module, describeTensor(packed) + " is 4-bit floats; config.json (group " +
                                     inQuotes((*group)->name) + ") says " + Twine((*group)->bits) +
                                     " bits, type " + ((*group)->isFloat ? "float" : "int"));
    if (!nv && scales->type != TensorType::U8 && scales->type != TensorType::F8E8M0)
      return moduleError(module, describeTensor(*scales) + ", expected F8_E4M3 or U8");
    CodedTensor tensor;
    tensor.codes = &packed;
    tensor.rows = packed.shape[0];
    tensor.columns = packed.shape[1] * 2;
    tensor.bits = 4;
    tensor.numbers = CodeNumbers::Table;
    tensor.table = e2m1;
    tensor.groupColumns = nv ? 16 : 32;
    tensor.scales.tensor = scales;
    tensor.scales.type = nv ? TensorType::F8E4M3 : TensorType::F8E8M0;
    tensor.scales.groups = scales->shape[1];
    Expected<std::optional<float>> global = builder.scalar(module.part("weight_global_scale"));
    if (!global)
      return global.takeError();
    tensor.factor = global->value_or(1.0f);
    tensor.divideByFactor = true;
    if (Error error = builder.add(module, std::move(tensor)))
      return error;
    builder.consume(module.part("input_global_scale"));
    return Error::success();
  }

  CodedBuilder &builder;
  const llvm::json::Object &config;
  std::string version;
  std::vector<Target> ignored;
  std::vector<Group> groups;
  std::shared_ptr<const std::vector<float>> e4m3 = tableOf(floatFromE4M3, 8),
                                            e2m1 = tableOf(floatFromE2M1, 4);
};

} // namespace

Error describeCompressedTensors(CodedBuilder &builder, const QuantConfig &config) {
  return CompressedTensors(builder, *config.object).run();
}

} // namespace gcompile
