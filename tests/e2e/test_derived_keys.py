#!/usr/bin/env python3
"""Layers with K = V cache V alone: the plan says so and counts it, memory measured is memory planned, and every way through the tokens agrees.

The reference logits of these models are checked by test_conformance. The micro models have windows of 16 in their local layers; global layers see all.
"""
import json
import os
import random

import gc_e2e as gc

report = gc.Report()
random.seed(11)
forced = [2] + [random.randrange(10, 250) for _ in range(300)]
# (model, global layers, heads, head size) as config.json has them.
for model, layers, heads, size in (("conformance/12b-unified-like", 2, 1, 32), ("conformance/31b-dense-like", 1, 1, 32), ("conformance-f32/dense", 2, 1, 32)):
    artifact = gc.reference(model, context=512)
    rows = gc.logits(artifact, forced)
    # Tokens that prefill and decoding with the cache choose, against scoring; chunks end inside, at and after blocks of 64.
    wrong = [cut for cut in (1, 2, 17, 63, 64, 65, 127, 129, 200, 257, 300)
             if max(rows[cut - 1]) - rows[cut - 1][gc.generate(artifact, forced[:cut], 1)[0]] >= 1e-3]
    report.equal(f"{model}: prefixes whose next token differs between prefill + decode and scoring", wrong, [])
    worst = max(gc.worst_difference(gc.logits(artifact, forced[:cut]), rows[:cut])[0] for cut in (5, 64, 100, 250))
    report.at_most(f"{model}: logits of prefixes scored alone", worst, 1e-4)
    for cache, width, scale in (("f32", 4, 0), ("kv8", 1, 4)):
        plan = json.loads(gc.must([gc.GCOMPILE, "plan", "--model", f"{gc.DATA}/{model}", "--target", "host", "--kv-format", cache, "--context", "512", "--json"]).stdout)
        kv = {entry["layer_type"]: entry for entry in plan["kv_cache"]}
        report.equal(f"{model} {cache}: k and v of global layers", (kv["global"]["k"], kv["global"]["v"]), ("derived", cache))
        report.equal(f"{model} {cache}: k and v of local layers", (kv["local"]["k"], kv["local"]["v"]), (cache, cache))
        report.equal(f"{model} {cache}: bytes of global caches", kv["global"]["bytes"], layers * heads * 512 * (size * width + scale))

# Whole caches in use: measured is planned, to the page. The model allows 512 positions; a copy allows more.
model = gc.scratch("derived_keys_long")
source = f"{gc.DATA}/conformance/12b-unified-like"
for name in os.listdir(source):
    if name != "config.json":
        os.symlink(f"{source}/{name}", f"{model}/{name}")
with open(f"{source}/config.json", encoding="utf-8") as file:
    config = json.load(file)
config.get("text_config", config)["max_position_embeddings"] = 8192
with open(f"{model}/config.json", "w", encoding="utf-8") as file:
    json.dump(config, file)
for cache in ("f32", "kv8"):
    artifact = gc.compiled_as("f32", cache, model, context=8192)
    plan = json.loads(gc.must([gc.GCOMPILE, "plan", "--model", model, "--target", "host", "--weight-format", "f32", "--kv-format", cache,
                               "--context", "8192", "--json"]).stdout)
    bench = gc.grun_json(artifact, "--bench", "--prompt-tokens", 8150, "--decode-tokens", 32)
    planned, measured = plan["memory"]["kv_cache"], bench["memory"]["kv_cache"]
    report.check(f"whole caches, {cache}: kv_cache measured as planned", abs(planned - measured) <= 0.01 * planned + 16384, f"planned {planned}, measured {measured}")
    for category in plan["memory"]:
        want, got = plan["memory"][category], bench["memory"][category]
        report.check(f"whole caches, {cache}: {category}", abs(want - got) <= max(0.03 * want, 8 << 20), f"planned {want}, measured {got}")

# A plan from before keys were derived still replays, and one that says "derived" of another model is refused.
folder = gc.scratch("derived_keys")
command = [gc.GCOMPILE, "plan", "--target", "host", "--context", "512", "--kv-format", "kv8", "--model"]
gc.must(command + [model, "--emit", "plan", "-o", f"{folder}/new.textproto"])
with open(f"{folder}/new.textproto", encoding="utf-8") as file:
    text = file.read()
report.equal("the plan file says k: \"derived\" once", text.count('k: "derived"'), 1)
with open(f"{folder}/old.textproto", "w", encoding="utf-8") as file:
    file.write(text.replace('k: "derived"', 'k: "kv8"'))
again = json.loads(gc.must(command[:2] + ["--target", "host", "--model", model, "--plan", f"{folder}/old.textproto", "--json"]).stdout)
report.equal("an older plan's k, replayed", [entry["k"] for entry in again["kv_cache"] if entry["layer_type"] == "global"], ["derived"])
gc.must(command + [gc.TINY, "--emit", "plan", "-o", f"{folder}/tiny.textproto"])
with open(f"{folder}/tiny.textproto", encoding="utf-8") as file:
    text = file.read()
with open(f"{folder}/wrong.textproto", "w", encoding="utf-8") as file:
    file.write(text.replace('k: "kv8"', 'k: "derived"'))
refused = gc.run(command[:2] + ["--target", "host", "--model", gc.TINY, "--plan", f"{folder}/wrong.textproto"])
report.check("a plan that derives keys which are no values is refused", refused.code == 1 and "derived" in refused.stderr, f"exit code {refused.code} {refused.stderr.strip()[-200:]}")
report.finish()
