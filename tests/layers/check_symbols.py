#!/usr/bin/env python3
"""Layer test: what ships needs libc and libm alone.

check_symbols.py [--static | --freestanding] FILE…: `readelf -d` of programs must name no other library, and no file (program or archive) may leave symbols of LLVM,
protobuf, TBB, the C++ library, its allocation or its exceptions undefined. --static: the programs may name no library at all. --freestanding: archives may leave
nothing undefined but the four memory functions that every C compiler asks for.
"""
import re
import subprocess
import sys

ALLOWED_LIBRARIES = re.compile(r"^(libc\.so\.6|libm\.so\.6|ld-linux-.*\.so\.\d)$")
BANNED_SYMBOLS = re.compile(
    r"^(_ZN4llvm|_ZNK4llvm|_ZN4mlir|_ZNK4mlir|_ZN6google8protobuf|_ZN3tbb|_ZN4oneapi|_ZSt|_ZNSt|_ZNKSt|_ZNSs|_ZTVNSt|_ZTVN10__cxxabiv1|_Znw|_Zna|_Zdl|_Zda"
    r"|__cxa_(throw|begin_catch|end_catch|rethrow|allocate_exception|guard_)|__gxx_personality|_Unwind_|LLVM[A-Z])")


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


MEMORY_FUNCTIONS = {"memcpy", "memmove", "memset", "memcmp"}


def check(path, static, freestanding):
    faults = []
    with open(path, "rb") as file:
        archive = file.read(8) == b"!<arch>\n"
    if not archive:
        libraries = re.findall(r"\(NEEDED\)\s+Shared library: \[([^\]]+)\]", run("readelf", "-dW", path))
        for library in libraries:
            if static or not ALLOWED_LIBRARIES.match(library):
                faults.append(f"{path}: needs {library}")
        if not static and not libraries:
            faults.append(f"{path}: names no library; is it the dynamic program?")
    flags = ["-u"] if archive or static else ["-D", "-u"]
    undefined = [line.split()[-1].split("@")[0] for line in run("nm", *flags, path).splitlines() if " U " in line or " w " in line]
    if archive:  # a name that another member defines is no demand on the outside
        defined = {line.split()[-1] for line in run("nm", "--defined-only", path).splitlines() if len(line.split()) == 3}
        undefined = [name for name in undefined if name not in defined]
    if not undefined and not static:
        faults.append(f"{path}: has no undefined symbol, so nothing was checked")
    if freestanding:
        faults += [f"{path}: needs {name}, which only a C library has" for name in sorted(set(undefined) - MEMORY_FUNCTIONS)]
    for name in sorted(set(undefined)):
        if BANNED_SYMBOLS.match(name):
            faults.append(f"{path}: needs symbol {name}")
    return faults


if __name__ == "__main__":
    files = [a for a in sys.argv[1:] if not a.startswith("--")]
    if not files:
        sys.exit(f"usage: {sys.argv[0]} [--static] FILE…")
    faults = [fault for path in files for fault in check(path, "--static" in sys.argv, "--freestanding" in sys.argv)]
    print("\n".join(faults) if faults else f"{len(files)} files need libc and libm alone")
    sys.exit(1 if faults else 0)
