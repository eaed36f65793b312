// How well the quality model predicts: plans drawn at random and made by the solver at many
// budgets, predicted on each basis (prior, weights, calibration, sensitivities) and measured, as KL
// to the uncompressed model, on a text that nothing was calibrated on. Prints one line a plan, then
// rank correlation and coverage of the 90 % intervals by basis. Minutes.
//
//   quality_bench [--plans 100] [--seed 7] [--windows 24] [--calibration-windows 6]
//                 [--whole-plans 16] [--bases calibration,sensitivities] [--model DIR]
//                 [--calibration FILE] [--text FILE]
//                 [--text-part first-half|second-half|all] [--calibration-part …]
//                 [--save FILE]     what was measured of every plan, for --replay
//                 [--replay FILE]   take plans and their KL from there: only predict
//
// Of the plans 60 % are random mixes, 20 % the solver's by measured damages, 20 % the solver's by
// the errors of the weights alone.
#include "compiler/Driver/Candidate.h"
#include "compiler/Driver/PlanModel.h"
#include "compiler/Import/ImportModel.h"
#include "compiler/Measure/Divergence.h"
#include "compiler/Measure/ObserveInputs.h"
#include "compiler/Measure/Sensitivity.h"
#include "compiler/Measure/TensorErrors.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/raw_ostream.h"

#include <algorithm>
#include <chrono>
#include <cmath>

using namespace gcompile;

namespace {

std::map<std::string, std::string> flags = {
    {"--plans", "100"},
    {"--seed", "7"},
    {"--windows", "24"},
    {"--calibration-windows", "6"},
    {"--whole-plans", "16"},
    {"--bases", "calibration,sensitivities"},
    {"--text-part", "all"},
    {"--calibration-part", "all"},
    {"--save", ""},
    {"--replay", ""},
    {"--model", GC_TEST_DATA_DIR "/gemma4-tiny"},
    {"--calibration", GC_TEST_DATA_DIR "/gemma4-tiny/eval/calibration.txt"},
    {"--text", GC_TEST_DATA_DIR "/gemma4-tiny/eval/heldout.txt"},
};

int64_t number(const char *flag) { return std::stoll(flags[flag]); }

template <typename T>
T must(llvm::Expected<T> value) {
  if (value)
    return std::move(*value);
  llvm::errs() << "quality_bench: " << llvm::toString(value.takeError()) << "\n";
  std::exit(1);
}

std::string readText(const std::string &path, const std::string &part) {
  auto buffer = llvm::MemoryBuffer::getFile(path);
  if (!buffer) {
    llvm::errs() << "quality_bench: '" << path << "': " << buffer.getError().message() << "\n";
    std::exit(1);
  }
  llvm::StringRef all = (*buffer)->getBuffer();
  size_t middle = all.find('\n', all.size() / 2);
  if (part == "first-half")
    return all.take_front(middle).str();
  return part == "second-half" ? all.drop_front(middle).str() : all.str();
}

QualityModel withErrors(const ImportedModel &model, const ModelShape &shape,
                        const InputMoments *moments) {
  QualityModel quality(shape);
  TensorErrorOptions options;
  options.sampleRows = 64;
  options.moments = moments;
  if (llvm::Error error = measureTensorErrors(model, options, quality)) {
    llvm::errs() << "quality_bench: " << llvm::toString(std::move(error)) << "\n";
    std::exit(1);
  }
  return quality;
}

std::vector<double> ranks(const std::vector<double> &values) {
  std::vector<size_t> order(values.size());
  for (size_t i = 0; i < order.size(); ++i)
    order[i] = i;
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return values[a] < values[b]; });
  std::vector<double> rank(values.size());
  for (size_t i = 0; i < order.size();) {
    size_t j = i;
    while (j < order.size() && values[order[j]] == values[order[i]])
      ++j;
    for (size_t k = i; k < j; ++k)
      rank[order[k]] = double(i + j - 1) / 2;
    i = j;
  }
  return rank;
}

double spearman(const std::vector<double> &a, const std::vector<double> &b) {
  std::vector<double> x = ranks(a), y = ranks(b);
  double mean = double(x.size() - 1) / 2, xy = 0, xx = 0, yy = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    xy += (x[i] - mean) * (y[i] - mean);
    xx += (x[i] - mean) * (x[i] - mean);
    yy += (y[i] - mean) * (y[i] - mean);
  }
  return xy / std::sqrt(xx * yy);
}

std::string describe(const ModelFormats &formats) {
  std::map<std::string, int> counts;
  for (const auto &[tensor, format] : formats.tensors)
    ++counts[std::string(name(format))];
  std::string text;
  for (const auto &[format, count] : counts)
    text += (text.empty() ? "" : " ") + format + ":" + std::to_string(count);
  return text + " kv " + std::string(name(formats.localKv)) + "/" +
         std::string(name(formats.globalKv));
}

// --- plans ---

struct TestPlan {
  std::string origin; // "random", "solver sensitivities", "solver weights"
  ModelFormats formats;
  double kl = 0, standardError = 0;
};

ModelFormats formatsOf(const Plan &plan) {
  ModelFormats formats;
  for (const PlannedTensor &tensor : plan.tensors)
    if (tensor.role != "norm")
      formats.tensors[tensor.name] = tensor.format;
  formats.localKv = plan.localK;
  formats.globalKv = plan.globalK;
  return formats;
}

// What planning gives at `count` budgets from the smallest that fits to that of w8 everywhere.
void addSolverPlans(const Candidate &candidate, const QualityModel &quality, int64_t count,
                    std::vector<TestPlan> &plans) {
  CompilerInvocation options;
  options.context = 2048;
  DeviceProfile profile = must(loadProfile("x86-laptop", profileFolders("")));
  PlanRequest request = must(requestFor(candidate, profile, options));
  request.quality = std::make_shared<QualityModel>(quality);
  auto planAt = [&](int64_t budget) {
    options.budgetBytes = budget;
    return must(planModel(request));
  };
  int64_t smallest = planAt(0).smallestBudgetBytes, range = 0;
  for (const TensorShape &tensor : candidate.shape.tensors)
    if (tensor.role != "norm")
      range += packedBytes(WeightFormat::W8, tensor.n, tensor.k) -
               packedBytes(WeightFormat::W2, tensor.n, tensor.k);
  for (int64_t i = 0; i < count; ++i) {
    PlanOutcome outcome = planAt(smallest + (2 * i + 1) * range / (2 * count));
    if (outcome.plan)
      plans.push_back({"solver " + std::string(name(quality.basis)), formatsOf(*outcome.plan)});
  }
}

std::vector<TestPlan> makePlans(const Candidate &candidate, const QualityModel &weights,
                                const QualityModel &best) {
  int64_t count = number("--plans"), solved = best.basis == weights.basis ? 0 : count / 5;
  std::vector<TestPlan> plans;
  addSolverPlans(candidate, best, solved, plans);
  addSolverPlans(candidate, weights, count / 5, plans);
  // Of what drawPlans gives, every second is a random mix.
  int64_t random = count - int64_t(plans.size());
  std::vector<ModelFormats> drawn =
      drawPlans(candidate.shape, best, 2 * random, uint64_t(number("--seed")) + 1000);
  for (int64_t i = 0; i < random; ++i)
    plans.push_back({"random", std::move(drawn[2 * i + 1])});
  return plans;
}

void save(const std::vector<TestPlan> &plans) {
  std::error_code failed;
  llvm::raw_fd_ostream out(flags["--save"], failed);
  for (const TestPlan &plan : plans) {
    out << llvm::join(llvm::split(plan.origin, ' '), "-")
        << llvm::format(" %.9g %.9g ", plan.kl, plan.standardError) << name(plan.formats.localKv)
        << " " << name(plan.formats.globalKv);
    for (const auto &[tensor, format] : plan.formats.tensors)
      out << " " << tensor << "=" << name(format);
    out << "\n";
  }
}

std::vector<TestPlan> replayed() {
  std::vector<TestPlan> plans;
  std::string text = readText(flags["--replay"], "all");
  for (llvm::StringRef line : llvm::split(llvm::StringRef(text).trim(), '\n')) {
    llvm::SmallVector<llvm::StringRef> words;
    line.split(words, ' ');
    TestPlan plan;
    plan.origin = words[0].str();
    words[1].getAsDouble(plan.kl);
    words[2].getAsDouble(plan.standardError);
    plan.formats.localKv = *parseKvFormat(std::string_view(words[3]));
    plan.formats.globalKv = *parseKvFormat(std::string_view(words[4]));
    for (llvm::StringRef word : llvm::drop_begin(words, 5)) {
      auto [tensor, format] = word.rsplit('=');
      plan.formats.tensors[tensor.str()] = *parseWeightFormat(std::string_view(format));
    }
    plans.push_back(std::move(plan));
  }
  return plans;
}

double secondsSinceStart() {
  static const auto start = std::chrono::steady_clock::now();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// --- predictions ---

QualityModel measured(const Candidate &candidate, QualityModel quality, llvm::StringRef text) {
  SensitivityOptions options;
  options.windows = number("--calibration-windows");
  options.wholePlans = number("--whole-plans");
  std::string last;
  auto progress = [&](llvm::StringRef step, uint64_t done, uint64_t total) {
    if (step != last)
      llvm::errs() << llvm::format("%s (%d), %.0f s\n", step.str().c_str(), int(total),
                                   secondsSinceStart());
    last = step.str();
  };
  options.progress = progress;
  SensitivityResult result =
      must(measureSensitivity(candidate.model, candidate.shape, text, quality, options));
  llvm::outs() << llvm::format("whole plans on the calibration text: slope %.3f, curvature %.3f, "
                               "scatter of ln KL %.3f\n",
                               quality.link.slope, quality.link.curvature, quality.link.deviation);
  for (const WholePlan &plan : result.wholePlans)
    llvm::outs() << llvm::format("  damage %.5f kl %.5f\n", plan.damage, plan.kl);
  return quality;
}

void summarize(const QualityModel &quality, const ModelShape &shape,
               const std::vector<TestPlan> &plans) {
  std::vector<double> predicted, kls;
  int inside = 0;
  double squares = 0, bias = 0;
  for (const TestPlan &plan : plans) {
    QualityEstimate estimate = quality.estimate(damageOf(shape, quality, plan.formats));
    predicted.push_back(estimate.kl);
    kls.push_back(plan.kl);
    inside += estimate.low <= plan.kl && plan.kl <= estimate.high;
    double off = std::log(std::max(estimate.kl, 1e-12) / std::max(plan.kl, 1e-12));
    squares += off * off;
    bias += off;
  }
  double n = double(plans.size());
  llvm::outs() << llvm::format("%-14s rank correlation %.4f, inside the 90 %% interval %d of %d, "
                               "typical factor off %.2f, mean factor %.2f\n",
                               std::string(name(quality.basis)).c_str(), spearman(predicted, kls),
                               inside, int(plans.size()), std::exp(std::sqrt(squares / n)),
                               std::exp(bias / n));
}

} // namespace

int main(int argc, char **argv) {
  for (int i = 1; i + 1 < argc; i += 2) {
    if (!flags.count(argv[i])) {
      llvm::errs() << "quality_bench: unknown option " << argv[i] << "\n";
      return 2;
    }
    flags[argv[i]] = argv[i + 1];
  }
  secondsSinceStart();
  Candidate candidate = must(loadCandidate(flags["--model"], {}));
  const ImportedModel &model = candidate.model;
  const ModelShape &shape = candidate.shape;
  std::string calibration = readText(flags["--calibration"], flags["--calibration-part"]);
  std::string text = readText(flags["--text"], flags["--text-part"]);
  auto wants = [&](const char *basis) { return llvm::StringRef(flags["--bases"]).contains(basis); };

  std::vector<QualityModel> models = {QualityModel(shape), withErrors(model, shape, nullptr)};
  auto probe = must(ProbeModel::compile(model, {}, {}));
  WindowOptions cut;
  if (wants("calibration")) {
    cut.most = number("--calibration-windows");
    TokenWindows windows = must(cutWindows(probe->runner(), calibration, cut));
    InputMoments moments = must(observeInputs(model, windows.windows));
    models.push_back(withErrors(model, shape, &moments));
    llvm::errs() << llvm::format("observed inputs, %.0f s\n", secondsSinceStart());
  }
  if (wants("sensitivities"))
    models.push_back(measured(candidate, models[1], calibration));

  std::vector<TestPlan> plans =
      flags["--replay"].empty() ? makePlans(candidate, models[1], models.back()) : replayed();
  cut.most = number("--windows");
  TokenWindows windows = must(cutWindows(probe->runner(), text, cut));
  llvm::outs() << plans.size() << " plans, seed " << flags["--seed"] << ", measured on "
               << windows.scored() << " positions\n";
  auto logits = must(ReferenceLogits::record(probe->runner(), std::move(windows)));
  for (size_t i = 0; i < plans.size(); ++i) {
    TestPlan &plan = plans[i];
    if (flags["--replay"].empty()) {
      auto compiled = must(ProbeModel::compile(model, plan.formats, {}));
      Divergence divergence = must(logits->compare(compiled->runner()));
      plan.kl = divergence.mean;
      plan.standardError = divergence.standardError;
    }
    llvm::outs() << llvm::format("%3d  kl %.5f +- %.5f", int(i), plan.kl, plan.standardError);
    for (const QualityModel &quality : models) {
      QualityEstimate estimate = quality.estimate(damageOf(shape, quality, plan.formats));
      bool inside = estimate.low <= plan.kl && plan.kl <= estimate.high;
      llvm::outs() << llvm::format(" | %.5f [%.5f %.5f]%s", estimate.kl, estimate.low,
                                   estimate.high, inside ? " " : "*");
    }
    llvm::outs() << " " << plan.origin << ": " << describe(plan.formats) << "\n";
    llvm::outs().flush();
    if (!flags["--save"].empty())
      save({plans.begin(), plans.begin() + i + 1});
  }
  for (const QualityModel &quality : models)
    summarize(quality, shape, plans);
  llvm::outs() << llvm::format("%.0f s in all\n", secondsSinceStart());
  return 0;
}
