"""A takedown by path or phrase: what a person has described, not named, so that what was found is shown first.

More than one document is taken down only where that was asked for; and a damaged record that has the phrase in its
first bytes is told of: it is no document, and its bytes stay in quarantine/.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.base.errors import UserError
from pipeline.lookup import find, listing, scans
from pipeline.lookup.found import LIMIT, Found
from pipeline.lookup.locate import Located
from pipeline.run.folder import Run
from pipeline.run.ledger import Ledger, Removed, key_hash

SHOWN = 10  # documents of a search that is refused
HOW = {"--path": scans.by_path, "--phrase": scans.by_phrase}


@dataclass(frozen=True)
class Search:
    """What one ``--path`` or ``--phrase`` has found.

    Attributes:
        option: ``--path`` or ``--phrase``.
        found: Everything, as ``explain`` finds it.
        documents: The documents that are still there.
        gone: Those that were taken down before.
    """

    option: str
    found: Found
    documents: list[Located]
    gone: list[Removed]

    @property
    def name(self) -> str:
        """As it stands on the command line."""
        return f"{self.option} {self.found.asked!r}"

    def as_json(self, run: Run) -> dict[str, Any]:
        """What was found, with the first records."""
        shown = listing.as_json(run, self.found, listing.listing(run, self.found))
        return {"option": self.option, **{key: value for key, value in shown.items() if key != "root"}}

    def as_text(self, run: Run, limit: int = LIMIT) -> str:
        """The same for a person."""
        return listing.as_text(self.found, listing.listing(run, self.found, limit), "")


def search(run: Run, option: str, value: str, removed: Ledger) -> Search:
    """Looks for the documents.

    Raises:
        UserError: If there is none, and was none.
    """
    found = HOW[option](run, value)
    places = find.located(run, found)
    gone = [removed.documents[p.doc_id.hex()] for p in places if p.doc_id.hex() in removed.documents]
    if option == "--phrase" and not places:  # its text is gone with it; the request knows the hash of the phrase
        gone = _gone(removed, hash_of(option, value))
    made = Search(option, found, [p for p in places if p.doc_id.hex() not in removed.documents], gone)
    if not places and not gone:
        others = f"; {made.as_text(run)}\n{STAYS}" if found.places else ""
        raise UserError(f"{made.name}: no document of the run{others}")
    return made


STAYS = (
    "What became no document has no row to be emptied: quarantine/ keeps the first 256 bytes of a damaged record. "
    "Remove it from the raw input, and `tokenmill run` makes the table without it"
)


def _gone(removed: Ledger, key: str) -> list[Removed]:
    requests = {r["request"] for r in removed.requests if key in (*r.get("paths", ()), *r.get("phrases", ()))}
    return [one for one in removed.documents.values() if one.request in requests]


def hash_of(option: str, value: str) -> str:
    """How the ledger names a search: what a person looked for may be what has to go."""
    return key_hash(option.removeprefix("--"), value)


def require_one_each(run: Run, searches: Sequence[Search]) -> None:
    """Refuses searches that fit several documents.

    Raises:
        UserError: With what was found.
    """
    for one in ambiguous(searches):
        raise UserError(
            f"{one.name} fits {len(one.documents):,} documents, and none was taken down: --all-matches takes all of "
            f"them, --ids DOC_ID one. {one.as_text(run, SHOWN)}"
        )


def ambiguous(searches: Sequence[Search]) -> list[Search]:
    """Those that fit several documents."""
    return [one for one in searches if len(one.documents) > 1]
