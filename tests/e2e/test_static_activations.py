#!/usr/bin/env python3
"""Static activations for a checkpoint that was not made for them (docs/decisions/0011): scales measured on the text of --calibration. They cost some quality against dynamic ones, little enough to be of use,
which the expected KL counts; the plan replays to the same bytes without the text. For a checkpoint that states scales it is the other way round: static is the model, dropping them is what costs."""
import json
import os
import re
import struct

import gc_e2e as gc

report = gc.Report()
folder = gc.scratch("static-activations")
heldout, calibration = os.path.join(folder, "heldout.txt"), os.path.join(gc.TINY, "eval", "calibration.txt")
with open(os.path.join(gc.TINY, "eval", "heldout.txt"), encoding="utf-8") as source, open(heldout, "w", encoding="utf-8") as out:
    out.write(source.read()[:30000])
base = ["--target", "host", "--context", "512", "--kv-format", "f32", "--weight-format", "w8,embed*=f32"]
measure = ["--activations", "static", "--calibration", calibration, "--sensitivity", "weights"]


def kl(artifact):
    result = gc.must([gc.GCOMPILE, "verify", artifact, "--model", gc.TINY, "--text", heldout, "--json"])
    return json.loads(result.stdout)


static, plan = os.path.join(folder, "static.gpk"), os.path.join(folder, "static.textproto")
gc.must([gc.GCOMPILE, "plan", "--model", gc.TINY, *base, *measure, "--quiet", "--emit", "plan", "-o", plan])
with open(plan, encoding="utf-8") as file:
    text = file.read()
inputs, outputs = ([float(x) for x in re.findall(rf"^  {side}_scale: (\S+)$", text, re.M)] for side in ("input", "output"))
# Eight layers: q, o, gate, up, down, the two per-layer ones, and k and v in the four that own them; and the projection for all layers.
report.equal("scales of all linear layers but the head", (len(inputs), len(outputs)), (8 * 7 + 4 * 2 + 1, 8 * 7 + 4 * 2 + 1))
report.check("they are of the size of activations", all(1e-5 < x < 10 for x in inputs + outputs), f"{min(inputs + outputs):.3g} to {max(inputs + outputs):.3g}")
same = re.findall(r'"layers\.0\.self_attn\.(?:q|k|v)_proj\.weight".*?\n  input_scale: (\S+)\n', text, re.S)
report.check("layers of one input share its scale", len(same) == 3 and len(set(same)) == 1, same)

gc.must([gc.GCOMPILE, "--model", gc.TINY, "--target", "host", "--plan", plan, "--quiet", "-o", static])
direct = os.path.join(folder, "direct.gpk")
gc.must([gc.GCOMPILE, "--model", gc.TINY, *base, *measure, "--jobs", "1", "--quiet", "-o", direct])
with open(static, "rb") as a, open(direct, "rb") as b:
    report.check("compiled at once or from the plan, with one thread or all: the same bytes", a.read() == b.read())

found, dynamic = kl(static), kl(gc.compiled("gemma4-tiny", *base))
report.note(f"KL {found['kl']:.5f} static, {dynamic['kl']:.5f} dynamic; perplexity {found['perplexity']:.4f}, {dynamic['perplexity']:.4f} of {found['reference_perplexity']:.4f}")
report.check("static activations cost more than dynamic ones", found["kl"] > dynamic["kl"], f"{found['kl']:.3g} and {dynamic['kl']:.3g}")
report.at_most("and not much", found["kl"], 0.05)

# The scales are what makes the difference: eight times coarser ones cost far more.
coarse = os.path.join(folder, "coarse.textproto")
with open(coarse, "w", encoding="utf-8") as file:
    file.write(re.sub(r"^(  (?:input|output)_scale: )(\S+)$", lambda m: m.group(1) + repr(8 * float(m.group(2))), text, flags=re.M))
gc.must([gc.GCOMPILE, "--model", gc.TINY, "--target", "host", "--plan", coarse, "--quiet", "-o", direct])
coarse_kl = kl(direct)["kl"]
report.check("eight times coarser scales cost far more", coarse_kl > 4 * found["kl"], f"{coarse_kl:.3g}")



# What they cost is measured alone and counted: the expected KL is near what verify finds, which the price of dynamic activations is not.
def planned(*options):
    result = gc.must([gc.GCOMPILE, "plan", "--target", "host", *options, "--json"])
    return json.loads(result.stdout)["predicted"], result.stderr


expected, notes = planned("--model", gc.TINY, "--plan", plan)
without = planned("--model", gc.TINY, *base)[0]
cost = expected["static_cost"]["activations"]
report.note(f"expected KL {expected['kl']:.5f}, of which static activations {cost:.5f}; {without['kl']:.5f} without them; measured {found['kl']:.5f} and {dynamic['kl']:.5f}")
near = (0.6, 1.4)
report.check("the expected KL is near the measured one", near[0] < expected["kl"] / found["kl"] < near[1], f"{expected['kl']:.5f} and {found['kl']:.5f}")
report.check("its interval holds it", expected["kl_low"] < found["kl"] < expected["kl_high"], f"{expected['kl_low']:.5f} to {expected['kl_high']:.5f}")
report.check("the price of dynamic activations would not be near", not near[0] < without["kl"] / found["kl"] < near[1], f"{without['kl']:.5f}")
report.check("nothing else is in it", abs(cost - expected["kl"]) < 0.2 * cost and without["static_cost"] is None, f"{cost:.5f} of {expected['kl']:.5f}")
report.check("the plan file says so", expected["kl_from_plan"] and f"that alone costs {cost:.5f} nats" in notes, notes[-300:])
page = os.path.join(folder, "page.html")
gc.must([gc.GCOMPILE, "plan", "--model", gc.TINY, "--target", "host", "--plan", plan, "--quiet", "--report", page])
with open(page, encoding="utf-8") as file:
    figure = re.search(r'<data value="([^"]+)" data-key="predicted.static_cost.activations">', file.read())
report.check("the page too", figure and float(figure.group(1)) == cost, figure and figure.group(0))
unknown, notes = planned("--model", gc.TINY, "--plan", coarse)
report.check("edited scales: their cost is not known, and a note says how to get it", unknown["static_cost"] is None and unknown["kl"] < cost and "--calibration TEXT" in notes, notes[-300:])
again, notes = planned("--model", gc.TINY, "--plan", coarse, "--calibration", calibration, "--sensitivity", "weights")
report.check("edited scales with a text: measured", near[0] < again["kl"] / coarse_kl < near[1] and not again["kl_from_plan"], f"{again['kl']:.4f} and {coarse_kl:.4f}")

# A checkpoint that states these scales was made for them: its weights of the plan in the form that states scales (compressed-tensors).
stated = os.path.join(folder, "stated")
gc.must([gc.GCOMPILE, "export", plan, "--format", "compressed-tensors", "--model", gc.TINY, "-o", stated])
weights, metadata = gc.read_safetensors(os.path.join(stated, "model.safetensors"))
for entry in re.findall(r"^tensors \{.*?^\}", text, re.M | re.S):
    scales = [re.search(rf"^  {side}_scale: (\S+)$", entry, re.M) for side in ("input", "output")]
    if all(scales):
        module = "model.language_model." + re.search(r'name: "(.*)\.weight"', entry).group(1)
        assert any(name.startswith(module + ".weight") for name in weights), module
        for side, scale in zip(("input", "output"), scales):
            weights[f"{module}.{side}_scale"] = ("F32", [1], struct.pack("<f", float(scale.group(1))))
gc.write_safetensors(os.path.join(stated, "model.safetensors"), weights, metadata)
with open(os.path.join(stated, "config.json"), encoding="utf-8") as file:
    config = json.load(file)
static_int8 = {"num_bits": 8, "type": "int", "symmetric": True, "dynamic": False, "strategy": "tensor"}
for group in config["quantization_config"]["config_groups"].values():
    group["input_activations"] = group["output_activations"] = static_int8
with open(os.path.join(stated, "config.json"), "w", encoding="utf-8") as file:
    json.dump(config, file)

ask = ["--model", stated, *base, "--calibration", calibration, "--sensitivity", "weights"]
kept, notes = planned(*ask, "--activations", "static", "--kv-scales", "dynamic")
report.check("a checkpoint that states scales: they are the model and cost nothing", kept["static_cost"] == {"activations": 0} and kept["kl"] < 0.1 * cost, f"{kept['kl']:.6f}: {notes[-200:]}")
report.check("and stay", f"{len(inputs)} linear layers keep them" in notes, notes[-300:])
plan = os.path.join(folder, "dropped.textproto")
gc.must([gc.GCOMPILE, "plan", *ask, "--activations", "dynamic", "--emit", "plan", "-o", plan])
dropped, notes = planned("--model", stated, "--plan", plan)
gc.must([gc.GCOMPILE, "--model", stated, "--target", "host", "--plan", plan, "--quiet", "-o", direct])
result = gc.must([gc.GCOMPILE, "verify", direct, "--model", stated, "--text", heldout, "--json"])
measured = json.loads(result.stdout)["kl"]
report.note(f"stated scales that are dropped: expected {dropped['kl']:.5f}, measured {measured:.5f}")
report.check("dropping them is what costs, and near what is measured", near[0] < dropped["kl"] / measured < near[1] and dropped["static_cost"]["activations"] > 0.5 * cost, f"{dropped['kl']:.5f} and {measured:.5f}")
report.check("a note says so", "which this plan drops" in notes and "that alone costs" in notes, notes[-300:])
unknown, notes = planned("--model", stated, *base, "--activations", "dynamic")
report.check("without a text the note says what is not counted", unknown["static_cost"] is None and unknown["kl"] < 0.5 * dropped["kl"] and "does not hold what that costs" in notes and "--calibration TEXT" in notes, notes[-300:])
report.finish()
