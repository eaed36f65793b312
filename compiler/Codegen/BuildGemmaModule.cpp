// The model, operation by operation, as gemma4.md 2 states it (E series, and dense models whose
// layers own their caches).
#include "compiler/Codegen/BuildGemmaModule.h"
#include "compiler/Import/Gemma4Tensors.h"
#include "ir/Gemma/Gemma.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/Verifier.h"
#include <cmath>

using namespace mlir;

namespace gcompile {
namespace {

class ModuleBuilder {
public:
  ModuleBuilder(const ModelConfig &config, MLIRContext &context, ModuleOutput output)
      : config(config), output(output), builder(&context), loc(builder.getUnknownLoc()) {}

  OwningOpRef<ModuleOp> build();

private:
  // Generated symbols come from our own numbering; names of the checkpoint are only text.
  FlatSymbolRefAttr weight(TensorRole role, int64_t layer, ArrayRef<int64_t> shape,
                           int64_t firstRow = 0, int64_t slices = 1, int64_t matrices = 1);
  FlatSymbolRefAttr vector(TensorRole role, int64_t layer, int64_t length) {
    return weight(role, layer, {length});
  }
  FlatSymbolRefAttr ropeFrequencies(LayerType type, int64_t headDim);
  void declareCaches();
  // The layer whose cache a layer reads, itself or its donor.
  int64_t cacheOwner(int64_t layer) {
    return config.layers[layer].ownsKv ? layer : config.layers[layer].kvDonor;
  }
  // K = rope(V ⊙ key norm), so that V alone is cached (gemma4.md 2.3, docs/decisions/0007).
  bool derivesKeys(int64_t layer) { return config.layers[cacheOwner(layer)].derivesKeys(); }

  Value linear(Value x, FlatSymbolRefAttr weight, int64_t width) {
    return gemma::LinearOp::create(builder, loc, activations(width), x, weight);
  }
  Value linear(Value x, TensorRole role, int64_t layer, int64_t width) {
    if (output.kind == ModuleOutput::LinearInput && output.role == role && output.layer == layer)
      observed = x;
    int64_t columns = cast<ShapedType>(x.getType()).getDimSize(1);
    return linear(x, weight(role, layer, {width, columns}), width);
  }
  Value norm(Value x, FlatSymbolRefAttr weight, int64_t groups = 1, double inputScale = 1) {
    return gemma::RmsNormOp::create(
        builder, loc, x.getType(), x, weight, builder.getI64IntegerAttr(groups),
        builder.getF32FloatAttr(config.rmsEpsilon), builder.getF32FloatAttr(inputScale));
  }
  Value layerNorm(Value x, TensorRole role, int64_t layer) {
    return norm(x, vector(role, layer, config.hidden));
  }
  Value add(Value a, Value b, double scale = 1, FlatSymbolRefAttr factor = {}) {
    return gemma::AddOp::create(builder, loc, a.getType(), a, b, factor,
                                builder.getF32FloatAttr(scale));
  }
  Value embed(FlatSymbolRefAttr table, int64_t slice, int64_t width, double scale) {
    return gemma::EmbedOp::create(builder, loc, activations(width), tokens, table,
                                  builder.getI64IntegerAttr(slice), builder.getF32FloatAttr(scale));
  }
  RankedTensorType activations(int64_t width) {
    return RankedTensorType::get({ShapedType::kDynamic, width}, builder.getF32Type());
  }

  Value attention(Value x, int64_t layer);
  Value feedForward(Value x, int64_t layer);
  Value experts(Value x, int64_t layer);
  Value perLayerInput(Value embedded, int64_t layer);
  Value decoderLayer(Value x, Value embedded, int64_t layer);
  Value hiddenState(Value x, Value embedded, int64_t afterLayer);
  Value logits(Value hidden, FlatSymbolRefAttr table);

  const ModelConfig &config;
  ModuleOutput output;
  OpBuilder builder;
  Location loc;
  OpBuilder::InsertPoint symbolPoint;
  int64_t weightCount = 0;
  std::map<std::string, FlatSymbolRefAttr> ropeSymbols;
  std::map<std::string, FlatSymbolRefAttr>
      sharedWeights; // embedding, table and vectors used by every layer
  Value tokens;
  Value spans;    // of images (docs/decisions/0016); absent where they are as causal as text
  Value observed; // the value inside that was asked for
};

FlatSymbolRefAttr ModuleBuilder::weight(TensorRole role, int64_t layer, ArrayRef<int64_t> shape,
                                        int64_t firstRow, int64_t slices, int64_t matrices) {
  std::string source = canonicalTensorName(role, layer);
  std::string key = source + "#" + std::to_string(firstRow);
  if (auto known = sharedWeights.find(key); known != sharedWeights.end())
    return known->second;
  OpBuilder::InsertionGuard guard(builder);
  builder.restoreInsertionPoint(symbolPoint);
  std::string symbol = "w" + std::to_string(weightCount++);
  gemma::WeightOp::create(builder, loc, builder.getStringAttr(symbol),
                          builder.getStringAttr(source), builder.getI64IntegerAttr(firstRow),
                          TypeAttr::get(RankedTensorType::get(shape, builder.getF32Type())),
                          builder.getStringAttr(roleName(role)), builder.getI64IntegerAttr(layer),
                          builder.getStringAttr("text"), builder.getI64IntegerAttr(slices),
                          builder.getI64IntegerAttr(matrices), StringAttr(), StringAttr(),
                          IntegerAttr(), IntegerAttr(), IntegerAttr(), IntegerAttr(), FloatAttr(),
                          IntegerAttr(), FloatAttr(), FloatAttr(), FloatAttr());
  symbolPoint = builder.saveInsertionPoint();
  return sharedWeights[key] = FlatSymbolRefAttr::get(builder.getContext(), symbol);
}

FlatSymbolRefAttr ModuleBuilder::ropeFrequencies(LayerType type, int64_t headDim) {
  const RopeConfig &rope = config.rope(type);
  std::string key = std::to_string((int)type) + "/" + std::to_string(headDim);
  if (auto known = ropeSymbols.find(key); known != ropeSymbols.end())
    return known->second;
  OpBuilder::InsertionGuard guard(builder);
  builder.restoreInsertionPoint(symbolPoint);
  std::string symbol = "rope" + std::to_string(ropeSymbols.size());
  gemma::WeightOp::create(
      builder, loc, builder.getStringAttr(symbol), builder.getStringAttr(""),
      builder.getI64IntegerAttr(0),
      TypeAttr::get(RankedTensorType::get({headDim / 2}, builder.getF32Type())),
      builder.getStringAttr(gemma::ropeRole), builder.getI64IntegerAttr(-1),
      builder.getStringAttr("text"), builder.getI64IntegerAttr(1), builder.getI64IntegerAttr(1),
      StringAttr(), StringAttr(), IntegerAttr(), IntegerAttr(), IntegerAttr(), IntegerAttr(),
      builder.getF64FloatAttr(rope.theta), builder.getI64IntegerAttr(rope.rotatedPairs),
      FloatAttr(), FloatAttr(), FloatAttr());
  symbolPoint = builder.saveInsertionPoint();
  return ropeSymbols[key] = FlatSymbolRefAttr::get(builder.getContext(), symbol);
}

std::string cacheSymbol(int64_t layer) { return "kv" + std::to_string(layer); }

void ModuleBuilder::declareCaches() {
  for (auto [index, layer] : llvm::enumerate(config.layers)) {
    FlatSymbolRefAttr donor;
    if (!layer.ownsKv)
      donor = FlatSymbolRefAttr::get(builder.getContext(), cacheSymbol(layer.kvDonor));
    gemma::KvCacheOp::create(
        builder, loc, builder.getStringAttr(cacheSymbol(index)), builder.getI64IntegerAttr(index),
        builder.getI64IntegerAttr(layer.kvHeads), builder.getI64IntegerAttr(layer.headDim),
        builder.getI64IntegerAttr(layer.type == LayerType::Sliding ? config.window : 0), donor,
        StringAttr(), StringAttr(), IntegerAttr(),
        derivesKeys(index) ? builder.getUnitAttr() : UnitAttr(), FloatAttr(), FloatAttr());
  }
}

Value ModuleBuilder::attention(Value x, int64_t index) {
  const LayerConfig &layer = config.layers[index];
  int64_t queryWidth = config.heads * layer.headDim, keyWidth = layer.kvHeads * layer.headDim;
  auto cache = FlatSymbolRefAttr::get(builder.getContext(), cacheSymbol(index));
  FlatSymbolRefAttr frequencies = ropeFrequencies(layer.type, layer.headDim);
  Value h = layerNorm(x, TensorRole::InputNorm, index);
  auto rope = [&](Value value, int64_t heads) -> Value {
    return gemma::RopeOp::create(builder, loc, value.getType(), value, frequencies,
                                 builder.getI64IntegerAttr(heads));
  };
  Value q = linear(h, TensorRole::Query, index, queryWidth);
  q = rope(norm(q, vector(TensorRole::QueryNorm, index, layer.headDim), config.heads),
           config.heads);
  if (layer.ownsKv) {
    Value rawKey = linear(h, TensorRole::Key, index, keyWidth);
    // K = V layers have no v_proj: V is the raw key projection, before norm and rotation.
    Value rawValue = layer.keyEqualsValue ? rawKey : linear(h, TensorRole::Value, index, keyWidth);
    Value k;
    if (!derivesKeys(index))
      k = rope(norm(rawKey, vector(TensorRole::KeyNorm, index, layer.headDim), layer.kvHeads),
               layer.kvHeads);
    Value v = norm(rawValue, {}, layer.kvHeads);
    if (output.layer == index && output.kind == ModuleOutput::CachedKey)
      observed = k;
    if (output.layer == index && output.kind == ModuleOutput::CachedValue)
      observed = v;
    gemma::AppendKvOp::create(builder, loc, k, v, cache);
  }
  FlatSymbolRefAttr keyNorm, keyFrequencies;
  if (derivesKeys(index)) {
    keyNorm = vector(TensorRole::KeyNorm, cacheOwner(index), layer.headDim);
    keyFrequencies = frequencies;
  }
  bool seesWhole = config.imageAttention == ImageAttention::WholeImage;
  bool seesImages = spans && (seesWhole || layer.type == LayerType::Sliding);
  Value attended =
      gemma::AttentionOp::create(builder, loc, q.getType(), q, seesImages ? spans : Value(),
                                 spans && seesWhole ? builder.getUnitAttr() : UnitAttr(), cache,
                                 builder.getI64IntegerAttr(config.heads), keyNorm, keyFrequencies);
  Value projected = linear(attended, TensorRole::Output, index, config.hidden);
  return add(x, layerNorm(projected, TensorRole::PostAttentionNorm, index));
}

Value ModuleBuilder::feedForward(Value x, int64_t index) {
  int64_t width = config.layers[index].intermediate;
  Value u = layerNorm(x, TensorRole::PreFeedForwardNorm, index);
  Value gate = linear(u, TensorRole::Gate, index, width);
  Value up = linear(u, TensorRole::Up, index, width);
  Value gated = gemma::GatedGeluOp::create(builder, loc, gate.getType(), gate, up);
  Value down = linear(gated, TensorRole::Down, index, config.hidden);
  if (config.isMoe())
    down = add(layerNorm(down, TensorRole::PostFeedForwardNorm1, index), experts(x, index));
  return layerNorm(down, TensorRole::PostFeedForwardNorm, index);
}

// Experts beside the dense branch, on the same residual (gemma4.md 2.4). The router sees the
// residual normed without the layer's weight; its scale 1/√hidden goes into the operation.
Value ModuleBuilder::experts(Value x, int64_t index) {
  const MoeConfig &moe = config.moe;
  Value routed = norm(x, vector(TensorRole::RouterScale, index, config.hidden));
  Value router = linear(routed, TensorRole::RouterProjection, index, moe.experts);
  Value u = layerNorm(x, TensorRole::PreFeedForwardNorm2, index);
  Value y = gemma::ExpertsOp::create(
      builder, loc, u.getType(), u, router,
      weight(TensorRole::ExpertsGateUp, index, {moe.experts * 2 * moe.intermediate, config.hidden},
             0, 1, moe.experts),
      weight(TensorRole::ExpertsDown, index, {moe.experts * config.hidden, moe.intermediate}, 0, 1,
             moe.experts),
      vector(TensorRole::RouterExpertScale, index, moe.experts),
      builder.getI64IntegerAttr(moe.topK),
      builder.getF32FloatAttr(1 / std::sqrt((double)config.hidden)));
  return layerNorm(y, TensorRole::PostFeedForwardNorm2, index);
}

// (token part + context part) / √2 for one layer; each layer computes its own slice, so that layers
// that are skipped need none.
Value ModuleBuilder::perLayerInput(Value embedded, int64_t index) {
  int64_t width = config.perLayerInput, layers = config.layerCount();
  FlatSymbolRefAttr table =
      weight(TensorRole::PerLayerTable, -1, {config.perLayerVocabulary, layers * width}, 0, layers);
  Value token = embed(table, index, width, std::sqrt((double)width));
  FlatSymbolRefAttr slice =
      weight(TensorRole::PerLayerModelProjection, -1, {width, config.hidden}, index * width);
  Value context =
      norm(linear(embedded, slice, width), vector(TensorRole::PerLayerProjectionNorm, -1, width), 1,
           1 / std::sqrt((double)config.hidden));
  return add(token, context, M_SQRT1_2);
}

Value ModuleBuilder::decoderLayer(Value x, Value embedded, int64_t index) {
  FlatSymbolRefAttr scalar = vector(TensorRole::LayerScalar, index, 1);
  x = attention(x, index);
  Value y = feedForward(x, index);
  if (!config.hasPerLayerInput())
    return add(x, y, 1, scalar);
  x = add(x, y);
  Value gate = linear(x, TensorRole::PerLayerGate, index, config.perLayerInput);
  Value input = perLayerInput(embedded, index);
  Value gated = gemma::GatedGeluOp::create(builder, loc, gate.getType(), gate, input);
  Value projected = linear(gated, TensorRole::PerLayerProjection, index, config.hidden);
  return add(x, layerNorm(projected, TensorRole::PostPerLayerNorm, index), 1, scalar);
}

Value ModuleBuilder::hiddenState(Value x, Value embedded, int64_t afterLayer) {
  for (int64_t layer = 0; layer < std::min(afterLayer, config.layerCount()); ++layer)
    x = decoderLayer(x, embedded, layer);
  return afterLayer > config.layerCount() ? layerNorm(x, TensorRole::FinalNorm, -1) : x;
}

Value ModuleBuilder::logits(Value hidden, FlatSymbolRefAttr table) {
  Value logits = linear(hidden, table, config.vocabulary);
  if (config.logitSoftcap == 0)
    return logits;
  return gemma::SoftCapOp::create(builder, loc, logits.getType(), logits,
                                  builder.getF32FloatAttr(config.logitSoftcap));
}

OwningOpRef<ModuleOp> ModuleBuilder::build() {
  OwningOpRef<ModuleOp> module = ModuleOp::create(loc);
  builder.setInsertionPointToStart(module->getBody());
  declareCaches();
  symbolPoint = builder.saveInsertionPoint();

  builder.setInsertionPointToEnd(module->getBody());
  auto tokensType = RankedTensorType::get({ShapedType::kDynamic}, builder.getI32Type());
  SmallVector<Type> inputs{tokensType};
  if (config.imageAttention != ImageAttention::Causal)
    inputs.push_back(RankedTensorType::get({ShapedType::kDynamic, 2}, builder.getI32Type()));
  auto forward = func::FuncOp::create(builder, loc, "forward", builder.getFunctionType(inputs, {}));
  forward->setAttr(gemma::programAttrName, builder.getStringAttr("forward"));
  builder.setInsertionPointToEnd(forward.addEntryBlock());
  tokens = forward.getArgument(0);
  if (inputs.size() > 1)
    spans = forward.getArgument(1);

  FlatSymbolRefAttr table = weight(TensorRole::Embedding, -1, {config.vocabulary, config.hidden});
  Value embedded = embed(table, 0, config.hidden, std::sqrt((double)config.hidden));
  Value result;
  if (output.isInside() && output.layer >= 0) {
    hiddenState(embedded, embedded, output.layer + 1);
    result = observed;
  } else if (output.isInside()) {
    bool head = output.role == TensorRole::Embedding;
    result = head ? hiddenState(embedded, embedded, config.layerCount() + 1) : embedded;
  } else if (output.kind == ModuleOutput::HiddenState) {
    result = hiddenState(embedded, embedded, output.afterLayer);
  } else {
    result = logits(hiddenState(embedded, embedded, config.layerCount() + 1), table);
  }
  if (!result)
    return {};
  // A program returns a value that nothing else uses; (x + x) / 2 is x.
  if (output.isInside())
    result = add(result, result, 0.5);
  forward.setFunctionType(builder.getFunctionType(inputs, {result.getType()}));
  func::ReturnOp::create(builder, loc, result);
  return module;
}

} // namespace

llvm::Expected<OwningOpRef<ModuleOp>> buildGemmaModule(const ModelConfig &config,
                                                       MLIRContext &context, ModuleOutput output) {
  auto refuse = [&](const Twine &what) {
    return llvm::createStringError("model '" + config.name + "' " + what);
  };
  if (!config.tiedEmbedding)
    return refuse("has an output head of its own, which is not built yet");
  OwningOpRef<ModuleOp> module = ModuleBuilder(config, context, output).build();
  if (!module && output.kind != ModuleOutput::LinearInput)
    return refuse("keeps no such keys or values of layer " + Twine(output.layer));
  if (!module)
    return refuse("has no linear layer " + canonicalTensorName(output.role, output.layer));
  if (failed(verify(*module)))
    return refuse("gives an invalid module (a bug in the importer)");
  return module;
}

} // namespace gcompile
