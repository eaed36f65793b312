#include "runtime/tools/Arguments.h"

#include <errno.h>
#include <math.h>

namespace gcompile::tools {
namespace {

enum class Option {
  Prompt,
  PromptFile,
  Tokens,
  Chat,
  System,
  Think,
  Tools,
  Messages,
  Render,
  Limit,
  Temperature,
  TopK,
  TopP,
  Seed,
  IgnoreStop,
  Threads,
  Json,
  Perplexity,
  Window,
  Score,
  Tokenize,
  Detokenize,
  Bench,
  PromptTokens,
  DecodeTokens,
  Logits,
  Verify,
  Help,
  Version,
};

enum class Takes { Nothing, Value };

struct Known {
  const char *name;
  Option option;
  Takes takes;
};

constexpr Known known[] = {
    {"-p", Option::Prompt, Takes::Value},
    {"--prompt", Option::Prompt, Takes::Value},
    {"-f", Option::PromptFile, Takes::Value},
    {"--file", Option::PromptFile, Takes::Value},
    {"--tokens", Option::Tokens, Takes::Value},
    {"--chat", Option::Chat, Takes::Nothing},
    {"--system", Option::System, Takes::Value},
    {"--think", Option::Think, Takes::Nothing},
    {"--tools", Option::Tools, Takes::Value},
    {"--messages", Option::Messages, Takes::Value},
    {"--render", Option::Render, Takes::Nothing},
    {"-n", Option::Limit, Takes::Value},
    {"--temperature", Option::Temperature, Takes::Value},
    {"--top-k", Option::TopK, Takes::Value},
    {"--top-p", Option::TopP, Takes::Value},
    {"--seed", Option::Seed, Takes::Value},
    {"--ignore-stop", Option::IgnoreStop, Takes::Nothing},
    {"--threads", Option::Threads, Takes::Value},
    {"--json", Option::Json, Takes::Nothing},
    {"--perplexity", Option::Perplexity, Takes::Value},
    {"--window", Option::Window, Takes::Value},
    {"--score", Option::Score, Takes::Value},
    {"--tokenize", Option::Tokenize, Takes::Value},
    {"--detokenize", Option::Detokenize, Takes::Value},
    {"--bench", Option::Bench, Takes::Nothing},
    {"--prompt-tokens", Option::PromptTokens, Takes::Value},
    {"--decode-tokens", Option::DecodeTokens, Takes::Value},
    {"--logits", Option::Logits, Takes::Nothing},
    {"--verify", Option::Verify, Takes::Nothing},
    {"--help", Option::Help, Takes::Nothing},
    {"-h", Option::Help, Takes::Nothing},
    {"--version", Option::Version, Takes::Nothing},
};

template <typename... Values>
ExitCode refuse(const char *format, Values... values) {
  fputs("grun: error: ", stderr);
  if constexpr (sizeof...(values) == 0)
    fputs(format, stderr);
  else
    fprintf(stderr, format, values...);
  fputs("; see grun --help\n", stderr);
  return ExitBadFlags;
}

bool parseInteger(const char *text, int64_t low, int64_t high, int64_t &value) {
  char *end = nullptr;
  errno = 0;
  long long parsed = strtoll(text, &end, 10);
  if (end == text || *end || errno || parsed < low || parsed > high || text[0] == ' ' ||
      text[0] == '+')
    return false;
  value = parsed;
  return true;
}

bool parseReal(const char *text, double low, double high, float &value) {
  char *end = nullptr;
  double parsed = strtod(text, &end);
  if (end == text || *end || !(parsed >= low && parsed <= high))
    return false;
  value = float(parsed);
  return true;
}

// "2,5,7"
bool parseTokens(const char *text, List<int32_t> &tokens) {
  for (const char *at = text;;) {
    char *end = nullptr;
    errno = 0;
    long value = strtol(at, &end, 10);
    if (end == at || errno || value < 0 || value > INT32_MAX || (*end && *end != ','))
      return false;
    tokens.add(int32_t(value));
    if (!*end)
      return true;
    at = end + 1;
  }
}

class Parser {
public:
  explicit Parser(Arguments &arguments) : a(arguments) {}

  ExitCode apply(Option option, const char *name, const char *value) {
    int64_t integer = 0;
    switch (option) {
    case Option::Prompt:
      a.prompt = value;
      return ExitDone;
    case Option::PromptFile:
      a.promptFile = value;
      return ExitDone;
    case Option::Tokens:
      if (!parseTokens(value, a.tokens))
        return refuse("--tokens is '%s', expected numbers with commas between, such as 2,5,7",
                      value);
      a.hasTokens = 1;
      return ExitDone;
    case Option::Chat:
      a.chat = 1;
      return ExitDone;
    case Option::System:
      a.system = value;
      return ExitDone;
    case Option::Think:
      a.think = 1;
      return ExitDone;
    case Option::Tools:
      a.tools = value;
      return ExitDone;
    case Option::Messages:
      a.messages = value;
      a.chat = 1;
      return ExitDone;
    case Option::Render:
      a.render = 1;
      return ExitDone;
    case Option::Temperature:
      a.hasTemperature = 1;
      return parseReal(value, 0, 1e6, a.temperature)
                 ? ExitDone
                 : refuse("%s is '%s', expected 0 (greedy) or more", name, value);
    case Option::TopP:
      a.hasTopP = 1;
      return parseReal(value, 0, 1, a.topP) ? ExitDone
                                            : refuse("%s is '%s', expected 0 to 1", name, value);
    case Option::IgnoreStop:
      a.ignoreStop = 1;
      return ExitDone;
    case Option::Json:
      a.json = 1;
      return ExitDone;
    case Option::Score:
      if (strcmp(value, "last-half") != 0 && strcmp(value, "all") != 0)
        return refuse("--score is '%s', expected last-half or all", value);
      a.scored = strcmp(value, "all") == 0 ? ScoredPart::All : ScoredPart::LastHalf;
      scoreGiven = true;
      return ExitDone;
    case Option::Perplexity:
      a.textFile = value;
      return mode(Mode::Perplexity, name);
    case Option::Tokenize:
      a.textFile = value;
      return mode(Mode::Tokenize, name);
    case Option::Detokenize:
      a.textFile = value;
      return mode(Mode::Detokenize, name);
    case Option::Bench:
      return mode(Mode::Bench, name);
    case Option::Logits:
      return mode(Mode::Logits, name);
    case Option::Verify:
      return mode(Mode::Verify, name);
    case Option::Help:
    case Option::Version:
      return ExitDone; // looked for before anything else
    case Option::Seed: {
      char *end = nullptr;
      errno = 0;
      a.seed = strtoull(value, &end, 10);
      return end == value || *end || errno || value[0] == '-'
                 ? refuse("--seed is '%s', expected a number from 0 to 2^64 - 1", value)
                 : ExitDone;
    }
    case Option::Limit:
      return count(value, name, 0, INT32_MAX, integer, [&] { a.limit = integer; });
    case Option::TopK:
      a.hasTopK = 1;
      return count(value, name, 0, INT32_MAX, integer, [&] { a.topK = int32_t(integer); });
    case Option::Threads:
      return count(value, name, 1, 256, integer, [&] { a.threads = int32_t(integer); });
    case Option::Window:
      windowGiven = true;
      return count(value, name, 4, 1 << 30, integer, [&] { a.window = int32_t(integer); });
    case Option::PromptTokens:
      return count(value, name, 1, 1 << 30, integer, [&] { a.promptTokens = int32_t(integer); });
    case Option::DecodeTokens:
      return count(value, name, 1, 1 << 30, integer, [&] { a.decodeTokens = int32_t(integer); });
    }
    return ExitOurBug;
  }

  // What the options say together.
  ExitCode check() {
    if (!a.file)
      return refuse("no .gpk file is named");
    int prompts =
        (a.prompt != nullptr) + (a.promptFile != nullptr) + a.hasTokens + (a.messages != nullptr);
    if (prompts > 1)
      return refuse("-p, -f, --messages and --tokens are ways to give the prompt: use one");
    if (a.system && (!a.chat || a.messages))
      return refuse("--system needs --chat, and --messages has its own");
    if ((a.think || a.tools || a.render) && !a.chat)
      return refuse("--think, --tools and --render need --chat or --messages");
    if ((a.tools || a.render) && !prompts)
      return refuse("--tools and --render need a prompt: -p, -f or --messages");
    if (a.chat && a.hasTokens)
      return refuse("--chat makes the prompt from text: --tokens cannot be used with it");
    if (a.mode != Mode::Perplexity && (windowGiven || scoreGiven))
      return refuse("--window and --score need --perplexity");
    if (a.mode != Mode::Bench && (a.promptTokens || a.decodeTokens))
      return refuse("--prompt-tokens and --decode-tokens need --bench");
    if (a.mode == Mode::Logits && !prompts)
      return refuse("--logits needs a prompt: --tokens, -p or -f");
    if (a.mode != Mode::Generate && a.mode != Mode::Logits && (prompts || a.chat))
      return refuse("%s takes no prompt", modeName);
    if (a.mode != Mode::Generate)
      return ExitDone;
    if (a.chat && !prompts) {
      if (a.json)
        return refuse("--json prints one answer: --chat needs -p or -f with it");
      a.mode = Mode::Conversation;
    } else if (!prompts) {
      return refuse("no prompt is given: -p TEXT, -f FILE, --tokens or --chat");
    }
    return ExitDone;
  }

private:
  ExitCode mode(Mode wanted, const char *name) {
    if (modeName && strcmp(modeName, name) != 0)
      return refuse("%s and %s cannot be used together", modeName, name);
    modeName = name;
    a.mode = wanted;
    return ExitDone;
  }
  template <typename Use>
  ExitCode count(const char *text, const char *name, int64_t low, int64_t high, int64_t &value,
                 Use use) {
    if (!parseInteger(text, low, high, value))
      return refuse("%s is '%s', expected a number from %lld to %lld", name, text,
                    static_cast<long long>(low), static_cast<long long>(high));
    use();
    return ExitDone;
  }

  Arguments &a;
  const char *modeName = nullptr;
  bool windowGiven = false, scoreGiven = false;
};

} // namespace

ExitCode parseArguments(int count, char **values, Arguments &arguments) {
  for (int i = 1; i < count; ++i) {
    if (strcmp(values[i], "--help") == 0 || strcmp(values[i], "-h") == 0) {
      arguments.mode = Mode::Help;
      return ExitDone;
    }
    if (strcmp(values[i], "--version") == 0) {
      arguments.mode = Mode::Version;
      return ExitDone;
    }
  }
  Parser parser(arguments);
  for (int i = 1; i < count; ++i) {
    const char *given = values[i];
    if (given[0] != '-' || !given[1]) {
      if (arguments.file)
        return refuse("two files are named: '%s' and '%s'", arguments.file, given);
      arguments.file = given;
      continue;
    }
    const char *equals = strncmp(given, "--", 2) == 0 ? strchr(given, '=') : nullptr;
    size_t length = equals ? size_t(equals - given) : strlen(given);
    const Known *found = nullptr;
    for (const Known &candidate : known)
      if (strlen(candidate.name) == length && strncmp(candidate.name, given, length) == 0)
        found = &candidate;
    if (!found)
      return refuse("unknown option '%s'", given);
    const char *value = nullptr;
    if (found->takes == Takes::Value) {
      value = equals ? equals + 1 : i + 1 < count ? values[++i] : nullptr;
      if (!value)
        return refuse("%s needs a value", found->name);
    } else if (equals) {
      return refuse("%s takes no value", found->name);
    }
    ExitCode code = parser.apply(found->option, found->name, value);
    if (code != ExitDone)
      return code;
  }
  return parser.check();
}

void printHelp() {
  fputs(
      "grun: runs a model that gcompile has compiled\n"
      "\n"
      "usage: grun FILE.gpk PROMPT [options]\n"
      "\n"
      "prompt\n"
      "  -p TEXT              continue this text; '-' reads it from standard input\n"
      "  -f FILE              continue the text of a file\n"
      "  --tokens 2,5,7       continue these token numbers\n"
      "  --chat               a conversation on the terminal (/clear starts over, /exit or Ctrl-D "
      "ends);\n"
      "                       with -p or -f: one question, one answer\n"
      "  --system TEXT        instructions that stand before the conversation\n"
      "  --messages FILE      answer a whole conversation: a JSON array of messages, or an object "
      "with \"messages\"\n"
      "                       and \"tools\" (docs/chat.md)\n"
      "  --tools FILE         functions that the model may call, as a JSON array\n"
      "  --think              ask for thoughts before the answer\n"
      "  --render             print the prompt as text and stop\n"
      "\n"
      "generation\n"
      "  -n N                 at most N tokens (default 256; with --chat up to the end of the "
      "context)\n"
      "  --temperature T      0 always takes the likeliest token (default: what the model says)\n"
      "  --top-k K            choose among the K likeliest; 0: all\n"
      "  --top-p P            choose among the likeliest that have probability P together; 1: all\n"
      "  --seed S             the same seed gives the same text (default 0)\n"
      "  --ignore-stop        go on after a stop token\n"
      "  --threads N          default: the CPUs this process may use\n"
      "\n"
      "instead of generating\n"
      "  --perplexity FILE    how well the model predicts a text; [--window N] tokens at a time "
      "(default 512),\n"
      "                       [--score last-half|all] predictions of each window (default "
      "last-half)\n"
      "  --tokenize FILE      the tokens of a text\n"
      "  --detokenize FILE    the text of tokens, as --tokenize prints them; '-' is standard "
      "input\n"
      "  --bench              speed and memory; [--prompt-tokens P] [--decode-tokens N]\n"
      "  --logits             logits after every token of the prompt\n"
      "  --verify             check every byte of the file\n"
      "\n"
      "  --json               the result as JSON\n"
      "  --help --version\n"
      "\n"
      "$GCOMPILE_ISA chooses the code to run: v3 vnni neon dotprod i8mm (default: the best for "
      "this processor)\n"
      "\n"
      "examples\n"
      "  grun gemma.gpk --chat\n"
      "  grun gemma.gpk --chat -p 'What is the capital of Norway?'\n"
      "  grun gemma.gpk -p 'Once upon a time' -n 100 --temperature 0.8 --seed 7\n"
      "  grun gemma.gpk --perplexity book.txt --json\n"
      "  cat letter.txt | grun gemma.gpk -p - --temperature 0\n"
      "\n"
      "exit codes: 0 done, 1 bad input, 2 bad options, 4 a bug in grun\n",
      stdout);
}

} // namespace gcompile::tools
