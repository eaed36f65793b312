#!/usr/bin/env python3
"""gcompile calibrate: what it writes is a profile with positive figures that --target takes; a saved calibration changes predictions for the host, never decisions. No timing is checked."""
import json
import os
import re

import gc_e2e as gc

report = gc.Report()
folder = gc.scratch("calibrate")
profile = os.path.join(folder, "desk.textproto")
cache = os.path.join(folder, "cache")
environment = dict(os.environ, XDG_CACHE_HOME=cache)

result = gc.gcompile("calibrate", "--seconds", "0", "-o", profile, env=environment, timeout=300)
if "no code of this gcompile runs" in result.stderr:
    gc.skip("no generated code runs on this processor")
report.check("calibrate writes a profile", result.code == 0 and os.path.exists(profile), result.stderr[-300:])
report.check("a test of the plumbing is not kept for the host", not os.path.exists(cache), str(os.listdir(cache)) if os.path.exists(cache) else "")
text = open(profile).read()
medians = [float(value) for value in re.findall(r"median: (\S+)", text)]
# Nine weight formats with three figures each, four cache formats with two, reads, launch, element.
report.check("all figures are positive numbers", len(medians) >= 9 * 3 + 4 * 2 + 4 and all(0 < value < 1e18 for value in medians), f"{len(medians)} figures")
for name in ("f32", "bf16", "f16", "w8", "w4", "w2", "w8g32", "w4g32", "w2g64", "w4g128", "q4_k", "q6_k", "nf4", "kv8", "kv4"):
    report.check(f"{name} is measured", f'format: "{name}"' in text)
for field in ("memory_bytes", "process_budget_bytes", "read_bytes_per_second", "cores"):
    report.check(f"{field} is stated", re.search(rf"^{field} {{", text, re.M) is not None)


def plan(target, **options):
    result = gc.gcompile("plan", "--model", "gemma-4-E2B", "--target", target, "--budget", "2GB", "--json", **options)
    return json.loads(result.stdout) if result.code == 0 else {"failed": result.stderr[-300:]}


mine = plan(profile)
report.check("--target takes the file", "predicted" in mine and mine["predicted"]["decode_tokens_per_second"] > 0 and mine["predicted"]["prefill_tokens_per_second"] > 0, mine.get("failed", ""))

# A saved calibration of an absurdly fast machine: predictions follow, decisions stay. Nothing that was measured is left in it, so no load of this machine matters.
processor = re.search(r'processor: "(.*)"', text).group(1)
report.check("the calibration names the processor", processor != "")
before = plan("host", env=environment)
os.makedirs(os.path.join(cache, "gcompile"), exist_ok=True)  # the bandwidth of "before" lies there
saved = os.path.join(cache, "gcompile", "calibration.textproto")
faster = re.sub(r"(_bytes|bytes|_operations) {\n( *)median: (\S+)", lambda m: f"{m.group(1)} {{\n{m.group(2)}median: {1e15:.0f}", text)
faster = re.sub(r"_seconds {\n( *)median: (\S+)", lambda m: f"_seconds {{\n{m.group(1)}median: 1e-12", faster)
open(saved, "w").write(faster)
after = plan("host", env=environment)
report.check("predictions for the host use the saved calibration", after["predicted"]["decode_tokens_per_second"] > 10 * before["predicted"]["decode_tokens_per_second"],
             f'{before["predicted"]["decode_tokens_per_second"]} then {after["predicted"]["decode_tokens_per_second"]}')
report.check("decisions do not", before["tensors"] == after["tensors"] and before["kv_cache"] == after["kv_cache"])
open(saved, "w").write(faster.replace(processor, "another processor"))
report.check("a calibration of another machine is not used", plan("host", env=environment)["predicted"]["decode_tokens_per_second"] < after["predicted"]["decode_tokens_per_second"] / 2)
open(saved, "w").write(faster[: len(faster) // 2])
report.check("a damaged calibration is not used", plan("host", env=environment)["predicted"]["decode_tokens_per_second"] < after["predicted"]["decode_tokens_per_second"] / 2)

# Hostile profiles.
for what, old, new in (("a format that does not exist", 'format: "w4g32"', 'format: "w5"'), ("a negative rate", "median: ", "median: -"), ("not a number", "median: ", "median: nan #"),
                       ("no samples", "samples: ", "samples: -")):
    broken = os.path.join(folder, "broken.textproto")
    open(broken, "w").write(text.replace(old, new).replace('"desk"', '"broken"'))
    result = gc.gcompile("plan", "--model", "gemma-4-E2B", "--target", broken)
    report.check(f"a calibration with {what} is refused", result.code == 1 and "calibration" in result.stderr and len(result.stderr.splitlines()) == 1, f"{result.code}: {result.stderr[:200]}")
for flags, code in ((["-o", os.path.join(folder, "desk.txt")], 2), (["-o", "/no/such/folder/x.textproto"], 1), (["--seconds", "soon"], 2), (["--seconds", "-1"], 2), (["extra"], 2)):
    result = gc.gcompile("calibrate", *flags, env=environment)
    report.check(f"exit code {code} for calibrate {' '.join(flags)}"[:80], result.code == code and len(result.stderr.splitlines()) == 1, f"{result.code}: {result.stderr[:200]}")
report.finish()
