#!/usr/bin/env python3
"""An interrupted compile leaves nothing behind and can simply be run again: SIGINT, SIGTERM and SIGKILL while the model is read and planned, while code is linked, while weights are packed and while the file is
finished. After the first two neither the output's folder, nor TMPDIR, nor the cache holds anything unfinished; after SIGKILL, which nobody can catch, the next run works, whatever lies there.

When a phase has come is seen from outside (/proc): the checkpoint is open, the linker's files are there, the output (which has no name yet) is open.
"""
import json
import math
import os
import random
import shutil
import signal
import subprocess
import time

import gc_e2e as gc
import gc_gemma4

report = gc.Report()
root = gc.scratch("interrupt")

# Small layers, large tables: packing takes long enough to be met.
c = gc_gemma4.preset("gemma-4-E2B")["text_config"]
c |= {"architectures": ["Gemma4ForCausalLM"], "num_hidden_layers": 6, "num_kv_shared_layers": 2, "layer_types": ["sliding_attention", "full_attention"] * 3, "hidden_size": 512, "intermediate_size": 1024, "num_attention_heads": 4, "head_dim": 64,
      "global_head_dim": 128, "hidden_size_per_layer_input": 128, "vocab_size": 65536, "vocab_size_per_layer_input": 65536}
model = os.path.join(root, "model")
os.makedirs(model)
with open(os.path.join(model, "config.json"), "w", encoding="utf-8") as file:
    json.dump(c, file)
random.seed(7)
noise = bytes(bit for _ in range(1 << 16) for bit in (random.randrange(256), 0x3c | random.choice((0, 0x80))))  # bf16 values near 0.01
PIECE = len(noise)


def data(shape):
    size = 2 * math.prod(shape)
    return gc.Stream(size, (noise[:min(PIECE, size - at)] for at in range(0, size, PIECE)))


gc.write_safetensors(os.path.join(model, "model.safetensors"), {"model.language_model." + name: ("BF16", shape, data(shape)) for name, shape in gc_gemma4.tensors(c)})


class Run:
    """A compile in folders of its own."""

    def __init__(self, folder):
        self.output, self.temporary, self.cache = (os.path.join(folder, name) for name in ("output", "temporary", "cache"))
        for each in (self.output, self.temporary, self.cache):
            os.makedirs(each, exist_ok=True)
        self.artifact = os.path.join(self.output, "m.gpk")
        self.process = subprocess.Popen([gc.GCOMPILE, "--model", model, "--target", "host", "--weight-format", "w4g32,embed_tokens_per_layer.weight=w4",
                                         "--kv-format", "f16", "--context", "256", "--quiet", "-o", self.artifact],
                                        env={**os.environ, "TMPDIR": self.temporary, "GCOMPILE_CACHE": self.cache}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def open_files(self):
        names = []
        try:
            for number in os.listdir(f"/proc/{self.process.pid}/fd"):
                names.append(os.readlink(f"/proc/{self.process.pid}/fd/{number}"))
        except OSError:
            pass  # closed meanwhile, or the process has ended
        return names

    def reads(self):
        return any(name.startswith(model) for name in self.open_files())

    def links(self):
        return any(name.endswith(".so") for name in os.listdir(self.temporary))

    def packs(self):
        return any(name.startswith(self.output) for name in self.open_files())

    def left(self):
        """Everything unfinished. What the cache keeps of a finished measurement is no such thing."""
        kept = [os.path.join(path, name) for path, _, names in os.walk(self.cache) for name in names]
        return os.listdir(self.output) + os.listdir(self.temporary) + [name for name in kept if ".tmp-" in name]


def wait_for(run, holds):
    while run.process.poll() is None:
        if holds():
            return True
        time.sleep(0.001)
    return False


# Once in peace: the bytes to expect, and how long packing takes.
run = Run(os.path.join(root, "peace"))
wait_for(run, run.packs)
begin = time.monotonic()
errors = run.process.stderr.read()
if not report.equal("compiles in peace", (run.process.wait(), errors), (0, "")):
    report.finish()
packing = time.monotonic() - begin
with open(run.artifact, "rb") as file:
    expected = file.read()
report.equal("leaves the artifact alone", run.left(), ["m.gpk"])
report.note(f"{len(expected)} bytes; packing and writing took {packing:.2f} s")

READING, PLANNING, LINKING = ("reading", Run.reads, 0), ("planning", Run.reads, 0.1), ("linking", Run.links, 0)
PACKING, HALF, NEARLY = ("packing begins", Run.packs, 0), ("half packed", Run.packs, 0.5), ("nearly done", Run.packs, 0.9)
CASES = {signal.SIGINT: (READING, LINKING, HALF), signal.SIGTERM: (PLANNING, LINKING, PACKING, NEARLY), signal.SIGKILL: (LINKING, HALF)}
for number, phases in CASES.items():
    for title, phase, share in phases:
        name = f"{number.name}, {title}"
        for attempt in range(5):  # until it is caught in the phase
            folder = os.path.join(root, "run")
            shutil.rmtree(folder, ignore_errors=True)
            run = Run(folder)
            met = wait_for(run, lambda: phase(run))
            time.sleep(share * packing / 2**attempt)  # how long packing takes depends on what else runs
            run.process.send_signal(number)
            errors = run.process.stderr.read()
            code = run.process.wait()
            if met and code:
                break
        if not report.check(f"{name}: is caught", met and code, f"exit code {code}, attempt {attempt + 1}"):
            continue
        if number == signal.SIGKILL:
            report.check(f"{name}: no file under the output's name", not os.path.exists(run.artifact), run.left())
            continue
        report.equal(f"{name}: exit code", code, 128 + number)
        report.equal(f"{name}: nothing is left, nothing said", (run.left(), errors), ([], ""))

# Again, where the last SIGKILL was, and with the leavings of a file system without unnamed files.
for leaving in ("m.gpk.123-0.part", ".gcompile-123-0.link.part"):
    with open(os.path.join(run.output, leaving), "wb") as file:
        file.write(b"unfinished")
again = Run(folder)
report.equal("after SIGKILL: runs again", (again.process.wait(), again.process.stderr.read()), (0, ""))
with open(again.artifact, "rb") as file:
    report.check("after SIGKILL: the bytes of a run in peace", file.read() == expected)
gc.scratch("interrupt")
report.finish()
