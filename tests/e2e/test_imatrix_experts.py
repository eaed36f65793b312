#!/usr/bin/env python3
"""Rounding errors of experts: measured, each expert a matrix of its own, and weighted with its own row of an importance matrix, against errors that are computed here from the checkpoint's values and the importances.

Experts and rows are sampled: 4 rows of each of 4 experts, the middles of equal parts of all rows and of those experts that the matrix saw anything of. A plan's losses are errors times a factor that a tensor has for all
formats, so errors are compared as ratios, of f16 to bf16 and of one importance matrix to another.
"""
import array
import os
import re
import struct

import gc_e2e as gc
import gc_gguf as gguf

report, folder = gc.Report(), gc.scratch("imatrix-experts")
MODEL = os.path.join(gc.DATA, "conformance-f32", "moe")
tensors, _ = gc.read_safetensors(os.path.join(MODEL, "model.safetensors"))
PREFIX = "model.language_model."
stacks = {name[len(PREFIX):]: tensor for name, tensor in tensors.items() if ".experts." in name}
LAYERS, EXPERTS = 6, 8
report.equal("stacks of experts", (len(stacks), {tensor[1][0] for tensor in stacks.values()}), (2 * LAYERS, {EXPERTS}))


def losses(*options):
    """{tensor: {format: loss}} of the plan, those of 0 left out."""
    plan = os.path.join(folder, "plan.textproto")
    gc.must([gc.GCOMPILE, "plan", "--model", MODEL, "--target", "host", "--context", "64", "--quiet", "--emit", "plan", "-o", plan, *options])
    with open(plan, encoding="utf-8") as file:
        entries = re.findall(r'^tensors \{\n  name: "(.*?)"(.*?)^\}', file.read(), re.M | re.S)
    return {name: {form: float(loss) for form, loss in re.findall(r'options \{ format: "(\w+)" .*?loss: (\S+)', rest)} for name, rest in entries}


def bf16(value):
    bits, = struct.unpack("<I", struct.pack("<f", value))
    return struct.unpack("<f", struct.pack("<I", (bits + 0x7fff + (bits >> 16 & 1)) >> 16 << 16))[0]


def f16(value):
    return struct.unpack("<e", struct.pack("<e", value))[0]


def middles(count, most):
    """The middles of `most` equal parts of `count`."""
    most = min(count, most)
    return [(2 * i + 1) * count // (2 * most) for i in range(most)]


def error(name, rounded, weight=None):
    """Relative squared error of the sample; `weight[expert][column]`."""
    _, (experts, rows, columns), _ = stacks[name]
    values = gc.values(stacks[name])
    used = [e for e in range(experts) if not weight or any(weight[e])]
    if not used:
        used, weight = list(range(experts)), None
    wrong = whole = 0.0
    for expert in (used[i] for i in middles(len(used), 4)):
        for row in middles(rows, 4):
            for column in range(columns):
                x, w = values[(expert * rows + row) * columns + column], weight[expert][column] if weight else 1.0
                wrong += w * (x - rounded(x)) ** 2
                whole += w * x * x
    return wrong / whole


# Sums of squared inputs that differ much between experts and columns.
sums, counts = {}, {}
for name, (_, (_, rows, columns), _) in stacks.items():
    layer = int(name.split(".")[1])
    if layer == LAYERS - 1:
        continue  # no entry
    counts[name] = [0 if layer == 2 or (layer == 1 and e in (1, 4)) else 3 + 5 * e for e in range(EXPERTS)]
    sums[name] = [[counts[name][e] * (50.0 if (column * 7 + e * 3 + layer) % 11 == 0 else 0.01 * (1 + column % 5)) for column in range(columns)] for e in range(EXPERTS)]


def importance(path, sums, counts):
    entries = {}
    for name, rows in sums.items():
        flat = array.array("f", [value for row in rows for value in row])
        entries[gguf.name_of(name) + ".in_sum2"] = (gguf.F32, [EXPERTS, len(rows[0])], flat.tobytes())
        entries[gguf.name_of(name) + ".counts"] = (gguf.F32, [EXPERTS, 1], array.array("f", counts[name]).tobytes())
    gguf.write(path, {"general.type": "imatrix", "imatrix.chunk_count": 1, "imatrix.chunk_size": 512, "imatrix.datasets": ["made.txt"]}, entries)
    return {name: [[x for x in array.array("f", row)] for row in rows] for name, rows in sums.items()}


matrix = os.path.join(folder, "imatrix.gguf")
weights = importance(matrix, sums, counts)
plain, weighted = losses("--sensitivity", "weights"), losses("--imatrix", matrix)
worst = {"plain": 0.0, "weighted": 0.0, "between": 0.0}
moved = []
for name in stacks:
    own, found = plain[name], weighted[name]
    report.check(f"{name}: priced in every format", "f32" not in own and 0 < own["f16"] < own["bf16"] < own["w8"] < own["w4"] < own["w2"], own)
    wanted = {form: (error(name, rounded), error(name, rounded, weights.get(name))) for form, rounded in (("bf16", bf16), ("f16", f16))}
    ratio = wanted["f16"][0] / wanted["bf16"][0]
    worst["plain"] = max(worst["plain"], abs(own["f16"] / own["bf16"] / ratio - 1))
    worst["weighted"] = max(worst["weighted"], abs(found["f16"] / found["bf16"] / (wanted["f16"][1] / wanted["bf16"][1]) - 1))
    for form, (even, uneven) in wanted.items():
        worst["between"] = max(worst["between"], abs(found[form] / own[form] / (uneven / even) - 1))
        if name in weights and any(counts[name]):
            moved.append(abs(uneven / even - 1))
for what, text in (("plain", "errors of the experts' own values"), ("weighted", "errors weighted by each expert's importances"), ("between", "what the importances change")):
    report.at_most(text, worst[what], 1e-6)
report.check("importances matter: each changes the error by more than that", min(moved) > 1e-4, f"{min(moved):.3g} to {max(moved):.3g}")
same = [name for name in stacks if name not in weights or not any(counts[name])]
report.equal("stacks without an entry, or of which nothing was seen", len(same), 4)
report.at_most("nothing is weighted there", max(abs(weighted[name][form] / loss - 1) for name in same for form, loss in plain[name].items()), 1e-6)

# How often an expert was chosen counts; a factor on all does not.
again = os.path.join(folder, "again.gguf")
importance(again, {name: [[4 * x for x in row] for row in rows] for name, rows in sums.items()}, {name: [4 * x for x in each] for name, each in counts.items()})
report.equal("four times the text: the same losses", losses("--imatrix", again), weighted)
swapped = {name: list(reversed(rows)) for name, rows in sums.items()}
importance(again, swapped, {name: list(reversed(each)) for name, each in counts.items()})
other = losses("--imatrix", again)
report.check("the rows of other experts: other losses", all(other[name]["bf16"] != weighted[name]["bf16"] for name in stacks if name not in same))

# Sums of another number of experts are of another model.
short = {name: rows[:-1] for name, rows in sums.items()}
entries = {gguf.name_of(name) + ".in_sum2": (gguf.F32, [EXPERTS - 1, len(rows[0])], array.array("f", [x for row in rows for x in row]).tobytes()) for name, rows in short.items()}
entries.update({gguf.name_of(name) + ".counts": (gguf.F32, [EXPERTS - 1, 1], array.array("f", counts[name][:-1]).tobytes()) for name in short})
gguf.write(again, {"general.type": "imatrix", "imatrix.chunk_count": 1, "imatrix.chunk_size": 512, "imatrix.datasets": ["made.txt"]}, entries)
result = gc.run([gc.GCOMPILE, "plan", "--model", MODEL, "--target", "host", "--context", "64", "--imatrix", again])
report.check("an importance matrix of fewer experts is refused", result.code == 1 and "made of another model" in result.stderr, result.stderr.strip()[-200:])
report.finish()
