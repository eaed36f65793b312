#!/usr/bin/env python3
"""A plan as a compressed-tensors folder: decoded here from the format's description, by our reader, and (where compressed-tensors and transformers of PyPI are installed) by
that library, the values are the same; they are near the checkpoint's, and codes of a quantized checkpoint are kept."""
import array
import json
import math
import os
import struct

import gc_compressed
import gc_e2e as gc
import gc_gguf
from gc_compressed import scheme_of

report = gc.Report()
folder = gc.scratch("export-compressed")
options = ("--target", "host", "--kv-format", "f32", "--context", "256")


def export(model, formats, name):
    plan, out = os.path.join(folder, name + ".textproto"), os.path.join(folder, name)
    gc.must([gc.GCOMPILE, "plan", "--model", model, *options, "--weight-format", formats, "--emit", "plan", "-o", plan, "--quiet"])
    said = json.loads(gc.must([gc.GCOMPILE, "export", plan, "--model", model, "--format", "compressed-tensors", "-o", out, "--json"]).stdout)
    return out, said


def floats(tensor):
    dtype, _, data = tensor
    if dtype == "F32":
        return list(struct.unpack(f"<{len(data) // 4}f", data))
    if dtype == "F16":
        return list(struct.unpack(f"<{len(data) // 2}e", data))
    wide = bytearray(2 * len(data))
    wide[2::4], wide[3::4] = data[0::2], data[1::2]
    return list(struct.unpack(f"<{len(data) // 2}f", wide))


def decode(tensors, module, bits):
    """Values as f32 in an array, row by row, and the scale and length of each run of columns: by the description of pack-quantized and int-quantized."""
    scales = floats(tensors[module + ".weight_scale"])
    groups = tensors[module + ".weight_scale"][1][1]
    offset = 1 << (bits - 1)
    if module + ".weight_packed" in tensors:
        dtype, (rows, words), data = tensors[module + ".weight_packed"]
        assert dtype == "I32" and tensors[module + ".weight_shape"][0] == "I64"
        shape = struct.unpack("<2q", tensors[module + ".weight_shape"][2])
        columns = shape[1]
        assert shape[0] == rows and words == -(-columns * bits // 32) and columns * bits % 32 == 0
        codes = [half - offset for byte in data for half in (byte & 15, byte >> 4)] if bits == 4 else [byte - offset for byte in data]
    else:
        dtype, (rows, columns), data = tensors[module + ".weight"]
        assert dtype == "I8"
        codes = array.array("b", data)
    run = columns // groups
    values = array.array("f")
    for index, scale in enumerate(scales):
        values.extend([code * scale for code in codes[index * run:index * run + run]])
    return values, scales, run


def our_values(model, name):
    """What our reader makes of the folder: as floats of a GGUF file."""
    plan, out = os.path.join(folder, name + "-f32.textproto"), os.path.join(folder, name + "-f32.gguf")
    gc.must([gc.GCOMPILE, "plan", "--model", model, *options, "--weight-format", "f32", "--emit", "plan", "-o", plan, "--quiet"])
    gc.must([gc.GCOMPILE, "export", plan, "--model", model, "--format", "gguf", "-o", out, "--quiet"])
    return gc_gguf.read_tensors(out)


def logical(name):
    return name.removeprefix("model.language_model.").removeprefix("model.")


def gguf_name(module):
    name = logical(module) + ".weight"
    if name.startswith("layers."):
        _, number, name = name.split(".", 2)
        return f"blk.{number}.{gc_gguf.NAMES[name]}"
    return gc_gguf.NAMES[name]


def decoded_otherwise(tensors, config):
    """Modules that the library decodes to other values than the description gives."""
    values = gc_compressed.decompressed(tensors, config)
    return [module for module in values if values[module].flatten().tolist() != decode(tensors, module, scheme_of(config, module)["weights"]["num_bits"])[0].tolist()]


original, _ = gc.read_safetensors(os.path.join(gc.TINY, "model.safetensors"))
cases = (("int4 group 32", "w4g32", {"q_proj": (4, 32), "down_proj": (4, 32)}),
         ("int4 channel", "w4", {"q_proj": (4, None), "down_proj": (4, None)}),
         ("int8", "w8", {"q_proj": (8, None), "down_proj": (8, None)}),
         # Fused modules get the larger scheme of their parts; what stays plain is ignored by name.
         ("mixed", "w4g128,layers.0.self_attn.v_proj*=w8,layers.1.mlp.up_proj*=w4g32,layers.2.mlp.*=bf16,*.self_attn.o_proj*=w8g32,*.per_layer_input_gate*=w2",
          {"layers.0.self_attn.q_proj": (8, None), "layers.1.self_attn.q_proj": (4, 128), "layers.1.mlp.gate_proj": (4, 32), "layers.3.mlp.gate_proj": (4, 128),
           "layers.2.mlp.down_proj": None, "layers.4.self_attn.o_proj": (8, 32), "layers.0.per_layer_input_gate": (4, 32), "layers.0.per_layer_projection": (4, 32)}))
prompt = gc.tiny_goldens()["prompts"][0]["ids"][:64]
plain = gc.logits(gc.compiled(gc.TINY, *options, "--weight-format", "f32"), prompt)
for label, formats, expected in cases:
    name = label.replace(" ", "-")
    out, said = export(gc.TINY, formats, name)
    with open(os.path.join(out, "config.json"), encoding="utf-8") as file:
        config = json.load(file)
    with open(os.path.join(gc.TINY, "config.json"), encoding="utf-8") as file:
        before = json.load(file)
    # As text: transformers takes no 30 for 30.0.
    report.equal(f"{label}: the rest of config.json is as it was", json.dumps({key: value for key, value in config.items() if key != "quantization_config"}), json.dumps(before))
    tensors, metadata = gc.read_safetensors(os.path.join(out, "model.safetensors"))
    report.equal(f"{label}: metadata", metadata, {"format": "pt"})
    ours = our_values(out, name)
    seen, wrong_scheme, apart, far, copied, changed = {}, [], [], [], 0, []
    for module in gc_compressed.modules_of(tensors):
        group = scheme_of(config, module)
        packed = module + ".weight_packed" in tensors
        if not group or (group["format"] == "pack-quantized") != packed:
            wrong_scheme.append(module)
            continue
        weights = group["weights"]
        for part in expected:
            if expected[part] and logical(module).endswith(part):
                seen[part] = (weights["num_bits"], weights["group_size"])
        columns = original[module + ".weight"][1][1]
        groups = tensors[module + ".weight_scale"][1][1]
        if weights["strategy"] != ("group" if weights["group_size"] else "channel") or groups != (columns // weights["group_size"] if weights["group_size"] else 1):
            wrong_scheme.append(module)
        values, scales, run = decode(tensors, module, weights["num_bits"])
        # Not the dead keys and values of layers that share.
        if gguf_name(module) in ours and values != ours[gguf_name(module)][1]:
            apart.append(module)
        source, most = floats(original[module + ".weight"]), 1 << (weights["num_bits"] - 1)
        for index, scale in enumerate(scales):
            # Within half a step, where the code is not the last one.
            step, limit = abs(scale) * 0.5001, abs(scale) * (most - 1.5)
            if any(abs(value - wanted) > step and abs(value) < limit
                   for value, wanted in zip(values[index * run:index * run + run], source[index * run:index * run + run])):
                far.append((module, index))
                break
    for key, tensor in original.items():
        if key in tensors:
            copied += 1
            if tensors[key] != tensor and tensors[key][0] != "I8":
                changed.append(key)
    report.equal(f"{label}: schemes by the configuration", (seen, wrong_scheme), ({part: want for part, want in expected.items() if want}, []))
    if "layers.2.mlp.down_proj" in expected:
        report.check("mixed: what is plain stays and is ignored", scheme_of(config, "model.language_model.layers.2.mlp.down_proj") is None
                     and "model.language_model.layers.2.mlp.down_proj.weight" in tensors)
    report.equal(f"{label}: towers, embeddings and norms are as they were", changed, [])
    report.check(f"{label}: they are there", copied > 100 and "model.language_model.embed_tokens.weight" in tensors, f"{copied} tensors")
    report.equal(f"{label}: our reader's values are those of the description", apart, [])
    report.equal(f"{label}: values within half a step of the checkpoint's", far, [])
    for companion in ("tokenizer.json", "chat_template.jinja", "generation_config.json"):
        with open(os.path.join(out, companion), "rb") as one, open(os.path.join(gc.TINY, companion), "rb") as two:
            report.check(f"{label}: {companion} is taken over", one.read() == two.read())
    got = gc.logits(gc.compiled(out, *options, "--weight-format", "f32"), prompt)
    squares = [(x - y) ** 2 for left, right in zip(got, plain) for x, y in zip(left, right)]
    report.at_most(f"{label}: logits of the exported weights against the checkpoint's, rms", math.sqrt(sum(squares) / len(squares)), {"int8": 0.1}.get(label, 1.2))
    report.check(f"{label}: nearest types are said so", any(not line["same_grid"] for line in said["formats"]) and said["format"] == "compressed-tensors", said["formats"])
    # Once more from what was written: codes are kept.
    if label in ("int4 group 32", "int4 channel", "int8"):
        again, said = export(out, formats, name + "-again")
        second, _ = gc.read_safetensors(os.path.join(again, "model.safetensors"))
        codes = [key for key in tensors if key.endswith(".weight_packed") or tensors[key][0] == "I8"]
        report.check(f"{label}: importing and exporting again changes no code", len(codes) > 60 and all(second[key][2] == tensors[key][2] for key in codes), f"{len(codes)} tensors")
        report.check(f"{label}: nor a scale", all(floats(second[key.replace("_packed", "") + "_scale"]) == floats(tensors[key.replace("_packed", "") + "_scale"]) for key in codes))
    if not gc_compressed.torch:
        continue
    apart = decoded_otherwise(tensors, config)
    report.equal(f"{label}: compressed-tensors of PyPI decodes {len(gc_compressed.modules_of(tensors))} modules to the same values", apart, [])
    if label.startswith("int4"):  # int8 asks for activations in int8, which transformers rounds too
        report.at_most(f"{label}: logits of transformers, which loads the folder", gc.worst_difference(got, gc_compressed.logits_as_loaded(out, prompt))[0], 1e-3)
if not gc_compressed.torch:
    report.note("compressed-tensors and transformers of PyPI are not installed: decoded here and by our reader alone")

# A checkpoint that was quantized before: its 2, 4 and 8 bit codes by channel are codes of the scheme.
mobile = os.path.join(gc.DATA, "conformance-f32", "mobile_E")
out, said = export(mobile, "w4,*per_layer_input_gate*=w8,*per_layer_projection.*=w8", "mobile")
kept = {line["written"]: line["kept"] for line in said["formats"] if line["kept"]}
report.check("mobile QAT: codes are kept", kept.get("int4 channel", 0) >= 30 and kept.get("int8 channel", 0) >= 8, said["formats"])
tensors, _ = gc.read_safetensors(os.path.join(out, "model.safetensors"))
theirs, ours = our_values(mobile, "mobile-source"), our_values(out, "mobile")
same = [name for name in ours if ".attn_" in name or ".ffn_" in name or ".inp_gate" in name or ".proj." in name]
report.check("mobile QAT: the same values", len(same) > 40 and all(ours[name] == theirs[name] for name in same), f"{len(same)} tensors")

# A mixture of experts: a module for each matrix of each expert, which our reader joins again; the router stays as it is.
moe = os.path.join(gc.DATA, "conformance", "26b-a4b-moe-like")
out, said = export(moe, "w4g32", "moe")
tensors, _ = gc.read_safetensors(os.path.join(out, "model.safetensors"))
with open(os.path.join(out, "config.json"), encoding="utf-8") as file:
    config = json.load(file)
ours = our_values(out, "moe")
experts, scheme = "model.language_model.layers.1.experts", scheme_of(config, "model.language_model.layers.1.experts.3.up_proj")
report.equal("experts: scheme", (scheme["weights"]["num_bits"], scheme["weights"]["group_size"]), (4, 32))
report.check("experts: no stacks, and the router is ignored", not any(key.endswith(("gate_up_proj", "experts.down_proj")) for key in tensors)
             and scheme_of(config, "model.language_model.layers.1.router.proj") is None and "model.language_model.layers.1.router.proj.weight" in tensors)
for stack, parts in (("ffn_gate_up_exps", ("gate_proj", "up_proj")), ("ffn_down_exps", ("down_proj",))):
    values = array.array("f")
    for expert in range(8):
        for part in parts:
            values.extend(decode(tensors, f"{experts}.{expert}.{part}", 4)[0])
    report.check(f"experts: our reader's {stack} are those of the description", len(values) > 0 and values == ours[f"blk.1.{stack}.weight"][1])
if gc_compressed.torch:
    ids = [2, 5, 6] + [7 + 11 * i % 180 for i in range(40)]
    report.equal(f"experts: compressed-tensors of PyPI decodes {len(gc_compressed.modules_of(tensors))} modules to the same values", decoded_otherwise(tensors, config), [])
    theirs = gc_compressed.logits_of_values(out, tensors, gc_compressed.decompressed(tensors, config), ids)
    ours = gc.logits(gc.compiled(out, *options, "--weight-format", "f32"), ids)
    report.at_most("experts: logits of transformers with the library's values", gc.worst_difference(ours, theirs)[0], 1e-3)
again, _ = export(out, "w4g32", "moe-again")
second, _ = gc.read_safetensors(os.path.join(again, "model.safetensors"))
codes = [key for key in tensors if key.endswith(".weight_packed")]
report.check("experts: importing and exporting again changes no code", len(codes) > 48 and all(second[key][2] == tensors[key][2] for key in codes), f"{len(codes)} tensors")

# From a GGUF file: a text model of its own, with configuration, tokenizer and template as the file states them.
tiny = os.path.join(folder, "tiny.gguf")
gc_gguf.convert(gc.TINY, tiny, gc_gguf.BF16)
micro = os.path.join(gc.DATA, "gguf", "micro.gguf")
for label, model, ids in (("GGUF, tiny", tiny, prompt), ("GGUF, micro", micro, [2] + [7 + 11 * i % 180 for i in range(40)])):
    name = os.path.basename(model).removesuffix(".gguf") + "-gguf"
    out, said = export(model, "w4g32", name)
    with open(os.path.join(out, "config.json"), encoding="utf-8") as file:
        config = json.load(file)
    tensors, _ = gc.read_safetensors(os.path.join(out, "model.safetensors"))
    theirs, ours = our_values(model, name + "-source"), our_values(out, name)
    own = [module for module in gc_compressed.modules_of(tensors) if decode(tensors, module, 4)[0] == ours[gguf_name(module)][1]]
    report.check(f"{label}: our reader's values are those of the description", len(own) == len(gc_compressed.modules_of(tensors)) > 20, f"{len(own)} modules")
    kept = [line["kept"] for line in said["formats"] if line["written"] == "int4 group 32"]
    if model == micro:
        same = [gguf_name(module) for module in gc_compressed.modules_of(tensors) if ours[gguf_name(module)] == theirs[gguf_name(module)]]
        report.check(f"{label}: codes of Q4_0 are kept", len(same) == sum(kept) >= 9, f"{sum(kept)} tensors, {len(same)} with the file's own values")
    else:
        with open(os.path.join(gc.TINY, "config.json"), encoding="utf-8") as file:
            stated = json.load(file)["text_config"]
        # What text generation does not need, and what says "none".
        unsaid = {"attention_dropout", "initializer_range", "use_cache", "use_bidirectional_attention", "num_global_key_value_heads", "num_experts", "top_k_experts", "moe_intermediate_size", "eos_token_id"}
        differ = {key: (value, config.get(key)) for key, value in stated.items() if key not in unsaid and json.dumps(config.get(key), sort_keys=True) != json.dumps(value, sort_keys=True)}
        report.equal(f"{label}: the sizes of the checkpoint's own config.json", differ, {})
        heldout = os.path.join(gc.TINY, "eval", "heldout.txt")
        tokens = [gc.grun_json(gc.compiled(each, *options, "--weight-format", "f32"), "--tokenize", heldout)["tokens"] for each in (out, gc.TINY)]
        report.check(f"{label}: tokens of the checkpoint", tokens[0] == tokens[1] and len(tokens[0]) > 1000, f"{len(tokens[0])}")
        for companion in ("chat_template.jinja", "generation_config.json"):
            report.check(f"{label}: {companion} is there", os.path.getsize(os.path.join(out, companion)) > 50)
    if gc_compressed.torch:
        got = gc.logits(gc.compiled(out, *options, "--weight-format", "f32"), ids)
        report.at_most(f"{label}: logits of transformers, which loads the folder", gc.worst_difference(got, gc_compressed.logits_as_loaded(out, ids))[0], 1e-3)
        if model == tiny:
            with open(os.path.join(gc.TINY, "eval", "heldout.txt"), encoding="utf-8") as file:
                text = file.read()[:100000] + "<|tool_call>call<tool_call|><bos>\n\n "
            report.check(f"{label}: tokens, text and template as with the checkpoint's own files, in transformers", gc_compressed.tokenizer_facts(out, text) == gc_compressed.tokenizer_facts(gc.TINY, text))

# What is refused.
plan = os.path.join(folder, "int8.textproto")
for model, formats, context, code, needle in ((gc.TINY, "bf16", "256", 1, "no linear layer"),):
    path = os.path.join(folder, "refused.textproto")
    gc.must([gc.GCOMPILE, "plan", "--model", model, "--target", "host", "--kv-format", "f32", "--context", context, "--weight-format", formats, "--emit", "plan", "-o", path, "--quiet"])
    result = gc.gcompile("export", path, "--model", model, "--format", "compressed-tensors", "-o", os.path.join(folder, "refused"))
    report.check(f"refused: {os.path.basename(model)} as {formats}", result.code == code and needle in result.stderr and not os.path.exists(os.path.join(folder, "refused")), result.stderr.strip()[:200])
result = gc.gcompile("export", plan, "--model", gc.TINY, "--format", "compressed-tensors", "-o", gc.TINY)
report.check("refused: a folder that holds something", result.code == 1 and "not empty" in result.stderr, result.stderr.strip()[:200])
report.finish()
