"""Full-size models as files have them: names and shapes of the text model's tensors for a configuration (the `text_config` of presets/*.json), and a made-up vocabulary of the published size.

Standard library only, and independent of the compiler, which has the same facts in Gemma4Tensors.cpp.
"""
import itertools
import json
import os

import gc_e2e as gc


def preset(size):
    with open(os.path.join(gc.SOURCE, "presets", size + ".json"), encoding="utf-8") as file:
        return json.load(file)


def _layer(c, kind, feed_forward, owns_kv):
    d, per_layer = c["hidden_size"], c.get("hidden_size_per_layer_input") or 0
    head = c["global_head_dim"] if kind == "full_attention" else c["head_dim"]
    same = c.get("attention_k_eq_v") and kind == "full_attention"
    kv_heads = (c.get("num_global_key_value_heads") if same else None) or c["num_key_value_heads"]
    q, kv = c["num_attention_heads"] * head, kv_heads * head
    yield "input_layernorm.weight", (d,)
    yield "self_attn.q_proj.weight", (q, d)
    if owns_kv:
        yield "self_attn.k_proj.weight", (kv, d)
        if not same:
            yield "self_attn.v_proj.weight", (kv, d)
        yield "self_attn.k_norm.weight", (head,)
    yield "self_attn.q_norm.weight", (head,)
    yield "self_attn.o_proj.weight", (d, q)
    yield "post_attention_layernorm.weight", (d,)
    yield "pre_feedforward_layernorm.weight", (d,)
    yield "mlp.gate_proj.weight", (feed_forward, d)
    yield "mlp.up_proj.weight", (feed_forward, d)
    yield "mlp.down_proj.weight", (d, feed_forward)
    if c.get("enable_moe_block"):
        experts, width = c["num_experts"], c["moe_intermediate_size"]
        yield "post_feedforward_layernorm_1.weight", (d,)
        yield "router.scale", (d,)
        yield "router.proj.weight", (experts, d)
        yield "router.per_expert_scale", (experts,)
        yield "pre_feedforward_layernorm_2.weight", (d,)
        yield "experts.gate_up_proj", (experts, 2 * width, d)
        yield "experts.down_proj", (experts, d, width)
        yield "post_feedforward_layernorm_2.weight", (d,)
    yield "post_feedforward_layernorm.weight", (d,)
    if per_layer:
        yield "per_layer_input_gate.weight", (per_layer, d)
        yield "per_layer_projection.weight", (d, per_layer)
        yield "post_per_layer_input_norm.weight", (d,)
    yield "layer_scalar", (1,)


def tensors(c):
    """Canonical name (layers.3.mlp.up_proj.weight) and shape of every tensor."""
    d, per_layer, layers = c["hidden_size"], c.get("hidden_size_per_layer_input") or 0, c["num_hidden_layers"]
    first_shared = layers - (c.get("num_kv_shared_layers") or 0)
    yield "embed_tokens.weight", (c["vocab_size"], d)
    if per_layer:
        yield "embed_tokens_per_layer.weight", (c["vocab_size_per_layer_input"], per_layer * layers)
        yield "per_layer_model_projection.weight", (per_layer * layers, d)
        yield "per_layer_projection_norm.weight", (per_layer,)
    for i, kind in enumerate(c["layer_types"]):
        width = c["intermediate_size"] * (2 if c.get("use_double_wide_mlp") and i >= first_shared else 1)
        for name, shape in _layer(c, kind, width, i < first_shared):
            yield f"layers.{i}.{name}", shape
    yield "norm.weight", (d,)


def tokenizer(size):
    """The contents of a tokenizer.json of so many pieces: the published special tokens, bytes, letters, then all words of 2, 3, 4 letters, each a merge of a shorter one and a letter."""
    specials = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "<|tool>", "<tool|>", "<|tool_call>", "<tool_call|>", "<|tool_response>", "<tool_response|>", "<|\"|>", "<|think|>",
                "<|channel>", "<channel|>", "<|turn>", "<turn|>", "<|image>", "<|audio>", "<|image|>", "<|audio|>", "<image|>", "<audio|>", "<|video|>"]
    letters = "etaoinshrdlucmwfgypbvkjxqz"
    pieces, merges = specials + [f"<0x{byte:02X}>" for byte in range(256)] + ["▁", *letters], []
    words = itertools.chain.from_iterable(itertools.product("▁" + letters, *[letters] * (length - 1)) for length in itertools.count(2))
    for word in itertools.islice(words, size - len(pieces)):
        pieces.append("".join(word))
        merges.append(("".join(word[:-1]), word[-1]))
    added = [{"id": i, "content": text, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True} for i, text in enumerate(specials)]
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
            "pre_tokenizer": {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False}, "post_processor": None,
            "decoder": {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}]},
            "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None, "end_of_word_suffix": None, "fuse_unk": True, "byte_fallback": True,
                      "ignore_merges": False, "vocab": {text: i for i, text in enumerate(pieces)}, "merges": merges}}
