#include "compiler/Driver/PublishedQuality.h"

#include "compiler/Import/HostileJson.h"
#include "compiler/Import/ModelConfig.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringSet.h"

#include <cmath>

namespace gcompile {

double ScoreLoss::kept(double kl) const { return std::exp(-factor * std::pow(kl, exponent)); }
double ScoreLoss::keptLow(double kl) const {
  return std::exp(-factor * spread * std::pow(kl, exponent));
}
double ScoreLoss::keptHigh(double kl) const {
  return std::exp(-factor / spread * std::pow(kl, exponent));
}

namespace {

class Reader {
public:
  Reader(const llvm::json::Object &root, llvm::StringRef origin) : root(root), origin(origin) {}

  llvm::Error fail(const llvm::Twine &what) const {
    return llvm::createStringError("'" + origin + "': " + what);
  }

  llvm::Error readSources() {
    const llvm::json::Object *list = root.getObject("sources");
    if (!list)
      return fail("no sources");
    for (const auto &[key, value] : *list) {
      const llvm::json::Object *source = value.getAsObject();
      for (const char *field : {"title", "url", "date", "confidence"})
        if (!source || !source->getString(field) || source->getString(field)->empty())
          return fail("source '" + llvm::StringRef(key) +
                      "' needs a title, url, date and "
                      "confidence");
      sources.insert(key);
    }
    return llvm::Error::success();
  }

  llvm::Error readBenchmarks(std::vector<Benchmark> &out) {
    const llvm::json::Array *list = root.getArray("benchmarks");
    if (!list)
      return fail("no benchmarks");
    for (const llvm::json::Value &value : *list) {
      const llvm::json::Object *object = value.getAsObject();
      if (!object)
        return fail("a benchmark is no object");
      Benchmark benchmark;
      benchmark.name = object->getString("name").value_or("").str();
      benchmark.title = object->getString("title").value_or("").str();
      benchmark.unit = object->getString("unit").value_or("").str();
      benchmark.modality = object->getString("modality").value_or("").str();
      benchmark.chance = object->getNumber("chance").value_or(0);
      benchmark.counts = object->getBoolean("counts").value_or(false);
      if (benchmark.name.empty() || benchmark.title.empty())
        return fail("a benchmark has no name or no title");
      if (benchmark.counts && (benchmark.unit != "percent" || !object->getNumber("chance") ||
                               benchmark.chance < 0 || benchmark.chance >= 100))
        return fail("benchmark '" + benchmark.name +
                    "' counts: it needs the unit percent and a chance from 0 to below 100");
      out.push_back(std::move(benchmark));
    }
    return llvm::Error::success();
  }

  llvm::Error readResults(const std::vector<Benchmark> &benchmarks,
                          std::map<std::pair<std::string, std::string>, double> &out) {
    const llvm::json::Array *list = root.getArray("results");
    if (!list)
      return fail("no results");
    for (const llvm::json::Value &value : *list) {
      const llvm::json::Object *object = value.getAsObject();
      if (!object)
        return fail("a result is no object");
      std::string model = object->getString("model").value_or("").str();
      std::string name = object->getString("benchmark").value_or("").str();
      std::optional<double> score = object->getNumber("score");
      std::string what = "the result of '" + model + "' in '" + name + "'";
      auto benchmark =
          llvm::find_if(benchmarks, [&](const Benchmark &b) { return b.name == name; });
      if (benchmark == benchmarks.end())
        return fail(what + ": the benchmark is not listed");
      if (!llvm::is_contained(presetNames(), model))
        return fail(what + ": the model is no published size");
      if (!score || !std::isfinite(*score) || *score < 0 ||
          (benchmark->unit == "percent" && *score > 100))
        return fail(what + " is no score");
      if (!sources.contains(object->getString("source").value_or("")))
        return fail(what + " names no source of the file");
      if (!out.insert({{model, name}, *score}).second)
        return fail(what + " is given twice");
    }
    // Means are over the same benchmarks for every size, or they do not compare.
    for (const Benchmark &benchmark : benchmarks)
      for (const std::string &model : presetNames())
        if (benchmark.counts && !out.count({model, benchmark.name}))
          return fail("benchmark '" + benchmark.name + "' counts, but has no result of '" + model +
                      "'");
    return llvm::Error::success();
  }

  llvm::Error readLoss(ScoreLoss &out) {
    const llvm::json::Object *object = root.getObject("loss");
    if (!object)
      return fail("no loss");
    auto number = [&](const char *key, double least, double most, double &to) -> llvm::Error {
      std::optional<double> value = object->getNumber(key);
      if (!value || !(*value >= least && *value <= most))
        return fail("loss: '" + std::string(key) + "' is no number in its range");
      to = *value;
      return llvm::Error::success();
    };
    for (auto [key, least, most, to] :
         {std::tuple("factor", 0.01, 100.0, &out.factor),
          std::tuple("exponent", 0.1, 10.0, &out.exponent),
          std::tuple("spread", 1.0, 100.0, &out.spread),
          std::tuple("chance", 0.0, 99.0, &out.chance),
          std::tuple("reference_score", 0.0, 100.0, &out.referenceScore)})
      if (llvm::Error error = number(key, least, most, *to))
        return error;
    if (!sources.contains(object->getString("source").value_or("")))
      return fail("loss names no source of the file");
    if (const llvm::json::Array *points = object->getArray("points"))
      for (const llvm::json::Value &value : *points)
        if (const llvm::json::Object *point = value.getAsObject())
          out.points.push_back(
              {point->getNumber("kl").value_or(NAN), point->getNumber("score").value_or(NAN)});
    return llvm::Error::success();
  }

private:
  const llvm::json::Object &root;
  llvm::StringRef origin;
  llvm::StringSet<> sources;
};

} // namespace

llvm::Expected<PublishedQuality> PublishedQuality::parse(llvm::StringRef text,
                                                         llvm::StringRef origin) {
  llvm::Expected<llvm::json::Value> value = parseHostileJson(text, origin);
  if (!value)
    return value.takeError();
  const llvm::json::Object *root = value->getAsObject();
  if (!root)
    return llvm::createStringError("'" + origin + "' is no JSON object");
  Reader reader(*root, origin);
  PublishedQuality quality;
  if (llvm::Error error = reader.readSources())
    return error;
  if (llvm::Error error = reader.readBenchmarks(quality.known))
    return error;
  if (llvm::Error error = reader.readResults(quality.known, quality.scores))
    return error;
  if (llvm::Error error = reader.readLoss(quality.lossModel))
    return error;
  return quality;
}

llvm::Expected<PublishedQuality> PublishedQuality::load() {
  constexpr llvm::StringRef file = "quality.json";
  llvm::Expected<std::string> text = readPresetFile(file);
  if (!text)
    return text.takeError();
  return parse(*text, file);
}

std::optional<double> PublishedQuality::score(llvm::StringRef model,
                                              llvm::StringRef benchmark) const {
  std::optional<std::string> published = publishedPreset(model);
  if (!published)
    return std::nullopt;
  auto found = scores.find({*published, benchmark.str()});
  return found == scores.end() ? std::nullopt : std::optional(found->second);
}

std::optional<ExpectedScore> PublishedQuality::expect(llvm::StringRef model,
                                                      llvm::ArrayRef<std::string> modalities,
                                                      double kl, double klLow,
                                                      double klHigh) const {
  ExpectedScore sum;
  for (const Benchmark &benchmark : known) {
    if (!benchmark.counts || !llvm::is_contained(modalities, benchmark.modality))
      continue;
    std::optional<double> published = score(model, benchmark.name);
    if (!published)
      return std::nullopt;
    // Who knows nothing still scores what guessing does; who scores less than that keeps it.
    double floor = std::min(benchmark.chance, *published), above = *published - floor;
    sum.published += *published;
    sum.expected += floor + above * lossModel.kept(kl);
    sum.low += floor + above * lossModel.keptLow(klHigh);
    sum.high += floor + above * lossModel.keptHigh(klLow);
    ++sum.benchmarks;
  }
  if (sum.benchmarks == 0)
    return std::nullopt;
  for (double *each : {&sum.published, &sum.expected, &sum.low, &sum.high})
    *each /= sum.benchmarks;
  return sum;
}

} // namespace gcompile
