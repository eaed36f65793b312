// How far a candidate's predictions are from a reference's: KL(reference ‖ candidate) in nats per
// token, over positions of the same text. 0 means the same distribution; it is never negative.
#pragma once

#include "compiler/Measure/ModelRunner.h"

#include <cstdint>
#include <vector>

namespace gcompile {

// KL of the two softmax distributions; NaN when a logit is no number. Equal lengths.
double klDivergence(llvm::ArrayRef<float> reference, llvm::ArrayRef<float> candidate);

struct Divergence {
  int64_t positions = 0;
  double mean = 0;          // nats per token
  double standardError = 0; // of the mean, over windows where there are several, else positions
  double p99 = 0, p999 = 0; // 99 % and 99.9 % of the positions lie at or below
  double worst = 0;         // largest
  double top1Agreement = 0; // share of positions with the same most likely token
  double perplexity = 0;    // of the candidate on the text that followed; 0: not known
  double referencePerplexity = 0;
};

class DivergenceMeter {
public:
  void beginWindow(); // positions of one window are alike: they count as one draw for the error
  void add(llvm::ArrayRef<float> reference, llvm::ArrayRef<float> candidate);
  // With the token that followed in the text, for the perplexities.
  void add(llvm::ArrayRef<float> reference, llvm::ArrayRef<float> candidate, int32_t next);
  Divergence result() const;

private:
  std::vector<double> values;
  std::vector<size_t> windowStarts;
  int64_t agreeing = 0, followed = 0;
  double loss = 0, referenceLoss = 0;
};

// The reference's logits of every scored position, kept in a temporary file: a vocabulary of 262144
// takes 1 MB a position.
class ReferenceLogits {
public:
  static llvm::Expected<std::unique_ptr<ReferenceLogits>> record(ModelRunner &reference,
                                                                 TokenWindows windows);
  ~ReferenceLogits();
  ReferenceLogits(const ReferenceLogits &) = delete;
  ReferenceLogits &operator=(const ReferenceLogits &) = delete;

  const TokenWindows &windows() const { return text; }
  // Scores the same text with a candidate. An error when its vocabulary differs.
  llvm::Expected<Divergence> compare(ModelRunner &candidate) const;

private:
  ReferenceLogits(TokenWindows windows, int64_t vocabulary)
      : text(std::move(windows)), vocabulary(vocabulary) {}
  llvm::ArrayRef<float> row(int64_t index) const {
    return {mapped + index * vocabulary, size_t(vocabulary)};
  }
  TokenWindows text;
  int64_t vocabulary;
  float *mapped = nullptr;
  size_t bytes = 0;
};

} // namespace gcompile
