#!/usr/bin/env python3
"""The memory account is true in both directions on the tiny model: grun measures, in the plan's categories, what the plan says.

Each category may differ by 3 % or 8 MiB. (The tiny model is small against 8 MiB, so the exact ones are also held to 1 %: weights, tables and caches are
laid out by the compiler and cannot surprise it.)
"""
import json

import gc_cage
import gc_e2e as gc

CATEGORIES = ("weights", "tables", "kv_cache", "activations", "encoders", "code", "runtime")
report = gc.Report()
for title, options in {
        "f32": ["--weight-format", "f32", "--kv-format", "f32", "--context", 2048],
        "w4g32 kv8, tables in memory": ["--weight-format", "w4g32", "--kv-format", "kv8", "--context", 2048],
        "w4g32 kv8, tables on storage": ["--weight-format", "w4g32", "--kv-format", "kv8", "--context", "2048", "--tables", "storage"],
        "planned for 16 MB": ["--budget", "16MB", "--context", "2048"]}.items():
    artifact = gc.compiled("gemma4-tiny", "--target", "host", *options)
    planned = gc.must([gc.GCOMPILE, "plan", "--model", gc.TINY, "--target", "host", *map(str, options), "--json"]).stdout
    plan = json.loads(planned)
    bench = gc.grun_json(artifact, "--bench", "--prompt-tokens", 256, "--decode-tokens", 32)
    if "tables in" in title:
        report.check(f"{title}: so it is", (plan["memory"]["tables"] > 1_000_000) == title.endswith("memory"), plan["memory"]["tables"])
    report.equal(f"{title}: categories of the plan", sorted(plan["memory"]), sorted(CATEGORIES))
    for category in CATEGORIES:
        want, got = plan["memory"].get(category, 0), bench["memory"].get(category, 0)
        # Caches and arenas are touched as far as the run goes, so they may be smaller; nothing may be larger than its limit.
        limit = max(0.03 * want, 8 << 20)
        report.check(f"{title}: {category}", got - want <= limit and want - got <= limit, f"planned {want}, measured {got}")
    report.check(f"{title}: weights to 1 %", abs(bench["memory"]["weights"] - plan["memory"]["weights"]) <= max(0.01 * plan["memory"]["weights"], 65536 * 2))
    report.check(f"{title}: peak within the plan", bench["peak_rss_bytes"] <= plan["peak_bytes"] + max(0.03 * plan["peak_bytes"], 8 << 20),
                 f"planned {plan['peak_bytes']}, measured {bench['peak_rss_bytes']}")
    if plan.get("budget_bytes"):
        report.check(f"{title}: the plan keeps the budget", plan["peak_bytes"] <= plan["budget_bytes"], f"{plan['peak_bytes']} of {plan['budget_bytes']}")
    cage, why = gc_cage.Cage.open(plan["peak_bytes"])
    if not cage:
        report.note(f"skipped: the cage of {title}, because {why}")
        continue
    try:
        gc_cage.drop_from_page_cache(artifact)
        caged = cage.run(gc.grun_command(artifact, "--bench", "--prompt-tokens", 256, "--decode-tokens", 32, "--json"))
        report.check(f"{title}: runs in a cage of its predicted peak", caged.code == 0, f"{plan['peak_bytes']} bytes, exit code {caged.code} {caged.stderr.strip()[-200:]}")
        share = gc_cage.resident_share(artifact, *next((offset, size) for kind, offset, size in gc_cage.sections(artifact) if kind == 8))
        report.check(f"{title}: in the cage the weights stay in memory", share >= 0.999, f"{share:.2%}")
    finally:
        cage.close()
report.finish()
