#!/usr/bin/env python3
"""The memory account against the machine: for each plan, predicted bytes beside what grun measures, and a run inside a memory cgroup of exactly the predicted peak.

    GC_BINARY_DIR=build/release python3 tests/benchmarks/memory/account.py [--full] [--only TEXT]     prints a Markdown table

A plan holds when (1) in a cgroup of its predicted peak, with the artifact dropped from the page cache before, a prompt and some tokens are processed and afterwards every
page of the weights is in memory, and (2) every category that grun measures (smaps, mincore) is within 3 % or 8 MiB of the plan's, and their sum is not above the
predicted peak. --full adds full-size models with synthetic weights (minutes each, up to 15 GB of disk, removed again).
"""
import argparse
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "e2e"))
import gc_cage  # noqa: E402
import gc_e2e as gc  # noqa: E402

TINY = os.path.join(gc.DATA, "gemma4-tiny")


def tiny_plans():
    for context in (512, 1024, 2048):
        for kv in ("f32", "kv8", "local=kv8,global=kv4"):
            yield TINY, ["--context", context, "--kv-format", kv, "--weight-format", "w4g32"]
    for weights in ("f32", "bf16", "w8", "w4", "w2g64"):
        yield TINY, ["--context", 2048, "--kv-format", "f16", "--weight-format", weights]
    for tables in ("memory", "storage"):
        for budget in ("12MB", "16MB"):
            yield TINY, ["--context", 2048, "--tables", tables, "--budget", budget]
    yield TINY, ["--context", 1024, "--budget", "9MB"]
    yield TINY, ["--context", "auto", "--budget", "20MB"]


def micro_plans():
    for name in ("e2b-like", "e4b-like", "12b-unified-like", "31b-dense-like"):
        for kv in ("f16", "kv4"):
            yield os.path.join(gc.DATA, "conformance", name), ["--context", 256, "--kv-format", kv, "--weight-format", "w8"]
    yield os.path.join(gc.DATA, "conformance-f32", "E"), ["--context", 128, "--budget", "6MB"]


def full_plans():
    for budget, context, more in (("1GB", 32768, []), ("1GB", 4096, []), ("1200MB", 4096, ["--objective", "speed"]), ("2GB", 16384, ["--kv-format", "f16"]), ("2500MB", 4096, ["--tables", "memory"])):
        yield "gemma-4-E2B", ["--weights", "synthetic:1", "--budget", budget, "--context", context, *more]
    for model, budget, context, more in (("gemma-4-E4B", "3GB", 8192, []), ("gemma-4-E4B", "6GB", 4096, ["--tables", "memory", "--kv-format", "f16"]), ("gemma-4-12B", "6GB", 4096, []), ("gemma-4-12B", "7GB", 32768, ["--kv-format", "kv8"]),
                                         ("gemma-4-31B", "11GB", 4096, []), ("gemma-4-26B-A4B", "5GB", 4096, ["--experts", "storage", "--weight-format", "w4"])):
        yield model, ["--weights", "synthetic:1", "--budget", budget, "--context", context, *more]


def text(value):
    return f"{value / 1e6:.2f}" if value < 1e8 else f"{value / 1e6:.1f}"


def judge(model, options, folder):
    artifact = os.path.join(folder, "plan.gpk")
    plan = json.loads(gc.must([gc.GCOMPILE, "--model", model, "--target", "host", *map(str, options), "--json", "-o", artifact], timeout=5400).stdout)
    decode = 16
    # The whole context on small models; caches are touched when a session opens, so that a long one needs no long prompt.
    prompt = max(1, min(plan["context"] - decode - 1, 2048 if os.path.isdir(model) else 512))
    storage = plan.get("experts", {}).get("placement") == "storage"
    if storage:
        prompt = plan["prefill_chunk"]  # every chunk reads nearly all experts
    command = gc.grun_command(artifact, "--bench", "--prompt-tokens", prompt, "--decode-tokens", decode, "--json")
    free = json.loads(gc.must(command, timeout=3600).stdout)
    off = {name: free["memory"].get(name, 0) - planned for name, planned in plan["memory"].items()}
    near = all(abs(difference) <= max(0.03 * plan["memory"][name], 8 << 20) for name, difference in off.items())
    measured = sum(free["memory"].values())
    below = measured <= plan["peak_bytes"]
    caged, resident = "no cgroup", None
    cage, why = gc_cage.Cage.open(plan["peak_bytes"])
    if cage:
        try:
            gc_cage.drop_from_page_cache(artifact)
            result = cage.run(command, timeout=7200)
            caged = "runs" if result.code == 0 else f"fails ({result.code})"
            weights = next((offset, size) for kind, offset, size in gc_cage.sections(artifact) if kind == 8)
            resident = gc_cage.resident_share(artifact, *weights)
            if result.code == 0:
                bench = json.loads(result.stdout)
                speed = bench["decode_tokens_per_second"] / free["decode_tokens_per_second"]
                caged += f", {speed:.0%} of free decode"
                if storage:
                    print(f"{model}: in the cage decode {bench['decode_tokens_per_second']:.3g} tok/s (free {free['decode_tokens_per_second']:.3g}, predicted "
                          f"{plan['predicted']['decode_tokens_per_second']}), prefill {bench['prefill_tokens_per_second']:.3g}, {bench['experts']}", file=sys.stderr)
                    print(f"measured {bench['memory']}, planned {plan['memory']}", file=sys.stderr)
        finally:
            cage.close()
    else:
        print(f"no cage: {why}", file=sys.stderr)
    os.remove(artifact)
    holds = near and below and (not cage or (caged.startswith("runs") and resident >= 0.999))
    worst = max(off, key=lambda name: abs(off[name]))
    row = [os.path.basename(model), " ".join(str(o) for o in options if o not in ("--weights", "synthetic:1")).replace("--", ""), text(plan["peak_bytes"]), text(measured),
           f"{(measured - plan['peak_bytes']) / plan['peak_bytes']:+.1%}", f"{worst} {off[worst] / 1e6:+.2f}", caged + (f", {resident:.1%} resident" if resident is not None else ""), "yes" if holds else "NO"]
    return row, holds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="also full-size models")
    parser.add_argument("--only", default="", help="plans whose model or options contain this text")
    arguments = parser.parse_args()
    plans = [*tiny_plans(), *micro_plans(), *(full_plans() if arguments.full else ())]
    plans = [(model, options) for model, options in plans if arguments.only in model + " " + " ".join(map(str, options))]
    folder = gc.scratch("memory_account")
    columns = ["model", "plan", "predicted MB", "measured MB", "sum", "largest difference, MB", "in a cgroup of the predicted peak", "holds"]
    print("| " + " | ".join(columns) + " |\n|" + "---|" * len(columns), flush=True)
    good = 0
    for model, options in plans:
        row, holds = judge(model, options, folder)
        good += holds
        print("| " + " | ".join(row) + " |", flush=True)
    print(f"\n{good} of {len(plans)} plans hold.")
    sys.exit(good != len(plans))


main()
