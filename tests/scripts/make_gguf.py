#!/usr/bin/env python3
"""Writes GGUF files with the format's own tools, for fixtures and for trying things by hand.

Packages: gguf, numpy (PyPI). K, IQ4 and NVFP4 types need libggml as well: --libggml FILE, a shared library built from the
sources that the PyPI package llama-cpp-python carries (vendor/llama.cpp/ggml/src: ggml-quants.c, ggml.c and what they need).

  make_gguf.py fixtures --libggml libggml.so            rewrites tests/data/gguf
  make_gguf.py convert FOLDER OUT.gguf --type Q8_0      a checkpoint folder as convert_hf_to_gguf.py and llama-quantize make it

Names and types follow llama.cpp's converter (conversion/gemma.py) and come from gguf's own name table.
"""
import argparse
import ctypes
import json
import os
import struct
import zlib

import gguf
import numpy as np

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data")
TYPE = gguf.GGMLQuantizationType
ALL_TYPES = "F32 F16 BF16 Q8_0 Q4_0 Q4_1 Q5_0 Q5_1 Q2_K Q3_K Q4_K Q5_K Q6_K IQ4_NL IQ4_XS MXFP4 NVFP4 Q1_0 TQ1_0 TQ2_0".split()  # gguf 0.19 does not know Q2_0
library = None


def load_library(path):
    global library
    library = ctypes.CDLL(path, mode=os.RTLD_LAZY | os.RTLD_GLOBAL)
    library.ggml_quantize_chunk.restype = ctypes.c_size_t
    library.ggml_row_size.restype = ctypes.c_size_t
    library.ggml_quantize_chunk.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p]
    library.ggml_row_size.argtypes = [ctypes.c_int, ctypes.c_int64]


def quantize(values, name, importance=None):
    """The bytes of rows in this type, as an array [..., row bytes]."""
    kind = TYPE[name]
    values = np.ascontiguousarray(values, np.float32)
    if name in ("F32", "F16", "BF16") or library is None:
        return gguf.quants.quantize(values, kind)
    columns = values.shape[-1]
    rows = values.size // columns
    row_bytes = library.ggml_row_size(int(kind), columns)
    out = np.zeros(values.shape[:-1] + (row_bytes,), np.uint8)
    weights = None if importance is None else np.ascontiguousarray(importance, np.float32).ctypes.data
    library.ggml_quantize_chunk(int(kind), values.ctypes.data, out.ctypes.data, 0, rows, columns, weights)
    return out


def dequantize(data, name):
    """f32 values; by libggml where it is loaded and has the type, else by gguf-py."""
    if name in ("F32", "F16", "BF16") or library is None:
        return gguf.quants.dequantize(data, TYPE[name]).astype(np.float32)
    decode = getattr(library, "dequantize_row_" + (name.lower()[:-1] + "K" if name.endswith("_K") else name.lower()))
    decode.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64]
    block, size = gguf.GGML_QUANT_SIZES[TYPE[name]]
    flat = np.ascontiguousarray(data).reshape(-1)
    out = np.zeros(flat.size // size * block, np.float32)
    decode(flat.ctypes.data, out.ctypes.data, out.size)
    return out.reshape(data.shape[:-1] + (-1,))


def crc(values):
    return f"{zlib.crc32((np.ascontiguousarray(values, np.float32) + np.float32(0)).tobytes()):08x}"


# --- checkpoints ------------------------------------------------------------------------------------------------------------------

def read_safetensors(path):
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        data = file.read()
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        raw = data[slice(*entry["data_offsets"])]
        if entry["dtype"] == "BF16":
            values = (np.frombuffer(raw, np.uint16).astype(np.uint32) << 16).view(np.float32)
        else:
            values = np.frombuffer(raw, {"F32": np.float32, "F16": np.float16}[entry["dtype"]]).astype(np.float32)
        tensors[name] = values.reshape(entry["shape"])
    return tensors


def text_config(folder):
    with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
        config = json.load(file)
    return config.get("text_config", config)


def write_keys(writer, config, tokenizer, template, eos):
    """As conversion/gemma.py's Gemma4Model does."""
    layers = config["num_hidden_layers"]
    sliding = [kind == "sliding_attention" for kind in config["layer_types"]]
    sliding[-1] = False
    shared = config.get("num_kv_shared_layers") or 0
    width = config["intermediate_size"]
    writer.add_type("model")
    writer.add_quantization_version(2)
    writer.add_block_count(layers)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    if config.get("use_double_wide_mlp"):
        writer.add_feed_forward_length([width * (2 if i >= layers - shared else 1) for i in range(layers)])
    else:
        writer.add_feed_forward_length(width)
    writer.add_head_count(config["num_attention_heads"])
    kv, kv_global = config["num_key_value_heads"], config.get("num_global_key_value_heads")
    writer.add_head_count_kv(kv if kv_global is None else [kv if s else kv_global for s in sliding])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    for add in (writer.add_key_length, writer.add_value_length, writer.add_rope_dimension_count):
        add(config["global_head_dim"])
    for add in (writer.add_key_length_swa, writer.add_value_length_swa, writer.add_rope_dimension_count_swa):
        add(config["head_dim"])
    writer.add_rope_freq_base(config["rope_parameters"]["full_attention"]["rope_theta"])
    writer.add_rope_freq_base_swa(config["rope_parameters"]["sliding_attention"]["rope_theta"])
    writer.add_sliding_window(config["sliding_window"])
    writer.add_sliding_window_pattern(sliding)
    writer.add_shared_kv_layers(shared)
    writer.add_embedding_length_per_layer_input(config.get("hidden_size_per_layer_input") or 0)
    if config.get("final_logit_softcapping"):
        writer.add_final_logit_softcapping(config["final_logit_softcapping"])
    if config.get("enable_moe_block"):
        writer.add_expert_count(config["num_experts"])
        writer.add_expert_used_count(config["top_k_experts"])
        writer.add_expert_feed_forward_length(config["moe_intermediate_size"])
    if tokenizer:
        write_tokenizer(writer, tokenizer, eos)
    if template:
        writer.add_chat_template(template)


def write_tokenizer(writer, tokenizer, eos):
    visible = {"<|channel>", "<channel|>", "<|tool_call>", "<tool_call|>", "<|tool_response>", "<tool_response|>", "<|\"|>"}
    vocabulary = dict(tokenizer["model"]["vocab"])
    special = {}
    for token in tokenizer.get("added_tokens", []):
        vocabulary[token["content"]] = token["id"]
        special[token["content"]] = token["special"]
    tokens = sorted(vocabulary, key=vocabulary.get)
    types = []
    for text in tokens:
        if len(text) == 6 and text.startswith("<0x") and text.endswith(">"):
            types.append(gguf.TokenType.BYTE)
        elif text in visible:
            types.append(gguf.TokenType.USER_DEFINED)
        elif text in special:
            types.append(gguf.TokenType.CONTROL if special[text] else gguf.TokenType.USER_DEFINED)
        else:
            types.append(gguf.TokenType.NORMAL)
    writer.add_tokenizer_model("gemma4")
    writer.add_token_list(tokens)
    writer.add_token_scores([-1000.0] * len(tokens))
    writer.add_token_types(types)
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in tokenizer["model"]["merges"]])
    for add, text in ((writer.add_bos_token_id, "<bos>"), (writer.add_pad_token_id, "<pad>"), (writer.add_unk_token_id, "<unk>")):
        if text in vocabulary:
            add(vocabulary[text])
    if eos is not None:
        writer.add_eos_token_id(eos)
    writer.add_add_space_prefix(False)
    writer.add_add_bos_token(True)


def gguf_name(names, name):
    """GGUF's name of a text tensor, by gguf's own table; None for towers and what is not stored."""
    for prefix in ("model.language_model.", "language_model.model.", "language_model."):
        if name.startswith(prefix):
            name = "model." + name.removeprefix(prefix)
    if not name.startswith("model."):
        name = "model." + name
    if any(part in name for part in ("vision_tower", "audio_tower", "embed_vision", "embed_audio", "vision_embedder")):
        return None
    if name.endswith("router.scale"):
        return names.get_name(name.removesuffix(".scale") + ".proj", ()) + ".scale"
    if name.endswith("router.per_expert_scale"):
        return names.get_name(name.replace("router.per_expert_scale", "experts.down_proj"), ()) + ".scale"
    base = name.removesuffix(".weight")
    found = names.get_name(base, ())
    if not found:
        raise SystemExit(f"gguf has no name for {name}")
    return found + ".weight"


def type_of(name, shape, kind, overrides):
    """What llama-quantize keeps, and `kind` (or a type that the row length allows) for the rest."""
    if len(shape) == 1 or "_norm" in name or name.endswith(".scale") or "ffn_gate_inp" in name:
        return "F32"
    for part, chosen in overrides.items():
        if part in name:
            kind = chosen
    if "per_layer_model_proj" in name and kind not in ("F32", "BF16"):
        return "F16"
    for candidate in (kind, "Q4_0" if kind not in ("Q8_0", "Q6_K") else "Q8_0", "F16"):
        if shape[-1] % gguf.GGML_QUANT_SIZES[TYPE[candidate]][0] == 0:
            return candidate
    raise AssertionError(name)


def convert(tensors, config, out, kind, overrides=None, tokenizer=None, template=None, eos=None):
    """Writes the file; the type and the CRC of the decoded values of each tensor."""
    writer = gguf.GGUFWriter(out, "gemma4")
    write_keys(writer, config, tokenizer, template, eos)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.GEMMA4, config["num_hidden_layers"])
    facts = {}
    half = config["global_head_dim"] // 2
    rope = config["rope_parameters"]["full_attention"]
    rotated = int(config["global_head_dim"] * rope.get("partial_rotary_factor", 1.0) / 2)
    writer.add_tensor("rope_freqs.weight", np.array([1.0] * rotated + [1e30] * (half - rotated), np.float32))
    for name, values in tensors.items():
        stored = gguf_name(names, name)
        if stored is None:
            continue
        chosen = type_of(stored, values.shape, kind, overrides or {})
        data = quantize(values, chosen)
        if chosen in ("F32", "F16"):
            data = data.view(np.float32 if chosen == "F32" else np.float16)
            writer.add_tensor(stored, data)
        else:
            writer.add_tensor(stored, data, raw_dtype=TYPE[chosen])
        facts[stored] = {"type": chosen, "crc": crc(dequantize(data.view(np.uint8) if chosen not in ("F32", "F16") else data, chosen))}
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return facts


def read_json(folder, name):
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        return None
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def convert_folder(folder, out, kind, overrides=None):
    template = os.path.join(folder, "chat_template.jinja")
    text = open(template, encoding="utf-8").read() if os.path.exists(template) else None
    generation = read_json(folder, "generation_config.json") or {}
    eos = generation.get("eos_token_id")
    return convert(read_safetensors(os.path.join(folder, "model.safetensors")), text_config(folder), out, kind, overrides,
                   read_json(folder, "tokenizer.json"), text, eos[-1] if isinstance(eos, list) else eos)


# --- fixtures -------------------------------------------------------------------------------------------------------------------------

def write_blocks(folder):
    """Two rows of every type, random values, as a plain GGUF file that is no model."""
    random = np.random.default_rng(7)
    writer = gguf.GGUFWriter(os.path.join(folder, "blocks.gguf"), "blocks")
    facts = {}
    for name in ALL_TYPES:
        values = (random.standard_normal((2, 512)) * 0.05).astype(np.float32)
        values[0, :40] = 0  # a block of zeros
        values[1, 3] = 0.9  # an outlier
        data = quantize(values, name)
        if name in ("F32", "F16"):
            writer.add_tensor(name, data.view(np.float32 if name == "F32" else np.float16))
            data = data.view(np.float32 if name == "F32" else np.float16)
        else:
            writer.add_tensor(name, data, raw_dtype=TYPE[name])
        facts[name] = {"crc": crc(dequantize(data, name))}
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return facts


MICRO = {
    "num_hidden_layers": 3, "hidden_size": 256, "intermediate_size": 256, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 64,
    "global_head_dim": 128, "max_position_embeddings": 512, "rms_norm_eps": 1e-6, "sliding_window": 16, "num_kv_shared_layers": 1,
    "hidden_size_per_layer_input": 64, "final_logit_softcapping": 30.0, "layer_types": ["sliding_attention", "full_attention", "full_attention"],
    "rope_parameters": {"full_attention": {"rope_type": "proportional", "rope_theta": 1e6, "partial_rotary_factor": 0.25},
                        "sliding_attention": {"rope_type": "default", "rope_theta": 1e4}}}
# every K type and the usual ones of 32, each on the tensors where mixes put them
MICRO_TYPES = {"token_embd": "Q6_K", "per_layer_token_embd": "Q8_0", "attn_q": "Q4_K", "attn_k": "Q4_0", "attn_v": "Q6_K", "attn_output": "Q5_K",
               "ffn_gate": "Q4_K", "ffn_up": "Q4_0", "ffn_down": "Q6_K", "blk.1.ffn_down": "Q4_K", "inp_gate": "Q8_0", "blk.2.proj": "Q4_0", "attn_q_norm": "F32"}


def micro_tokenizer():
    specials = ["<pad>", "<eos>", "<bos>", "<unk>", "<|turn>", "<turn|>", "<|tool_response>", "<|channel>", "<channel|>"]
    pieces = specials + [f"<0x{byte:02X}>" for byte in range(256)] + ["\u2581", "a", "b", "t", "h", "e", "th", "the", "\u2581the", "\u00e9"]
    return {"model": {"vocab": {piece: i for i, piece in enumerate(pieces)}, "merges": ["t h", "th e", "\u2581 the"]},
            "added_tokens": [{"id": i, "content": text, "special": True} for i, text in enumerate(specials)]}


def write_micro(folder):
    random = np.random.default_rng(11)
    c = MICRO
    hidden, layers, ple = c["hidden_size"], c["num_hidden_layers"], c["hidden_size_per_layer_input"]
    tokenizer = micro_tokenizer()
    vocabulary = 288
    tensors = {}

    def matrix(name, *shape):
        tensors[name] = (random.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32)

    def vector(name, size, base=1.0, spread=0.2):
        tensors[name] = (base + spread * random.standard_normal(size)).astype(np.float32)

    matrix("embed_tokens.weight", vocabulary, hidden)
    matrix("embed_tokens_per_layer.weight", vocabulary, layers * ple)
    matrix("per_layer_model_projection.weight", layers * ple, hidden)
    vector("per_layer_projection_norm.weight", ple)
    for layer in range(layers):
        p = f"layers.{layer}."
        head = c["global_head_dim"] if c["layer_types"][layer] == "full_attention" else c["head_dim"]
        owner = layer < layers - c["num_kv_shared_layers"]
        for norm in ("input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm", "post_feedforward_layernorm", "post_per_layer_input_norm"):
            vector(p + norm + ".weight", hidden)
        matrix(p + "self_attn.q_proj.weight", 2 * head, hidden)
        matrix(p + "self_attn.o_proj.weight", hidden, 2 * head)
        vector(p + "self_attn.q_norm.weight", head)
        if owner:
            matrix(p + "self_attn.k_proj.weight", head, hidden)
            matrix(p + "self_attn.v_proj.weight", head, hidden)
            vector(p + "self_attn.k_norm.weight", head)
        matrix(p + "mlp.gate_proj.weight", c["intermediate_size"], hidden)
        matrix(p + "mlp.up_proj.weight", c["intermediate_size"], hidden)
        matrix(p + "mlp.down_proj.weight", hidden, c["intermediate_size"])
        matrix(p + "per_layer_input_gate.weight", ple, hidden)
        matrix(p + "per_layer_projection.weight", hidden, ple)
        vector(p + "layer_scalar", 1, 0.8, 0.1)
    vector("norm.weight", hidden)
    template = open(os.path.join(DATA, "gemma4-tiny", "chat_template.jinja"), encoding="utf-8").read()
    return convert(tensors, c, os.path.join(folder, "micro.gguf"), "Q4_0", MICRO_TYPES, tokenizer, template, 5)


def write_imatrix(folder):
    """The GGUF form: in_sum2 and counts; and the legacy form with the same content."""
    sums = np.array([[2, 4, 6, 8]], np.float32)
    writer = gguf.GGUFWriter(os.path.join(folder, "imatrix.gguf"), "")
    writer.add_type("imatrix")
    writer.add_array("imatrix.datasets", ["a.txt"])
    writer.add_uint32("imatrix.chunk_count", 2)
    writer.add_uint32("imatrix.chunk_size", 512)
    writer.add_tensor("blk.0.attn_q.weight.in_sum2", sums)
    writer.add_tensor("blk.0.attn_q.weight.counts", np.array([[2]], np.float32))
    writer.add_tensor("blk.0.ffn_down_exps.weight.in_sum2", np.array([[3, 6], [5, 5], [1, 2]], np.float32))
    writer.add_tensor("blk.0.ffn_down_exps.weight.counts", np.array([[3], [0], [2]], np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    fixtures = commands.add_parser("fixtures")
    one = commands.add_parser("convert")
    one.add_argument("folder")
    one.add_argument("out")
    one.add_argument("--type", default="Q8_0")
    for each in (fixtures, one):
        each.add_argument("--libggml")
    options = parser.parse_args()
    if options.libggml:
        load_library(options.libggml)
    if options.command == "convert":
        for name, fact in convert_folder(options.folder, options.out, options.type).items():
            print(name, fact["type"], fact["crc"])
        return
    if library is None:
        raise SystemExit("fixtures need --libggml: gguf-py has no encoder for the K types")
    folder = os.path.join(DATA, "gguf")
    os.makedirs(folder, exist_ok=True)
    facts = {"blocks": write_blocks(folder), "micro": write_micro(folder)}
    write_imatrix(folder)
    with open(os.path.join(folder, "expected.json"), "w", encoding="utf-8") as file:
        json.dump(facts, file, indent=1, sort_keys=True)
        file.write("\n")


main()
