#!/usr/bin/env python3
"""Three ways through the same tokens agree: decoding one by one with the cache, prefilling in chunks, and scoring all rows.

The tiny model's sliding window is 128 and its ring a few hundred slots, so 700 positions wrap it more than once; the micro model has a window of 16.
Random micro models soon repeat one token, so their sequences are forced: prefixes of a fixed pseudo-random sequence.
"""
import random

import gc_e2e as gc

# Below these margins two tokens are a tie that rounding may decide either way. In integer formats a difference in the last bit of a float may move
# an activation to the next of its 255 codes, so the tie is wider.
F32_MARGIN, W8_MARGIN = 1e-3, 0.1
report = gc.Report()


def agrees(row, token, margin):
    return max(row) - row[token] < margin


def compare(title, artifact, prompt, count, cuts, margin):
    generated = gc.generate(artifact, prompt, count)
    report.equal(f"{title}: tokens decoded", len(generated), count)
    sequence = prompt + generated
    scored = gc.logits(artifact, sequence)
    wrong = [p for p in range(len(prompt), len(sequence)) if not agrees(scored[p - 1], sequence[p], margin)]
    report.equal(f"{title}: decoded tokens that scoring would not choose", wrong, [])
    for cut in cuts:
        again = gc.generate(artifact, sequence[:cut], 6)
        rows = gc.logits(artifact, sequence[:cut] + again)
        wrong = [p for p in range(cut, cut + len(again)) if not agrees(rows[p - 1], again[p - cut], margin)]
        report.equal(f"{title}: prefill of {cut} tokens, then decode: tokens that scoring would not choose", wrong, [])
        if margin == F32_MARGIN and len(prompt) <= cut <= len(sequence) - 6:
            report.check(f"{title}: prefill of {cut} tokens continues as decoding did", again == sequence[cut:cut + 6], f"{again}, {sequence[cut:cut + 6]}")


goldens = gc.tiny_goldens()
tiny = gc.reference("gemma4-tiny")
compare("tiny f32", tiny, goldens["prompts"][0]["ids"], 640, (2, 63, 64, 65, 127, 128, 129, 192, 257, 391, 640), F32_MARGIN)
compare("tiny w8", gc.compiled_as("w8", "f32"),
        goldens["prompts"][0]["ids"], 300, (65, 130, 257), W8_MARGIN)

micro = gc.reference("conformance/e2b-like", context=512)
random.seed(7)
forced = [2] + [random.randrange(10, 300) for _ in range(400)]
rows = gc.logits(micro, forced)
wrong = []
for cut in (1, 2, 15, 16, 17, 31, 33, 63, 64, 65, 66, 127, 128, 129, 200, 255, 256, 257, 383, 400):
    token = gc.generate(micro, forced[:cut], 1)[0]
    if not agrees(rows[cut - 1], token, F32_MARGIN):
        wrong.append(cut)
report.equal("micro f32: prefixes whose next token differs between prefill + decode and scoring", wrong, [])
# A prefix of a sequence has the same logits alone: nothing looks ahead, and windows do not depend on what follows.
worst = max(gc.worst_difference(gc.logits(micro, forced[:cut]), rows[:cut])[0] for cut in (5, 64, 100, 300))
report.at_most("micro f32: logits of prefixes scored alone", worst, 1e-4)
report.finish()
