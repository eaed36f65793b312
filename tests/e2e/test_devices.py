#!/usr/bin/env python3
"""Devices and sizes as a user meets them: `gcompile targets`, profiles in files, sizes chosen and explained, towers planned and refused by name."""
import json
import os
import tempfile

import gc_e2e as gc

report = gc.Report()
folder = tempfile.mkdtemp(prefix="devices-")
nothing = {"env": dict(os.environ, GCOMPILE_MODELS=folder)}  # no checkpoint is found: presets are planned


def refused(name, code, part, *arguments):
    result = gc.gcompile(*arguments, **nothing)
    errors = [line for line in result.stderr.splitlines() if line.startswith("gcompile: error:")]
    report.check(name, result.code == code and len(errors) == 1 and part in errors[0], f"exit {result.code}: {result.stderr.strip()[:200]}")


# The list: every profile once, in groups, with what is made for it.
listed = gc.gcompile("targets")
report.check("targets are listed in groups", all(f"\n{group}\n" in "\n" + listed.stdout for group in ("phones", "boards", "laptops", "servers and cloud machines", "browsers")))
files = [name.removesuffix(".textproto") for name in os.listdir(os.path.join(gc.SOURCE, "profiles")) if name.endswith(".textproto")]
lines = {line.split()[0]: line for line in listed.stdout.splitlines() if line.startswith("  ") and line.strip()}
report.check("every profile is listed", len(files) >= 40 and all(name in lines for name in files))
report.check("and says what is made for it", lines["pixel9"].endswith("whole programs") and lines["web-wasm"].endswith("planned only"))
shown = gc.gcompile("targets", "pixel9").stdout
report.check("one target shows sources, dates and what is not known", all(part in shown for part in ("memory_bytes", "heuristic", "2026-", "no public path", "not known:")))
data = json.loads(gc.gcompile("targets", "pixel9", "--json").stdout)["targets"][0]
report.check("JSON has the facts with sources", all(fact["source"] and fact["confidence"] for fact in data["facts"]) and {path["access"] for path in data["paths"]} == {"open", "closed"})
refused("an unknown target names the nearest", 2, "did you mean 'pixel9'?", "targets", "pixle9")
refused("also where it is planned for", 2, "did you mean 'rtx4090'?", "plan", "--target", "rtx409", "--model", "gemma-4-E2B")

# A profile in a file.
own = os.path.join(folder, "own.textproto")
with open(os.path.join(gc.SOURCE, "profiles", "pixel9.textproto")) as file:
    text = file.read()


def write(changed):
    with open(own, "w") as out:
        out.write(changed)


write(text.replace('name: "pixel9"', 'name: "mine"'))
plan = json.loads(gc.gcompile("plan", "--target", own, "--model", "gemma-4-E2B", "--budget", "1GB", "--json").stdout)
report.check("a file is a target", plan["target"] == "mine" and plan["feasible"])
for name, old, new, part in (("negative figures", "value: 12000000000", "value: -12000000000", "'memory_bytes' is -1.2e+10"),
                             ("figures that are none", "value: 12000000000", "value: nan", "'memory_bytes'"),
                             ("huge figures", "value: 12000000000", "value: 1e300", "'memory_bytes'"),
                             ("wrong units", 'unit: "byte"', 'unit: "GB"', "expected 'byte'"),
                             ("unknown fields", "memory_bytes {", "memory_size {", 'no field named "memory_size"'),
                             ("wrong confidence", "confidence: HEURISTIC", "confidence: CERTAIN", '"CERTAIN"'),
                             ("a bandwidth above the peak", "value: 30000000000\n  low: 30000000000\n  high: 40000000000", "value: 99000000000", "more than 'peak_read_bytes_per_second'"),
                             ("a limit above the memory", "value: 4050000000", "value: 40500000000", "more than 'memory_bytes'"),
                             ("missing dates", 'date: "2026-11"', 'date: ""', "YYYY-MM")):
    assert old in text, old
    write(text.replace(old, new, 1))
    refused(f"a profile with {name} is one line, exit 1", 1, part, "plan", "--target", own, "--model", "gemma-4-E2B")
refused("a profile that is not there", 1, "cannot be read", "plan", "--target", os.path.join(folder, "none.textproto"), "--model", "gemma-4-E2B")
os.mkdir(os.path.join(folder, "folder.textproto"))
refused("a profile that is a folder", 1, "no regular file", "targets", os.path.join(folder, "folder.textproto"))

# Without a model: all sizes are planned, one is chosen, and the words say why.
chosen = gc.gcompile("plan", "--target", "pixel9", "--budget", "1.6GB", "--json", **nothing)
plan = json.loads(chosen.stdout)
considered = {one["model"]: one for one in plan["considered"]}
report.check("five sizes are considered", len(considered) == 5 and set(considered) >= {"gemma-4-E2B", "gemma-4-26B-A4B"})
fitting = [one for one in considered.values() if one["feasible"]]
report.check("the best that fits is taken", plan["model"] == max(fitting, key=lambda one: one["expected_quality"])["model"])
report.check("what fits stays within the budget, what does not needs more", all((one["peak_bytes"] <= 1600000000) == one["feasible"] for one in considered.values()))
report.check("expected scores lie in their range, below what is published", all(one["expected_quality_low"] <= one["expected_quality"] <= one["expected_quality_high"] <= one["published_quality"] <= 100 for one in fitting))
report.check("and the choice is explained", " rather than " in plan["choice"] and " rather than " in gc.gcompile("plan", "--target", "pixel9", "--budget", "1.6GB", **nothing).stdout)
report.check("a checkpoint to fetch is named", plan.get("checkpoint", "").startswith("google/gemma-4-"))
none = gc.gcompile("plan", "--target", "pixel9", "--budget", "10MB", "--json", **nothing)
report.check("nothing fits: exit 3, the smallest budget", none.code == 3 and json.loads(none.stdout)["smallest_budget_bytes"] > 10**7)
report.check("and the model that needs least", "gemma-4-E2B needs least of 5 models" in none.stderr, none.stderr.strip())
refused("a context that no size has", 2, "no model could be planned", "plan", "--target", "pixel9", "--context", "300000")
heard = gc.gcompile("plan", "--target", "h200", "--budget", "60GB", "--modalities", "text,audio", "--json", **nothing)
report.check("sizes without a modality are left out, with a note", heard.code == 0 and "gemma-4-31B has no audio" in heard.stderr and "gemma-4-31B" not in {one["model"] for one in json.loads(heard.stdout)["considered"]})
card = gc.gcompile("plan", "--model", "gemma-4-26B-A4B", "--target", "rtx4090", "--budget", "20GB", "--json")
report.check("26B-A4B on a card", card.code == 0 and json.loads(card.stdout)["peak_bytes"] <= 20 * 10**9)

# Towers: planned as phases, refused by name where they would be compiled.
plan = json.loads(gc.gcompile("plan", "--target", "pixel9", "--model", "gemma-4-E2B", "--budget", "1.6GB", "--modalities", "text,vision,audio", "--json").stdout)
report.check("towers are phases", [phase["name"] for phase in plan["phases"]] == ["vision", "audio", "text"] and plan["peak_bytes"] == max(phase["bytes"] for phase in plan["phases"]))
report.check("the account is that of the largest", plan["peak_bytes"] == sum(plan["memory"].values()))
refused("a tower is refused by name where it would be compiled", 2, "vision tower is planned, not compiled yet", "--target", "host", "--model", gc.TINY, "--modalities", "text,vision", "-o", os.path.join(folder, "x.gpk"))
seen = os.path.join(folder, "seen.textproto")
gc.must([gc.GCOMPILE, "plan", "--target", "pixel9", "--model", "gemma-4-E2B", "--budget", "1GB", "--modalities", "text,vision", "--quiet", "-o", seen])
again = gc.gcompile("plan", "--target", "pixel9", "--model", "gemma-4-E2B", "--plan", seen, "--json")
report.check("a plan with a tower replays to itself", again.code == 0 and [phase["name"] for phase in json.loads(again.stdout)["phases"]] == ["vision", "text"], again.stderr)
refused("and is refused where it would be compiled", 2, "planned, not compiled yet", "--target", "pixel9", "--model", "gemma-4-E2B", "--weights", "synthetic:1", "--plan", seen, "-o", os.path.join(folder, "x.gpk"))
refused("a modality that the model has not", 2, "gemma-4-31B has no audio", "plan", "--target", "h200", "--model", "gemma-4-31B", "--modalities", "text,audio")
refused("a context that an image fills", 2, "takes 282 positions", "plan", "--target", "pixel9", "--model", "gemma-4-E2B", "--modalities", "text,vision", "--context", "256")
refused("modalities without text", 2, "text among them", "plan", "--target", "pixel9", "--model", "gemma-4-E2B", "--modalities", "vision")
gc.shutil.rmtree(folder)
report.finish()
