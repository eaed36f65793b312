// The command `pareto`: the front as a plot and a table, or as JSON.
#include "compiler/Driver/ChooseModel.h"
#include "compiler/Driver/Commands.h"
#include "compiler/Driver/ModelSources.h"
#include "compiler/Driver/PlanFront.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/raw_ostream.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>

namespace gcompile {
namespace {

constexpr int plotWidth = 76, plotHeight = 16, tableRows = 20;

struct Answer {
  const PlanRequest &request;
  const PlanFront &front;
  double seconds = 0;
};

llvm::json::Object frontJson(const Answer &answer) {
  using namespace llvm::json;
  auto known = [](double value) { return value > 0 ? Value(value) : Value(nullptr); };
  Array points;
  for (const FrontPlan &point : answer.front.points)
    points.push_back(Object{{"peak_bytes", point.peakBytes},
                            {"kl", point.kl},
                            {"kl_low", point.klLow},
                            {"kl_high", point.klHigh},
                            {"decode_tokens_per_second", known(point.decodeTokensPerSecond)},
                            {"prefill_tokens_per_second", known(point.prefillTokensPerSecond)},
                            {"bits_per_weight", point.bitsPerWeight},
                            {"gap", point.gap},
                            {"prefill_chunk", point.prefillChunk},
                            {"tables", std::string(name(point.tables))}});
  const CompilerInvocation &options = *answer.request.options;
  return Object{{"model", answer.request.model->name},
                {"target", answer.request.profile->name},
                {"budget_bytes", budgetOf(answer.request)},
                {"context", answer.front.context},
                {"modalities", Array(options.modalities)},
                {"objective", std::string(name(options.objective))},
                {"points", std::move(points)},
                {"seconds", answer.seconds}};
}

// KL on a logarithmic axis against bytes; the budget as a column.
class Plot {
public:
  Plot(const PlanFront &front, int64_t budget, ReportStyle style)
      : points(front.points), budget(budget), style(style) {
    firstByte = double(points.front().peakBytes);
    lastByte = double(points.back().peakBytes);
    for (const FrontPlan &point : points)
      if (point.kl > 0) {
        least = std::min(least, point.kl);
        most = std::max(most, point.kl);
      }
    least = std::max(least, most * 1e-6);
  }

  void write(llvm::raw_ostream &out) const {
    if (!(most > least) || lastByte <= firstByte)
      return;
    std::vector<std::string> rows(plotHeight, std::string(plotWidth, ' '));
    int budgetColumn = -1;
    if (double(budget) >= firstByte && double(budget) <= lastByte) {
      budgetColumn = column(double(budget));
      for (std::string &row : rows)
        row[size_t(budgetColumn)] = ':';
    }
    for (const FrontPlan &point : points)
      rows[size_t(line(point.kl))][size_t(column(double(point.peakBytes)))] = '*';
    out << "KL, nats a token\n";
    for (int r = 0; r < plotHeight; ++r) {
      bool labelled = r % 5 == 0;
      double kl = std::exp(std::log(most) -
                           (std::log(most) - std::log(least)) * double(r) / (plotHeight - 1));
      if (labelled)
        out << llvm::format("%10.5f ", kl);
      else
        out << std::string(11, ' ');
      out << (style.unicode ? "\u2502" : "|") << drawn(llvm::StringRef(rows[size_t(r)]).rtrim())
          << "\n";
    }
    out << std::string(11, ' ') << (style.unicode ? "\u2514" : "+");
    for (int c = 0; c < plotWidth; ++c)
      out << (style.unicode ? "\u2500" : "-");
    std::string low = humanBytes(points.front().peakBytes),
                high = humanBytes(points.back().peakBytes);
    out << "\n"
        << std::string(12, ' ') << low
        << std::string(size_t(plotWidth) - low.size() - high.size(), ' ') << high << "\n";
    if (budgetColumn >= 0)
      out << std::string(12, ' ') << ": budget " << humanBytes(budget) << "\n";
  }

private:
  int column(double bytes) const {
    return std::clamp(int((bytes - firstByte) / (lastByte - firstByte) * (plotWidth - 1) + 0.5), 0,
                      plotWidth - 1);
  }
  int line(double kl) const {
    double share =
        (std::log(most) - std::log(std::max(kl, least))) / (std::log(most) - std::log(least));
    return std::clamp(int(share * (plotHeight - 1) + 0.5), 0, plotHeight - 1);
  }
  std::string drawn(llvm::StringRef row) const {
    std::string out;
    for (char c : row)
      out += c == '*' && style.unicode   ? "\u2022"
             : c == ':' && style.unicode ? "\u2506"
                                         : std::string(1, c);
    return out;
  }

  const std::vector<FrontPlan> &points;
  int64_t budget;
  ReportStyle style;
  double firstByte = 0, lastByte = 0, least = 1e300, most = 0;
};

// Rows spread over the front by bytes, the ends and the last one within the budget included.
std::vector<size_t> shownRows(const PlanFront &front, int64_t budget) {
  std::vector<size_t> rows;
  size_t count = front.points.size();
  for (size_t i = 0; i < size_t(tableRows) && count > 0; ++i)
    rows.push_back(i * (count - 1) / (tableRows - 1));
  for (size_t i = count; i-- > 0;)
    if (front.points[i].peakBytes <= budget) {
      rows.push_back(i);
      break;
    }
  std::sort(rows.begin(), rows.end());
  rows.erase(std::unique(rows.begin(), rows.end()), rows.end());
  return rows;
}

std::string frontText(const Answer &answer, ReportStyle style) {
  std::string text;
  llvm::raw_string_ostream out(text);
  const PlanFront &front = answer.front;
  const CompilerInvocation &options = *answer.request.options;
  int64_t budget = budgetOf(answer.request);
  out << answer.request.model->name << " on " << answer.request.profile->name << ": "
      << front.points.size() << " plans for " << llvm::join(options.modalities, "+") << ", "
      << front.context << " positions, objective " << name(options.objective) << "\n\n";
  Plot(front, budget, style).write(out);
  out << "\n        peak     KL, nats a token (90 % interval)    decode tok/s   prefill tok/s    "
         "bits"
         "\n";
  int64_t last = -1;
  for (size_t i = 0; i < front.points.size(); ++i)
    if (front.points[i].peakBytes <= budget)
      last = int64_t(i);
  for (size_t i : shownRows(front, budget)) {
    const FrontPlan &point = front.points[i];
    auto speed = [](double rate) {
      return rate > 0 ? llvm::formatv("{0:f1}", rate).str() : std::string("-");
    };
    out << llvm::format("%c %10s    %9.5f  (%.5f to %.5f)", int64_t(i) == last ? '>' : ' ',
                        humanBytes(point.peakBytes).c_str(), point.kl, point.klLow, point.klHigh)
        << llvm::right_justify(speed(point.decodeTokensPerSecond), 16)
        << llvm::right_justify(speed(point.prefillTokensPerSecond), 16)
        << llvm::format("%8.2f\n", point.bitsPerWeight);
  }
  if (last >= 0)
    out << "\n> is the last within the budget of " << humanBytes(budget) << "\n";
  return text;
}

} // namespace

// The model that was named, or the best of those there are, as `plan` takes it.
static llvm::Expected<std::unique_ptr<Candidate>> modelFor(const CommandContext &context,
                                                           const DeviceProfile &profile) {
  const CompilerInvocation &options = context.invocation;
  if (!options.model.empty()) {
    llvm::Expected<Candidate> candidate = loadCandidate(options.model, options);
    if (!candidate)
      return candidate.takeError();
    return std::make_unique<Candidate>(std::move(*candidate));
  }
  std::vector<std::string> sources = findCheckpoints();
  if (sources.empty())
    sources = presetNames();
  llvm::Expected<ModelChoice> best = chooseModel(sources, profile, options);
  if (!best)
    return best.takeError();
  for (const std::string &note : best->notes)
    printNote(context, note);
  return std::make_unique<Candidate>(std::move(best->candidate));
}

ExitCode runPareto(const CommandContext &context) {
  const CompilerInvocation &options = context.invocation;
  if (options.target.empty())
    return failWith(ExitCode::BadFlags,
                    "no target: give --target NAME, or --target host (see gcompile targets)");
  for (auto [given, flag] : {std::pair(!options.planFile.empty(), "--plan"),
                             std::pair(options.emit != EmitKind::Artifact, "--emit")})
    if (given)
      return failWith(ExitCode::BadFlags,
                      std::string("pareto takes no ") + flag + ": it is about many plans");
  if (options.experts == TableChoice::Storage)
    return failWith(
        ExitCode::BadFlags,
        "pareto knows experts in memory alone: gcompile plan --experts storage plans one "
        "budget");
  std::vector<std::string> folders = profileFolders(context.programPath);
  llvm::Expected<DeviceProfile> profile = loadProfile(options.target, folders);
  if (!profile)
    return failWith(targetFault(options.target, folders), profile.takeError());
  if (!options.model.empty() && options.model.find('/') == std::string::npos &&
      !isPresetName(options.model) && !llvm::sys::fs::exists(options.model))
    return failWith(ExitCode::BadFlags, "--model " + options.model +
                                            ": neither a path nor a published size (" +
                                            llvm::join(presetNames(), ", ") + ")");
  if (llvm::Error error = checkOutputFolder(options.output))
    return failWith(ExitCode::BadInput, std::move(error));
  if (options.target == "host")
    measureHost(*profile, options.remeasure);
  llvm::Expected<std::unique_ptr<Candidate>> candidate = modelFor(context, *profile);
  if (!candidate)
    return failWith(ExitCode::BadInput, candidate.takeError());
  llvm::Expected<PlanRequest> request = requestFor(**candidate, *profile, options);
  if (!request)
    return failWith(ExitCode::BadInput, request.takeError());

  auto start = std::chrono::steady_clock::now();
  llvm::Expected<PlanFront> front = planFront(*request, size_t(options.points));
  if (!front)
    return failWith(ExitCode::BadFlags, front.takeError());
  if (front->points.empty())
    return failWith(ExitCode::NothingFits, "no plan of any size is predicted to decode " +
                                               llvm::formatv("{0:f1}", options.minDecode).str() +
                                               " tokens per second; try a lower --min-decode");
  double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  Answer answer{*request, *front, seconds};
  std::string path = options.output.empty() ? "-" : options.output;
  std::string text = options.json
                         ? llvm::formatv("{0:2}\n", llvm::json::Value(frontJson(answer))).str()
                         : frontText(answer, path == "-" ? terminalStyle() : ReportStyle());
  if (llvm::Error error = writeOutput(path, text))
    return failWith(ExitCode::BadInput, std::move(error));
  return ExitCode::Done;
}

} // namespace gcompile
