#!/usr/bin/env python3
"""What the programs print with --json is what docs/*.schema.json say, and the schemas list the keys that scripts may count on.

The validator knows the part of JSON Schema that our schemas use, and refuses a schema that uses more, so that nothing passes unread.
"""
import json
import os

import gc_e2e as gc

KNOWN = {"$schema", "$id", "$defs", "$comment", "title", "description", "type", "properties", "required", "additionalProperties", "items", "enum", "const", "minimum",
         "maximum", "minItems", "maxItems", "anyOf", "oneOf", "if", "then", "else", "$ref", "exclusiveMinimum", "pattern", "minLength", "default", "examples"}
TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}


def is_type(value, name):
    if name in ("integer", "number"):
        return not isinstance(value, bool) and (isinstance(value, int) or (isinstance(value, float) and (name == "number" or value.is_integer())))
    return isinstance(value, TYPES[name])


def faults(value, schema, root, where="$"):
    """Yields a line for each way in which `value` is not what `schema` says."""
    if isinstance(schema, bool):
        if not schema:
            yield f"{where}: not allowed"
        return
    for word in set(schema) - KNOWN:
        yield f"{where}: the schema uses '{word}', which this test cannot judge"
    if "$ref" in schema:
        target = root
        for part in schema["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        yield from faults(value, target, root, where)
    if "type" in schema:
        names = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        if not any(is_type(value, name) for name in names):
            yield f"{where}: {json.dumps(value)[:60]} is no {' or '.join(names)}"
            return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{where}: {value!r} is none of {schema['enum']}"
    if "const" in schema and value != schema["const"]:
        yield f"{where}: {value!r} is not {schema['const']!r}"
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if value < schema.get("minimum", value) or value > schema.get("maximum", value) or ("exclusiveMinimum" in schema and value <= schema["exclusiveMinimum"]):
            yield f"{where}: {value} is out of range"
    if isinstance(value, dict):
        for key in schema.get("required", []):
            if key not in value:
                yield f"{where}: lacks '{key}'"
        known = schema.get("properties", {})
        for key, item in value.items():
            yield from faults(item, known.get(key, schema.get("additionalProperties", True)), root, f"{where}.{key}")
    if isinstance(value, list):
        if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
            yield f"{where}: has {len(value)} items"
        for index, item in enumerate(value[:2000]):
            yield from faults(item, schema.get("items", True), root, f"{where}[{index}]")
    for word, enough in (("anyOf", lambda n: n >= 1), ("oneOf", lambda n: n == 1)):
        if word in schema:
            fitting = [not list(faults(value, option, root, where)) for option in schema[word]].count(True)
            if not enough(fitting):
                yield f"{where}: fits {fitting} of the {len(schema[word])} forms"
    if "if" in schema:
        branch = "else" if list(faults(value, schema["if"], root, where)) else "then"
        yield from faults(value, schema.get(branch, True), root, where)


report = gc.Report()
artifact = gc.compiled_as("w4g32", "kv8")
text = os.path.join(gc.scratch("schemas"), "text.txt")
with open(os.path.join(gc.TINY, "eval", "heldout.txt"), "rb") as source, open(text, "wb") as target:
    target.write(source.read(6000))
plan = ("--model", gc.TINY, "--target", "host", "--budget", "10MB", "--context", "2048", "--json")


def gcompile_json(*arguments, code=0):
    result = gc.gcompile(*arguments)
    report.check(f"gcompile {arguments[0]}: exit code {code}", result.code == code, f"{result.code}: {result.stderr.strip()[:100]}")
    return json.loads(result.stdout)


free = os.path.join(gc.scratch("schemas-plan"), "plan.textproto")
gc.must([gc.GCOMPILE, "plan", *plan[:-1], "--quiet", "-o", free])

# name of the schema: (what is printed, keys of the contract that it must list)
OUTPUTS = {
    "plan": ([gcompile_json("plan", *plan), *(gcompile_json("plan", "--model", "gemma-4-E2B", "--target", target, "--json") for target in ("galaxys26ultra", "jetson-orin-nano")),
              *(gcompile_json("plan", *plan, "--weight-format", f"*gate_proj*={grid}") for grid in ("w4g128", "nf4"))], "model target budget_bytes peak_bytes feasible context modalities memory tensors kv_cache predicted optimality solver seconds"),
    "targets": ([gcompile_json("targets", "--json"), gcompile_json("targets", "pixel9", "--json")], "targets"),
    "pareto": ([gcompile_json("pareto", *plan, "--points", "16"), gcompile_json("pareto", "--model", "gemma-4-12B", "--target", "h200", "--json", "--points", "8")], "points"),
    "inspect": ([gcompile_json("inspect", each, "--json") for each in (gc.TINY, os.path.join(gc.DATA, "gguf", "micro.gguf"), "gemma-4-26B-A4B")],
                "model preset container parameters text_bytes modalities classes chat_template has_tokenizer"),
    "inspect-litertlm": ([gcompile_json("inspect", os.path.join(gc.DATA, "litertlm", "micro.litertlm"), "--json")], "kind file container version bytes sections constants"),
    "why": ([gcompile_json("why", artifact, name, "--json") for name in ("layers.3.mlp.down_proj.weight", "kv.global", "norm.weight")]
            + [gcompile_json("why", free, name, "--json") for name in ("layers.3.mlp.down_proj.weight", "kv.local", "embed_tokens_per_layer.weight")], "tensor format kl_per_mib runner_up flips_at_budget_bytes"),
    "bench": ([gc.grun_json(artifact, "--bench", "--prompt-tokens", 64, "--decode-tokens", 8)],
              "memory threads prompt_tokens decode_tokens prefill_tokens_per_second decode_tokens_per_second first_token_seconds load_seconds peak_rss_bytes predicted"),
    "perplexity": ([gc.grun_json(artifact, "--perplexity", text)], "tokens nll perplexity"),
    "tokenize": ([gc.grun_json(artifact, "--tokenize", text)], "tokens"),
    "detokenize": ([json.loads(gc.must([gc.GRUN, artifact, "--detokenize", "-", "--json"], stdin=b"2,5,7").stdout)], "text"),
    "generation": ([gc.grun_json(artifact, "-p", "The", "-n", 4), gc.grun_json(artifact, "--chat", "-p", "Hello")], "prompt_tokens tokens text stop_reason timings"),
    "logits": ([gc.grun_json(artifact, "--logits", "--tokens", "2,5,7")], "logits"),
}
for name, (values, keys) in OUTPUTS.items():
    with open(os.path.join(gc.SOURCE, "docs", f"{name}.schema.json"), encoding="utf-8") as file:
        schema = json.load(file)
    for value in values:
        wrong = list(faults(value, schema, schema))
        report.check(f"{name}: as its schema says", not wrong, "; ".join(wrong[:5]))
        report.equal(f"{name}: keys of the contract that are missing", [key for key in keys.split() if key not in value], [])
    damaged = {key: item for key, item in values[0].items() if key != keys.split()[0]}
    report.check(f"{name}: the schema refuses one without '{keys.split()[0]}'", any(faults(damaged, schema, schema)))
with open(os.path.join(gc.SOURCE, "docs", "plan.schema.json"), encoding="utf-8") as file:
    schema = json.load(file)
nothing = gcompile_json("plan", "--model", gc.TINY, "--target", "host", "--budget", "1MB", "--json", code=3)
wrong = list(faults(nothing, schema, schema))
report.check("plan: nothing fits, as its schema says", not wrong, "; ".join(wrong[:5]))
listed = sorted(name.removesuffix(".schema.json") for name in os.listdir(os.path.join(gc.SOURCE, "docs")) if name.endswith(".schema.json"))
report.equal("schemas without a test", sorted(set(listed) - set(OUTPUTS)), [])
report.finish()
