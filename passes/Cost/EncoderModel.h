// The towers that turn images and sound into soft tokens, as far as memory needs them. A tower is a
// phase: it is loaded, encodes, and is dropped before the text model goes on, so that the peak is
// the largest phase and not the sum. Counts are elements, sizes bytes.
#pragma once

#include "ir/Format/Format.h"

#include <cstdint>
#include <string>
#include <vector>

namespace gcompile {

// Matrices take a weight format; everything else (position tables, convolutions, norms, clip
// bounds) stays as it is stored, two bytes an element.
enum class EncoderPart : uint8_t { Tower, Projector, ClipBounds };
struct EncoderTensor {
  std::string name;
  EncoderPart part = EncoderPart::Tower;
  bool matrix = false;
  int64_t n = 0, k = 0, count = 1; // `count` tensors of n × k
};

struct EncoderShape {
  std::string modality; // "vision", "audio"
  std::vector<EncoderTensor> tensors;
  int64_t softTokens = 0;      // of one image or the longest clip, at most
  int64_t markers = 2;         // tokens that open and close them
  int64_t activationBytes = 0; // while encoding, f32, an estimate
};

int64_t encoderParameters(const EncoderShape &encoder, EncoderPart part);
int64_t encoderBytes(const EncoderShape &encoder, WeightFormat format);

// Positions of the context that one image and one clip take.
int64_t encoderPositions(const std::vector<EncoderShape> &encoders,
                         const std::vector<std::string> &modalities);

// Soft tokens that wait, in f32, from encoding until prefill has read them.
int64_t softTokenBytes(const std::vector<EncoderShape> &encoders,
                       const std::vector<std::string> &modalities, int64_t hidden);

} // namespace gcompile
