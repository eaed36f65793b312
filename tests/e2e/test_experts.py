#!/usr/bin/env python3
"""The mixture of experts: every way through the tokens agrees whatever the threads, each kind of weight format works, and plans count experts as they are.

The reference logits of these models are checked by test_conformance. The micro models have windows of 8 or 16 in their local layers.
"""
import json
import os
import random
import re

import gc_e2e as gc

report = gc.Report()
random.seed(23)
forced = [2] + [random.randrange(10, 200) for _ in range(300)]
cuts = (1, 2, 17, 63, 64, 65, 127, 128, 129, 200, 257, 300)


def threads_agree(title, artifact):
    rows = [gc.grun_json(artifact, "--logits", "--tokens", gc.token_list(forced[:70]), "--threads", n)["logits"] for n in (1, 3)]
    report.equal(f"{title}: logits of one and three threads differ by", gc.worst_difference(*rows)[0], 0.0)


for model in ("conformance/26b-a4b-moe-like", "conformance-f32/moe"):
    artifact = gc.reference(model, context=512)
    rows = gc.logits(artifact, forced)
    # Tokens that prefill (chunks that end anywhere) and decoding with the cache choose, against scoring.
    wrong = [cut for cut in cuts if max(rows[cut - 1]) - rows[cut - 1][gc.generate(artifact, forced[:cut], 1)[0]] >= 1e-3]
    report.equal(f"{model}: prefixes whose next token differs between prefill + decode and scoring", wrong, [])
    decoded = gc.generate(artifact, forced[:40], 60)
    sequence = forced[:40] + decoded
    scored = gc.logits(artifact, sequence)
    wrong = [p for p in range(40, 100) if max(scored[p - 1]) - scored[p - 1][sequence[p]] >= 1e-3]
    report.equal(f"{model}: decoded tokens that scoring would not choose", wrong, [])
    report.equal(f"{model}: prefill continues as decoding did", gc.generate(artifact, sequence[:70], 20), sequence[70:90])
    worst = max(gc.worst_difference(gc.logits(artifact, forced[:cut]), rows[:cut])[0] for cut in (5, 64, 100, 250))
    report.at_most(f"{model}: logits of prefixes scored alone", worst, 1e-4)
    threads_agree(f"{model} f32", artifact)

# The weights of this model are bf16: kept in 16 bits they are the same; fewer bits move the logits, and formats that lose less move them less. A random
# model exaggerates that, since a router that changes its mind changes all that follows: the limits are about twice what was measured.
rounded = "conformance/26b-a4b-moe-like"
exact = gc.logits(gc.reference(rounded, context=512), forced[:120])


def mean_difference(artifact):
    rows = gc.logits(artifact, forced[:120])
    return sum(abs(a - b) for x, y in zip(rows, exact) for a, b in zip(x, y)) / (len(exact) * len(exact[0]))


# One of each kind of product (floats, a scale a row, a scale a group) and of each width; kernel tests (ExpertKernels) have the products of every format on every processor.
LIMITS = {"bf16": 0, "w8": 0.1, "w4g32": 0.8, "w2": 2.0}
for weights, limit in LIMITS.items():
    artifact = gc.compiled_as(weights, "f32", rounded, context=512)
    report.at_most(f"{weights}: mean difference of logits from f32", mean_difference(artifact), limit)
    rows = gc.logits(artifact, forced[:200])
    # An input at a border between two of its 255 codes may go either way, and with it an expert: few tokens may differ.
    wrong = [cut for cut in (1, 33, 64, 65, 128, 199) if max(rows[cut - 1]) - rows[cut - 1][gc.generate(artifact, forced[:cut], 1)[0]] >= 0.1]
    report.check(f"{weights}: prefixes whose next token differs between prefill + decode and scoring", not wrong, wrong)
    threads_agree(weights, artifact)

model = "conformance-f32/moe"
# What plans say: router in floats, experts of a layer together, bytes as they lie in the file, memory as it is measured.
for weights in ("w4", "w8"):
    options = ["--model", f"{gc.DATA}/{model}", "--target", "host", "--weight-format", weights, "--kv-format", "f32", "--context", "512", "--json"]
    plan = json.loads(gc.must([gc.GCOMPILE, "plan", *options]).stdout)
    tensors = {tensor["name"]: tensor for tensor in plan["tensors"]}
    report.equal(f"{weights}: formats of routers", {t["format"] for t in tensors.values() if t["role"] == "router"}, {"f32"})
    # 8 experts of 48 x 64 and of 64 x 24, padded to 64 x 64: 64 x 64 codes, 64 scales; w8 has 64 corrections besides. 128-byte borders fall on blobs.
    blob = {"w4": 2048 + 256, "w8": 4096 + 512}[weights]
    for name in ("experts.gate_up_proj", "experts.down_proj"):
        report.equal(f"{weights}: bytes of {name}", [t["bytes"] for t in tensors.values() if t["name"].endswith(name)], [8 * blob] * 6)
    bench = gc.grun_json(gc.compiled_as(weights, "f32", model, context=512), "--bench", "--prompt-tokens", 300, "--decode-tokens", 32)
    for category in plan["memory"]:
        want, got = plan["memory"][category], bench["memory"][category]
        report.check(f"{weights}: {category}", abs(want - got) <= max(0.03 * want, 8 << 20), f"planned {want}, measured {got}")
mixed = gc.compiled(rounded, "--target", "host", "--weight-format", "*=f32,*gate_up_proj=w4g32,*experts.down_proj=w8", "--kv-format", "f32", "--context", 512)
report.at_most("experts in w4g32 and w8, the rest in f32: mean difference of logits from f32", mean_difference(mixed), 0.6)

# Experts on storage (docs/decisions/0012): not a bit differs from experts in memory, whatever the cache holds and on however many threads. Chunks are the same on both
# sides: rings are as long as chunks ask, and attention sums in the order of their blocks.
folder = gc.scratch("experts")


def replayed(name, plan_text, artifact, slots=None, chunk=None):
    """Compiles a plan with other slots and chunks."""
    text = plan_text
    if slots is not None:
        text = re.sub(r"expert_slots: \d+", f"expert_slots: {slots}", text)
    if chunk:
        text = re.sub(r"(prefill|score)_chunk: \d+", rf"\1_chunk: {chunk}", text)
    path = os.path.join(folder, f"{name}.textproto")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return gc.gcompile("--model", f"{gc.DATA}/{rounded}", "--target", "host", "--plan", path, "--quiet", "-o", artifact)


for weights in ("f32", "w4g32"):
    flags = ["--model", f"{gc.DATA}/{rounded}", "--target", "host", "--weight-format", weights, "--kv-format", "f32", "--context", 512]
    plan = gc.must([gc.GCOMPILE, "plan", *map(str, flags), "--experts", "storage", "--emit", "plan"]).stdout
    experts = json.loads(gc.must([gc.GCOMPILE, "plan", *map(str, flags), "--experts", "storage", "--json"]).stdout)["experts"]
    every = 8 * len({m for m in re.findall(r'name: "layers\.(\d+)\.experts', plan)})
    report.check(f"{weights}: a plan of experts on storage", experts["placement"] == "storage" and 8 <= experts["slots"] <= every, experts)
    memory_plan = gc.must([gc.GCOMPILE, "plan", *map(str, flags), "--experts", "memory", "--emit", "plan"]).stdout
    in_memory = {None: gc.compiled_as(weights, "f32", rounded, context=512)}
    cases = [(11, None)] if weights == "f32" else [(8, None), (every, None), (2, 1)]  # slots, chunk: as few as chunks allow, one for every expert
    for chunk in {chunk for _, chunk in cases} - {None}:
        in_memory[chunk] = os.path.join(folder, f"{weights}-memory-{chunk}.gpk")
        report.equal(f"{weights}: in memory, chunks of {chunk}", replayed("memory", memory_plan, in_memory[chunk], chunk=chunk).code, 0)
    wanted = {chunk: gc.logits(path, forced[:150]) for chunk, path in in_memory.items()}
    spoken = gc.generate(in_memory[None], forced[:60], 24)
    for slots, chunk in cases:
        name = f"{weights}-{slots}-{chunk}"
        artifact = os.path.join(folder, f"{name}.gpk")
        result = replayed(name, plan, artifact, slots, chunk)
        if not report.equal(f"{name}: compiles", (result.code, result.stderr if result.code else ""), (0, "")):
            continue
        for threads in (1, 3):
            rows = gc.grun_json(artifact, "--logits", "--tokens", gc.token_list(forced[:150]), "--threads", threads)["logits"]
            report.equal(f"{name}: logits on {threads} threads differ from experts in memory by", gc.worst_difference(rows, wanted[chunk])[0], 0.0)
        report.equal(f"{name}: decoding", gc.generate(artifact, forced[:60], 24), gc.generate(in_memory[chunk], forced[:60], 24))
        bench = gc.grun_json(artifact, "--bench", "--prompt-tokens", 40, "--decode-tokens", 24)
        # Where every expert has a slot it is read once at most; where not, the two layers push each other out.
        missed = bench["experts"]["missed"]
        report.check(f"{name}: misses", bench["experts"]["slots"] == slots and bench["experts"]["asked"] > 0 and (missed <= every if slots == every else missed > 0), bench["experts"])
        for category, want in bench["planned"].items():
            report.check(f"{name}: {category}", abs(want - bench["memory"][category]) <= max(0.03 * want, 1 << 20), f"planned {want}, measured {bench['memory'][category]}")
        # The cache is exactly its slots, and an index of some bytes.
        block = os.path.getsize(artifact) and json.loads(gc.must([gc.GCOMPILE, "inspect", artifact, "--json"]).stdout)["memory"]["tables"] // slots
        report.check(f"{name}: resident cache", slots * block <= bench["memory"]["tables"] <= slots * block + 8192, f"{slots} slots of {block}, resident {bench['memory']['tables']}")
        report.equal(f"{name}: every byte is checked", gc.run([gc.GCOMPILE, "verify", artifact]).code, 0)
    if gc.QEMU_AARCH64 and os.path.exists(gc.GRUN_AARCH64) and weights == "w4g32":
        other = os.path.join(folder, "aarch64.gpk")
        gc.must([gc.GCOMPILE, "--model", f"{gc.DATA}/{rounded}", "--target", "graviton3", "--weight-format", weights, "--kv-format", "f32", "--context", "512", "--experts", "storage", "--quiet", "-o", other])
        report.equal("aarch64: decoding with experts on storage", gc.generate(other, forced[:60], 8, emulator=(gc.QEMU_AARCH64,)), spoken[:8])

# What cannot be is refused by name.
for slots, chunk, words in ((7, None, "expert_slots is 7, expected 8"), (every + 1, None, f"to {every}"), (0, None, "expert_slots is 0")):
    result = replayed("refused", plan, os.path.join(folder, "refused.gpk"), slots, chunk)
    report.check(f"{slots} slots are refused", result.code == 1 and words in result.stderr, result)
mixed = re.sub(r'(name: "layers\.1\.experts\.down_proj".*?format: )"w4g32"', r'\1"w8"', plan, count=1, flags=re.S)
with open(os.path.join(folder, "mixed.textproto"), "w", encoding="utf-8") as file:
    file.write(mixed)
result = gc.gcompile("--model", f"{gc.DATA}/{rounded}", "--target", "host", "--plan", os.path.join(folder, "mixed.textproto"), "-o", os.path.join(folder, "mixed.gpk"))
report.check("formats that differ between layers on storage are refused", result.code == 1 and "experts on storage" in result.stderr, result)
result = gc.gcompile("plan", "--model", gc.TINY, "--target", "host", "--experts", "storage")
report.check("a model without experts says so", result.code == 0 and "--experts changes nothing" in result.stdout + result.stderr, result)
result = gc.gcompile("plan", "--model", "gemma-4-26B-A4B", "--target", "h100", "--experts", "storage")
report.check("programs that cannot ask are refused", result.code == 2 and "cannot ask for experts" in result.stderr, result)
result = gc.gcompile("plan", "--model", "gemma-4-26B-A4B", "--target", "pixel9", "--budget", "500MB")
report.check("what is too small names the least", result.code == 3 and "the smallest needs" in result.stderr, result)
with open(artifact, "rb") as file:
    data = file.read()
cut = os.path.join(folder, "cut.gpk")
with open(cut, "wb") as file:
    file.write(data[:-4096])
result = gc.grun(cut, "--tokens", "2,5", "-n", 1)
report.check("a file cut in its experts does not open", result.code == 1 and "cut short" in result.stderr, result)
report.finish()
