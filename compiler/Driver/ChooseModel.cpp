#include "compiler/Driver/ChooseModel.h"

#include "compiler/Driver/ModelSources.h"
#include "compiler/Plan/PlanReport.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/raw_ostream.h"

#include <algorithm>

namespace gcompile {

bool isBetter(const Considered &left, const Considered &right) {
  if (left.feasible != right.feasible)
    return left.feasible;
  if (!left.feasible)
    return left.peakBytes < right.peakBytes;
  // Scores that were published beat guesses from the number of parameters.
  if (left.score.has_value() != right.score.has_value())
    return left.score.has_value();
  return left.score ? left.score->expected > right.score->expected : left.fallback > right.fallback;
}

static Considered consider(const Candidate &candidate, const PlanOutcome &outcome,
                           const PublishedQuality &published, const CompilerInvocation &options) {
  Considered one;
  one.model = candidate.shape.name;
  one.feasible = outcome.plan.has_value();
  one.peakBytes = one.feasible ? outcome.plan->memory.peak() : outcome.smallestBudgetBytes;
  if (!one.feasible)
    return one;
  const Predictions &predicted = outcome.plan->predicted;
  one.kl = predicted.kl;
  one.score = published.expect(one.model, options.modalities, predicted.kl, predicted.klLow,
                               predicted.klHigh);
  one.fallback = unpublishedQuality(candidate.shape, predicted.kl);
  return one;
}

llvm::Expected<ModelChoice> chooseModel(const std::vector<std::string> &sources,
                                        const DeviceProfile &profile,
                                        const CompilerInvocation &options, ExitCode *fault) {
  if (fault)
    *fault = ExitCode::BadInput;
  llvm::Expected<PublishedQuality> published = PublishedQuality::load();
  if (!published)
    return published.takeError();
  std::optional<std::pair<Candidate, PlanOutcome>> best;
  size_t bestIndex = 0;
  std::vector<Considered> considered;
  std::vector<std::string> notes;
  for (const std::string &source : sources) {
    auto leftOut = [&](llvm::Error error) {
      notes.push_back("left out: " + llvm::toString(std::move(error)));
    };
    llvm::Expected<Candidate> candidate = loadCandidate(source, options);
    if (!candidate) {
      if (sources.size() == 1)
        return candidate.takeError();
      leftOut(candidate.takeError());
      continue;
    }
    llvm::Expected<PlanRequest> request = requestFor(*candidate, profile, options);
    if (!request)
      return request.takeError();
    llvm::Expected<PlanOutcome> outcome = planModel(*request);
    if (!outcome) {
      // Flags that one model contradicts (a context beyond its positions, a modality that it has
      // not) need not rule out the others.
      if (fault)
        *fault = ExitCode::BadFlags;
      if (sources.size() == 1)
        return outcome.takeError();
      leftOut(outcome.takeError());
      continue;
    }
    considered.push_back(consider(*candidate, *outcome, *published, options));
    if (!best || isBetter(considered.back(), considered[bestIndex])) {
      best.emplace(std::move(*candidate), std::move(*outcome));
      bestIndex = considered.size() - 1;
    }
  }
  if (!best)
    return llvm::createStringError("no model could be planned" +
                                   (notes.empty() ? std::string() : ": " + notes.front()));
  if (!best->second.plan && considered.size() > 1)
    best->second.message = considered[bestIndex].model + " needs least of " +
                           std::to_string(considered.size()) + " models: " + best->second.message;
  return ModelChoice{std::move(best->first), std::move(best->second), considered,
                     explainChoice(considered), std::move(notes)};
}

static std::string scoreText(const ExpectedScore &score) {
  return llvm::formatv("{0:f1} ({1:f1} to {2:f1})", score.expected, score.low, score.high).str();
}

// "published 54.1, of which a plan with KL 0.21 is expected to keep 50.2".
static std::string inWords(const Considered &one) {
  if (!one.score)
    return llvm::formatv("nothing is published of it; KL {0:f2}", one.kl).str();
  return llvm::formatv("{0:f1} published, {1:f1} expected of a plan with KL {2:f2}",
                       one.score->published, one.score->expected, one.kl)
      .str();
}

std::string explainChoice(const std::vector<Considered> &considered) {
  std::vector<const Considered *> order;
  for (const Considered &one : considered)
    order.push_back(&one);
  llvm::stable_sort(order, [](const Considered *left, const Considered *right) {
    return isBetter(*left, *right);
  });
  if (order.empty())
    return "";
  std::string text;
  llvm::raw_string_ostream out(text);
  const ExpectedScore *counted = nullptr;
  for (const Considered *one : order)
    if (one->score && !counted)
      counted = &*one->score;
  out << "models considered";
  if (counted)
    out << ", by the mean score expected in " << counted->benchmarks << " benchmarks";
  out << "\n";
  size_t width = 0;
  for (const Considered *one : order)
    width = std::max(width, one->model.size());
  for (const Considered *one : order) {
    out << "  " << llvm::left_justify(one->model, width) << "  "
        << llvm::right_justify(humanBytes(one->peakBytes), 9) << "  ";
    if (!one->feasible)
      out << "does not fit: it needs at least this\n";
    else
      out << llvm::left_justify(one->score ? scoreText(*one->score) : "unknown", 22) << "  "
          << inWords(*one) << "\n";
  }

  const Considered &winner = *order.front();
  if (!winner.feasible)
    return text;
  const Considered *second = order.size() > 1 && order[1]->feasible ? order[1] : nullptr;
  if (!second) {
    out << winner.model << ": the only one that fits\n";
    return text;
  }
  out << winner.model << " rather than " << second->model << ": ";
  if (!winner.score || !second->score) {
    out << "nothing is published of " << (winner.score ? second->model : winner.model)
        << (winner.score ? ", so it comes after models with results"
                         : ", so the number of parameters decides")
        << "\n";
    return text;
  }
  const ExpectedScore &a = *winner.score, &b = *second->score;
  double ahead = a.expected - b.expected;
  if (a.published > b.published && winner.kl <= second->kl)
    out << "the stronger model, and its plan loses no more";
  else if (a.published > b.published)
    out << llvm::formatv("its plan loses more (KL {0:f2} against {1:f2}), but the model is {2:f1} "
                         "points stronger to begin with",
                         winner.kl, second->kl, a.published - b.published);
  else
    out << llvm::formatv("the other is {0:f1} points stronger uncompressed, but within this budget "
                         "it has to be rounded so far (KL {1:f2} against {2:f2}) that it is "
                         "expected to score less",
                         b.published - a.published, second->kl, winner.kl);
  out << llvm::formatv("; {0:f1} points ahead", ahead);
  if (a.low < b.high)
    out << ", and as the ranges overlap, not for certain";
  out << "\n";
  return text;
}

llvm::json::Array consideredJson(const std::vector<Considered> &considered) {
  llvm::json::Array array;
  for (const Considered &one : considered) {
    llvm::json::Object object{{"model", one.model},
                              {"feasible", one.feasible},
                              {"peak_bytes", one.peakBytes},
                              {"expected_quality", one.quality()}};
    if (one.feasible)
      object["kl"] = one.kl;
    if (one.feasible && one.score) {
      object["expected_quality_low"] = one.score->low;
      object["expected_quality_high"] = one.score->high;
      object["published_quality"] = one.score->published;
    }
    array.push_back(std::move(object));
  }
  return array;
}

} // namespace gcompile
