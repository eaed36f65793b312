#!/usr/bin/env python3
"""What gcompile answers about a plan: the table in pipes and on terminals, why, the front, edited plans, and flags that make no sense."""
import json
import os
import pty
import re

import gc_e2e as gc

report = gc.Report()
folder = gc.scratch("answers")
PRESET = ("--model", "gemma-4-E2B", "--target", "pixel9")
GIGABYTE = (*PRESET, "--budget", "1GB")
plan_file = os.path.join(folder, "plan.textproto")
gc.must([gc.GCOMPILE, "plan", *GIGABYTE, "--quiet", "-o", plan_file])
with open(plan_file, encoding="utf-8") as file:
    PLAN = file.read()


def as_json(*arguments):
    return json.loads(gc.must([gc.GCOMPILE, *map(str, arguments), "--json"]).stdout)


def peak_of(budget, *arguments):
    return as_json("plan", *PRESET, "--budget", budget, *arguments)


# --- the table ---
def on_terminal(**variables):
    """Standard output of a plan on a terminal."""
    parent, child = pty.openpty()
    environment = {key: value for key, value in os.environ.items() if key not in ("LC_ALL", "LC_CTYPE", "LANG", "NO_COLOR", "TERM")}
    process = os.posix_spawn(gc.GCOMPILE, [gc.GCOMPILE, "plan", *GIGABYTE, "--quiet"][:-1], {**environment, **variables},
                             file_actions=[(os.POSIX_SPAWN_DUP2, child, 1), (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0)])
    os.close(child)
    text = b""
    while True:
        try:
            part = os.read(parent, 65536)
        except OSError:
            break
        if not part:
            break
        text += part
    os.close(parent)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), text.decode()


for model, target in (("gemma-4-E2B", "pixel9"), ("gemma-4-31B", "rtx4090"), ("gemma-4-12B", "h200")):
    table = gc.must([gc.GCOMPILE, "plan", "--model", model, "--target", target]).stdout
    lines = table.splitlines()
    report.check(f"{model}: the table is plain ASCII of at most 100 columns", table.isascii() and "\x1b" not in table and max(map(len, lines)) <= 100, max(map(len, lines)))
    for word in ("weights", "kv_cache", "peak", "formats by layer", "bound by", "KL", "gap"):
        report.check(f"{model}: the table names '{word}'", word in table)
code, text = on_terminal(TERM="xterm", LANG="C.UTF-8")
report.check("a terminal with UTF-8 gets blocks and colour", code == 0 and "\u2588" in text and "\x1b[" in text, code)
code, text = on_terminal(TERM="xterm", LANG="C.UTF-8", NO_COLOR="1")
report.check("NO_COLOR is kept to", code == 0 and "\u2588" in text and "\x1b" not in text, code)
code, text = on_terminal(TERM="xterm", LANG="C")
report.check("a terminal without UTF-8 gets ASCII", code == 0 and text.isascii() and "###" in text, code)
code, text = on_terminal(TERM="dumb", LANG="C.UTF-8")
report.check("a dumb terminal gets neither", code == 0 and text.isascii() and "\x1b" not in text, code)

# --- why ---
plan = as_json("inspect", plan_file)
for name in ("layers.20.mlp.down_proj.weight", "embed_tokens.weight", "embed_tokens_per_layer.weight", "kv.local", "kv.global"):
    answer = as_json("why", plan_file, name)
    options = {option["format"]: option for option in answer["options"]}
    now = options[answer["format"]]
    report.check(f"why {name}: takes what the plan says and has a price", answer["bytes"] == now["bytes"] and answer["kl"] == now["kl"] and answer["kl_per_mib"] > 0, answer["format"])
    against = options[answer["kl_per_mib_against"]]
    price = (against["kl"] - now["kl"]) / (now["bytes"] - against["bytes"]) * 2**20
    report.check(f"why {name}: price by hand", abs(answer["kl_per_mib"] - price) <= 1e-9 * abs(price), (answer["kl_per_mib"], price))
    report.check(f"why {name}: the runner-up is another option, and is not better", answer["runner_up"]["format"] != answer["format"] and answer["runner_up"]["objective_increase"] > -1e-9, answer["runner_up"]["format"])
    # The budgets that it names are true of planning itself.
    for direction in ("with_less", "with_more"):
        flip = answer["flips"][direction]
        if not flip:
            continue
        other = peak_of(flip["budget_bytes"])
        taken = {t["name"]: t["format"] for t in other["tensors"]} | {f"kv.{c['layer_type']}": c["k"] for c in other["kv_cache"]}
        if other["prefill_chunk"] == plan["prefill_chunk"] and other["tables"]["cache_rows"] == plan["tables"]["cache_rows"]:
            report.equal(f"why {name}: at {flip['budget_bytes']} bytes planning takes", taken[name], flip["format"].split(":")[-1])
report.equal("why local is why kv.local", as_json("why", plan_file, "local"), as_json("why", plan_file, "kv.local"))
report.equal("why norm.weight: nothing to choose", as_json("why", plan_file, "norm.weight")["fixed"], True)
artifact = gc.compiled_as("w4g32", "kv8")
answer = as_json("why", artifact, "layers.3.mlp.down_proj.weight")
report.equal("why, of an artifact whose formats were fixed", (answer["format"], answer["fixed"], answer["flips_at_budget_bytes"]), ("w4g32", True, None))

# --- the front ---
front = as_json("pareto", *GIGABYTE)
points = front["points"]
report.check("pareto: at least 200 points for E2B", len(points) >= 200, f"{len(points)} in {front['seconds']:.2f} s")
report.check("pareto: rising bytes", all(a["peak_bytes"] < b["peak_bytes"] for a, b in zip(points, points[1:])))
report.check("pareto: no point is worse than a smaller one in everything",
             all(b["kl"] < min(p["kl"] for p in points[:i + 1]) or b["decode_tokens_per_second"] > max(p["decode_tokens_per_second"] for p in points[:i + 1]) for i, b in enumerate(points[1:])))
report.check("pareto: its gap is at most 0.1 %", max(point["gap"] for point in points) <= 1e-3, max(point["gap"] for point in points))
for point in (points[0], points[len(points) // 2], points[-1]):
    planned = peak_of(point["peak_bytes"])
    report.check(f"pareto: {point['peak_bytes']} bytes buy what planning says", abs(planned["predicted"]["kl"] - point["kl"]) <= 0.01 * point["kl"] + 1e-9, (planned["predicted"]["kl"], point["kl"]))
    ratio = planned["predicted"]["decode_tokens_per_second"] / point["decode_tokens_per_second"]
    report.check("pareto: its speed is the plan's", 0.98 < ratio < 1.02, ratio)
smallest = json.loads(gc.gcompile("plan", *PRESET, "--budget", "0", "--json").stdout)["smallest_budget_bytes"]
report.check("pareto: starts where anything fits", smallest <= points[0]["peak_bytes"] <= smallest * 1.05, (smallest, points[0]["peak_bytes"]))
report.check("pareto: this budget's plan is on it", any(point["peak_bytes"] == plan["peak_bytes"] for point in points), plan["peak_bytes"])
few = as_json("pareto", *PRESET, "--points", 8)["points"]
report.check("pareto --points 8: few", 4 <= len(few) <= 16, len(few))
path = os.path.join(folder, "front.txt")
gc.must([gc.GCOMPILE, "pareto", *GIGABYTE, "-o", path])
with open(path, encoding="utf-8") as file:
    text = file.read()
report.check("pareto -o: a plot and a table of at most 100 columns", "*" in text and ": budget 1.00 GB" in text and text.isascii() and max(map(len, text.splitlines())) <= 100)
report.check("pareto on a target that predicts no speed, or one that does: no crash", all(gc.gcompile("pareto", "--model", "gemma-4-12B", "--target", target, "--points", "4").code == 0 for target in ("h200", "raspberrypi5")))


# --- what cannot be ---
def refused(title, code, words, *arguments):
    result = gc.gcompile(*arguments)
    lines = result.stderr.strip().splitlines()
    words = [words] if isinstance(words, str) else words
    report.check(f"{title}: exit code {code}, one line", result.code == code and len(lines) == 1 and lines[0].startswith("gcompile: error:") and all(word in lines[0] for word in words),
                 f"{result.code}: {result.stderr.strip()[:200]}")


for budget, word in (("-3", "not negative"), ("1e30", "no unit"), ("1QB", "'QB' is no unit"), ("", "start with a number"), ("nan", "start with a number"), ("1.2.3GB", "start with a number"),
                     ("99999999999GB", "too large"), ("+5MB", "start with a number"), ("0x10", "no unit")):
    refused(f"--budget '{budget}'", 2, ["--budget", word], "plan", *PRESET, "--budget", budget)
for budget in ("0", "1", "500MB"):
    refused(f"--budget {budget}", 3, ["no plan fits", "the smallest needs", "try "], "plan", *PRESET, "--budget", budget)
refused("an unknown target", 2, "did you mean 'pixel9'", "plan", "--model", "gemma-4-E2B", "--target", "pixel99")
refused("an unknown size", 2, "gemma-4-E2B", "plan", "--model", "gemma-4-E3B", "--target", "pixel9")
refused("two budgets", 2, ["--budget", "given twice", "1GB", "2GB"], "plan", *GIGABYTE, "--budget", "2GB")
refused("two tables", 2, "given twice", "plan", *PRESET, "--tables", "memory", "--tables", "storage")
refused("one cache, two formats", 2, "twice", "plan", *PRESET, "--kv-format", "local=f16,local=kv8")
refused("plan --emit asm", 2, "stops before code", "plan", *PRESET, "--emit", "asm")
refused("--emit asm --report", 2, "--report", *PRESET, "--emit", "asm", "--report", os.path.join(folder, "x.html"))
refused("-o and --report are one file", 2, "same file", "plan", *PRESET, "-o", plan_file, "--report", plan_file)
refused("inspect --budget", 2, "takes no --budget", "inspect", plan_file, "--budget", "1GB")
refused("why --kv-format", 2, "takes no --kv-format", "why", plan_file, "kv.local", "--kv-format", "kv8")
refused("plan --points", 2, "pareto", "plan", *PRESET, "--points", "4")
refused("pareto --plan", 2, "--plan", "pareto", *PRESET, "--plan", plan_file)
refused("pareto --report", 2, "--report", "pareto", *PRESET, "--report", os.path.join(folder, "x.html"))
refused("pareto --points 1", 2, "--points 1", "pareto", *PRESET, "--points", "1")
refused("pareto --min-decode 1e9", 3, "--min-decode", "pareto", *PRESET, "--min-decode", "1e9", "--points", "4")
refused("why of no tensor", 1, "did you mean 'layers.3.mlp.down_proj.weight'", "why", plan_file, "layers.3.mlp.down_prj.weight")
refused("why of no file", 1, "cannot be read", "why", os.path.join(folder, "none"), "kv.local")

# --- edited plans ---
def edited(title, code, words, change, *flags):
    path = os.path.join(folder, "edited.textproto")
    with open(path, "w", encoding="utf-8") as file:
        file.write(change(PLAN))
    if code == 0:
        result = gc.gcompile("plan", *PRESET, "--plan", path, "--json", *flags)
        report.check(f"edited plan: {title}", result.code == 0, result.stderr.strip()[:200])
        return json.loads(result.stdout or "{}")
    refused(f"edited plan: {title}", code, words, "plan", *PRESET, "--plan", path, *flags)
    return None


def tensor(name, before, after):
    """A change inside one tensor of the file."""
    def change(text):
        at = text.index(f'name: "{name}"')
        end = text.find("\ntensors {", at)
        part = text[at:end]
        assert re.search(before, part), (name, before)
        return text[:at] + re.sub(before, after, part, count=1) + text[end:]
    return change


def replace(before, after):
    def change(text):
        assert before in text, before
        return text.replace(before, after, 1)
    return change


DOWN = "layers.20.mlp.down_proj.weight"
same = edited("untouched", 0, "", lambda text: text)
report.equal("an untouched plan replays to itself", (same["memory"], same["tensors"]), (plan["memory"], plan["tensors"]))
smaller = edited("a tensor in fewer bits", 0, "", tensor(DOWN, r'format: "w4"', 'format: "w2"'))
report.check("and is planned so", next(t for t in smaller["tensors"] if t["name"] == DOWN)["format"] == "w2" and smaller["peak_bytes"] < plan["peak_bytes"] and smaller["predicted"]["kl"] > plan["predicted"]["kl"])
edited("a tensor in more bits than fit", 1, ["needs", "the budget is 1000000000"], tensor(DOWN, r'format: "w4"', 'format: "f32"'))
report.check("unless the budget grows", bool(edited("more bits and more budget", 0, "", tensor(DOWN, r'format: "w4"', 'format: "f32"'), "--budget", "1.2GB")))
edited("a smaller budget", 1, "the budget is 900000000", replace("budget_bytes: 1000000000", "budget_bytes: 900000000"))
edited("a format that there is not", 1, ["w3", "no weight format"], tensor(DOWN, r'format: "w4"', 'format: "w3"'))
edited("a cache format that there is not", 1, "kv5", replace('k: "kv8"', 'k: "kv5"'))
edited("keys and values that must be alike", 1, ["k is", "v "], replace('v: "kv8"', 'v: "f16"'))
edited("a table format that no table takes", 1, "embed_tokens_per_layer.weight", tensor("embed_tokens_per_layer.weight", r'format: "w[248]"\n', 'format: "w4g32"\n'))
edited("a vector in few bits", 1, "vectors stay f32", tensor("norm.weight", r'format: "f32"', 'format: "w4"'))
edited("a table moved to memory", 1, "the budget is", replace('tables: "storage"', 'tables: "memory"'))
edited("another target", 1, "for target 'rtx4090', not 'pixel9'", replace('target: "pixel9"', 'target: "rtx4090"'))
edited("a newer version", 1, "version 99 is newer", replace("version: 1", "version: 99"))
edited("no version", 1, "no version", replace("version: 1\n", ""))
edited("an unknown field", 1, "has no field", replace("version: 1\n", "version: 1\nspeed: 9\n"))
edited("a tensor too many", 1, "which the model has not", lambda text: text + 'tensors { name: "extra" role: "q" n: 1 k: 1 format: "w8" placement: "memory" }\n')
edited("a tensor twice", 1, "named twice", lambda text: text + f'tensors {{ name: "{DOWN}" role: "down" n: 1 k: 1 format: "w8" placement: "memory" }}\n')
edited("a tensor of another name", 1, DOWN, replace(f'"{DOWN}"', '"renamed"'))
edited("a context beyond the model", 1, "positions", replace("context: 4096", "context: 999999"))
edited("half of the file", 1, "plan", lambda text: text[:len(text) // 2])
edited("--objective says otherwise", 1, "--objective", lambda text: text, "--objective", "speed")
edited("--context says otherwise", 1, "--context", lambda text: text, "--context", "2048")
edited("--weight-format says otherwise", 1, "--weight-format", lambda text: text, "--weight-format", "w4")
edited("--min-decode that it does not reach", 1, "per token", lambda text: text, "--min-decode", "1000")
refused("a plan of another model", 1, ["for model 'gemma-4-E2B', not 'gemma-4-E4B'"], "plan", "--model", "gemma-4-E4B", "--target", "pixel9", "--plan", plan_file)
refused("a plan that is none", 1, "plan", "plan", *PRESET, "--plan", os.path.join(gc.SOURCE, "README.md"))
with open(os.path.join(folder, "edited.textproto"), "w", encoding="utf-8") as file:
    file.write(tensor(DOWN, r'format: "w4"', 'format: "w2"')(PLAN))
refused("why of an edited plan that was not replayed", 1, "replay it with --plan", "why", os.path.join(folder, "edited.textproto"), "kv.local")
replayed = os.path.join(folder, "replayed.textproto")
gc.must([gc.GCOMPILE, "plan", *PRESET, "--plan", os.path.join(folder, "edited.textproto"), "--quiet", "-o", replayed])
answer = as_json("why", replayed, DOWN)
report.check("why of an edited plan that was replayed: says what would be best", answer["format"] == "w2" and answer["best_format"] != "w2", answer["best_format"])
report.finish()
