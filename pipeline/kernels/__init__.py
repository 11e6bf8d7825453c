"""Numba kernels over Arrow buffers: words, shingles, MinHash, and whatever else must touch every byte.

Importing this package decides where Numba keeps its compiled code, so import it before numba.  Numba trusts a cached
kernel while the kernel's own file is unchanged, and so misses an edited helper in another module.  The cache therefore
lives in a user-cache folder named by the hash of every kernel source, the Numba version, the Python version, the CPU
and whether indices are checked (``NUMBA_BOUNDSCHECK=1``, for tests/fuzz): any change is another folder.  A read-only
install works too, since nothing is written beside the sources.

Two processes may compile the same kernel at once: each writes a whole file and renames it, and every kernel here is
compiled for one signature, so both write the same thing.

Where reading begins:    ``text_scan`` (which texts need cleaning), ``html_scan`` (limits and facts of a page, with
                         ``html_values`` and ``page_words``), ``html_blocks`` (elements and blocks of a parsed page;
                         ``html_names``, ``html_features``, ``html_chains``), ``json_scan`` (where values end),
                         ``pii_scan`` (where personal data may begin)
Words and duplicates:    ``words`` (with ``unicode_tables``, ``hash_constants``), ``minhash``, ``verify``, ``overlap``,
                         ``near``, ``line_hash``
Signals of the filter:   ``signals``, above ``lines`` and ``repetition``
Tokens of the filter:    ``tokens``, above ``token_rules``, ``token_urls`` and ``token_tables``
Tokenizers:              ``pretokens`` (cuts and counts), ``merges`` (learns), above ``byte_strings``
Trees:                   ``boosted_trees`` (what they say of rows, and the best choice by it)
Under all of them:       ``spans`` (code points and hashes of bytes), ``jit`` (how to compile)
"""

import hashlib
import os
import platform
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from pipeline.base.storage import cache_folder

__all__ = ["kernel_cache_folder"]

_PREFIX = "kernels-"


def _cpu() -> str:
    """What decides which instructions the compiler may use: model and feature flags of the CPU."""
    try:
        lines = Path("/proc/cpuinfo").read_text().split("\n\n", 1)[0].splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    wanted = ("model name", "flags", "Features", "CPU part")
    return "\n".join(line for line in lines if line.startswith(wanted))


def _fingerprint() -> str:
    hasher = hashlib.blake2b(digest_size=12)
    for path in sorted(Path(__file__).parent.glob("*.py")):
        hasher.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    hasher.update(f"{version('numba')} {platform.python_version()} {_cpu()}".encode())
    hasher.update(os.environ.get("NUMBA_BOUNDSCHECK", "").encode())
    return hasher.hexdigest()


def kernel_cache_folder() -> Path:
    """The folder for this build of the kernels; falls back to the temporary folder where none can be written."""
    name = _PREFIX + _fingerprint()
    folder = cache_folder() / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError:
        folder = Path(tempfile.gettempdir()) / f"tokenmill-{os.getuid()}" / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def _use_cache_folder() -> None:
    folder = str(kernel_cache_folder())
    os.environ["NUMBA_CACHE_DIR"] = folder
    if "numba" in sys.modules:  # somebody loaded it before us: tell it too
        sys.modules["numba"].config.CACHE_DIR = folder


_use_cache_folder()
