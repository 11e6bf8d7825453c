"""Mojibake: ftfy's own cases, as the clean stage mends them line by line, or leaves them alone."""

import json
from collections.abc import Iterator

from pipeline.clean.normalise import normalise
from tests.conformance.clones import Clone, Repository
from tests.conformance.facts.figures import Figure, measure

CASES = "tests/test-cases/"
KNOWN_FAILURES = "known-failures"  # of ftfy itself


@measure("python-ftfy", Repository("rspeer", "python-ftfy"))
def mojibake(clone: Clone) -> Iterator[Figure]:
    """Texts that must be mended and are, and sound ones that stay as they are."""
    mended: list[bool] = []
    left: list[bool] = []
    for path, data in clone.files(CASES):
        if not path.endswith(".json") or KNOWN_FAILURES in path:
            continue
        for case in json.loads(data):
            original, fixed = case["original"], case.get("fixed-encoding", case["fixed"])
            (mended if fixed != original else left).append(_cleaned(original) == _otherwise_cleaned(fixed))
    yield Figure("mojibake: mended as ftfy's encoding step mends it", sum(mended), len(mended))
    yield Figure("sound text: left as it is", sum(left), len(left))


def _cleaned(text: str) -> str:
    return normalise([text])[0][0]


def _otherwise_cleaned(text: str) -> str:
    """What cleaning does beside the repair, so that only that is compared."""
    return normalise([text], fix_mojibake=False)[0][0]
