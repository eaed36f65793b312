#!/usr/bin/env python3
"""A full-size Gemma 4 (text) with random weights on disk, as people have it: a folder of sharded BF16 safetensors, or one GGUF file of BF16 or Q4_0 that stock llama.cpp loads.

Shapes come from presets/SIZE.json. The vocabulary has as many entries as the published one (made-up pieces, the same in every form), so that files open as slowly as real ones; `--no-vocabulary` leaves it out of
a GGUF file. Q4_0 means every matrix (4.5 bits a weight throughout; llama-quantize would keep the embedding at Q6_K). Values are windows of one pool of normal numbers, scaled by a power of two near 1/sqrt(columns);
norms are ones. Streams, with some 0.5 GB of memory. Needs numpy. Prints the bytes, and for Q4_0 those that a decoded token reads.
"""
import argparse
import json
import math
import os
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "e2e"))
import gc_e2e as gc  # noqa: E402
import gc_gemma4  # noqa: E402
import gc_gguf  # noqa: E402

SHARD_BYTES = 4_000_000_000
PIECE = 1 << 22  # values written at once


class Values:
    def __init__(self, seed):
        self.random = np.random.default_rng(seed)
        self.pools = {}

    def _windows(self, pool, count, size):
        while count:
            length = min(count, size)
            start = int(self.random.integers(0, len(pool) - length))
            yield pool[start:start + length]
            count -= length

    def bf16(self, shape):
        if len(shape) == 1:
            return gc.Stream(2 * shape[0], [np.full(shape, 0x3f80, np.uint16)])
        if "bf16" not in self.pools:
            bits = (self.random.standard_normal(8 * PIECE, np.float32).view(np.uint32) + 0x8000 >> 16).astype(np.uint16)
            bits[(bits & 0x7fff) < 0x2000] = 0  # so that exponents never wrap
            self.pools["bf16"] = bits
        shift = np.uint16((exponent(shape) << 7) & 0xffff)
        pieces = (np.where(window == 0, window, window + shift) for window in self._windows(self.pools["bf16"], math.prod(shape), PIECE))
        return gc.Stream(2 * math.prod(shape), pieces)

    def q4_0(self, shape):
        """Blocks: an f16 scale, then 32 codes of 4 bits."""
        size = PIECE // 16
        if "q4_0" not in self.pools:
            blocks = self.random.integers(0, 1 << 16, (8 * size, 9), np.uint16)
            blocks[:, 0] = (self.random.uniform(0.9, 1.1, len(blocks)) / 4.61).astype(np.float16).view(np.uint16)
            self.pools["q4_0"] = blocks
        shift = np.array([(exponent(shape) << 10) & 0xffff] + [0] * 8, np.uint16)
        pieces = (window + shift for window in self._windows(self.pools["q4_0"], math.prod(shape) // 32, size))
        return gc.Stream(math.prod(shape) // 32 * 18, pieces)

    def f32(self, shape):
        bits = np.concatenate([piece.reshape(-1) for piece in self.bf16(shape).pieces])
        return (bits.astype(np.uint32) << 16).tobytes()


def exponent(shape):
    """The power of two near the deviation 1/sqrt(columns)."""
    return -round(math.log2(shape[-1]) / 2)


def write_json(folder, name, value):
    with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
        json.dump(value, file)


def write_folder(folder, preset, values):
    os.makedirs(folder)
    shards, room = [], 0
    for name, shape in gc_gemma4.tensors(preset["text_config"]):
        size = 2 * math.prod(shape)
        if not shards or size > room:
            shards.append({})
            room = max(SHARD_BYTES, size)
        room -= size
        shards[-1]["model.language_model." + name] = shape
    index = {}
    for number, shard in enumerate(shards):
        file_name = f"model-{number + 1:05}-of-{len(shards):05}.safetensors"
        index |= dict.fromkeys(shard, file_name)
        gc.write_safetensors(os.path.join(folder, file_name), {name: ("BF16", shape, values.bf16(shape)) for name, shape in shard.items()}, {"format": "pt"})
    write_json(folder, "model.safetensors.index.json", {"metadata": {}, "weight_map": index})
    write_json(folder, "config.json", {key: value for key, value in preset.items() if key not in ("vision_config", "audio_config", "generation_config")})
    write_json(folder, "generation_config.json", preset["generation_config"])
    write_json(folder, "tokenizer.json", gc_gemma4.tokenizer(preset["text_config"]["vocab_size"]))
    return {"file_bytes": sum(os.path.getsize(os.path.join(folder, name)) for name in os.listdir(folder))}


def write_gguf(path, preset, values, quantized, has_vocabulary):
    c = preset["text_config"]
    keys, rope = gc_gguf.keys_of_config(c)
    keys["general.file_type"] = 2 if quantized else 32
    keys |= gc_gguf.keys_of_tokenizer(gc_gemma4.tokenizer(c["vocab_size"])) if has_vocabulary else {"tokenizer.ggml.model": "none", "gemma4.vocab_size": c["vocab_size"]}
    tensors, read = {"rope_freqs.weight": rope}, 0
    for name, shape in gc_gemma4.tensors(c):
        if len(shape) == 1 or "router" in name:
            tensor = (gc_gguf.F32, shape, values.f32(shape))
        else:
            tensor = (gc_gguf.Q4_0, shape, values.q4_0(shape)) if quantized else (gc_gguf.BF16, shape, values.bf16(shape))
        tensors[gc_gguf.name_of(name)] = tensor
        rows_read = 1 if name == "embed_tokens_per_layer.weight" else c["top_k_experts"] if len(shape) == 3 else shape[0]
        read += len(tensor[2]) // shape[0] * rows_read
    gc_gguf.write(path, keys, tensors)
    return {"file_bytes": os.path.getsize(path), "bytes_per_token": read}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("size", help="gemma-4-E2B, gemma-4-E4B, gemma-4-26B-A4B, …: a file of presets/")
    parser.add_argument("form", choices=("safetensors", "gguf-bf16", "gguf-q4_0"))
    parser.add_argument("output", help="a new folder, or a file")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-vocabulary", action="store_true", help="of a GGUF file")
    arguments = parser.parse_args()
    preset, values = gc_gemma4.preset(arguments.size), Values(arguments.seed)
    if arguments.form == "safetensors":
        facts = write_folder(arguments.output, preset, values)
    else:
        facts = write_gguf(arguments.output, preset, values, arguments.form == "gguf-q4_0", not arguments.no_vocabulary)
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
