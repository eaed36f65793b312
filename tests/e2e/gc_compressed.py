"""What compressed-tensors and transformers of PyPI make of a folder that `gcompile export` wrote; only where both and torch are installed, which the tests' own machine need not have."""
import json
import os
import re

try:
    import torch
    import transformers
    from compressed_tensors.compressors import BaseCompressor
    from compressed_tensors.quantization import QuantizationConfig
except ImportError:
    torch = None


def scheme_of(config, module):
    """By the rules of the configuration: ignored, or the group of the first list that names it."""
    quantization = config["quantization_config"]
    for entry in quantization["ignore"]:
        if entry == module or (entry.startswith("re:") and re.match(entry[3:], module)):
            return None
    for group in quantization["config_groups"].values():
        if any(target == "Linear" or (target.startswith("re:") and re.match(target[3:], module)) for target in group["targets"]):
            return group
    return None


def modules_of(tensors):
    return sorted(key.removesuffix(".weight_scale") for key in tensors if key.endswith(".weight_scale"))


def _tensor(entry):
    types = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I32": torch.int32, "I8": torch.int8, "I64": torch.int64}
    dtype, shape, data = entry
    return torch.frombuffer(bytearray(data), dtype=types[dtype]).reshape(shape)


def decompressed(tensors, config):
    """{module: its weight in f32}, by the library's decompressor."""
    settings = QuantizationConfig.model_validate({key: value for key, value in config["quantization_config"].items() if key != "version"})
    weights = {}
    for module in modules_of(tensors):
        group = scheme_of(config, module)
        scheme = next(each for key, each in settings.config_groups.items() if config["quantization_config"]["config_groups"][key] is group)
        state = {key: _tensor(tensors[f"{module}.{key}"]) for key in ("weight", "weight_packed", "weight_scale", "weight_shape") if f"{module}.{key}" in tensors}
        state["weight_scale"] = state["weight_scale"].float()
        weights[module] = BaseCompressor.get_value_from_registry(group["format"]).decompress(state, scheme)["weight"].float().contiguous()
    return weights


def _run(model, ids):
    with torch.no_grad():
        return model.eval()(input_ids=torch.tensor([ids])).logits[0].tolist()


def logits_as_loaded(folder, ids):
    """Of transformers, which loads the folder by itself; computed in f32."""
    with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
        kind = getattr(transformers, json.load(file)["architectures"][0])
    model, loading = kind.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager", output_loading_info=True)
    # Decompression keeps scale and shape in places of their own.
    missing = [key for key in loading["missing_keys"] if "lm_head" not in key]
    assert not missing and not loading["mismatched_keys"], (missing[:3], loading["mismatched_keys"])
    return _run(model, ids)


def logits_of_values(folder, tensors, weights, ids):
    """Of transformers' model with these decompressed weights: for experts, which transformers holds in stacks and does not load from modules."""
    config = transformers.AutoConfig.from_pretrained(folder)
    del config.quantization_config
    config._attn_implementation = "eager"
    model = getattr(transformers, config.architectures[0])(config).float()
    state, experts = {}, {}
    for key, entry in tensors.items():
        if not re.search(r"\.weight_(packed|scale|shape)$", key) and key.removesuffix(".weight") not in weights:
            state[key] = _tensor(entry).float()
    for module, weight in weights.items():
        found = re.fullmatch(r"(.*\.experts)\.(\d+)\.(gate|up|down)_proj", module)
        if found:
            experts.setdefault(found[1], {})[int(found[2]), found[3]] = weight
        else:
            state[module + ".weight"] = weight
    for stem, parts in experts.items():
        count = len(parts) // 3
        state[stem + ".gate_up_proj"] = torch.stack([torch.cat([parts[i, "gate"], parts[i, "up"]]) for i in range(count)])
        state[stem + ".down_proj"] = torch.stack([parts[i, "down"] for i in range(count)])
    missing, unexpected = model.load_state_dict(state, strict=False)
    missing = [key for key in missing if "lm_head" not in key]
    assert experts and not missing and not unexpected, (missing[:3], unexpected[:3])
    model.tie_weights()
    return _run(model, ids)


def tokenizer_facts(folder, text):
    """What transformers makes of the tokenizer and the template of a folder."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    ids = tokenizer(text)["input_ids"]
    turns = [{"role": "user", "content": "What is 7 + 5?"}]
    return (ids, [tokenizer.decode(ids, skip_special_tokens=skip) for skip in (False, True)], tokenizer.eos_token, tokenizer.bos_token, tokenizer.pad_token,
            tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False))
