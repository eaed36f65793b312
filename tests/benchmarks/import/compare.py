#!/usr/bin/env python3
"""From a checkpoint on disk to a file that runs: gcompile beside llama.cpp's llama-quantize, in turns, on one machine in one run.

    compare.py --quantize BUILD/bin/llama-quantize --folder DIR --bf16 FILE.gguf [--q4 FILE.gguf] --work DIR [--cache cold|warm] [--rounds 3]

Inputs come from make_checkpoint.py (the folder and the BF16 file hold as many weights; --q4 is make_checkpoint.py's as well). Before every run both sides' inputs are dropped from the page cache
(cold) or read once (warm), and what earlier runs left to be written is waited for. Reported of each run: seconds until the program ends and until its output is on disk (fsync: gcompile does that itself before it
ends), processor seconds, input bytes a second of wall time, the largest memory of its own (RssAnon: cannot be dropped) and with the pages of files that it maps (VmHWM, the peak resident set), bytes written.
Standard library only; prints Markdown and, with --json FILE, every sample.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "e2e"))
import gc_cage  # noqa: E402
import gc_e2e as gc  # noqa: E402


def files_of(path):
    return [os.path.join(path, name) for name in sorted(os.listdir(path))] if os.path.isdir(path) else [path]


def prepare(path, cache):
    os.sync()
    for each in files_of(path):
        if cache == "cold":
            gc_cage.drop_from_page_cache(each)
        else:
            with open(each, "rb", buffering=0) as file:
                while file.read(1 << 23):
                    pass


def peaks_of(process, peaks):
    """Follows the memory of a process until it ends."""
    while process.returncode is None:
        try:
            with open(f"/proc/{process.pid}/status", encoding="ascii") as file:
                fields = dict(line.split(":", 1) for line in file)
            for name in ("RssAnon", "VmHWM"):
                peaks[name] = max(peaks.get(name, 0), int(fields[name].split()[0]) * 1024)
        except (OSError, KeyError):
            pass  # ended, not reaped yet
        time.sleep(0.02)


def measured(command, output):
    start, peaks = time.monotonic(), {}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    follower = threading.Thread(target=peaks_of, args=(process, peaks))
    follower.start()
    errors = process.stderr.read().decode("utf-8", "replace")
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.monotonic() - start
    follower.join()
    if process.returncode:
        sys.exit(f"exit code {process.returncode} from {' '.join(command)}\n{errors[-2000:]}")
    descriptor = os.open(output, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
    return {"seconds": seconds, "on_disk_seconds": time.monotonic() - start, "cpu_seconds": usage.ru_utime + usage.ru_stime, "anonymous_bytes": peaks.get("RssAnon", 0),
            "resident_bytes": usage.ru_maxrss * 1024, "output_bytes": os.path.getsize(output), "disk_read_bytes": usage.ru_inblock * 512}


def cases(arguments):
    """Title, input, command without the output, and the name of the output."""
    ours = [gc.GCOMPILE, "--target", "host", "--context", "4096", "--kv-format", "f16", "--tables", "storage", "--quiet"]
    four_bits = ["--weight-format", "w4g32,embed_tokens_per_layer.weight=w4"]
    quantize = [arguments.quantize]
    rows = [("llama-quantize BF16 → Q4_0", arguments.bf16, [*quantize, arguments.bf16, "OUTPUT", "Q4_0", "2"]),
            ("llama-quantize BF16 → Q4_0, tables too", arguments.bf16, [*quantize, "--token-embedding-type", "q4_0", arguments.bf16, "OUTPUT", "Q4_0", "2"]),
            ("gcompile BF16 GGUF → w4g32", arguments.bf16, [*ours, *four_bits, "--model", arguments.bf16, "-o", "OUTPUT"]),
            ("gcompile BF16 safetensors → w4g32", arguments.folder, [*ours, *four_bits, "--model", arguments.folder, "-o", "OUTPUT"]),
            ("gcompile BF16 safetensors, planned for 2 GB", arguments.folder, [*ours[:3], "--quiet", "--budget", "2GB", "--model", arguments.folder, "-o", "OUTPUT"])]
    if arguments.q4:
        rows += [("llama-quantize Q4_0 → Q4_0 (a copy)", arguments.q4, [*quantize, "--token-embedding-type", "q4_0", arguments.q4, "OUTPUT", "Q4_0", "2"]),
                 ("gcompile Q4_0 GGUF, kept", arguments.q4, [*ours, "--weight-format", "w4g32,embed_tokens_per_layer.weight=w4", "--model", arguments.q4, "-o", "OUTPUT"])]
    return [row for row in rows if arguments.only in row[0]]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quantize", required=True)
    parser.add_argument("--folder", required=True)
    parser.add_argument("--bf16", required=True)
    parser.add_argument("--q4")
    parser.add_argument("--work", required=True)
    parser.add_argument("--cache", choices=("cold", "warm"), default="cold")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="")
    parser.add_argument("--json")
    arguments = parser.parse_args()
    samples, loads, output = {}, [os.getloadavg()[0]], os.path.join(arguments.work, "compare.out")
    os.makedirs(arguments.work, exist_ok=True)
    for _ in range(arguments.rounds):
        for title, source, command in cases(arguments):
            prepare(source, arguments.cache)
            sample = measured([output if word == "OUTPUT" else word for word in command], output)
            sample["input_bytes"] = sum(map(os.path.getsize, files_of(source)))
            os.remove(output)
            samples.setdefault(title, []).append(sample)
            loads.append(os.getloadavg()[0])
            print(f"{title}: {sample}", file=sys.stderr, flush=True)
    print(f"inputs {arguments.cache}, {arguments.rounds} rounds, medians (least to most); load {loads[0]:.1f} at the start, {min(loads):.1f} to {max(loads):.1f} during\n")
    print("| | s until it ends | s until on disk | processor s | MB of input a s | own memory, MB | resident, MB | output, GB |\n|---|---|---|---|---|---|---|---|")
    for title, runs in samples.items():
        def spread(name, unit=1.0, digits=1):
            values = sorted(run[name] / unit for run in runs)
            return f"{statistics.median(values):.{digits}f} ({values[0]:.{digits}f}–{values[-1]:.{digits}f})"
        rate = statistics.median(run["input_bytes"] / run["seconds"] / 1e6 for run in runs)
        print(f"| {title} | {spread('seconds')} | {spread('on_disk_seconds')} | {spread('cpu_seconds')} | {rate:.0f} | {spread('anonymous_bytes', 1e6, 0)} | {spread('resident_bytes', 1e6, 0)} | "
              f"{runs[0]['output_bytes'] / 1e9:.2f} |")
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(samples, file, indent=1)


if __name__ == "__main__":
    main()
