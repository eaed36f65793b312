#!/usr/bin/env python3
"""The command line as docs and scripts use it: help, exit codes, JSON keys, chat, tokenizing, stops, sampling, standard streams."""
import json
import os
import subprocess

import gc_e2e as gc

report = gc.Report()
goldens = gc.tiny_goldens()
folder = gc.scratch("cli")

# --- help, version, wrong flags ---
for program in (gc.GCOMPILE, gc.GRUN):
    name = os.path.basename(program)
    for flag in ("--help", "--version"):
        result = gc.run([program, flag])
        report.check(f"{name} {flag}", result.code == 0 and len(result.stdout) > 5 and not result.stderr, result.stderr[:200])
# A reader that has gone, as `head` does: no complaint. A device that takes nothing: said.
for command in ([gc.GCOMPILE, "--help"], [gc.GCOMPILE, "--version"], [gc.GCOMPILE, "targets"], [gc.GRUN, "--help"]):
    end, start = os.pipe()
    os.close(end)
    result = subprocess.run(command, stdout=start, stderr=subprocess.PIPE, text=True, timeout=60)
    os.close(start)
    # Python ignores SIGPIPE for itself and gives the default back to what it starts: the signal may end the program.
    report.check(f"{os.path.basename(command[0])} {command[1]}, reader gone", result.returncode in (0, -13) and not result.stderr, f"{result.returncode}: {result.stderr[:160]}")
with open("/dev/full", "w") as nowhere:
    result = subprocess.run([gc.GCOMPILE, "--help"], stdout=nowhere, stderr=subprocess.PIPE, text=True, timeout=60)
report.check("help for a full device", result.returncode == 1 and "standard output" in result.stderr, f"{result.returncode}: {result.stderr[:160]}")
FLAGS = [["--no-such-flag"], ["--target", "no-such-target", "--budget", "1GB"], ["--target", "host", "--budget", "12parsecs"], ["--target", "host", "--budget", "-5MB"],
         ["--target", "host", "--budget", "99999999999999999999GB"], ["--target", "host", "--weight-format", "w3"], ["--target", "host", "--kv-format", "kv5"],
         ["--target", "host", "--kv-format", "sideways=f32"], ["--target", "host", "--modalities", "smell"], ["--target", "host", "--tables", "attic"],
         ["--target", "host", "--context", "-1"], ["--target", "host", "--context", "many"], ["--target", "host", "--jobs", "0x"], ["--target", "host", "--emit", "smoke"]]
for flags in FLAGS:
    output = os.path.join(folder, "flags.gpk")
    result = gc.gcompile("--model", gc.TINY, *flags, "-o", output)
    lines = [line for line in result.stderr.splitlines() if line.strip()]
    report.check(f"exit code 2 for {' '.join(flags)}", result.code == 2 and not os.path.exists(output) and lines and "error" in result.stderr, f"{result.code}: {result.stderr.strip()[:160]}")
for flags in (["--no-such-flag"], ["--temperature", "warm"], ["--threads", "-2"]):
    result = gc.grun(gc.reference("gemma4-tiny"), *flags)
    report.check(f"grun: exit code 2 for {' '.join(flags)}", result.code == 2 and result.stderr.strip() != "", f"{result.code}: {result.stderr.strip()[:160]}")

# --- nothing fits ---
for budget in ("0", "1MB"):
    output = os.path.join(folder, "small.gpk")
    result = gc.gcompile("--model", gc.TINY, "--target", "host", "--budget", budget, "-o", output)
    report.check(f"exit code 3 for --budget {budget}", result.code == 3 and not os.path.exists(output), f"{result.code}: {result.stderr.strip()[:200]}")
result = gc.gcompile("plan", "--model", gc.TINY, "--target", "host", "--budget", "1MB", "--json")
answer = json.loads(result.stdout or "{}")
report.check("nothing fits, as JSON", result.code == 3 and answer.get("feasible") is False and answer.get("smallest_budget_bytes", 0) > 1_000_000 and answer.get("suggestion"), answer)
if answer.get("smallest_budget_bytes"):
    smallest = answer["smallest_budget_bytes"]
    report.equal("the smallest budget that is named does fit", gc.gcompile("plan", "--model", gc.TINY, "--target", "host", "--budget", smallest, "--json").code, 0)
    report.equal("one byte less does not", gc.gcompile("plan", "--model", gc.TINY, "--target", "host", "--budget", smallest - 1, "--json").code, 3)

# --- the plan, as JSON and as a table ---
plan = json.loads(gc.must([gc.GCOMPILE, "plan", "--model", gc.TINY, "--target", "host", "--budget", "16MB", "--context", "2048", "--json"]).stdout)
wanted = "model target budget_bytes peak_bytes feasible context modalities memory tensors kv_cache predicted optimality solver seconds".split()
report.equal("keys missing in the plan", [key for key in wanted if key not in plan], [])
report.equal("budget in bytes", plan["budget_bytes"], 16_000_000)
report.check("the plan fits", plan["feasible"] is True and plan["peak_bytes"] <= 16_000_000, plan["peak_bytes"])
report.check("peak is the sum of its parts", plan["peak_bytes"] == sum(plan["memory"].values()), plan["memory"])
report.equal("keys missing in a tensor", [k for k in "name role layer format bytes placement".split() if k not in plan["tensors"][0]], [])
report.check("a format for each layer's projections", len(plan["tensors"]) >= 8 * 7, len(plan["tensors"]))
report.equal("keys missing in a cache", [k for k in "layer_type k v bytes".split() if k not in plan["kv_cache"][0]], [])
table = gc.must([gc.GCOMPILE, "plan", "--model", gc.TINY, "--target", "host", "--budget", "16MB", "--context", "2048"]).stdout
report.check("the plan as a table", "weights" in table and "MB" in table, f"{len(table.splitlines())} lines")
shown = gc.gcompile("targets")
report.check("gcompile targets", shown.code == 0 and len(shown.stdout) > 20, shown.stdout.strip()[:80])

# --- what is fixed stays fixed ---
fixed = json.loads(gc.must([gc.GCOMPILE, "plan", "--model", gc.TINY, "--target", "host", "--weight-format", "w8", "--kv-format", "local=kv8,global=f16", "--json"]).stdout)
matrices = {t["format"] for t in fixed["tensors"] if t["role"] not in ("norm", "scalar") and not t["name"].endswith(("norm.weight", "layer_scalar"))}
report.equal("formats of the matrices with --weight-format w8", matrices, {"w8"})
report.equal("caches with --kv-format local=kv8,global=f16", sorted((c["layer_type"], c["k"], c["v"]) for c in fixed["kv_cache"]),
             [("global", "f16", "f16"), ("local", "kv8", "kv8")])

# --- generating ---
artifact = gc.reference("gemma4-tiny")
for prompt in goldens["prompts"][:4]:
    question = prompt["prompt"].split("user\n", 1)[1].split("<turn|>", 1)[0]
    answer = gc.grun_json(artifact, "--chat", "-p", question, "-n", 32, "--temperature", "0")
    stop = next((i for i, token in enumerate(prompt["greedy_ids"]) if token in (1, 6)), 32)
    report.equal(f"chat: template of {question[:20]!r}", answer["prompt_tokens"], prompt["ids"])
    report.equal(f"chat: answer to {question[:20]!r}", answer["tokens"], prompt["greedy_ids"][:stop])
    report.equal(f"chat: the answer as a message to {question[:20]!r}", answer["message"], {"role": "assistant", "content": answer["text"].strip()})
    talk = os.path.join(folder, "talk.json")
    with open(talk, "w", encoding="utf-8") as file:
        json.dump([{"role": "user", "content": question}, answer["message"], {"role": "user", "content": "And?"}], file)
    rendered = gc.must([gc.GRUN, artifact, "--messages", talk, "--render"]).stdout
    report.check(f"chat: which goes back into the conversation {question[:20]!r}", answer["text"].strip() + "<turn|>" in rendered, rendered[-200:])
    report.equal(f"chat: stop reason of {question[:20]!r}", answer["stop_reason"], "stop_token" if stop < 32 else "length")
    plain = gc.must([gc.GRUN, artifact, "--chat", "-p", question, "-n", "32", "--temperature", "0"]).stdout
    report.equal(f"chat: text on standard output for {question[:20]!r}", plain.strip(), answer["text"].strip())
text = goldens["prompts"][6]
raw = gc.grun_json(artifact, "-p", text["prompt"].removeprefix("<bos>"), "-n", 32, "--temperature", "0", "--ignore-stop")
report.equal("raw text: tokens of the prompt", raw["prompt_tokens"], text["ids"])
report.equal("raw text: continuation", raw["tokens"], text["greedy_ids"])
# The continuation ends inside a character. What streams cannot take back a byte, so only the text before the first incomplete character is comparable.
whole = text["greedy_text"].split("\ufffd")[0]
report.check("raw text: decoded", len(whole) > 30 and raw["text"].startswith(whole), raw["text"])
piped = json.loads(gc.must([gc.GRUN, artifact, "-p", "-", "-n", "32", "--temperature", "0", "--ignore-stop", "--json"], stdin=text["prompt"].removeprefix("<bos>").encode()).stdout)
report.equal("prompt from standard input", piped["tokens"], text["greedy_ids"])
source = os.path.join(folder, "prompt.txt")
with open(source, "w", encoding="utf-8") as file:
    file.write(text["prompt"].removeprefix("<bos>"))
report.equal("prompt from a file", gc.grun_json(artifact, "-f", source, "-n", 32, "--temperature", "0", "--ignore-stop")["tokens"], text["greedy_ids"])

# --- tokenizing ---
for number, prompt in enumerate(goldens["prompts"]):
    with open(source, "w", encoding="utf-8") as file:
        file.write(prompt["prompt"])
    report.equal(f"tokens of golden prompt {number}", gc.grun_json(artifact, "--tokenize", source)["tokens"], prompt["ids"])
heldout = gc.grun_json(artifact, "--tokenize", os.path.join(gc.TINY, "eval", "heldout.txt"))["tokens"]
report.equal("number of tokens of the held-out text", len(heldout), goldens["heldout"]["tokens"])
report.equal("tokens 1000 to 1255 of it", heldout[1000:1256], goldens["nll_256"]["ids"][1:])
with open(source, "wb") as file:
    file.write(b"caf\xe9 \xff\xfe \xf0\x9f\x98\x80\xf0\x9f")
for name, data in (("text", "Hei på deg,\n  verden!\t<bos>🙂".encode()), ("bytes that are no UTF-8", b"a\xff\xfe\xc3(\xf0\x9f\x99 z\x00\xe6\x97"),
                   ("every byte", bytes(range(256)) * 3), ("nothing", b""), ("held-out text", open(os.path.join(gc.TINY, "eval", "heldout.txt"), "rb").read())):
    path, ids = os.path.join(folder, "text.bin"), os.path.join(folder, "ids.txt")
    with open(path, "wb") as file:
        file.write(data)
    with open(ids, "w", encoding="ascii") as file:
        file.write(gc.must([gc.GRUN, artifact, "--tokenize", path]).stdout)
    for how, stdin in ((ids, None), ("-", open(ids, "rb"))):
        found = subprocess.run([gc.GRUN, artifact, "--detokenize", how], stdin=stdin, capture_output=True, check=True).stdout
        report.check(f"--detokenize is the inverse of --tokenize: {name}", found == data, f"{found[:40]!r}")
for numbers, wanted in (("2,x", "number 2 is no token"), ("-1", "number 1 is no token"), ("99999999999", "number 1 is no token"), ("999999", "not in the vocabulary")):
    result = gc.run([gc.GRUN, artifact, "--detokenize", "-"], stdin=numbers.encode())
    report.check(f"--detokenize refuses {numbers}", result.code == 1 and wanted in result.stderr, result.stderr.strip())
report.check("invalid UTF-8 goes byte by byte", len(gc.grun_json(artifact, "--tokenize", source)["tokens"]) >= 8)

# --- sampling ---
hot = ("--temperature", "1.5", "--top-k", "50", "--top-p", "0.95", "-n", "40", "--ignore-stop")
first, again, other = (gc.grun_json(artifact, "-p", "The", *hot, "--seed", seed)["tokens"] for seed in (1, 1, 2))
report.equal("the same seed samples the same", first, again)
report.check("another seed samples otherwise", first != other)
report.equal("top-k 1 is greedy", gc.grun_json(artifact, "-p", text["prompt"].removeprefix("<bos>"), "-n", 32, "--temperature", "1", "--top-k", "1", "--seed", "3", "--ignore-stop")["tokens"], text["greedy_ids"])
report.check("suppressed tokens are never sampled", not set(first + other) & set(range(17, 24)))
one, two = (gc.generate(artifact, text["ids"], 16, "--threads", n) for n in (1, 2))
report.equal("one thread and two", one, two)

# --- the ends of the context ---
small = gc.reference("gemma4-tiny", context=64)
full = gc.grun_json(small, "--tokens", gc.token_list(text["ids"]), "-n", 500, "--temperature", "0", "--ignore-stop")
report.equal("generating to the end of the context: reason", full["stop_reason"], "context")
report.check("generating to the end of the context: tokens", 64 - len(text["ids"]) <= len(full["tokens"]) <= 65 - len(text["ids"]), len(full["tokens"]))
report.equal("the same tokens as with a longer context", full["tokens"], gc.generate(artifact, text["ids"], len(full["tokens"])))
long = gc.grun(small, "--tokens", gc.token_list(goldens["prompts"][4]["ids"]), "-n", "4")
report.check("a prompt longer than the context is refused in one line", long.code == 1 and "context" in long.stderr and len(long.stderr.strip().splitlines()) == 1, f"{long.code}: {long.stderr.strip()[:160]}")
for tokens in ("4096", "-1", "2,,3", "abc", "99999999999999999999"):
    bad = gc.grun(artifact, "--tokens", tokens, "-n", "1")
    report.check(f"--tokens {tokens} is refused", bad.code in (1, 2) and bad.stderr.strip() != "", f"{bad.code}: {bad.stderr.strip()[:120]}")

# --- measuring ---
bench = gc.grun_json(artifact, "--bench", "--prompt-tokens", 64, "--decode-tokens", 8)
wanted = "memory threads prompt_tokens decode_tokens prefill_tokens_per_second decode_tokens_per_second first_token_seconds load_seconds peak_rss_bytes predicted".split()
report.equal("keys missing in the benchmark", [key for key in wanted if key not in bench], [])
report.finish()
