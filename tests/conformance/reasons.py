"""Deviations that are meant, each with its reason; what stands here does not fail the command."""

import re
from dataclasses import dataclass

from tests.conformance.cases import Finding


@dataclass(frozen=True)
class Meant:
    """Findings that one reason explains.

    Args:
        suite: The suite.
        kind: Their kind.
        places: A regular expression of the files' places, or of the finding's words.
        reason: For the page.
    """

    suite: str
    kind: str
    places: str
    reason: str

    def explains(self, suite: str, finding: Finding) -> bool:
        """Whether a finding is one of these."""
        return (suite, finding.kind) == (self.suite, self.kind) and bool(
            re.search(self.places, f"{finding.case}: {finding.detail}")
        )


MEANT = (
    Meant(
        "llhttp",
        "VALUE",
        r"content-length \(lenient\)",
        "more body than the response's Content-Length says: all that the WARC record holds is kept",
    ),
)


def reason_of(suite: str, finding: Finding) -> str | None:
    """Why a finding is as it should be; None where it should not be."""
    return next((meant.reason for meant in MEANT if meant.explains(suite, finding)), None)
