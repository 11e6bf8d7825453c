"""The program as a user runs it, in a process of its own: process start and imports count."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson

WORKERS = 2


def tokenmill(*arguments: str) -> list[str]:
    """The command line of ``tokenmill ARGUMENTS`` of this installation."""
    return [sys.executable, "-m", "flows.cli", *arguments]


def dedup_run(path: Path, output: Path, *options: str, workers: int = WORKERS) -> list[str]:
    """The command line of ``tokenmill dedup run --json`` on one file."""
    return tokenmill(
        *("dedup", "run", str(path), "--output", str(output), "--json", "--workers", str(workers)), *options
    )


def dedup_summary(path: Path, output: Path, *options: str, workers: int = WORKERS) -> dict[str, Any]:
    """Runs it; returns what it says."""
    done = subprocess.run(dedup_run(path, output, *options, workers=workers), capture_output=True, check=True)
    found: dict[str, Any] = orjson.loads(done.stdout)
    return found
