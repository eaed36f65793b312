#!/usr/bin/env python3
"""Makes tests/data/chat/goldens.json: conversations as the released chat templates render them (PyPI: jinja2, with the options of transformers).

    python3 tests/scripts/make_chat_goldens.py edge=FILE large=FILE earlier=FILE

The templates are Google's and are not kept here. `edge` (E2B, E4B) and `large` (12B, 26B-A4B, 31B) are gemma-4-edge.jinja and gemma-4.jinja of PyPI's unsloth
2026.10.9 (studio/backend/assets/chat_templates); `earlier` is models/templates/google-gemma-4-31B-it.jinja of the llama.cpp inside PyPI's llama-cpp-python
0.3.36. A template that raises gives null.
"""
import json
import os
import sys

import jinja2
import jinja2.sandbox

WEATHER = {"type": "function", "function": {"name": "get_weather", "description": "Weather of a city", "parameters": {"type": "object", "properties": {
    "unit": {"type": "string", "enum": ["c", "f"]}, "city": {"type": "string", "description": "City, as \"Oslo\"\nor 東京"}, "days": {"type": "integer"}},
    "required": ["city"]}}}
DEEP = {"type": "function", "function": {"name": "book", "description": "Book \U0001F3E8", "parameters": {"type": "object", "properties": {
    "guests": {"type": "array", "description": "who comes", "items": {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "number", "nullable": True}},
                                                                      "required": ["name"]}},
    "tags": {"type": "array", "items": {"type": "string", "enum": ["a", "b"], "minLength": 2, "default": None}},
    "mixed": {"type": "array", "items": {"type": ["string", "integer"]}}, "any": {"type": "array"},
    "where": {"type": "object", "description": "place", "properties": {"lat": {"type": "number"}, "type": {"type": "string"}}, "required": ["lat"]},
    "free": {"type": "object", "additionalProperties": False}, "Upper": {"type": "boolean", "description": ""}, "description": {"type": "string"}, "none": {}},
    "required": ["guests", "where"]}}}
BARE = {"type": "function", "function": {"name": "now", "description": "The time"}}
EMPTY = {"type": "function", "function": {"name": "noop", "description": "", "parameters": {"type": "object", "properties": {}}, "response": {"description": "nothing", "type": "object"}}}


def user(text):
    return {"role": "user", "content": text}


def model(text=None, **more):
    return {"role": "assistant", "content": text, **more}


def call(name, arguments, identity=None):
    return {**({"id": identity} if identity else {}), "type": "function", "function": {"name": name, "arguments": arguments}}


def tool(content, **more):
    return {"role": "tool", "content": content, **more}


SYSTEM = {"role": "system", "content": "  Be brief.\n"}
OSLO = call("get_weather", {"days": 2, "city": "Oslo", "deep": {"y": [1, "a \"b\"\n", True, None, [], {}], "x": {"z": 1.5, "A": 0.0625, "b": 1e22, "c": 12345678901234567890}}}, "1")
ASKED = [user("Weather in Oslo?"), model("", tool_calls=[OSLO])]
CASES = {
    "one question": [user("Hello")],
    "white space and unicode": [user(" \u00a0\u3000\n Grüße, 東京 \U0001F600 e\u0301 \"x\" <b>\t\n ")],
    "empty": [user("")],
    "system": [SYSTEM, user("Hello")],
    "developer": [{"role": "developer", "content": "Be kind."}, user("Hello")],
    "a later system turn": [user("a"), model("b"), SYSTEM, user("c")],
    "turns": [SYSTEM, user("a"), model(" b "), user("c"), model("d"), user("e")],
    "old thoughts are stripped": [user("a"), model("<|channel>thought\nhm\n<channel|>b <|channel>more<channel|> c "), user("d")],
    "an open thought is stripped": [user("a"), model("b<|channel>thought\nhm"), user("d")],
    "thoughts apart, before a user turn": [user("a"), model("b", reasoning="why"), user("c")],
    "thoughts apart, last": [user("a"), model("b", reasoning_content="why\nnot")],
    "model turns in a row": [user("a"), model("b"), model("c"), user("d")],
    "ends with the model": [user("a"), model("b")],
    "call and result": ASKED + [tool("sunny \"now\"\n", tool_call_id="1")],
    "result by name": ASKED + [tool("sunny", name="get_weather")],
    "result without a name": [user("x"), model(None, tool_calls=[call("f", {})]), tool("y", tool_call_id="9")],
    "result is a mapping": ASKED + [tool({"b": [1, 2.0, None], "A": {"x": "y"}, "ok": False}, tool_call_id="1")],
    "result is a number": ASKED + [tool(3, tool_call_id="1")],
    "two calls, two results": [user("x"), model("", tool_calls=[call("f", {"a": 1}, "p"), call("g", {"B": 1, "a": 2}, "q")]), tool("r", tool_call_id="q"), tool("s", tool_call_id="p")],
    "result and answer": ASKED + [tool("sunny", tool_call_id="1"), model("It is sunny.")],
    "result, answer, question": ASKED + [tool("sunny", tool_call_id="1"), model("It is sunny."), user("And now?")],
    "call after a result": ASKED + [tool("sunny", tool_call_id="1"), model("", tool_calls=[call("now", {}, "2")]), tool("noon", tool_call_id="2")],
    "thought with a call": [user("x"), model("", reasoning="I need it", tool_calls=[call("f", {"a": 1}, "1")]), tool("y", tool_call_id="1")],
    "text beside a call": [user("x"), model("Let me see. ", tool_calls=[call("f", {"a": 1}, "1")]), tool("y", tool_call_id="1"), user("z")],
    "call without a result": ASKED,
    "results in the model's message": [user("x"), model("", tool_calls=[call("f", {"a": 1})], tool_responses=[{"name": "f", "response": {"b": 2}}])],
    "no arguments": [user("x"), model("", tool_calls=[call("f", None, "1")]), tool("y", tool_call_id="1")],
}
TOOLS = {"none": [], "weather": [WEATHER], "all": [WEATHER, DEEP, BARE, EMPTY]}

environment = jinja2.sandbox.ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])


def raise_exception(message):
    raise jinja2.TemplateError(message)


environment.globals["raise_exception"] = raise_exception


def render(template, messages, tools, thinking):
    try:
        return template.render(messages=messages, tools=tools or None, enable_thinking=thinking, add_generation_prompt=True, bos_token="<bos>")
    except (jinja2.TemplateError, TypeError) as error:
        print("note:", error, file=sys.stderr)
        return None


def main():
    templates = {}
    for argument in sys.argv[1:]:
        name, path = argument.split("=", 1)
        with open(path, encoding="utf-8") as file:
            templates[name] = environment.from_string(file.read())
    if set(templates) != {"edge", "large", "earlier"}:
        sys.exit(__doc__)
    cases = []
    for name, messages in CASES.items():
        wanted = [("none", False), ("none", True)] + ([("weather", False), ("all", True)] if name in ("one question", "system", "call and result") else [])
        for tools, thinking in wanted:
            cases.append({"name": f"{name}, tools {tools}, thinking {'on' if thinking else 'off'}", "messages": messages, "tools": TOOLS[tools], "thinking": thinking,
                          "expected": {family: render(template, messages, TOOLS[tools], thinking) for family, template in templates.items()}})
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data", "chat")
    with open(os.path.join(folder, "goldens.json"), "w", encoding="utf-8") as file:
        json.dump({"source": f"jinja2 {jinja2.__version__}", "cases": cases}, file, ensure_ascii=False, indent=1)
    print(len(cases), "cases")


main()
