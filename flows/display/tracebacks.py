"""An error that nobody expected, told once: where it happened in our code, not the frames of the libraries between."""

import traceback
from collections.abc import Iterator

LIBRARIES = ("site-packages", "concurrent/futures", "<frozen runpy>", "multiprocessing/")


MOST_CHARACTERS = 2000  # of one error's words: those of a library may hold all that it was given


def cut(text: str) -> str:
    """A text of at most ``MOST_CHARACTERS``, its middle left out where it has more."""
    if len(text) <= MOST_CHARACTERS:
        return text
    half = MOST_CHARACTERS // 2
    return f"{text[:half]} ... ({len(text) - 2 * half:,} characters left out) ... {text[-half:]}"


def shortened(error: BaseException) -> str:
    """A traceback without the frames of libraries, and of its causes the same.

    An error that a worker process raised carries that process's traceback as text; it stands first, as Python has it.
    """
    lines = list(_chain(error))
    return "\n".join(lines)


def _chain(error: BaseException) -> Iterator[str]:
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before is not None:
        yield from _chain(before)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _ours(frame.filename)]
    if frames:
        yield "".join(traceback.format_list(frames[-6:])).rstrip()
    said = "".join(traceback.format_exception_only(error)).strip()
    if said.startswith("concurrent.futures.process._RemoteTraceback"):  # Python's own note of the worker's traceback
        yield from (cut(line) for line in said.splitlines()[1:] if line.strip(' "'))
    else:
        yield cut(said)


def _ours(path: str) -> bool:
    return not any(name in path for name in LIBRARIES)
