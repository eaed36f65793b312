#!/usr/bin/env python3
"""Static activations for a checkpoint that was not made for them (docs/decisions/0011): scales measured on the text of --calibration. They cost some quality against dynamic ones, little enough to be of use,
and the plan replays to the same bytes without the text."""
import json
import os
import re

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

result = gc.must([gc.GCOMPILE, "plan", "--model", gc.TINY, "--target", "host", "--plan", plan])
report.check("a note says what the expected KL leaves out", "does not hold what that costs" in result.stderr, result.stderr[-300:])
report.finish()
