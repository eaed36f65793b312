#include "passes/Cost/EncoderModel.h"

#include <algorithm>

namespace gcompile {

static int64_t roundUp(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

static bool wanted(const EncoderShape &encoder, const std::vector<std::string> &modalities) {
  return std::find(modalities.begin(), modalities.end(), encoder.modality) != modalities.end();
}

int64_t encoderParameters(const EncoderShape &encoder, EncoderPart part) {
  int64_t sum = 0;
  for (const EncoderTensor &tensor : encoder.tensors)
    if (tensor.part == part)
      sum += tensor.n * tensor.k * tensor.count;
  return sum;
}

int64_t encoderBytes(const EncoderShape &encoder, WeightFormat format) {
  int64_t sum = 0;
  for (const EncoderTensor &tensor : encoder.tensors) {
    int64_t bytes =
        tensor.matrix ? packedBytes(format, tensor.n, tensor.k) : tensor.n * tensor.k * 2;
    sum += roundUp(bytes, 128) * tensor.count;
  }
  return sum;
}

int64_t encoderPositions(const std::vector<EncoderShape> &encoders,
                         const std::vector<std::string> &modalities) {
  int64_t sum = 0;
  for (const EncoderShape &encoder : encoders)
    if (wanted(encoder, modalities))
      sum += encoder.softTokens + encoder.markers;
  return sum;
}

int64_t softTokenBytes(const std::vector<EncoderShape> &encoders,
                       const std::vector<std::string> &modalities, int64_t hidden) {
  int64_t sum = 0;
  for (const EncoderShape &encoder : encoders)
    if (wanted(encoder, modalities))
      sum += roundUp(encoder.softTokens * hidden * 4, 128);
  return sum;
}

} // namespace gcompile
