"""``tokenmill bench loader``: batches from token shards beside nanoGPT's way of reading.

The work needs torch and is done in ``python -m model.bench_loader``.
"""

import json
import subprocess
import sys
from typing import Any

from pipeline.base.errors import RunError


def run() -> list[dict[str, Any]]:
    """The rows of ``tokenmill bench loader``.

    Raises:
        RunError: If it fails; what it said stands on standard error.
    """
    command = [sys.executable, "-m", "model.bench.loader"]
    finished = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if finished.returncode:
        raise RunError(f"the loader benchmark failed with exit code {finished.returncode}")
    rows: list[dict[str, Any]] = json.loads(finished.stdout)["rows"]
    return rows
