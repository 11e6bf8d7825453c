"""Says that the work at hand compiles first: the first run of an installation is silent for a minute or two otherwise.

Numba compiles a kernel when it is first called and keeps it in the user's cache (``pipeline.kernels``).
"""

import hashlib
from pathlib import Path

from pipeline import kernels
from pipeline.base.console import say

# stage: a module of pipeline/kernels that its work always calls
MODULES = {"clean": "text_scan", "dedup": "minhash", "filter": "signals", "tokenize": "pretokens"}
WORDS = "compiling the kernels for this machine, once: a minute or two; `tokenmill doctor --warm` does it beforehand"


def say_if_cold(*stages: str) -> None:
    """Says so where one of the stages (of ``MODULES``; others compile nothing) has never run here."""
    if not are_compiled(*stages):
        say(WORDS)


def are_compiled(*stages: str) -> bool:
    """Whether this installation has compiled the kernels of these stages for this machine."""
    # Numba keeps the kernels of a folder under its name and the hash of its path
    here = Path(kernels.__file__).parent.resolve()
    folder = kernels.kernel_cache_folder() / f"{here.name}_{hashlib.sha1(str(here).encode()).hexdigest()}"
    return all(any(folder.glob(f"{MODULES[stage]}.*.nbi")) for stage in stages if stage in MODULES)
