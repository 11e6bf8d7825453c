"""What a search has found: the rows of the tables that records end in, and what was asked for."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipeline.base.errors import UserError
from pipeline.run.tables import DOCUMENTS, EXCLUDED, QUARANTINE

TABLES = (DOCUMENTS, QUARANTINE, EXCLUDED)
LIMIT = 20  # records listed


@dataclass(frozen=True)
class Rows:
    """Rows of one shard of a table that a record ends in; ``table`` is its number in ``TABLES``."""

    table: int
    shard: str
    rows: NDArray[np.int64]


@dataclass(frozen=True)
class Found:
    """What was found.

    Attributes:
        asked: As it was given.
        kind: doc_id | url | id | path | phrase.
        taken_for: The same in words, such as "a file's name".
        places: All of it: documents first, each table in the order of the run.
        note: What else a person should know; may be empty.
    """

    asked: str
    kind: str
    taken_for: str
    places: list[Rows] = field(default_factory=list)
    note: str = ""

    @property
    def count(self) -> int:
        """Records found."""
        return sum(len(place.rows) for place in self.places)

    @property
    def documents(self) -> int:
        """Those of them that became documents."""
        return sum(len(place.rows) for place in self.places if place.table == 0)

    def first(self, limit: int | None) -> Iterator[Rows]:
        """The places of the first ``limit`` records; None: of all."""
        left = self.count if limit is None else limit
        for place in self.places:
            if left > 0:
                yield Rows(place.table, place.shard, place.rows[:left])
            left -= len(place.rows)


def phrase_pattern(phrase: str, space: str = r"\s+") -> str:
    """A pattern of the words of a phrase with ``space`` between them.

    Raises:
        UserError: If there are none.
    """
    words = phrase.split()
    if not words:
        raise UserError("a phrase has at least one word")
    return space.join(re.escape(word) for word in words)
