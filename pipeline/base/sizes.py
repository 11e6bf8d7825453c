"""A size as people write it -> bytes."""

from pipeline.base.errors import UserError

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "KI": 2**10, "MI": 2**20, "GI": 2**30, "TI": 2**40}


SIZE_PATTERN = r"^\d+(\.\d+)?\s*(B|[KMGT]i?B)$"  # of a recipe and of a flow's form: a unit is asked for


def parse_memory(text: str, name: str = "memory") -> int:
    """Bytes of a size such as ``2GB``, ``512MiB`` or ``1000000``; ``name`` is what an error calls it.

    Raises:
        UserError: If ``text`` is no size.

    Example:
        >>> parse_memory("2GB")
        2000000000
    """
    number = text.strip().upper().removesuffix("B")
    digits = number.rstrip("KMGTI ")
    unit = number[len(digits) :].strip()
    try:
        size = int(float(digits) * _UNITS[unit])
    except (ValueError, KeyError, OverflowError):
        size = 0
    if size < 1:
        raise UserError(f"{name} {text!r}: expected a size such as 2GB, 512MiB or 800MB")
    return size
