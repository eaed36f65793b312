// The generation prompts of released templates are public; the parts here are cut to what decides
// the turn form.
#include "compiler/Import/ChatTemplate.h"

#include "tests/unit/import/TestFiles.h"

#include <gmock/gmock.h>

using testing::HasSubstr;

namespace gcompile {
namespace {

std::string tinyTemplate() { return readBytes(dataPath("gemma4-tiny/chat_template.jinja")); }

// A template of the released shape around this generation prompt.
std::string released(const std::string &tail) {
  return R"({%- macro declare(tool) -%}
    declaration:{{- tool['name'] -}}{description:<|"|>{{- tool['text'] -}}<|"|>}
{%- endmacro -%}
{%- set ns = namespace(prev_message_type=None) -%}
{{ bos_token }}
{#- Handle {{ definitions }} %} -#}
{%- if (enable_thinking is defined and enable_thinking) or tools -%}
    {{- '<|turn>system\n' -}}{{- '<|think|>\n' -}}{{- '<turn|>\n' -}}
{%- endif %}
{%- for message in messages -%}
    {%- set role = 'model' if message['role'] == 'assistant' else message['role'] -%}
        {{- '<|turn>' + role + '\n' }}
        {{- '<|tool_call>call:' + message['name'] + '{' -}}{{- '}<tool_call|>' -}}
        {{- message['content'] | trim -}}
        {{- '<turn|>\n' -}}
{%- endfor -%}
)" + tail;
}

constexpr const char *mobileTail = R"({%- if add_generation_prompt -%}
    {%- if ns.prev_message_type != 'tool_response' and ns.prev_message_type != 'tool_call' -%}
        {{- '<|turn>model\n' -}}
    {%- elif ns.prev_message_type == 'tool_response' and enable_thinking -%}
        {{- '<|channel>thought\n' -}}
    {%- endif -%}
{%- endif -%})";

constexpr const char *largeTail = R"({%- if add_generation_prompt -%}
    {%- if ns.prev_message_type != 'tool_response' and ns.prev_message_type != 'tool_call' -%}
        {{- '<|turn>model\n' -}}
        {%- if not enable_thinking -%}
            {{- '<|channel>thought\n<channel|>' -}}
        {%- endif -%}
    {%- elif ns.prev_message_type == 'tool_response' and enable_thinking -%}
        {{- '<|channel>thought\n' -}}
    {%- endif -%}
{%- endif -%})";

constexpr const char *earlierLargeTail = R"({%- if add_generation_prompt -%}
    {%- if ns.prev_message_type != 'tool_response' -%}
        {{- '<|turn>model\n' -}}
    {%- endif -%}
    {%- if not enable_thinking | default(false) -%}
        {{- '<|channel>thought\n<channel|>' -}}
    {%- endif -%}
{%- endif -%})";

void expectGemma(const ChatTemplate &reduced, const char *prompt) {
  EXPECT_EQ(reduced.note, "");
  const gc_turn_form &form = reduced.form;
  EXPECT_EQ(form.present, 1u);
  EXPECT_EQ(form.flags & GC_TURN_TRIMS, uint32_t(GC_TURN_TRIMS));
  EXPECT_STREQ(form.start, "<bos>");
  EXPECT_STREQ(form.role_prefix, "<|turn>");
  EXPECT_STREQ(form.role_suffix, "\n");
  EXPECT_STREQ(form.turn_suffix, "<turn|>\n");
  EXPECT_STREQ(form.generation_prompt, prompt);
  EXPECT_STREQ(form.user_role, "user");
  EXPECT_STREQ(form.model_role, "model");
  EXPECT_STREQ(form.system_role, "system");
}

TEST(ChatTemplate, RecognisesGemmasOwn) {
  expectGemma(reduceChatTemplate(tinyTemplate()), "<|turn>model\n");
  expectGemma(reduceChatTemplate(released(mobileTail)), "<|turn>model\n");
  expectGemma(reduceChatTemplate(released(largeTail)),
              "<|turn>model\n<|channel>thought\n<channel|>");
  expectGemma(reduceChatTemplate(released(earlierLargeTail)),
              "<|turn>model\n<|channel>thought\n<channel|>");
}

TEST(ChatTemplate, FindsWhatTheFormDoesBesidesTurns) {
  auto flags = [](const std::string &statements) {
    std::string text = R"({%- macro strip_thinking(text) -%}{%- endmacro -%}
{%- macro format_tool_response_block(name, response) -%}{%- endmacro -%}
{%- macro one(argument) -%}{%- if argument is string -%}{%- endif -%}{%- endmacro -%}
{%- macro declared() -%}{{- '<|tool>' -}}{{- '<tool|>' -}}{%- endmacro -%}
)" + statements + released(largeTail);
    ChatTemplate reduced = reduceChatTemplate(text);
    EXPECT_EQ(reduced.note, "");
    return reduced.form.flags;
  };
  uint32_t always =
      GC_TURN_TRIMS | GC_TURN_THINKING | GC_TURN_STRIPS_THOUGHTS | GC_TURN_RESULT_OPENS_THOUGHT;
  EXPECT_EQ(flags(""), always); // the order of calls and turns is not known: no tools
  EXPECT_EQ(flags("{%- set continue_same_model_turn = (role == 'model') -%}"),
            always | GC_TURN_JOINS | GC_TURN_TOOLS);
  EXPECT_EQ(flags("{%- set continues_into_next = (role == 'model') -%}"),
            always | GC_TURN_JOINS_LINES);
  EXPECT_EQ(flags("{%- if argument is none -%}{{- 'null' -}}{%- endif -%}"),
            always | GC_TURN_PRINTS_NULL);
  EXPECT_EQ(flags("{%- if key not in standard_keys -%}{%- endif -%}"), always | GC_TURN_SKIPS_KEYS);
  EXPECT_EQ(flags("{%- set thinking_gate = (loop.index0 > ns_turn.last_user_idx) or "
                  "(preserve_thinking and message.get('tool_calls')) -%}"),
            always | GC_TURN_THOUGHTS);
  EXPECT_EQ(flags("{%- if thinking_text and loop.index0 > ns_turn.last_user_idx and "
                  "message.get('tool_calls') -%}{%- endif -%}"),
            always | GC_TURN_THOUGHTS_OF_CALLS);
  EXPECT_EQ(reduceChatTemplate(tinyTemplate()).form.flags, uint32_t(GC_TURN_TRIMS));
}

TEST(ChatTemplate, ContentThatIsNotTrimmedStaysSo) {
  std::string text = released(mobileTail);
  ChatTemplate reduced = reduceChatTemplate(replaced(text, " | trim", ""));
  EXPECT_EQ(reduced.form.present, 1u);
  EXPECT_EQ(reduced.form.flags & GC_TURN_TRIMS, 0u);
}

TEST(ChatTemplate, SaysWhyNot) {
  auto note = [](const std::string &text) {
    ChatTemplate reduced = reduceChatTemplate(text);
    EXPECT_EQ(reduced.form.present, 0u) << text;
    return reduced.note;
  };
  std::string good = released(largeTail);
  EXPECT_THAT(note(""), HasSubstr("bos_token"));
  EXPECT_THAT(note("{{ bos_token }}<start_of_turn>user"), HasSubstr("earlier Gemma"));
  EXPECT_THAT(note("{{ bos_token"), HasSubstr("not closed"));
  EXPECT_THAT(note("{{ bos_token }}{# "), HasSubstr("not closed"));
  EXPECT_THAT(note(replaced(good, "'<|turn>' + role", "'<|im_start|>' + role")),
              HasSubstr("turns"));
  EXPECT_THAT(note(replaced(good, "        {{- '<turn|>\\n' -}}\n{%- endfor", "{%- endfor")),
              HasSubstr("turns"));
  EXPECT_THAT(note(released("")), HasSubstr("no generation prompt"));
  EXPECT_THAT(note(replaced(good, "if not enable_thinking -", "if moon_is_full -")),
              HasSubstr("not known"));
  EXPECT_THAT(note(replaced(good, "{{- '<|turn>model\\n' -}}", "{{- '<|turn>bot\\n' -}}")),
              HasSubstr("generation prompt is '<|turn>bot"));
  EXPECT_THAT(note(replaced(good, "{{- '<|turn>model\\n' -}}", "{{- prompt -}}")),
              HasSubstr("not known"));
  EXPECT_THAT(note(replaced(good, "{{- '<|turn>model\\n' -}}", "text")), HasSubstr("not known"));
  EXPECT_THAT(note(std::string(2'000'000, ' ')), HasSubstr("2000000 bytes"));
}

TEST(ChatTemplate, SurvivesTruncation) {
  std::string text = released(largeTail);
  for (size_t length = 0; length + 20 < text.size(); ++length)
    EXPECT_EQ(reduceChatTemplate(llvm::StringRef(text).take_front(length)).form.present, 0u);
}

TEST(ChatTemplate, IsFoundInTokenizerConfig) {
  EXPECT_EQ(valueOf(chatTemplateOfTokenizerConfig(R"({"chat_template":"abc"})")), "abc");
  EXPECT_EQ(
      valueOf(chatTemplateOfTokenizerConfig(
          R"({"chat_template":[{"name":"tool_use","template":"x"},{"name":"default","template":"y"}]})")),
      "y");
  EXPECT_EQ(valueOf(chatTemplateOfTokenizerConfig("{}")), "");
  EXPECT_NE(errorOf(chatTemplateOfTokenizerConfig("[")), "");
}

} // namespace
} // namespace gcompile
