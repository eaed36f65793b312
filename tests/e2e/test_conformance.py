#!/usr/bin/env python3
"""Random micro models of the E series, of the dense members (K = V layers included) and of the mixture of experts: logits of every position of every text case, and greedy continuations, equal the reference's."""
import json
import os

import gc_e2e as gc

report = gc.Report()
for member in ("e2b-like", "e4b-like", "12b-unified-like", "31b-dense-like", "26b-a4b-moe-like"):
    model = f"conformance/{member}"
    with open(os.path.join(gc.DATA, model, "goldens.json"), encoding="utf-8") as file:
        cases = json.load(file)["cases"]
    tensors, _ = gc.read_safetensors(os.path.join(gc.DATA, model, "goldens.safetensors"))
    artifact = gc.reference(model, context=512)
    texts = {name: case for name, case in cases.items() if not case["inputs"]}
    report.check(f"{member}: text cases", len(texts) == 3, sorted(texts))
    for name, case in texts.items():
        worst, where = gc.worst_difference(gc.logits(artifact, case["input_ids"]), gc.rows(tensors[case["logits"]]))
        report.at_most(f"{member} {name}: logits", worst, 1e-3, where)
        if "greedy" in case:
            report.equal(f"{member} {name}: greedy", gc.generate(artifact, case["input_ids"], len(case["greedy"])), case["greedy"])

for member in ("E", "dense", "unified", "moe"):
    model = f"conformance-f32/{member}"
    tensors, _ = gc.read_safetensors(os.path.join(gc.DATA, model, "golden.safetensors"))
    artifact = gc.reference(model, context=64)
    ids = list(gc.values(tensors["ids"]))
    worst, where = gc.worst_difference(gc.logits(artifact, ids), gc.rows(tensors["logits"]))
    report.at_most(f"{model} ({len(ids)} tokens): logits", worst, 1e-3, where)
report.finish()
