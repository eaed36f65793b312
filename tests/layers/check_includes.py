#!/usr/bin/env python3
"""Layer test: every #include line names something that its folder may use.

The table below is the rule (docs/architecture.md explains it); the build enforces the same for link dependencies (cmake/Layers.cmake).
Angle-bracket standard headers are listed where they are limited; quoted includes are judged by their first folders. Prints one line a fault.
"""
import os
import re
import sys

INCLUDE = re.compile(r'^\s*#\s*include\s*(<[^>]+>|"[^"]+")')
SOURCES = (".h", ".hpp", ".c", ".cpp", ".cc", ".td", ".inc")

# Headers that exist without an operating system or allocation.
FREESTANDING = {"stddef.h", "stdint.h", "stdbool.h", "stdarg.h", "limits.h", "float.h", "stdalign.h", "string.h", "math.h"}
FREESTANDING |= {"cstddef", "cstdint", "cfloat", "climits", "cstring", "cmath", "limits", "type_traits", "bit", "concepts", "initializer_list"}
# The standard library without files, processes and the terminal.
PURE_BANNED = {"fstream", "filesystem", "iostream", "cstdio", "stdio.h", "unistd.h", "fcntl.h", "thread", "sys/mman.h", "sys/stat.h"}
NOT_FOR_RUNTIME = ("llvm", "mlir", "clang", "lld", "google", "tbb", "oneapi", "boost", "ir", "passes", "targets", "compiler", "profiles")
RUNTIME_CONTAINERS = {"vector", "string", "map", "unordered_map", "set", "unordered_set", "list", "deque", "functional", "memory", "thread", "mutex",
                      "iostream", "fstream", "filesystem", "sstream", "exception", "stdexcept", "regex", "future", "condition_variable", "string_view"}


class Rule:
    """What one folder may include. `roots`: first path parts of project or library headers; None: anything but `banned_roots`."""

    def __init__(self, folder, roots=None, banned_roots=(), system=None, banned_system=(), why=""):
        self.folder, self.roots, self.banned_roots = folder, roots, banned_roots
        self.system, self.banned_system, self.why = system, set(banned_system), why


# The first rule whose folder contains the file applies: most specific first.
RULES = [
    Rule("runtime/abi", roots=("runtime/abi",), system={"stddef.h", "stdint.h"}, why="the contract is plain C"),
    Rule("runtime/include", roots=("runtime/include", "runtime/abi", "gcompile"), system=FREESTANDING, why="the public interface is plain C"),
    Rule("runtime/core", roots=("runtime/core", "runtime/abi", "runtime/include"), system=FREESTANDING,
         why="runtime/core runs without an operating system and never allocates"),
    Rule("runtime", roots=("runtime",), banned_system=RUNTIME_CONTAINERS, why="the runtime depends on libc and libm alone"),
    Rule("ir/Format", roots=("ir/Format",), why="format facts are standard library only"),
    Rule("ir", roots=("ir", "mlir", "llvm"), banned_system=PURE_BANNED, why="the IR knows no passes, files, protobuf or flags"),
    Rule("passes/Cost", roots=("passes/Cost", "passes/Planning", "ir/Format", "boost"), banned_system=PURE_BANNED, why="cost models are pure"),
    Rule("passes/Planning", roots=("passes/Cost", "passes/Planning", "ir/Format", "boost"), banned_system=PURE_BANNED, why="planning is pure"),
    Rule("passes", roots=("passes", "ir", "runtime/abi", "mlir", "llvm", "boost"), banned_system=PURE_BANNED, why="passes see no files, flags or protobuf"),
    Rule("targets", roots=("targets", "passes", "ir", "runtime/abi", "mlir", "llvm", "lld"), why="targets see no protobuf and no checkpoint readers"),
    Rule("compiler/Measure", roots=("compiler", "targets", "passes", "ir", "runtime/abi", "runtime/include", "mlir", "llvm", "google", "tbb", "oneapi", "boost"),
         why="the compile side runs a model only through the runtime's public interface"),
    Rule("compiler", roots=("compiler", "targets", "passes", "ir", "runtime/abi", "mlir", "llvm", "google", "tbb", "oneapi", "boost"),
         why="of the runtime the compiler knows runtime/abi alone"),
    Rule("profiles", roots=(), system=set(), why="profiles are data"),
]
# passes: the command line and protobuf are no business of theirs, wherever the header lives.
BANNED_EVERYWHERE_BELOW = {
    "passes": ("llvm/Support/CommandLine.h", "llvm/Support/FileSystem.h", "llvm/Support/MemoryBuffer.h"),
    "ir": ("llvm/Support/CommandLine.h", "llvm/Support/FileSystem.h", "mlir/Pass"),
    "targets": ("llvm/Support/CommandLine.h",),
}


def beneath(path, folder):
    return path == folder or path.startswith(folder + "/")


def judge(relative, name, quoted):
    """Returns why `name` may not be included from `relative`, or None."""
    rule = next((r for r in RULES if beneath(relative, r.folder)), None)
    if rule is None:
        return None
    if quoted and "/" not in name:
        if name.endswith((".inc", ".pb.h")):
            return None
        return 'include paths start at the root of the repository'
    for folder, headers in BANNED_EVERYWHERE_BELOW.items():
        if beneath(relative, folder) and any(name == h or beneath(name, h) for h in headers):
            return f"{folder} may not use it"
    root = name.split("/")[0]
    known = root in NOT_FOR_RUNTIME or root == "runtime"
    if quoted or known:
        if rule.roots is not None and not any(beneath(name, r) for r in rule.roots):
            return rule.why
        return None
    if rule.system is not None and name not in rule.system:
        return rule.why
    if name in rule.banned_system:
        return rule.why
    return None


def sources(root):
    for top in sorted({r.folder.split("/")[0] for r in RULES}):
        for folder, folders, files in os.walk(os.path.join(root, top)):
            folders.sort()
            for file in sorted(files):
                if file.endswith(SOURCES):
                    yield os.path.relpath(os.path.join(folder, file), root)


def check(root):
    faults = []
    count = 0
    for relative in sources(root):
        if relative.startswith("profiles/") and not relative.endswith(".td"):
            faults.append(f"{relative}: profiles hold data, no code")
        with open(os.path.join(root, relative), encoding="utf-8", errors="replace") as file:
            lines = file.read().splitlines()
        for number, line in enumerate(lines, 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            count += 1
            token = match.group(1)
            why = judge(relative, token[1:-1], token[0] == '"')
            if why:
                faults.append(f"{relative}:{number}: includes {token}: {why}")
    return faults, count


def self_test():
    """The rules reject what they are for."""
    bad = [("runtime/core/A.cpp", "vector", False), ("runtime/host/A.cpp", "llvm/ADT/ArrayRef.h", True), ("ir/Format/F.cpp", "llvm/ADT/ArrayRef.h", True),
           ("ir/Gemma/G.cpp", "passes/Passes.h", True), ("passes/Cost/C.cpp", "mlir/IR/Operation.h", True), ("passes/Transforms/T.cpp", "fstream", False),
           ("passes/Transforms/T.cpp", "llvm/Support/CommandLine.h", True), ("targets/X86/X.cpp", "compiler/Import/Checkpoint.h", True),
           ("targets/X86/X.cpp", "google/protobuf/message.h", False), ("compiler/Driver/D.cpp", "runtime/core/Session.h", True),
           ("compiler/Driver/D.cpp", "D.h", True), ("runtime/abi/a.h", "string.h", False)]
    good = [("runtime/core/A.cpp", "runtime/abi/gc_module.h", True), ("passes/Cost/C.cpp", "ir/Format/Format.h", True), ("ir/Gemma/G.cpp", "GemmaOps.h.inc", True),
            ("compiler/Measure/M.cpp", "runtime/include/gcompile/runtime.h", True), ("passes/Planning/P.cpp", "boost/graph/adjacency_list.hpp", False),
            ("compiler/Artifact/A.cpp", "runtime/abi/gc_artifact.h", True), ("runtime/host/M.cpp", "sys/mman.h", False)]
    return [f"self-test: {case} was accepted" for case in bad if not judge(*case)] + [f"self-test: {case} was rejected" for case in good if judge(*case)]


if __name__ == "__main__":
    root = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), "..", ".."))
    faults, count = check(root)
    faults += self_test()
    if count == 0:
        faults.append(f"{root}: no #include line found, so nothing was checked")
    print("\n".join(faults) if faults else f"{count} includes follow the layers")
    sys.exit(1 if faults else 0)
