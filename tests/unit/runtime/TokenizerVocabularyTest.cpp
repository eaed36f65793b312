// The tokenizer with a vocabulary of the real size (262,144 pieces, half a million merges) against
// the plainest BPE there is. Texts are long enough for everything that is remembered while
// encoding. The section is the same whatever file the vocabulary came in.
#include "compiler/Artifact/TokenizerSection.h"
#include "compiler/Import/Gguf/GgufModel.h"
#include "tests/unit/import/GgufFiles.h"
#include "tests/unit/runtime/MadeVocabulary.h"

#include "llvm/Support/JSON.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <time.h>

namespace gcompile::runtime {
namespace {

using Unknown = MadeVocabulary::Unknown;

MadeVocabulary &publishedSize() {
  static MadeVocabulary vocabulary(publishedPieces, publishedMerges);
  return vocabulary;
}

// As the reference library writes it.
std::string tokenizerJson(const TokenizerData &data) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  llvm::json::OStream json(stream);
  auto replace = [&](const char *from, const char *to) {
    json.object([&] {
      json.attribute("type", "Replace");
      json.attributeObject("pattern", [&] { json.attribute("String", from); });
      json.attribute("content", to);
    });
  };
  const char *mark = "\xE2\x96\x81";
  json.object([&] {
    json.attributeArray("added_tokens", [&] {
      for (const SpecialToken &token : data.added)
        json.object([&] {
          json.attribute("id", token.id);
          json.attribute("content", token.content);
          json.attribute("special", token.special);
        });
    });
    json.attributeBegin("normalizer");
    replace(" ", mark);
    json.attributeEnd();
    json.attributeObject("decoder", [&] {
      json.attribute("type", "Sequence");
      json.attributeArray("decoders", [&] {
        replace(mark, " ");
        for (const char *type : {"ByteFallback", "Fuse"})
          json.object([&] { json.attribute("type", type); });
      });
    });
    json.attributeObject("model", [&] {
      json.attribute("type", "BPE");
      json.attribute("unk_token", data.pieces[size_t(data.unknown)]);
      json.attribute("byte_fallback", true);
      json.attributeObject("vocab", [&] {
        for (size_t id = 0; id < data.pieces.size(); ++id)
          json.attribute(data.pieces[id], int64_t(id));
      });
      json.attributeArray("merges", [&] {
        for (auto [left, right] : data.merges)
          json.array([&] {
            json.value(data.pieces[left]);
            json.value(data.pieces[right]);
          });
      });
    });
  });
  return text;
}

// As llama.cpp's converter writes it: it marks as the user's own (4) the seven tokens that its
// parser of answers has to see, control (3) what is special else, and bytes (6).
std::string ggufKeys(const TokenizerData &data) {
  constexpr llvm::StringRef visible[] = {"<|channel>",   "<channel|>",       "<|tool_call>",
                                         "<tool_call|>", "<|tool_response>", "<tool_response|>",
                                         "<|\"|>"};
  std::vector<int32_t> types(data.pieces.size(), 1);
  for (int32_t id : data.byteTokens)
    types[size_t(id)] = 6;
  for (const SpecialToken &token : data.added)
    types[token.id] = token.special && !llvm::is_contained(visible, token.content) ? 3 : 4;
  std::vector<std::string> merges;
  for (auto [left, right] : data.merges)
    merges.push_back(data.pieces[left] + " " + data.pieces[right]);
  GgufWriter writer;
  writer.text("tokenizer.ggml.model", "gemma4");
  writer.texts("tokenizer.ggml.tokens", data.pieces);
  writer.integers("tokenizer.ggml.token_type", types);
  writer.texts("tokenizer.ggml.merges", merges);
  writer.number("tokenizer.ggml.unknown_token_id", uint32_t(data.unknown));
  writer.flag("tokenizer.ggml.add_space_prefix", false);
  return writer.header();
}

TokenizerData readGguf(const std::string &file) {
  auto read = [&](uint64_t offset, llvm::MutableArrayRef<uint8_t> out) {
    std::memcpy(out.data(), file.data() + offset, out.size());
    return llvm::Error::success();
  };
  GgufHeader header = cantFail(parseGgufHeader({file.size(), read}, "made.gguf"));
  return *cantFail(ggufTokenizer(header, publishedPieces, "made.gguf"));
}

// Of this thread: what other programs take of the machine does not count.
double processorMilliseconds() {
  timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return double(time.tv_sec) * 1e3 + double(time.tv_nsec) * 1e-6;
}

TEST(TokenizerVocabulary, OfRealSizeIsTheSameSectionFromEitherFile) {
  const TokenizerData &data = publishedSize().data;
  std::vector<uint8_t> wanted = cantFail(serializeTokenizer(data));
  std::vector<uint8_t> fromJson =
      cantFail(serializeTokenizer(cantFail(parseTokenizerJson(tokenizerJson(data)))));
  std::vector<uint8_t> fromGguf = cantFail(serializeTokenizer(readGguf(ggufKeys(data))));
  // Not EXPECT_EQ: a difference would print both.
  EXPECT_TRUE(fromJson == wanted) << fromJson.size() << " bytes, expected " << wanted.size();
  EXPECT_TRUE(fromGguf == fromJson) << fromGguf.size() << " bytes, expected " << fromJson.size();

  std::vector<double> ready;
  for (int i = 0; i < 5; ++i) {
    double begin = processorMilliseconds();
    Encoder encode(std::move(fromGguf));
    ready.push_back(processorMilliseconds() - begin);
    fromGguf = fromJson;
  }
  std::sort(ready.begin(), ready.end());
  printf("ready in %.2f ms of processor time (median of %zu; the aim is below 20)\n",
         ready[ready.size() / 2], ready.size());
}

TEST(TokenizerVocabulary, OfRealSizeMergesAsThePlainAlgorithmDoes) {
  MadeVocabulary &vocabulary = publishedSize();
  ASSERT_EQ(vocabulary.data.pieces.size(), publishedPieces);
  ASSERT_GT(vocabulary.data.merges.size(), 450'000u);
  Encoder encode(readGguf(ggufKeys(vocabulary.data)));
  for (unsigned foreign : {0, 1, 5, 50, 100})
    for (size_t bytes : {0, 1, 50, 2047, 2048, 6'000}) {
      std::string text = vocabulary.text(bytes, foreign);
      expectEqual(encode(text), vocabulary.encode(text));
    }
  for (size_t bytes : {100, 1'000, 10'000, 30'000}) {
    std::string text = vocabulary.mixture(bytes);
    expectEqual(encode(text), vocabulary.encode(text));
  }
  // Without a boundary, and far longer than a window.
  std::string run = vocabulary.run(12'000), lines(5'000, '\n'), spaces(5'000, ' ');
  for (const std::string &text : {run, lines, spaces, lines + run + spaces})
    expectEqual(encode(text), vocabulary.encode(text));
}

TEST(TokenizerVocabulary, UnknownCharactersAreOneTokenWhateverIsRemembered) {
  MadeVocabulary vocabulary(4000, 8000, Unknown::OneToken);
  Encoder encode(vocabulary.data);
  for (unsigned foreign : {5, 50, 95}) {
    std::string text = vocabulary.text(6'000, foreign);
    expectEqual(encode(text), vocabulary.encode(text));
  }
}

// Where the vocabulary lacks U+2581, a space is three byte tokens, which segments may end between.
TEST(TokenizerVocabulary, SpacesBecomeBytesWithoutTheirPiece) {
  TokenizerData data;
  for (int byte = 0; byte < 256; ++byte) {
    data.byteTokens[size_t(byte)] = byte;
    data.pieces.push_back("<" + std::to_string(byte) + ">");
  }
  data.pieces.insert(data.pieces.end(), {"a", "b", "ab"});
  data.merges = {{256, 257}};
  data.merged = {258};
  Encoder encode(data);
  std::string text;
  std::vector<int32_t> expected;
  for (int i = 0; i < 1000; ++i) {
    text += "ab ";
    expected.insert(expected.end(), {258, 0xE2, 0x96, 0x81});
  }
  expectEqual(encode(text), expected);
}

} // namespace
} // namespace gcompile::runtime
