#!/usr/bin/env python3
"""The forecast over two engines: the processor's column is the plan's prediction, the split is the best of all assignments (tried one by one on a small model), what a profile
does not state is left out, and no decision changes."""
import itertools
import json
import os
import re

import gc_e2e as gc

report = gc.Report()
folder = gc.scratch("engines")
SMALL = os.path.join(gc.DATA, "conformance", "e2b-like")


def plan_for(target, *more, model="gemma-4-E2B", budget="2GB"):
    return json.loads(gc.must([gc.GCOMPILE, "plan", "--model", model, "--target", target, "--budget", budget, "--json", *more]).stdout)


def times(blocks, assignment, handover):
    """Seconds of blocks on the engines that `assignment` names; None: one cannot do what it is given."""
    total = 0
    for index, (block, engine) in enumerate(zip(blocks, assignment)):
        seconds = block["seconds"][engine]
        if seconds is None:
            return None
        total += seconds + (handover if index and assignment[index - 1] != engine else 0)
    return total


def brute_force(blocks, engines, handover):
    """The least time of all assignments: a walk over them that carries the sum along."""
    best = float("inf")

    def walk(index, before, total):
        nonlocal best
        if total >= best:  # times are not negative: nothing better follows
            return
        if index == len(blocks):
            best = total
            return
        for engine in engines:
            seconds = blocks[index]["seconds"][engine]
            if seconds is not None:
                walk(index + 1, engine, total + seconds + (handover if before not in (None, engine) else 0))

    walk(0, None, 0)
    return best


def check_split(title, plan, phase, chunks):
    """The split of a phase against its own blocks. Returns its share of free blocks on the second engine."""
    split, engines = plan["engines"]["best_split"], plan["engines"]["best_split"]["engines"]
    forecast = split[phase]
    blocks, handover = forecast["blocks"], split["handover"]["seconds"] * chunks
    tokens = 1 if phase == "decode" else min(512, plan["context"] // 2)
    chosen = [block["engine"] for block in blocks]
    stated = times(blocks, chosen, handover)
    report.check(f"{title}, {phase}: the speed is that of its blocks", stated and abs(forecast["tokens_per_second"] * stated / tokens - 1) < 1e-9, f"{forecast['tokens_per_second']} {stated}")
    changes = sum(a != b for a, b in zip(chosen, chosen[1:]))
    report.equal(f"{title}, {phase}: handovers", forecast["handovers"], changes)
    report.check(f"{title}, {phase}: their time", abs(forecast["handover_seconds"] - changes * handover) < 1e-12)
    report.equal(f"{title}, {phase}: shares", [share["blocks"] for share in forecast["shares"]], [chosen.count(engine) for engine in engines])
    report.check(f"{title}, {phase}: range around it", forecast["low"] < forecast["tokens_per_second"] < forecast["high"])
    # Each engine's column is in the blocks too: the processor's is what the plan predicts.
    alone = times(blocks, ["cpu"] * len(blocks), handover)
    report.check(f"{title}, {phase}: the processor's blocks sum to the plan's prediction", abs(plan["predicted"][f"{phase}_tokens_per_second"] * alone / tokens - 1) < 1e-9)
    other = times(blocks, [engines[1] if block["seconds"][engines[1]] is not None else "cpu" for block in blocks], handover)
    listed = next(engine for engine in plan["engines"]["list"] if engine["name"] == engines[1])
    report.check(f"{title}, {phase}: the other engine's too", abs(listed[f"{phase}_tokens_per_second"] * other / tokens - 1) < 1e-9)
    report.check(f"{title}, {phase}: no worse than either", stated <= min(alone, other) * (1 + 1e-9))
    if len(blocks) <= 24:
        least = brute_force(blocks, engines, handover)
        report.check(f"{title}, {phase}: the least of all assignments", abs(stated / least - 1) < 1e-9, f"{stated} {least}")
    free = [block for block in blocks if block["seconds"][engines[1]] is not None]
    return sum(block["engine"] != "cpu" for block in free) / len(free)


# A phone whose profile states it all.
plan = plan_for("galaxys26ultra")
report.equal("engines of a phone", [(engine["name"], engine["compiled"]) for engine in plan["engines"]["list"]], [("cpu", True), ("gpu", False)])
processor = plan["engines"]["list"][0]
report.equal("the processor's speeds are the plan's", {key: processor[key] for key in processor if key.startswith(("decode", "prefill"))}, {key: plan["predicted"][key] for key in processor if key.startswith(("decode", "prefill"))})
chunks = -(-min(512, plan["context"] // 2) // plan["prefill_chunk"])
for phase in ("decode", "prefill"):
    check_split("phone", plan, phase, 1 if phase == "decode" else chunks)
report.check("a handover has a source", len(plan["engines"]["best_split"]["handover"]["source"]) > 20)
table = gc.must([gc.GCOMPILE, "plan", "--model", "gemma-4-E2B", "--target", "galaxys26ultra", "--budget", "2GB"]).stdout
report.check("the table says whose speed the plan has", "best split" in table and "the speeds above are the cpu's" in table)

# Files keep it, without blocks; replaying counts it anew.
path, page = os.path.join(folder, "plan.textproto"), os.path.join(folder, "plan.html")
gc.must([gc.GCOMPILE, "plan", "--model", "gemma-4-E2B", "--target", "galaxys26ultra", "--budget", "2GB", "--quiet", "-o", path, "--report", page])
kept = json.loads(gc.must([gc.GCOMPILE, "inspect", path, "--json"]).stdout)


def without_blocks(engines):
    split = {key: {k: v for k, v in part.items() if k != "blocks"} if key in ("decode", "prefill") else part for key, part in engines["best_split"].items()}
    return {**engines, "best_split": split}


report.equal("a plan file keeps what is shown", kept.get("plan", kept)["engines"], without_blocks(plan["engines"]))
report.equal("a replay has it all", plan_for("galaxys26ultra", "--plan", path)["engines"], plan["engines"])
with open(page, encoding="utf-8") as file:
    text = file.read()
report.check("the page has it", '<section id="engines">' in text and "engines.best_split.decode.tokens_per_second" in text)

# One engine, or too little known of the second: no such block. No handover: engines, but no split.
for target in ("rtx4090", "epyc-zen4", "host", "pixel10", "raspberrypi5"):
    report.check(f"{target}: no engines", "engines" not in plan_for(target))
missing = plan_for("jetson-agx-orin")["engines"]
report.check("a profile without handover: no split, and why", missing["best_split"] is None and "handover_seconds" in missing["missing"] and len(missing["list"]) == 2)

# Small models, all assignments tried: speeds at which it pays to split, and others.
with open(os.path.join(gc.SOURCE, "profiles", "galaxys26ultra.textproto"), encoding="utf-8") as file:
    profile = file.read()


def figures(text, top, gpu, handover):
    """The profile with other bandwidths and another handover."""
    head, path, rest = re.fullmatch(r"(.*?)(paths \{\n  name: \"gpu\"\n.*?\n\}\n)(.*)", text, re.S).groups()
    path = path.replace("value: 56000000000", f"value: {gpu}").replace("value: 7.5e-05\n    low: 5e-05\n    high: 0.0001", f"value: {handover}")
    rest = rest.replace("value: 41000000000", f"value: {top}")
    changed = head + path + rest
    assert changed != text and f"value: {handover}" in changed and f"value: {top}" in changed
    return changed.replace('name: "galaxys26ultra"', 'name: "mine"')


own = os.path.join(folder, "own.textproto")
shares = []
for top, gpu, handover in itertools.product(("30000000", "100000000", "300000000"), ("2000000000", "20000000000"), ("1e-06", "2e-05", "0.001")):
    with open(own, "w", encoding="utf-8") as file:
        file.write(figures(profile, top, gpu, handover))
    plan = plan_for(own, model=SMALL, budget="10MB")
    chunks = -(-min(512, plan["context"] // 2) // plan["prefill_chunk"])
    shares += [check_split(f"small, {top} and {gpu} byte/s, {handover} s", plan, phase, 1 if phase == "decode" else chunks) for phase in ("decode", "prefill")]
report.check("some splits use both engines", sum(0 < share < 1 for share in shares) >= 3, str(shares))
report.check("and some one alone", 0.0 in shares and 1.0 in shares, str(shares))

# Nothing is decided by it: the same plan where the other engine is not known.
with open(own, "w", encoding="utf-8") as file:
    file.write(re.sub(r"paths \{\n  name: \"gpu\"\n.*?\n\}\n", "", profile, flags=re.S).replace('name: "galaxys26ultra"', 'name: "mine"'))
alone, both = plan_for(own), plan_for("galaxys26ultra")
report.equal("engines change no decision", {key: alone[key] for key in ("tensors", "kv_cache", "memory", "predicted", "optimality")}, {key: both[key] for key in ("tensors", "kv_cache", "memory", "predicted", "optimality")})
report.check("and are gone with the engine", "engines" not in alone)
report.finish()
