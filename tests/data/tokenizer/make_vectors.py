#!/usr/bin/env python3
"""Makes vectors.json: texts and their tokens as the reference library (PyPI: tokenizers) gives them, for the tokenizer of ../gemma4-tiny.

Run with the repository's tests/data as working directory: python3 tokenizer/make_vectors.py. Texts are kept in base64, since some are no UTF-8: of those the
expected tokens are put together from the valid parts and one byte token for each invalid byte, which is the rule for text the library cannot take.
"""
import base64
import json
import random

import tokenizers

tok = tokenizers.Tokenizer.from_file("gemma4-tiny/tokenizer.json")
byte_token = {value: tok.token_to_id(f"<0x{value:02X}>") for value in range(256)}


def encode(text):
    return tok.encode(text, add_special_tokens=False).ids


texts = ["", " ", "  ", "a", "Hello", "Hello, world!", " Hello", "Hello ", "hello  world", "\n", "\n\n", "a\nb", "a\n\nb\n", " \n \n", "\t", "a\tb\t\tc",
         "▁", "a▁b", "▁ ▁", "The quick brown fox jumps over the lazy dog.", "0123456789", "3.14159 and 2,718", "don't can't I'll they've",
         "def f(x):\n    return x * 2\n\n\nclass A:\n        pass\n", "<bos>", "<bos>Hello<eos>", "a<bos>b", "<bos><bos>", "<|turn>user\nHello<turn|>\n<|turn>model\n",
         "<|turn", "|turn>", "<|turn|>", "<<bos>>", "<<<<<<bos>>>>>>", "<bo", "<bos", "<bos >", "<|image|><|image><image|>", "< bos>", "<0x0A>", "<0x41>x", "<unk>", "x<pad>y<mask>z",
         "é", "e\u0301", "naïve café", "Å\u030a", "ü\u0308\u0301", "日本語のテキスト", "中文字符", "한국어", "한", "Привет, мир", "Ελληνικά", "שלום עולם", "مرحبا بالعالم",
         "हिन्दी", "ไทย", "😀", "👍🏽", "👩‍👩‍👧‍👦", "🇳🇴🇯🇵", "a😀b", "😀" * 20, "\u200b", "\u00a0", "a\u00a0b", "\u3000", "\ufeffBOM", "\ufffd", "\U0010ffff", "\u0000", "a\u0000b", "\r\n", "\r\n\r\n",
         "\x7f", "\x01\x02", "½ ² ³", "ﬁ ligature", "𝔘𝔫𝔦", "∑∫√", "…—–", "“quotes”", "http://example.com/a?b=c&d=%20", "foo_bar-baz.qux", "AAAAAAAAAA", "aaaaaaaaaaaaaaaaaaaaaaaa", "ababababababab",
         "ÿþ", "\u2028x\u2029", "in the\n in the", "the the the", "  leading", "trailing  ", "a  b   c    d     e", "\u0301", "a\u0301\u0302\u0303\u0304\u0305b"]
texts += [" " * n for n in (3, 15, 16, 17, 31, 32, 33, 47, 48, 49, 50, 64, 100, 1000)]
texts += ["\n" * n for n in (3, 7, 8, 9, 31, 32, 47, 48, 49, 50, 97, 1000)]
texts += ["x" + " " * n + "y" + "\n" * n + "z" for n in (2, 5, 16, 31, 60)]
texts += ["a" * 500, "ab" * 300, "the" * 200, " the" * 200, "1" * 300, "é" * 100, "😀é " * 40, "<" * 300, "<bos" * 60, "\t" * 200, "in" * 100 + "ing" * 100]

held = open("gemma4-tiny/eval/heldout.txt", encoding="utf-8").read()
texts += [held[:3000], held[40000:42500]]
rng = random.Random(4)
alphabet = list("abcdefghij theinon \n\n  ▁▁<>|0x1éà中日😀\u0301\u200d") + ["<bos>", "<|turn>", "<turn|>", "the ", "ing", "\n\n\n", "      "]
for length in [1, 2, 3, 4, 5, 8, 13, 21, 34, 47, 48, 49, 50, 55, 89, 144] * 8:
    texts.append("".join(rng.choice(alphabet) for _ in range(length)))
for _ in range(60):
    at, n = rng.randrange(len(held) - 200), rng.randrange(1, 120)
    texts.append(held[at:at + n])
for _ in range(30):  # any code points at all
    texts.append("".join(chr(c) for c in (rng.randrange(0x110000) for _ in range(rng.randrange(1, 20))) if not 0xD800 <= c < 0xE000))

cases = [{"base64": base64.b64encode(t.encode()).decode(), "tokens": encode(t)} for t in texts]

# Invalid UTF-8: lone continuation, cut short, overlong, surrogate, too large, bytes that never occur.
bad = [b"\x80", b"\xff\xfe", b"\xc0\xaf", b"\xe2\x82", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xf0\x9f\x98", b"\xf8\x88\x80\x80\x80", b"\xc3", b"\xe0\x80\x80"]
for b in bad:
    middle = [byte_token[x] for x in b]
    cases.append({"base64": base64.b64encode(b).decode(), "tokens": middle})
    cases.append({"base64": base64.b64encode(b"the " + b + b" world").decode(), "tokens": encode("the ") + middle + encode(" world")})
    cases.append({"base64": base64.b64encode(b + b"<bos>\n\n" + b).decode(), "tokens": middle + encode("<bos>\n\n") + middle})

# Decoding: any tokens at all, runs of bytes above all (of which this keeps no more than 60: what the runtime holds back).
decodes = []
for _ in range(300):
    ids = []
    while len(ids) < rng.randrange(1, 60):
        kind = rng.randrange(5)
        if kind == 0:
            ids.append(rng.randrange(tok.get_vocab_size()))
        elif kind == 1:
            ids.append(rng.randrange(24))
        elif kind == 2:
            ids += [byte_token[x] for x in chr(rng.choice([0xE9, 0x905, 0x4E2D, 0x1F600, 0x1F9FF])).encode()]
        elif kind == 3:
            ids.append(rng.choice(list(byte_token.values())))
        else:
            ids += encode(rng.choice(texts)[:5])
    run = longest = 0
    for i in ids:  # hidden tokens do not end a run
        run = run + 1 if i in byte_token.values() else run if i < 24 else 0
        longest = max(longest, run)
    if longest <= 60:
        decodes.append({"tokens": ids, "hidden": tok.decode(ids, skip_special_tokens=True), "shown": tok.decode(ids, skip_special_tokens=False)})

json.dump({"source": f"tokenizers {tokenizers.__version__}", "tokenizer": "gemma4-tiny/tokenizer.json", "cases": cases, "decodes": decodes},
          open("tokenizer/vectors.json", "w", encoding="utf-8"), ensure_ascii=False, separators=(",", ":"))
print(len(cases), "cases", sum(len(c["tokens"]) for c in cases), "tokens")
