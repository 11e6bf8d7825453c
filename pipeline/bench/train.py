"""Training beside nanoGPT: same tokens, tokenizer, context and parameter count, one after the other.

The nanoGPT checkout is the user's: ``TOKENMILL_NANOGPT=/path/to/nanoGPT tokenmill bench train``; without one, only our
own figures appear.  The work needs torch and is done in ``python -m model.bench``, whose options these variables set:
``TOKENMILL_BENCH_RUN`` (a run folder with tokens of a vocabulary of 4,096) or ``TOKENMILL_BENCH_TEXT`` (JSONL files;
default: the sample), ``TOKENMILL_BENCH_STEPS``, ``TOKENMILL_BENCH_RATES``, ``TOKENMILL_BENCH_TIMES``.
"""

import json
import os
import subprocess
import sys
from typing import Any

from pipeline.base.errors import RunError


def run() -> list[dict[str, Any]]:
    """The rows of ``tokenmill bench train``.

    Raises:
        RunError: If a training run fails; what it said stands on standard error.
    """
    command = [sys.executable, "-m", "model.bench.train"]
    names = {
        "nanogpt": "NANOGPT",
        **{name: f"BENCH_{name.upper()}" for name in ("run", "text", "steps", "rates", "times")},
    }
    for option, variable in names.items():
        value = os.environ.get(f"TOKENMILL_{variable}")
        if value:
            command += [f"--{option}", value]
    finished = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if finished.returncode:
        raise RunError(f"the training benchmark failed with exit code {finished.returncode}")
    rows: list[dict[str, Any]] = json.loads(finished.stdout)["rows"]
    return rows
