#!/usr/bin/env python3
"""Writes tests/data/chat/answers.json: answers in Gemma's syntax as the reference library takes them apart (its parse_response with its response
template of Gemma 4; transformers 5.23.0 was used).

    python3 tests/scripts/make_answer_goldens.py
"""
import json
import os

from transformers.cli.serving import utils
from transformers.utils.chat_parsing import parse_response

TEMPLATE = next(value for names, value in utils._RESPONSE_TEMPLATE_FALLBACKS.items() if "gemma4" in names)
OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data", "chat", "answers.json")
TURN, EMPTY = "<|turn>model\n", "<|turn>model\n<|channel>thought\n<channel|>"
THOUGHT = "<|channel>thought\nI think.\nTwice.\n<channel|>"
Q = '<|"|>'
CALL = "<|tool_call>call:get_weather{city:" + Q + "Oslo" + Q + ",days:2,deep:{x:[1," + Q + "y" + Q + ",true]}}<tool_call|>"
RESULT = TURN + CALL + "<|tool_response>response:get_weather{value:" + Q + "sunny" + Q + "}<tool_response|>"

CASES = {
    "text": (TURN, "Hello there.\n"),
    "text of the larger sizes": (EMPTY, "Hello there."),
    "nothing": (TURN, ""),
    "white space": (TURN, " \n\u00a0x\u2003\n"),
    "thought": (TURN, THOUGHT + "So: 4."),
    "empty thought": (TURN, "<|channel>thought\n<channel|>So: 4."),
    "thought that does not end": (TURN, "<|channel>thought\nI think and"),
    "thought that the prompt opened": (RESULT + "<|channel>thought\n", "More.<channel|>Done."),
    "call": (TURN, CALL),
    "call of the larger sizes": (EMPTY, CALL),
    "thought and call": (TURN, THOUGHT + CALL),
    "text and call": (TURN, "I look.\n" + CALL),
    "two calls": (TURN, CALL + "<|tool_call>call:now{}<tool_call|>"),
    "call and stop": (TURN, CALL + "<|tool_response>"),
    "after a result": (RESULT, "It is sunny."),
    "no arguments": (TURN, "<|tool_call>call:now{}<tool_call|>"),
    "values": (TURN, "<|tool_call>call:f{a:null,b:false,c:-1.5e3,d:[],e:{},f:" + Q + Q + ",g:[[1],[2,3]],h:0}<tool_call|>"),
    "braces in a string": (TURN, "<|tool_call>call:f{a:" + Q + "}, b: {\"x\" \\n: [" + Q + "}<tool_call|>"),
    "quotes and lines in a string": (TURN, "<|tool_call>call:f{a:" + Q + "say \"hi\"\nor\t'no' \\" + Q + "}<tool_call|>"),
    "other scripts": (TURN, THOUGHT + "<|tool_call>call:f{städt:" + Q + "Tromsø 東京 🙂" + Q + "}<tool_call|>"),
    "spaces": (TURN, "<|tool_call>call:f{a: 1,b: " + Q + "x" + Q + "}<tool_call|>"),
    "JSON": (TURN, "<|tool_call>call:f{\"a\": \"b\", \"c\": [1, {\"d\": null}]}<tool_call|>"),
    "lower-case markup that is text": (TURN, "a < b | c > d {x:1}"),
}


def main():
    cases = []
    for name, (prefix, text) in CASES.items():
        message = parse_response(text, TEMPLATE, prefix=prefix)
        cases.append({"name": name, "prefix": prefix, "text": text, "message": message})
    with open(OUT, "w", encoding="utf-8") as file:
        json.dump({"cases": cases}, file, ensure_ascii=False, indent=1)
        file.write("\n")


main()
