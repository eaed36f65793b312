#!/usr/bin/env python3
"""Files of 20 GB and more open at once: `inspect` and `plan` read headers, the tokenizer and a few rows of each tensor, whatever the weights take. The files here are holes with a real header, a full vocabulary and the shapes of a published
size, so they need no disk. What is asserted is memory and bytes read; seconds are printed.
"""
import json
import math
import os
import subprocess

import gc_e2e as gc
import gc_gemma4
import gc_gguf

report = gc.Report()
folder = gc.scratch("big_files")
SIZE = "gemma-4-12B"
preset = gc_gemma4.preset(SIZE)
c = preset["text_config"]
shapes = list(gc_gemma4.tensors(c))
tokenizer = gc_gemma4.tokenizer(c["vocab_size"])
parameters = sum(math.prod(shape) for _, shape in shapes)


def is_sparse(path):
    facts = os.stat(path)
    return facts.st_blocks * 512 < facts.st_size // 10


def bytes_read(pid):
    with open(f"/proc/{pid}/io", encoding="ascii") as file:
        return int(dict(line.split(": ") for line in file)["rchar"])


def answered(path, *command):
    """What a command prints as JSON, its peak resident bytes, bytes read and processor seconds."""
    process = subprocess.Popen([gc.GCOMPILE, *command, "--json", "--quiet"], stdout=subprocess.PIPE, text=True, env={**os.environ, "GCOMPILE_CACHE": os.path.join(folder, "cache")})
    facts = process.stdout.read()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # ended, but its counters are still there
    read = bytes_read(process.pid)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    report.equal(f"{os.path.basename(path)}: exit code of {command[0]}", process.returncode, 0)
    return json.loads(facts), usage.ru_maxrss * 1024, read, usage.ru_utime + usage.ru_stime


def check(path, title, container, stored):
    size = sum(os.path.getsize(each) for each in (path, os.path.join(path, "model.safetensors")) if os.path.isfile(each))
    report.check(f"{title}: is large", size > 20e9, f"{size / 1e9:.1f} GB")
    facts, peak, read, seconds = answered(path, "inspect", path)
    report.equal(f"{title}: what it is", (facts["preset"], facts["container"], facts["tokens"], facts["parameters"]), (SIZE, container, c["vocab_size"], parameters))
    report.equal(f"{title}: what ups are stored as", [each["format"] for each in facts["classes"]["up"]], [stored])
    # The vocabulary of 262144 pieces takes most of both.
    report.at_most(f"{title}: peak memory, MB", peak / 1e6, 400)
    report.at_most(f"{title}: bytes read, MB", read / 1e6, 100)
    report.note(f"{title}: {seconds:.2f} processor seconds")
    plan, peak, read, seconds = answered(path, "plan", "--model", path, "--target", "host", "--budget", "9GB")
    report.check(f"{title}: is planned", plan["feasible"] and plan["peak_bytes"] <= 9e9, plan["peak_bytes"])
    report.at_most(f"{title}: peak memory of planning, MB", peak / 1e6, 600)
    report.at_most(f"{title}: bytes read for planning, MB", read / 1e6, 500)
    report.note(f"{title}: planned in {seconds:.2f} processor seconds")


model = os.path.join(folder, SIZE)
os.makedirs(model)
gc.write_safetensors(os.path.join(model, "model.safetensors"), {"model.language_model." + name: ("BF16", shape, gc.Stream(2 * math.prod(shape))) for name, shape in shapes})
if not is_sparse(os.path.join(model, "model.safetensors")):
    os.remove(os.path.join(model, "model.safetensors"))
    gc.skip("the file system has no sparse files")
for name, value in (("config.json", preset), ("tokenizer.json", tokenizer)):
    with open(os.path.join(model, name), "w", encoding="utf-8") as file:
        json.dump(value, file)
check(model, "safetensors", "safetensors", "BF16")

# Compiled, memory does not follow the model either: a few layers of this size, many times the memory that is allowed.
few = {**c, "num_hidden_layers": 6, "layer_types": c["layer_types"][:6]}
with open(os.path.join(model, "config.json"), "w", encoding="utf-8") as file:
    json.dump({**preset, "text_config": few}, file)
few_shapes = list(gc_gemma4.tensors(few))
gc.write_safetensors(os.path.join(model, "model.safetensors"), {"model.language_model." + name: ("BF16", shape, gc.Stream(2 * math.prod(shape))) for name, shape in few_shapes})
size = os.path.getsize(os.path.join(model, "model.safetensors"))
report.check("compiled: is large", size > 4e9, f"{size / 1e9:.1f} GB")
made, peak, _, seconds = answered(model, "compile", "--model", model, "--target", "host", "--budget", "6GB", "--context", "512", "--weight-format", "w2", "-o", os.path.join(folder, "few.gpk"))
report.check("compiled: is written", os.path.getsize(os.path.join(folder, "few.gpk")) > size / 10, made.get("peak_bytes"))
report.at_most("compiled: peak memory, MB", peak / 1e6, 500)
report.note(f"compiled {size / 1e9:.1f} GB in {seconds:.1f} processor seconds and {peak / 1e6:.0f} MB")

keys, rope = gc_gguf.keys_of_config(c)
keys |= gc_gguf.keys_of_tokenizer(tokenizer)
tensors = {"rope_freqs.weight": rope}
for name, shape in shapes:
    vector = len(shape) == 1
    tensors[gc_gguf.name_of(name)] = (gc_gguf.F32 if vector else gc_gguf.BF16, shape, gc.Stream((4 if vector else 2) * math.prod(shape)))
path = os.path.join(folder, SIZE + ".gguf")
gc_gguf.write(path, keys, tensors)
check(path, "GGUF", "GGUF", "BF16")
gc.scratch("big_files")  # nothing of it is kept
report.finish()
