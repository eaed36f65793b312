#!/usr/bin/env python3
"""Damaged artifacts: a clear error and exit code 1, never a crash; `--verify` finds any changed byte, padding and weights included."""
import os
import random
import struct

import gc_artifact
import gc_e2e as gc

report = gc.Report()
folder = gc.scratch("bad_artifact")
with open(gc.compiled_as("w4g32", "kv8"), "rb") as file:
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
refused("a newer version", patched(8, struct.pack("<I", 3)), mention="version")  # 2 is the newest (docs/artifact-format.md)
refused("the other endianness", patched(12, b"\x01\x02\x03\x04"))
refused("a file size that lies", patched(16, struct.pack("<Q", len(GOOD) + 65536)))
refused("2^32 - 1 sections", patched(24, b"\xff\xff\xff\xff"))
refused("no sections", patched(24, bytes(4)))
for field, offset, value in (("offset", 8, 1 << 60), ("offset", 8, 1), ("bytes", 16, (1 << 64) - 1), ("bytes", 16, 0), ("checksum", 24, 0), ("kind", 0, 77)):
    for index in (0, COUNT - 1):
        if field == "checksum" and SECTIONS[index][0] in (WEIGHTS, TABLE):
            continue
        refused(f"section {index}: {field} {value}", patched(64 + 32 * index + offset, struct.pack("<I" if field == "kind" else "<Q", value)))

# --- lies under true checksums: found by the reader's own checks, before anything relies on them ---
for text, wanted in ((b"", 0xEF46DB3751D8E999), (b"a", 0xD24EC4F1A98C6E5B), (b"Nobody inspects the spammish repetition", 0xFBCEA83C8A378BF1)):
    report.equal(f"published XXH64 of {len(text)} bytes", gc_artifact.xxh64(text), wanted)
sealed = gc_artifact.Artifact(GOOD)
small = [i for i in range(COUNT) if sealed.end_of(i) - sealed.section(i)[1] < (1 << 20)]
report.equal("checksums as documented: header", sealed.header_checksum(), struct.unpack_from("<Q", GOOD, 32)[0])
report.equal("checksums as documented: sections", [sealed.section_checksum(i) for i in small], [sealed.section(i)[3] for i in small])
manifest = sealed.index_of(gc_artifact.MANIFEST)
code = sealed.index_of(gc_artifact.CODE)
HUGE = 1 << 60
for fields in ({"vocabulary": 0}, {"vocabulary": 0xFFFFFFFF}, {"context": 0}, {"kv_bytes": HUGE}, {"weights_bytes": HUGE}, {"table_placement": 9}, {"table_rows": HUGE},
               {"table_row_bytes": HUGE}, {"table_rows": 1 << 32, "table_row_bytes": 1 << 32}, {"variant_count": 0}, {"variant_count": 9}, {"variant_count": 0xFFFFFFFF},
               {"stop_token_count": 17}, {"suppressed_token_count": 65}, {"variant_0_section": 63}, {"variant_0_section": 0xFFFFFFFF}, {"variant_0_section": manifest},
               {"variant_0_prefill_offset": HUGE}, {"variant_0_decode_offset": sealed.section(code)[2]}, {"variant_0_score_offset": (1 << 64) - 8},
               {"variant_0_decode_arena": HUGE}, {"variant_0_prefill_rows": 0}, {"variant_0_prefill_rows": HUGE}, {"variant_0_score_rows": 0}, {"turn_start": b"x" * 32}):
    lie = gc_artifact.Artifact(GOOD)
    # All variants lie, so that the one which is chosen here does too.
    for name, value in fields.items():
        lie.set_manifest(**{name: value})
        if name.startswith("variant_0"):
            form, offset = gc_artifact.FIELDS[name]
            start = lie.section(manifest)[1]
            for variant in range(1, lie.get_manifest("variant_count")):
                struct.pack_into("<" + form, lie.data, start + offset + 80 * variant, value)
    refused(f"manifest: {', '.join(f'{k} {v}' for k, v in fields.items())}", lie.seal(manifest), *(("--chat", "-p", "x", "-n", "1") if "turn_start" in fields else ()))
for title, index, fields in (("a section that begins beyond the file", COUNT - 1, {"offset": 1 << 40}), ("a section longer than the file", COUNT - 1, {"size": 1 << 40}),
                             ("a section whose end wraps around", COUNT - 1, {"size": (1 << 64) - 65536}), ("a section inside the header", 1, {"offset": 0}),
                             ("two manifests", 1, {"kind": 1}), ("no manifest", manifest, {"kind": 2}), ("no weights", sealed.index_of(gc_artifact.WEIGHTS), {"kind": 2}),
                             ("a manifest of 8 bytes", manifest, {"size": 8}), ("sections that overlap", 1, {"offset": sealed.section(0)[1]})):
    lie = gc_artifact.Artifact(GOOD)
    lie.set_section(index, **fields)
    try:
        data = lie.seal(*[i for i in small if i == index and not {"offset"} & set(fields)])
    except (struct.error, IndexError):
        data = lie.seal()
    refused(f"section table: {title}", data)
tokenizer = sealed.index_of(gc_artifact.TOKENIZER)
random.seed(5)
crashed = []
for round_ in range(60):
    lie = gc_artifact.Artifact(GOOD)
    _, start, size, _ = lie.section(tokenizer)
    for _ in range(random.choice((1, 3))):
        position = random.choice((random.randrange(0, min(size, 256)), random.randrange(size))) & ~3
        struct.pack_into("<I", lie.data, start + position, random.choice((0, 1, 0xFFFFFFFF, 0x7FFFFFFF, size, random.getrandbits(32))))
    result = attempt(lie.seal(tokenizer), "-p", "Hello there, caf\u00e9", "-n", "2", "--temperature", "0")
    if result.code not in (0, 1):
        crashed.append((round_, result.code, result.stderr[:100]))
report.equal("sealed lies in the tokenizer that crash a run", crashed, [])

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
