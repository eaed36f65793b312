#include "compiler/Plan/PlanText.h"

#include "compiler/Plan/EngineText.h"
#include "compiler/Plan/deployment_plan.pb.h"
#include "compiler/Support/TextProto.h"
#include "ir/Format/CacheLayout.h"

#include "llvm/ADT/Twine.h"
#include "llvm/Support/JSON.h"

#include <cmath>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/text_format.h>
#include <set>

namespace gcompile {
namespace {

// One option a line: diffs show decisions, not layout.
class OnOneLine final : public google::protobuf::TextFormat::FastFieldValuePrinter {
  using Text = google::protobuf::TextFormat::BaseTextGenerator;
  void PrintMessageStart(const google::protobuf::Message &, int, int, bool,
                         Text *out) const override {
    out->PrintLiteral(" { ");
  }
  bool PrintMessageContent(const google::protobuf::Message &message, int, int, bool,
                           Text *out) const override {
    google::protobuf::TextFormat::Printer printer;
    printer.SetSingleLineMode(true);
    std::string text;
    printer.PrintToString(message, &text);
    out->PrintString(text);
    return true;
  }
  void PrintMessageEnd(const google::protobuf::Message &, int, int, bool,
                       Text *out) const override {
    out->PrintLiteral("}\n");
  }
};

} // namespace

static std::string str(std::string_view text) { return std::string(text); }

static void writeOptions(const std::vector<PricedOption> &options,
                         google::protobuf::RepeatedPtrField<plan::Option> *out) {
  for (const PricedOption &option : options) {
    plan::Option &written = *out->Add();
    written.set_format(option.format);
    written.set_bytes(option.bytes);
    written.set_loss(option.loss);
    written.set_seconds(option.seconds);
    written.set_stored_bytes(option.storedBytes);
    written.set_excluded(!option.allowed);
  }
}

static void writeTensor(const Plan &plan, const PlannedTensor &tensor, plan::Tensor &out) {
  out.set_name(tensor.name);
  out.set_role(tensor.role);
  if (tensor.layer >= 0)
    out.set_layer(tensor.layer);
  out.set_n(tensor.n);
  out.set_k(tensor.k);
  out.set_format(str(name(tensor.format)));
  out.set_placement(tensor.placement);
  out.set_bytes(tensor.bytes);
  out.set_fixed(tensor.fixed);
  writeOptions(tensor.options, out.mutable_options());
  if (auto found = plan.activationScales.find(tensor.name); found != plan.activationScales.end()) {
    out.set_input_scale(found->second.input);
    out.set_output_scale(found->second.output);
  }
}

static void writeKv(const PlannedKv &kv, plan::KvCache &out) {
  out.set_layer_type(kv.layerType);
  out.set_k(str(keyFormatName(kv)));
  out.set_v(str(name(kv.v)));
  out.set_layers(kv.layers);
  out.set_heads(kv.heads);
  out.set_head_dim(kv.headDim);
  out.set_capacity(kv.capacity);
  out.set_bytes(kv.bytes);
  out.set_fixed(kv.fixed);
  writeOptions(kv.options, out.mutable_options());
}

static void writeHead(const Plan &plan, PlanTextUse use, plan::DeploymentPlan &out) {
  out.set_version(planVersion);
  out.set_model(plan.model);
  out.set_target(plan.target);
  out.set_context(plan.context);
  for (const std::string &modality : plan.modalities)
    out.add_modalities(modality);
  out.set_objective(str(name(plan.objective)));
  out.set_budget_bytes(plan.budgetBytes);
  out.set_tables(str(name(plan.tables)));
  out.set_table_cache_rows(plan.tableCacheRows);
  out.set_prefill_chunk(plan.prefillChunk);
  out.set_score_chunk(plan.scoreChunk);
  if (plan.experts != TablePlacement::None) {
    out.set_experts(str(name(plan.experts)));
    out.set_expert_slots(plan.expertSlots);
  }
  if (plan.activations)
    out.set_activations(str(name(*plan.activations)));
  plan::Memory &memory = *out.mutable_memory();
  memory.set_weights(plan.memory.weights);
  memory.set_tables(plan.memory.tables);
  memory.set_kv_cache(plan.memory.kvCache);
  memory.set_activations(plan.memory.activations);
  memory.set_encoders(plan.memory.encoders);
  memory.set_code(plan.memory.code);
  memory.set_runtime(plan.memory.runtime);
  plan::Predictions &predicted = *out.mutable_predicted();
  if (use == PlanTextUse::File || !plan.predicted.measured) {
    predicted.set_decode_tokens_per_second(plan.predicted.decodeTokensPerSecond);
    predicted.set_prefill_tokens_per_second(plan.predicted.prefillTokensPerSecond);
    predicted.set_first_token_seconds(plan.predicted.firstTokenSeconds);
    predicted.set_decode_term(plan.predicted.decodeTerm);
    predicted.set_prefill_term(plan.predicted.prefillTerm);
    predicted.set_decode_low(plan.predicted.decodeLow);
    predicted.set_decode_high(plan.predicted.decodeHigh);
    predicted.set_prefill_low(plan.predicted.prefillLow);
    predicted.set_prefill_high(plan.predicted.prefillHigh);
    for (const TimePart &part : plan.predicted.decodeParts) {
      plan::TimePart &written = *predicted.add_decode_parts();
      written.set_term(part.term);
      written.set_seconds(part.seconds);
    }
  }
  predicted.set_expert_miss_rate(plan.predicted.expertMissRate);
  predicted.set_kl(plan.predicted.kl);
  predicted.set_kl_low(plan.predicted.klLow);
  predicted.set_kl_high(plan.predicted.klHigh);
  predicted.set_kl_basis(str(name(plan.predicted.klBasis)));
  if (const std::optional<KlLink> &link = plan.predicted.klLink) {
    plan::KlLink &written = *predicted.mutable_kl_link();
    written.set_constant(link->constant);
    written.set_slope(link->slope);
    written.set_curvature(link->curvature);
    written.set_centre(link->centre);
    written.set_least(link->least);
    written.set_most(link->most);
    written.set_deviation(link->deviation);
    written.set_plans(link->plans);
  }
  if (const std::optional<StaticCost> &cost = plan.predicted.staticCost) {
    predicted.mutable_static_cost()->set_activations(cost->activations);
    predicted.mutable_static_cost()->set_scales(cost->scales);
  }
  out.mutable_optimality()->set_objective(plan.optimality.objective);
  out.mutable_optimality()->set_bound(plan.optimality.bound);
  out.mutable_optimality()->set_gap(plan.optimality.gap);
  out.mutable_optimality()->set_loss_per_second(plan.optimality.lossPerSecond);
  out.mutable_optimality()->set_loss_per_stored_byte(plan.optimality.lossPerStoredByte);
  out.mutable_optimality()->set_fixed_seconds(plan.optimality.fixedSeconds);
  out.mutable_optimality()->set_max_seconds(plan.optimality.maxSeconds);
  out.mutable_optimality()->set_fixed_bytes(plan.optimality.fixedBytes);
  out.set_solver(plan.solver);
  if (plan.engines)
    writeEngines(*plan.engines, *out.mutable_engines());
}

std::string planText(const Plan &plan, PlanTextUse use) {
  plan::DeploymentPlan message;
  writeHead(plan, use, message);
  for (const PlannedKv &kv : plan.kvCaches)
    writeKv(kv, *message.add_kv_caches());
  for (const auto &[layer, scales] : plan.cacheScales) {
    plan::CacheScales &written = *message.add_cache_scales();
    written.set_layer(layer);
    written.set_kv8_key(scales.kv8.key);
    written.set_kv8_value(scales.kv8.value);
    written.set_kv4_key(scales.kv4.key);
    written.set_kv4_value(scales.kv4.value);
  }
  for (const PlannedTensor &tensor : plan.tensors)
    writeTensor(plan, tensor, *message.add_tensors());
  for (const PlannedCoupling &coupling : plan.couplings) {
    plan::Coupling &written = *message.add_couplings();
    written.set_reason(coupling.reason);
    for (const std::string &item : coupling.items)
      written.add_items(item);
  }
  google::protobuf::TextFormat::Printer printer;
  printer.SetUseShortRepeatedPrimitives(true);
  for (const google::protobuf::Descriptor *owner :
       {plan::Tensor::descriptor(), plan::KvCache::descriptor()})
    printer.RegisterFieldValuePrinter(owner->FindFieldByName("options"), new OnOneLine);
  std::string body;
  google::protobuf::io::StringOutputStream stream(&body);
  printer.Print(message, &stream);
  return "# gcompile plan; edit formats and replay it with --plan.\n"
         "# proto-message: gcompile.plan.DeploymentPlan\n" +
         body;
}

namespace {

// The first string in a message that is not UTF-8, with its field's name; names reach JSON and
// HTML.
const google::protobuf::FieldDescriptor *badString(const google::protobuf::Message &message) {
  const google::protobuf::Reflection &reflection = *message.GetReflection();
  std::vector<const google::protobuf::FieldDescriptor *> fields;
  reflection.ListFields(message, &fields);
  std::string scratch;
  for (const google::protobuf::FieldDescriptor *field : fields) {
    bool text = field->cpp_type() == google::protobuf::FieldDescriptor::CPPTYPE_STRING;
    bool nested = field->cpp_type() == google::protobuf::FieldDescriptor::CPPTYPE_MESSAGE;
    if (!text && !nested)
      continue;
    int count = field->is_repeated() ? reflection.FieldSize(message, field) : 1;
    for (int i = 0; i < count; ++i) {
      if (nested) {
        const google::protobuf::Message &inner =
            field->is_repeated() ? reflection.GetRepeatedMessage(message, field, i)
                                 : reflection.GetMessage(message, field);
        if (const auto *bad = badString(inner))
          return bad;
        continue;
      }
      const std::string &value =
          field->is_repeated() ? reflection.GetRepeatedStringReference(message, field, i, &scratch)
                               : reflection.GetStringReference(message, field, &scratch);
      if (!llvm::json::isUTF8(value))
        return field;
    }
  }
  return nullptr;
}

// Bytes and counts that sums of never overflow.
bool isSize(int64_t value) { return value >= 0 && value <= int64_t(1) << 56; }

// Converts and checks; the first fault wins.
class Reader {
public:
  Reader(llvm::StringRef origin) : origin(origin) {}

  llvm::Error fault(const llvm::Twine &what) const {
    return llvm::createStringError("plan '" + origin + "': " + what);
  }

  llvm::Error options(const google::protobuf::RepeatedPtrField<plan::Option> &in,
                      std::vector<PricedOption> &out, llvm::StringRef owner) const {
    if (in.size() > 256)
      return fault("'" + owner + "' has more than 256 options");
    for (const plan::Option &option : in) {
      if (!isSize(option.bytes()) || !isSize(option.stored_bytes()) ||
          !std::isfinite(option.loss()) || !std::isfinite(option.seconds()))
        return fault("option '" + option.format() + "' of '" + owner +
                     "' has a price that is no number, is negative or beyond 2^56");
      out.push_back({option.format(), option.bytes(), option.loss(), option.seconds(),
                     option.stored_bytes(), !option.excluded()});
    }
    return llvm::Error::success();
  }

  llvm::Error tensor(const plan::Tensor &in, Plan &out) {
    if (!names.insert(in.name()).second)
      return fault("tensor '" + in.name() + "' is named twice");
    std::optional<WeightFormat> format = parseWeightFormat(in.format());
    if (!format)
      return fault("tensor '" + in.name() + "' has format '" + in.format() +
                   "', which is no weight format");
    if (in.placement() != "memory" && in.placement() != "storage")
      return fault("tensor '" + in.name() + "' has placement '" + in.placement() +
                   "', expected 'memory' or 'storage'");
    if (in.n() <= 0 || in.k() <= 0 || in.n() > int64_t(1) << 32 || in.k() > int64_t(1) << 32 ||
        !isSize(in.bytes()))
      return fault("tensor '" + in.name() + "' has shape " + llvm::Twine(in.n()) + "x" +
                   llvm::Twine(in.k()) + ", which is none");
    PlannedTensor tensor;
    tensor.name = in.name();
    tensor.role = in.role();
    tensor.layer = in.has_layer() ? in.layer() : -1;
    tensor.n = in.n();
    tensor.k = in.k();
    tensor.format = *format;
    tensor.placement = in.placement();
    tensor.bytes = in.bytes();
    tensor.fixed = in.fixed();
    if (llvm::Error error = options(in.options(), tensor.options, in.name()))
      return error;
    for (float scale : {in.input_scale(), in.output_scale()})
      if (!std::isfinite(scale) || scale < 0 || (scale != 0 && !std::isnormal(scale)))
        return fault("tensor '" + in.name() +
                     "' has an activation scale that is no positive number, nor 0 for none");
    if (ActivationScales scales{in.input_scale(), in.output_scale()}) {
      if (out.activations != Activations::Static)
        return fault("tensor '" + in.name() +
                     "' has activation scales, but activations is not "
                     "'static'");
      out.activationScales[tensor.name] = scales;
    }
    out.tensorFormats[tensor.name] = tensor.format;
    out.tensors.push_back(std::move(tensor));
    return llvm::Error::success();
  }

  llvm::Error kvCache(const plan::KvCache &in, Plan &out) {
    std::optional<KvFormat> v = parseKvFormat(in.v());
    std::optional<KvFormat> k = isDerived(in.k()) ? v : parseKvFormat(in.k());
    bool local = in.layer_type() == "local";
    if (!local && in.layer_type() != "global")
      return fault("kv cache has layer type '" + in.layer_type() +
                   "', expected 'local' or 'global'");
    if (!k || !v)
      return fault("kv cache '" + in.layer_type() + "' has formats '" + in.k() + "' and '" +
                   in.v() + "', expected f32, f16, kv8 or kv4 (or derived, of k)");
    for (int64_t count : {in.layers(), in.heads(), in.head_dim(), in.capacity(), in.bytes()})
      if (!isSize(count))
        return fault("kv cache '" + in.layer_type() + "' counts " + llvm::Twine(count) +
                     ", expected 0 to 2^56");
    PlannedKv kv;
    kv.layerType = in.layer_type();
    kv.k = *k;
    kv.v = *v;
    kv.layers = in.layers();
    kv.heads = in.heads();
    kv.headDim = in.head_dim();
    kv.capacity = in.capacity();
    kv.bytes = in.bytes();
    kv.fixed = in.fixed();
    kv.derivedKeys = isDerived(in.k());
    if (llvm::Error error = options(in.options(), kv.options, in.layer_type()))
      return error;
    for (const PlannedKv &other : out.kvCaches)
      if (other.layerType == kv.layerType)
        return fault("kv cache '" + in.layer_type() + "' is named twice");
    (local ? out.localK : out.globalK) = *k;
    (local ? out.localV : out.globalV) = *v;
    (local ? out.localCapacity : out.globalCapacity) = kv.capacity;
    out.kvCaches.push_back(std::move(kv));
    return llvm::Error::success();
  }

  llvm::Error cacheScales(const plan::CacheScales &in, Plan &out) const {
    std::string layer = std::to_string(in.layer());
    for (float scale : {in.kv8_key(), in.kv8_value(), in.kv4_key(), in.kv4_value()})
      if (!(scale == 0 || (std::isnormal(scale) && scale > 0)))
        return fault("the cache of layer " + layer + " has a scale of " + std::to_string(scale) +
                     ", expected a positive number or 0");
    CacheScaleChoice scales{{in.kv8_key(), in.kv8_value()}, {in.kv4_key(), in.kv4_value()}};
    if (!out.cacheScales.emplace(in.layer(), scales).second)
      return fault("the cache of layer " + layer + " has scales twice");
    return llvm::Error::success();
  }

private:
  llvm::StringRef origin;
  std::set<std::string> names;
};

} // namespace

// The account and the predictions; reports show them, so they have to be numbers.
static llvm::Error readNumbers(const Reader &reader, const plan::DeploymentPlan &in, Plan &out) {
  const plan::Memory &memory = in.memory();
  out.memory = {memory.weights(),  memory.tables(), memory.kv_cache(), memory.activations(),
                memory.encoders(), memory.code(),   memory.runtime()};
  for (int64_t bytes : {memory.weights(), memory.tables(), memory.kv_cache(), memory.activations(),
                        memory.encoders(), memory.code(), memory.runtime()})
    if (!isSize(bytes))
      return reader.fault("memory holds " + llvm::Twine(bytes) + " bytes, expected 0 to 2^56");
  const plan::Predictions &predicted = in.predicted();
  out.predicted.decodeTokensPerSecond = predicted.decode_tokens_per_second();
  out.predicted.prefillTokensPerSecond = predicted.prefill_tokens_per_second();
  out.predicted.firstTokenSeconds = predicted.first_token_seconds();
  out.predicted.decodeTerm = predicted.decode_term();
  out.predicted.prefillTerm = predicted.prefill_term();
  out.predicted.expertMissRate = predicted.expert_miss_rate();
  out.predicted.kl = predicted.kl();
  out.predicted.klLow = predicted.kl_low();
  out.predicted.klHigh = predicted.kl_high();
  out.predicted.decodeLow = predicted.decode_low();
  out.predicted.decodeHigh = predicted.decode_high();
  out.predicted.prefillLow = predicted.prefill_low();
  out.predicted.prefillHigh = predicted.prefill_high();
  for (const plan::TimePart &part : predicted.decode_parts())
    out.predicted.decodeParts.push_back({part.term(), part.seconds()});
  // Plans of older versions say nothing.
  out.predicted.klBasis = parseQualityBasis(predicted.kl_basis()).value_or(QualityBasis::Prior);
  if (predicted.has_kl_link()) {
    const plan::KlLink &link = predicted.kl_link();
    out.predicted.klLink = KlLink{link.constant(), link.slope(), link.curvature(), link.centre(),
                                  link.least(),    link.most(),  link.deviation(), link.plans()};
    for (double number : {link.constant(), link.slope(), link.curvature(), link.centre(),
                          link.least(), link.most(), link.deviation()})
      if (!std::isfinite(number) || std::abs(number) > 1e6)
        return reader.fault("kl_link holds a number beyond 1e6");
    if (link.deviation() < 0 || link.plans() < 0)
      return reader.fault("the deviation and plans of kl_link must not be negative");
  }
  if (predicted.has_static_cost()) {
    const plan::StaticCost &cost = predicted.static_cost();
    if (!(cost.activations() >= 0 && cost.activations() <= 1e6))
      return reader.fault("static_cost.activations is " + std::to_string(cost.activations()) +
                          ", expected 0 to 1e6 nats");
    out.predicted.staticCost = StaticCost{cost.activations(), cost.scales()};
  }
  out.optimality.objective = in.optimality().objective();
  out.optimality.bound = in.optimality().bound();
  out.optimality.gap = in.optimality().gap();
  out.optimality.lossPerSecond = in.optimality().loss_per_second();
  out.optimality.lossPerStoredByte = in.optimality().loss_per_stored_byte();
  out.optimality.fixedSeconds = in.optimality().fixed_seconds();
  out.optimality.maxSeconds = in.optimality().max_seconds();
  out.optimality.fixedBytes = in.optimality().fixed_bytes();
  if (!isSize(out.optimality.fixedBytes))
    return reader.fault("fixed_bytes is " + llvm::Twine(out.optimality.fixedBytes) +
                        ", expected 0 to 2^56");
  out.solver = in.solver();
  const Predictions &p = out.predicted;
  const Optimality &o = out.optimality;
  std::vector<double> numbers = {p.decodeTokensPerSecond,
                                 p.prefillTokensPerSecond,
                                 p.firstTokenSeconds,
                                 p.decodeLow,
                                 p.decodeHigh,
                                 p.prefillLow,
                                 p.prefillHigh,
                                 p.expertMissRate,
                                 p.kl,
                                 p.klLow,
                                 p.klHigh,
                                 o.objective,
                                 o.bound,
                                 o.gap,
                                 o.lossPerSecond,
                                 o.lossPerStoredByte,
                                 o.fixedSeconds,
                                 o.maxSeconds};
  for (const TimePart &part : p.decodeParts)
    numbers.push_back(part.seconds);
  for (double number : numbers)
    if (!std::isfinite(number))
      return reader.fault("a prediction or price is no finite number");
  if (p.decodeParts.size() > 64)
    return reader.fault("more than 64 parts of a token");
  for (const plan::Coupling &coupling : in.couplings())
    out.couplings.push_back(
        {coupling.reason(), {coupling.items().begin(), coupling.items().end()}});
  return llvm::Error::success();
}

llvm::Expected<Plan> parsePlan(llvm::StringRef text, llvm::StringRef origin) {
  Reader reader(origin);
  plan::DeploymentPlan message;
  if (llvm::Error error = parseTextProto(text, message, 64 << 20))
    return reader.fault(llvm::toString(std::move(error)));
  if (const google::protobuf::FieldDescriptor *field = badString(message))
    return reader.fault("a " + field->name() + " is no UTF-8 text");
  if (message.version() < 1)
    return reader.fault("it states no version: this is no plan");
  if (message.version() > planVersion)
    return reader.fault("version " + llvm::Twine(message.version()) +
                        " is newer than this gcompile, which reads up to " +
                        llvm::Twine(planVersion));

  Plan plan;
  plan.model = message.model();
  plan.target = message.target();
  plan.context = message.context();
  plan.modalities.assign(message.modalities().begin(), message.modalities().end());
  plan.budgetBytes = message.budget_bytes();
  plan.tableCacheRows = message.table_cache_rows();
  plan.prefillChunk = message.prefill_chunk();
  plan.scoreChunk = message.score_chunk();
  std::optional<Objective> objective = parseObjective(message.objective());
  std::optional<TablePlacement> tables = parseTablePlacement(message.tables());
  if (!objective)
    return reader.fault("objective is '" + message.objective() +
                        "', expected 'quality', 'speed' or 'balanced'");
  if (!tables)
    return reader.fault("tables is '" + message.tables() +
                        "', expected 'none', 'memory' or 'storage'");
  plan.objective = *objective;
  plan.tables = *tables;
  if (!message.activations().empty()) {
    plan.activations = parseActivations(message.activations());
    if (!plan.activations)
      return reader.fault("activations is '" + message.activations() +
                          "', expected 'dynamic' or 'static'");
  }
  if (!message.experts().empty()) {
    std::optional<TablePlacement> experts = parseTablePlacement(message.experts());
    if (!experts || *experts == TablePlacement::None)
      return reader.fault("experts is '" + message.experts() + "', expected 'memory' or 'storage'");
    plan.experts = *experts;
  }
  plan.expertSlots = message.expert_slots();
  if (plan.expertSlots < 0 || plan.expertSlots > int64_t(1) << 28 ||
      (plan.expertSlots > 0) != plan.expertsOnStorage())
    return reader.fault("expert_slots is " + llvm::Twine(plan.expertSlots) +
                        ", expected 1 to 2^28 with experts on storage and 0 without");
  if (plan.context <= 0 || plan.context > 1 << 24)
    return reader.fault("context is " + llvm::Twine(plan.context) + ", expected 1 to 2^24");
  if (plan.prefillChunk <= 0 || plan.prefillChunk > 4096 || plan.scoreChunk <= 0 ||
      plan.scoreChunk > 4096)
    return reader.fault("chunks are " + llvm::Twine(plan.prefillChunk) + " and " +
                        llvm::Twine(plan.scoreChunk) + ", expected 1 to 4096");
  if (!isSize(plan.budgetBytes) || plan.tableCacheRows < 0 ||
      plan.tableCacheRows > int64_t(1) << 32)
    return reader.fault("budget and table cache rows must not be negative or beyond 2^56 and 2^32");
  for (const plan::KvCache &kv : message.kv_caches())
    if (llvm::Error fault = reader.kvCache(kv, plan))
      return fault;
  for (const plan::CacheScales &scales : message.cache_scales())
    if (llvm::Error fault = reader.cacheScales(scales, plan))
      return fault;
  for (const plan::Tensor &tensor : message.tensors())
    if (llvm::Error fault = reader.tensor(tensor, plan))
      return fault;
  if (llvm::Error fault = readNumbers(reader, message, plan))
    return fault;
  if (message.has_engines()) {
    plan.engines.emplace();
    if (std::string why = readEngines(message.engines(), *plan.engines); !why.empty())
      return reader.fault(why);
  }
  return plan;
}

} // namespace gcompile
