#!/usr/bin/env python3
"""The full-size E2B with synthetic weights: compiled while streaming in under 3 GB, run in a cage of its predicted peak, speed beside bandwidth.

Takes minutes and about 3 GB of disk; part of `./test.sh --full`. No timing is asserted: rates are printed, as shares measured in this run.
"""
import json
import os
import resource

import gc_cage
import gc_e2e as gc

report = gc.Report()
folder = gc.scratch("full_e2b")
artifact = os.path.join(folder, "e2b.gpk")
options = ["--model", "gemma-4-E2B", "--target", "host", "--budget", "2GB", "--context", "4096"]
plan = json.loads(gc.must([gc.GCOMPILE, "plan", *options, "--json"]).stdout)
report.check("the plan fits in 2 GB", plan["feasible"] and plan["peak_bytes"] <= 2_000_000_000, plan["peak_bytes"])

before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
result = gc.must([gc.GCOMPILE, *options, "--weights", "synthetic:1", "--quiet", "-o", artifact], timeout=5400)
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
report.at_most("memory of the compiler, bytes", peak, 3e9, "" if peak > before * 1024 else "(an earlier child was larger)")
report.note(f"compiled in {result.seconds:.0f} s, artifact {os.path.getsize(artifact)} bytes")

bench_arguments = ("--bench", "--prompt-tokens", "512", "--decode-tokens", "64", "--json")
free = json.loads(gc.must(gc.grun_command(artifact, *bench_arguments), timeout=1800).stdout)
for category, planned in plan["memory"].items():
    measured = free["memory"].get(category, 0)
    report.check(f"memory: {category}", abs(measured - planned) <= max(0.03 * planned, 8 << 20), f"planned {planned}, measured {measured}")

program = os.path.join(gc.BUILD, "tests", "bin", "read_bandwidth")
bandwidth = float(gc.must([program, str(free["threads"])]).stdout) if os.path.exists(program) else 0.0
weights = plan["memory"]["weights"]
decode, prefill = free["decode_tokens_per_second"], free["prefill_tokens_per_second"]
report.note(f"free run: decode {decode:.2f} tok/s, prefill {prefill:.1f} tok/s, first token {free['first_token_seconds']:.2f} s, {free['threads']} threads")
if bandwidth:
    report.note(f"read bandwidth {bandwidth / 1e9:.2f} GB/s; decode reads {weights} bytes a token: {decode * weights / bandwidth:.0%} of the bandwidth")

cage, why = gc_cage.Cage.open(plan["peak_bytes"])
if not cage:
    report.note(f"skipped: the cage, because {why}")
    report.finish()
try:
    gc_cage.drop_from_page_cache(artifact)
    report.at_most("share of the artifact in the page cache after dropping it", gc_cage.resident_share(artifact), 0.01)
    caged = cage.run(gc.grun_command(artifact, *bench_arguments), timeout=3600)
    report.check(f"runs inside {plan['peak_bytes']} bytes", caged.code == 0, caged.stderr.strip()[-300:] or f"exit code {caged.code}")
    weight_section = next((offset, size) for kind, offset, size in gc_cage.sections(artifact) if kind == 8)
    share = gc_cage.resident_share(artifact, *weight_section)
    report.check("after the run all weights are still in memory", share >= 0.999, f"{share:.2%}")
    if caged.code == 0:
        caged_bench = json.loads(caged.stdout)
        report.note(f"in the cage: decode {caged_bench['decode_tokens_per_second']:.2f} tok/s ({caged_bench['decode_tokens_per_second'] / decode:.0%} of the free run), "
                    f"prefill {caged_bench['prefill_tokens_per_second']:.1f} tok/s; the group held up to {cage.highest_bytes()} bytes")
finally:
    cage.close()
report.finish()
