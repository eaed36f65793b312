#!/usr/bin/env python3
"""Writes tests/data/coded/models: one random micro model, quantized by the formats' own tools, with the logits that transformers computes from what those tools decode.

Packages (PyPI, CPU): torch, numpy, safetensors, transformers==5.23.0, compressed-tensors==0.20.0, mlx[cpu]==0.32.4, bitsandbytes==0.50.2, gptqmodel==7.7.0, autoawq==0.2.9,
nvidia-modelopt==0.47.0.
Usage: make_coded_models.py [ct] [mlx] [bnb] [gptq] [awq] [modelopt]   (default: all)

A folder holds config.json, model.safetensors as the tool's users publish it, and golden.safetensors: "ids" and "logits" (f32, every position). Products of codes and scales are
taken in f32, as the formats define them, not in the type that a tool would compute with. ct, mlx and modelopt are mixtures of experts.
"""
import json
import os
import sys

import numpy as np
import torch
from safetensors.torch import load_file, save_file

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data", "coded", "models")
EXPERTS = 2


def micro(moe):
    """The model in f32 with weights that bf16 holds."""
    from transformers.models.gemma4 import Gemma4ForCausalLM, Gemma4TextConfig
    torch.manual_seed(7)
    config = Gemma4TextConfig(
        vocab_size=160, vocab_size_per_layer_input=160, hidden_size=256, intermediate_size=128, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1,
        num_global_key_value_heads=1, head_dim=64, global_head_dim=64, hidden_size_per_layer_input=0, max_position_embeddings=256, sliding_window=8,
        layer_types=["sliding_attention", "full_attention"], num_kv_shared_layers=0, use_double_wide_mlp=False, attention_k_eq_v=False, final_logit_softcapping=30.0,
        enable_moe_block=moe, num_experts=EXPERTS if moe else None, top_k_experts=1 if moe else None, moe_intermediate_size=128 if moe else None,
        pad_token_id=0, eos_token_id=1, bos_token_id=2, tie_word_embeddings=True)
    config.architectures = ["Gemma4ForCausalLM"]
    model = Gemma4ForCausalLM(config).float().eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1:
                parameter.normal_(0, 1 / parameter.shape[-1] ** 0.5)
            else:
                parameter.uniform_(0.8, 1.2)
            parameter.copy_(parameter.bfloat16().float())
    return model


def is_linear(name, tensor):
    return ".layers." in name and tensor.dim() > 1 and "router" not in name


def apart(name, tensor):
    """(module, matrix) of every matrix that quantizers see: experts each for itself."""
    base = name.removesuffix(".weight")
    if not base.endswith((".experts.gate_up_proj", ".experts.down_proj")):
        return [(base, tensor)]
    parent, kind = base.rsplit(".", 1)
    result = []
    for expert, matrix in enumerate(tensor):
        halves = matrix.chunk(2) if kind == "gate_up_proj" else [matrix]
        for part, half in zip(("gate_proj", "up_proj") if len(halves) == 2 else ("down_proj",), halves):
            result.append((f"{parent}.{expert}.{part}", half.contiguous()))
    return result


def whole(name, decoded):
    """The other way: the model's tensor of the decoded matrices."""
    base = name.removesuffix(".weight")
    if base in decoded:
        return decoded[base]
    parent, kind = base.rsplit(".", 1)
    parts = ("gate_proj", "up_proj") if kind == "gate_up_proj" else ("down_proj",)
    return torch.stack([torch.cat([decoded[f"{parent}.{expert}.{part}"] for part in parts]) for expert in range(EXPERTS)])


def quantized(model, quantize):
    """State of the file by `quantize(module, matrix) -> ({suffix: tensor}, decoded)`, and the decoded tensors by name in the model."""
    tensors, decoded = {}, {}
    state = {name: tensor for name, tensor in model.state_dict().items() if name != "lm_head.weight"}
    for name, tensor in state.items():
        if not is_linear(name, tensor):
            tensors[name] = tensor.bfloat16()
            continue
        values = {}
        for module, matrix in apart(name, tensor):
            parts, values[module] = quantize(module, matrix)
            for suffix, part in parts.items():
                tensors[f"{module}.{suffix}"] = part.contiguous()
        decoded[name] = whole(name, values)
    return tensors, decoded


def write(name, model, tensors, decoded, quantization, key="quantization_config", other=None):
    folder = os.path.join(OUT, name)
    os.makedirs(folder, exist_ok=True)
    config = model.config.to_dict()
    config["dtype"] = "bfloat16"
    if quantization:
        config[key] = quantization
    for file, content in {"config.json": config, **(other or {})}.items():
        with open(os.path.join(folder, file), "w", encoding="utf-8") as out:
            json.dump(content, out, indent=1)
            out.write("\n")
    if tensors is not None:
        save_file(tensors, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})
    missing = model.load_state_dict(decoded, strict=False).unexpected_keys
    assert not missing, missing
    ids = torch.tensor([[2, 17, 40, 63, 9, 120, 33, 150, 77, 5, 88, 101]])
    with torch.no_grad():
        logits = model(input_ids=ids).logits[0].float()
    assert logits.isfinite().all() and logits.std() > 0.3, logits.std()
    save_file({"ids": ids[0], "logits": logits.contiguous()}, os.path.join(folder, "golden.safetensors"))
    print(name, {file: os.path.getsize(os.path.join(folder, file)) for file in os.listdir(folder)}, f"logits ±{logits.std():.2f}")


def ct():
    from compressed_tensors.compressors import BaseCompressor
    from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
    arguments = dict(num_bits=4, type="int", symmetric=True, strategy="group", group_size=128)
    scheme = QuantizationScheme(targets=["Linear"], weights=QuantizationArgs(**arguments))
    compressor = BaseCompressor.get_value_from_registry("pack-quantized")

    def quantize(_, matrix):
        scale = (matrix.reshape(matrix.shape[0], -1, 128).abs().amax(dim=2) / 7.5).bfloat16()
        packed = compressor.compress({"weight": matrix, "weight_scale": scale}, scheme)
        return packed, compressor.decompress({**packed, "weight_scale": scale.float()}, scheme)["weight"].float()

    model = micro(moe=True)
    tensors, decoded = quantized(model, quantize)
    write("compressed-tensors", model, tensors, decoded, {
        "quant_method": "compressed-tensors", "format": "pack-quantized", "quantization_status": "compressed", "version": "0.20.0",
        "ignore": ["lm_head", "re:.*router.*"], "config_groups": {"group_0": {"targets": ["Linear"], "format": "pack-quantized", "weights": arguments}}, "kv_cache_scheme": None})


def mlx():
    import mlx.core as mx
    mx.set_default_device(mx.cpu)
    to_mx, to_torch = (lambda t: mx.array(t.numpy())), (lambda a: torch.from_numpy(np.array(a.astype(mx.float32))))
    model = micro(moe=True)
    config, tensors, decoded = {"group_size": 64, "bits": 4, "mode": "affine"}, {}, {}

    def quantize(module, matrix, bits=4):
        parts = mx.quantize(to_mx(matrix).astype(mx.bfloat16), group_size=64, bits=bits)
        for suffix, part in zip(("weight", "scales", "biases"), parts):
            tensors[f"{module}.{suffix}"] = part
        if bits != 4:
            config[module] = {"group_size": 64, "bits": bits}
        return to_torch(mx.dequantize(parts[0], parts[1].astype(mx.float32), parts[2].astype(mx.float32), group_size=64, bits=bits))

    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight":
            continue
        file = "language_model." + name
        if name.endswith(".experts.gate_up_proj"):
            stacks = file.removesuffix("gate_up_proj") + "switch_glu."
            decoded[name] = torch.cat([quantize(stacks + part, half.contiguous()) for part, half in zip(("gate_proj", "up_proj"), tensor.chunk(2, dim=1))], dim=1)
        elif name.endswith(".experts.down_proj"):
            decoded[name] = quantize(file.replace("down_proj", "switch_glu.down_proj"), tensor)
        elif is_linear(name, tensor) or "embed_tokens" in name or name.endswith("router.proj.weight"):
            decoded[name] = quantize(file.removesuffix(".weight"), tensor, 8 if "router" in name else 4)
        else:
            tensors[file] = to_mx(tensor).astype(mx.bfloat16)
    decoded["lm_head.weight"] = decoded["model.embed_tokens.weight"]
    folder = os.path.join(OUT, "mlx")
    os.makedirs(folder, exist_ok=True)
    mx.save_safetensors(os.path.join(folder, "model.safetensors"), tensors, metadata={"format": "mlx"})
    write("mlx", model, None, decoded, config, key="quantization")


def bnb():
    from bitsandbytes import functional

    def quantize(_, matrix):
        codes, state = functional.quantize_4bit(matrix, quant_type="nf4", compress_statistics=True, blocksize=64)
        parts = {"weight": codes, **{f"weight.{key}": value for key, value in state.as_dict(packed=True).items()}}
        return parts, functional.dequantize_4bit(codes, state).float()

    model = micro(moe=False)
    tensors, decoded = quantized(model, quantize)
    write("bitsandbytes", model, tensors, decoded, {
        "quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True, "bnb_4bit_compute_dtype": "bfloat16"})


def linear(matrix):
    module = torch.nn.Linear(matrix.shape[1], matrix.shape[0], bias=False)
    module.weight.data = matrix.clone()
    return module


def gptq():
    from gptqmodel.nn_modules.qlinear.torch import TorchLinear
    from gptqmodel.utils.model import convert_gptq_v2_to_v1_format_module
    from gptqmodel.quantization.config import QuantizeConfig
    settings = QuantizeConfig(bits=4, group_size=128)

    def quantize(_, matrix):
        packed = TorchLinear(bits=4, group_size=128, sym=True, desc_act=False, in_features=matrix.shape[1], out_features=matrix.shape[0], bias=False)
        scales = (matrix.reshape(matrix.shape[0], -1, 128).abs().amax(dim=2) / 7.5).half().float()
        group = torch.arange(matrix.shape[1], dtype=torch.int32) // 128
        packed.pack(linear(matrix), scales, torch.full_like(scales, 8), group)
        packed.enable_wf_unsqueeze = True
        packed.post_init()
        half = packed.scales
        packed.scales = half.float()
        decoded = packed.dequantize_weight().T.float().contiguous()
        packed.scales = half
        convert_gptq_v2_to_v1_format_module(packed, settings)
        return {key: getattr(packed, key).detach().clone() for key in ("qweight", "qzeros", "scales", "g_idx")}, decoded

    model = micro(moe=False)
    tensors, decoded = quantized(model, quantize)
    # As older tools publish it: the settings in a file of their own.
    write("gptq", model, tensors, decoded, None, other={"quantize_config.json": {
        "bits": 4, "group_size": 128, "desc_act": False, "sym": True, "lm_head": False, "quant_method": "gptq", "checkpoint_format": "gptq", "pack_dtype": "int32",
        "meta": {"quantizer": ["gptqmodel:7.7.0"]}}})


def awq():
    from awq.modules.linear.gemm import WQLinear_GEMM
    from awq.utils.packing_utils import dequantize_gemm

    def quantize(_, matrix):
        groups = matrix.reshape(matrix.shape[0], -1, 128)
        low, high = groups.amin(dim=2), groups.amax(dim=2)
        scales = ((high - low) / 15).half().float()
        zeros = torch.round(-low / scales).clamp(0, 15)
        packed = WQLinear_GEMM.from_linear(linear(groups.clamp(-zeros[..., None] * scales[..., None], (15 - zeros)[..., None] * scales[..., None]).reshape(matrix.shape)),
                                           4, 128, False, scales.T.contiguous(), zeros.T.contiguous())
        decoded = dequantize_gemm(packed.qweight, packed.qzeros, packed.scales.float(), 4, 128).T.contiguous()
        return {key: getattr(packed, key) for key in ("qweight", "qzeros", "scales")}, decoded

    model = micro(moe=False)
    tensors, decoded = quantized(model, quantize)
    write("awq", model, tensors, decoded, {
        "quant_method": "awq", "bits": 4, "group_size": 128, "version": "gemm", "zero_point": True, "backend": "autoawq", "do_fuse": False, "modules_to_not_convert": None})


def modelopt():
    import tempfile

    import modelopt.torch.quantization as mtq
    from modelopt.torch.export import export_hf_checkpoint
    from modelopt.torch.quantization.qtensor import NVFP4QTensor
    model = micro(moe=True).bfloat16()
    ids = torch.randint(3, 160, (4, 32))
    with tempfile.TemporaryDirectory() as folder:
        export_hf_checkpoint(mtq.quantize(model, mtq.NVFP4_DEFAULT_CFG, lambda each: each(input_ids=ids)), dtype=torch.bfloat16, export_dir=folder)
        tensors = load_file(os.path.join(folder, "model.safetensors"))
        with open(os.path.join(folder, "hf_quant_config.json"), encoding="utf-8") as file:
            settings = json.load(file)
    decoded = {}
    for name in tensors:
        if name.endswith(".weight_scale_2"):
            module = name.removesuffix(".weight_scale_2")
            codes = tensors[module + ".weight"]
            values = NVFP4QTensor((codes.shape[0], 2 * codes.shape[1]), torch.float32, codes)
            decoded[module] = values.dequantize(torch.float32, scale=tensors[module + ".weight_scale"], double_scale=tensors[name], block_sizes={-1: 16})
    model = micro(moe=True)
    names = [name for name, tensor in model.state_dict().items() if is_linear(name, tensor)]
    # config.json as it was before: the settings are in the file of their own alone.
    write("modelopt", model, tensors, {name: whole(name, decoded) for name in names}, None, other={"hf_quant_config.json": settings})


if __name__ == "__main__":
    for chosen in sys.argv[1:] or ["ct", "mlx", "bnb", "gptq", "awq", "modelopt"]:
        globals()[chosen]()
