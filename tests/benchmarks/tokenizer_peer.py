#!/usr/bin/env python3
"""tokenizer-bench and the reference library on the same texts, one after the other: equal tokens, MB/s of processor time on one core.

    python3 tests/benchmarks/tokenizer_peer.py BUILD/bin/tokenizer-bench tokenizer.json TEXT…        (PyPI: tokenizers)

TEXT is UTF-8. With a .gguf file in place of tokenizer.json (PyPI: gguf) its tokenizer is written as one first; the vocabulary of real size is
models/ggml-vocab-gemma-4.gguf inside the source package of PyPI's llama-cpp-python. If FILE.inp and FILE.out lie beside it, its vectors are checked too.
"""
import array
import json
import os
import subprocess
import sys
import tempfile
import time


def from_gguf(path, out):
    """tokenizer.json with the tokenizer of a GGUF file of Gemma's kind."""
    import gguf
    fields = gguf.GGUFReader(path).fields
    strings = lambda key: [bytes(fields[key].parts[i]).decode() for i in fields[key].data]
    pieces, merges = strings("tokenizer.ggml.tokens"), strings("tokenizer.ggml.merges")
    types = [int(fields["tokenizer.ggml.token_type"].parts[i][0]) for i in fields["tokenizer.ggml.token_type"].data]
    mark = "\u2581"
    added = [{"id": i, "content": pieces[i], "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": kind == 3}
             for i, kind in enumerate(types) if kind in (3, 4)]
    cut = [merge.index(" ", 1) for merge in merges]
    value = {"version": "1.0", "added_tokens": added, "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": mark},
             "decoder": {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": mark}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}]},
             "model": {"type": "BPE", "unk_token": "<unk>", "fuse_unk": True, "byte_fallback": True, "ignore_merges": False,
                       "vocab": {piece: i for i, piece in enumerate(pieces)}, "merges": [[m[:i], m[i + 1:]] for m, i in zip(merges, cut)]}}
    with open(out, "w", encoding="utf-8") as file:
        json.dump(value, file, ensure_ascii=False)


def main():
    import tokenizers
    bench, vocabulary, texts = sys.argv[1], sys.argv[2], sys.argv[3:]
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        source, ids_path = vocabulary, os.path.join(folder, "ids")
        if vocabulary.endswith(".gguf"):
            vocabulary = os.path.join(folder, "tokenizer.json")
            from_gguf(source, vocabulary)
        reference = tokenizers.Tokenizer.from_file(vocabulary)

        def ours(path, *options):
            printed = subprocess.run([bench, vocabulary, path, "--ids", ids_path, *options], check=True, capture_output=True, text=True).stdout
            ids = array.array("i")
            with open(ids_path, "rb") as file:
                ids.frombytes(file.read())
            return ids.tolist(), printed

        for path in texts:
            ids, printed = ours(path)
            with open(path, encoding="utf-8", newline="") as file:
                text = file.read()
            begin = time.process_time()
            wanted = reference.encode(text, add_special_tokens=False).ids
            rate = len(text.encode()) / 1e6 / (time.process_time() - begin)
            equal = ids == wanted
            failed |= not equal
            print(f"{path}: {len(wanted)} tokens, {'equal' if equal else 'NOT EQUAL'}; reference {rate:.2f} MB/s; ours:\n{printed}", end="", flush=True)
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
