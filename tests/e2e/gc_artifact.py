"""Edits artifacts so that their checksums hold again: lies that only a reader's own checks can find.

Offsets follow runtime/abi/gc_artifact.h; XXH64 is written from its published specification.
"""
import struct

MASK = (1 << 64) - 1
P1, P2, P3, P4, P5 = 11400714785074694791, 14029467366897019727, 1609587929392839161, 9650029242287828579, 2870177450012600261

MANIFEST, TOKENIZER, CODE, WEIGHTS, TABLE, EXPERTS = 1, 5, 7, 8, 9, 10

# Offsets inside gc_manifest.
FIELDS = {
    "vocabulary": ("I", 128), "context": ("I", 132), "kv_bytes": ("Q", 136), "weights_bytes": ("Q", 144), "table_placement": ("I", 152),
    "table_cache_rows": ("I", 156), "table_rows": ("Q", 160), "table_row_bytes": ("Q", 168), "variant_count": ("I", 176), "stop_token_count": ("I", 180),
    "suppressed_token_count": ("I", 184), "bos_token": ("i", 188), "stop_token_0": ("I", 192), "expert_cache_slots": ("I", 532), "expert_layers": ("I", 536), "experts_per_layer": ("I", 540),
    "turn_start": ("32s", 544),
    "variant_0_section": ("I", 796), "variant_0_prefill_offset": ("Q", 800), "variant_0_prefill_arena": ("Q", 808), "variant_0_prefill_rows": ("Q", 816),
    "variant_0_decode_offset": ("Q", 824), "variant_0_decode_arena": ("Q", 832), "variant_0_decode_rows": ("Q", 840),
    "variant_0_score_offset": ("Q", 848), "variant_0_score_rows": ("Q", 864), "planned_weights": ("Q", 1432), "planned_peak": ("Q", 1488),
}


def _rotate(x, n):
    return ((x << n) | (x >> (64 - n))) & MASK


def _round(accumulator, word):
    return _rotate((accumulator + word * P2) & MASK, 31) * P1 & MASK


def xxh64(data):
    """XXH64 with seed 0."""
    position, length = 0, len(data)
    if length >= 32:
        a, b, c, d = (P1 + P2) & MASK, P2, 0, -P1 & MASK
        whole = length // 32 * 32
        for w, x, y, z in struct.iter_unpack("<QQQQ", data[:whole]):
            a, b, c, d = _round(a, w), _round(b, x), _round(c, y), _round(d, z)
        result = (_rotate(a, 1) + _rotate(b, 7) + _rotate(c, 12) + _rotate(d, 18)) & MASK
        for lane in (a, b, c, d):
            result = ((result ^ _round(0, lane)) * P1 + P4) & MASK
        position = whole
    else:
        result = P5
    result = (result + length) & MASK
    while position + 8 <= length:
        result = (_rotate(result ^ _round(0, struct.unpack_from("<Q", data, position)[0]), 27) * P1 + P4) & MASK
        position += 8
    if position + 4 <= length:
        result = (_rotate(result ^ struct.unpack_from("<I", data, position)[0] * P1 & MASK, 23) * P2 + P3) & MASK
        position += 4
    for byte in data[position:]:
        result = _rotate(result ^ byte * P5 & MASK, 11) * P1 & MASK
    result = (result ^ result >> 33) * P2 & MASK
    result = (result ^ result >> 29) * P3 & MASK
    return result ^ result >> 32


class Artifact:
    def __init__(self, data):
        self.data = bytearray(data)
        (self.count,) = struct.unpack_from("<I", self.data, 24)

    def section(self, index):
        """(kind, offset, bytes, checksum)"""
        kind, _, offset, size, checksum = struct.unpack_from("<IIQQQ", self.data, 64 + 32 * index)
        return kind, offset, size, checksum

    def index_of(self, kind):
        return next(i for i in range(self.count) if self.section(i)[0] == kind)

    def end_of(self, index):
        return self.section(index + 1)[1] if index + 1 < self.count else len(self.data)

    def set_section(self, index, offset=None, size=None, kind=None):
        for value, position, form in ((kind, 0, "<I"), (offset, 8, "<Q"), (size, 16, "<Q")):
            if value is not None:
                struct.pack_into(form, self.data, 64 + 32 * index + position, value)

    def set_manifest(self, **fields):
        start = self.section(self.index_of(MANIFEST))[1]
        for name, value in fields.items():
            form, offset = FIELDS[name]
            struct.pack_into("<" + form, self.data, start + offset, value)

    def get_manifest(self, name):
        form, offset = FIELDS[name]
        return struct.unpack_from("<" + form, self.data, self.section(self.index_of(MANIFEST))[1] + offset)[0]

    def section_checksum(self, index):
        return xxh64(bytes(self.data[self.section(index)[1]:self.end_of(index)]))

    def header_checksum(self):
        first = self.section(0)[1]
        header = bytearray(self.data[:first])
        header[32:40] = bytes(8)
        return xxh64(bytes(header))

    def seal(self, *indices):
        """Makes the checksums of these sections and of the header true again."""
        for index in indices:
            struct.pack_into("<Q", self.data, 64 + 32 * index + 24, self.section_checksum(index))
        struct.pack_into("<Q", self.data, 32, self.header_checksum())
        return bytes(self.data)
