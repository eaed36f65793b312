// What grun's modes share: the open model, reading texts, prompts, Ctrl-C, time, and errors turned
// into exit codes.
#pragma once

#include "runtime/tools/Arguments.h"
#include "runtime/tools/Json.h"

namespace gcompile::tools {

struct Run {
  const Arguments &arguments;
  gc_model *model = nullptr;
  gc_session *session = nullptr;
  gc_model_info info{};
  double loadSeconds = 0;
};

double now(); // seconds

// Prints the thread's last message and gives the exit code of a failed call.
ExitCode report(gc_status status);
template <typename... Values>
ExitCode badInput(const char *format, Values... values) {
  fputs("grun: error: ", stderr);
  if constexpr (sizeof...(values) == 0)
    fputs(format, stderr);
  else
    fprintf(stderr, format, values...);
  fputc('\n', stderr);
  return ExitBadInput;
}

// Whole file, or standard input for "-".
ExitCode readText(const char *path, List<char> &text);
// gc_tokenize and gc_chat_tokens into a list.
gc_status tokenize(const gc_model *model, const char *text, size_t bytes, uint32_t flags,
                   List<int32_t> &tokens);
gc_status chatTokens(const gc_model *model, const gc_chat &chat, List<int32_t> &tokens);
// What -p or -f gives.
ExitCode promptText(const Arguments &arguments, List<char> &text);
// The prompt that the arguments ask for.
ExitCode promptTokens(const Run &run, List<int32_t> &tokens);

// Ctrl-C: the first asks generation to stop, a second one ends the program.
void catchInterrupts();
int wasInterrupted(void *unused);
void clearInterrupt();

ExitCode createSession(Run &run);

ExitCode runGenerate(Run &run);
ExitCode runRender(Run &run);
ExitCode runConversation(Run &run);
ExitCode runPerplexity(Run &run);
ExitCode runTokenize(Run &run);
ExitCode runDetokenize(Run &run);
ExitCode runLogits(Run &run);
ExitCode runBench(Run &run);

} // namespace gcompile::tools
