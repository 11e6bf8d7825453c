"""Tries many faulty files: the parent watches, a child reads, so that a file that ends or hangs the child is known.

    python -m tests.fuzz.run --seconds 600 --first 0

Prints one line per kind of finding, with the number of a file that shows it: ``files.faulty(NUMBER)``.  Exit code 1
where there are any.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tests.fuzz.files import faulty
from tests.fuzz.trial import complaints

HANG_SECONDS = 60.0
MEMORY_BYTES = 8 << 30


@dataclass
class Findings:
    """How many files were read, and which ones show what."""

    files: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    shown_by: dict[str, int] = field(default_factory=dict)

    def add(self, kind: str, number: int) -> None:
        """Notes a finding."""
        self.kinds[kind] += 1
        self.shown_by.setdefault(kind, number)

    def lines(self) -> list[str]:
        """One per kind."""
        return [f"{count:6,}  file {self.shown_by[kind]}  {kind}" for kind, count in self.kinds.most_common()]


def child(first: int, seconds: float, place: Path) -> None:
    """Reads one file after the other; its place is written down before each, and findings are printed."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    end = time.monotonic() + seconds
    number = first
    while time.monotonic() < end:
        place.write_text(str(number))
        name, data = faulty(number)
        for complaint in complaints(place.parent, name, data):
            _say(f"{number}\t{name}: {complaint[:300]}")
        number += 1
    place.write_text(str(number))
    _say(f"{number}\tend")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def search(first: int, seconds: float) -> Findings:
    """Reads files from a number on for so many seconds."""
    findings = Findings()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with tempfile.TemporaryDirectory(prefix="tokenmill-fuzz-") as folder:
            last, died = _watched(first, end - time.monotonic(), Path(folder), findings)
        findings.files += last - first
        if died is not None:
            findings.add(died, last)
            findings.files += 1
            last += 1
        first = last
    return findings


def _watched(first: int, seconds: float, folder: Path, findings: Findings) -> tuple[int, str | None]:
    """One child: the number it came to, and how it died, where it did."""
    place, said = folder / "place", folder / "said"
    place.write_text(str(first))
    command = [sys.executable, "-m", "tests.fuzz.run", "--child", str(place), "--first", str(first)]
    with open(said, "wb") as out, open(folder / "error", "wb") as error:
        process = subprocess.Popen([*command, "--seconds", str(seconds)], stdout=out, stderr=error)
        died = _wait(process, place)
    for line in said.read_text(errors="replace").splitlines():
        number, _, what = line.partition("\t")
        if what and what != "end":
            findings.add(what, int(number))
    if died is None and process.returncode:
        died = f"exit {process.returncode}: {(folder / 'error').read_text(errors='replace')[-300:].strip()}"
    return int(place.read_text() or first), died


def _wait(process: subprocess.Popen[bytes], place: Path) -> str | None:
    """Waits for the child; ends it where it stays at one file."""
    seen, since = "", time.monotonic()
    while process.poll() is None:
        time.sleep(0.2)
        now = place.read_text()
        if now != seen:
            seen, since = now, time.monotonic()
        elif time.monotonic() - since > HANG_SECONDS:
            process.kill()
            process.wait()
            return f"no end within {HANG_SECONDS:g} s"
    return None


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--first", type=int, default=0, help="number of the first file")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child is not None:
        child(arguments.first, arguments.seconds, arguments.child)
        return
    findings = search(arguments.first, arguments.seconds)
    _say(f"{findings.files:,} files read, from {arguments.first:,} on")
    _say("\n".join(findings.lines()))
    sys.exit(bool(findings.kinds))


if __name__ == "__main__":
    main()
