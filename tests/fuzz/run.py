"""Tries many faulty inputs: the parent watches, a child tries, so that one that ends or hangs the child is known.

    python -m tests.fuzz.run --seconds 600 --first 0                    files, through the readers and converters
    python -m tests.fuzz.run --seconds 600 --first 0 --what kernels     bytes, through the compiled kernels
    python -m tests.fuzz.run --first 4711 --count 1                     one input again

Prints one line per kind of finding, with the command that shows it.  Exit code 1 where there are any.  How busy the
machine is changes how many inputs are tried, and nothing else: what hangs is told by the time that the child works.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

HANG_SECONDS = 60.0  # that the child works on one input
STUCK_SECONDS = 1800.0  # that it stays at one input and does not work
MEMORY_BYTES = 8 << 30
FREE = 16  # inputs that a child tries before any that counts: with them it imports and compiles, for minutes
TICKS = os.sysconf("SC_CLK_TCK")

Complaints = Callable[[Path, int], Iterator[str]]


@dataclass
class Findings:
    """How many inputs were tried, and which ones show what."""

    what: str = "files"
    tried: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    shown_by: dict[str, int] = field(default_factory=dict)

    def add(self, kind: str, number: int) -> None:
        """Notes a finding."""
        self.kinds[kind] += 1
        self.shown_by.setdefault(kind, number)

    def lines(self) -> list[str]:
        """One per kind, with the command that shows it again."""
        again = f"python -m tests.fuzz.run --what {self.what} --count 1 --first"
        return [f"{count:6,}  {again} {self.shown_by[kind]}: {kind}" for kind, count in self.kinds.most_common()]


def _of_files(folder: Path, number: int) -> Iterator[str]:
    from tests.fuzz.files import faulty
    from tests.fuzz.trial import complaints

    name, data = faulty(number)
    for complaint in complaints(folder, name, data):
        yield f"{name}: {complaint[:300]}"


def _of_scanners(folder: Path, number: int) -> Iterator[str]:
    from tests.fuzz.scanners import SCANNERS, kernel_complaints

    return kernel_complaints(SCANNERS, number)


def _of_kernels(folder: Path, number: int) -> Iterator[str]:
    from tests.fuzz.kernels import KERNELS
    from tests.fuzz.scanners import SCANNERS, kernel_complaints

    return kernel_complaints(SCANNERS | KERNELS, number)


WHAT: dict[str, Complaints] = {"files": _of_files, "scanners": _of_scanners, "kernels": _of_kernels}


def child(what: str, first: int, seconds: float, count: int | None, place: Path) -> None:
    """Tries one input after the other; its place is written down before each, and findings are printed."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    complaints, number = WHAT[what], first
    for free in range(FREE):
        list(complaints(place.parent, free))
    end = time.monotonic() + seconds
    noted = os.open(place, os.O_WRONLY)
    while count is None or number < first + count:
        if number > first and time.monotonic() > end:
            break
        _note(noted, number)
        for complaint in complaints(place.parent, number):
            _say(f"{number}\t{complaint}")
        number += 1
    _note(noted, number)
    _say(f"{number}\tend")


def _note(file: int, number: int) -> None:
    os.pwrite(file, b"%020d" % number, 0)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def search(what: str, first: int, seconds: float, count: int | None = None) -> Findings:
    """Tries inputs from a number on, for so many seconds or so many inputs."""
    findings = Findings(what)
    end = time.monotonic() + seconds
    while time.monotonic() < end and (count is None or findings.tried < count):
        left = None if count is None else count - findings.tried
        with tempfile.TemporaryDirectory(prefix="tokenmill-fuzz-") as folder:
            last, died = _watched(first, end - time.monotonic(), left, Path(folder), findings)
        findings.tried += last - first
        if died is not None:
            findings.add(died, last)
            findings.tried += 1
            last += 1
        first = last
    return findings


def _watched(first: int, seconds: float, count: int | None, folder: Path, findings: Findings) -> tuple[int, str | None]:
    """One child: the number it came to, and how it died, where it did."""
    place, said = folder / "place", folder / "said"
    place.write_text(str(first))
    command = [sys.executable, "-m", "tests.fuzz.run", "--what", findings.what, "--child", str(place)]
    command += ["--first", str(first), "--seconds", str(seconds)]
    command += [] if count is None else ["--count", str(count)]
    environment = {**os.environ, "NUMBA_BOUNDSCHECK": "1"} if findings.what != "files" else None
    with open(said, "wb") as out, open(folder / "error", "wb") as error:
        process = subprocess.Popen(command, stdout=out, stderr=error, env=environment)
        died = _wait(process, place)
    for line in said.read_text(errors="replace").splitlines():
        number, _, what = line.partition("\t")
        if what and what != "end":
            findings.add(what, int(number))
    if died is not None and place.read_text() == str(first):
        died = f"before the first input: {died}"
    if died is None and process.returncode:
        died = f"exit {process.returncode}: {(folder / 'error').read_text(errors='replace')[-300:].strip()}"
    return int(place.read_text() or first), died


def _wait(process: subprocess.Popen[bytes], place: Path) -> str | None:
    """Waits for the child; ends it where it stays at one input."""
    before = seen = place.read_text(encoding="utf-8")
    worked, since = 0.0, time.monotonic()
    while process.poll() is None:
        time.sleep(0.2)
        now = place.read_text(encoding="utf-8")
        if now != seen:
            seen, worked, since = now, _work_seconds(process.pid), time.monotonic()
            continue
        works = now != before and _work_seconds(process.pid) - worked > HANG_SECONDS
        if works or time.monotonic() - since > STUCK_SECONDS:
            process.kill()
            process.wait()
            return f"no end within {HANG_SECONDS:g} s of work" if works else f"it waits for {STUCK_SECONDS:g} s"
    return None


def _work_seconds(pid: int) -> float:
    """CPU seconds of a process so far; 0 once it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--what", choices=sorted(WHAT), default="files")
    parser.add_argument("--seconds", type=float, default=30.0, help="to try inputs for")
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--count", type=int, help="inputs to try at most")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child is not None:
        child(arguments.what, arguments.first, arguments.seconds, arguments.count, arguments.child)
        return
    findings = search(arguments.what, arguments.first, arguments.seconds, arguments.count)
    _say(f"{findings.tried:,} {arguments.what} tried, from {arguments.first:,} on")
    _say("\n".join(findings.lines()))
    sys.exit(bool(findings.kinds))


if __name__ == "__main__":
    main()
