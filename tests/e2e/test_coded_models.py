#!/usr/bin/env python3
"""Quantized folders of other tools, end to end: a micro model that MLX, compressed-tensors, bitsandbytes, GPTQModel, AutoAWQ and ModelOpt quantized is compiled and run.

The golden logits are transformers' with the weights that each tool's own dequantizer gives (tests/scripts/make_coded_models.py). With weights in f32 ours have to be those to
float error; kept on the file's grid they differ by what int8 activations and the format's arithmetic cost, and by less than after one more rounding to as many bits.
"""
import json
import os

import gc_e2e as gc

report = gc.Report()
OPTIONS = ("--target", "host", "--context", 64, "--kv-format", "f32")
# What inspect says that matrices of 256 and of 128 columns are kept as, and weight formats that keep every matrix on its grid; the embedding is not quantized.
# The limits are about twice what is measured: int8 activations, on a random model.
W4 = "*=w4g128,*down_proj*=w4,*o_proj*=w4,embed_tokens.weight=f32"
FORMS = {
    "compressed-tensors": ({"w4g128", "w4"}, W4, 0.5),
    "mlx": (set(), None, None),
    "bitsandbytes": ({"nf4"}, "nf4,embed_tokens.weight=f32", 1e-4),  # computes with float activations
    "gptq": ({"w4g128", "w4"}, None, None),
    "awq": ({"w8g32", "w8"}, "*=w8g32,*down_proj*=w8,*o_proj*=w8,embed_tokens.weight=f32", 0.5),
    "modelopt": (set(), None, None),
}


def worst(artifact, ids, golden):
    return gc.worst_difference(gc.logits(artifact, ids), golden)[0]


for form, (grids, formats, limit) in FORMS.items():
    model = os.path.join(gc.DATA, "coded", "models", form)
    tensors, _ = gc.read_safetensors(os.path.join(model, "golden.safetensors"))
    ids, golden = list(gc.values(tensors["ids"])), gc.rows(tensors["logits"])
    seen = json.loads(gc.must([gc.GCOMPILE, "inspect", model, "--json"]).stdout)["classes"]
    report.equal(f"{form}: kept as", {entry["kept_as"] for name in seen for entry in seen[name]} - {None}, grids)
    report.at_most(f"{form}: f32 weights against the tool's own values", worst(gc.compiled(model, *OPTIONS, "--weight-format", "f32"), ids, golden), 1e-4)
    if formats:
        report.at_most(f"{form}: weights on the file's grids", worst(gc.compiled(model, *OPTIONS, "--weight-format", formats), ids, golden), limit)
report.finish()
