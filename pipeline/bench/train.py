"""Training beside nanoGPT: same tokens, tokenizer, context and parameter count, one after the other.

The nanoGPT checkout is the user's: ``TOKENMILL_NANOGPT=/path/to/nanoGPT tokenmill bench train``; without one, only our
own figures appear.  The work needs torch and is done in ``python -m model.bench``, whose options these variables set:
``TOKENMILL_BENCH_TEXT`` (JSONL files; default: the sample), ``TOKENMILL_BENCH_STEPS``.
"""

import json
import os
import subprocess
import sys
from typing import Any

from pipeline.errors import RunError


def run() -> list[dict[str, Any]]:
    """The rows of ``tokenmill bench train``.

    Raises:
        RunError: If a training run fails; what it said stands on standard error.
    """
    command = [sys.executable, "-m", "model.bench"]
    for option, variable in (("--nanogpt", "NANOGPT"), ("--text", "BENCH_TEXT"), ("--steps", "BENCH_STEPS")):
        value = os.environ.get(f"TOKENMILL_{variable}")
        if value:
            command += [option, value]
    finished = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if finished.returncode:
        raise RunError(f"the training benchmark failed with exit code {finished.returncode}")
    rows: list[dict[str, Any]] = json.loads(finished.stdout)["rows"]
    return rows
