#!/usr/bin/env python3
"""Tree test: rules that hold for every tracked file.

No paths of one machine, no unfinished-work marks, no files over the length limit, no big or generated files outside tests/data, and, with
--format, code that clang-format-22 leaves as it is (skipped with a message where that program is missing). Outside a git checkout the files of the folder are taken.
"""
import os
import re
import shutil
import subprocess
import sys

# Written in pieces so that this file does not contain what it looks for.
MACHINE_PATHS = re.compile(r"(?<![\w.~-])/(" + "|".join(["wo" + "rk/", "ro" + "ot/", "ho" + r"me/\w", "Us" + r"ers/\w"]) + ")")
MARKS = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")
CODE = (".h", ".hpp", ".c", ".cpp", ".cc")
MAX_LINES = 900
MAX_BYTES = 400_000


def tracked(root):
    git = subprocess.run(["git", "-C", root, "ls-files", "-z"], capture_output=True)
    if git.returncode == 0 and git.stdout:
        return [name for name in git.stdout.decode().split("\0") if name and os.path.isfile(os.path.join(root, name))]
    names = []
    for folder, folders, files in os.walk(root):
        folders[:] = [f for f in folders if f not in (".git", "build")]
        names += [os.path.relpath(os.path.join(folder, f), root) for f in files]
    return sorted(names)


def check(root):
    faults = []
    names = tracked(root)
    for name in names:
        path = os.path.join(root, name)
        if name.startswith("tests/data/") or "/corpus/" in name:
            continue
        if os.path.getsize(path) > MAX_BYTES:
            faults.append(f"{name}: {os.path.getsize(path)} bytes; files over {MAX_BYTES} belong in tests/data")
            continue
        with open(path, "rb") as file:
            data = file.read()
        if b"\0" in data:
            continue
        lines = data.decode("utf-8", errors="replace").splitlines()
        for number, line in enumerate(lines, 1):
            if MACHINE_PATHS.search(line):
                faults.append(f"{name}:{number}: holds a path of one machine: {line.strip()[:100]}")
            if name != "LICENSE" and MARKS.search(line):
                faults.append(f"{name}:{number}: unfinished work belongs in an issue: {line.strip()[:100]}")
        if name.endswith(CODE) and len(lines) > MAX_LINES:
            faults.append(f"{name}: {len(lines)} lines, the limit is {MAX_LINES}")
    if len(names) < 20:
        faults.append(f"{root}: only {len(names)} files found, so little was checked")
    return faults, names


def check_format(root, names):
    program = shutil.which("clang-format-22")
    if not program:
        print("skipped: clang-format-22 is not installed, so formatting was not checked")
        return []
    code = [n for n in names if n.endswith(CODE)]
    faults = []
    for start in range(0, len(code), 50):
        result = subprocess.run([program, "--dry-run", "-Werror", "--ferror-limit=1"] + code[start:start + 50], cwd=root, capture_output=True, text=True)
        faults += [line.split(": error:")[0] + ": clang-format-22 -i would change it" for line in result.stderr.splitlines() if ": error:" in line]
    return faults


if __name__ == "__main__":
    arguments = [a for a in sys.argv[1:] if a != "--format"]
    root = os.path.abspath(arguments[0] if arguments else os.path.join(os.path.dirname(__file__), "..", ".."))
    faults, names = check(root)
    if "--format" in sys.argv:
        faults = check_format(root, names)
    print("\n".join(faults) if faults else f"{len(names)} files follow the rules of the tree")
    sys.exit(1 if faults else 0)
