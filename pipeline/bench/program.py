"""Programs in processes of their own, as a user runs them: process start and imports count."""

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

WORKERS = 2
# Linux counts the peak of what starts a process as that of the process: so a small one starts it, and tells
STARTER = """
import os, subprocess, sys
process = subprocess.Popen(sys.argv[2:])
_, status, used = os.wait4(process.pid, 0)
with open(sys.argv[1], "w", encoding="ascii") as file:
    file.write(f"{used.ru_maxrss * 1024} {used.ru_utime + used.ru_stime}")
sys.exit(os.waitstatus_to_exitcode(status) % 256)
"""


@dataclass(frozen=True)
class Measured:
    """What a process took.

    Attributes:
        peak_bytes: Of its resident memory, or of the largest process that it waited for.
        cpu_seconds: With those of the processes that it waited for.
    """

    exit_code: int
    peak_bytes: int
    cpu_seconds: float


def measured(command: list[str], **options: Any) -> Measured:
    """Runs a command to its end; ``options`` are those of ``subprocess.run``."""
    with tempfile.NamedTemporaryFile("r", encoding="ascii") as told:
        starter = [sys.executable, "-I", "-S", "-c", STARTER, told.name, *command]
        exit_code = subprocess.run(starter, check=False, **options).returncode
        peak, cpu_seconds = told.read().split()
    return Measured(exit_code, int(peak), float(cpu_seconds))


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
