"""What the end-to-end tests share: running the programs, compiled artifacts kept between tests, a small safetensors reader and writer, a report.

Standard library only. The environment (set by ctest) names the folders; by hand the release build is taken. A script ends with `report.finish()`,
which exits 0 when every check held, 1 otherwise; `skip(why)` exits 77, which ctest shows as skipped.
"""
import array
import collections
import fcntl
import hashlib
import json
import math
import os
import shutil
import struct
import subprocess
import sys
import time

SOURCE = os.environ.get("GC_SOURCE_DIR") or os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
BUILD = os.environ.get("GC_BINARY_DIR") or os.path.join(SOURCE, "build", "release")
PROGRAMS = os.environ.get("GC_PROGRAMS_DIR") or os.path.join(BUILD, "bin")
GCOMPILE = os.path.join(PROGRAMS, "gcompile")
GRUN = os.path.join(PROGRAMS, "grun")
GRUN_AARCH64 = os.path.join(BUILD, "runtime-aarch64", "bin", "grun")
QEMU_AARCH64 = os.environ.get("GC_QEMU_AARCH64") or shutil.which("qemu-aarch64") or ""
DATA = os.path.join(SOURCE, "tests", "data")
TINY = os.path.join(DATA, "gemma4-tiny")
WORK = os.path.join(BUILD, "e2e")

Result = collections.namedtuple("Result", "code stdout stderr seconds")


def run(command, stdin=None, timeout=600, **options):
    """Runs a program; a signal is a negative code. Output is text with undecodable bytes replaced."""
    start = time.monotonic()
    done = subprocess.run(command, input=stdin, stdin=None if stdin is not None else subprocess.DEVNULL, capture_output=True, timeout=timeout, **options)
    return Result(done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"), time.monotonic() - start)


def must(command, **options):
    """As run; anything but exit code 0 ends the test."""
    result = run(command, **options)
    if result.code != 0:
        sys.exit(f"FAILED: exit code {result.code} from: {' '.join(command)}\n{result.stdout[-2000:]}{result.stderr[-4000:]}")
    return result


def gcompile(*arguments, **options):
    return run([GCOMPILE, *map(str, arguments)], **options)


def grun_command(artifact, *arguments, emulator=()):
    return [*emulator, GRUN_AARCH64 if emulator else GRUN, artifact, *map(str, arguments)]


def grun(artifact, *arguments, emulator=(), **options):
    return run(grun_command(artifact, *arguments, emulator=emulator), **options)


def grun_json(artifact, *arguments, emulator=(), **options):
    result = must(grun_command(artifact, *arguments, "--json", emulator=emulator), **options)
    try:
        return json.loads(result.stdout)
    except ValueError as error:
        sys.exit(f"FAILED: no JSON from: {' '.join(map(str, arguments))[:300]}: {error}\n{result.stdout[:500]}")


def token_list(tokens):
    return ",".join(map(str, tokens))


def generate(artifact, tokens, count, *arguments, **options):
    """Greedy continuation of token ids, stop tokens ignored."""
    return grun_json(artifact, "--tokens", token_list(tokens), "-n", count, "--temperature", "0", "--ignore-stop", *arguments, **options)["tokens"]


def logits(artifact, tokens, **options):
    return grun_json(artifact, "--logits", "--tokens", token_list(tokens), **options)["logits"]


# --- artifacts kept between tests -------------------------------------------------------------------------------------------------

def _identity():
    stat = os.stat(GCOMPILE)
    return hashlib.sha256(f"{stat.st_mtime_ns} {stat.st_size}".encode()).hexdigest()[:16]


def scratch(name):
    """An empty folder of one test."""
    folder = os.path.join(WORK, "scratch", name)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    return folder


def compiled(model, *options):
    """Path of the artifact of a model folder below tests/data (or an absolute one); compiled once for one gcompile and set of options."""
    path = model if os.path.isabs(model) else os.path.join(DATA, model)
    kept = os.path.join(WORK, "artifacts")
    os.makedirs(kept, exist_ok=True)
    identity = _identity()
    with open(os.path.join(kept, "lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.isdir(os.path.join(kept, identity)):
            for old in os.listdir(kept):
                shutil.rmtree(os.path.join(kept, old), ignore_errors=True)
            os.makedirs(os.path.join(kept, identity))
    key = hashlib.sha256(json.dumps([path, options]).encode()).hexdigest()[:16]
    output = os.path.join(kept, identity, f"{os.path.basename(path)}-{key}.gpk")
    with open(output + ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(output):
            must([GCOMPILE, "--model", path, *map(str, options), "--quiet", "-o", output])
    return output


def compiled_as(weights, cache, model="gemma4-tiny", target="host", context=2048):
    """The artifact with one weight format and one cache format; the same for every test that asks."""
    return compiled(model, "--target", target, "--weight-format", weights, "--kv-format", cache, "--context", context)


def reference(model, context=2048):
    """The compile that goldens are checked on: f32 weights and caches."""
    return compiled_as("f32", "f32", model, context=context)


# --- data ----------------------------------------------------------------------------------------------------------------------------

def tiny_goldens():
    with open(os.path.join(TINY, "eval", "goldens.json"), encoding="utf-8") as file:
        return json.load(file)


_ARRAY_CODES = {"F32": "f", "F64": "d", "I64": "q", "I32": "i", "I16": "h", "BF16": "H", "F16": "H", "U8": "B", "I8": "b", "BOOL": "B"}


def read_safetensors(path):
    """{name: (dtype, shape, bytes)}, and the metadata."""
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        data = file.read()
    metadata = header.pop("__metadata__", {})
    return {name: (t["dtype"], t["shape"], data[t["data_offsets"][0]:t["data_offsets"][1]]) for name, t in header.items()}, metadata


class Stream:
    """Bytes of a tensor that are never all in memory: written piece by piece, or left out of the file (a hole, which reads as zeros) when there are no pieces."""

    def __init__(self, size, pieces=None):
        self.size, self.pieces = size, pieces

    def __len__(self):
        return self.size


def write_data(file, data):
    if not isinstance(data, Stream):
        file.write(data)
    elif data.pieces is None:
        file.truncate(file.seek(len(data), os.SEEK_CUR))
    else:
        end = file.tell() + len(data)
        for piece in data.pieces:
            file.write(piece)
        assert file.tell() == end


def write_safetensors(path, tensors, metadata=None, edit_header=None):
    """Writes tensors as read_safetensors gives them, or with a Stream for their bytes; `edit_header` may change the header (a dictionary) or return raw header bytes."""
    header, offset = {"__metadata__": metadata or {}}, 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, offset + len(data)]}
        offset += len(data)
    raw = edit_header(header) if edit_header else None
    if raw is None:
        raw = json.dumps(header).encode()
        raw += b" " * (-len(raw) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(raw)) + raw)
        for _, _, data in tensors.values():
            write_data(file, data)


def values(tensor):
    """A tensor's numbers as an array, for types that Python knows."""
    dtype, _, data = tensor
    result = array.array(_ARRAY_CODES[dtype])
    result.frombytes(data)
    return result


def rows(tensor):
    """The last two dimensions as a list of arrays."""
    flat, columns = values(tensor), tensor[1][-1]
    return [flat[i:i + columns] for i in range(0, len(flat), columns)]


def negative_log_likelihood(row, target):
    top = max(row)
    return top + math.log(math.fsum(math.exp(x - top) for x in row)) - row[target]


def worst_difference(rows_a, rows_b):
    """Largest absolute difference, not-a-number counted as infinite, and where (row, column)."""
    worst, where = 0.0, None
    if len(rows_a) != len(rows_b) or any(len(a) != len(b) for a, b in zip(rows_a, rows_b)):
        return math.inf, f"shapes {len(rows_a)} x {len(rows_a[0]) if rows_a else 0} and {len(rows_b)} x {len(rows_b[0]) if rows_b else 0}"
    for r, (a, b) in enumerate(zip(rows_a, rows_b)):
        for c, (x, y) in enumerate(zip(a, b)):
            difference = abs(x - y)
            if not difference <= worst:
                worst, where = (difference if difference == difference else math.inf), (r, c)
    return worst, where


# --- report --------------------------------------------------------------------------------------------------------------------------

class Report:
    def __init__(self):
        self.failures, self.checks, self.start = 0, 0, time.monotonic()

    def check(self, name, holds, detail=""):
        self.checks += 1
        if not holds:
            self.failures += 1
        print(f"{'ok    ' if holds else 'FAILED'} {name}{': ' + str(detail) if detail != '' else ''}", flush=True)
        return holds

    def at_most(self, name, value, limit, detail=""):
        return self.check(name, value <= limit, f"{value:.3g} (limit {limit:g}){' ' + str(detail) if detail else ''}")

    def equal(self, name, got, wanted):
        if got == wanted:
            return self.check(name, True, str(got) if len(str(got)) < 80 else "")
        at = ""
        if isinstance(got, list) and isinstance(wanted, list):
            first = next((i for i, (a, b) in enumerate(zip(got, wanted)) if a != b), min(len(got), len(wanted)))
            at = f"first difference at {first} (lengths {len(got)} and {len(wanted)}): "
            got, wanted = got[first:first + 8], wanted[first:first + 8]
        return self.check(name, False, f"{at}got {got!r}, wanted {wanted!r}")

    def note(self, text):
        print(f"       {text}", flush=True)

    def finish(self):
        if self.checks == 0:
            sys.exit("FAILED: nothing was checked")
        print(f"{self.checks - self.failures} of {self.checks} checks hold, {time.monotonic() - self.start:.1f} s")
        sys.exit(1 if self.failures else 0)


def skip(why):
    print(f"skipped: {why}")
    sys.exit(77)
