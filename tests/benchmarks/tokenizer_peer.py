#!/usr/bin/env python3
"""tokenizer-bench and the reference library on the same texts, one after the other: equal tokens, MB/s of processor time on one core.

    python3 tests/benchmarks/tokenizer_peer.py BUILD/bin/tokenizer-bench tokenizer.json TEXT… [--random MEGABYTES]        (PyPI: tokenizers)

TEXT is UTF-8; --random makes one of each kind (see `random_texts`) from the vocabulary and a fixed seed. With a .gguf file in place of tokenizer.json (PyPI: gguf) the library reads
its tokenizer as one, and ours reads both: the sections have to be equal. The vocabulary of real size is models/ggml-vocab-gemma-4.gguf inside the source package of PyPI's
llama-cpp-python. If FILE.inp and FILE.out lie beside it, its vectors are checked too.
"""
import argparse
import array
import json
import os
import random
import subprocess
import sys
import tempfile
import time

# Special in the checkpoint's tokenizer.json; llama.cpp's converter marks them as the user's own, so that its parser of answers sees them.
VISIBLE = {"<|channel>", "<channel|>", "<|tool_call>", "<tool_call|>", "<|tool_response>", "<tool_response|>", "<|\"|>"}


def from_gguf(path, out):
    """tokenizer.json with the tokenizer of a GGUF file of Gemma's kind."""
    import gguf
    fields = gguf.GGUFReader(path).fields
    strings = lambda key: [bytes(fields[key].parts[i]).decode() for i in fields[key].data]
    pieces, merges = strings("tokenizer.ggml.tokens"), strings("tokenizer.ggml.merges")
    types = [int(fields["tokenizer.ggml.token_type"].parts[i][0]) for i in fields["tokenizer.ggml.token_type"].data]
    mark = "\u2581"
    added = [{"id": i, "content": pieces[i], "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": kind == 3 or pieces[i] in VISIBLE}
             for i, kind in enumerate(types) if kind in (3, 4)]
    cut = [merge.index(" ", 1) for merge in merges]
    value = {"version": "1.0", "added_tokens": added, "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": mark},
             "decoder": {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": mark}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}]},
             "model": {"type": "BPE", "unk_token": "<unk>", "fuse_unk": True, "byte_fallback": True, "ignore_merges": False,
                       "vocab": {piece: i for i, piece in enumerate(pieces)}, "merges": [[m[:i], m[i + 1:]] for m, i in zip(merges, cut)]}}
    with open(out, "w", encoding="utf-8") as file:
        json.dump(value, file, ensure_ascii=False)


def random_texts(vocabulary, size):
    """{kind: text of so many bytes}: pieces in any order with and without spaces, every character there is, emoji with modifiers and joiners, letters under stacks of marks,
    runs of one character, special tokens whole and cut; `mixed` takes a little of each in turn."""
    draw = random.Random(20261122)
    with open(vocabulary, encoding="utf-8") as file:
        value = json.load(file)
    special = [token["content"] for token in value["added_tokens"]]
    pieces = [piece.replace("\u2581", " ") for piece in value["model"]["vocab"] if piece not in set(special) and not (len(piece) == 6 and piece.startswith("<0x"))]
    bare = [piece.strip() for piece in pieces if piece.strip() and piece.isascii()]
    wide = [piece.strip() for piece in pieces if piece.strip() and not piece.isascii()]

    def character():
        code = draw.randrange(0x110000 - 0x800)
        return chr(code if code < 0xd800 else code + 0x800)

    def emoji():
        faces = (chr(draw.choice((0x1f600, 0x1f300, 0x1f900, 0x2600)) + draw.randrange(0x60)) + draw.choice(("", "\ufe0f", chr(0x1f3fb + draw.randrange(5)))) for _ in range(draw.randint(1, 5)))
        return draw.choice(("\u200d", "", " ")).join(faces)

    makers = {
        "pieces": lambda: draw.choice(pieces),
        "no spaces, ASCII": lambda: draw.choice(bare),
        "no spaces, other scripts": lambda: draw.choice(wide),
        "all characters": character,
        "emoji": emoji,
        "marks": lambda: draw.choice(" abcdefgh\u05d0\u0915\u0e01") + "".join(chr(draw.choice((0x300, 0x323, 0x591, 0x941, 0x20d0, 0xe34)) + draw.randrange(6)) for _ in range(draw.randrange(12))),
        "runs": lambda: draw.choice(("\n", "\n", " ", "\t", "-", "=", "a", "\u4e2d", "\r\n")) * draw.choice((draw.randint(1, 70), draw.randint(1, 3000))),
        "special tokens": lambda: draw.choice((special[draw.randrange(len(special))], draw.choice(special)[:-1], draw.choice(pieces), "<", "|>")),
    }

    def fill(make):
        parts, length = [], 0
        while length < size:
            parts.append(make())
            length += len(parts[-1].encode())
        return "".join(parts)

    texts = {kind: fill(make) for kind, make in makers.items()}
    texts["mixed"] = fill(lambda: "".join(make() for make in [draw.choice(list(makers.values()))] * draw.randint(1, 30)))
    return texts


def main():
    import tokenizers
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bench")
    parser.add_argument("vocabulary")
    parser.add_argument("texts", nargs="*")
    parser.add_argument("--random", type=float, default=0, metavar="MEGABYTES", help="of each kind")
    arguments = parser.parse_args()
    source, vocabulary, texts, failed = arguments.vocabulary, arguments.vocabulary, arguments.texts, False
    with tempfile.TemporaryDirectory() as folder:
        ids_path = os.path.join(folder, "ids")

        def ours(path, *options, file=source):
            printed = subprocess.run([arguments.bench, file, path, "--ids", ids_path, *options], check=True, capture_output=True, text=True).stdout
            ids = array.array("i")
            with open(ids_path, "rb") as stream:
                ids.frombytes(stream.read())
            return ids.tolist(), printed

        if source.endswith(".gguf"):
            vocabulary = os.path.join(folder, "tokenizer.json")
            from_gguf(source, vocabulary)
            sections = []
            for file in (source, vocabulary):
                ours(os.devnull, "--repeat", "1", "--section", ids_path + ".section", file=file)
                with open(ids_path + ".section", "rb") as stream:
                    sections.append(stream.read())
            failed |= sections[0] != sections[1]
            print(f"sections of {len(sections[0])} bytes from GGUF and from tokenizer.json: {'equal' if sections[0] == sections[1] else 'NOT EQUAL'}")
        reference = tokenizers.Tokenizer.from_file(vocabulary)
        for kind, text in random_texts(vocabulary, round(arguments.random * 1e6)).items() if arguments.random else ():
            texts.append(os.path.join(folder, kind))
            with open(texts[-1], "w", encoding="utf-8", newline="") as file:
                file.write(text)
        for path in texts:
            ids, printed = ours(path)
            with open(path, encoding="utf-8", newline="") as file:
                text = file.read()
            begin = time.process_time()
            wanted = reference.encode(text, add_special_tokens=False).ids
            rate = len(text.encode()) / 1e6 / (time.process_time() - begin)
            equal = ids == wanted
            failed |= not equal
            print(f"{os.path.relpath(path, folder) if path.startswith(folder) else path}: {len(wanted)} tokens, {'equal' if equal else 'NOT EQUAL'}; reference {rate:.2f} MB/s; ours:\n{printed}", end="", flush=True)
        if os.path.exists(source + ".inp"):
            with open(source + ".inp", encoding="utf-8", newline="") as file:
                cases = file.read().split("\n__ggml_vocab_test__\n")
            with open(source + ".out", encoding="utf-8") as file:
                wanted = [[int(x) for x in line.split()] for line in file.read().split("\n")]
            good = 0
            for case, tokens in zip(cases, wanted):
                path = os.path.join(folder, "case")
                with open(path, "w", encoding="utf-8", newline="") as file:
                    file.write(case)
                good += ours(path, "--repeat", "1", "--plain")[0] == tokens
            failed |= good != len(cases) or not cases
            print(f"{good} of {len(cases)} vectors of {os.path.basename(source)} are equal")
    sys.exit(1 if failed else 0)


main()
