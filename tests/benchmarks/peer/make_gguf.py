#!/usr/bin/env python3
"""A full-size Gemma 4 E2B (text) with random Q4_0 weights as a GGUF file, to time llama.cpp on.

Shapes come from presets/gemma-4-E2B.json. Every matrix is Q4_0, both embedding tables and the per-layer projections too (llama-quantize would keep the
tables at Q6_K and per_layer_model_proj at 16 bits): 4.5 bits a weight throughout, like our w4g32. Norms are F32 ones. There is no vocabulary, only its
size: llama-bench takes random tokens. Needs the gguf and numpy packages, about 2.7 GB of disk and 1.5 GB of memory.
"""
import argparse
import json
import math
import os

import gguf
import numpy as np

ROOT = os.path.dirname(os.path.abspath(__file__)) + "/../../.."


def q4_0(random, rows, columns):
    """Random valid blocks: an f16 scale, then 32 codes of 4 bits; the values have a deviation of about 1/sqrt(columns)."""
    blocks = random.integers(0, 256, (rows, columns // 32, 18), dtype=np.uint8)
    scales = (random.uniform(0.9, 1.1, (rows, columns // 32, 1)) / (4.61 * math.sqrt(columns))).astype(np.float16)
    blocks[:, :, :2] = scales.view(np.uint8)
    return blocks.reshape(rows, columns // 32 * 18)


def tensors(c):
    """Name and (rows, columns) of a matrix, or (length,) of a vector, in the order of the file."""
    d, p, layers = c["hidden_size"], c["hidden_size_per_layer_input"], c["num_hidden_layers"]
    yield "token_embd.weight", (c["vocab_size"], d)
    yield "per_layer_token_embd.weight", (c["vocab_size_per_layer_input"], p * layers)
    yield "per_layer_model_proj.weight", (p * layers, d)
    yield "per_layer_proj_norm.weight", (p,)
    yield "output_norm.weight", (d,)
    yield "rope_freqs.weight", (c["global_head_dim"] // 2,)
    first_shared = layers - c["num_kv_shared_layers"]
    for i, kind in enumerate(c["layer_types"]):
        head = c["global_head_dim"] if kind == "full_attention" else c["head_dim"]
        q, kv = c["num_attention_heads"] * head, c["num_key_value_heads"] * head
        ff = c["intermediate_size"] * (2 if c["use_double_wide_mlp"] and i >= first_shared else 1)
        yield f"blk.{i}.attn_norm.weight", (d,)
        yield f"blk.{i}.attn_q.weight", (q, d)
        if i < first_shared:
            yield f"blk.{i}.attn_k.weight", (kv, d)
            yield f"blk.{i}.attn_v.weight", (kv, d)
            yield f"blk.{i}.attn_k_norm.weight", (head,)
        yield f"blk.{i}.attn_output.weight", (d, q)
        yield f"blk.{i}.attn_q_norm.weight", (head,)
        yield f"blk.{i}.post_attention_norm.weight", (d,)
        yield f"blk.{i}.layer_output_scale.weight", (1,)
        yield f"blk.{i}.ffn_norm.weight", (d,)
        yield f"blk.{i}.ffn_gate.weight", (ff, d)
        yield f"blk.{i}.ffn_up.weight", (ff, d)
        yield f"blk.{i}.ffn_down.weight", (d, ff)
        yield f"blk.{i}.post_ffw_norm.weight", (d,)
        yield f"blk.{i}.inp_gate.weight", (p, d)
        yield f"blk.{i}.proj.weight", (d, p)
        yield f"blk.{i}.post_norm.weight", (d,)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with open(os.path.join(ROOT, "presets", "gemma-4-E2B.json")) as file:
        c = json.load(file)["text_config"]
    layers, shared = c["num_hidden_layers"], c["num_kv_shared_layers"]

    w = gguf.GGUFWriter(arguments.output, "gemma4")
    w.add_name("gemma-4-E2B synthetic")
    w.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_0)
    w.add_vocab_size(c["vocab_size"])
    w.add_block_count(layers)
    w.add_context_length(c["max_position_embeddings"])
    w.add_embedding_length(c["hidden_size"])
    w.add_feed_forward_length([c["intermediate_size"] * (2 if i >= layers - shared else 1) for i in range(layers)])
    w.add_head_count(c["num_attention_heads"])
    w.add_head_count_kv(c["num_key_value_heads"])
    w.add_key_length(c["global_head_dim"])
    w.add_value_length(c["global_head_dim"])
    w.add_key_length_swa(c["head_dim"])
    w.add_value_length_swa(c["head_dim"])
    w.add_layer_norm_rms_eps(c["rms_norm_eps"])
    w.add_sliding_window(c["sliding_window"])
    w.add_sliding_window_pattern([kind == "sliding_attention" for kind in c["layer_types"]])
    w.add_shared_kv_layers(shared)
    w.add_embedding_length_per_layer_input(c["hidden_size_per_layer_input"])
    w.add_rope_freq_base(c["rope_parameters"]["full_attention"]["rope_theta"])
    w.add_rope_freq_base_swa(c["rope_parameters"]["sliding_attention"]["rope_theta"])
    w.add_rope_dimension_count(c["global_head_dim"])
    w.add_rope_dimension_count_swa(c["head_dim"])
    w.add_final_logit_softcapping(c["final_logit_softcapping"])
    w.add_tokenizer_model("none")

    shapes = list(tensors(c))
    read = 0  # bytes of a decoded token: every matrix once, of the per-layer table one row
    for name, shape in shapes:
        if len(shape) == 1:
            w.add_tensor_info(name, shape, np.dtype(np.float32), 4 * shape[0])
            read += 4 * shape[0]
        else:
            row = shape[1] // 32 * 18
            w.add_tensor_info(name, (shape[0], row), np.dtype(np.uint8), shape[0] * row, gguf.GGMLQuantizationType.Q4_0)
            read += row if name.startswith("per_layer_token_embd") else shape[0] * row
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_ti_data_to_file()
    random = np.random.default_rng(arguments.seed)
    for name, shape in shapes:
        if name.startswith("rope_freqs"):  # rotation of a quarter of the frequencies, the others divided away
            value = np.full(shape, 1e30, np.float32)
            value[: int(shape[0] * c["rope_parameters"]["full_attention"]["partial_rotary_factor"])] = 1
        elif len(shape) == 1:
            value = np.ones(shape, np.float32)
        else:
            value = q4_0(random, *shape)
        w.write_tensor_data(value)
    w.close()
    print(json.dumps({"file_bytes": os.path.getsize(arguments.output), "bytes_per_token": read}))


if __name__ == "__main__":
    main()
