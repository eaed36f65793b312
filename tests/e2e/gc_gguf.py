"""A small GGUF writer and reader for the tests, and a converter of checkpoint folders to F32 or BF16 files. Standard library only.

Independent of gguf-py and of the compiler: written from the format's description. Fixtures of other types come from tests/scripts/make_gguf.py.
"""
import array
import json
import os
import struct

import gc_e2e as gc

F32, Q4_0, BF16 = 0, 2, 30
NAMES = {"embed_tokens.weight": "token_embd.weight", "embed_tokens_per_layer.weight": "per_layer_token_embd.weight",
         "per_layer_model_projection.weight": "per_layer_model_proj.weight", "per_layer_projection_norm.weight": "per_layer_proj_norm.weight", "norm.weight": "output_norm.weight",
         "input_layernorm.weight": "attn_norm.weight", "self_attn.q_proj.weight": "attn_q.weight", "self_attn.k_proj.weight": "attn_k.weight",
         "self_attn.v_proj.weight": "attn_v.weight", "self_attn.o_proj.weight": "attn_output.weight", "self_attn.q_norm.weight": "attn_q_norm.weight",
         "self_attn.k_norm.weight": "attn_k_norm.weight", "post_attention_layernorm.weight": "post_attention_norm.weight",
         "pre_feedforward_layernorm.weight": "ffn_norm.weight", "post_feedforward_layernorm.weight": "post_ffw_norm.weight", "mlp.gate_proj.weight": "ffn_gate.weight",
         "mlp.up_proj.weight": "ffn_up.weight", "mlp.down_proj.weight": "ffn_down.weight", "per_layer_input_gate.weight": "inp_gate.weight",
         "per_layer_projection.weight": "proj.weight", "post_per_layer_input_norm.weight": "post_norm.weight", "layer_scalar": "layer_output_scale.weight",
         "router.proj.weight": "ffn_gate_inp.weight", "router.scale": "ffn_gate_inp.scale", "router.per_expert_scale": "ffn_down_exps.scale",
         "experts.gate_up_proj": "ffn_gate_up_exps.weight", "experts.down_proj": "ffn_down_exps.weight", "pre_feedforward_layernorm_2.weight": "pre_ffw_norm_2.weight",
         "post_feedforward_layernorm_1.weight": "post_ffw_norm_1.weight", "post_feedforward_layernorm_2.weight": "post_ffw_norm_2.weight"}


def name_of(name):
    """The GGUF name of a canonical one (layers.3.mlp.up_proj.weight); None: files of the text model have no such tensor."""
    block = ""
    if name.startswith("layers."):
        _, number, name = name.split(".", 2)
        block = f"blk.{number}."
    return block + NAMES[name] if name in NAMES else None


def _string(text):
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _value(value):
    """The type number and the bytes of a value, by what it is in Python."""
    if isinstance(value, bool):
        return 7, struct.pack("<B", value)
    if isinstance(value, int):
        return 4, struct.pack("<I", value)
    if isinstance(value, float):
        return 6, struct.pack("<f", value)
    if isinstance(value, str):
        return 8, _string(value)
    kind = _value(value[0])[0]
    if kind == 4:
        return 9, struct.pack("<iQ", 5, len(value)) + array.array("i", value).tobytes()
    return 9, struct.pack("<iQ", kind, len(value)) + b"".join(_value(item)[1] for item in value)


def write(path, keys, tensors):
    """`tensors`: {name: (type number, shape with the slowest first, bytes or a gc.Stream of them)}."""
    pairs = b""
    for key, value in keys.items():
        kind, data = _value(value)
        pairs += _string(key) + struct.pack("<i", kind) + data
    infos, offset = b"", 0
    for name, (kind, shape, data) in tensors.items():
        infos += _string(name) + struct.pack("<I", len(shape)) + b"".join(struct.pack("<q", n) for n in reversed(shape)) + struct.pack("<iQ", kind, offset)
        offset += -(-len(data) // 32) * 32
    head = b"GGUF" + struct.pack("<Iqq", 3, len(tensors), len(keys)) + pairs + infos
    with open(path, "wb") as file:
        file.write(head + bytes(-len(head) % 32))
        for kind, shape, data in tensors.values():
            gc.write_data(file, data)
            file.write(bytes(-len(data) % 32))


def _read_json(folder, name):
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        return None
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def keys_of_config(config):
    """The keys that llama.cpp's converter writes for the text model of a configuration, and the tensor of the rotation."""
    layers, shared = config["num_hidden_layers"], config.get("num_kv_shared_layers") or 0
    sliding = [kind == "sliding_attention" for kind in config["layer_types"]]
    width, rope, heads = config["intermediate_size"], config["rope_parameters"], config["num_key_value_heads"]
    global_heads = (config.get("attention_k_eq_v") and config.get("num_global_key_value_heads")) or heads
    keys = {"general.architecture": "gemma4", "general.type": "model", "gemma4.block_count": layers, "gemma4.context_length": config["max_position_embeddings"],
            "gemma4.embedding_length": config["hidden_size"], "gemma4.attention.head_count": config["num_attention_heads"],
            "gemma4.attention.head_count_kv": heads if heads == global_heads else [heads if local else global_heads for local in sliding],
            "gemma4.attention.layer_norm_rms_epsilon": config["rms_norm_eps"],
            "gemma4.attention.key_length": config["global_head_dim"], "gemma4.attention.value_length": config["global_head_dim"],
            "gemma4.attention.key_length_swa": config["head_dim"], "gemma4.attention.value_length_swa": config["head_dim"],
            "gemma4.rope.dimension_count": config["global_head_dim"], "gemma4.rope.dimension_count_swa": config["head_dim"],
            "gemma4.rope.freq_base": float(rope["full_attention"]["rope_theta"]), "gemma4.rope.freq_base_swa": float(rope["sliding_attention"]["rope_theta"]),
            "gemma4.attention.sliding_window": config["sliding_window"], "gemma4.attention.sliding_window_pattern": sliding,
            "gemma4.attention.shared_kv_layers": shared, "gemma4.embedding_length_per_layer_input": config.get("hidden_size_per_layer_input") or 0,
            "gemma4.final_logit_softcapping": float(config["final_logit_softcapping"])}
    doubled = config.get("use_double_wide_mlp")
    keys["gemma4.feed_forward_length"] = [width * 2 if doubled and i >= layers - shared else width for i in range(layers)]
    if config.get("enable_moe_block"):
        keys |= {"gemma4.expert_count": config["num_experts"], "gemma4.expert_used_count": config["top_k_experts"],
                 "gemma4.expert_feed_forward_length": config["moe_intermediate_size"]}
    half = config["global_head_dim"] // 2
    turning = int(config["global_head_dim"] * rope["full_attention"].get("partial_rotary_factor", 1.0) / 2)
    return keys, (F32, [half], array.array("f", [1.0] * turning + [1e30] * (half - turning)).tobytes())


# Special tokens that the converter calls the user's own, so that llama.cpp prints them for its parser of answers.
VISIBLE = {"<|channel>", "<channel|>", "<|tool_call>", "<tool_call|>", "<|tool_response>", "<tool_response|>", "<|\"|>"}


def keys_of_tokenizer(tokenizer):
    """Those for the contents of a tokenizer.json."""
    special = {token["id"]: token["special"] and token["content"] not in VISIBLE for token in tokenizer["added_tokens"]}
    pieces = dict(tokenizer["model"]["vocab"])
    pieces.update((token["content"], token["id"]) for token in tokenizer["added_tokens"])
    tokens = sorted(pieces, key=pieces.get)
    kinds = [3 if special.get(i) else 4 if i in special else 6 if text.startswith("<0x") and len(text) == 6 else 1 for i, text in enumerate(tokens)]
    return {"tokenizer.ggml.model": "gemma4", "tokenizer.ggml.tokens": tokens, "tokenizer.ggml.token_type": kinds, "tokenizer.ggml.scores": [-1000.0] * len(tokens),
            "tokenizer.ggml.merges": [merge if isinstance(merge, str) else " ".join(merge) for merge in tokenizer["model"]["merges"]],
            "tokenizer.ggml.bos_token_id": pieces["<bos>"], "tokenizer.ggml.eos_token_id": pieces["<turn|>"], "tokenizer.ggml.unknown_token_id": pieces["<unk>"],
            "tokenizer.ggml.padding_token_id": pieces["<pad>"], "tokenizer.ggml.add_space_prefix": False, "tokenizer.ggml.add_bos_token": True}


def keys_of(folder):
    """The keys for a checkpoint folder."""
    config = _read_json(folder, "config.json")
    keys, rope = keys_of_config(config.get("text_config", config))
    tokenizer = _read_json(folder, "tokenizer.json")
    if tokenizer:
        keys |= keys_of_tokenizer(tokenizer)
    template = os.path.join(folder, "chat_template.jinja")
    if os.path.exists(template):
        with open(template, encoding="utf-8") as file:
            keys["tokenizer.chat_template"] = file.read()
    return keys, rope


def to_f32(dtype, data):
    if dtype == "F32":
        return data
    assert dtype == "BF16"
    out = bytearray(2 * len(data))
    out[2::4], out[3::4] = data[0::2], data[1::2]
    return bytes(out)


def convert(folder, path, kind=F32):
    """A checkpoint folder as a GGUF file: vectors in F32, matrices in `kind`."""
    keys, rope = keys_of(folder)
    tensors = {"rope_freqs.weight": rope}
    source, _ = gc.read_safetensors(os.path.join(folder, "model.safetensors"))
    for name, (dtype, shape, data) in source.items():
        for prefix in ("model.language_model.", "model."):
            if name.startswith(prefix):
                name = name.removeprefix(prefix)
                break
        if not (stored := name_of(name)):
            continue  # towers
        keep = kind == BF16 and dtype == "BF16" and len(shape) > 1
        tensors[stored] = (BF16 if keep else F32, shape, data if keep else to_f32(dtype, data))
    write(path, keys, tensors)


# --- decoding, from the description of the blocks -------------------------------------------------------------------------------------------

def _half(data, offset):
    return struct.unpack_from("<e", data, offset)[0]


def _q4_0(block):
    d = _half(block, 0)
    return [d * ((byte & 15) - 8) for byte in block[2:18]] + [d * ((byte >> 4) - 8) for byte in block[2:18]]


def _q8_0(block):
    d = _half(block, 0)
    return [d * code for code in struct.unpack_from("<32b", block, 2)]


def _scale_min(s, k):
    if k < 4:
        return s[k] & 63, s[k + 4] & 63
    return (s[k + 4] & 15) + 16 * (s[k - 4] >> 6), (s[k + 4] >> 4) + 16 * (s[k] >> 6)


def _k(block, high, low):
    """Q4_K (no high bits) and Q5_K."""
    d, dmin, out = _half(block, 0), _half(block, 2), []
    for k in range(8):
        scale, least = _scale_min(block[4:16], k)
        for i in range(32):
            code = block[low + 32 * (k // 2) + i] >> 4 * (k % 2) & 15
            if high:
                code += 16 * (block[high + i] >> k & 1)
            out.append(d * scale * code - dmin * least)
    return out


def _q6_k(block):
    d, scales, out = _half(block, 208), struct.unpack_from("<16b", block, 192), []
    for i in range(256):
        n, r = divmod(i, 128)
        j, l = divmod(r, 32)
        code = (block[64 * n + 32 * (j % 2) + l] >> 4 * (j // 2) & 15) + 16 * (block[128 + 32 * n + l] >> 2 * j & 3)
        out.append(d * scales[i // 16] * (code - 32))
    return out


# type number: (values, bytes, decoder)
DECODERS = {0: (1, 4, lambda b: struct.unpack("<f", b)), 1: (1, 2, lambda b: struct.unpack("<e", b)), 2: (32, 18, _q4_0), 8: (32, 34, _q8_0),
            12: (256, 144, lambda b: _k(b, 0, 16)), 13: (256, 176, lambda b: _k(b, 16, 48)), 14: (256, 210, _q6_k)}


def read_infos(data):
    """[(GGUF name, shape with the slowest first, type number, offset in the file)] of a file's bytes."""
    at = 24
    count, keys = struct.unpack_from("<qq", data, 8)
    sizes = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}

    def string():
        nonlocal at
        (length,) = struct.unpack_from("<Q", data, at)
        at += 8 + length
        return data[at - length:at].decode()

    def skip(kind):
        nonlocal at
        if kind == 8:
            string()
        elif kind == 9:
            inner, items = struct.unpack_from("<iQ", data, at)
            at += 12
            for _ in range(items):
                skip(inner)
        else:
            at += sizes[kind]

    for _ in range(keys):
        string()
        at += 4
        skip(*struct.unpack_from("<i", data, at - 4))
    infos = []
    for _ in range(count):
        name = string()
        (rank,) = struct.unpack_from("<I", data, at)
        shape = list(reversed(struct.unpack_from(f"<{rank}q", data, at + 4)))
        kind, offset = struct.unpack_from("<iQ", data, at + 4 + 8 * rank)
        at += 16 + 8 * rank
        infos.append((name, shape, kind, offset))
    start = -(-at // 32) * 32
    return [(name, shape, kind, start + offset) for name, shape, kind, offset in infos]


def read_tensors(path):
    """{GGUF name: (shape with the slowest first, values)} of a file with the types above."""
    with open(path, "rb") as file:
        data = file.read()
    tensors = {}
    for name, shape, kind, start in read_infos(data):
        values, size, decode = DECODERS[kind]
        total = 1
        for extent in shape:
            total *= extent
        out = array.array("f")
        for block in range(total // values):
            begin = start + block * size
            out.extend(decode(data[begin:begin + size]))
        tensors[name] = (shape, out)
    return tensors
