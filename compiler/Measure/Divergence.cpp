#include "compiler/Measure/Divergence.h"

#include "llvm/ADT/Twine.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fcntl.h>
#include <limits>
#include <sys/mman.h>
#include <unistd.h>

namespace gcompile {
namespace {

struct Normalizer {
  double top = 0, logSum = 0; // ln Σ exp(x − top)
};

Normalizer normalizerOf(llvm::ArrayRef<float> logits) {
  Normalizer result;
  result.top = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (float x : logits)
    sum += std::exp(double(x) - result.top);
  result.logSum = std::log(sum);
  return result;
}

double divergence(llvm::ArrayRef<float> reference, llvm::ArrayRef<float> candidate,
                  const Normalizer &p, const Normalizer &q) {
  double kl = 0;
  double shift = (p.top + p.logSum) - (q.top + q.logSum);
  for (size_t i = 0; i < reference.size(); ++i) {
    double logP = double(reference[i]) - p.top - p.logSum;
    // Less than 1e-13 of the mass: whatever the candidate says of it counts for nothing.
    if (logP < -30)
      continue;
    kl += std::exp(logP) * (double(reference[i]) - double(candidate[i]) - shift);
  }
  // Rounding may leave a tiny negative value where the distributions are equal.
  return kl < 0 && kl > -1e-6 ? 0 : kl;
}

bool allFinite(llvm::ArrayRef<float> logits) {
  return std::all_of(logits.begin(), logits.end(), [](float x) { return std::isfinite(x); });
}

} // namespace

double klDivergence(llvm::ArrayRef<float> reference, llvm::ArrayRef<float> candidate) {
  assert(reference.size() == candidate.size() && !reference.empty());
  if (!allFinite(reference) || !allFinite(candidate))
    return std::numeric_limits<double>::quiet_NaN();
  return divergence(reference, candidate, normalizerOf(reference), normalizerOf(candidate));
}

void DivergenceMeter::beginWindow() { windowStarts.push_back(values.size()); }

void DivergenceMeter::add(llvm::ArrayRef<float> reference, llvm::ArrayRef<float> candidate) {
  add(reference, candidate, -1);
}

void DivergenceMeter::add(llvm::ArrayRef<float> reference, llvm::ArrayRef<float> candidate,
                          int32_t next) {
  if (!allFinite(reference) || !allFinite(candidate)) {
    values.push_back(std::numeric_limits<double>::quiet_NaN());
    return;
  }
  Normalizer p = normalizerOf(reference), q = normalizerOf(candidate);
  values.push_back(divergence(reference, candidate, p, q));
  auto best = [](llvm::ArrayRef<float> logits) {
    return std::max_element(logits.begin(), logits.end()) - logits.begin();
  };
  agreeing += best(reference) == best(candidate);
  if (next >= 0 && size_t(next) < reference.size()) {
    referenceLoss += p.top + p.logSum - double(reference[next]);
    loss += q.top + q.logSum - double(candidate[next]);
    ++followed;
  }
}

static double meanOf(llvm::ArrayRef<double> values) {
  double sum = 0;
  for (double value : values)
    sum += value;
  return sum / double(values.size());
}

static double standardErrorOf(llvm::ArrayRef<double> values) {
  if (values.size() < 2)
    return 0;
  double mean = meanOf(values), squares = 0;
  for (double value : values)
    squares += (value - mean) * (value - mean);
  return std::sqrt(squares / double(values.size() - 1) / double(values.size()));
}

Divergence DivergenceMeter::result() const {
  Divergence out;
  out.positions = int64_t(values.size());
  if (values.empty())
    return out;
  out.mean = meanOf(values);
  std::vector<double> windowMeans;
  for (size_t i = 0; i < windowStarts.size(); ++i) {
    size_t end = i + 1 < windowStarts.size() ? windowStarts[i + 1] : values.size();
    if (end > windowStarts[i])
      windowMeans.push_back(
          meanOf(llvm::ArrayRef(values).slice(windowStarts[i], end - windowStarts[i])));
  }
  out.standardError = std::max(standardErrorOf(values), standardErrorOf(windowMeans));
  std::vector<double> sorted = values;
  // Not-a-number sorts last: it is as bad as can be.
  std::sort(sorted.begin(), sorted.end(),
            [](double a, double b) { return std::isnan(b) ? !std::isnan(a) : a < b; });
  auto quantile = [&](double share) {
    size_t index = size_t(std::ceil(share * double(sorted.size())));
    return sorted[std::clamp<size_t>(index, 1, sorted.size()) - 1];
  };
  out.p99 = quantile(0.99);
  out.p999 = quantile(0.999);
  out.worst = sorted.back();
  out.top1Agreement = double(agreeing) / double(values.size());
  if (followed > 0) {
    out.perplexity = std::exp(loss / double(followed));
    out.referencePerplexity = std::exp(referenceLoss / double(followed));
  }
  return out;
}

// Every scored position in order: sink(index, window, position, logits).
template <typename Sink>
static llvm::Error scoreAll(ModelRunner &runner, const TokenWindows &text, Sink sink) {
  int64_t index = 0;
  for (const std::vector<int32_t> &window : text.windows) {
    int64_t last = int64_t(window.size()) - 1;
    // What follows the last token is not in the text.
    llvm::ArrayRef<int32_t> tokens = llvm::ArrayRef(window).drop_back();
    llvm::Error error =
        runner.score(tokens, text.firstScored, [&](int64_t position, llvm::ArrayRef<float> logits) {
          sink(index++, position, window[std::min(position + 1, last)], logits);
          return llvm::Error::success();
        });
    if (error)
      return error;
  }
  return llvm::Error::success();
}

llvm::Expected<std::unique_ptr<ReferenceLogits>> ReferenceLogits::record(ModelRunner &reference,
                                                                         TokenWindows windows) {
  std::unique_ptr<ReferenceLogits> logits(
      new ReferenceLogits(std::move(windows), reference.vocabulary()));
  logits->bytes = size_t(logits->text.scored()) * size_t(logits->vocabulary) * sizeof(float);
  if (logits->bytes == 0)
    return llvm::createStringError("there is no text to score");
  llvm::Expected<TemporaryFile> file = TemporaryFile::create("logits");
  if (!file)
    return file.takeError();
  int descriptor = ::open(file->path().c_str(), O_RDWR | O_CLOEXEC);
  if (descriptor < 0)
    return llvm::createStringError("a temporary file cannot be opened: " +
                                   llvm::Twine(std::strerror(errno)));
  // Reserved now: a full disk is an error here, not a signal while writing.
  int failed = posix_fallocate(descriptor, 0, off_t(logits->bytes));
  void *mapped =
      failed ? MAP_FAILED
             : mmap(nullptr, logits->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  if (!failed && mapped == MAP_FAILED)
    failed = errno;
  ::close(descriptor);
  if (failed)
    return llvm::createStringError("the reference's logits need a temporary file of " +
                                   llvm::Twine(logits->bytes) + " bytes: " + std::strerror(failed) +
                                   "; $TMPDIR says where");
  logits->mapped = static_cast<float *>(mapped);
  llvm::Error error = scoreAll(reference, logits->text,
                               [&](int64_t index, int64_t, int32_t, llvm::ArrayRef<float> row) {
                                 std::memcpy(logits->mapped + index * logits->vocabulary,
                                             row.data(), row.size() * sizeof(float));
                               });
  if (error)
    return std::move(error);
  return logits;
}

ReferenceLogits::~ReferenceLogits() {
  if (mapped)
    munmap(mapped, bytes);
}

llvm::Expected<Divergence> ReferenceLogits::compare(ModelRunner &candidate) const {
  if (candidate.vocabulary() != vocabulary)
    return llvm::createStringError("the models differ: vocabularies of " + llvm::Twine(vocabulary) +
                                   " and " + llvm::Twine(candidate.vocabulary()) + " tokens");
  if (!text.windows.empty() && candidate.context() < int64_t(text.windows.front().size()))
    return llvm::createStringError("a window of " + llvm::Twine(text.windows.front().size()) +
                                   " tokens does not fit the candidate's context of " +
                                   llvm::Twine(candidate.context()));
  DivergenceMeter meter;
  llvm::Error error =
      scoreAll(candidate, text,
               [&](int64_t index, int64_t position, int32_t next, llvm::ArrayRef<float> logits) {
                 if (position == text.firstScored)
                   meter.beginWindow();
                 meter.add(row(index), logits, next);
               });
  if (error)
    return std::move(error);
  return meter.result();
}

} // namespace gcompile
