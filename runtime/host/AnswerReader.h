// Takes an answer of the model apart: thought, calls of tools, text (docs/chat.md). The syntax is
// that which ChatRenderer prints; what a model writes is hostile all the same.
#pragma once

#include "runtime/core/Status.h"
#include "runtime/host/TextBuffer.h"

namespace gcompile::runtime {

// Special tokens that an answer is told apart by. Text that merely spells one is text.
enum class AnswerMark : uint8_t {
  None,
  ThoughtOpens,  // <|channel>
  ThoughtCloses, // <channel|>
  CallOpens,     // <|tool_call>
  CallCloses,    // <tool_call|>
  Quote,         // <|"|>
  End,           // <turn|>, <|tool_response>, <eos>
};
AnswerMark answerMark(const char *piece, uint64_t bytes);

// Fed piece by piece, with the text of special tokens shown.
class AnswerReader {
public:
  // `inThought`: the prompt has opened a thought.
  explicit AnswerReader(bool inThought) : inThought(inThought) {}
  void add(const char *piece, uint64_t bytes, AnswerMark mark);

  // {"role":"assistant","content":…,"reasoning":…,"tool_calls":[…]}, the latter two where there are
  // some: a message as conversations take them. A call that cannot be read has "arguments" null,
  // what it says as "text", and why in "error". GC_NO_MEMORY.
  Status finish(TextBuffer &message);

private:
  void callEnds();
  void writeCall(const char *nameBegin, uint64_t nameBytes, const TextBuffer *arguments,
                 const char *error);

  enum class State : uint8_t { Content, ThoughtName, Thought, Call, Over };

  bool inThought, started = false;
  State state = State::Content;
  TextBuffer content, thought, calls;
  TextBuffer call;   // text of the open call; a quote is the byte below
  TextBuffer opened; // what may be the beginning of a thought
  bool isCallCut = false;
};

} // namespace gcompile::runtime
