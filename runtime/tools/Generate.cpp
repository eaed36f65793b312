// Generation: a prompt and what follows it, at once or as a conversation on the terminal.
#include "runtime/tools/Messages.h"
#include "runtime/tools/Run.h"

#include <unistd.h>

namespace gcompile::tools {
namespace {

struct Generated {
  List<int32_t> tokens;
  List<char> text;
  const char *stopReason = "length";
  double prefillSeconds = 0, firstTokenSeconds = 0, decodeSeconds = 0;
  size_t decoded = 0; // tokens that were run through the model one by one
};

enum class Output { Stream, Collect };

bool isStop(const gc_model_info &info, int32_t token) {
  for (size_t i = 0; i < info.stop_token_count; ++i)
    if (info.stop_tokens[i] == uint32_t(token))
      return true;
  return false;
}

gc_sampling samplingOf(const Run &run) {
  gc_sampling sampling;
  gc_default_sampling(run.model, &sampling);
  const Arguments &a = run.arguments;
  if (a.hasTemperature)
    sampling.temperature = a.temperature;
  if (a.hasTopK)
    sampling.top_k = a.topK;
  if (a.hasTopP)
    sampling.top_p = a.topP;
  sampling.seed = a.seed;
  return sampling;
}

// Turns tokens into text as they come.
class TextOutput {
public:
  TextOutput(const Run &run, Output output, List<char> &text)
      : run(run), output(output), text(text) {
    piece.resize(gc_longest_piece(run.model));
  }
  gc_status put(int32_t token) {
    if (!run.info.has_tokenizer)
      return GC_OK;
    size_t bytes = 0;
    gc_status status =
        gc_detokenize(run.model, &state, token, 0, piece.data(), piece.count(), &bytes);
    if (status != GC_OK || !bytes)
      return status;
    if (output == Output::Collect) {
      text.append(piece.data(), bytes);
      return GC_OK;
    }
    fwrite(piece.data(), 1, bytes, stdout);
    fflush(stdout);
    return GC_OK;
  }

private:
  const Run &run;
  Output output;
  List<char> &text;
  List<char> piece;
  gc_text_state state = {};
};

gc_status generate(Run &run, const List<int32_t> &prompt, int64_t limit, Output output,
                   Generated &result) {
  gc_sampling sampling = samplingOf(run);
  TextOutput text(run, output, result.text);
  double begin = now();
  gc_status status = gc_prefill(run.session, prompt.data(), prompt.count());
  result.prefillSeconds = now() - begin;
  if (status == GC_CANCELLED) {
    result.stopReason = "interrupted";
    return GC_OK;
  }
  double decodeBegin = now();
  while (status == GC_OK && int64_t(result.tokens.count()) < limit) {
    if (wasInterrupted(nullptr)) {
      result.stopReason = "interrupted";
      break;
    }
    int32_t token = 0;
    status = gc_sample(run.session, &sampling, &token);
    if (status != GC_OK)
      break;
    if (!result.tokens.count())
      result.firstTokenSeconds = now() - begin;
    if (!run.arguments.ignoreStop && isStop(run.info, token)) {
      result.stopReason = "stop_token";
      break;
    }
    result.tokens.add(token);
    status = text.put(token);
    if (status != GC_OK || int64_t(result.tokens.count()) == limit)
      break;
    if (gc_position(run.session) == run.info.context) {
      result.stopReason = "context";
      break;
    }
    status = gc_decode(run.session, token);
    ++result.decoded;
  }
  result.decodeSeconds = now() - decodeBegin;
  return status == GC_OK ? text.put(-1) : status;
}

ExitCode promptTooLong(const Run &run, size_t tokens) {
  return badInput("the prompt has %zu tokens, the context of this model is %d: shorten it, or "
                  "compile with a larger --context",
                  tokens, run.info.context);
}

ExitCode printJson(const Run &run, const List<int32_t> &prompt, const Generated &result) {
  List<char> message;
  if (run.arguments.chat) {
    size_t bytes = 0;
    for (int pass = 0; pass < 2; ++pass) { // the first counts
      message.resize(bytes);
      gc_status status = gc_answer(run.model, prompt.data(), prompt.count(), result.tokens.data(),
                                   result.tokens.count(), message.data(), bytes, &bytes);
      if (status != GC_OK)
        return report(status);
    }
  }
  Json json(stdout);
  json.open('{');
  json.key("prompt_tokens").integers(prompt.data(), prompt.count());
  json.key("tokens").integers(result.tokens.data(), result.tokens.count());
  json.key("text").string(result.text.data(), result.text.count());
  if (message.count())
    json.key("message").raw(message.data(), message.count());
  json.key("stop_reason").string(result.stopReason);
  json.key("timings").open('{');
  json.key("load_seconds").number(run.loadSeconds);
  json.key("prefill_seconds").number(result.prefillSeconds);
  json.key("first_token_seconds").number(result.firstTokenSeconds);
  json.key("decode_seconds").number(result.decodeSeconds);
  json.key("prefill_tokens_per_second").number(double(prompt.count()) / result.prefillSeconds);
  json.key("decode_tokens_per_second")
      .number(result.decoded ? double(result.decoded) / result.decodeSeconds : 0);
  json.close('}');
  json.key("threads").integer(gc_session_threads(run.session));
  json.key("isa").string(run.info.isa);
  json.close('}').end();
  return ExitDone;
}

} // namespace

ExitCode runGenerate(Run &run) {
  List<int32_t> prompt;
  ExitCode code = promptTokens(run, prompt);
  if (code != ExitDone)
    return code;
  if (prompt.count() > size_t(run.info.context))
    return promptTooLong(run, prompt.count());
  code = createSession(run);
  if (code != ExitDone)
    return code;
  catchInterrupts();
  int64_t limit = run.arguments.limit >= 0 ? run.arguments.limit
                  : run.arguments.chat     ? INT64_MAX
                                           : 256;
  Generated result;
  bool shows = run.info.has_tokenizer;
  gc_status status = generate(
      run, prompt, limit, run.arguments.json || !shows ? Output::Collect : Output::Stream, result);
  if (status != GC_OK) {
    if (!run.arguments.json)
      fputc('\n', stdout);
    return report(status);
  }
  if (run.arguments.json) {
    return printJson(run, prompt, result);
  }
  for (size_t i = 0; !shows && i < result.tokens.count(); ++i)
    printf("%s%d", i ? "," : "", result.tokens[i]);
  fputc('\n', stdout);
  if (isatty(STDERR_FILENO))
    fprintf(stderr, "[%zu tokens in, %.1f/s; %zu tokens out, %.1f/s; %s]\n", prompt.count(),
            double(prompt.count()) / result.prefillSeconds, result.tokens.count(),
            result.decoded ? double(result.decoded) / result.decodeSeconds : 0.0,
            result.stopReason);
  return ExitDone;
}

ExitCode runConversation(Run &run) {
  const Arguments &a = run.arguments;
  if (!run.info.has_chat) {
    size_t unused;
    gc_chat nothing = {};
    return report(gc_chat_tokens(run.model, &nothing, nullptr, 0, &unused));
  }
  ExitCode code = createSession(run);
  if (code != ExitDone)
    return code;
  catchInterrupts();
  bool isTerminal = isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
  if (isTerminal)
    fprintf(stderr,
            "%s, context %d tokens. /clear starts over, /exit or Ctrl-D ends, Ctrl-C stops an "
            "answer.\n",
            run.info.name, run.info.context);
  char *line = nullptr;
  size_t capacity = 0;
  List<int32_t> prompt;
  while (code == ExitDone) {
    if (isTerminal)
      fputs("> ", stderr);
    clearInterrupt();
    ssize_t length = getline(&line, &capacity, stdin);
    if (length < 0)
      break;
    while (length && (line[length - 1] == '\n' || line[length - 1] == '\r'))
      line[--length] = 0;
    if (!length)
      continue;
    if (strcmp(line, "/exit") == 0)
      break;
    if (strcmp(line, "/clear") == 0) {
      gc_session_reset(run.session);
      continue;
    }
    gc_message messages[2] = {};
    auto render = [&] {
      size_t count = 0;
      bool begins = gc_position(run.session) == 0;
      if (begins && a.system)
        messages[count++] = message(GC_ROLE_SYSTEM, a.system, strlen(a.system));
      messages[count++] = message(GC_ROLE_USER, line, size_t(length));
      gc_chat chat = {};
      chat.messages = messages;
      chat.message_count = count;
      chat.flags = uint32_t(begins ? GC_CHAT_START : GC_CHAT_END_TURN) | GC_CHAT_GENERATE |
                   (a.think ? uint32_t(GC_CHAT_THINK) : 0);
      return chatTokens(run.model, chat, prompt);
    };
    gc_status status = render();
    size_t room = size_t(run.info.context - gc_position(run.session));
    if (status == GC_OK && prompt.count() > room && gc_position(run.session)) {
      fprintf(stderr, "[the conversation has filled the context of %d tokens: it starts over]\n",
              run.info.context);
      gc_session_reset(run.session);
      status = render();
      room = size_t(run.info.context);
    }
    if (status == GC_OK && prompt.count() > room) {
      promptTooLong(run, prompt.count()); // the next question may be shorter
      continue;
    }
    Generated result;
    if (status == GC_OK)
      status = generate(run, prompt, a.limit >= 0 ? a.limit : INT64_MAX, Output::Stream, result);
    fputc('\n', stdout);
    fflush(stdout);
    if (strcmp(result.stopReason, "context") == 0)
      fprintf(stderr, "[the answer ends here: the context of %d tokens is full]\n",
              run.info.context);
    if (status != GC_OK)
      code = report(status);
  }
  if (isTerminal)
    fputc('\n', stderr);
  free(line);
  return code;
}

} // namespace gcompile::tools
