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


for name in ("w8g32", "w4g32", "f32"):
    # What such a file cannot hold on the same grid stays as the checkpoint has it.
    formats = name + ",per_layer_model_projection*=bf16,embed_tokens_per_layer*=bf16"
    plan = plan_of(gc.TINY, formats, name)
    file = export(plan, gc.TINY, name)
    mine, theirs = artifact(gc.TINY, plan, name + "-mine"), artifact(file, plan_of(file, formats, name + "-theirs"), name + "-theirs")
    report.equal(f"{name}: logits of the exported file", gc.logits(theirs, prompt), gc.logits(mine, prompt))
    again = export(plan_of(file, formats, name + "-again"), file, name + "-again")
    with open(file, "rb") as one, open(again, "rb") as two:
        first, second = one.read(), two.read()
    starts = [min(start for _, _, _, start in gc_gguf.read_infos(data)) for data in (first, second)]
    report.check(f"{name}: importing and exporting again changes no weight", first[starts[0]:] == second[starts[1]:], f"{len(first) - starts[0]} bytes")
    text = os.path.join(gc.TINY, "eval", "heldout.txt")
    report.equal(f"{name}: token ids of the exported file", gc.grun_json(theirs, "--tokenize", text)["tokens"][:5000],
                 gc.grun_json(mine, "--tokenize", text)["tokens"][:5000])
    report.equal(f"{name}: chat answers", gc.grun_json(theirs, "--chat", "-p", "What is 7 + 5?", "--temperature", "0", "-n", 16)["text"],
                 gc.grun_json(mine, "--chat", "-p", "What is 7 + 5?", "--temperature", "0", "-n", 16)["text"])

mixed = export(plan_of(gc.TINY, "w4,embed_tokens*=w8,*.mlp.*=w2,*.self_attn.v_proj*=w2g64", "mixed"), gc.TINY, "mixed")
with open(mixed, "rb") as data:
    types = {name: kind for name, _, kind, _ in gc_gguf.read_infos(data.read())}
report.equal("mixed: types", [types[name] for name in ("token_embd.weight", "blk.0.ffn_up.weight", "blk.0.attn_v.weight", "blk.0.attn_q.weight",
                                                       "per_layer_model_proj.weight", "blk.0.proj.weight", "output_norm.weight")], [8, 10, 10, 2, 30, 2, 0])
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
                                (("export", os.path.join(folder, "f32.textproto"), "--model", gc.TINY, "--format", "onnx"), 2, "--format onnx"),
                                (("export", os.path.join(folder, "f32.textproto"), "--format", "gguf"), 2, "--model"),
                                (("export", os.path.join(folder, "f32.textproto"), "--model", "gemma-4-E2B", "--format", "gguf"), 1, "weights")):
    result = gc.gcompile(*arguments, cwd=folder)
    report.check(f"refused: {' '.join(arguments[1:])[-60:]}", result.code == code and needle in result.stderr and result.stderr.count("\n") == 1, result.stderr.strip()[:200])
report.finish()
