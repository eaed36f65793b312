#!/usr/bin/env python3
"""A plan as a GGUF file: read back by our reader (and by gguf of PyPI where it is installed) it is the same model with the same weights, and
what was on llama.cpp's grids already keeps its bytes."""
import os

import gc_e2e as gc
import gc_gguf

report = gc.Report()
folder = gc.scratch("export")
golden = gc.tiny_goldens()
prompt = golden["prompts"][0]["ids"]
options = ("--target", "host", "--kv-format", "f32", "--context", "2048")


def plan_of(model, formats, name):
    path = os.path.join(folder, name + ".textproto")
    gc.must([gc.GCOMPILE, "plan", "--model", model, *options, "--weight-format", formats, "--emit", "plan", "-o", path, "--quiet"])
    return path


def export(plan, model, name):
    path = os.path.join(folder, name + ".gguf")
    gc.must([gc.GCOMPILE, "export", plan, "--model", model, "--format", "gguf", "-o", path, "--quiet"])
    return path


def artifact(model, plan, name):
    path = os.path.join(folder, name + ".gpk")
    gc.must([gc.GCOMPILE, "--model", model, "--target", "host", "--plan", plan, "-o", path, "--quiet"])
    return path


# Every type that we have a grid of, two layers each. What such a file cannot hold on the same grid stays as the checkpoint has it; K types want 256 columns, which one
# projection has not.
formats = ",".join(["w8g32", "*layers.[01].*_proj.*=f32", "*layers.[23].*_proj.*=w4g32", "*layers.[45].*_proj.*=q4_k", "*layers.[67].*_proj.*=q6_k",
                    "per_layer_model_projection*=bf16", "embed_tokens_per_layer*=bf16"])
plan = plan_of(gc.TINY, formats, "types")
file = export(plan, gc.TINY, "types")
mine, theirs = artifact(gc.TINY, plan, "mine"), artifact(file, plan_of(file, formats, "theirs"), "theirs")
report.equal("logits of the exported file", gc.logits(theirs, prompt), gc.logits(mine, prompt))
again = export(plan_of(file, formats, "again"), file, "again")
with open(file, "rb") as one, open(again, "rb") as two:
    first, second = one.read(), two.read()
infos = [gc_gguf.read_infos(data) for data in (first, second)]
counts = {kind: sum(each[2] == kind for each in infos[0]) for kind in (0, 2, 8, 12, 14, 30)}
report.check("tensors of F32, Q4_0, Q8_0, Q4_K, Q6_K and BF16", min(counts.values()) >= 1 and min(counts[kind] for kind in (2, 12, 14)) >= 10, counts)
starts = [min(start for _, _, _, start in each) for each in infos]
report.check("importing and exporting again changes no weight", first[starts[0]:] == second[starts[1]:], f"{len(first) - starts[0]} bytes")
text = os.path.join(gc.TINY, "eval", "heldout.txt")
report.equal("token ids of the exported file", gc.grun_json(theirs, "--tokenize", text)["tokens"], gc.grun_json(mine, "--tokenize", text)["tokens"])
report.equal("chat answers", gc.grun_json(theirs, "--chat", "-p", "What is 7 + 5?", "--temperature", "0", "-n", 16)["text"],
             gc.grun_json(mine, "--chat", "-p", "What is 7 + 5?", "--temperature", "0", "-n", 16)["text"])

# A file of llama.cpp's own encoders (tests/scripts/make_gguf.py): tensors whose type the plan asks for keep their bytes, and so does the table, for which
# plans have other formats of as many bits.
micro = os.path.join(gc.DATA, "gguf", "micro.gguf")


def tensors_of(path):
    """{name: (type, bytes up to the next tensor's start)}"""
    with open(path, "rb") as file:
        data = file.read()
    sizes = {0: (1, 4), 1: (1, 2), 2: (32, 18), 8: (32, 34), 12: (256, 144), 13: (256, 176), 14: (256, 210), 30: (1, 2)}
    found = {}
    for name, shape, kind, start in gc_gguf.read_infos(data):
        count = 1
        for extent in shape:
            count *= extent
        found[name] = (kind, data[start:start + count // sizes[kind][0] * sizes[kind][1]])
    return found


given = tensors_of(micro)
ours = {2: "w4g32", 8: "w8g32", 12: "q4_k", 13: "w8g32", 14: "q6_k"}
names = {gguf: name for name, gguf in gc_gguf.NAMES.items()}
wanted = ["bf16", "embed_tokens_per_layer*=w8"]
for name, (kind, data) in given.items():
    block, rest = "", name
    if name.startswith("blk."):
        _, number, rest = name.split(".", 2)
        block = f"layers.{number}."
    if kind in ours and not name.startswith("per_layer_"):
        wanted.append(f"*{block}{names[rest]}={ours[kind]}")
plan = os.path.join(folder, "micro.textproto")
gc.must([gc.GCOMPILE, "plan", "--model", micro, "--target", "host", "--kv-format", "f32", "--context", "256", "--weight-format", ",".join(wanted), "--emit", "plan", "-o", plan, "--quiet"])
written = tensors_of(export(plan, micro, "micro"))
same = {kind: [written[name][1] == data for name, (each, data) in given.items() if each == kind] for kind in (0, 2, 8, 12, 14)}
for kind, label, least in ((0, "F32", 25), (2, "Q4_0", 9), (8, "Q8_0", 4), (12, "Q4_K", 7), (14, "Q6_K", 5)):
    report.check(f"micro: tensors of {label} keep their bytes", len(same[kind]) >= least and all(same[kind]), f"{sum(same[kind])} of {len(same[kind])}")
report.equal("micro: what has no type of its own in plans is written as planned", {written[name][0] for name, (kind, _) in given.items() if kind == 13}, {8})

mixed = export(plan_of(gc.TINY, "w4,embed_tokens*=w8,*.mlp.*=w2,*.self_attn.v_proj*=w2g64,*.self_attn.o_proj*=nf4,*.per_layer_input_gate*=q6_k", "mixed"), gc.TINY, "mixed")
with open(mixed, "rb") as data:
    types = {name: kind for name, _, kind, _ in gc_gguf.read_infos(data.read())}
report.equal("mixed: types", [types[name] for name in ("token_embd.weight", "blk.0.ffn_up.weight", "blk.0.attn_v.weight", "blk.0.attn_q.weight", "blk.0.attn_output.weight", "blk.0.inp_gate.weight",
                                                       "per_layer_model_proj.weight", "blk.0.proj.weight", "output_norm.weight")], [8, 10, 10, 2, 12, 14, 30, 2, 0])
said = gc.must([gc.GCOMPILE, "export", os.path.join(folder, "mixed.textproto"), "--model", gc.TINY, "--format", "gguf", "-o", os.path.join(folder, "again.gguf")]).stdout
lines = {line.split()[0]: line for line in said.splitlines() if line}
report.check("mixed: the nearest types are called so", all("nearest type" in lines[each] for each in ("nf4", "w4", "w8", "w2g64")) and "nearest" not in lines["q6_k"], said)
try:
    import gguf
    import numpy
except ImportError:
    report.note("gguf of PyPI is not installed: read back by our own readers alone")
else:
    reader = gguf.GGUFReader(mixed)
    values = {tensor.name: gguf.quants.dequantize(tensor.data, tensor.tensor_type) for tensor in reader.tensors}
    report.check("gguf of PyPI decodes every tensor of the mixed file", all(numpy.isfinite(value).all() for value in values.values()), f"{len(values)} tensors")

for arguments, code, needle in ((("export", "nothing.textproto", "--model", gc.TINY, "--format", "gguf"), 1, "nothing.textproto"),
                                (("export", mixed, "--model", gc.TINY, "--format", "gguf"), 1, ""),
                                (("export", os.path.join(folder, "types.textproto"), "--model", gc.TINY, "--format", "onnx"), 2, "--format onnx"),
                                (("export", os.path.join(folder, "types.textproto"), "--format", "gguf"), 2, "--model"),
                                (("export", os.path.join(folder, "types.textproto"), "--model", "gemma-4-E2B", "--format", "gguf"), 1, "weights")):
    result = gc.gcompile(*arguments, cwd=folder)
    report.check(f"refused: {' '.join(arguments[1:])[-60:]}", result.code == code and needle in result.stderr and result.stderr.count("\n") == 1, result.stderr.strip()[:200])
report.finish()
