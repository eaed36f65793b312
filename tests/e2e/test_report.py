#!/usr/bin/env python3
"""The page of --report: well-formed, small, self-contained, escaped, the same bytes every time, and every figure in it equal to the JSON's."""
import html.parser
import json
import os
import re

import gc_e2e as gc

report = gc.Report()
folder = gc.scratch("report")
VOID = {"meta", "br", "hr", "img", "input", "link"}
HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)> & \'q\''


class Page(html.parser.HTMLParser):
    """Checks nesting, and collects elements, figures and text."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.faults, self.names, self.attributes, self.figures, self.text = [], [], set(), [], [], []
        self.feed(text)
        self.close()
        if self.open:
            self.faults.append(f"not closed: {self.open}")

    def handle_starttag(self, name, attributes):
        self.names.add(name)
        self.attributes += attributes
        keys = [key for key, _ in attributes]
        if len(keys) != len(set(keys)):
            self.faults.append(f"<{name}> repeats an attribute: {keys}")
        values = dict(attributes)
        if name == "data" and "data-key" in values:
            self.figures.append((values["data-key"], values["value"]))
        if name not in VOID:
            self.open.append(name)

    def handle_startendtag(self, name, attributes):
        self.names.add(name)
        self.attributes += attributes

    def handle_endtag(self, name):
        if not self.open or self.open.pop() != name:
            self.faults.append(f"</{name}> at {self.getpos()} closes something else")

    def handle_data(self, data):
        self.text.append(data)


def look_up(value, path):
    for part in path.split("."):
        value = value[int(part)] if isinstance(value, list) else value[part]
    return value


def check_page(title, path, plan, sections):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    page = Page(text)
    report.equal(f"{title}: faults of the page", page.faults[:5], [])
    report.check(f"{title}: below 500 KB", 10_000 < len(text.encode()) < 500_000, f"{len(text.encode())} bytes")
    report.equal(f"{title}: elements that load or run something", sorted(page.names & {"script", "img", "link", "iframe", "object", "embed", "base", "form"}), [])
    report.equal(f"{title}: attributes that load or run something", [a for a in page.attributes if a[0] in ("src", "href", "srcset", "xlink:href") or a[0].startswith("on")], [])
    report.equal(f"{title}: addresses in the style", re.findall(r"url\(|@import|https?:", text), [])
    wrong = [(key, value, look_up(plan, key)) for key, value in page.figures if float(value) != float(look_up(plan, key))]
    report.equal(f"{title}: figures that differ from the JSON's", wrong, [])
    keys = {key for key, _ in page.figures}
    wanted = {"peak_bytes", "budget_bytes", "predicted.kl", "predicted.kl_low", "predicted.kl_high", "optimality.gap", *(f"memory.{part}" for part in plan["memory"])}
    report.equal(f"{title}: figures that are missing", sorted(wanted - keys), [])
    for section in sections:
        report.check(f"{title}: section '{section}'", f'<section id="{section}">' in text)
    for mark in ("counted", "modelled"):
        report.check(f"{title}: something is marked {mark}", f'class="mark {mark}"' in text)
    return text, page


# --- a preset: no weights, no code ---
preset = ("plan", "--model", "gemma-4-E2B", "--target", "pixel9", "--budget", "1GB")
path = os.path.join(folder, "preset.html")
plan = json.loads(gc.must([gc.GCOMPILE, *preset, "--json", "--report", path]).stdout)
text, page = check_page("preset", path, plan, ["memory", "time", "formats", "front", "speed", "trust", "target", "reproduce", "tensors", "plan"])
report.check("preset: the KL is marked as assumed", 'class="mark assumed"' in text)
report.equal("preset: points of the front, at least 100", text.count('class="dot"') >= 100, True)
again = os.path.join(folder, "again.html")
gc.must([gc.GCOMPILE, *preset, "--quiet", "--report", again])
with open(again, encoding="utf-8") as file:
    report.check("preset: the same bytes a second time", file.read() == text)
command = next(part for part in page.text if part.startswith("gcompile plan")).split()
repeated = json.loads(gc.must([gc.GCOMPILE, *command[1:], "--json"]).stdout)
report.equal("preset: its command gives the plan again", {k: v for k, v in repeated.items() if k != "seconds"}, {k: v for k, v in plan.items() if k != "seconds"})
embedded = next(part for part in page.text if "proto-message: gcompile.plan" in part)
replay = os.path.join(folder, "embedded.textproto")
with open(replay, "w", encoding="utf-8") as file:
    file.write(embedded)
replayed = json.loads(gc.must([gc.GCOMPILE, "plan", "--model", "gemma-4-E2B", "--target", "pixel9", "--plan", replay, "--json"]).stdout)
report.equal("preset: the plan in it replays", (replayed["tensors"], replayed["memory"]), (plan["tensors"], plan["memory"]))

# --- two engines ---
path = os.path.join(folder, "engines.html")
plan = json.loads(gc.must([gc.GCOMPILE, "plan", "--model", "gemma-4-E2B", "--target", "galaxys26ultra", "--budget", "2GB", "--json", "--report", path]).stdout)
text, page = check_page("engines", path, plan, ["speed", "engines"])
report.check("engines: speeds of both and of the split", {"engines.list.0.decode_tokens_per_second", "engines.list.1.prefill_tokens_per_second", "engines.best_split.decode.tokens_per_second"} <= {key for key, _ in page.figures})

# --- the largest member ---
path = os.path.join(folder, "large.html")
plan = json.loads(gc.must([gc.GCOMPILE, "plan", "--model", "gemma-4-31B", "--target", "rtx4090", "--budget", "20GB", "--json", "--report", path]).stdout)
check_page("31B", path, plan, ["memory", "formats", "front", "plan"])

# --- compiled: exact sizes and the arena ---
path = os.path.join(folder, "tiny.html")
plan = json.loads(gc.must([gc.GCOMPILE, "--model", gc.TINY, "--target", "host", "--budget", "12MB", "--context", "1024", "-o", os.path.join(folder, "tiny.gpk"), "--json", "--report", path]).stdout)
text, _ = check_page("tiny", path, plan, ["memory", "time", "formats", "front"])
report.check("tiny: the arena's lifetimes are drawn", "Inside the arena" in text and text.count("what is alive in the arena") == 3)

# --- hostile names, in a plan that somebody sent; and the report of a plan without its model ---
plan_file = os.path.join(folder, "sent.textproto")
gc.must([gc.GCOMPILE, *preset, "--quiet", "-o", plan_file])
with open(plan_file, encoding="utf-8") as file:
    sent = file.read()
escaped = HOSTILE.replace("\\", "\\\\").replace('"', '\\"')
for word in ("gemma-4-E2B", "layers.3.mlp.down_proj.weight", "per_layer_input_gate", "storage rows", "memory bandwidth", plan["solver"]):
    sent = sent.replace(f'"{word}"', f'"{escaped} {word}"')
with open(plan_file, "w", encoding="utf-8") as file:
    file.write(sent)
path = os.path.join(folder, "sent.html")
plan = json.loads(gc.must([gc.GCOMPILE, "inspect", plan_file, "--json", "--report", path]).stdout)
report.check("hostile plan: is read", plan["model"] == f"{HOSTILE} gemma-4-E2B", plan["model"])
text, page = check_page("hostile plan", path, plan, ["memory", "front", "target"])
report.check("hostile plan: its names are text", "".join(page.text).count("alert(1)") >= 4 and "<script" not in text and "<img" not in text)

# --- what cannot be written ---
for flags, code, word in ((["--report", os.path.join(folder, "no", "such", "x.html")], 1, "no folder"), (["--report", "-"], 2, "--report"), (["--report="], 2, "--report")):
    result = gc.gcompile(*preset, *flags)
    report.check(f"{flags[0]} {flags[-1][-12:]}: one line, exit code {code}", result.code == code and word in result.stderr and len(result.stderr.strip().splitlines()) == 1, result.stderr.strip()[:120])
report.finish()
