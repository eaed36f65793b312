#!/usr/bin/env python3
"""Perplexity of the tiny model in other weight and cache formats stays near f32's.

The text is the first part of the held-out one (a whole pass for each format would take minutes). bf16 and w8 have the limits that the project promises;
the others are bounds that a wrong scale, group or nibble order breaks at once: llama.cpp's Q4_0 with all tables quantised loses 2.3 % on the whole text.
"""
import os

import gc_e2e as gc

LIMITS = [  # weight format, cache format, largest relative change of perplexity
    ("bf16", "f32", 0.01), ("w8", "f32", 0.01), ("w8g32", "f16", 0.01), ("w4g32", "kv8", 0.06), ("w4", "f32", 0.35),
    ("w4g128", "f32", 0.15), ("q4_k", "f32", 0.06), ("q6_k", "f32", 0.01), ("nf4", "f32", 0.08), ("f32", "kv8", 0.01), ("f32", "kv4", 0.10),
]
report = gc.Report()
folder = gc.scratch("formats")
with open(os.path.join(gc.TINY, "eval", "heldout.txt"), "rb") as file:
    part = file.read(30000)
text = os.path.join(folder, "part.txt")
with open(text, "wb") as file:
    file.write(part[:part.rindex(b"\n") + 1])


def perplexity(weights, cache):
    artifact = gc.compiled_as(weights, cache)
    return gc.grun_json(artifact, "--perplexity", text)["perplexity"], os.path.getsize(artifact)


base, base_bytes = perplexity("f32", "f32")
report.note(f"f32 / f32: perplexity {base:.4f}, artifact {base_bytes} bytes")
sizes = {}
for weights, cache, limit in LIMITS:
    value, artifact_bytes = perplexity(weights, cache)
    sizes[weights, cache] = artifact_bytes
    report.at_most(f"weights {weights}, caches {cache}: relative change", abs(value / base - 1), limit, f"perplexity {value:.4f}, artifact {artifact_bytes} bytes")
report.check("fewer bits make smaller artifacts", base_bytes > sizes["bf16", "f32"] > sizes["w8", "f32"] > sizes["w4", "f32"])
report.finish()
