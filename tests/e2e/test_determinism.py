#!/usr/bin/env python3
"""The same input and options give the same bytes: whatever the number of jobs, the folder, the time, and where gcompile itself lies."""
import os
import shutil
import time

import gc_e2e as gc

report = gc.Report()
folder = gc.scratch("determinism")
elsewhere = os.path.join(folder, "a folder of another name")
shutil.copytree(gc.TINY, os.path.join(elsewhere, "gemma4-tiny"))
program = os.path.join(elsewhere, "gcompile")
shutil.copy2(gc.GCOMPILE, program)


def content(path):
    with open(path, "rb") as file:
        return file.read()


def compile_with(name, options, model=gc.TINY, gcompile=gc.GCOMPILE, cwd=None):
    output = os.path.join(folder, name)
    gc.must([gcompile, "--model", model, "--target", "host", "--quiet", "-o", output, *options], cwd=cwd)
    return content(output)


for title, options in (("w4g32", ["--weight-format", "w4g32", "--kv-format", "kv8", "--context", "1024"]), ("planned", ["--budget", "12MB", "--context", "1024"])):
    first = compile_with(f"{title}-1.gpk", [*options, "--jobs", "1"])
    report.check(f"{title}: an artifact", len(first) > 1_000_000, f"{len(first)} bytes")
    time.sleep(1.1)  # a time stamp in seconds would show
    other = compile_with(f"{title}-2.gpk", [*options, "--jobs", "2"], model="gemma4-tiny", gcompile=program, cwd=elsewhere)
    report.check(f"{title}: one job and two jobs, another folder, program, time and output name", first == other)
    for path in (gc.SOURCE, gc.BUILD, folder):
        report.check(f"{title}: does not hold the path {os.path.basename(path)}", path.encode() not in first)
    emitted = gc.must([gc.GCOMPILE, "--model", gc.TINY, "--target", "host", *options, "--emit", "plan"]).stdout
    plan = os.path.join(folder, f"{title}.textproto")
    with open(plan, "w", encoding="utf-8") as file:
        file.write(emitted)
    report.check(f"{title}: replaying its plan gives the same bytes", first == compile_with(f"{title}-3.gpk", ["--plan", plan]))
report.finish()
