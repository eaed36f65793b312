#include "compiler/Report/Charts.h"

#include "compiler/Plan/PlanReport.h"
#include "compiler/Report/Html.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/FormatVariadic.h"

#include <algorithm>
#include <cmath>

namespace gcompile::html {

std::string categoryClass(size_t index) { return "c" + std::to_string(std::min<size_t>(index, 6)); }

std::string bitsClass(double bits) {
  return bits < 3 ? "f0" : bits < 5 ? "f1" : bits < 9 ? "f2" : "f3";
}

static std::string attribute(const char *name, double value) {
  return std::string(" ") + name + "=\"" + decimal(value) + "\"";
}

static std::string line(const char *style, double x1, double y1, double x2, double y2) {
  return std::string("<line class=\"") + style + "\"" + attribute("x1", x1) + attribute("y1", y1) +
         attribute("x2", x2) + attribute("y2", y2) + "/>";
}

static std::string label(double x, double y, const std::string &text, const char *anchor = "start",
                         const char *style = "") {
  std::string classes = *style ? std::string(" class=\"") + style + "\"" : "";
  return "<text" + classes + attribute("x", x) + attribute("y", y) + " text-anchor=\"" + anchor +
         "\">" + escaped(text) + "</text>";
}

static std::string open(const char *what, double width, double height) {
  return "<div class=\"scroll wide\"><svg viewBox=\"0 0 " + decimal(width) + " " + decimal(height) +
         "\" role=\"img\" aria-label=\"" + what + "\">";
}

// A round step that gives about `wanted` lines below `most`.
static double niceStep(double most, int wanted) {
  double raw = std::max(most, 1e-12) / wanted, power = std::pow(10, std::floor(std::log10(raw)));
  for (double factor : {1.0, 2.0, 2.5, 5.0})
    if (factor * power >= raw)
      return factor * power;
  return 10 * power;
}

std::string budgetBar(const Plan &plan) {
  double scale = double(std::max<int64_t>({plan.budgetBytes, plan.memory.peak(), 1}));
  std::string out = "<div class=\"stack\">";
  for (auto [index, category] : llvm::enumerate(memoryCategories())) {
    int64_t bytes = plan.memory.*category.bytes;
    if (bytes > 0)
      out += "<span class=\"" + categoryClass(index) +
             "\" style=\"width:" + decimal(100 * double(bytes) / scale, 3) + "%\" title=\"" +
             category.key + " " + humanBytes(bytes) + "\"></span>";
  }
  return out + "</div>";
}

// "1.2 s", "3 min", "950 ms".
static std::string duration(double seconds) {
  if (seconds <= 0)
    return "";
  if (seconds < 1)
    return decimal(seconds * 1000, seconds < 0.01 ? 1 : 0) + " ms";
  if (seconds < 120)
    return decimal(seconds, seconds < 10 ? 1 : 0) + " s";
  if (seconds < 7200)
    return decimal(seconds / 60, 0) + " min";
  return decimal(seconds / 3600, 1) + " h";
}

// What a sample adds up to, with or without what never changes after loading.
static int64_t shownBytes(const MemoryAccount &memory, bool withWeights) {
  return withWeights ? memory.peak() : memory.peak() - memory.weights - memory.code;
}

// Names, durations and positions of the phases below the axis.
static std::string phaseLabels(const MemoryTimeline &timeline, double left, double right,
                               double top, double bottom) {
  std::string out;
  auto x = [&](double at) { return left + at * (right - left); };
  for (const TimelinePhase &phase : timeline.phases) {
    if (phase.start > 0)
      out += line("axis", x(phase.start), top - 14, x(phase.start), bottom);
    double middle = (x(phase.start) + x(phase.end)) / 2;
    out += label(middle, bottom + 22, phase.name, "middle", "strong");
    std::string what = duration(phase.seconds);
    if (!what.empty())
      out += label(middle, bottom + 40, "about " + what, "middle");
    if (phase.to > phase.from)
      out += label(middle, bottom + 57,
                   "positions " + std::to_string(phase.from) + " to " + std::to_string(phase.to),
                   "middle");
  }
  return out;
}

std::string timelineChart(const Plan &plan, const MemoryTimeline &timeline, bool withWeights) {
  const double width = 1000, height = withWeights ? 330 : 270, left = 70, right = 990, top = 34,
               bottom = height - 64;
  int64_t peak = 1;
  for (const TimelineSample &sample : timeline.samples)
    peak = std::max(peak, shownBytes(sample.memory, withWeights));
  // A budget far above the need would press everything flat.
  bool budgetShown = withWeights && double(plan.budgetBytes) <= 2.5 * double(peak);
  int64_t most = budgetShown ? std::max(plan.budgetBytes, peak) : peak;
  double scale = double(most) * 1.06;
  auto x = [&](double at) { return left + at * (right - left); };
  auto y = [&](double bytes) { return bottom - bytes / scale * (bottom - top); };

  std::string out =
      open(withWeights ? "memory over time" : "memory beside the weights over time", width, height);
  double step = niceStep(double(most), 5);
  for (double value = 0; value <= scale; value += step)
    out += line("grid", left, y(value), right, y(value)) +
           label(left - 8, y(value) + 4, humanBytes(int64_t(value)), "end");
  // Bottom up: what is there first lies lowest.
  const size_t withAll[] = {6, 5, 0, 1, 4, 3, 2}, beside[] = {6, 1, 4, 3, 2};
  std::vector<double> floor(timeline.samples.size(), 0);
  for (size_t index : withWeights ? llvm::ArrayRef<size_t>(withAll) : llvm::ArrayRef(beside)) {
    const MemoryCategory &category = memoryCategories()[index];
    std::string upper, lower;
    bool any = false;
    for (size_t i = 0; i < timeline.samples.size(); ++i) {
      const TimelineSample &sample = timeline.samples[i];
      double bytes = double(sample.memory.*category.bytes);
      any |= bytes > 0;
      std::string at = decimal(x(sample.at));
      lower.insert(0, " " + at + "," + decimal(y(floor[i])));
      floor[i] += bytes;
      upper += (upper.empty() ? "" : " ") + at + "," + decimal(y(floor[i]));
    }
    if (any)
      out += "<polygon class=\"" + categoryClass(index) + "\" points=\"" + upper + lower +
             "\"><title>" + category.key + "</title></polygon>";
  }
  out += phaseLabels(timeline, left, right, top, bottom);
  if (budgetShown)
    out += line("budget", left, y(double(plan.budgetBytes)), right, y(double(plan.budgetBytes))) +
           label(right, y(double(plan.budgetBytes)) - 6, "budget " + humanBytes(plan.budgetBytes),
                 "end", "budget");
  return out + line("axis", left, bottom, right, bottom) + "</svg></div>";
}

std::string arenaChart(const ArenaUse &use) {
  constexpr double width = 1000, height = 96, left = 70, right = 990, top = 18, bottom = 84;
  std::string out = open("what is alive in the arena of a program", width, height);
  double scale = double(std::max<int64_t>(use.arenaBytes, 1));
  size_t count = use.liveBytes.size();
  std::string points;
  auto point = [&](double at, double bytes) {
    points += (points.empty() ? "" : " ") + decimal(left + at * (right - left)) + "," +
              decimal(bottom - bytes / scale * (bottom - top));
  };
  // At most 400 steps; the largest of each stays.
  size_t steps = std::min<size_t>(count, 400);
  for (size_t s = 0; s < steps; ++s) {
    int64_t most = 0;
    for (size_t i = s * count / steps; i < (s + 1) * count / steps; ++i)
      most = std::max(most, use.liveBytes[i]);
    point(double(s) / double(steps), double(most));
    point(double(s + 1) / double(steps), double(most));
  }
  out += line("grid", left, top, right, top) +
         label(left - 8, top + 4, humanBytes(use.arenaBytes), "end");
  out += "<polyline class=\"line\" points=\"" + points + "\"/>" +
         line("axis", left, bottom, right, bottom) + label(left - 8, bottom, "0", "end");
  return out + "</svg></div>";
}

std::string formatGrid(const FormatMap &map) {
  // What a page of limited size can hold.
  int64_t layers = std::min<int64_t>(map.layers, 96);
  size_t rows = std::min<size_t>(map.rows.size(), 24);
  std::string out = "<div class=\"scroll\"><table class=\"map\"><thead><tr><th>layer</th>";
  for (int64_t l = 0; l < layers; ++l)
    out += "<td>" + (l % 5 == 0 ? std::to_string(l) : "") + "</td>";
  out +=
      "<td class=\"n\">bytes</td><td class=\"n\">bits</td></tr></thead><tbody><tr class=\"bits\">"
      "<th>bits a weight</th>";
  double most = 1;
  for (double bits : map.bitsOfLayer)
    most = std::max(most, bits);
  for (int64_t l = 0; l < layers; ++l)
    out +=
        "<td title=\"layer " + std::to_string(l) + ": " + decimal(map.bitsOfLayer[size_t(l)], 2) +
        " bits a weight\"><i style=\"height:" + decimal(42 * map.bitsOfLayer[size_t(l)] / most, 0) +
        "px\"></i></td>";
  out += "<td class=\"n\"></td><td class=\"n\"></td></tr>";
  for (size_t r = 0; r < rows; ++r) {
    const FormatRow &row = map.rows[r];
    out += "<tr><th>" + escaped(row.role) + "</th>";
    bool inLayers = llvm::any_of(row.cells, [](int cell) { return cell != -1; });
    if (!inLayers && layers > 0) {
      std::string what = row.whole >= 0 ? map.codes[size_t(row.whole)].format : "several";
      double bits = row.whole >= 0 ? map.codes[size_t(row.whole)].bits : row.bits;
      out += "<td class=\"" + bitsClass(bits) + "\" colspan=\"" + std::to_string(layers) + "\">" +
             escaped(what) + "</td>";
    } else {
      for (int64_t l = 0; l < layers; ++l) {
        int cell = row.cells[size_t(l)];
        if (cell == -1)
          out += "<td class=\"none\">\u00b7</td>";
        else if (cell == -2)
          out += "<td class=\"" + bitsClass(row.bits) + "\">*</td>";
        else
          out += "<td class=\"" + bitsClass(map.codes[size_t(cell)].bits) + "\" title=\"layer " +
                 std::to_string(l) + ", " + escaped(row.role) + ": " +
                 escaped(map.codes[size_t(cell)].format) + "\">" + map.codes[size_t(cell)].code +
                 "</td>";
      }
    }
    out += "<td class=\"n\">" + humanBytes(row.bytes) + "</td><td class=\"n\">" +
           decimal(row.bits, 2) + "</td></tr>";
  }
  out += "</tbody></table></div><ul class=\"legend\">";
  int64_t all = 0;
  for (const FormatCode &code : map.codes)
    all += code.residentBytes;
  for (const FormatCode &code : map.codes)
    out += "<li><b class=\"" + bitsClass(code.bits) + "\">" + code.code + "</b>" +
           escaped(code.format) + ": " + decimal(code.bits, 2) + " bits, " +
           std::to_string(code.tensors) + (code.tensors == 1 ? " tensor, " : " tensors, ") +
           decimal(100 * double(code.residentBytes) / double(std::max<int64_t>(all, 1)), 0) +
           " % of the weights in memory</li>";
  return out + "</ul>";
}

std::string frontChart(const Plan &plan, const std::vector<ReportFrontPoint> &front) {
  constexpr double width = 1000, height = 350, left = 70, right = 985, top = 20, bottom = 300;
  std::vector<ReportFrontPoint> shown;
  // What a page can hold, and an eye tell apart.
  size_t every = std::max<size_t>((front.size() + 399) / 400, 1);
  for (size_t i = 0; i < front.size(); i += every)
    if (front[i].kl > 0)
      shown.push_back(front[i]);
  double kl = plan.predicted.kl;
  // The interval, as factors of the estimate.
  double low = kl > 0 ? plan.predicted.klLow / kl : 1,
         high = kl > 0 ? plan.predicted.klHigh / kl : 1;
  if (shown.size() < 2 || low <= 0)
    return "";
  double least = shown.back().kl, most = shown.front().kl;
  for (const ReportFrontPoint &point : shown) {
    least = std::min(least, point.kl);
    most = std::max(most, point.kl);
  }
  if (kl > 0) {
    least = std::min(least, kl);
    most = std::max(most, kl);
  }
  // Below a millionth of a nat nothing is told apart.
  least = std::max(least, std::max(1e-6, most * 1e-6));
  double floorLog = std::floor(std::log10(least) * 2) / 2, topLog = std::log10(most) + 0.15;
  double firstByte = double(std::min(shown.front().bytes, plan.memory.peak()));
  double lastByte = double(std::max(shown.back().bytes, plan.memory.peak()));
  double margin = (lastByte - firstByte) * 0.03 + 1;
  auto x = [&](double bytes) {
    return left +
           (bytes - firstByte + margin) / (lastByte - firstByte + 2 * margin) * (right - left);
  };
  auto y = [&](double value) {
    double share =
        (std::log10(std::max(value, 1e-12)) - floorLog) / std::max(topLog - floorLog, 1e-9);
    return bottom - std::clamp(share, 0.0, 1.0) * (bottom - top);
  };
  std::string out = open("quality against bytes", width, height);
  for (int decade = int(std::ceil(floorLog)); decade <= int(std::floor(topLog)); ++decade) {
    double value = std::pow(10, decade);
    out += line("grid", left, y(value), right, y(value)) +
           label(left - 8, y(value) + 4, decimal(value, 6), "end");
  }
  double step = niceStep(lastByte - firstByte, 7);
  for (double value = std::ceil(firstByte / step) * step; value <= lastByte; value += step)
    out += line("grid", x(value), top, x(value), bottom) +
           label(x(value), bottom + 18, humanBytes(int64_t(value)), "middle");
  std::string path, upper, lower;
  for (const ReportFrontPoint &point : shown) {
    std::string at = decimal(x(double(point.bytes))) + ",";
    path += (path.empty() ? "" : " ") + at + decimal(y(point.kl));
    upper += (upper.empty() ? "" : " ") + at + decimal(y(point.kl * high));
    lower.insert(0, " " + at + decimal(y(point.kl * low)));
  }
  out += "<polygon class=\"band\" points=\"" + upper + lower + "\"/>";
  out += "<polyline class=\"front\" points=\"" + path + "\"/>";
  for (const ReportFrontPoint &point : shown)
    out += "<circle class=\"dot\" r=\"2\"" + attribute("cx", x(double(point.bytes))) +
           attribute("cy", y(point.kl)) + "><title>" + humanBytes(point.bytes) + ": KL " +
           decimal(point.kl, 5) + "</title></circle>";
  if (double(plan.budgetBytes) <= lastByte && double(plan.budgetBytes) >= firstByte)
    out += line("budget", x(double(plan.budgetBytes)), top, x(double(plan.budgetBytes)), bottom);
  if (kl > 0) {
    double px = x(double(plan.memory.peak())), py = y(kl);
    bool toTheLeft = px > (left + right) / 2;
    out += "<circle class=\"here\" r=\"7\"" + attribute("cx", px) + attribute("cy", py) +
           "><title>this plan</title></circle>" +
           label(px + (toTheLeft ? -12 : 12), py - 10,
                 "this plan: " + humanBytes(plan.memory.peak()) + ", KL " + decimal(kl, 4),
                 toTheLeft ? "end" : "start", "strong");
  }
  out += line("axis", left, bottom, right, bottom) + line("axis", left, top, left, bottom);
  out += label((left + right) / 2, bottom + 40, "peak bytes", "middle");
  return out + label(left + 8, top + 2, "KL, nats a token") + "</svg></div>";
}

std::string timeBar(const Predictions &predicted) {
  double sum = 0;
  for (const TimePart &part : predicted.decodeParts)
    sum += std::max(part.seconds, 0.0);
  if (sum <= 0)
    return "";
  std::string out = "<div class=\"stack\">";
  size_t index = 0;
  for (const TimePart &part : predicted.decodeParts)
    out += "<span class=\"" + categoryClass(index++) +
           "\" style=\"width:" + decimal(100 * std::max(part.seconds, 0.0) / sum, 3) +
           "%\" title=\"" + escaped(part.term) + "\"></span>";
  return out + "</div>";
}

} // namespace gcompile::html
