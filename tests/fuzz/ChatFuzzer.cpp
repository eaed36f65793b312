// JSON that a conversation holds: declarations of tools, calls, results. The first byte chooses the
// turn form and the role that the text is given. Whatever is accepted renders inside its bounds.
#include "runtime/host/ChatRenderer.h"

using namespace gcompile::runtime;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
  if (size < 1)
    return 0;
  auto *text = reinterpret_cast<const char *>(input + 1);
  gc_turn_form form = {};
  form.present = 1;
  form.flags = input[0] & 1 ? 0x7FF : 0x7FF & ~(GC_TURN_JOINS_LINES | GC_TURN_PRINTS_NULL);
  strcpy(form.turn_suffix, "<turn|>\n");
  gc_message messages[2] = {};
  messages[0].role = GC_ROLE_MODEL;
  messages[0].text = text;
  messages[0].bytes = size - 1;
  messages[0].calls = input[0] & 2 ? text : "[{\"name\":\"f\"}]";
  messages[0].calls_bytes = input[0] & 2 ? size - 1 : strlen(messages[0].calls);
  messages[1].role = GC_ROLE_TOOL;
  messages[1].text = text;
  messages[1].bytes = size - 1;
  messages[1].text_is_json = input[0] & 4 ? 1 : 0;
  gc_chat chat = {};
  chat.messages = messages;
  chat.message_count = 2;
  chat.flags = GC_CHAT_START | GC_CHAT_GENERATE;
  if (input[0] & 8) {
    chat.tools = text;
    chat.tools_bytes = size - 1;
  }
  Rendering out;
  Message message;
  if (renderChat(form, chat, out, message) == GC_OK)
    for (uint64_t i = 0; i < out.rangeCount; ++i)
      if (out.ranges[i].begin >= out.ranges[i].end || out.ranges[i].end > out.text.bytes)
        abort();
  return 0;
}
