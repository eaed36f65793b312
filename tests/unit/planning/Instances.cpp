#include "tests/unit/planning/Instances.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <random>
#include <sstream>

namespace gcompile {

std::string_view name(Family family) {
  switch (family) {
  case Family::Uncorrelated:
    return "uncorrelated";
  case Family::Correlated:
    return "correlated";
  case Family::StronglyCorrelated:
    return "strongly-correlated";
  case Family::SubsetSum:
    return "subset-sum";
  case Family::Identical:
    return "identical";
  }
  return "";
}

namespace {

// std::mt19937 is the same everywhere, the standard distributions are not.
struct Random {
  std::mt19937 engine;
  size_t below(size_t n) { return engine() % n; }
  double unit() { return double(engine()) / 4294967296.0; }
  double between(double low, double high) { return low + (high - low) * unit(); }
};

} // namespace

static PlanOption randomOption(Family family, Random &random) {
  PlanOption option;
  option.bytes = int64_t(random.below(1000));
  double noise = random.unit();
  switch (family) {
  case Family::Uncorrelated:
    option.loss = double(random.below(1000)) / 100;
    option.seconds = double(random.below(100)) / 1000;
    return option;
  case Family::Correlated:
  case Family::Identical:
    option.loss = 10 * std::exp(-double(option.bytes) / 250) * (0.7 + 0.6 * noise);
    break;
  case Family::StronglyCorrelated:
    option.loss = 10 - double(option.bytes) / 100 + 0.01 * double(random.below(3));
    break;
  case Family::SubsetSum:
    option.loss = -double(option.bytes) / 64;
    break;
  }
  option.seconds = double(option.bytes) * 1e-4 + double(random.below(30)) / 1000;
  return option;
}

static void addCouplings(PlanProblem &problem, Random &random) {
  size_t items = problem.items.size();
  if (items >= 3 && random.below(2))
    problem.couplings.push_back({"tied", {0, 2}});
  if (items >= 5 && random.below(2))
    problem.couplings.push_back({"one format for fused projections", {1, 3, 4}});
  if (items >= 2 && random.below(2)) { // may overlap with the ones above
    Coupling only{"only with that format there", {items - 1, items - 2}, {}};
    const std::vector<PlanOption> &first = problem.items[items - 1].options;
    const std::vector<PlanOption> &second = problem.items[items - 2].options;
    only.rows.push_back({first[random.below(first.size())].format, ""});
    only.rows.push_back({"", second[random.below(second.size())].format});
    problem.couplings.push_back(only);
  }
}

PlanProblem randomInstance(const InstanceShape &shape, uint32_t seed) {
  Random random{std::mt19937(seed)};
  PlanProblem problem;
  int64_t smallest = 0, largest = 0;
  double fastest = 0, slowest = 0;
  size_t items = 1 + random.below(shape.items);
  for (size_t i = 0; i < items; ++i) {
    PlanItem item;
    if (shape.family == Family::Identical && i > 0 && random.below(4) != 0)
      item = problem.items.back();
    else
      for (size_t o = 0, options = 1 + random.below(shape.options); o < options; ++o) {
        item.options.push_back(randomOption(shape.family, random));
        item.options.back().format = "f" + std::to_string(o);
        item.options.back().storedBytes = int64_t(random.below(3)) * 100;
        item.options.back().supported = !shape.unsupported || o == 0 || random.below(4) != 0;
      }
    item.name = "t" + std::to_string(i);
    auto [lowBytes, highBytes] = std::minmax_element(
        item.options.begin(), item.options.end(),
        [](const PlanOption &a, const PlanOption &b) { return a.bytes < b.bytes; });
    auto [lowTime, highTime] = std::minmax_element(
        item.options.begin(), item.options.end(),
        [](const PlanOption &a, const PlanOption &b) { return a.seconds < b.seconds; });
    smallest += lowBytes->bytes;
    largest += highBytes->bytes;
    fastest += lowTime->seconds;
    slowest += highTime->seconds;
    problem.items.push_back(std::move(item));
  }
  if (shape.couplings)
    addCouplings(problem, random);
  problem.fixedBytes = int64_t(random.below(100));
  problem.fixedSeconds = 0.01;
  int64_t budget =
      problem.fixedBytes + smallest + int64_t(shape.tightness * double(largest - smallest));
  problem.budgetBytes = std::max<int64_t>(shape.tightness < 0 ? problem.fixedBytes : 0,
                                          shape.tightness < 0 ? budget - 1 : budget);
  if (shape.ratesOfExchange) {
    problem.lossPerSecond = double(random.below(3)) * 5;
    problem.lossPerStoredByte = double(random.below(2)) * 1e-3;
  }
  if (shape.speedLimit) // on whole milliseconds, so that sums meet it exactly
    problem.maxSeconds =
        0.01 + std::round(1000 * (fastest + random.unit() * (slowest - fastest))) / 1000;
  return problem;
}

//===- Published sizes
//----------------------------------------------------------------------------===//

namespace {

struct Size {
  std::string_view name;
  size_t layers, globalEvery; // every n-th layer is global
  int64_t hidden, ffn, heads, headsKv, headDim, globalHeadDim, vocabulary;
  int64_t perLayer; // E series: PLE width
  int64_t experts, expertFfn;
};

} // namespace

// presets/*.json; only shapes matter here.
static const Size sizes[] = {
    {"E2B", 35, 5, 1536, 6144, 8, 1, 256, 512, 262144, 256, 0, 0},
    {"E4B", 42, 6, 2560, 10240, 8, 2, 256, 512, 262144, 256, 0, 0},
    {"12B", 48, 6, 3840, 15360, 16, 8, 256, 512, 262144, 0, 0, 0},
    {"26B-A4B", 30, 6, 2816, 2112, 16, 8, 256, 512, 262144, 0, 128, 704},
    {"31B", 60, 6, 5376, 21504, 32, 16, 256, 512, 262144, 0, 0, 0},
};

std::vector<std::string_view> modelInstanceNames() {
  std::vector<std::string_view> names;
  for (const Size &size : sizes)
    names.push_back(size.name);
  return names;
}

namespace {

struct Grid {
  const char *name;
  double bits, error, instructions; // of a weight; the error relative to its square
};

} // namespace

// Bits with their scales; errors about 4^-bits with the spread that real grids have.
static const Grid grids[] = {
    {"w2", 2.01, 1.2e-1, 1.0},     {"w4", 4.01, 1.3e-2, 0.8},      {"w8", 8.01, 6e-5, 0.5},
    {"w2g64", 2.25, 9e-2, 1.2},    {"w4g32", 4.5, 7.5e-3, 1.0},    {"w8g32", 8.5, 3e-5, 0.7},
    {"w4g128", 4.13, 9.5e-3, 0.9}, {"bf16", 16, 3e-6, 0.6},        {"w3g64", 3.25, 3.2e-2, 1.4},
    {"w2g32", 2.5, 8e-2, 1.3},     {"w3", 3.01, 4.5e-2, 1.3},      {"w6", 6.01, 9e-4, 1.1},
    {"w6g64", 6.25, 6e-4, 1.2},    {"w5g32", 5.5, 1.9e-3, 1.3},    {"q4_k", 4.5, 6.5e-3, 1.2},
    {"q6_k", 6.5625, 5e-4, 1.3},   {"q5_k", 5.5, 1.7e-3, 1.3},     {"q3_k", 3.4375, 2.8e-2, 1.5},
    {"q2_k", 2.625, 7e-2, 1.4},    {"w8g64", 8.25, 4e-5, 0.65},    {"w4g64", 4.25, 8.4e-3, 0.95},
    {"w3g32", 3.5, 2.7e-2, 1.4},   {"w2g128", 2.13, 1.05e-1, 1.1}, {"f32", 32, 0, 0.6},
};

namespace {

class ModelBuilder {
public:
  ModelBuilder(const Size &size, size_t options, uint32_t seed)
      : size(size), options(std::min(options, std::size(grids))), random{std::mt19937(seed)} {}

  PlanProblem build(double bitsPerWeight) {
    addTensor("embedding", -1, size.vocabulary, size.hidden, 3);
    for (size_t layer = 0; layer < size.layers; ++layer)
      addLayer(layer);
    if (size.perLayer > 0) {
      addTensor("per_layer_projection", -1, int64_t(size.layers) * size.perLayer, size.hidden, 2);
      addTable();
    }
    addCache("local", 512, size.layers - size.layers / size.globalEvery, size.headDim);
    addCache("global", 32768, size.layers / size.globalEvery, size.globalHeadDim);
    problem.fixedBytes = 90'000'000 + int64_t(random.below(1000000));
    problem.fixedSeconds = 1e-3;
    problem.lossPerSecond = 1e-3;
    problem.lossPerStoredByte = 1e-12;
    problem.budgetBytes = problem.fixedBytes + int64_t(double(weights) * bitsPerWeight / 8);
    return std::move(problem);
  }

private:
  static constexpr double bandwidth = 20e9;

  void addLayer(size_t layer) {
    bool global = layer % size.globalEvery == size.globalEvery - 1;
    int64_t head = global ? size.globalHeadDim : size.headDim;
    int64_t l = int64_t(layer);
    addTensor("q", l, size.heads * head, size.hidden, 1);
    bool shares = size.perLayer > 0 && layer >= size.layers * 3 / 7; // reads a donor's cache
    if (!shares) {
      addTensor("k", l, size.headsKv * head, size.hidden, 1.5);
      if (!global)
        addTensor("v", l, size.headsKv * head, size.hidden, 2);
    }
    addTensor("o", l, size.hidden, size.heads * head, 1.2);
    int64_t ffn = shares ? 2 * size.ffn : size.ffn;
    size_t gate = problem.items.size();
    addTensor("gate", l, ffn, size.hidden, 0.8);
    addTensor("up", l, ffn, size.hidden, 0.8);
    problem.couplings.push_back({"gate and up are one kernel", {gate, gate + 1}});
    addTensor("down", l, size.hidden, ffn, 1.6);
    if (size.experts > 0) {
      addTensor("experts_gate_up", l, size.experts * 2 * size.expertFfn, size.hidden, 0.9, 16);
      addTensor("experts_down", l, size.experts * size.hidden, size.expertFfn, 1.4, 16);
      addTensor("router", l, size.experts, size.hidden, 4);
    }
    if (size.perLayer > 0) {
      addTensor("per_layer_gate", l, size.perLayer, size.hidden, 2);
      addTensor("per_layer_out", l, size.hidden, size.perLayer, 2);
    }
  }

  // `idle`: of how many weights one is read a token.
  void addTensor(const char *role, int64_t layer, int64_t n, int64_t k, double sensitivity,
                 double idle = 1) {
    PlanItem item{
        std::string(role) + "." + std::to_string(layer), role, ItemKind::Weight, layer, n, k, {}};
    double count = double(n) * double(k);
    weights += int64_t(count);
    double ends = 1 + std::exp(-double(layer)) +
                  std::exp(-(double(size.layers) - double(layer)) / 2); // first and last layers
    double weight = sensitivity * ends * random.between(0.4, 1.6) * std::sqrt(count) * 1e-5;
    for (size_t g = 0; g < options; ++g) {
      const Grid &grid = grids[g];
      int64_t rows = (n + 63) / 64 * 64;
      int64_t bytes = int64_t(double(rows) * double(k) * grid.bits / 8) + rows * 4;
      double error = grid.error * random.between(0.9, 1.1);
      double seconds = std::max(double(bytes) / bandwidth, count * grid.instructions / 30e9) / idle;
      item.options.push_back({grid.name, bytes, weight * error, seconds});
    }
    problem.items.push_back(std::move(item));
  }

  void addTable() {
    PlanItem item{"per_layer_table", "per_layer_table", ItemKind::Table, -1, 0, 0, {}};
    int64_t row = int64_t(size.layers) * size.perLayer;
    for (bool storage : {false, true})
      for (size_t g = 0; g < 3; ++g) {
        int64_t rowBytes = int64_t(double(row) * grids[g].bits / 8) + 4;
        int64_t whole = rowBytes * size.vocabulary;
        item.options.push_back({(storage ? "storage:" : "memory:") + std::string(grids[g].name),
                                storage ? 1024 * rowBytes : whole, 0.05 * grids[g].error,
                                storage ? 1e-4 : double(rowBytes) / bandwidth, true, whole});
      }
    problem.items.push_back(std::move(item));
  }

  void addCache(const char *name, int64_t rows, size_t layers, int64_t head) {
    PlanItem item{name, "kv_cache", ItemKind::KvCache, -1, 0, 0, {}};
    const Grid kv[] = {
        {"f32", 32, 0, 0}, {"f16", 16, 1e-6, 0}, {"kv8", 8.1, 1e-4, 0}, {"kv4", 4.2, 2e-2, 0}};
    for (const Grid &grid : kv) {
      double values = 2.0 * double(rows) * double(layers) * double(size.headsKv * head);
      double bytes = values * grid.bits / 8;
      item.options.push_back({grid.name, int64_t(bytes), 0.1 * grid.error * random.between(0.5, 2),
                              bytes / 2 / bandwidth});
    }
    problem.items.push_back(std::move(item));
  }

  const Size &size;
  size_t options;
  Random random;
  PlanProblem problem;
  int64_t weights = 0;
};

} // namespace

PlanProblem modelInstance(std::string_view name, size_t options, double bitsPerWeight,
                          uint32_t seed) {
  for (const Size &size : sizes)
    if (size.name == name)
      return ModelBuilder(size, options, seed).build(bitsPerWeight);
  return {};
}

//===- Text
//---------------------------------------------------------------------------------------===//

namespace {

class InstanceReader {
public:
  std::optional<Instance> read(const std::string &text, std::string &error) {
    std::istringstream lines(text);
    std::string line;
    for (int number = 1; std::getline(lines, line); ++number) {
      words = std::istringstream(line.substr(0, line.find('#')));
      std::string word;
      if (!(words >> word))
        continue;
      if (!statement(word)) {
        error = "line " + std::to_string(number) + ": cannot be read: " + line;
        return std::nullopt;
      }
    }
    error = check(instance.problem);
    if (!error.empty())
      return std::nullopt;
    return instance;
  }

private:
  bool statement(const std::string &word) {
    PlanProblem &problem = instance.problem;
    if (word == "budget")
      return bool(words >> problem.budgetBytes);
    if (word == "fixed")
      return bool(words >> problem.fixedBytes >> problem.fixedSeconds);
    if (word == "max-seconds")
      return bool(words >> problem.maxSeconds);
    if (word == "rates")
      return bool(words >> problem.lossPerSecond >> problem.lossPerStoredByte);
    if (word == "item") {
      problem.items.emplace_back();
      bool ok = bool(words >> problem.items.back().name);
      return ok && index.emplace(problem.items.back().name, problem.items.size() - 1).second;
    }
    if (word == "option")
      return !problem.items.empty() && option(problem.items.back());
    if (word == "couple")
      return couple();
    if (word == "row")
      return !problem.couplings.empty() && row(problem.couplings.back());
    return word == "expect" && expect();
  }

  bool option(PlanItem &item) {
    PlanOption option;
    if (!(words >> option.format >> option.bytes >> option.loss >> option.seconds))
      return false;
    for (std::string word; words >> word;) {
      if (word == "unsupported")
        option.supported = false;
      else if (word != "stored" || !(words >> option.storedBytes))
        return false;
    }
    item.options.push_back(option);
    return true;
  }

  bool couple() {
    Coupling coupling;
    words >> coupling.reason;
    for (std::string name; words >> name;) {
      if (!index.count(name))
        return false;
      coupling.items.push_back(index[name]);
    }
    instance.problem.couplings.push_back(coupling);
    return coupling.items.size() >= 2;
  }

  bool row(Coupling &coupling) {
    std::vector<std::string> &formats = coupling.rows.emplace_back();
    for (std::string name; words >> name;)
      formats.push_back(name == "*" ? "" : name);
    return formats.size() == coupling.items.size();
  }

  bool expect() {
    std::string word;
    words >> word;
    instance.infeasible = word == "nothing";
    if (!instance.infeasible)
      instance.optimum = std::stod(word);
    return true;
  }

  Instance instance;
  std::istringstream words;
  std::map<std::string, size_t> index;
};

} // namespace

std::optional<Instance> parseInstance(const std::string &text, std::string &error) {
  return InstanceReader().read(text, error);
}

std::string printInstance(const PlanProblem &problem) {
  std::ostringstream out;
  out.precision(17);
  out << "budget " << problem.budgetBytes << "\nfixed " << problem.fixedBytes << ' '
      << problem.fixedSeconds << "\nrates " << problem.lossPerSecond << ' '
      << problem.lossPerStoredByte << '\n';
  if (std::isfinite(problem.maxSeconds))
    out << "max-seconds " << problem.maxSeconds << '\n';
  for (const PlanItem &item : problem.items) {
    out << "item " << item.name << '\n';
    for (const PlanOption &option : item.options) {
      out << "option " << option.format << ' ' << option.bytes << ' ' << option.loss << ' '
          << option.seconds;
      if (option.storedBytes)
        out << " stored " << option.storedBytes;
      out << (option.supported ? "\n" : " unsupported\n");
    }
  }
  for (const Coupling &coupling : problem.couplings) {
    std::string reason = coupling.reason;
    std::replace(reason.begin(), reason.end(), ' ', '-');
    out << "couple " << reason;
    for (size_t item : coupling.items)
      out << ' ' << problem.items[item].name;
    out << '\n';
    for (const std::vector<std::string> &row : coupling.rows) {
      out << "row";
      for (const std::string &format : row)
        out << ' ' << (format.empty() ? "*" : format);
      out << '\n';
    }
  }
  return out.str();
}

} // namespace gcompile
