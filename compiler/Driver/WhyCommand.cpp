// The command `why`: what the choice for one tensor or cache buys, what would be next, and at which
// budgets it changes, from the plan's own prices.
#include "compiler/Driver/Commands.h"
#include "compiler/Plan/PlanPrices.h"
#include "compiler/Plan/PlanReport.h"
#include "compiler/Profile/NearestName.h"
#include "passes/Planning/Explain.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/raw_ostream.h"

namespace gcompile {
namespace {

constexpr double mib = 1048576;

// The neighbour on the hull of the options: the smaller one that costs least per byte saved, or,
// for the smallest option, the larger one that buys most per byte.
struct Neighbour {
  const PlanOption *option = nullptr;
  double lossPerByte = 0;
};

Neighbour neighbourOf(const PlanItem &item, const PlanOption &now) {
  Neighbour best;
  for (bool smaller : {true, false}) {
    for (const PlanOption &option : item.options) {
      int64_t bytes = smaller ? now.bytes - option.bytes : option.bytes - now.bytes;
      if (bytes <= 0)
        continue;
      double price = (smaller ? option.loss - now.loss : now.loss - option.loss) / double(bytes);
      if (!best.option || (smaller ? price < best.lossPerByte : price > best.lossPerByte))
        best = {&option, price};
    }
    if (best.option)
      break;
  }
  return best;
}

struct Answer {
  const PricedPlan &priced;
  const PlanItem &item;
  const PlanOption &now;
  bool fixed = false; // nothing else was allowed
  Neighbour neighbour;
  Explanation why;
};

Answer answerFor(const PricedPlan &priced, size_t index) {
  const PlanItem &item = priced.problem.items[index];
  Answer answer{priced, item, item.options[priced.solution.choice[index]], false, {}, {}};
  answer.fixed = llvm::count_if(item.options, [](const PlanOption &o) { return o.supported; }) < 2;
  answer.neighbour = neighbourOf(item, answer.now);
  answer.why = explain(priced.problem, priced.solution, index);
  return answer;
}

llvm::json::Value flipJson(const PlanItem &item, const std::optional<FlipPoint> &flip) {
  if (!flip)
    return nullptr;
  return llvm::json::Object{{"budget_bytes", flip->flippedBytes},
                            {"format", item.options[flip->choice].format}};
}

llvm::json::Object answerJson(const Answer &answer) {
  using namespace llvm::json;
  const PlanItem &item = answer.item;
  const Explanation &why = answer.why;
  Array options;
  for (const PlanOption &option : item.options)
    options.push_back(Object{{"format", option.format},
                             {"bytes", option.bytes},
                             {"kl", option.loss},
                             {"seconds", option.seconds},
                             {"allowed", option.supported}});
  Object object{{"tensor", item.name},
                {"format", answer.now.format},
                {"bytes", answer.now.bytes},
                {"kl", answer.now.loss},
                {"kl_per_mib", answer.neighbour.lossPerByte * mib},
                {"budget_bytes", answer.priced.problem.budgetBytes},
                {"fixed", answer.fixed},
                {"best_format", item.options[why.best].format},
                {"options", std::move(options)}};
  object["kl_per_mib_against"] =
      answer.neighbour.option ? Value(answer.neighbour.option->format) : Value(nullptr);
  object["runner_up"] = nullptr;
  if (why.runnerUp) {
    const PlanOption &option = item.options[*why.runnerUp];
    object["runner_up"] = Object{{"format", option.format},
                                 {"bytes", option.bytes},
                                 {"kl", option.loss},
                                 {"seconds", option.seconds},
                                 {"objective_increase", why.runnerUpCost}};
  }
  const std::optional<FlipPoint> &nearest = why.withMore ? why.withMore : why.withLess;
  object["flips_at_budget_bytes"] = nearest ? Value(nearest->flippedBytes) : Value(nullptr);
  object["flips"] = Object{{"with_less", flipJson(item, why.withLess)},
                           {"with_more", flipJson(item, why.withMore)}};
  return object;
}

void printFlip(const Answer &answer, const std::optional<FlipPoint> &flip, bool more) {
  llvm::raw_ostream &out = llvm::outs();
  out << (more ? "  with more   " : "  with less   ");
  if (flip)
    out << "at a budget of about " << humanBytes(flip->flippedBytes)
        << llvm::formatv(
               " ({0}{1:f2} %)", more ? "+" : "",
               100 * (double(flip->flippedBytes) / double(answer.priced.problem.budgetBytes) - 1))
        << " it takes " << answer.item.options[flip->choice].format << "\n";
  else
    out << (more ? "no larger budget that was tried changes it\n"
                 : "it keeps this down to the smallest budget that fits\n");
}

void printAnswer(const Answer &answer) {
  llvm::raw_ostream &out = llvm::outs();
  const PlanItem &item = answer.item;
  const Explanation &why = answer.why;
  out << item.name << " takes " << answer.now.format << "\n\n";
  out << "    option              bytes    KL, nats  time, us a token\n";
  for (const PlanOption &option : item.options)
    out << llvm::format("  %s %-14s %10s  %10.6f  %15.1f", &option == &answer.now ? "*" : " ",
                        option.format.c_str(), humanBytes(option.bytes).c_str(), option.loss,
                        option.seconds * 1e6)
        << (option.supported ? "" : "  not allowed") << "\n";
  out << "\n";
  if (const PlanOption *next = answer.neighbour.option) {
    int64_t bytes = answer.now.bytes - next->bytes;
    out << "  price       "
        << (bytes > 0 ? "its last " + humanBytes(bytes) + " over " + next->format + " save"
                      : humanBytes(-bytes) + " more for " + next->format + " would save")
        << llvm::format(" %.6f nats, %.6f a MiB\n",
                        answer.neighbour.lossPerByte * double(std::abs(bytes)),
                        answer.neighbour.lossPerByte * mib);
  }
  if (why.lossPerByte > 0)
    out << llvm::format("              a MiB is worth %.6f nats at this budget\n",
                        why.lossPerByte * mib);
  if (answer.fixed) {
    out << "  fixed       nothing else was allowed\n";
    return;
  }
  if (why.best != why.choice)
    out << "  best        the best plan at this budget takes " << item.options[why.best].format
        << ": this one was edited or is not optimal here\n";
  if (why.runnerUp)
    out << "  runner-up   " << item.options[*why.runnerUp].format
        << llvm::format(": the best plan with it is worse by %.6f\n", why.runnerUpCost);
  else
    out << "  runner-up   none: no other option fits the budget\n";
  if (why.best == why.choice) {
    printFlip(answer, why.withLess, false);
    printFlip(answer, why.withMore, true);
  }
}

} // namespace

// Vectors stay f32 and are not priced.
static ExitCode answerUnpriced(const CommandContext &context, const PlannedTensor &tensor) {
  std::string format(name(tensor.format));
  if (context.invocation.json)
    printJson(llvm::json::Object{{"tensor", tensor.name},
                                 {"format", format},
                                 {"bytes", tensor.bytes},
                                 {"kl_per_mib", 0},
                                 {"fixed", true},
                                 {"runner_up", nullptr},
                                 {"flips_at_budget_bytes", nullptr},
                                 {"options", llvm::json::Array{}}});
  else
    llvm::outs() << tensor.name << " takes " << format << ", as every " << tensor.role
                 << " does: there is nothing to choose\n";
  return ExitCode::Done;
}

ExitCode runWhy(const CommandContext &context) {
  const std::string &path = context.invocation.arguments[0];
  std::string wanted = context.invocation.arguments[1];
  llvm::Expected<Plan> plan = loadPlan(path);
  if (!plan)
    return failWith(ExitCode::BadInput, plan.takeError());
  llvm::Expected<PricedPlan> priced = pricedPlan(*plan);
  if (!priced)
    return failWith(ExitCode::BadInput,
                    "plan '" + path + "': " + llvm::toString(priced.takeError()));
  if (wanted == "local" || wanted == "global")
    wanted = "kv." + wanted;
  std::vector<std::string> names;
  for (const PlanItem &item : priced->problem.items)
    names.push_back(item.name);
  auto found = llvm::find(names, wanted);
  if (found == names.end()) {
    for (const PlannedTensor &tensor : plan->tensors)
      if (tensor.name == wanted)
        return answerUnpriced(context, tensor);
    return failWith(ExitCode::BadInput, "plan '" + path + "' decides no tensor '" + wanted + "'" +
                                            didYouMean(wanted, names) +
                                            " (its tensors: gcompile inspect FILE --json; caches: "
                                            "kv.local, kv.global)");
  }
  Answer answer = answerFor(*priced, size_t(found - names.begin()));
  if (context.invocation.json)
    printJson(answerJson(answer));
  else
    printAnswer(answer);
  return ExitCode::Done;
}

} // namespace gcompile
