"""Checks what came of a suite's cases, and sums it up."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.conformance.cases import Case, Finding
from tests.conformance.product import Outcome
from tests.conformance.reasons import reason_of

GRAVE = ("DEATH", "HANG", "SILENT")


@dataclass
class Result:
    """A suite's line: JSON values only."""

    suite: str
    files: int
    counts: dict[str, int]
    deaths: int = 0
    hangs: int = 0
    silent: int = 0
    deviations: int = 0
    named: list[dict[str, Any]] = field(default_factory=list)  # reason, kind, count, example
    unnamed: list[dict[str, Any]] = field(default_factory=list)  # the findings themselves
    notes: list[str] = field(default_factory=list)
    sources: list[dict[str, Any]] = field(default_factory=list)  # address, commit, files that the clone lacks
    dedup: dict[str, int] = field(default_factory=dict)  # records_in, records_kept, records_quarantined


def result(suite: str, cases: Sequence[Case], outcome: Outcome, law: Sequence[Finding]) -> Result:
    """The line of a suite."""
    found = [*outcome.findings, *law, *_checked(cases, outcome)]
    scores = _scores(found)
    found = [finding for finding in found if finding.kind != "SCORE"]
    kinds = Counter(finding.kind for finding in found)
    silent = sum(finding.records for finding in found if finding.kind == "SILENT")
    deviations = sum(count for kind, count in kinds.items() if kind not in GRAVE)
    made = Result(suite, len(cases), outcome.counts, kinds["DEATH"], kinds["HANG"], silent, deviations, notes=scores)
    groups: dict[tuple[str, str], list[Finding]] = {}
    for finding in found:
        reason = reason_of(suite, finding)
        if reason is None:
            made.unnamed.append(asdict(finding))
        else:
            groups.setdefault((finding.kind, reason), []).append(finding)
    for (kind, reason), group in groups.items():
        made.named.append({"kind": kind, "reason": reason, "count": len(group), "example": group[0].case})
    return made


def _checked(cases: Sequence[Case], outcome: Outcome) -> Iterator[Finding]:
    for case in cases:
        rows = outcome.rows.get(case.place)
        if rows is None:
            continue  # it died or hung, which was said
        for kind, detail, records in case.check(rows):
            yield Finding(kind, case.place, detail, records)
        for row in rows.quarantined:
            if row["reason"] == "process_died":
                yield Finding("DEATH", case.place, f"contained, and told in the quarantine: {row['detail']}")
    for path in outcome.strange:
        yield Finding("VALUE", path, "a row whose path is no input's")


def _scores(found: Sequence[Finding]) -> list[str]:
    """Means by group of what cases score."""
    values: dict[str, list[float]] = {}
    for finding in found:
        if finding.kind == "SCORE":
            values.setdefault(finding.case.partition("/")[0], []).append(float(finding.detail))
    return [
        f"{group}: mean score {sum(scores) / len(scores):.3f} of 10 ({len(scores)} files)"
        for group, scores in values.items()
    ]
