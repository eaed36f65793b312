// Modes that measure the model's predictions instead of following them: perplexity, logits; and the
// tokens of a text.
#include "runtime/tools/Run.h"

#include <math.h>
#include <unistd.h>

namespace gcompile::tools {
namespace {

ExitCode textTokens(const Run &run, List<int32_t> &tokens) {
  List<char> text;
  ExitCode code = readText(run.arguments.textFile, text);
  if (code != ExitDone)
    return code;
  gc_status status = tokenize(run.model, text.data(), text.count(), GC_TEXT_SPECIALS, tokens);
  return status == GC_OK ? ExitDone : report(status);
}

} // namespace

ExitCode runTokenize(Run &run) {
  List<int32_t> tokens;
  ExitCode code = textTokens(run, tokens);
  if (code != ExitDone)
    return code;
  if (run.arguments.json) {
    Json(stdout).open('{').key("tokens").integers(tokens.data(), tokens.count()).close('}').end();
    return ExitDone;
  }
  for (size_t i = 0; i < tokens.count(); ++i)
    printf("%s%d", i ? "," : "", tokens[i]);
  fputc('\n', stdout);
  return ExitDone;
}

// The exact inverse of --tokenize: special tokens are shown, and a byte token is its byte, so that
// text that is no UTF-8 comes back too. (U+2581 is a space in the model's vocabulary, and comes
// back as one.)
ExitCode runDetokenize(Run &run) {
  List<char> numbers, text, piece;
  ExitCode code = readText(run.arguments.textFile, numbers);
  if (code != ExitDone)
    return code;
  numbers.add(0);
  piece.resize(gc_longest_piece(run.model));
  gc_text_state state = {};
  size_t count = 0;
  for (const char *at = numbers.data(), *end = at + numbers.count() - 1;;) {
    while (at < end && (*at == ',' || *at == ' ' || *at == '\n' || *at == '\r' || *at == '\t'))
      ++at;
    if (at == end)
      break;
    int64_t token = 0;
    const char *begin = at;
    while (at < end && *at >= '0' && *at <= '9' && token <= INT32_MAX)
      token = 10 * token + (*at++ - '0');
    if (at == begin || token > INT32_MAX)
      return badInput("'%s': number %zu is no token, expected numbers with commas or white space "
                      "between, such as 2,5,7",
                      run.arguments.textFile, count + 1);
    size_t bytes = 0;
    gc_status status =
        gc_detokenize(run.model, &state, int32_t(token), GC_TEXT_SHOW_SPECIALS | GC_TEXT_BYTES,
                      piece.data(), piece.count(), &bytes);
    if (status != GC_OK)
      return report(status);
    text.append(piece.data(), bytes);
    ++count;
  }
  if (run.arguments.json)
    Json(stdout).open('{').key("text").string(text.data(), text.count()).close('}').end();
  else
    fwrite(text.data(), 1, text.count(), stdout);
  return ExitDone;
}

// As llama.cpp's llama-perplexity: <bos> and the text in windows of N, the first token of each
// replaced by <bos>, the last N/2 - 1 predictions of each scored, the last partial window dropped.
// With --score all every prediction of a window counts.
ExitCode runPerplexity(Run &run) {
  const Arguments &a = run.arguments;
  if (a.window > run.info.context)
    return badInput("a window of %d tokens does not fit into the context of %d: use --window %d",
                    a.window, run.info.context, run.info.context);
  List<int32_t> text, tokens;
  ExitCode code = textTokens(run, text);
  if (code != ExitDone)
    return code;
  if (run.info.bos_token >= 0)
    tokens.add(run.info.bos_token);
  tokens.append(text.data(), text.count());
  size_t window = size_t(a.window), windows = tokens.count() / window;
  if (!windows)
    return badInput("the text has %zu tokens, one window needs %zu: use --window or a longer text",
                    tokens.count(), window);
  code = createSession(run);
  if (code != ExitDone)
    return code;
  catchInterrupts();
  size_t unscored = a.scored == ScoredPart::LastHalf ? window / 2 : 0,
         scoredPerWindow = window - 1 - unscored;
  List<double> losses;
  losses.resize(window);
  double total = 0, squares = 0, begin = now();
  bool showsProgress = isatty(STDERR_FILENO);
  for (size_t w = 0; w < windows; ++w) {
    int32_t *at = tokens.data() + w * window;
    if (run.info.bos_token >= 0)
      at[0] = run.info.bos_token;
    gc_session_reset(run.session);
    gc_status status = unscored ? gc_append(run.session, at, unscored) : GC_OK;
    if (status == GC_OK)
      status = gc_score_losses(run.session, at + unscored, window - unscored, losses.data());
    if (status != GC_OK)
      return report(status);
    for (size_t i = 0; i < scoredPerWindow; ++i) {
      total += losses[i];
      squares += losses[i] * losses[i];
    }
    if (showsProgress)
      fprintf(stderr, "\r%zu of %zu windows, perplexity %.4f ", w + 1, windows,
              exp(total / double((w + 1) * scoredPerWindow)));
  }
  if (showsProgress)
    fputc('\n', stderr);
  double scored = double(windows * scoredPerWindow), mean = total / scored;
  double deviation = sqrt(fmax(0, squares / scored - mean * mean) / scored);
  if (!a.json) {
    printf("perplexity %.4f ± %.4f (%zu predictions in %zu windows of %zu tokens)\n", exp(mean),
           exp(mean) * deviation, windows * scoredPerWindow, windows, window);
    return ExitDone;
  }
  Json json(stdout);
  json.open('{');
  json.key("tokens").integer(int64_t(windows * scoredPerWindow));
  json.key("nll").number(mean);
  json.key("perplexity").number(exp(mean));
  json.key("nll_standard_error").number(deviation);
  json.key("text_tokens").integer(int64_t(text.count()));
  json.key("windows").integer(int64_t(windows));
  json.key("window").integer(int64_t(window));
  json.key("score").string(a.scored == ScoredPart::All ? "all" : "last-half");
  json.key("seconds").number(now() - begin);
  json.close('}').end();
  return ExitDone;
}

ExitCode runLogits(Run &run) {
  List<int32_t> tokens;
  ExitCode code = promptTokens(run, tokens);
  if (code != ExitDone)
    return code;
  if (tokens.count() > size_t(run.info.context))
    return badInput("%zu tokens are given, the context of this model is %d", tokens.count(),
                    run.info.context);
  code = createSession(run);
  if (code != ExitDone)
    return code;
  struct Writer {
    Json json;
    int32_t vocabulary;
    int isJson;
  } writer{Json(stdout), run.info.vocabulary, run.arguments.json};
  if (writer.isJson) {
    writer.json.open('{').key("tokens").integers(tokens.data(), tokens.count());
    writer.json.key("logits").open('[');
  }
  gc_status status = gc_score(
      run.session, tokens.data(), tokens.count(),
      [](void *user, int32_t, const float *logits) {
        auto &w = *static_cast<Writer *>(user);
        if (w.isJson)
          w.json.open('[');
        for (int32_t i = 0; i < w.vocabulary; ++i)
          if (w.isJson)
            w.json.number(logits[i]);
          else
            printf("%s%.9g", i ? " " : "", double(logits[i]));
        if (w.isJson)
          w.json.close(']');
        else
          fputc('\n', stdout);
        return 0;
      },
      &writer);
  if (status != GC_OK)
    return report(status);
  if (writer.isJson)
    writer.json.close(']').close('}').end();
  return ExitDone;
}

} // namespace gcompile::tools
