#include "compiler/Plan/PlanReport.h"

#include "compiler/Plan/EngineJson.h"
#include "compiler/Plan/FormatMap.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/raw_ostream.h"

#include <algorithm>
#include <cmath>

namespace gcompile {

llvm::ArrayRef<MemoryCategory> memoryCategories() {
  static const MemoryCategory categories[] = {
      {"weights", "packed weights, read for every token", &MemoryAccount::weights},
      {"tables", "row tables and experts on storage, the part in memory", &MemoryAccount::tables},
      {"kv_cache", "keys and values of past positions", &MemoryAccount::kvCache},
      {"activations", "one arena for intermediate values", &MemoryAccount::activations},
      {"encoders", "vision and audio towers while loaded", &MemoryAccount::encoders},
      {"code", "machine code", &MemoryAccount::code},
      {"runtime", "process, stacks, tokenizer", &MemoryAccount::runtime},
  };
  return categories;
}

const char *basisPhrase(QualityBasis basis) {
  switch (basis) {
  case QualityBasis::Prior:
    return "assumed: averages published for formats, nothing of this model";
  case QualityBasis::Weights:
    return "modelled: rounding errors of these weights, assumed sensitivities";
  case QualityBasis::Calibration:
    return "modelled: rounding errors weighted by activations on the calibration text";
  case QualityBasis::Sensitivities:
    return "modelled from effects measured on this model";
  }
  return "";
}

std::string humanBytes(int64_t bytes) {
  std::string text;
  llvm::raw_string_ostream out(text);
  double value = double(bytes);
  // A unit begins where the one below would be rounded up to a thousand.
  if (std::abs(value) >= 999.95e6)
    out << llvm::format("%.2f GB", value / 1e9);
  else if (std::abs(value) >= 999.95e3)
    out << llvm::format("%.1f MB", value / 1e6);
  else if (std::abs(value) >= 1e3)
    out << llvm::format("%.1f KB", value / 1e3);
  else
    out << bytes << " B";
  return text;
}

namespace {

constexpr int64_t barWidth = 58, mapWidth = 60;

class Table {
public:
  Table(const Plan &plan, ReportStyle style) : plan(plan), style(style), out(text) {}

  std::string write() {
    out << heading(printable(plan.model) + " on " + printable(plan.target)) << ": "
        << humanBytes(plan.budgetBytes) << " for " << printable(llvm::join(plan.modalities, "+"))
        << ", " << plan.context << " positions, objective " << name(plan.objective) << "\n";
    memory();
    phases();
    formats();
    caches();
    estimates();
    return std::move(text);
  }

private:
  // Names come from files: nothing in them may move the cursor or break a line.
  std::string printable(llvm::StringRef name, size_t most = 40) const {
    std::string safe;
    for (char c : name.take_front(most))
      safe += c >= ' ' && c < 127 ? c : '?';
    return safe;
  }

  std::string paint(const std::string &what, int colour) const {
    return style.colour ? "\x1b[" + std::to_string(colour) + "m" + what + "\x1b[0m" : what;
  }
  std::string heading(const std::string &what) const { return paint(what, 1); }

  static std::string padded(std::string what, size_t width) {
    what.resize(std::max(what.size(), width), ' ');
    return what;
  }

  // Where a category lies between 0 and the scale, the ones before it left blank.
  std::string bar(int64_t from, int64_t to, int64_t scale) const {
    auto column = [&](int64_t bytes) {
      return std::clamp<int64_t>(
          int64_t(std::llround(double(bytes) / double(scale) * double(barWidth))), 0, barWidth);
    };
    int64_t first = column(from), last = std::max(column(to), first + 1);
    if (last > barWidth)
      first = barWidth - 1, last = barWidth;
    std::string line(size_t(first), ' ');
    for (int64_t i = first; i < last; ++i)
      line += style.unicode ? "\u2588" : "#";
    return line + std::string(size_t(barWidth - last), ' ');
  }

  // Towers are loaded and dropped: the memory above is that of the largest phase.
  void phases() {
    for (const PlannedEncoder &encoder : plan.encoders)
      out << "  " << printable(encoder.modality) << " tower " << humanBytes(encoder.bytes) << " as "
          << name(encoder.format) << ", loaded to encode an input of up to " << encoder.softTokens
          << " positions and dropped\n";
    if (!plan.phases.empty())
      out << "  phases";
    for (const PlanPhase &phase : plan.phases)
      out << (&phase == &plan.phases.front() ? " " : ", ") << printable(phase.name) << " "
          << humanBytes(phase.memory.peak());
    if (!plan.phases.empty())
      out << "; the largest counts\n";
  }

  void memory() {
    int64_t peak = plan.memory.peak(), budget = plan.budgetBytes;
    int64_t scale = std::max<int64_t>({peak, budget, 1});
    const char *edge = style.unicode ? "\u2502" : "|";
    out << "\n"
        << padded("memory", 26) << "0" << std::string(barWidth - 8, ' ')
        << llvm::right_justify(humanBytes(scale), 9) << "\n";
    int64_t before = 0;
    int colour = 34;
    for (const MemoryCategory &category : memoryCategories()) {
      int64_t bytes = plan.memory.*category.bytes;
      if (bytes == 0)
        continue;
      out << llvm::format("  %-12s%10s ", category.key, humanBytes(bytes).c_str()) << " " << edge
          << paint(bar(before, before + bytes, scale), colour) << edge << share(bytes, scale)
          << "\n";
      before += bytes;
      colour = colour == 36 ? 32 : colour + 1;
    }
    out << llvm::format("  %-12s%10s ", "peak", humanBytes(peak).c_str()) << " " << edge
        << bar(0, peak, scale) << edge << share(peak, scale) << "\n";
    if (peak <= budget)
      out << llvm::format("  %-12s%10s\n", "free", humanBytes(budget - peak).c_str());
    else
      out << "  over the budget by " << humanBytes(peak - budget) << "\n";
  }

  static std::string share(int64_t bytes, int64_t of) {
    return llvm::formatv("{0,6:f1} %", 100.0 * double(bytes) / double(of)).str();
  }

  // Bits as colour: the fewer, the warmer.
  static int colourOf(double bits) { return bits < 3 ? 31 : bits < 5 ? 33 : bits < 9 ? 32 : 36; }

  // Layers `from` to `to` of a row; neighbours of one format share one colour sequence.
  std::string cells(const FormatMap &map, const FormatRow &row, int64_t from, int64_t to) const {
    std::string line;
    for (int64_t l = from, next; l < to; l = next) {
      int index = row.cells[size_t(l)];
      for (next = l; next < to && row.cells[size_t(next)] == index;)
        ++next;
      if (index >= 0) {
        const FormatCode &code = map.codes[size_t(index)];
        line += paint(std::string(size_t(next - l), code.code), colourOf(code.bits));
        continue;
      }
      for (; l < next; ++l)
        line += index == -2 ? "*" : style.unicode ? "\u00b7" : ".";
    }
    return line;
  }

  void formats() {
    FormatMap map = formatMap(plan);
    std::string ruler;
    for (int64_t l = 0; l < std::min(map.layers, mapWidth); l += 10)
      ruler += padded(std::to_string(l), 10);
    out << "\n" << padded("formats by layer", 40) << llvm::StringRef(ruler).rtrim() << "\n";
    bool several = false, absent = false;
    for (const FormatRow &row : map.rows) {
      out << "  " << padded(printable(row.role, 26), 26)
          << llvm::right_justify(humanBytes(row.bytes), 10) << "  ";
      bool inLayers = llvm::any_of(row.cells, [](int cell) { return cell != -1; });
      if (!inLayers) {
        whole(map, row);
        continue;
      }
      for (int64_t l = 0; l < map.layers; l += mapWidth)
        out << (l > 0 ? "\n" + std::string(40, ' ') : "")
            << cells(map, row, l, std::min(l + mapWidth, map.layers));
      several |= llvm::is_contained(row.cells, -2);
      absent |= llvm::is_contained(row.cells, -1);
      out << "\n";
    }
    legend(map, several, absent);
  }

  // A tensor that belongs to no layer.
  void whole(const FormatMap &map, const FormatRow &row) {
    out << (row.whole >= 0 ? map.codes[size_t(row.whole)].format : "several formats");
    if (row.role == "per_layer_table") {
      out << (plan.tables == TablePlacement::Storage ? " on storage" : " in memory");
      if (plan.tables == TablePlacement::Storage)
        out << ", " << plan.tableCacheRows << " rows cached";
    }
    out << "\n";
  }

  void legend(const FormatMap &map, bool several, bool absent) {
    int64_t all = 0;
    for (const FormatCode &code : map.codes)
      all += code.residentBytes;
    std::vector<std::string> entries;
    std::vector<std::string> plain;
    for (const FormatCode &code : map.codes) {
      std::string rest =
          llvm::formatv(" {0} ({1:f0} %)", code.format,
                        100.0 * double(code.residentBytes) / double(std::max<int64_t>(all, 1)))
              .str();
      entries.push_back(paint(std::string(1, code.code), colourOf(code.bits)) + rest);
      plain.push_back(code.code + rest);
    }
    for (auto [used, what] : {std::pair(several, "* several"), std::pair(absent, ". none")})
      if (used) {
        bool dot = style.unicode && what[0] == '.';
        entries.push_back(dot ? "\u00b7 none" : what);
        plain.push_back(what);
      }
    size_t column = 2;
    out << "  ";
    // Shares are of the weights in memory.
    for (size_t i = 0; i < entries.size(); ++i) {
      if (column + plain[i].size() > 98) {
        out << "\n  ";
        column = 2;
      }
      out << entries[i] << (i + 1 < entries.size() ? "  " : "");
      column += plain[i].size() + 2;
    }
    out << "\n";
  }

  void caches() {
    if (plan.kvCaches.empty())
      return;
    out << "\nkv cache\n";
    for (const PlannedKv &kv : plan.kvCaches)
      out << "  " << padded(printable(kv.layerType, 26), 26)
          << llvm::right_justify(humanBytes(kv.bytes), 10) << "  k " << keyFormatName(kv) << ", v "
          << name(kv.v) << ", " << kv.layers << " layers of " << kv.capacity << " rows\n";
  }

  // "25.1 to 31.0", or nothing.
  std::string range(double low, double high) const {
    if (low <= 0 || high <= 0)
      return "";
    return llvm::formatv("  ({0:f1} to {1:f1})", low, high).str();
  }

  // "weights 97 %, barriers 3 %": of a decoded token.
  std::string parts() const {
    double sum = 0;
    for (const TimePart &part : plan.predicted.decodeParts)
      sum += part.seconds;
    std::string line;
    size_t begin = 0; // of the last line
    for (const TimePart &part : plan.predicted.decodeParts) {
      if (sum <= 0 || part.seconds / sum < 0.005)
        continue;
      std::string text =
          printable(part.term, 24) + llvm::formatv(" {0:f0} %", 100 * part.seconds / sum).str();
      if (!line.empty() && line.size() - begin + text.size() > 67) {
        line += ",\n" + std::string(29, ' ');
        begin = line.size();
      } else if (!line.empty()) {
        line += ", ";
      }
      line += text;
    }
    return line;
  }

  // What the device's engines would do; only one of them is compiled for.
  void engines() {
    if (!plan.engines)
      return;
    const char *label = "  engines   ";
    auto line = [&](llvm::StringRef what, const std::string &rest) {
      if (rest.empty())
        return;
      out << label << what << llvm::StringRef(printable(rest, 80)).rtrim() << "\n";
      label = "            ";
    };
    line("decode  ", engineLine(*plan.engines, true));
    line("prefill ", engineLine(*plan.engines, false));
    line("no split: ", missingSplit(*plan.engines));
    line("the speeds above are the ",
         plan.engines->compiled + "'s: gcompile makes no whole programs for other engines yet");
  }

  void estimates() {
    const Predictions &p = plan.predicted;
    const Optimality &o = plan.optimality;
    out << "\nestimates\n";
    if (p.decodeTokensPerSecond > 0) {
      out << llvm::format("  decode    %10.1f tok/s", p.decodeTokensPerSecond)
          << range(p.decodeLow, p.decodeHigh) << "  bound by " << printable(p.decodeTerm) << "\n";
      if (std::string line = parts(); !line.empty())
        out << "            time of a token: " << line << "\n";
    } else {
      out << "  decode    not predicted: the profile has no read bandwidth\n";
    }
    if (p.prefillTokensPerSecond > 0)
      out << llvm::format("  prefill   %10.1f tok/s", p.prefillTokensPerSecond)
          << range(p.prefillLow, p.prefillHigh) << "  bound by " << printable(p.prefillTerm)
          << "\n";
    else if (p.decodeTokensPerSecond > 0)
      out << "  prefill   not predicted: the profile has no peak of arithmetic\n";
    if (p.firstTokenSeconds > 0)
      out << llvm::format("  first token %8.3f s", p.firstTokenSeconds)
          << "      after a prompt of " << std::clamp<int64_t>(plan.context / 2, 1, 512)
          << " tokens\n";
    engines();
    out << llvm::format("  KL        %10.4f nats a token, 90 %% between %.4f and %.4f\n", p.kl,
                        p.klLow, p.klHigh)
        << "            " << basisPhrase(p.klBasis)
        << (p.klFromFile ? "; as the plan file says" : "") << "\n";
    if (p.fixedDamage() > 0)
      out << llvm::format("            %.4f of it static activations, measured on the text\n",
                          p.fixedDamage());
    out << llvm::format("  gap       %10.3f %%", 100 * o.gap)
        << (o.gap > 0 ? "      from the best plan of this budget, at most: "
                      : "      no choice of formats within this budget is better: ")
        << printable(plan.solver, 20);
    if (plan.seconds > 0)
      out << llvm::format(", %.2f s", plan.seconds);
    out << "\n";
  }

  const Plan &plan;
  ReportStyle style;
  std::string text;
  llvm::raw_string_ostream out;
};

} // namespace

std::string planReport(const Plan &plan, ReportStyle style) { return Table(plan, style).write(); }

} // namespace gcompile
