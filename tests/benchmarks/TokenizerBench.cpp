// tokenizer-bench: how fast the tokenizer section of a vocabulary is ready and encodes a text, on
// one core. The section is written to a file and mapped, as the runtime maps an artifact, so that
// "ready" counts page faults; both with the file in the page cache. tokenizer_peer.py compares the
// tokens and the speed with the reference library's in one run.
#include "runtime/core/Tokenizer.h"

#include "compiler/Artifact/TokenizerSection.h"
#include "compiler/Import/Gguf/GgufModel.h"
#include "compiler/Import/InputFile.h"

#include "llvm/Support/CommandLine.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/raw_ostream.h"

#include <algorithm>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

namespace {

using namespace gcompile;
using namespace gcompile::runtime;
namespace cl = llvm::cl;

cl::OptionCategory category("tokenizer-bench");
cl::opt<std::string> vocabulary(cl::Positional, cl::Required,
                                cl::desc("tokenizer.json or GGUF file"), cl::cat(category));
cl::opt<std::string> textFile(cl::Positional, cl::Required, cl::desc("text"), cl::cat(category));
cl::opt<int> repeats("repeat", cl::init(7), cl::desc("passes over the text"), cl::cat(category));
cl::opt<std::string> idsFile("ids", cl::desc("write the tokens here, as int32"), cl::cat(category));
cl::opt<std::string> sectionFile("section", cl::desc("write the section here"), cl::cat(category));
cl::opt<bool> plain("plain", cl::desc("special tokens are text"), cl::cat(category));
llvm::ExitOnError orExit("tokenizer-bench: error: ");

// Of this thread: what other programs take of the machine does not count.
double cpuSeconds() {
  timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return double(time.tv_sec) + double(time.tv_nsec) * 1e-9;
}

std::unique_ptr<llvm::MemoryBuffer> read(const std::string &path) {
  return orExit(llvm::errorOrToExpected(llvm::MemoryBuffer::getFile(path, false, false)));
}

TokenizerData readVocabulary(const std::string &path) {
  InputFile input = orExit(InputFile::open(path, path));
  char first[4] = {};
  if (input.size() >= sizeof first)
    orExit(input.read(0, llvm::MutableArrayRef(reinterpret_cast<uint8_t *>(first), sizeof first)));
  if (!isGguf({first, sizeof first}))
    return orExit(parseTokenizerJson(read(path)->getBuffer()));
  auto readAt = [&](uint64_t at, llvm::MutableArrayRef<uint8_t> out) {
    return input.read(at, out);
  };
  GgufHeader header = orExit(parseGgufHeader({input.size(), readAt}, path));
  std::optional<TokenizerData> data = orExit(ggufTokenizer(header, INT64_MAX, path));
  if (!data)
    orExit(llvm::createStringError(path + " has no vocabulary"));
  return std::move(*data);
}

void writeBytes(const std::string &path, const void *data, size_t bytes) {
  std::error_code error;
  llvm::raw_fd_ostream out(path, error);
  orExit(llvm::errorCodeToError(error));
  out.write(static_cast<const char *>(data), bytes);
}

long minorFaults() {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_minflt;
}

struct Mapping {
  explicit Mapping(int file, size_t bytes)
      : bytes(bytes), data(mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE, file, 0)) {}
  ~Mapping() { munmap(data, bytes); }
  size_t bytes;
  void *data;
};

} // namespace

int main(int count, char **values) {
  cl::HideUnrelatedOptions(category);
  cl::ParseCommandLineOptions(count, values, "speed of the runtime's tokenizer\n");
  TokenizerData data = readVocabulary(vocabulary);
  std::vector<uint8_t> section = orExit(serializeTokenizer(data));
  if (!sectionFile.empty())
    writeBytes(sectionFile, section.data(), section.size());

  llvm::SmallString<64> path;
  int file = -1;
  orExit(llvm::errorCodeToError(
      llvm::sys::fs::createTemporaryFile("tokenizer-bench", "bin", file, path)));
  unlink(path.c_str());
  if (write(file, section.data(), section.size()) != ssize_t(section.size())) {
    llvm::errs() << "tokenizer-bench: error: cannot write the section\n";
    return 1;
  }
  Tokenizer tokenizer;
  Message message;
  std::vector<double> ready;
  long faults = 0;
  for (int i = 0; i < repeats; ++i) {
    long before = minorFaults();
    double begin = cpuSeconds();
    Mapping mapping(file, section.size());
    if (Tokenizer::open(static_cast<uint8_t *>(mapping.data), section.size(), tokenizer, message) !=
        GC_OK) {
      llvm::errs() << "tokenizer-bench: error: " << message.c_str() << "\n";
      return 1;
    }
    ready.push_back(cpuSeconds() - begin);
    faults = minorFaults() - before;
  }
  std::sort(ready.begin(), ready.end());
  llvm::outs() << data.pieces.size() << " pieces, " << data.merges.size() << " merges, section of "
               << section.size() << " bytes\n"
               << "ready    " << llvm::format("%8.3f ms", ready[ready.size() / 2] * 1e3)
               << " (median of " << repeats << ", " << faults << " page faults)\n";

  Mapping mapping(file, section.size());
  if (Tokenizer::open(static_cast<uint8_t *>(mapping.data), section.size(), tokenizer, message) !=
      GC_OK)
    return 1;
  std::unique_ptr<llvm::MemoryBuffer> text = read(textFile);
  std::vector<int32_t> tokens(text->getBufferSize() + 1);
  ByteRange all = {0, text->getBufferSize()};
  std::vector<double> seconds;
  uint64_t tokenCount = 0;
  for (int i = 0; i < repeats; ++i) {
    Scratch scratch{realloc};
    TokenSink sink{tokens.data(), tokens.size()};
    double begin = cpuSeconds();
    if (tokenizer.encode(text->getBufferStart(), text->getBufferSize(), &all, plain ? 0 : 1,
                         scratch, sink, message) != GC_OK) {
      llvm::errs() << "tokenizer-bench: error: " << message.c_str() << "\n";
      return 1;
    }
    seconds.push_back(cpuSeconds() - begin);
    free(scratch.data);
    tokenCount = sink.count;
  }
  double first = seconds.front(), megabytes = double(text->getBufferSize()) / 1e6;
  std::sort(seconds.begin(), seconds.end());
  double median = seconds[seconds.size() / 2];
  llvm::outs() << "encodes  "
               << llvm::format(
                      "%8.1f MB/s (first pass %.1f), %.1f million tokens/s, %.2f bytes a token\n",
                      megabytes / median, megabytes / first, double(tokenCount) / median / 1e6,
                      double(text->getBufferSize()) / double(tokenCount));
  if (!idsFile.empty())
    writeBytes(idsFile, tokens.data(), tokenCount * sizeof(int32_t));
  return 0;
}
