#!/usr/bin/env python3
"""The tiny trained model compiled in f32 agrees with the reference implementation: logits, likelihoods, greedy text, perplexity."""
import gc_e2e as gc

report = gc.Report()
goldens = gc.tiny_goldens()
artifact = gc.reference("gemma4-tiny")

for number, prompt in enumerate(goldens["prompts"]):
    title = f"prompt {number} ({prompt['kind']}, {len(prompt['ids'])} tokens)"
    last = gc.logits(artifact, prompt["ids"])[-1]
    worst = max(abs(last[token] - value) for token, value in zip(prompt["top_ids"], prompt["top_logits"]))
    report.at_most(f"{title}: top-20 logits", worst, 1e-3)
    order = sorted(range(len(last)), key=lambda token: -last[token])[:1]
    report.equal(f"{title}: best token", order, prompt["top_ids"][:1])
    report.equal(f"{title}: greedy continuation", gc.generate(artifact, prompt["ids"], 32), prompt["greedy_ids"])

ids, wanted = goldens["nll_256"]["ids"], goldens["nll_256"]["nll"]
got = [gc.negative_log_likelihood(row, target) for row, target in zip(gc.logits(artifact, ids), ids[1:])]
report.equal("number of likelihoods", len(got), len(wanted))
report.at_most("256 likelihoods", max(abs(a - b) for a, b in zip(got, wanted)), 1e-3)

window = goldens["heldout"]["window_512_llama"]
measured = gc.grun_json(artifact, "--perplexity", f"{gc.TINY}/eval/heldout.txt")
report.at_most("perplexity of the held-out text, relative error", abs(measured["perplexity"] / window["perplexity"] - 1), 1e-3, measured["perplexity"])
report.finish()
