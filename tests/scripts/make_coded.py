#!/usr/bin/env python3
"""Writes tests/data/coded: small quantized checkpoints made by the formats' own tools, and what those tools decode them to.

Packages (PyPI): torch, numpy, safetensors, transformers==5.23.0, compressed-tensors==0.20.0, mlx[cpu]==0.32.4, bitsandbytes==0.50.2,
gptqmodel==7.7.0, autoawq==0.2.9, nvidia-modelopt==0.47.0.
Usage: make_coded.py [mobile] [ct] [mlx] [bnb] [gptq] [awq] [modelopt]   (default: all)

A folder holds config.json, model.safetensors and expected.safetensors (F32 under the logical names). mobile_E.crc has one line "CRC NAME" per
quantized tensor of tests/data/conformance-f32/mobile_E: CRC-32 of the decoded floats, little-endian, with -0 turned into +0.
"""
import json
import os
import sys
import zlib

import numpy as np

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data")
OUT = os.path.join(DATA, "coded")


def weights(rows, columns, seed):
    return (np.random.default_rng(seed).standard_normal((rows, columns)) * 0.05).astype(np.float32)


def write_config(name, config):
    folder = os.path.join(OUT, name)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as file:
        json.dump(config, file, indent=1)
        file.write("\n")
    return folder


def mobile():
    import torch
    from safetensors.torch import load_file
    from transformers.integrations import gemma_quant
    tensors = load_file(os.path.join(DATA, "conformance-f32", "mobile_E", "model.safetensors"))
    lines = []
    for name in sorted(tensors):
        for suffix, scale in ((".weight", ".weight_scale"), (".embedding_quantized", ".embedding_scale")):
            if not name.endswith(suffix) or name.removesuffix(suffix) + scale not in tensors:
                continue
            module = name.removesuffix(suffix)
            codes, scales = tensors[name], tensors[module + scale]
            if codes.dtype == torch.uint8:
                # the tiny model's widths: what the other dimension of the neighbours says
                two_bit = ("embed_tokens" in module and "per_layer" not in module) or module == "lm_head" or "audio_tower" in module \
                    or any(f"layers.{i}.mlp." in module for i in range(4, 8))
                width = codes.shape[1] * (4 if two_bit else 2)
                codes = (gemma_quant._unpack_int2 if two_bit else gemma_quant._unpack_int4)(codes, width)
            values = codes.float().reshape(codes.shape[0], scales.shape[1], -1) * scales[:, :, None]
            decoded = values.reshape(codes.shape[0], -1).numpy() + np.float32(0)
            lines.append(f"{zlib.crc32(decoded.astype('<f4').tobytes()):08x} {module}.weight\n")
    os.makedirs(OUT, exist_ok=True)
    with open(os.path.join(OUT, "mobile_E.crc"), "w", encoding="utf-8") as file:
        file.writelines(lines)


def ct():
    import torch
    from safetensors.torch import save_file as save_torch
    from compressed_tensors.compressors import BaseCompressor
    from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
    groups, tensors, expected = {}, {}, {}

    def add(module, form, rows, columns, scale_type, **arguments):
        args = QuantizationArgs(**arguments)
        scheme = QuantizationScheme(targets=[module], weights=args)
        weight = torch.from_numpy(weights(rows, columns, len(groups)))
        state = {"weight": weight}
        size = {"tensor": columns, "channel": columns}.get(str(args.strategy), args.group_size or 128)
        if args.strategy == "block":
            padded = torch.nn.functional.pad(weight, (0, -columns % 128, 0, -rows % 128))
            blocks = padded.reshape(padded.shape[0] // 128, 128, -1, 128).abs().amax(dim=(1, 3))
            scale = blocks / 448
        elif args.strategy == "tensor":
            scale = weight.abs().max().reshape(1) / (448 if args.type == "float" else 127)
        else:
            blocks = weight.reshape(rows, -1, size)
            if args.symmetric:
                top = {"int": 2 ** (args.num_bits - 1) - 0.5, "float": 448 if args.num_bits == 8 else 6}[args.type]
                scale = blocks.abs().amax(dim=2) / top
            else:
                scale = (blocks.amax(dim=2) - blocks.amin(dim=2)) / (2 ** args.num_bits - 1)
                zero = torch.round(-blocks.amin(dim=2) / scale) - 2 ** (args.num_bits - 1)
                state["weight_zero_point"] = zero.clamp(-2 ** (args.num_bits - 1), 2 ** (args.num_bits - 1) - 1).to(torch.int8)
        if form == "nvfp4-pack-quantized":
            state["weight_global_scale"] = (448 * 6 / weight.abs().max()).reshape(1).float()
            scale = scale * state["weight_global_scale"]
        state["weight_scale"] = scale.to(scale_type)
        if form == "nvfp4-pack-quantized":
            state["weight_scale"] = scale.to(torch.float8_e4m3fn).float()
        compressor = BaseCompressor.get_value_from_registry(form)
        packed = compressor.compress(state, scheme)
        wide = dict(packed)
        if wide["weight_scale"].dtype in (torch.bfloat16, torch.float16):
            wide["weight_scale"] = wide["weight_scale"].float()  # so that the product is not rounded
        expected[module + ".weight"] = compressor.decompress(wide, scheme)["weight"].float().contiguous()
        for key, value in packed.items():
            tensors[f"{module}.{key}"] = value.contiguous()
        groups[f"group_{len(groups)}"] = {"targets": [module], "format": form, "weights": {
            "num_bits": args.num_bits, "type": args.type, "symmetric": args.symmetric, "strategy": args.strategy,
            "group_size": args.group_size, "block_structure": args.block_structure}}

    pack, bf16, f32 = "pack-quantized", torch.bfloat16, torch.float32
    add("int4_g32", pack, 48, 128, bf16, num_bits=4, strategy="group", group_size=32)
    add("int4_g128", pack, 16, 256, bf16, num_bits=4, strategy="group", group_size=128)
    add("int4_channel", pack, 48, 128, f32, num_bits=4, strategy="channel")
    add("int2_channel", pack, 48, 128, f32, num_bits=2, strategy="channel")
    add("int3_g32", pack, 16, 128, bf16, num_bits=3, strategy="group", group_size=32)
    add("int5_channel", pack, 16, 96, f32, num_bits=5, strategy="channel")
    add("int8_g32", pack, 16, 128, torch.float16, num_bits=8, strategy="group", group_size=32)
    add("uint4_g32", pack, 20, 128, torch.float16, num_bits=4, strategy="group", group_size=32, symmetric=False)
    add("uint4_channel", pack, 20, 128, f32, num_bits=4, strategy="channel", symmetric=False)
    add("int8_channel", "int-quantized", 48, 128, f32, num_bits=8, strategy="channel")
    add("fp8_channel", "float-quantized", 48, 128, f32, num_bits=8, type="float", strategy="channel")
    add("fp8_tensor", "float-quantized", 48, 128, f32, num_bits=8, type="float", strategy="tensor")
    add("fp8_block", "float-quantized", 144, 192, f32, num_bits=8, type="float", strategy="block", block_structure=[128, 128])
    add("nvfp4", "nvfp4-pack-quantized", 16, 128, f32, num_bits=4, type="float", strategy="tensor_group", group_size=16)
    folder = write_config("compressed-tensors", {"quantization_config": {
        "quant_method": "compressed-tensors", "format": "mixed-precision", "quantization_status": "compressed", "version": "0.20.0",
        "ignore": ["lm_head"], "config_groups": groups, "kv_cache_scheme": None}})
    save_torch(tensors, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})
    save_torch(expected, os.path.join(folder, "expected.safetensors"))


def mlx():
    import mlx.core as mx
    mx.set_default_device(mx.cpu)
    config = {"group_size": 64, "bits": 4, "mode": "affine"}
    tensors, expected = {}, {}
    cases = [(f"affine{bits}", "affine", bits, size) for bits, size in ((2, 64), (3, 64), (4, 64), (5, 32), (6, 64), (8, 128))]
    cases += [("mxfp4", "mxfp4", 4, 32), ("nvfp4", "nvfp4", 4, 16), ("mxfp8", "mxfp8", 8, 32)]
    for index, (name, mode, bits, size) in enumerate(cases):
        module = "language_model.model." + name
        parts = mx.quantize(mx.array(weights(16, 128, 100 + index)), group_size=size, bits=bits, mode=mode)
        for suffix, part in zip(("weight", "scales", "biases"), parts):
            tensors[f"{module}.{suffix}"] = part
        expected[module + ".weight"] = mx.dequantize(*parts, group_size=size, bits=bits, mode=mode, dtype=mx.float32)
        config[module] = {"group_size": size, "bits": bits, "mode": mode}
    folder = write_config("mlx", {"quantization": config})
    mx.save_safetensors(os.path.join(folder, "model.safetensors"), tensors, metadata={"format": "mlx"})
    mx.save_safetensors(os.path.join(folder, "expected.safetensors"), expected)


def bnb():
    import torch
    from safetensors.torch import save_file as save_torch
    from bitsandbytes import functional
    tensors, expected = {}, {}
    for index, (kind, double) in enumerate((("nf4", False), ("nf4", True), ("fp4", False))):
        module = kind + ("_double" if double else "")
        weight = torch.from_numpy(weights(32, 1024 if double else 128, 200 + index))
        codes, state = functional.quantize_4bit(weight, quant_type=kind, compress_statistics=double, blocksize=64)
        tensors[module + ".weight"] = codes
        for key, value in state.as_dict(packed=True).items():
            tensors[f"{module}.weight.{key}"] = value
        expected[module + ".weight"] = functional.dequantize_4bit(codes, state).float().contiguous()
    weight = torch.from_numpy(weights(32, 128, 210))
    scale = weight.abs().amax(dim=1)
    codes = torch.round(weight * 127 / scale[:, None]).to(torch.int8)
    tensors.update({"int8.weight": codes, "int8.SCB": scale, "int8.weight_format": torch.tensor(0, dtype=torch.uint8)})
    expected["int8.weight"] = functional.int8_vectorwise_dequant(codes, scale).float()
    folder = write_config("bitsandbytes", {"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}})
    save_torch(tensors, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})
    save_torch(expected, os.path.join(folder, "expected.safetensors"))


def linear(matrix):
    import torch
    module = torch.nn.Linear(matrix.shape[1], matrix.shape[0], bias=False)
    module.weight.data = torch.from_numpy(matrix)
    return module


def affine(matrix, bits, group, symmetric):
    """Scales that f16 holds and zero points, [rows, groups]."""
    import torch
    groups = torch.from_numpy(matrix).reshape(matrix.shape[0], -1, group)
    low, high = groups.amin(dim=2), groups.amax(dim=2)
    if symmetric:
        scales = (torch.maximum(high, -low) / (2 ** (bits - 1) - 0.5)).half().float()
        return scales, torch.full_like(scales, 2 ** (bits - 1))
    scales = ((high - low) / (2 ** bits - 1)).half().float()
    return scales, torch.round(-low / scales).clamp(0, 2 ** bits - 1)


def gptq():
    """GPTQModel's packer in both versions of the format (a folder each), decoded by its own module;"""
    import torch
    from safetensors.torch import save_file as save_torch
    from gptqmodel.nn_modules.qlinear.torch import TorchLinear
    from gptqmodel.quantization.config import QuantizeConfig
    from gptqmodel.utils.model import convert_gptq_v2_to_v1_format_module
    for version in ("gptq", "gptq_v2"):
        for bits in (2, 3, 4, 8):
            if bits != 4 and version == "gptq_v2":
                continue
            tensors, expected = {}, {}
            for index, (name, rows, columns, group, symmetric, act_order) in enumerate((("sym", 32, 128, 64, True, False), ("asym", 64, 128, 32, False, False), ("order", 32, 128, 32, False, True))):
                if name == "asym" and bits == 3:
                    continue
                matrix = weights(rows, columns, 300 + index)
                scales, zeros = affine(matrix, bits, group, symmetric)
                if version == "gptq":
                    zeros = zeros.clamp(min=1)  # 0 wraps in the file, and readers disagree on it
                order = torch.arange(columns, dtype=torch.int32) // group
                if act_order:
                    order = order[torch.randperm(columns, generator=torch.Generator().manual_seed(index))].contiguous()
                packed = TorchLinear(bits=bits, group_size=group, sym=symmetric, desc_act=act_order, in_features=columns, out_features=rows, bias=False)
                packed.pack_original(linear(matrix), scales, zeros, order)
                packed.enable_wf_unsqueeze = True
                packed.post_init()
                half, packed.scales = packed.scales, packed.scales.float()
                expected[name + ".weight"] = packed.dequantize_weight().T.float().contiguous()
                packed.scales = half
                if version == "gptq":
                    convert_gptq_v2_to_v1_format_module(packed, QuantizeConfig(bits=bits, group_size=group))
                for key in ("qweight", "qzeros", "scales", "g_idx"):
                    tensors[f"{name}.{key}"] = getattr(packed, key).detach().clone().contiguous()
            folder = write_config(f"{version}-{bits}bit", {"quantization_config": {
                "quant_method": "gptq", "bits": bits, "group_size": 32, "desc_act": True, "sym": False, "checkpoint_format": version,
                "dynamic": {"+:sym": {"group_size": 64, "sym": True, "desc_act": False}}}})
            save_torch(tensors, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})
            save_torch(expected, os.path.join(folder, "expected.safetensors"))


def awq():
    import torch
    from safetensors.torch import save_file as save_torch
    from awq.modules.linear.gemm import WQLinear_GEMM
    from awq.utils.packing_utils import dequantize_gemm
    tensors, expected = {}, {}
    for index, (name, rows, columns) in enumerate((("wide", 32, 128), ("tall", 64, 32))):
        matrix = weights(rows, columns, 400 + index)
        scales, zeros = affine(matrix, 4, 32, False)
        low, high = (bound.repeat_interleave(32, dim=1).numpy() for bound in (-zeros * scales, (15 - zeros) * scales))
        packed = WQLinear_GEMM.from_linear(linear(np.clip(matrix, low, high)), 4, 32, False, scales.T.contiguous(), zeros.T.contiguous())
        for key in ("qweight", "qzeros", "scales"):
            tensors[f"{name}.{key}"] = getattr(packed, key)
        expected[name + ".weight"] = dequantize_gemm(packed.qweight, packed.qzeros, packed.scales.float(), 4, 32).T.contiguous()
    folder = write_config("awq", {"quantization_config": {"quant_method": "awq", "bits": 4, "group_size": 32, "version": "gemm", "zero_point": True}})
    save_torch(tensors, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})
    save_torch(expected, os.path.join(folder, "expected.safetensors"))


def modelopt():
    import torch
    from safetensors.torch import save_file as save_torch
    from modelopt.torch.quantization.qtensor import FP8QTensor, NVFP4QTensor
    tensors, expected = {}, {}
    matrix = torch.from_numpy(weights(32, 128, 500))
    packed, scale, second = NVFP4QTensor.quantize(matrix, 16)
    tensors.update({"nvfp4.weight": packed._quantized_data, "nvfp4.weight_scale": scale, "nvfp4.weight_scale_2": second, "nvfp4.input_scale": torch.tensor(0.125)})
    expected["nvfp4.weight"] = packed.dequantize(torch.float32, scale=scale, double_scale=second, block_sizes={-1: 16})
    matrix = torch.from_numpy(weights(32, 128, 501))
    packed, scale = FP8QTensor.quantize(matrix)
    tensors.update({"fp8.weight": packed._quantized_data, "fp8.weight_scale": scale.float().reshape(()), "fp8.input_scale": torch.tensor(0.125)})
    expected["fp8.weight"] = packed.dequantize(torch.float32, scale=scale.float())
    folder = write_config("modelopt", {"quantization_config": {"quant_method": "modelopt", "quant_algo": "MIXED_PRECISION"}})
    save_torch({name: tensor.contiguous() for name, tensor in tensors.items()}, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})
    save_torch({name: tensor.contiguous() for name, tensor in expected.items()}, os.path.join(folder, "expected.safetensors"))


if __name__ == "__main__":
    for chosen in sys.argv[1:] or ["mobile", "ct", "mlx", "bnb", "gptq", "awq", "modelopt"]:
        globals()[chosen]()
