#!/usr/bin/env python3
"""Damaged artifacts: a clear error and exit code 1, never a crash; `--verify` finds any changed byte, padding and weights included."""
import os
import random
import struct

import gc_e2e as gc

report = gc.Report()
folder = gc.scratch("bad_artifact")
with open(gc.compiled("gemma4-tiny", "--target", "host", "--weight-format", "w4g32", "--kv-format", "kv8", "--context", 512, "--tables", "memory"), "rb") as file:
    GOOD = file.read()
MAGIC, VERSION, ENDIAN, FILE_BYTES, COUNT = struct.unpack_from("<8sIIQI", GOOD)
SECTIONS = [struct.unpack_from("<IIQQQ", GOOD, 64 + 32 * i) for i in range(COUNT)]  # kind, reserved, offset, bytes, checksum
WEIGHTS, TABLE = 8, 9
PROMPT = ("--tokens", "2,5,7", "-n", "1")
path = os.path.join(folder, "damaged.gpk")


def attempt(data, *arguments):
    with open(path, "wb") as file:
        file.write(data)
    return gc.grun(path, *(arguments or PROMPT), timeout=60)


def refused(title, data, *arguments, mention=""):
    result = attempt(data, *arguments)
    lines = [line for line in result.stderr.splitlines() if line.strip()]
    report.check(title, result.code == 1 and len(lines) == 1 and lines[0].startswith("grun: ") and mention in lines[0],
                 lines[0] if lines and result.code == 1 else f"exit code {result.code}, stderr {result.stderr.strip()[:300]!r}")


def patched(offset, data):
    return GOOD[:offset] + data + GOOD[offset + len(data):]


report.check("the header is as documented", MAGIC == b"GCPK\r\n\x1a\n" and ENDIAN == 0x01020304 and FILE_BYTES == len(GOOD) and 0 < COUNT <= 64, f"version {VERSION}, {COUNT} sections")
report.check("sections are aligned, in order and inside the file", all(s[2] % 65536 == 0 and s[2] + s[3] <= len(GOOD) for s in SECTIONS) and [s[2] for s in SECTIONS] == sorted(s[2] for s in SECTIONS))
report.equal("undamaged", attempt(GOOD).code, 0)
report.equal("undamaged, verified", attempt(GOOD, "--verify").code, 0)
report.equal("undamaged, gcompile verify", gc.gcompile("verify", path).code, 0)

# --- lies in the header ---
refused("an empty file", b"")
refused("text", b"not an artifact\n" * 100)
refused("a safetensors file", open(os.path.join(gc.DATA, "conformance", "e2b-like", "model.safetensors"), "rb").read())
refused("line ends changed by a text transfer", GOOD.replace(b"\r\n", b"\n", 1))
refused("a newer version", patched(8, struct.pack("<I", VERSION + 1)), mention="version")
refused("the other endianness", patched(12, b"\x01\x02\x03\x04"))
refused("a file size that lies", patched(16, struct.pack("<Q", len(GOOD) + 65536)))
refused("2^32 - 1 sections", patched(24, b"\xff\xff\xff\xff"))
refused("no sections", patched(24, bytes(4)))
for field, offset, value in (("offset", 8, 1 << 60), ("offset", 8, 1), ("bytes", 16, (1 << 64) - 1), ("bytes", 16, 0), ("checksum", 24, 0), ("kind", 0, 77)):
    for index in (0, COUNT - 1):
        if field == "checksum" and SECTIONS[index][0] in (WEIGHTS, TABLE):
            continue
        refused(f"section {index}: {field} {value}", patched(64 + 32 * index + offset, struct.pack("<I" if field == "kind" else "<Q", value)))

# --- cut and lengthened ---
for length in sorted({1, 7, 8, 63, 64, 100, 64 + 32 * COUNT, 65536, len(GOOD) // 2, len(GOOD) - 65536, len(GOOD) - 1}):
    refused(f"cut to {length} bytes", GOOD[:length])
refused("one byte more", GOOD + b"\0")

# --- flipped bits ---
random.seed(3)


def flipped(position):
    return patched(position, bytes([GOOD[position] ^ (1 << random.randrange(8))]))


checked = [(0, SECTIONS[0][2])]
bulk = []
for index, (kind, _, offset, _, _) in enumerate(SECTIONS):
    end = SECTIONS[index + 1][2] if index + 1 < COUNT else len(GOOD)
    (bulk if kind in (WEIGHTS, TABLE) else checked).append((offset, end))
accepted = []
for begin, end in checked:
    for position in [begin, end - 1] + [random.randrange(begin, end) for _ in range(6)]:
        result = attempt(flipped(position))
        if result.code != 1 or "error" not in result.stderr:
            accepted.append((position, result.code, result.stderr[:100]))
report.equal("flipped bits outside weights and tables that opening does not find", accepted, [])
report.check("weights and a table to flip bits in", len(bulk) == 2, bulk)
accepted, crashed = [], []
for begin, end in bulk + checked[:2]:
    for position in [begin, end - 1] + [random.randrange(begin, end) for _ in range(4)]:
        damaged = flipped(position)
        for name, result in (("grun --verify", attempt(damaged, "--verify")), ("gcompile verify", gc.gcompile("verify", path))):
            if result.code != 1:
                accepted.append((position, name, result.code))
        result = attempt(damaged)
        if result.code not in (0, 1):
            crashed.append((position, result.code))
report.equal("flipped bits anywhere that verifying does not find", accepted, [])
report.equal("flipped bits that crash a run", crashed, [])

# --- no file at all ---
for title, name in (("no such file", os.path.join(folder, "missing.gpk")), ("a folder", folder)):
    result = gc.grun(name, *PROMPT)
    report.check(title, result.code == 1 and len(result.stderr.strip().splitlines()) == 1, f"{result.code}: {result.stderr.strip()[:160]}")
report.finish()
