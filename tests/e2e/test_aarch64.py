#!/usr/bin/env python3
"""The AArch64 artifact, run by a static grun under qemu-aarch64, gives the same tokens as the x86-64 one, on every instruction-set variant."""
import os

import gc_e2e as gc

CPUS = [("cortex-a72", "plain NEON"), ("cortex-a76", "dotprod"), ("max", "i8mm")]
TARGETS = ("pixel9", "pixel8a", "raspberrypi5", "aarch64")

if not gc.QEMU_AARCH64:
    gc.skip("qemu-aarch64 is not installed (package qemu-user)")
if not os.path.exists(gc.GRUN_AARCH64):
    gc.skip(f"no static grun for AArch64 at {gc.GRUN_AARCH64} (package g++-aarch64-linux-gnu, target runtime-aarch64)")

report = gc.Report()
target = next((name for name in TARGETS if gc.gcompile("targets", name).code == 0), None)
if not report.check("a target of AArch64", target is not None, target or TARGETS):
    report.finish()
goldens = gc.tiny_goldens()
prompt = goldens["prompts"][1]
for weights, cache in (("f32", "f32"), ("w8", "f32"), ("w4g32", "kv8")):
    device = gc.compiled_as(weights, cache, target=target)
    host = gc.compiled_as(weights, cache)
    wanted = gc.generate(host, prompt["ids"], 12)
    if weights == "f32":
        report.equal("f32 on this machine: the reference's tokens", wanted, prompt["greedy_ids"][:12])
    for cpu, name in CPUS:
        emulator = (gc.QEMU_AARCH64, "-cpu", cpu)
        report.equal(f"{weights} / {cache} on {cpu} ({name}): tokens", gc.generate(device, prompt["ids"], 12, "--threads", 2, emulator=emulator, timeout=900), wanted)
report.finish()
