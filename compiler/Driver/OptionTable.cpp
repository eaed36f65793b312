#include "compiler/Driver/OptionTable.h"

#include "passes/Cost/ExpertShape.h"
#include "passes/Cost/QualityModel.h"
#include "passes/Cost/StorageTime.h"

#include "llvm/Support/GlobPattern.h"

#include <algorithm>
#include <map>

namespace gcompile {

MachineModel pricingMachine(const DeviceProfile &profile) {
  MachineModel machine = machineModel(profile);
  if (profile.name == "host") {
    // What a calibration found is of its day.
    MachineModel nominal;
    nominal.hasDotProduct = machine.hasDotProduct;
    nominal.storageRowSeconds = 200e-6;
    machine = nominal;
  }
  double threads = std::clamp(profile.value("threads", 4), 1.0, 64.0);
  // Nominal figures of one core, for relative prices only.
  if (machine.readBytesPerSecond <= 0)
    machine.readBytesPerSecond = 10e9 * std::min(threads, 4.0);
  if (machine.instructionsPerSecond <= 0)
    machine.instructionsPerSecond = profile.architecture == "nvptx64" ? 0 : 5e9 * threads;
  if (machine.storageBytesPerSecond <= 0)
    machine.storageBytesPerSecond = 1e9; // a slow disk of today, nominal
  return machine;
}

bool canFetchExperts(const DeviceProfile &profile) {
  return profile.architecture == "x86-64" || profile.architecture == "aarch64";
}

int64_t fewestExpertSlots(const ModelShape &model, const ProgramShape &shape) {
  ExpertShape experts = expertsOf(model);
  return std::min(experts.experts,
                  std::max(shape.prefillChunk, shape.scoreChunk) * experts.perToken);
}

int64_t expertSlotShare(const ModelShape &model, int64_t slots, int64_t layer) {
  int64_t layers = int64_t(model.layers.size());
  return slots * (layer + 1) / layers - slots * layer / layers;
}

WeightFormat rowTableFormat(WeightFormat format) {
  switch (format) {
  case WeightFormat::W8G32:
  case WeightFormat::Q6K:
    return WeightFormat::W8;
  case WeightFormat::W4G32:
  case WeightFormat::W4G128:
  case WeightFormat::Q4K:
  case WeightFormat::NF4:
    return WeightFormat::W4;
  case WeightFormat::W2G64:
    return WeightFormat::W2;
  case WeightFormat::F16:
    return WeightFormat::BF16;
  default:
    return format;
  }
}

// What a router gets when this format is asked for: experts are chosen in f32.
static WeightFormat routerFormat(WeightFormat format) {
  return info(format).bits < 16 ? WeightFormat::F32 : format;
}

std::string tableOptionName(TablePlacement placement, WeightFormat format) {
  return tableOptionName({std::string(name(placement)), std::string(name(format))});
}

std::optional<std::pair<TablePlacement, WeightFormat>> parseTableOption(llvm::StringRef text) {
  TableOption option = parseTableOptionName(text.str());
  std::optional<TablePlacement> placement = parseTablePlacement(option.placement);
  std::optional<WeightFormat> format = parseWeightFormat(option.format);
  if (!placement || !format)
    return std::nullopt;
  return std::make_pair(*placement, *format);
}

namespace {

class Builder {
public:
  Builder(const PlanRequest &request, const ProgramChoice &choice)
      : request(request), model(*request.model), choice(choice), options(*request.options),
        machine(pricingMachine(*request.profile)),
        quality(request.quality ? request.quality : std::make_shared<QualityModel>(model)) {
    // Asked for a speed on this machine: priced by what was measured on it.
    if (options.minDecode > 0) {
      MachineModel measured = machineModel(*request.profile);
      if (measured.readBytesPerSecond > 0)
        machine = measured;
    }
  }

  llvm::Expected<PricedModel> build(int64_t budgetBytes) {
    if (request.replayed)
      for (const PlannedTensor &tensor : request.replayed->tensors)
        named[tensor.name] = tensor.format;
    if (llvm::Error error = resolveRules())
      return error;
    for (const TensorShape &tensor : model.tensors)
      addTensor(tensor);
    addKv(false, options.localKv);
    addKv(true, options.globalKv);
    addFixed();
    addObjective();
    priced.table.budgetBytes = budgetBytes;
    priced.table.expertSlots = choice.expertSlots;
    return std::move(priced);
  }

private:
  // The format that the user fixed for each tensor, if any; every pattern has to match something.
  llvm::Error resolveRules() {
    fixed.resize(model.tensors.size());
    for (const FormatRule &rule : options.weightFormats) {
      llvm::Expected<llvm::GlobPattern> glob = llvm::GlobPattern::create(rule.pattern);
      if (!glob)
        return glob.takeError();
      bool matched = false;
      for (size_t i = 0; i < model.tensors.size(); ++i)
        if (model.tensors[i].role != "norm" && glob->match(model.tensors[i].name)) {
          fixed[i] = rule.format;
          matched = true;
        }
      if (!matched)
        return llvm::createStringError("--weight-format: pattern '" + rule.pattern +
                                       "' matches no tensor of the model, which are like '" +
                                       model.tensors.front().name + "'");
    }
    return llvm::Error::success();
  }

  // Kept grids are options of tensors that lie on them, and where flags or a plan name them.
  bool isOffered(size_t index, const WeightFormatInfo &format) const {
    const std::string &tensor = model.tensors[index].name;
    auto native = quality->nativeFormats.find(tensor);
    auto wanted = named.find(tensor);
    return !format.keptGridOnly || fixed[index] == format.format ||
           (native != quality->nativeFormats.end() && native->second == format.format) ||
           (wanted != named.end() && wanted->second == format.format);
  }

  double lossOf(const TensorShape &tensor, WeightFormat format) const {
    return quality->damage(tensor, format);
  }

  void addTensor(const TensorShape &tensor) {
    size_t index = size_t(&tensor - model.tensors.data());
    if (tensor.role == "norm") {
      priced.fixed.weights += normBytes(tensor.n * tensor.k);
      return;
    }
    std::vector<PlanOption> &choices = priced.table.options[tensor.name];
    if (tensor.role == "per_layer_table") {
      addTableOptions(tensor, fixed[index], choices);
    } else {
      bool router = tensor.role == "router";
      for (const WeightFormatInfo &format : weightFormats()) {
        if (router && format.isInteger)
          continue; // experts are chosen in f32 (docs/decisions/0008)
        if (!isOffered(index, format))
          continue;
        bool onStorage = isExpert(tensor) && choice.expertSlots > 0;
        int64_t bytes = residentBytes(model, tensor, format.format), stored = 0;
        double seconds = decodeSeconds(machine, tensor, format.format, bytes);
        if (onStorage) {
          // Its layer's share of the slots; what is missing there is read.
          int64_t part = expertPartBytes(model, tensor, format.format);
          bytes = part * expertSlotShare(model, choice.expertSlots, tensor.layer);
          stored = part * matricesOf(model, tensor);
          seconds +=
              expertSeconds(machine, expertMissRate(choice.expertSlots, expertsInAll(model)) *
                                         double(expertsOf(model).perToken * part));
        }
        bool allowed = !fixed[index] ||
                       format.format == (router ? routerFormat(*fixed[index]) : *fixed[index]);
        choices.push_back({std::string(format.name), withPageTables(bytes),
                           lossOf(tensor, format.format), seconds, allowed, stored});
      }
    }
  }

  void addTableOptions(const TensorShape &tensor, std::optional<WeightFormat> fixedFormat,
                       std::vector<PlanOption> &choices) const {
    for (TablePlacement placement : {TablePlacement::Memory, TablePlacement::Storage}) {
      bool storage = placement == TablePlacement::Storage;
      bool placeAllowed = options.tables == TableChoice::Auto ||
                          (options.tables == TableChoice::Storage) == storage;
      for (const WeightFormatInfo &format : weightFormats()) {
        if (!isRowTableFormat(format.format))
          continue;
        int64_t whole = tableMemoryBytes(model, format.format);
        int64_t row = tableRowBytes(model, format.format);
        double seconds = double(row) / machine.readBytesPerSecond;
        if (storage)
          seconds += machine.storageRowSeconds * double((row + 4095) / 4096);
        bool allowed =
            placeAllowed && (!fixedFormat || rowTableFormat(*fixedFormat) == format.format);
        choices.push_back(
            {tableOptionName(placement, format.format),
             withPageTables(storage ? tableCacheBytes(model, format.format, choice.tableCacheRows)
                                    : whole),
             lossOf(tensor, format.format), seconds, allowed, whole});
      }
    }
  }

  void addKv(bool global, std::optional<KvFormat> fixedFormat) {
    KvScope scope = global ? KvScope::Global : KvScope::Local;
    if (kvBytes(model, choice.shape, scope, KvFormat::F16, KvFormat::F16).layers == 0)
      return;
    std::vector<PlanOption> &choices = priced.table.options[global ? globalKvItem : localKvItem];
    for (KvFormat format : {KvFormat::F32, KvFormat::F16, KvFormat::Kv8, KvFormat::Kv4}) {
      KvBytes bytes = kvBytes(model, choice.shape, scope, format, format);
      double seconds = kvReadSeconds(machine, model, global, format, format,
                                     std::max<int64_t>(choice.shape.context / 2, 1));
      choices.push_back({std::string(name(format)), withPageTables(bytes.total()),
                         quality->kvDamage(global, format), seconds,
                         !fixedFormat || *fixedFormat == format, 0});
    }
  }

  void addFixed() {
    const std::optional<ExactSizes> &exact = request.exact;
    bool known = exact && exact->prefillChunk == choice.shape.prefillChunk;
    priced.fixed.activations = known ? exact->arenaBytes : estimateArenaBytes(model, choice.shape);
    if (known)
      priced.fixed.weights += std::max<int64_t>(exact->otherBytes, 0);
    priced.fixed.code =
        known ? exact->codeBytes : estimateCodeBytes(model, request.profile->architecture);
    priced.fixed.runtime = estimateRuntimeBytes(model, choice.shape, request.tokenizerBytes);
    priced.fixed.activations += softTokenBytes(model.encoders, options.modalities, model.hidden);
    priced.fixed.runtime += pageTableBytes(priced.fixed.peak());
    priced.table.fixedBytes = priced.fixed.peak();
    priced.table.fixedSeconds = barrierSeconds(machine, model);
    if (options.minDecode > 0)
      priced.table.maxSeconds = 1 / options.minDecode;
  }

  void addObjective() {
    // A token with everything in w4 is the unit of time: quality wants 0.0001 nats for a doubling
    // of it, balanced 0.1, speed 1.
    double unit = 0;
    for (const TensorShape &tensor : model.tensors)
      if (tensor.role != "norm" && tensor.role != "per_layer_table")
        unit += decodeSeconds(machine, tensor, WeightFormat::W4,
                              residentBytes(model, tensor, WeightFormat::W4));
    constexpr double balanced = 0.1, leastForStorage = 0.01;
    double nats = options.objective == Objective::Quality    ? 1e-4
                  : options.objective == Objective::Balanced ? balanced
                                                             : 1.0;
    priced.table.lossPerSecond = unit > 0 ? nats / unit : 0;
    priced.placementLossPerSecond = unit > 0 ? std::max(nats, leastForStorage) / unit : 0;
    // A gigabyte of artifact has to buy a thousandth of a nat.
    priced.table.lossPerStoredByte = 1e-12;
  }

  const PlanRequest &request;
  const ModelShape &model;
  const ProgramChoice &choice;
  const CompilerInvocation &options;
  MachineModel machine;
  std::shared_ptr<const QualityModel> quality;
  std::vector<std::optional<WeightFormat>> fixed; // by tensor, as flags say
  std::map<std::string, WeightFormat> named;      // as the plan that is replayed says
  PricedModel priced;
};

} // namespace

llvm::Expected<PricedModel> buildOptionTable(const PlanRequest &request,
                                             const ProgramChoice &choice, int64_t budgetBytes) {
  return Builder(request, choice).build(budgetBytes);
}

} // namespace gcompile
