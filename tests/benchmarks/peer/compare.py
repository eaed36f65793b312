#!/usr/bin/env python3
"""llama.cpp and gcompile in turns on one machine: prefill and decode of the same model, beside the read bandwidth measured in the same minutes.

Each round runs, one after another: the bandwidth probe, llama-bench prompt 512, llama-bench decode at depth 512, and `grun --bench` of every artifact
(prompt 512, then decode, so at the same depth). Every sample is printed; the table has the median and the best of all rounds, because on a shared machine
the best one says more about the program. Prefill of ours is 512 tokens divided by the time to the first token, so it holds the head, as llama-bench's does.

  compare.py --llama-bench PATH --gguf FILE --gguf-bytes N --grun PATH --read-bandwidth PATH --artifact NAME=FILE.gpk ...

N is the bytes of a decoded token that ../import/make_checkpoint.py printed.
"""
import argparse
import datetime
import json
import os
import statistics
import subprocess
import sys


def cpu():
    with open("/proc/cpuinfo") as file:
        fields = {k.strip(): v.strip() for k, v in (line.split(":", 1) for line in file if ":" in line)}
    return f'{os.cpu_count()} x {fields.get("model name")} (family {fields.get("cpu family")}, model {fields.get("model")})'


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("llama-bench", "gguf", "grun", "read-bandwidth"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--gguf-bytes", type=int, required=True)
    parser.add_argument("--artifact", action="append", required=True, metavar="NAME=FILE")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--prompt", type=int, default=512)
    parser.add_argument("--decode", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--nice", type=int, default=0, help="priority of every measured process; negative needs rights")
    a = parser.parse_args()

    def prioritise():
        os.setpriority(os.PRIO_PROCESS, 0, a.nice)
        try:  # where sessions are scheduled as groups, the group's priority counts
            with open("/proc/self/autogroup", "w") as file:
                file.write(str(a.nice))
        except OSError:
            pass

    def run(*command):
        result = subprocess.run([str(c) for c in command], capture_output=True, text=True, start_new_session=True, preexec_fn=prioritise)
        if result.returncode:
            sys.exit(f"{command[0]} failed ({result.returncode}): {result.stderr[-2000:]}")
        return result.stdout

    def llama(*options):
        rows = json.loads(run(a.llama_bench, "-m", a.gguf, "-t", a.threads, "-r", 1, "-o", "json", *options))
        return rows[0]["samples_ts"][0]

    artifacts = dict(entry.split("=", 1) for entry in a.artifact)
    samples = {"llama.cpp": {"prefill": [], "decode": [], "bytes": a.gguf_bytes}}
    samples |= {name: {"prefill": [], "append": [], "decode": [], "bytes": 0} for name in artifacts}
    reads = []
    print(datetime.datetime.now().isoformat(timespec="seconds"), cpu(), "load", os.getloadavg(), flush=True)
    for i in range(a.rounds):
        reads.append(float(run(a.read_bandwidth, a.threads)))
        print(f"round {i + 1}: read {reads[-1] / 1e9:.1f} GB/s, load {os.getloadavg()[0]:.1f}", flush=True)
        samples["llama.cpp"]["prefill"].append(llama("-p", a.prompt, "-n", 0))
        samples["llama.cpp"]["decode"].append(llama("-p", 0, "-n", a.decode, "-d", a.prompt))
        for name, path in artifacts.items():
            r = json.loads(run(a.grun, path, "--bench", "--prompt-tokens", a.prompt, "--decode-tokens", a.decode, "--threads", a.threads, "--json"))
            s = samples[name]
            s["bytes"] = r["memory"]["weights"]
            s["prefill"] += [a.prompt / t for t in (r["first_token_seconds"], r["first_token_seconds_range"][0])]
            s["append"] += [r["prefill_tokens_per_second"], r["prefill_tokens_per_second_range"][1]]
            s["decode"] += [r["decode_tokens_per_second"], r["decode_tokens_per_second_range"][1]]
        for name, s in samples.items():
            print("  ", name, {k: [round(x, 2) for x in v[-2:]] for k, v in s.items() if k != "bytes"}, flush=True)
    best_read = max(reads)
    print(f"read bandwidth, {a.threads} threads: median {statistics.median(reads) / 1e9:.1f}, best {best_read / 1e9:.1f} GB/s; load at the end {os.getloadavg()}\n")
    print("| | GB/token | prefill tok/s, median (best) | to llama.cpp | decode tok/s, median (best) | to llama.cpp | best decode, of best read |")
    print("|---|---|---|---|---|---|---|")
    base = samples["llama.cpp"]
    for name, s in samples.items():
        # grun reports median and best of its three runs: the medians are at even places, the bests at odd ones
        middle = {k: statistics.median(s[k][:: 1 if s is base else 2]) for k in ("prefill", "decode")}
        print(f'| {name} | {s["bytes"] / 1e9:.3f} | {middle["prefill"]:.1f} ({max(s["prefill"]):.1f}) | {max(s["prefill"]) / max(base["prefill"]):.2f} | '
              f'{middle["decode"]:.2f} ({max(s["decode"]):.2f}) | {max(s["decode"]) / max(base["decode"]):.2f} | {max(s["decode"]) * s["bytes"] / best_read:.2f} |')
    print(json.dumps({"read": reads, "samples": samples}))


if __name__ == "__main__":
    main()
