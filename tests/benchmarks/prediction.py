#!/usr/bin/env python3
"""Predicted against measured speed on this machine, for the tiny model and full-size synthetic Gemma 4 E2B in many plans.

For each plan: compile it (about two minutes and 1 to 5 GB of disk for E2B, deleted after), drop it from the page cache, then in turns calibrate, measure, calibrate, …. Each plan is
predicted from the calibrations before and after it. Neighbours of a virtual machine move its memory bandwidth within seconds, so every decoded token stands between two plain reads of
64 MiB of the same weights, and is predicted for the bandwidth of that moment: shares of bandwidth, arithmetic and overheads come from the calibration, the bandwidth from the reads.
The column "calibrated" is the ratio without that, from the calibrations' own bandwidth. Medians of the tokens and prompts during which the system took no processor away, as in
calibration. Prints one row a plan, as it is measured, and the totals at the end (docs/performance.md keeps a table).

  ninja -C build/release gcompile predict_speed measure_speed
  python3 tests/benchmarks/prediction.py --build build/release [--only tiny] [--rounds 3] [--artifacts FOLDER] [--csv FILE]

--artifacts FOLDER uses NAME.gpk from there where it exists and keeps it, and waits for nothing; without it everything is compiled here.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import gc_cage  # noqa: E402

SOURCE = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
TINY = os.path.join(SOURCE, "tests", "data", "gemma4-tiny")

# name, model, flags
PLANS = [
    ("tiny-f32", "tiny", "--weight-format f32 --kv-format f32 --context 1024 --tables memory"),
    ("tiny-bf16", "tiny", "--weight-format bf16 --kv-format f16 --context 1024 --tables memory"),
    ("tiny-w8", "tiny", "--weight-format w8 --kv-format kv8 --context 1024 --tables memory"),
    ("tiny-w4g32", "tiny", "--weight-format w4g32 --kv-format f16 --context 1024 --tables storage"),
    ("tiny-w2g64", "tiny", "--weight-format w2g64 --kv-format kv4 --context 1024 --tables storage"),
    # The model was made looking at these.
    ("budget1g-32k", "E2B", "--budget 1GB --context 32768"),
    ("w4g32-f16-1k", "E2B", "--weight-format w4g32 --kv-format f16 --context 1024 --tables storage"),
    ("w8-kv8-1k", "E2B", "--weight-format w8 --kv-format kv8 --context 1024 --tables storage"),
    ("budget2g-4k", "E2B", "--budget 2GB --context 4096"),
    # And judged by these.
    ("b1100-8k", "E2B", "--budget 1100MB --context 8192"),
    ("w4-kv84-4k", "E2B", "--weight-format w4,embed_tokens*=w4g32 --kv-format local=kv8,global=kv4 --context 4096 --tables storage"),
    ("w2g64-w4attn-2k", "E2B", "--weight-format w2g64,embed_tokens*=w8,*self_attn*=w4 --kv-format kv8 --context 2048 --tables storage"),
    ("b1500-f16-2k", "E2B", "--budget 1500MB --context 2048 --kv-format f16"),
    ("w2-f16-4k", "E2B", "--weight-format w2 --kv-format f16 --context 4096 --tables storage"),
    ("w8g32-kv4-2k", "E2B", "--weight-format w8g32 --kv-format kv4 --context 2048 --tables storage"),
    ("w4g32-mlpw2-1k", "E2B", "--weight-format w4g32,*mlp*=w2 --kv-format f32 --context 1024 --tables storage"),
    ("b1800-kv8-16k", "E2B", "--budget 1800MB --context 16384 --kv-format kv8"),
    ("w8-head4-2k", "E2B", "--weight-format w8,embed_tokens*=w4 --kv-format f16 --context 2048 --tables storage"),
    ("b950-1k", "E2B", "--budget 950MB --context 1024"),
    ("b2200-4k", "E2B", "--budget 2200MB --context 4096"),
    ("b3g-4k", "E2B", "--budget 3GB --context 4096"),
]
# Tokens of the prompt, which is also the depth at which decoding starts; deep where the context is long.
PROMPT = {"b1100-8k": 2048, "b1800-kv8-16k": 1536}
DECODE = {"tiny": 256, "E2B": 24}
WEIGHTS_SECTION = 8  # gc_artifact.h


def undisturbed(samples):
    """What calibration counts: samples during which no processor was taken away, where there are enough of them."""
    good = [s for s in samples if not s["disturbed"]]
    return good if len(good) >= 3 else samples


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.path.join(SOURCE, "build", "release"))
    parser.add_argument("--only", default="", help="plans whose name has one of these in it, or of this model (comma between)")
    parser.add_argument("--rounds", type=int, default=1, help="measurements of a plan, each between two calibrations")
    parser.add_argument("--seconds", type=int, default=4, help="of sampling of one calibration")
    parser.add_argument("--artifacts", help="folder with NAME.gpk")
    parser.add_argument("--csv", help="append the rows to this file")
    a = parser.parse_args()
    program = lambda name: os.path.join(a.build, "bin", name)
    predictor = program("predict_speed")
    work = tempfile.mkdtemp(prefix="prediction-")
    environment = dict(os.environ, XDG_CACHE_HOME=work)

    def run(*command):
        done = subprocess.run([str(c) for c in command], capture_output=True, text=True, env=environment)
        if done.returncode:
            sys.exit(f"{' '.join(map(str, command))} failed ({done.returncode}): {done.stderr[-1500:]}")
        return done.stdout

    def calibrate():
        path = os.path.join(work, "machine.textproto")
        run(program("gcompile"), "calibrate", "--seconds", a.seconds, "--quiet", "-o", path)
        return open(path).read()

    def predict(artifact, model, profile, prompt, depth, reads):
        path = os.path.join(work, "used.textproto")
        with open(path, "w") as file:
            file.write(profile)
        return json.loads(run(predictor, artifact, model, path, prompt, depth, *reads))

    table = []
    profiles = []  # the last one of a plan is the first one of the next
    header = f"{'plan':16} {'decode tok/s':>16} {'ratio':>6} {'calibrated':>10} {'GB/s':>10}   {'prefill tok/s':>16} {'ratio':>6}   largest terms of a token"
    print(f"{time.strftime('%Y-%m-%d %H:%M')}, load {os.getloadavg()[0]:.1f}; measured / predicted, ratio predicted ÷ measured; GB/s: read around the tokens / in the calibrations")
    print(header, flush=True)
    for name, model, flags in PLANS:
        if a.only and not any(part in name or part == model for part in a.only.split(",")):
            continue
        source = TINY if model == "tiny" else "gemma-4-E2B"
        artifact = os.path.join(a.artifacts or work, name + ".gpk")
        made = not os.path.exists(artifact)
        if made:
            budget = [] if "--budget" in flags else ["--budget", "8GB"]
            seed = [] if model == "tiny" else ["--weights", "synthetic:1"]
            run(program("gcompile"), "--model", source, *seed, "--target", "host", "--quiet", *budget, *flags.split(), "-o", artifact)
        prompt = PROMPT.get(name, 512)
        count = DECODE[model]
        if made or not profiles:
            profiles = [calibrate()]
        offset, size = next((offset, size) for kind, offset, size in gc_cage.sections(artifact) if kind == WEIGHTS_SECTION)
        rounds = []
        for _ in range(a.rounds):
            gc_cage.drop_from_page_cache(artifact)  # an artifact that was just written lies in other pages than one that was read
            measured = json.loads(run(program("measure_speed"), artifact, offset, size, prompt, count, 3))
            profiles.append(calibrate())
            tokens = undisturbed(measured["decode"])
            reads = [f"{token['read']:.0f}" for token in tokens if token["read"]]  # none of weights that stay in caches
            around = [predict(artifact, source, profile, prompt, prompt + count // 2, reads) for profile in profiles[-2:]]
            # Of each chunk of the prompt the middle of its runs.
            chunks = [statistics.median(s["seconds"] for s in undisturbed(list(runs))) for runs in zip(*measured["prefill"])]
            seconds = [token["seconds"] for token in tokens]
            calibrated = statistics.mean(p["decode"]["seconds"] for p in around)
            expected = [statistics.mean(pair) for pair in zip(*(p["decode_at"] for p in around))] or [calibrated] * len(seconds)
            prefill = statistics.mean(p["prefill"]["seconds"] for p in around)
            rounds.append({
                "decode": 1 / statistics.median(seconds), "decode_predicted": 1 / statistics.median(expected),
                "decode_ratio": statistics.median(m / e for m, e in zip(seconds, expected)), "calibrated_ratio": statistics.median(seconds) / calibrated,
                "read": statistics.median(token["read"] for token in tokens), "calibrated_read": statistics.mean(p["read_bytes_per_second"] for p in around),
                "prefill": prompt / sum(chunks), "prefill_predicted": prompt / prefill, "prefill_ratio": sum(chunks) / prefill,
                "disturbed": sum(token["disturbed"] for token in measured["decode"]) / len(measured["decode"])})
        row = {"plan": name, **{key: statistics.median(r[key] for r in rounds) for key in rounds[0]}, "decode_ratios": [r["decode_ratio"] for r in rounds]}
        terms = sorted(around[-1]["decode"]["terms"].items(), key=lambda item: -item[1])[:4]
        total = around[-1]["decode"]["seconds"]
        shares = ", ".join(f"{term} {100 * seconds / total:.0f} %" for term, seconds in terms)
        show = lambda kind: f"{row[kind]:7.1f} / {row[kind + '_predicted']:6.1f}"
        bandwidth = f"{row['read'] / 1e9:.1f} / {row['calibrated_read'] / 1e9:.1f}"
        print(f"{name:16} {show('decode'):>16} {row['decode_ratio']:6.2f} {row['calibrated_ratio']:10.2f} {bandwidth:>10}   {show('prefill'):>16} {row['prefill_ratio']:6.2f}   {shares}; disturbed {row['disturbed']:.0%}", flush=True)
        table.append(row)
        if a.csv:
            with open(a.csv, "a") as file:
                file.write(json.dumps(row) + "\n")
        if made:
            os.remove(artifact)
    for model in ("tiny", "E2B"):
        rows = [row for row in table if (model == "tiny") == row["plan"].startswith("tiny")]
        for kind, goal in (("decode", 0.10), ("prefill", 0.20)):
            errors = [abs(row[kind + "_ratio"] - 1) for row in rows]
            if errors:
                print(f"{model} {kind}: {sum(error <= goal for error in errors)} of {len(errors)} within {goal:.0%}; mean error {statistics.mean(errors):.1%}, largest {max(errors):.1%}")


main()
