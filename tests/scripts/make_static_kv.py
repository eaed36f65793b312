#!/usr/bin/env python3
"""Logits of tests/data/conformance-f32/mobile_E with static scales of the KV cache, by the reference library: its own model with a cache that rounds
what it is given. Writes tests/data/conformance-f32/mobile_E/static_kv.json: the scales by layer and, for each formats "LOCAL,GLOBAL", the argmax and
the logits of a few positions.

Needs torch and transformers (5.23.0 was used): python3 tests/scripts/make_static_kv.py
"""
import json
import os

import torch
import transformers
from safetensors.torch import load_file
from transformers.cache_utils import DynamicCache

MODEL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data", "conformance-f32", "mobile_E")
BITS = {"kv8": 8, "kv4": 4, "f32": 0}
POSITIONS = (0, 7, 8, 15, 23)


def load():
    # 5.23.0 expects one scale a row of the per-layer table, which has one for each layer.
    model = transformers.AutoModelForImageTextToText.from_pretrained(MODEL, dtype=torch.float32, ignore_mismatched_sizes=True)
    tensors = load_file(os.path.join(MODEL, "model.safetensors"))
    name = "model.language_model.embed_tokens_per_layer.embedding_scale"
    table = model.get_submodule(name.rsplit(".", 1)[0])
    table.embedding_scale = torch.nn.Parameter(tensors[name], requires_grad=False)
    return model.eval()


class RoundingCache(DynamicCache):
    def __init__(self, config, scales, formats):
        super().__init__(config=config)
        self.scales, self.formats, self.is_local = scales, formats, [kind == "sliding_attention" for kind in config.layer_types]
        self.largest = {}

    def update(self, keys, values, layer, *args, **kwargs):
        bits = BITS[self.formats[0] if self.is_local[layer] else self.formats[1]]
        self.largest[layer] = [keys.abs().max().item(), values.abs().max().item()]
        rounded = []
        for x, scale in zip((keys, values), self.scales.get(layer, (0, 0))):
            if bits and scale:
                step = torch.tensor(scale * 2.0 ** ((8 if self.is_local[layer] else 4) - bits), dtype=torch.float32)
                x = torch.clamp(torch.round(x / step), -2 ** (bits - 1), 2 ** (bits - 1) - 1) * step
            rounded.append(x)
        return super().update(*rounded, layer, *args, **kwargs)


def main():
    model = load()
    golden = load_file(os.path.join(MODEL, "golden.safetensors"))
    config = model.config.get_text_config()

    def run(scales, formats):
        cache = RoundingCache(config, scales, formats)
        with torch.no_grad():
            return model(input_ids=golden["ids"], past_key_values=cache, use_cache=True).logits[0], cache.largest

    plain, largest = run({}, ("f32", "f32"))
    assert (plain - golden["logits"][0]).abs().max() < 1e-5
    # Nine tenths of the largest value, so that some are cut off: of 8-bit codes in local layers, of 4-bit codes in global ones.
    scales = {}
    for layer, (key, value) in sorted(largest.items()):
        most = 127 if config.layer_types[layer] == "sliding_attention" else 7
        scales[layer] = [torch.tensor(0.9 * x / most, dtype=torch.float32).item() for x in (key, value)]
    runs = {}
    for formats in (("kv8", "kv4"), ("kv8", "kv8"), ("kv4", "kv4")):
        logits, _ = run(scales, formats)
        print(formats, "differs from the model without by", (logits - plain).abs().max().item())
        runs[",".join(formats)] = {"argmax": logits.argmax(-1).tolist(), "logits": {p: [round(x, 6) for x in logits[p].tolist()] for p in POSITIONS}}
    with open(os.path.join(MODEL, "static_kv.json"), "w", encoding="utf-8") as file:
        json.dump({"scales": scales, "runs": runs}, file, separators=(",", ":"))
        file.write("\n")


main()
