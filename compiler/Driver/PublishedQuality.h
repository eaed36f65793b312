// What is published of the quality of each size (presets/quality.json), and what is left of it in a
// quantized plan. docs/choosing-a-size.md states the rules and how uncertain they are.
#pragma once

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace gcompile {

struct Benchmark {
  std::string name, title, unit, modality;
  double chance = 0;   // percent that guessing gets
  bool counts = false; // part of the mean that sizes are compared by
};

// The share of what a score has above chance that survives a divergence of `kl` nats per token:
// exp(−factor · kl^exponent). The constants fit published pairs of one model; other tasks may lose
// `spread` times as much or as little.
struct ScoreLoss {
  double factor = 0, exponent = 0, spread = 1;
  struct Point {
    double kl = 0, score = 0;
  };
  std::vector<Point> points; // what it was fitted to
  double chance = 0, referenceScore = 0;

  double kept(double kl) const;     // the best guess
  double keptLow(double kl) const;  // `spread` times the loss
  double keptHigh(double kl) const; // the loss over `spread`
};

// Mean score in percent, with a range.
struct ExpectedScore {
  double published = 0, expected = 0, low = 0, high = 0;
  int benchmarks = 0;
};

class PublishedQuality {
public:
  // Reads the file; `origin` is for messages.
  static llvm::Expected<PublishedQuality> parse(llvm::StringRef text, llvm::StringRef origin);
  // The shipped file: where presets are.
  static llvm::Expected<PublishedQuality> load();

  // Score of a published size ("gemma-4-E2B", "google/gemma-4-E2B-it") in a benchmark.
  std::optional<double> score(llvm::StringRef model, llvm::StringRef benchmark) const;

  // Mean over the counting benchmarks of the modalities; empty for models of which nothing is
  // published. Every size has all of them (checked when reading), so that means compare.
  std::optional<ExpectedScore> expect(llvm::StringRef model, llvm::ArrayRef<std::string> modalities,
                                      double kl, double klLow, double klHigh) const;

  const std::vector<Benchmark> &benchmarks() const { return known; }
  const ScoreLoss &loss() const { return lossModel; }

private:
  std::vector<Benchmark> known;
  std::map<std::pair<std::string, std::string>, double> scores; // model, benchmark
  ScoreLoss lossModel;
};

} // namespace gcompile
