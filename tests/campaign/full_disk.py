"""A file system that is too small by some bytes: what is said, and what stands once there is room."""

import os
import random
import shutil
import subprocess
from pathlib import Path

from tests.campaign import child
from tests.campaign.scenarios import Scenario
from tests.campaign.trials import Trial, finish

BLOCK = 4096
ROOM = 1 << 30


def full_disk(scenario: Scenario, place: Path, chance: random.Random) -> Trial:
    """Does the work on a small file system, then again with room; skipped where this process may not mount one."""
    before = _size(scenario.base)
    after = sum(_blocks(len(data)) for data in scenario.expected.values())
    size = before + int(chance.random() * 1.5 * max(after - before, 64 * BLOCK))
    trial = Trial(scenario.name, f"a file system of {size:,} bytes, {before:,} of them used")
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    if os.geteuid() != 0 or _mount(place, f"size={size}"):
        trial.ended = "skipped: this process may not mount a file system"
        return trial
    try:
        _fill(scenario, place)
        ended = child.run(lambda: scenario.work(place, False))
        trial.hit = ["no space left"] if ended.code else []
        trial.ended = f"code {ended.code} {ended.error}"
        trial.complaints += ended.complaints(place)
        if ended.code > 0 and not ("space" in ended.error or "disk is full" in ended.error):
            trial.complaints.append(f"it does not say that the disk is full: {ended.error}")
        _mount(place, f"remount,size={ROOM}")
        return finish(trial, scenario, place, workers=False)
    finally:
        subprocess.run(["umount", str(place)], check=True)


def _mount(place: Path, options: str) -> int:
    words = ["mount", "-t", "tmpfs", "-o", options, "campaign", str(place)]
    return subprocess.run(words, stderr=subprocess.DEVNULL, check=False).returncode


def _fill(scenario: Scenario, place: Path) -> None:
    for part in scenario.base.iterdir():
        shutil.copytree(part, place / part.name)


def _blocks(size: int) -> int:
    return (size + BLOCK - 1) // BLOCK * BLOCK


def _size(folder: Path) -> int:
    """Bytes that a folder takes, with something for its folders."""
    paths = list(folder.rglob("*"))
    return sum(_blocks(path.stat().st_size) if path.is_file() else BLOCK for path in paths) + 16 * BLOCK
