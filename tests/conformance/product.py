"""Feeds cases to the program, as a user would; a batch that fails is halved until the file that fails it is known."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.run.manifest import load_manifests, total_counts
from tests.conformance.cases import Case, Finding, Row, Rows, Settings

TABLES = {"documents": "documents", "excluded": "excluded", "quarantine": "quarantined"}
BATCH_SECONDS, FILE_SECONDS = 1200, 60
REPOSITORY = Path(__file__).parents[2]


@dataclass
class Outcome:
    """What became of the cases of a suite.

    Attributes:
        rows: By the case's place.
        counts: ``records_in``, ``documents``, ``excluded``, ``quarantined``, and the bytes of each.
        findings: Deaths, hangs, and sums that do not hold.
        strange: Rows whose path is no case's.
    """

    rows: dict[str, Rows] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    strange: list[str] = field(default_factory=list)

    def merge(self, other: "Outcome") -> "Outcome":
        """Both together."""
        for name, count in other.counts.items():
            self.counts[name] = self.counts.get(name, 0) + count
        self.rows |= other.rows
        self.findings += other.findings
        self.strange += other.strange
        return self


def clean(cases: Sequence[Case], folder: Path) -> Outcome:
    """Runs the clean stage over all cases at once; over ever fewer where that fails.

    Args:
        cases: Whose places differ.
        folder: For inputs and runs; nothing stays in it.
    """
    if not cases:
        return Outcome()
    shutil.rmtree(folder, ignore_errors=True)
    names = _written(cases, folder)
    command = ["run", str(folder / "recipe.toml"), "--root", str(folder / "run"), "--stages", "clean", "--json"]
    seconds = FILE_SECONDS if len(cases) == 1 else BATCH_SECONDS
    code, out, said = tokenmill(command, folder, seconds)
    if code == 0:
        outcome = _loaded(folder / "run", names, json.loads(out)["stages"]["clean"])
        shutil.rmtree(folder, ignore_errors=True)
        return outcome
    if len(cases) == 1:
        kind, detail = ("HANG", f"no end within {seconds} s") if code is None else ("DEATH", f"exit {code}: {said}")
        return Outcome(findings=[Finding(kind, cases[0].place, detail)])
    half = len(cases) // 2
    return clean(cases[:half], folder).merge(clean(cases[half:], folder))


def tokenmill(arguments: Sequence[str], folder: Path, seconds: float) -> tuple[int | None, str, str]:
    """Exit code (None: it was ended for its time), standard output, and the last line that it said."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    program = [sys.executable, "-c", "from flows.cli.app import main; main()", *arguments]
    with open(folder / "said", "wb") as said:
        process = subprocess.Popen(
            program, stdout=subprocess.PIPE, stderr=said, cwd=folder, env=environment, start_new_session=True
        )
        try:
            out, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return None, "", ""
    last = (folder / "said").read_text("utf-8", "replace").strip().splitlines()[-1:]
    return process.returncode, out.decode(), "".join(last)[:300]


def _written(cases: Sequence[Case], folder: Path) -> dict[str, dict[str, str]]:
    """Writes input files and the recipe; the cases' places by source and path."""
    sources: dict[Settings, str] = {}
    names: dict[str, dict[str, str]] = {}
    for case in cases:
        source = sources.setdefault(case.settings, f"s{len(sources):04d}")
        target = folder / "in" / source / case.place
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(case.data)
        names.setdefault(source, {})[case.place] = case.place
    recipe: list[str] = ['name = "conformance"', 'stages = ["clean"]']
    for settings, source in sources.items():
        recipe += ["[[sources]]", f'name = "{source}"', f"paths = [{_toml(str(folder / 'in' / source))}]"]
        recipe += [f"{key} = {_toml(value)}" for key, value in settings.recipe().items()]
    recipe += ["[clean]", "max_quarantined = 1.0", 'pii = "off"', "fix_mojibake = false"]
    (folder / "recipe.toml").write_text("\n".join(recipe) + "\n", encoding="utf-8")
    return names


def _toml(value: str | dict[str, str]) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(name)}" for key, name in value.items()) + " }"
    return json.dumps(value).replace("\x7f", "\\u007f")


def _loaded(root: Path, names: dict[str, dict[str, str]], counts: dict[str, Any]) -> Outcome:
    outcome = Outcome({place: Rows() for places in names.values() for place in places})
    for folder, table in TABLES.items():
        for row in _rows(root / folder):
            place = _place(row["path"], names[row["source"]])
            if place is None:
                outcome.strange.append(row["path"])
            else:
                getattr(outcome.rows[place], table).append(row)
    manifests = total_counts(load_manifests(str(root), "clean").values())
    kinds = ("records_in", "documents", "excluded", "quarantined")
    parts = ("bytes_documents", "bytes_excluded", "bytes_quarantined", "bytes_framing")
    outcome.counts = {kind: counts[kind] for kind in kinds}
    outcome.counts |= {name: manifests.get(name, 0) for name in ("bytes_in", *parts)}
    found = sum(rows.total for rows in outcome.rows.values()) + len(outcome.strange)
    if not sum(outcome.counts[kind] for kind in kinds[1:]) == outcome.counts["records_in"] == found:
        outcome.findings.append(Finding("SILENT", "all", f"{outcome.counts}, {found} rows"))
    if sum(outcome.counts[part] for part in parts) != outcome.counts["bytes_in"]:
        outcome.findings.append(Finding("BYTES", "all", str(outcome.counts)))
    return outcome


def _rows(folder: Path) -> list[Row]:
    rows: list[Row] = []
    for path in sorted(folder.glob("*.arrow")):
        with pa.memory_map(str(path)) as mapped:
            rows += pa.ipc.open_file(mapped).read_all().to_pylist()
    return rows


def _place(path: str, places: dict[str, str]) -> str | None:
    """The case that a row's path belongs to; a member of an archive is named below it."""
    while path and path not in places:
        path = path.rpartition("/")[0]
    return places.get(path)
