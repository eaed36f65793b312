#include "compiler/Report/HtmlReport.h"

#include "compiler/Plan/EngineJson.h"
#include "compiler/Plan/PlanReport.h"
#include "compiler/Plan/PlanText.h"
#include "compiler/Report/Charts.h"
#include "compiler/Report/Html.h"
#include "compiler/Report/StyleSheet.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FormatVariadic.h"

#include <algorithm>

namespace gcompile {
namespace {

using namespace html;

Mark markOf(QualityBasis basis) {
  return basis == QualityBasis::Prior ? Mark::Assumed : Mark::Modelled;
}

// How the figures of profiles are called there; see device_profile.proto.
Mark markOfConfidence(llvm::StringRef confidence) {
  std::string lower = confidence.lower();
  if (lower == "measured")
    return Mark::Measured;
  if (lower == "verified" || lower == "single_source")
    return Mark::Published;
  return lower == "derived" ? Mark::Modelled : Mark::Assumed;
}

class Page {
public:
  explicit Page(const ReportInput &input) : input(input), plan(*input.plan) {}

  std::string write() {
    std::string title = escaped(plan.model + " on " + plan.target);
    out = "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
          "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
          "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
          "style-src 'unsafe-inline'\"><title>" +
          title + "</title>\n<style>" + styleSheet + "</style></head><body><main>\n";
    head();
    tiles();
    memory();
    overTime();
    formats();
    front();
    speed();
    engines();
    trust();
    target();
    reproduce();
    tensors();
    planFile();
    out += "<footer>Written by gcompile. This page needs no network and runs no script.</footer>\n"
           "</main></body></html>\n";
    return std::move(out);
  }

private:
  void open(const char *id, const char *heading) {
    out += std::string("<section id=\"") + id + "\"><h2>" + heading + "</h2>";
  }
  void close() { out += "</section>\n"; }

  std::string targetTitle() const {
    return input.profile && !input.profile->title.empty() ? input.profile->title : plan.target;
  }

  void head() {
    int64_t peak = plan.memory.peak();
    out += "<header><h1>" + escaped(plan.model) + " on " + escaped(targetTitle()) + "</h1><p>";
    out += peak <= plan.budgetBytes
               ? "Fits " + bytesFigure("budget_bytes", plan.budgetBytes) + " with " +
                     humanBytes(plan.budgetBytes - peak) + " to spare"
               : "Does not fit " + bytesFigure("budget_bytes", plan.budgetBytes) + ": " +
                     humanBytes(peak - plan.budgetBytes) + " are missing";
    out += ": " + escaped(llvm::join(plan.modalities, " + ")) + ", a context of " +
           figure("context", plan.context, std::to_string(plan.context)) +
           " positions, objective " + std::string(name(plan.objective)) + ".</p></header>\n";
  }

  void tile(const char *what, const std::string &value, const std::string &detail, Mark mark) {
    out += std::string("<div class=\"tile\"><h3>") + what + "</h3><strong>" + value +
           "</strong><p>" + detail + "</p>" + badge(mark) + "</div>";
  }

  static std::string rate(llvm::StringRef key, double value) {
    return figure(key, value, decimal(value, value < 100 ? 1 : 0) + " tok/s");
  }

  static std::string between(const char *keys, double low, double high, int digits) {
    std::string key(keys);
    return figure(key + "_low", low, decimal(low, digits)) + " to " +
           figure(key + "_high", high, decimal(high, digits));
  }

  void tiles() {
    const Predictions &p = plan.predicted;
    out += "<div class=\"tiles\">";
    double share =
        100 * double(plan.memory.peak()) / double(std::max<int64_t>(plan.budgetBytes, 1));
    tile("Peak memory", bytesFigure("peak_bytes", plan.memory.peak()),
         decimal(share, 1) + " % of the budget", input.exactSizes ? Mark::Counted : Mark::Modelled);
    if (p.decodeTokensPerSecond > 0)
      tile("Decode", rate("predicted.decode_tokens_per_second", p.decodeTokensPerSecond),
           (p.decodeLow > 0 ? between("predicted.decode", p.decodeLow, p.decodeHigh, 1) + ", "
                            : std::string()) +
               "bound by " + escaped(p.decodeTerm),
           Mark::Modelled);
    else
      tile("Decode", "not predicted", "the target's profile has no read bandwidth", Mark::Modelled);
    if (p.prefillTokensPerSecond > 0)
      tile("Prefill", rate("predicted.prefill_tokens_per_second", p.prefillTokensPerSecond),
           (p.prefillLow > 0 ? between("predicted.prefill", p.prefillLow, p.prefillHigh, 0) + ", "
                             : std::string()) +
               "bound by " + escaped(p.prefillTerm),
           Mark::Modelled);
    else if (p.decodeTokensPerSecond > 0)
      tile("Prefill", "not predicted", "the target's profile has no peak of arithmetic",
           Mark::Modelled);
    tile("Expected KL", figure("predicted.kl", p.kl, decimal(p.kl, 4)),
         "nats a token, 90 % between " + figure("predicted.kl_low", p.klLow, decimal(p.klLow, 4)) +
             " and " + figure("predicted.kl_high", p.klHigh, decimal(p.klHigh, 4)) +
             (p.fixedDamage() > 0 ? "; " +
                                        figure("predicted.static_cost.activations", p.fixedDamage(),
                                               decimal(p.fixedDamage(), 4)) +
                                        " of it static activations, measured on the text"
                                  : std::string()),
         markOf(p.klBasis));
    tile(
        "Optimality gap",
        figure("optimality.gap", plan.optimality.gap, decimal(100 * plan.optimality.gap, 3) + " %"),
        plan.optimality.gap > 0
            ? "no plan in this budget has an objective lower by more, under these prices"
            : "no plan in this budget is better, under these prices",
        Mark::Counted);
    out += "</div>\n";
  }

  Mark markOfCategory(size_t index) const {
    switch (index) {
    case 3: // activations
    case 5: // code
      return input.exactSizes ? Mark::Counted : Mark::Modelled;
    case 6: // runtime
      return Mark::Modelled;
    default:
      return Mark::Counted;
    }
  }

  void memory() {
    open("memory", "Memory at the peak");
    out += "<p class=\"soft\">Everything that has to be in memory to run at the predicted speed, "
           "against the budget of " +
           humanBytes(plan.budgetBytes) + ".</p>" + budgetBar(plan);
    out += "<div class=\"scroll\"><table class=\"account\"><tr><th>category</th><th "
           "class=\"n\">bytes</th><th "
           "class=\"n\">of the peak</th><th>what it is</th><th></th></tr>";
    int64_t peak = std::max<int64_t>(plan.memory.peak(), 1);
    for (auto [index, category] : llvm::enumerate(memoryCategories())) {
      int64_t bytes = plan.memory.*category.bytes;
      out += "<tr><td><span class=\"key " + categoryClass(index) + "\"></span>" + category.key +
             "</td><td class=\"n\">" + bytesFigure(std::string("memory.") + category.key, bytes) +
             "</td><td class=\"n\">" + decimal(100 * double(bytes) / double(peak), 1) +
             " %</td><td>" + category.what + "</td><td>" + badge(markOfCategory(index)) +
             "</td></tr>";
    }
    out += "<tr class=\"sum\"><td>peak</td><td class=\"n\">" + humanBytes(plan.memory.peak()) +
           "</td><td class=\"n\">100 %</td><td></td><td></td></tr></table></div>";
    caches();
    close();
  }

  void caches() {
    if (plan.kvCaches.empty())
      return;
    out += "<div class=\"scroll\"><table><tr><th>cache</th><th>keys</th><th>values</th><th "
           "class=\"n\">layers</th><th class=\"n\">rows</th><th class=\"n\">bytes</th></tr>";
    for (const PlannedKv &kv : plan.kvCaches)
      out += "<tr><td>" + escaped(kv.layerType) + "</td><td>" + std::string(keyFormatName(kv)) +
             "</td><td>" + std::string(name(kv.v)) + "</td><td class=\"n\">" +
             std::to_string(kv.layers) + "</td><td class=\"n\">" + std::to_string(kv.capacity) +
             "</td><td class=\"n\">" + bytesFigure("", kv.bytes) + "</td></tr>";
    out += "</table></div>";
    if (plan.tables != TablePlacement::None)
      out += "<p class=\"note\">The per-layer table lies " +
             std::string(plan.tables == TablePlacement::Storage
                             ? "on storage; " + std::to_string(plan.tableCacheRows) +
                                   " rows of it are cached in memory."
                             : "in memory as a whole.") +
             "</p>";
    if (plan.expertsOnStorage())
      out += "<p class=\"note\">Experts stay on storage; " + std::to_string(plan.expertSlots) +
             " of them are cached in memory (counted under tables).</p>";
  }

  void overTime() {
    open("time", "Memory over time");
    double storage = input.profile ? input.profile->value("storage_read_bytes_per_second", 0) : 0;
    MemoryTimeline timeline = memoryTimeline(plan, storage);
    out += "<p class=\"soft\">Weights come in as they are first read, the arena with the first "
           "chunk of the prompt, cache rows with every position; the peak is reached when the "
           "context is full. The time axis is not to scale. " +
           badge(Mark::Modelled) + "</p>" + timelineChart(plan, timeline, /*withWeights=*/true);
    // Most plans are nearly all weights: the rest is not to be seen at that scale.
    if (double(plan.memory.weights) > 0.6 * double(plan.memory.peak()))
      out += "<p class=\"note\">Without weights and code:</p>" +
             timelineChart(plan, timeline, /*withWeights=*/false);
    out += "<ul class=\"legend\">";
    for (auto [index, category] : llvm::enumerate(memoryCategories()))
      if (plan.memory.*category.bytes > 0)
        out +=
            "<li><span class=\"key " + categoryClass(index) + "\"></span>" + category.key + "</li>";
    out += "</ul>";
    if (!input.arena.empty()) {
      out += "<h2 style=\"margin-top:22px\">Inside the arena</h2><p class=\"soft\">What is alive "
             "from the first to the last launch of a program, from the lifetimes that placed every "
             "intermediate value. " +
             badge(Mark::Counted) + "</p>";
      for (const ArenaUse &use : input.arena)
        out += "<p class=\"note\">" + escaped(use.program) + ": " + "an arena of " +
               humanBytes(use.arenaBytes) + "</p>" + arenaChart(use);
    }
    close();
  }

  void formats() {
    open("formats", "Bits by layer");
    out += "<p class=\"soft\">One letter for the format of each role in each layer; warmer is "
           "fewer bits. Bits count scales and padding. " +
           badge(Mark::Counted) + "</p>" + formatGrid(formatMap(plan));
    close();
  }

  void front() {
    std::string chart = frontChart(plan, input.front);
    if (chart.empty())
      return;
    open("front", "Quality against bytes");
    out +=
        "<p class=\"soft\">The best that each number of bytes buys under this plan's prices: " +
        std::to_string(input.front.size()) +
        " plans. The band is the 90 % interval of the estimate; the dashed line is the budget. " +
        badge(markOf(plan.predicted.klBasis)) + "</p>" + chart;
    out += "<details><summary>Some points of it</summary><div class=\"scroll\"><table><tr><th "
           "class=\"n\">peak</th><th class=\"n\">KL, nats a token</th></tr>";
    size_t count = input.front.size(), rows = std::min<size_t>(count, 24);
    for (size_t i = 0; i < rows; ++i) {
      const ReportFrontPoint &point = input.front[rows > 1 ? i * (count - 1) / (rows - 1) : 0];
      out += "<tr><td class=\"n\">" + bytesFigure("", point.bytes) + "</td><td class=\"n\">" +
             figure("", point.kl, decimal(point.kl, 5)) + "</td></tr>";
    }
    out += "</table></div></details>";
    close();
  }

  void speed() {
    const Predictions &p = plan.predicted;
    open("speed", "Where the time of a token goes");
    if (p.decodeTokensPerSecond <= 0) {
      out += "<p>Not predicted: the target's profile does not say how fast memory is read.</p>";
      close();
      return;
    }
    double sum = 0;
    for (const TimePart &part : p.decodeParts)
      sum += part.seconds;
    double token = 1 / p.decodeTokensPerSecond;
    out += "<p class=\"soft\">One decoded token takes about " + decimal(token * 1000, 2) +
           " ms with half of the context filled; the largest part is what bounds it. " +
           badge(Mark::Modelled) + "</p>" + timeBar(p);
    if (sum > 0) {
      out += "<div class=\"scroll\"><table><tr><th>part</th><th class=\"n\">time</th><th "
             "class=\"n\">share</th></tr>";
      for (auto [index, part] : llvm::enumerate(p.decodeParts))
        out += "<tr><td><span class=\"key " + categoryClass(index) + "\"></span>" +
               escaped(part.term) + "</td><td class=\"n\">" +
               figure("predicted.decode_parts." + std::to_string(index) + ".seconds", part.seconds,
                      decimal(part.seconds * 1000, 3) + " ms") +
               "</td><td class=\"n\">" + decimal(100 * part.seconds / sum, 1) + " %</td></tr>";
      out += "</table></div>";
    }
    if (p.firstTokenSeconds > 0)
      out += "<p>The first token after a prompt of " +
             std::to_string(std::clamp<int64_t>(plan.context / 2, 1, 512)) +
             " tokens comes after about " +
             figure("predicted.first_token_seconds", p.firstTokenSeconds,
                    decimal(p.firstTokenSeconds, 2) + " s") +
             ".</p>";
    if (input.profile)
      if (const Fact *fact = input.profile->find("read_bytes_per_second"))
        out += "<p class=\"note\">Rests on a read bandwidth of " +
               humanBytes(int64_t(fact->value)) + "/s " +
               badge(markOfConfidence(fact->confidence)) + " " + escaped(fact->source) + "</p>";
    close();
  }

  // A speed of the engines table; `key` is its path in the JSON.
  static std::string engineSpeed(const std::string &key, double value, double low, double high) {
    if (value <= 0)
      return "not predicted";
    std::string text = figure(key, value, decimal(value, value < 100 ? 1 : 0));
    if (low > 0)
      text += " <span class=\"soft\">(" + decimal(low, 1) + " to " + decimal(high, 1) + ")</span>";
    return text;
  }

  void engines() {
    if (!plan.engines)
      return;
    const EngineForecast &forecast = *plan.engines;
    open("engines", "What the engines would do");
    out +=
        "<p class=\"soft\">Tokens a second. The speeds of this plan are those of the " +
        escaped(forecast.compiled) +
        ": gcompile makes no whole programs for other engines yet; the rest says what they could "
        "gain. " +
        badge(Mark::Modelled) +
        "</p><div class=\"scroll\"><table><tr><th>engine</th><th class=\"n\">decode</th><th "
        "class=\"n\">prefill</th><th></th></tr>";
    for (auto [index, engine] : llvm::enumerate(forecast.engines)) {
      std::string key = "engines.list." + std::to_string(index) + ".";
      out += "<tr><td>" + escaped(engine.name) + ": " +
             escaped(llvm::StringRef(engine.title).take_front(200)) + "</td><td class=\"n\">" +
             engineSpeed(key + "decode_tokens_per_second", engine.decode, engine.decodeLow,
                         engine.decodeHigh) +
             "</td><td class=\"n\">" +
             engineSpeed(key + "prefill_tokens_per_second", engine.prefill, engine.prefillLow,
                         engine.prefillHigh) +
             "</td><td class=\"note\">" + escaped(engineNote(engine)) + "</td></tr>";
    }
    if (forecast.decode) {
      std::string key = "engines.best_split.";
      out += "<tr><td>best split</td><td class=\"n\">" +
             engineSpeed(key + "decode.tokens_per_second", forecast.decode->tokensPerSecond,
                         forecast.decode->low, forecast.decode->high) +
             "</td><td class=\"n\">" +
             (forecast.prefill ? engineSpeed(key + "prefill.tokens_per_second",
                                             forecast.prefill->tokensPerSecond,
                                             forecast.prefill->low, forecast.prefill->high)
                               : std::string("not predicted")) +
             "</td><td class=\"note\">" + escaped(sharesOf(*forecast.decode)) + "</td></tr>";
    }
    out += "</table></div>";
    if (const std::optional<HandoverFigure> &handover = forecast.handover)
      out += "<p class=\"note\">From one engine to the other takes " +
             decimal(handover->seconds * 1e6, 1) + " us " +
             badge(markOfConfidence(handover->confidence)) + " " +
             escaped(llvm::StringRef(handover->source).take_front(400)) +
             "; blocks run one after the other on one memory, and the split is the least there is "
             "for these times.</p>";
    else
      out += "<p class=\"note\">No split: " + escaped(missingSplit(forecast)) + ".</p>";
    close();
  }

  std::string engineNote(const EngineSpeed &engine) const {
    std::string note = "through " + engine.through;
    if (!engine.ownBandwidth)
      note += "; reads memory as fast as the device does";
    return llvm::StringRef(note).take_front(300).str();
  }

  static std::string sharesOf(const EngineSplitForecast &split) {
    std::string text;
    for (const EngineShare &share : split.shares)
      text += (text.empty() ? "" : ", ") + share.engine + " " + std::to_string(share.blocks) +
              " blocks, " + decimal(share.seconds * 1000, 2) + " ms";
    return text + "; " + std::to_string(split.handovers) + " handovers";
  }

  void trust() {
    open("trust", "What is measured, modelled or assumed");
    auto row = [&](Mark mark, const std::string &what) {
      out += "<tr><td>" + badge(mark) + "</td><td>" + what + "</td></tr>";
    };
    out += "<div class=\"scroll\"><table>";
    row(Mark::Counted,
        "weights, tables and caches: arithmetic on shapes and formats" +
            std::string(input.exactSizes ? "; arena and code: sizes of the generated code" : ""));
    row(Mark::Counted, "the gap: under the prices that the plan keeps, solver " +
                           escaped(plan.solver.empty() ? "unknown" : plan.solver));
    if (!input.exactSizes)
      row(Mark::Modelled, "arena and code: estimates until code is generated, then replaced by "
                          "exact sizes and checked against the budget again");
    row(Mark::Modelled, "the process and its stacks");
    row(Mark::Modelled, plan.predicted.measured
                            ? "speeds: a cost model on bandwidth that was measured on this machine "
                              "when the plan was made"
                            : "speeds: a cost model on the figures of the target's profile below; "
                              "nothing ran on the device");
    row(markOf(plan.predicted.klBasis),
        "quality: expected KL to the unquantized model; " +
            escaped(llvm::StringRef(basisPhrase(plan.predicted.klBasis)).split(": ").second.empty()
                        ? basisPhrase(plan.predicted.klBasis)
                        : llvm::StringRef(basisPhrase(plan.predicted.klBasis)).split(": ").second));
    out += "</table></div>";
    for (const std::string &note : input.notes)
      out += "<p class=\"note\">" + escaped(note) + "</p>";
    close();
  }

  static std::string factValue(const Fact &fact) {
    if (fact.unit == "byte")
      return humanBytes(int64_t(fact.value));
    if (fact.unit == "byte/s")
      return humanBytes(int64_t(fact.value)) + "/s";
    if (fact.unit == "s")
      return decimal(fact.value * 1e6, 1) + " us";
    if (fact.unit == "Hz")
      return decimal(fact.value / 1e9, 2) + " GHz";
    if (fact.unit == "op/s")
      return decimal(fact.value / 1e12, 2) + " Top/s";
    return decimal(fact.value, 3);
  }

  void target() {
    if (!input.profile)
      return;
    open("target", "The target");
    out += "<p class=\"soft\">" + escaped(targetTitle()) + ", " +
           escaped(input.profile->architecture) + "</p>";
    out += "<div class=\"scroll\"><table class=\"two\"><tr><th>figure</th><th "
           "class=\"n\">value</th><th></th><th>source</th><th>date</th></tr>";
    for (const Fact &fact : llvm::ArrayRef(input.profile->facts).take_front(80))
      out += "<tr><td>" + escaped(fact.name) + "</td><td class=\"n\">" +
             figure("", fact.value, factValue(fact)) + "</td><td>" +
             badge(markOfConfidence(fact.confidence)) + "</td><td class=\"note\">" +
             escaped(llvm::StringRef(fact.source).take_front(400)) +
             "</td><td class=\"note date\">" + escaped(fact.date) + "</td></tr>";
    out += "</table></div>";
    for (const std::string &note : llvm::ArrayRef(input.profile->notes).take_front(20))
      out += "<p class=\"note\">" + escaped(llvm::StringRef(note).take_front(400)) + "</p>";
    close();
  }

  void reproduce() {
    open("reproduce", "Make it again");
    out += "<pre>" + escaped(llvm::StringRef(input.command).take_front(4000)) + "</pre>";
    close();
  }

  void tensors() {
    open("tensors", "Every tensor");
    std::string rows;
    size_t shown = 0, all = 0;
    for (const PlannedTensor &tensor : plan.tensors) {
      if (tensor.role == "norm")
        continue;
      ++all;
      if (rows.size() > 120000)
        continue;
      ++shown;
      double values = std::max(double(tensor.n) * double(tensor.k), 1.0);
      rows += "<tr><td class=\"name\">" + escaped(llvm::StringRef(tensor.name).take_front(200)) +
              "</td><td class=\"n\">" + std::to_string(tensor.n) + "\u00d7" +
              std::to_string(tensor.k) + "</td><td>" + std::string(name(tensor.format)) +
              (tensor.fixed ? " (fixed)" : "") +
              (tensor.placement == "storage" ? ", storage" : "") + "</td><td class=\"n\">" +
              bytesFigure("", tensor.bytes) + "</td><td class=\"n\">" +
              decimal(double(tensor.bytes) * 8 / values, 2) + "</td></tr>";
    }
    out += "<details><summary>" + std::to_string(all) +
           " matrices and tables</summary><div class=\"scroll\"><table><tr><th>tensor</th><th "
           "class=\"n\">shape</th><th>format</th><th class=\"n\">bytes</th><th "
           "class=\"n\">bits</th></tr>" +
           rows + "</table></div>";
    if (shown < all)
      out += "<p class=\"note\">" + std::to_string(all - shown) +
             " more are left out to keep the page small.</p>";
    out += "</details>";
    close();
  }

  void planFile() {
    open("plan", "The plan");
    // Without prices: decisions are what --plan reads, and prices would take most of the page.
    Plan decisions = plan;
    for (PlannedTensor &tensor : decisions.tensors)
      tensor.options.clear();
    for (PlannedKv &kv : decisions.kvCaches)
      kv.options.clear();
    std::string text = escaped(planText(decisions));
    constexpr size_t rest = 4096;
    if (out.size() + text.size() + rest > reportLimitBytes) {
      out += "<p class=\"note\">It does not fit into this page; write it with <code>--emit "
             "plan</code>.</p>";
    } else {
      out += "<details><summary>As a file that --plan replays (without the prices of what was not "
             "chosen)</summary><pre>" +
             text + "</pre></details>";
    }
    close();
  }

  const ReportInput &input;
  const Plan &plan;
  std::string out;
};

} // namespace

std::string htmlReport(const ReportInput &input) { return Page(input).write(); }

} // namespace gcompile
