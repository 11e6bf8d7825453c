"""Which chunks are a URL, by the pattern of spaCy's English tokenizer: those are one token (token_rules.py).

``codes[k]`` is a code point of the chunk, ``bits[k]`` its class.
"""

from pipeline.kernels.jit import bare
from pipeline.kernels.token_tables import ALPHA_LOWER, DECIMAL, WORD


@bare
def is_digit(code):  # type: ignore[no-untyped-def]
    """An ASCII digit."""
    return 0x30 <= code <= 0x39


@bare
def is_url(codes, bits, low, high):  # type: ignore[no-untyped-def]
    """True where spaCy's URL pattern matches the whole: optional scheme and user, host, optional port and path."""
    dot = False
    for k in range(low, high):
        if codes[k] == 0x2E:
            dot = True
            break
    if not dot:
        return False
    if _is_host(codes, bits, low, high):
        return True
    k = low
    while k < high and (bits[k] & WORD or (codes[k] == 0x2B or codes[k] == 0x2D or codes[k] == 0x2E)):
        k += 1
    scheme = k - low >= 2 and k + 3 < high and codes[k] == 0x3A and codes[k + 1] == 0x2F and codes[k + 2] == 0x2F
    if scheme and _is_host(codes, bits, k + 3, high):
        return True
    for k in range(low + 1, high - 1):  # noqa: SIM110  numba compiles this form
        if codes[k] == 0x40 and _is_host(codes, bits, k + 1, high):
            return True
    return False


@bare
def _is_host(codes, bits, low, high):  # type: ignore[no-untyped-def]
    """True where a host, an optional port and an optional path are all of ``[low, high)``."""
    end = low
    while end < high and (codes[end] != 0x3A and codes[end] != 0x2F and codes[end] != 0x3F and codes[end] != 0x23):
        end += 1
    if not (_is_domain(codes, bits, low, end) or _is_address(codes, bits, low, end)):
        return False
    if end < high and codes[end] == 0x3A:
        k = end + 1
        while k < high and bits[k] & DECIMAL:
            k += 1
        if not 2 <= k - end - 1 <= 5:
            return False
        end = k
    return end == high or (codes[end] == 0x2F or codes[end] == 0x3F or codes[end] == 0x23)


@bare
def _is_domain(codes, bits, low, high):  # type: ignore[no-untyped-def]
    """Labels of 1 to 64 characters, each followed by a dot, and 2 to 63 lower-case letters."""
    last = high - 1
    while last >= low and codes[last] != 0x2E:
        last -= 1
    if last < low or not 2 <= high - last - 1 <= 63:
        return False
    for k in range(last + 1, high):
        if not bits[k] & ALPHA_LOWER:
            return False
    start = low
    for k in range(low, last + 1):
        if codes[k] == 0x2E:
            if not 1 <= k - start <= 64 or not _in_host(codes[start]) or not _in_host(codes[k - 1]):
                return False
            start = k + 1
        elif not (_in_host(codes[k]) or codes[k] == 0x2D or codes[k] == 0x5F):
            return False
    return True


@bare
def _in_host(code):  # type: ignore[no-untyped-def]
    return is_digit(code) or 0x41 <= code <= 0x5A or 0x61 <= code <= 0x7A or 0xA1 <= code <= 0xFFFF


@bare
def _is_address(codes, bits, low, high):  # type: ignore[no-untyped-def]
    """A public IPv4 address: four numbers, first 1 to 223, last 1 to 254, none of the private ranges."""
    a, b, c, d = 0, 0, 0, 0
    part, digits = 0, 0
    for k in range(low, high):
        if codes[k] == 0x2E:
            if digits == 0 or part == 3:
                return False
            a, b, c, d = b, c, d, 0
            part, digits = part + 1, 0
        elif is_digit(codes[k]) and digits < 3:
            if digits == 0 and codes[k] == 0x30 and (part == 0 or part == 3):
                return False
            d = 10 * d + codes[k] - 0x30
            digits += 1
        else:
            return False
    if part != 3 or digits == 0:
        return False
    if not (1 <= a <= 223 and b <= 255 and c <= 255 and 1 <= d <= 254):
        return False
    private = a == 10 or a == 127 or (a == 169 and b == 254) or (a == 192 and b == 168)
    return not (private or (a == 172 and 16 <= b <= 31))
