"""Code points and hashes of spans of UTF-8 bytes, for kernels that read text character by character."""

import numpy as np

from pipeline.kernels.jit import inlined

BASE = np.uint64(0x9E3779B97F4A7C15)  # of the polynomial hashes of tokens, lines and n-grams
MIX = np.uint64(0xD6E8FEB86659FD93)  # spreads such a hash over the slots of a table
_POWERS = [np.uint64(pow(int(BASE), k, 1 << 64)) for k in range(5)]
BASE2, BASE3, BASE4 = _POWERS[2:]
REPLACEMENT = 0xFFFD


@inlined
def decode(data, i, end):  # type: ignore[no-untyped-def]
    """The code point at byte ``i`` and its width; U+FFFD and 1 where the bytes are not UTF-8."""
    lead = np.int64(data[i])
    if lead < 0x80:
        return lead, 1
    if lead < 0xC2 or lead > 0xF4:
        return REPLACEMENT, 1
    width = 2 if lead < 0xE0 else (3 if lead < 0xF0 else 4)
    if i + width > end:
        return REPLACEMENT, 1
    code = lead & (0x7F >> width)
    for k in range(1, width):
        byte = np.int64(data[i + k])
        if byte & 0xC0 != 0x80:
            return REPLACEMENT, 1
        code = (code << 6) | (byte & 0x3F)
    if code > 0x10FFFF:
        return REPLACEMENT, 1
    return code, width


@inlined
def span_hash(data, start, end):  # type: ignore[no-untyped-def]
    """The hash of ``data[start:end]``: four bytes a step, so that multiplications do not wait for each other."""
    value = np.uint64(0)
    i = start
    while i + 4 <= end:
        a, b = np.uint64(data[i]) + np.uint64(1), np.uint64(data[i + 1]) + np.uint64(1)
        c, d = np.uint64(data[i + 2]) + np.uint64(1), np.uint64(data[i + 3]) + np.uint64(1)
        value = value * BASE4 + (a * BASE3 + b * BASE2 + (c * BASE + d))
        i += 4
    while i < end:
        value = value * BASE + np.uint64(data[i]) + np.uint64(1)
        i += 1
    return value
