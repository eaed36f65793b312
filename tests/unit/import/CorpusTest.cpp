// Runs the kept inputs of the fuzzers through the parsers, so that every build meets them, not only
// a fuzzing one.
#include "tests/fuzz/ImportTargets.h"
#include "tests/unit/import/TestFiles.h"

#include <filesystem>

namespace gcompile {
namespace {

class Corpus : public testing::TestWithParam<std::pair<const char *, void (*)(llvm::StringRef)>> {};

TEST_P(Corpus, NeverCrashes) {
  auto [folder, target] = GetParam();
  size_t files = 0;
  for (const auto &entry :
       std::filesystem::directory_iterator(std::string(GC_TEST_CORPUS_DIR) + "/" + folder)) {
    std::string bytes = readBytes(entry.path());
    target(bytes);
    for (size_t length = 0; length < std::min<size_t>(bytes.size(), 300); ++length)
      target(llvm::StringRef(bytes).take_front(length));
    ++files;
  }
  EXPECT_GE(files, 3u);
}

INSTANTIATE_TEST_SUITE_P(
    Import, Corpus,
    testing::Values(std::pair{"safetensors", &fuzzSafetensors}, std::pair{"config", &fuzzConfig},
                    std::pair{"tokenizer", &fuzzTokenizer}, std::pair{"template", &fuzzTemplate},
                    std::pair{"quantized", &fuzzQuantized}, std::pair{"gguf", &fuzzGguf},
                    std::pair{"imatrix", &fuzzImatrix}, std::pair{"litertlm", &fuzzLitertlm}));

} // namespace
} // namespace gcompile
