// Recognises Gemma 4's turn form in a Jinja template: how a turn opens and closes is found among
// the literals that are printed, and the generation prompt by walking the branches under `if
// add_generation_prompt` for a plain conversation, thinking off.
#include "compiler/Import/ChatTemplate.h"

#include "compiler/Import/HostileJson.h"

#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringExtras.h"

#include <cstring>
#include <optional>
#include <vector>

using llvm::Expected;
using llvm::StringRef;

namespace gcompile {

namespace {

constexpr StringRef emptyThought = "<|channel>thought\n<channel|>";
constexpr StringRef modelTurn = "<|turn>model\n";

enum class BlockKind : uint8_t { Text, Output, Statement };

struct Block {
  BlockKind kind;
  StringRef body; // without delimiters, dashes and outer blanks
};

// End of an expression that starts at `position`, past quoted strings; npos: none.
size_t findClose(StringRef text, size_t position, StringRef close) {
  char quote = 0;
  for (; position < text.size(); ++position) {
    char character = text[position];
    if (quote) {
      if (character == '\\')
        ++position;
      else if (character == quote)
        quote = 0;
    } else if (text.substr(position).starts_with(close)) {
      return position;
    } else if (character == '"' || character == '\'') {
      quote = character;
    }
  }
  return StringRef::npos;
}

// Cuts a template into blocks; comments vanish. Nothing: a block is not closed.
std::optional<std::vector<Block>> cut(StringRef text) {
  std::vector<Block> blocks;
  size_t position = 0;
  while (position < text.size()) {
    size_t open = position;
    do
      open = text.find('{', open);
    while (open != StringRef::npos && open + 1 < text.size() &&
           !StringRef("{%#").contains(text[open + 1]) && ++open);
    if (open == StringRef::npos || open + 1 >= text.size())
      open = text.size();
    StringRef raw = text.slice(position, open);
    if (!raw.trim().empty())
      blocks.push_back({BlockKind::Text, raw});
    if (open == text.size())
      break;
    char kind = text[open + 1];
    StringRef close = kind == '{' ? "}}" : kind == '%' ? "%}" : "#}";
    size_t end = kind == '#' ? text.find(close, open + 2) : findClose(text, open + 2, close);
    if (end == StringRef::npos)
      return std::nullopt;
    StringRef body = text.slice(open + 2, end);
    body.consume_front("-");
    body.consume_front("+");
    body.consume_back("-");
    body.consume_back("+");
    if (kind != '#')
      blocks.push_back({kind == '{' ? BlockKind::Output : BlockKind::Statement, body.trim()});
    position = end + 2;
  }
  return blocks;
}

// The string literals of an expression, decoded.
llvm::SmallVector<std::string, 4> literals(StringRef body) {
  llvm::SmallVector<std::string, 4> result;
  for (size_t position = 0; position < body.size(); ++position) {
    char quote = body[position];
    if (quote != '"' && quote != '\'')
      continue;
    std::string text;
    for (++position; position < body.size() && body[position] != quote; ++position) {
      char character = body[position];
      if (character == '\\' && position + 1 < body.size()) {
        character = body[++position];
        character = character == 'n' ? '\n' : character == 't' ? '\t' : character;
      }
      text += character;
    }
    result.push_back(std::move(text));
  }
  return result;
}

// A condition in a plain conversation: a generation prompt is wanted, no tools, enable_thinking not
// given. Nothing: not known.
std::optional<bool> holds(StringRef condition) {
  condition = condition.trim();
  if (condition == "add_generation_prompt")
    return true;
  if (condition == "not enable_thinking" || condition == "not enable_thinking | default(false)" ||
      condition == "not (enable_thinking | default(false))")
    return true;
  if (condition == "enable_thinking" || condition.starts_with("enable_thinking is defined and"))
    return false;
  // Every part about the previous message: it was neither a call nor a result.
  llvm::SmallVector<StringRef, 4> parts;
  condition.split(parts, " and ");
  bool all = true;
  for (StringRef part : parts) {
    part = part.trim();
    bool aboutTools = part.starts_with("ns.prev_message_type") &&
                      (part.contains("'tool_response'") || part.contains("'tool_call'"));
    if (aboutTools && part.contains("!="))
      continue;
    if (aboutTools && part.contains("=="))
      all = false;
    else if (parts.size() > 1 && (part == "enable_thinking"))
      all = false;
    else
      return std::nullopt;
  }
  return all;
}

struct Branch {
  bool taken;       // this arm prints
  bool anyTaken;    // an earlier arm or this one did
  bool surrounding; // the enclosing branch prints
};

// What `if add_generation_prompt … endif`, starting at block `start`, prints. Nothing: something in
// it is not understood.
std::optional<std::string> generationPrompt(llvm::ArrayRef<Block> blocks) {
  std::string printed;
  llvm::SmallVector<Branch, 4> stack;
  for (const Block &block : blocks) {
    bool active = stack.empty() || stack.back().taken;
    if (block.kind == BlockKind::Text) {
      if (active)
        return std::nullopt;
      continue;
    }
    if (block.kind == BlockKind::Output) {
      if (!active)
        continue;
      llvm::SmallVector<std::string, 4> texts = literals(block.body);
      bool plain = texts.size() == 1 && (block.body.front() == '\'' || block.body.front() == '"') &&
                   block.body.back() == block.body.front();
      if (!plain)
        return std::nullopt;
      printed += texts.front();
      continue;
    }
    auto [word, rest] = block.body.split(' ');
    if (word == "if") {
      std::optional<bool> condition = active ? holds(rest) : std::optional(false);
      if (!condition)
        return std::nullopt;
      stack.push_back({active && *condition, *condition, active});
    } else if (stack.empty()) {
      return std::nullopt;
    } else if (word == "elif" || word == "else") {
      Branch &branch = stack.back();
      bool open = branch.surrounding && !branch.anyTaken;
      std::optional<bool> condition = open && word == "elif" ? holds(rest) : std::optional(open);
      if (!condition)
        return std::nullopt;
      branch.taken = *condition;
      branch.anyTaken |= *condition;
    } else if (word == "endif") {
      stack.pop_back();
      if (stack.empty())
        return printed;
    } else if (word != "set") {
      return std::nullopt;
    }
  }
  return std::nullopt;
}

// What the template does besides plain turns, by the statements that the released ones have.
uint32_t features(llvm::ArrayRef<Block> blocks) {
  uint32_t flags = 0;
  bool declares = false, calls = false, answers = false;
  for (const Block &block : blocks) {
    StringRef body = block.body;
    if (block.kind == BlockKind::Output) {
      for (const std::string &text : literals(body)) {
        flags |= text == "<|think|>\n" ? GC_TURN_THINKING : 0;
        declares |= text == "<|tool>";
        calls |= text == "<|tool_call>call:";
      }
      continue;
    }
    auto begins = [&](StringRef start, uint32_t flag) {
      if (block.kind == BlockKind::Statement && body.starts_with(start))
        flags |= flag;
    };
    answers |= body.starts_with("macro format_tool_response_block");
    begins("macro strip_thinking", GC_TURN_STRIPS_THOUGHTS);
    begins("if argument is none", GC_TURN_PRINTS_NULL);
    begins("if key not in standard_keys", GC_TURN_SKIPS_KEYS);
    begins("set continue_same_model_turn", GC_TURN_JOINS);
    begins("set continues_into_next", GC_TURN_JOINS_LINES);
    begins("set thinking_gate = (loop.index0 > ns_turn.last_user_idx) or (preserve_thinking and "
           "message.get('tool_calls'))",
           GC_TURN_THOUGHTS);
    begins("if thinking_text and loop.index0 > ns_turn.last_user_idx and "
           "message.get('tool_calls')",
           GC_TURN_THOUGHTS_OF_CALLS);
    begins("elif ns.prev_message_type == 'tool_response' and enable_thinking",
           GC_TURN_RESULT_OPENS_THOUGHT);
  }
  // The order of calls, results and turns is known of templates that join model messages.
  if (declares && calls && answers && (flags & GC_TURN_JOINS))
    flags |= GC_TURN_TOOLS;
  return flags;
}

// Fields are zero-terminated; what does not fit is a bug of ours, because every text is one of a
// known few.
template <size_t N>
void copyText(char (&field)[N], StringRef text) {
  assert(text.size() < N);
  std::memcpy(field, text.data(), std::min(text.size(), N - 1));
}

ChatTemplate refused(const llvm::Twine &why) {
  ChatTemplate result;
  result.note = ("chat template not recognised: " + why + "; --chat will not be available").str();
  return result;
}

} // namespace

ChatTemplate reduceChatTemplate(StringRef text) {
  constexpr size_t largest = size_t{1} << 20;
  if (text.size() > largest)
    return refused("it has " + llvm::Twine(text.size()) + " bytes");
  if (text.contains("<start_of_turn>"))
    return refused("it has the turns of earlier Gemma models (<start_of_turn>)");
  std::optional<std::vector<Block>> blocks = cut(text);
  if (!blocks)
    return refused("a block is not closed");

  bool start = false, opens = false, closes = false, trims = false, mapsRole = false;
  std::optional<size_t> generation;
  for (size_t i = 0; i < blocks->size(); ++i) {
    const Block &block = (*blocks)[i];
    if (block.kind == BlockKind::Text)
      continue;
    llvm::SmallVector<std::string, 4> texts = literals(block.body);
    if (block.kind == BlockKind::Statement) {
      if (block.body == "if add_generation_prompt")
        generation = i;
      mapsRole |= block.body.starts_with("set role") && llvm::is_contained(texts, "model") &&
                  llvm::is_contained(texts, "assistant");
      continue;
    }
    start |= block.body == "bos_token";
    if (texts.size() == 2 && texts[0] == "<|turn>" && texts[1] == "\n" &&
        block.body.contains("role")) {
      opens = true;
      closes = false; // an earlier one closed the system turn
    }
    closes |= texts.size() == 1 && texts[0] == "<turn|>\n";
    trims |= block.body.contains("content") && block.body.ends_with("trim");
  }
  if (!start)
    return refused("it does not print bos_token");
  if (!opens || !closes || !mapsRole)
    return refused("it does not print turns as <|turn>ROLE … <turn|>");
  if (!generation)
    return refused("it has no generation prompt");
  std::optional<std::string> prompt =
      generationPrompt(llvm::ArrayRef(*blocks).drop_front(*generation));
  if (!prompt)
    return refused("its generation prompt has conditions or texts that are not known");
  if (*prompt != modelTurn && *prompt != (modelTurn + emptyThought).str())
    return refused("its generation prompt is " + inQuotes(*prompt));

  ChatTemplate result;
  gc_turn_form &form = result.form;
  copyText(form.start, "<bos>");
  copyText(form.role_prefix, "<|turn>");
  copyText(form.role_suffix, "\n");
  copyText(form.turn_suffix, "<turn|>\n");
  copyText(form.generation_prompt, *prompt);
  copyText(form.user_role, "user");
  copyText(form.model_role, "model");
  copyText(form.system_role, "system");
  form.present = 1;
  form.flags = (trims ? uint32_t(GC_TURN_TRIMS) : 0) | features(*blocks);
  return result;
}

Expected<std::string> chatTemplateOfTokenizerConfig(StringRef text) {
  Expected<llvm::json::Value> value = parseHostileJson(text, "tokenizer_config.json");
  if (!value)
    return value.takeError();
  const llvm::json::Object *root = value->getAsObject();
  if (!root)
    return importError("tokenizer_config.json: expected an object");
  if (std::optional<StringRef> single = root->getString("chat_template"))
    return single->str();
  if (const llvm::json::Array *named = root->getArray("chat_template"))
    for (const llvm::json::Value &entry : *named)
      if (const llvm::json::Object *object = entry.getAsObject())
        if (object->getString("name") == StringRef("default"))
          return object->getString("template").value_or("").str();
  return std::string();
}

} // namespace gcompile
