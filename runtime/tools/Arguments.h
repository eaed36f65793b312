// grun's command line as one value. parseArguments checks everything that can be checked without
// the file.
#pragma once

#include "runtime/include/gcompile/runtime.h"
#include "runtime/tools/List.h"

namespace gcompile::tools {

// Exit codes of every program of the project.
enum ExitCode { ExitDone = 0, ExitBadInput = 1, ExitBadFlags = 2, ExitOurBug = 4 };

enum class Mode {
  Generate,
  Conversation,
  Perplexity,
  Tokenize,
  Detokenize,
  Bench,
  Logits,
  Verify,
  Help,
  Version
};
enum class ScoredPart { LastHalf, All };

struct Arguments {
  Mode mode = Mode::Generate;
  const char *file = nullptr; // the artifact
  // the prompt: one of these
  const char *prompt = nullptr;     // -p; "-" is standard input
  const char *promptFile = nullptr; // -f
  List<int32_t> tokens;             // --tokens
  int hasTokens = 0;
  int chat = 0;
  const char *system = nullptr;
  const char *tools = nullptr;    // --tools: a file
  const char *messages = nullptr; // --messages: a file with a whole conversation; a prompt, too
  int think = 0, render = 0;
  const char *textFile = nullptr; // of --perplexity, --tokenize and --detokenize
  int64_t limit = -1;             // -n; -1: not given
  // sampling: not given means what the checkpoint says
  int hasTemperature = 0, hasTopK = 0, hasTopP = 0;
  float temperature = 0, topP = 1;
  int32_t topK = 0;
  uint64_t seed = 0;
  int ignoreStop = 0, json = 0;
  int32_t threads = 0;
  int32_t window = 512;
  ScoredPart scored = ScoredPart::LastHalf;
  int32_t promptTokens = 0, decodeTokens = 0; // of --bench; 0: not given
};

// ExitDone, or ExitBadFlags after a message.
ExitCode parseArguments(int count, char **values, Arguments &arguments);
void printHelp();

} // namespace gcompile::tools
