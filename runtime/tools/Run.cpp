#include "runtime/tools/Run.h"

#include "runtime/tools/Messages.h"

#include <errno.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

namespace gcompile::tools {
namespace {

volatile sig_atomic_t interrupts = 0;

void onInterrupt(int) {
  if (interrupts)
    _exit(130);
  interrupts = 1;
}

} // namespace

double now() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return double(time.tv_sec) + double(time.tv_nsec) * 1e-9;
}

ExitCode report(gc_status status) {
  fprintf(stderr, "grun: error: %s\n", gc_last_message());
  return status == GC_OK ? ExitOurBug : ExitBadInput;
}

ExitCode readText(const char *path, List<char> &text) {
  bool isStandardInput = strcmp(path, "-") == 0;
  FILE *file = isStandardInput ? stdin : fopen(path, "rbe");
  if (!file)
    return badInput("cannot open '%s': %s", path, strerror(errno));
  char block[65536];
  size_t got;
  while ((got = fread(block, 1, sizeof block, file)) > 0)
    text.append(block, got);
  int failed = ferror(file), reason = errno;
  if (!isStandardInput)
    fclose(file);
  return failed ? badInput("cannot read '%s': %s", path, strerror(reason)) : ExitDone;
}

gc_status tokenize(const gc_model *model, const char *text, size_t bytes, uint32_t flags,
                   List<int32_t> &tokens) {
  // A token has at least one byte, but for <bos>.
  tokens.resize(bytes + 1);
  size_t count = 0;
  gc_status status =
      gc_tokenize(model, text ? text : "", bytes, flags, tokens.data(), tokens.count(), &count);
  // Spaces may become bytes where a vocabulary lacks U+2581: then there are more.
  if (status == GC_OK && count > tokens.count()) {
    tokens.resize(count);
    status = gc_tokenize(model, text, bytes, flags, tokens.data(), tokens.count(), &count);
  }
  tokens.resize(status == GC_OK ? count : 0);
  return status;
}

gc_status chatTokens(const gc_model *model, const gc_chat &chat, List<int32_t> &tokens) {
  size_t count = 0;
  gc_status status = gc_chat_tokens(model, &chat, nullptr, 0, &count);
  if (status != GC_OK)
    return status;
  tokens.resize(count);
  return gc_chat_tokens(model, &chat, tokens.data(), count, &count);
}

ExitCode promptText(const Arguments &a, List<char> &text) {
  if (a.promptFile)
    return readText(a.promptFile, text);
  if (strcmp(a.prompt, "-") == 0)
    return readText("-", text);
  text.append(a.prompt, strlen(a.prompt));
  return ExitDone;
}

ExitCode promptTokens(const Run &run, List<int32_t> &tokens) {
  const Arguments &a = run.arguments;
  if (a.hasTokens) {
    tokens.append(a.tokens.data(), a.tokens.count());
    return ExitDone;
  }
  gc_status status;
  if (a.chat) {
    Conversation conversation;
    ExitCode code = conversation.read(a);
    if (code != ExitDone)
      return code;
    status = chatTokens(run.model, conversation.chat, tokens);
  } else {
    List<char> text;
    ExitCode code = promptText(a, text);
    if (code != ExitDone)
      return code;
    status = tokenize(run.model, text.data(), text.count(), GC_TEXT_SPECIALS | GC_TEXT_BOS, tokens);
  }
  if (status != GC_OK)
    return report(status);
  if (!tokens.count())
    return badInput("the prompt is empty, and the model has no <bos> to begin with");
  return ExitDone;
}

void catchInterrupts() {
  struct sigaction action = {};
  action.sa_handler = onInterrupt;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr); // no SA_RESTART: a read of the terminal ends too
}

int wasInterrupted(void *) { return interrupts; }
void clearInterrupt() { interrupts = 0; }

ExitCode createSession(Run &run) {
  double begin = now();
  gc_session_options options = {};
  options.threads = run.arguments.threads;
  options.should_stop = wasInterrupted;
  gc_status status = gc_session_create(run.model, &options, &run.session);
  run.loadSeconds += now() - begin;
  return status == GC_OK ? ExitDone : report(status);
}

} // namespace gcompile::tools
