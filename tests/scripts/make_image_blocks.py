#!/usr/bin/env python3
"""Writes tests/data/conformance-f32/{dense,moe,unified}/blocks.safetensors: logits of the reference implementation where runs of positions are declared images.

    pip install torch transformers==5.23.0 safetensors
    python3 tests/scripts/make_image_blocks.py

The golden ids of each model stay what they are; only `mm_token_type_ids` says that some positions belong to images, so nothing but the mask differs. The longer run does not fit the window of 8.
`spans` holds for each position the first and the last one of its run, itself twice for text: what a compiled program is given.
"""
import os

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForImageTextToText

DATA = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "data", "conformance-f32")
RUNS = [(3, 14), (18, 21)]  # first and last position

for name in ("dense", "moe", "unified"):
    folder = os.path.join(DATA, name)
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager", config=AutoConfig.from_pretrained(folder)).eval()
    golden = load_file(os.path.join(folder, "golden.safetensors"))
    ids = golden["ids"]
    types, spans = torch.zeros_like(ids), torch.arange(ids.shape[1], dtype=torch.int32).repeat(2, 1).T.contiguous()
    for first, last in RUNS:
        types[0, first:last + 1] = 1
        spans[first:last + 1] = torch.tensor([first, last], dtype=torch.int32)
    with torch.no_grad():
        text = model(input_ids=ids).logits
        assert torch.allclose(text, golden["logits"], atol=1e-5), name
        logits = model(input_ids=ids, mm_token_type_ids=types).logits
    print(name, "differs from text by", float((logits - text).abs().max()))
    save_file({"ids": ids, "spans": spans, "logits": logits[0].contiguous()}, os.path.join(folder, "blocks.safetensors"))
