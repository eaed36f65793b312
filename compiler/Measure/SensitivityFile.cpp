#include "compiler/Measure/SensitivityFile.h"

#include "compiler/Measure/sensitivity.pb.h"
#include "compiler/Support/KeptFile.h"

#include "llvm/ADT/SmallString.h"
#include "llvm/Support/Path.h"

#include <cmath>
#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/text_format.h>
#include <set>

namespace gcompile {

// 1: the first.
constexpr int32_t fileVersion = 1;
constexpr uint64_t mostBytes = uint64_t(64) << 20;
constexpr double mostDamage = 1e6; // nats per token; anything real is below 20

std::string SensitivityKey::hash() const {
  std::string all = "gcompile sensitivity " + std::to_string(fileVersion) + "\n";
  for (const WeightFormatInfo &format : weightFormats())
    if (!format.keptGridOnly) // never measured
      all += std::string(format.name) + " ";
  all += "\n" + std::string(name(basis)) + "\n" + checkpoint + "\n" + options + "\n" +
         std::to_string(text.size()) + "\n" + text;
  return hashOf(all);
}

std::string sensitivityPath(llvm::StringRef folder, const SensitivityKey &key) {
  llvm::SmallString<128> path(folder);
  llvm::sys::path::append(path, "sensitivity-" + key.hash() + ".textproto");
  return std::string(path);
}

std::string sensitivityText(const QualityModel &quality, const SensitivityKey &key,
                            llvm::ArrayRef<WholePlan> wholePlans, int64_t positions) {
  measurements::Sensitivity message;
  message.set_version(fileVersion);
  message.set_basis(std::string(name(quality.basis)));
  message.set_key(key.hash());
  message.set_positions(positions);
  for (const auto &[tensorName, known] : quality.tensors) {
    measurements::Tensor &tensor = *message.add_tensors();
    tensor.set_name(tensorName);
    for (auto [format, error] : known.errors) {
      measurements::FormatError &entry = *tensor.add_errors();
      entry.set_format(std::string(name(format)));
      entry.set_error(error);
    }
    for (auto [error, damage] : known.probes) {
      measurements::Probe &probe = *tensor.add_probes();
      probe.set_error(error);
      probe.set_damage(damage);
    }
    tensor.set_row_activations(known.rowActivations);
    tensor.set_group_activations(known.groupActivations);
  }
  for (const auto &[which, damage] : quality.caches) {
    measurements::Cache &cache = *message.add_caches();
    cache.set_global(which.first);
    cache.set_format(std::string(name(which.second)));
    cache.set_damage(damage);
  }
  for (const WholePlan &plan : wholePlans) {
    measurements::WholePlan &entry = *message.add_whole_plans();
    entry.set_damage(plan.damage);
    entry.set_kl(plan.kl);
  }
  std::string text;
  google::protobuf::TextFormat::PrintToString(message, &text);
  return "# what gcompile measured; see docs/quality-model.md\n" + text;
}

namespace {

class FirstError final : public google::protobuf::io::ErrorCollector {
public:
  void AddError(int line, google::protobuf::io::ColumnNumber, const std::string &message) override {
    if (text.empty())
      text = "line " + std::to_string(line + 1) + ": " + message;
  }
  std::string text;
};

llvm::Error bad(const llvm::Twine &why) {
  return llvm::createStringError("the kept measurements cannot be used: " + why);
}

bool sane(double value) { return std::isfinite(value) && value >= 0 && value <= mostDamage; }

} // namespace

llvm::Error readSensitivity(llvm::StringRef text, const SensitivityKey &key,
                            const ModelShape &shape, QualityModel &quality) {
  if (text.size() > mostBytes)
    return bad("more than 64 MiB");
  measurements::Sensitivity message;
  google::protobuf::TextFormat::Parser parser;
  FirstError errors;
  parser.RecordErrorsTo(&errors);
  parser.SetRecursionLimit(8);
  if (!parser.ParseFromString(text.str(), &message))
    return bad(errors.text.empty() ? "they are no text protobuf" : errors.text);
  if (message.version() != fileVersion)
    return bad("version " + llvm::Twine(message.version()) + ", expected " +
               llvm::Twine(fileVersion));
  if (message.key() != key.hash() || message.basis() != name(key.basis))
    return bad("they are of another model, text or version");

  std::set<std::string> wanted;
  for (const TensorShape &tensor : shape.tensors)
    if (tensor.role != "norm")
      wanted.insert(tensor.name);
  std::map<std::string, TensorQuality> tensors;
  for (const measurements::Tensor &tensor : message.tensors()) {
    if (!wanted.count(tensor.name()) || tensors.count(tensor.name()))
      return bad("tensor '" + tensor.name() + "' is unknown or named twice");
    TensorQuality &known = tensors[tensor.name()];
    for (const measurements::FormatError &entry : tensor.errors()) {
      std::optional<WeightFormat> format = parseWeightFormat(entry.format());
      if (!format || !sane(entry.error()))
        return bad("tensor '" + tensor.name() + "' has an error that makes no sense");
      known.errors[*format] = entry.error();
    }
    for (const measurements::Probe &probe : tensor.probes()) {
      if (!sane(probe.error()) || !sane(probe.damage()))
        return bad("tensor '" + tensor.name() + "' has a probe that makes no sense");
      known.probes.push_back({probe.error(), probe.damage()});
    }
    known.rowActivations = tensor.row_activations();
    known.groupActivations = tensor.group_activations();
    if (!sane(known.rowActivations) || !sane(known.groupActivations))
      return bad("tensor '" + tensor.name() + "' has a damage that makes no sense");
    if (key.basis == QualityBasis::Sensitivities && known.probes.empty())
      return bad("tensor '" + tensor.name() + "' was not measured");
  }
  // What errors are measured of is the caller's to say.
  if (key.basis != QualityBasis::Weights && tensors.size() != wanted.size())
    return bad("they name " + llvm::Twine(tensors.size()) + " tensors, the model has " +
               llvm::Twine(wanted.size()));
  std::map<std::pair<bool, KvFormat>, double> caches;
  for (const measurements::Cache &cache : message.caches()) {
    std::optional<KvFormat> format = parseKvFormat(cache.format());
    if (!format || !sane(cache.damage()))
      return bad("a cache format makes no sense");
    caches[{cache.global(), *format}] = cache.damage();
  }
  std::vector<WholePlan> plans;
  for (const measurements::WholePlan &plan : message.whole_plans()) {
    if (!sane(plan.damage()) || !sane(plan.kl()))
      return bad("a whole plan makes no sense");
    plans.push_back({plan.damage(), plan.kl()});
  }
  if (key.basis == QualityBasis::Sensitivities && plans.empty())
    return bad("no whole plan was measured");

  quality.tensors = std::move(tensors);
  quality.caches = std::move(caches);
  quality.basis = key.basis;
  if (key.basis == QualityBasis::Sensitivities)
    quality.link = fitKlLink(plans);
  return llvm::Error::success();
}

llvm::Error loadSensitivity(llvm::StringRef path, const SensitivityKey &key,
                            const ModelShape &shape, QualityModel &quality) {
  llvm::Expected<std::string> text = readKeptFile(path, mostBytes);
  if (!text)
    return bad(llvm::toString(text.takeError()));
  std::optional<std::string> content = unsealed(*text);
  if (!content)
    return bad("'" + path + "' is damaged");
  return readSensitivity(*content, key, shape, quality);
}

} // namespace gcompile
