"""Runs the commands of a console block and compares what they print with what the block shows."""

import os
import re
import subprocess
from pathlib import Path

from pipeline.screen.cold import WORDS as COLD  # said where the kernels are not compiled yet

PROGRESS = re.compile(r"[\w.]+: \d+ of \d+ shards, ")  # where it has no terminal, after ten seconds
SHOWN_FOLDER = "/home/me/first"  # stands for the folder that the commands are run in


def check_transcript(block: str, folder: Path, python_path: str, first_on_path: str = "") -> int:
    """Runs each command after ``$`` in ``folder``; returns how many there were.

    A line ``...`` of what is shown stands for any number of lines; seconds are not compared.
    """
    commands = re.findall(r"^\$ (.+)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE)
    for command, shown in commands:
        done = run_in(folder, command, python_path, first_on_path)
        printed = done.stdout.replace(str(folder), SHOWN_FOLDER)
        assert done.returncode == 0, f"{command}\n{printed}"
        assert matches(normalised(shown), normalised(printed)), f"$ {command}\n{printed}\nbut shown is\n{shown}"
    return len(commands)


def run_in(folder: Path, command: str, python_path: str, first_on_path: str = "") -> subprocess.CompletedProcess[str]:
    """Runs a line of the shell in ``folder``; both streams are in ``stdout``."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    path = f"{first_on_path}{os.pathsep}{os.environ['PATH']}" if first_on_path else os.environ["PATH"]
    environment = {**others, "PATH": path, "PYTHONPATH": python_path}
    environment |= {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}
    return subprocess.run(
        command,
        shell=True,
        cwd=folder,
        env=environment,
        text=True,
        timeout=600,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def normalised(text: str) -> list[str]:
    """Lines without what differs from run to run: seconds, the width of their column, how far slow work has come."""
    text = re.sub(r"(?<= )\d+\.\d(?= )", "SECONDS", text).replace(f"{COLD}\n", "")
    lines = [re.sub(r" +", " ", line).strip() for line in text.splitlines() if line.strip()]
    return [line for line in lines if not PROGRESS.match(line)]


def matches(shown: list[str], printed: list[str]) -> bool:
    """Whether the lines are the same, where a line ``...`` stands for any number of lines."""
    if not shown:
        return not printed
    if shown[0] == "...":
        return any(matches(shown[1:], printed[start:]) for start in range(len(printed) + 1))
    return bool(printed) and shown[0] == printed[0] and matches(shown[1:], printed[1:])
