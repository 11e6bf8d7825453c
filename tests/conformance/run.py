"""The command: runs suites from clones, says how they went, and writes the page.

    python -m tests.conformance.run --suites FOLDER [--only NAME] [--write]

Exit code 1 where a file ends a process, hangs, is lost in silence, or deviates without a reason that is written down.
"""

import argparse
import datetime
import importlib
import json
import os
import pkgutil
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from pipeline import __version__
from tests.conformance import page, suites
from tests.conformance.apart import Apart, DiedError, HungError
from tests.conformance.cases import Case, Finding
from tests.conformance.clones import Clone, Clones, MissingSuiteError
from tests.conformance.dedup import dedup
from tests.conformance.judge import Result, result
from tests.conformance.law import complaints
from tests.conformance.product import clean

COMMAND = "make conformance SUITES=FOLDER"
REPOSITORY = Path(__file__).parents[2]
PAGE = REPOSITORY / "docs" / "conformance.md"
FILE_SECONDS = 60
SHOWN = 8
DEEP = 20_000  # frames: some files nest a thousand values in each other, and are compared
ORDER = (
    *("JSONTestSuite", "simdjson-data", "arrow-testing", "parquet-testing", "Pollock", "csv-spectrum", "xz"),
    *("WARC readers", "llhttp", "html5lib-tests", "traversal-archives", "naughty strings", "unicode_lipsum"),
    "textract",
)


def known_suites() -> dict[str, suites.Suite]:
    """All suites, in the order of the table."""
    for module in pkgutil.iter_modules(suites.__path__):
        importlib.import_module(f"{suites.__name__}.{module.name}")
    return {name: suites.ALL[name] for name in ORDER}


def run_suite(suite: suites.Suite, clones: Clones, folder: Path) -> Result:
    """One suite.

    Raises:
        MissingSuiteError: If its files are not there.
    """
    used = [clones.get(repository) for repository in suite.repositories]
    cases = list({case.place: case for case in suite.cases(*used)}.values())
    if not cases:
        places = ", ".join(str(clone.folder) for clone in used)
        raise MissingSuiteError(f"{places}: none of its files is there")
    outcome = clean(cases, folder / "clean")
    second = dedup(cases, outcome, folder / "dedup")
    made = result(suite.name, cases, outcome, [*law(cases, folder / "law"), *second.findings])
    made.dedup = dict(second.counts)
    for repository, clone in zip(suite.repositories, used, strict=True):
        about = {"url": repository.url, "commit": clone.commit(), "absent": len(set(clone.absent))}
        made.sources.append(about)
    return made


def law(cases: Sequence[Case], folder: Path) -> list[Finding]:
    """Where the bytes of every file go, each read in a process apart."""
    found = []
    folder.mkdir(parents=True, exist_ok=True)
    with Apart(complaints, FILE_SECONDS) as apart:
        for case in cases:
            path = folder / case.name
            path.write_bytes(case.data)
            try:
                found += [Finding("BYTES", case.place, said) for said in apart(str(path), case.settings)]
            except (DiedError, HungError) as error:
                kind = "HANG" if isinstance(error, HungError) else "DEATH"
                found.append(Finding(kind, case.place, f"reading it alone: {error}"))
            path.unlink()
    return found


def machine() -> str:
    """What it was measured on, in words."""
    python = f"Python {platform.python_version()}"
    return f"{os.cpu_count()} cores of {platform.machine()}, {platform.system()} {platform.release()}, {python}"


def say(line: str) -> None:
    """A line of the command's own."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def told(made: Result, seconds: float) -> None:
    """Says how a suite went."""
    counts = ", ".join(f"{made.counts.get(kind, 0):,} {kind}" for kind in ("documents", "excluded", "quarantined"))
    grave = f"{made.deaths} deaths, {made.hangs} hangs, {made.silent} lost in silence, {made.deviations} deviations"
    say(
        f"{made.suite}: {made.files:,} files: {counts}; {grave}, {len(made.unnamed)} without a reason ({seconds:.0f} s)"
    )
    for note in made.notes:
        say(f"    {note}")
    for finding in made.unnamed[:SHOWN]:
        say(f"    {finding['kind']} {finding['case']}: {finding['detail'][:160]}")
    if len(made.unnamed) > SHOWN:
        say(f"    ... and {len(made.unnamed) - SHOWN} more")


def written(made: Sequence[Result]) -> None:
    """Puts results in the place of earlier ones of the same suites, and writes the page."""
    about = {"version": __version__, "machine": machine(), "command": COMMAND}
    about |= {"date": datetime.date.today().isoformat(), "tokenmill": Clone(REPOSITORY).commit()}
    results = page.renewed(page.RESULTS, [asdict(one) for one in made], ORDER, about)
    PAGE.write_text(page.page(results) + "\n", encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suites", type=Path, required=True, help="folder of clones, each named as its repository is")
    parser.add_argument("--only", action="append", default=[], help="a suite, by the beginning of its name")
    parser.add_argument("--no-fetch", action="store_true", help="clone nothing")
    parser.add_argument("--write", action="store_true", help="write results.json and docs/conformance.md")
    parser.add_argument("--json", type=Path, help="write the results there")
    options = parser.parse_args(arguments)
    sys.setrecursionlimit(DEEP)
    clones = Clones(options.suites.absolute(), not options.no_fetch)
    wanted = [
        suite for name, suite in known_suites().items() if not options.only or name.startswith(tuple(options.only))
    ]
    if not wanted:
        parser.error(f"--only: no suite begins so; there are {', '.join(ORDER)}")
    made, missing = all_of(wanted, clones, write=options.write)
    if options.json:
        options.json.write_text(json.dumps([asdict(one) for one in made], indent=1, ensure_ascii=False))
    for line in missing:
        say(f"not run: {line}")
    return int(not made or any(one.unnamed for one in made))


def all_of(wanted: Sequence[suites.Suite], clones: Clones, *, write: bool) -> tuple[list[Result], list[str]]:
    """Runs suites, and writes the page after each; what is missing of the others, in words."""
    made, missing = [], []
    folder = Path(tempfile.mkdtemp(prefix="tokenmill-conformance-"))
    try:
        for suite in wanted:
            started = time.monotonic()
            try:
                made.append(run_suite(suite, clones, folder))
            except MissingSuiteError as error:
                missing.append(f"{suite.name}: {error}")
                continue
            told(made[-1], time.monotonic() - started)
            if write:
                written(made[-1:])
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return made, missing


if __name__ == "__main__":
    sys.exit(main())
