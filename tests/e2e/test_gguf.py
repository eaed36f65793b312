#!/usr/bin/env python3
"""GGUF files compile and run like the checkpoints they hold: the tiny model as F32 and BF16 gives the goldens and the same text as its
folder; a file of K types and types of 32 gives the logits of the same values in safetensors."""
import array
import json
import os
import random
import struct

import gc_artifact
import gc_e2e as gc
import gc_gguf

report = gc.Report()
folder = gc.scratch("gguf")
golden = gc.tiny_goldens()
prompt = golden["prompts"][0]
reference = gc.reference("gemma4-tiny")
options = ("--target", "host", "--weight-format", "f32", "--kv-format", "f32", "--context", "2048")


def bytes_of(path):
    with open(path, "rb") as file:
        return file.read()


def tokenizer_of(path):
    artifact = gc_artifact.Artifact(bytes_of(path))
    _, start, size, _ = artifact.section(artifact.index_of(gc_artifact.TOKENIZER))
    return bytes(artifact.data[start:start + size])


def worst(a, b):
    return max(abs(x - y) for left, right in zip(a, b) for x, y in zip(left, right))


for name, kind in (("F32", gc_gguf.F32), ("BF16", gc_gguf.BF16)):
    path = os.path.join(folder, f"tiny-{name}.gguf")
    gc_gguf.convert(gc.TINY, path, kind)
    artifact = gc.compiled(path, *options)
    got = gc.logits(artifact, prompt["ids"])
    report.at_most(f"tiny as {name}: top-20 logits", max(abs(got[-1][token] - value) for token, value in zip(prompt["top_ids"], prompt["top_logits"])), 1e-3)
    report.equal(f"tiny as {name}: logits of the folder", worst(got, gc.logits(reference, prompt["ids"])), 0)
    report.check(f"tiny as {name}: tokenizer section of the folder", tokenizer_of(artifact) == tokenizer_of(reference))
    text = os.path.join(gc.TINY, "eval", "heldout.txt")
    report.equal(f"tiny as {name}: token ids of the folder", gc.grun_json(artifact, "--tokenize", text)["tokens"], gc.grun_json(reference, "--tokenize", text)["tokens"])
    chat = [gc.grun_json(each, "--chat", "-p", "What is 7 + 5?", "--temperature", "0", "-n", 16) for each in (artifact, reference)]
    report.equal(f"tiny as {name}: same answer", (chat[0]["text"], chat[0]["stop_reason"]), (chat[1]["text"], chat[1]["stop_reason"]))
    os.remove(path)

# Quantized types: the same values as safetensors, decoded here.
micro = os.path.join(gc.DATA, "gguf", "micro.gguf")
back = {gguf: name for name, gguf in gc_gguf.NAMES.items()}
tensors = {}
stored = gc_gguf.read_tensors(micro)
for name, (shape, values) in stored.items():
    if name == "rope_freqs.weight":
        continue
    block = ""
    if name.startswith("blk."):
        _, number, name = name.split(".", 2)
        block = f"layers.{number}."
    tensors["model." + block + back[name]] = ("F32", shape, values.tobytes())
decoded = os.path.join(folder, "micro")
os.makedirs(decoded)
gc.write_safetensors(os.path.join(decoded, "model.safetensors"), tensors, {"format": "pt"})
config = {"architectures": ["Gemma4ForCausalLM"], "model_type": "gemma4_text", "num_hidden_layers": 3, "hidden_size": 256, "intermediate_size": 256,
          "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 64, "global_head_dim": 128, "vocab_size": 288, "vocab_size_per_layer_input": 288,
          "hidden_size_per_layer_input": 64, "sliding_window": 16, "num_kv_shared_layers": 1, "rms_norm_eps": 1e-6, "final_logit_softcapping": 30.0,
          "max_position_embeddings": 512, "layer_types": ["sliding_attention", "full_attention", "full_attention"],
          "rope_parameters": {"full_attention": {"rope_type": "proportional", "rope_theta": 1e6, "partial_rotary_factor": 0.25},
                              "sliding_attention": {"rope_type": "default", "rope_theta": 1e4}}}
with open(os.path.join(decoded, "config.json"), "w", encoding="utf-8") as file:
    json.dump(config, file)
random.seed(3)
ids = [2] + [random.randrange(288) for _ in range(39)]
small = ("--target", "host", "--weight-format", "f32", "--kv-format", "f32", "--context", "256")
from_gguf, from_floats = gc.compiled(micro, *small), gc.compiled(decoded, *small)
wanted = gc.logits(from_floats, ids)
report.check("the micro model says something", max(wanted[-1]) - min(wanted[-1]) > 0.5, f"{min(wanted[-1])} to {max(wanted[-1])}")
report.equal("mixed types: logits of the decoded values", worst(gc.logits(from_gguf, ids), wanted), 0)

# Quantizing again what is quantized: a plan of our own formats works on a file as on a folder.
for formats in ("w8", "w4g32"):
    args = ("--target", "host", "--weight-format", formats, "--kv-format", "kv8", "--context", "256")
    report.equal(f"as {formats}: logits of the decoded values, quantized", worst(gc.logits(gc.compiled(micro, *args), ids), gc.logits(gc.compiled(decoded, *args), ids)), 0)

# K types on their own grids: only activations are rounded, so that logits are as near those of the values as eight-bit weights get them, which round the
# activations alike, and nearer than after rounding the same tensors to a grid of 4-bit groups.
infos = gc_gguf.read_infos(bytes_of(micro))
kinds = {kind: sum(each[2] == kind for each in infos) for kind in (12, 14)}
report.check("the micro model has Q4_K and Q6_K matrices", min(kinds.values()) >= 3, kinds)


def rules(q4_k, q6_k):
    """Formats for the tensors of these types; the others f32."""
    chosen = ["f32"]
    for name, _, kind, _ in infos:
        if kind in kinds:
            block = ""
            if name.startswith("blk."):
                _, number, name = name.split(".", 2)
                block = f"layers.{number}."
            chosen.append(f"*{block}{back[name]}={q4_k if kind == 12 else q6_k}")
    return ",".join(chosen)


def error(formats):
    got = gc.logits(gc.compiled(micro, "--target", "host", "--weight-format", formats, "--kv-format", "f32", "--context", "256"), ids)
    squares = [(x - y) ** 2 for left, right in zip(got, wanted) for x, y in zip(left, right)]
    return (sum(squares) / len(squares)) ** 0.5


kept, eight, four = error(rules("q4_k", "q6_k")), error(rules("w8g32", "w8g32")), error(rules("w4g32", "w4g32"))
report.check("Q4_K and Q6_K on their grids: logits as near as activations let them be", kept < eight, f"rms {kept:.3g}; as w8g32 {eight:.3g}")
report.check("Q4_K and Q6_K on their grids: nearer than rounded again", kept < four / 4, f"rms {kept:.3g}; as w4g32 {four:.3g}")
# The errors that a plan is made from: none for a grid that is kept.
priced = json.loads(gc.must([gc.GCOMPILE, "plan", "--model", micro, "--target", "host", "--weight-format", rules("q4_k", "q6_k"), "--kv-format", "f32",
                             "--context", "256", "--json"]).stdout)["predicted"]["kl"]
again = json.loads(gc.must([gc.GCOMPILE, "plan", "--model", micro, "--target", "host", "--weight-format", rules("w4g32", "w4g32"), "--kv-format", "f32",
                            "--context", "256", "--json"]).stdout)["predicted"]["kl"]
report.check("Q4_K and Q6_K on their grids: priced below rounding again", priced < again / 3, f"{priced:.3g} and {again:.3g}")

# What is said of a file.
facts = json.loads(gc.must([gc.GCOMPILE, "inspect", micro, "--json"]).stdout)
report.equal("inspect: container, preset, template", (facts["container"], facts["preset"], facts["chat_template"], facts["tokens"]), ("GGUF", None, "recognised", 275))
report.equal("inspect: what ups are stored and kept as",
             [(each["format"], each["kept_as"], each["tensors"]) for each in facts["classes"]["up"]], [("Q4_0", "w4g32", 3)])
sizes = os.path.getsize(micro)
report.equal("inspect: what downs are stored and kept as",
             [(each["format"], each["kept_as"], each["tensors"]) for each in facts["classes"]["down"]], [("Q6_K", "q6_k", 2), ("Q4_K", "q4_k", 1)])
report.check("inspect: bytes of the text model are nearly those of the file", 0.95 * sizes < facts["text_bytes"] < sizes, f"{facts['text_bytes']} of {sizes}")
table = gc.must([gc.GCOMPILE, "inspect", micro]).stdout
report.check("inspect: the table names formats and what they are kept as", all(word in table for word in ("Q6_K", "q6_k", "Q4_K", "q4_k", "Q4_0", "w4g32", "GGUF", "no published size")), table)
preset = json.loads(gc.must([gc.GCOMPILE, "inspect", "gemma-4-31B", "--json"]).stdout)
report.equal("inspect: a published size is itself", (preset["preset"], preset["container"], preset["has_weights"]), ("gemma-4-31B", None, False))

# Importance data: the older form, for all inputs of the layers' matrices; the first columns matter a hundred times more.
matrix = os.path.join(folder, "i.dat")


def write_matrix(path, weight):
    entries = []
    for name, (shape, values) in stored.items():
        if len(shape) == 2 and name.startswith("blk."):
            means = array.array("f", [weight(i) for i in range(shape[1])])
            entries.append(struct.pack("<i", len(name)) + name.encode() + struct.pack("<ii", 1, shape[1]) + means.tobytes())
    with open(path, "wb") as file:
        file.write(struct.pack("<i", len(entries)) + b"".join(entries) + struct.pack("<i", 1))


def damage(*options):
    """Expected KL of everything in w2g64, where errors are large."""
    plan = json.loads(gc.must([gc.GCOMPILE, "plan", "--model", micro, "--target", "host", "--weight-format", "w2g64", "--kv-format", "f32", "--context", "256", "--json", *options]).stdout)
    return plan["predicted"]


write_matrix(matrix, lambda i: 1.0)
even = damage("--imatrix", matrix)
write_matrix(matrix, lambda i: 100.0 if i < 32 else 0.01)
uneven = damage("--imatrix", matrix)
report.check("imatrix: even importance gives the error without one", abs(even["kl"] / damage()["kl"] - 1) < 0.02, f"{even['kl']} and {damage()['kl']}")
report.check("imatrix: uneven importance gives another", abs(uneven["kl"] / even["kl"] - 1) > 0.002, f"{uneven['kl']} and {even['kl']}")
wrong = gc.gcompile("plan", "--model", gc.TINY, "--target", "host", "--budget", "10MB", "--imatrix", matrix)
report.check("imatrix: of another model: refused", wrong.code == 1 and "made of another model" in wrong.stderr, wrong.stderr)

# What a file is not.
for name, text in (("imatrix.gguf", "importance matrix"), ("blocks.gguf", "architecture 'blocks'")):
    result = gc.gcompile("--model", os.path.join(gc.DATA, "gguf", name), "--target", "host", "-o", os.path.join(folder, "x.gpk"))
    report.check(f"{name} is refused by what it is", result.code == 1 and text in result.stderr, result.stderr)
bytes_ = bytes_of(micro)
cut = os.path.join(folder, "cut.gguf")
for length in (0, 3, 4, 24, 1000, 20000, len(bytes_) // 2, len(bytes_) - 40):
    with open(cut, "wb") as file:
        file.write(bytes_[:length])
    result = gc.gcompile("--model", cut, "--target", "host", "-o", os.path.join(folder, "x.gpk"))
    report.check(f"cut after {length} bytes: refused", result.code == 1 and not os.path.exists(os.path.join(folder, "x.gpk")), result.stderr)
report.finish()
