#!/usr/bin/env python3
"""Predicted against measured speed on this machine, for the tiny model and full-size synthetic Gemma 4 E2B in many plans.

For each plan: compile it (about two minutes and 1 to 5 GB of disk for E2B, deleted after), then in turns calibrate, `grun --bench`, calibrate, …; each measured speed
stands between the two calibrations around it, whose predictions are averaged. Neighbours take a varying share of the memory bandwidth, and a calibration of another hour predicts
another hour. Prints one row a plan, as it is measured, and the whole table at the end (docs/performance.md keeps one).

  ninja -C build/release gcompile grun predict_speed
  python3 tests/benchmarks/prediction.py --build build/release [--only tiny] [--rounds 3] [--realtime] [--artifacts FOLDER] [--csv FILE]

--realtime runs what is measured before everything else on the machine (chrt, needs rights): others wait for it, so use it in short runs only.
Nothing else may run so: threads that spin for each other on fewer processors than threads never end at that priority.
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

SOURCE = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
TINY = os.path.join(SOURCE, "tests", "data", "gemma4-tiny")

# name, model, flags
PLANS = [
    ("tiny-f32", "tiny", "--weight-format f32 --kv-format f32 --context 1024 --tables memory"),
    ("tiny-bf16", "tiny", "--weight-format bf16 --kv-format f16 --context 1024 --tables memory"),
    ("tiny-w8", "tiny", "--weight-format w8 --kv-format kv8 --context 1024 --tables memory"),
    ("tiny-w4g32", "tiny", "--weight-format w4g32 --kv-format f16 --context 1024 --tables storage"),
    ("tiny-w2g64", "tiny", "--weight-format w2g64 --kv-format kv4 --context 1024 --tables storage"),
    ("w4g32-f16-1k", "E2B", "--weight-format w4g32 --kv-format f16 --context 1024 --tables storage"),
    ("w8-kv8-1k", "E2B", "--weight-format w8 --kv-format kv8 --context 1024 --tables storage"),
    ("w2g64-kv4-1k", "E2B", "--weight-format w2g64 --kv-format kv4 --context 1024 --tables storage"),
    ("w4-kv8-4k-mem", "E2B", "--weight-format w4,embed_tokens*=w8 --kv-format kv8 --context 4096 --tables memory"),
    ("budget1g-4k", "E2B", "--budget 1GB --context 4096"),
    ("budget2g-4k", "E2B", "--budget 2GB --context 4096"),
    ("w4g32-kv4-8k", "E2B", "--weight-format w4g32 --kv-format kv4 --context 8192 --tables storage"),
    ("w8g32-f16-2k", "E2B", "--weight-format w8g32 --kv-format f16 --context 2048 --tables storage"),
    ("w2-f32-2k", "E2B", "--weight-format w2 --kv-format f32 --context 2048 --tables storage"),
    ("mixed-kv8-2k", "E2B", "--weight-format w4g32,*mlp*=w2g64,embed_tokens*=w4 --kv-format local=kv4,global=kv8 --context 2048 --tables storage"),
    ("w4-f16-8k", "E2B", "--weight-format w4 --kv-format f16 --context 8192 --tables storage"),
    ("w4g32-mem-1k", "E2B", "--weight-format w4g32,*down_proj*=w8 --kv-format f32 --context 1024 --tables memory"),
]
# Tokens of the prompt, which is also the depth at which decoding starts; deep in the plans with a long context.
PROMPT = {"w4g32-kv4-8k": 4096, "w4-f16-8k": 2048}
DECODE = {"tiny": 256, "E2B": 24}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.path.join(SOURCE, "build", "release"))
    parser.add_argument("--only", default="", help="plans whose name has one of these in it, or of this model (comma between)")
    parser.add_argument("--rounds", type=int, default=2, help="measurements of a plan, each between two calibrations")
    parser.add_argument("--seconds", type=int, default=4, help="of sampling of one calibration")
    parser.add_argument("--realtime", action="store_true")
    parser.add_argument("--artifacts", help="folder with NAME.gpk")
    parser.add_argument("--csv", help="append the rows to this file")
    a = parser.parse_args()
    program = lambda name: os.path.join(a.build, "bin", name)
    predictor = program("predict_speed")
    first = ["chrt", "-f", "5"] if a.realtime else []
    work = tempfile.mkdtemp(prefix="prediction-")
    environment = dict(os.environ, XDG_CACHE_HOME=work)

    def run(*command):
        done = subprocess.run([str(c) for c in command], capture_output=True, text=True, env=environment)
        if done.returncode:
            sys.exit(f"{' '.join(map(str, command))} failed ({done.returncode}): {done.stderr[-1500:]}")
        return done.stdout

    def calibrate():
        path = os.path.join(work, "machine.textproto")
        run(*first, program("gcompile"), "calibrate", "--seconds", a.seconds, "--quiet", "-o", path)
        return open(path).read()

    def predict(artifact, model, profile, prompt, depth):
        path = os.path.join(work, "used.textproto")
        with open(path, "w") as file:
            file.write(profile)
        return json.loads(run(predictor, artifact, model, path, prompt, depth))

    table = []
    profiles = []  # the last one of a plan is the first one of the next
    header = f"{'plan':16} {'decode tok/s':>24} {'ratio':>6}   {'prefill tok/s':>24} {'ratio':>6}   largest terms of a token"
    print(f"{time.strftime('%Y-%m-%d %H:%M')}, load {os.getloadavg()[0]:.1f}, {'realtime' if a.realtime else 'ordinary'} priority; measured / predicted (range), ratio predicted ÷ measured")
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
        run(program("grun"), artifact, "--bench", "--prompt-tokens", 16, "--decode-tokens", 2, "--json")  # into the page cache
        measured = {"decode": [], "prefill": []}
        predicted = {"decode": [], "prefill": []}
        if made or not profiles:
            profiles = [calibrate()]
        for _ in range(a.rounds):
            bench = json.loads(run(*first, program("grun"), artifact, "--bench", "--prompt-tokens", prompt, "--decode-tokens", count, "--json"))
            profiles.append(calibrate())
            around = [predict(artifact, source, profile, prompt, prompt + count // 2) for profile in profiles[-2:]]
            measured["decode"].append(bench["decode_tokens_per_second"])
            measured["prefill"].append(bench["prefill_tokens_per_second"])
            predicted["decode"].append(1 / statistics.mean(p["decode"]["seconds"] for p in around))
            predicted["prefill"].append(prompt / statistics.mean(p["prefill"]["seconds"] for p in around))
        row = {"plan": name}
        for kind, tokens in (("decode", 1), ("prefill", prompt)):
            # Of each round, then the middle of the rounds: a neighbour's burst spoils one of them.
            ratios = sorted(p / m for p, m in zip(predicted[kind], measured[kind]))
            row[kind] = statistics.median(measured[kind])
            row[kind + "_predicted"] = statistics.median(predicted[kind])
            row[kind + "_ratio"] = statistics.median(ratios)
            row[kind + "_ratios"] = " ".join(f"{r:.2f}" for r in ratios)
            row[kind + "_low"], row[kind + "_high"] = tokens / around[-1][kind]["high"], tokens / around[-1][kind]["low"]
        terms = sorted(around[-1]["decode"]["terms"].items(), key=lambda item: -item[1])[:4]
        total = around[-1]["decode"]["seconds"]
        shares = ", ".join(f"{term} {100 * seconds / total:.0f} %" for term, seconds in terms)
        show = lambda kind: f"{row[kind]:7.1f} / {row[kind + '_predicted']:7.1f}" + f" ({row[kind + '_low']:.0f}–{row[kind + '_high']:.0f})"
        print(f"{name:16} {show('decode'):>24} {row['decode_ratio']:6.2f}   {show('prefill'):>24} {row['prefill_ratio']:6.2f}   {shares}", flush=True)
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
