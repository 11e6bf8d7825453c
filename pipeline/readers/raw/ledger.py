"""Where the bytes of an input go: into documents, excluded records, the quarantine, or framing.

1. ``Ledger``  what one part of an input has on disk, and how much its readers were given
2. ``Tally``   the lengths of the items that readers gave, by what became of them

The law: bytes on disk = documents + excluded + quarantined + framing.  Framing is what belongs to no item: line ends,
brackets, header rows, the directories of archives, padding.  Lengths in compressed data are scaled to the disk's bytes.
"""

from collections import Counter
from dataclasses import dataclass, field

DOCUMENTS, EXCLUDED, QUARANTINED, FRAMING = "documents", "excluded", "quarantined", "framing"


@dataclass
class Ledger:
    """One part of an input.

    Args:
        size: Its bytes on disk.
        given: Decompressed bytes that the readers of its format were given; counted as they are.
        rows: Its lines, where it is JSON Lines.
    """

    size: int = 0
    given: int = 0
    rows: int = 0


@dataclass
class Tally:
    """What became of the bytes of a partition; ``bytes_of`` is in bytes on disk once its parts are settled."""

    bytes_of: Counter[str] = field(default_factory=Counter)
    _lengths: Counter[str] = field(default_factory=Counter)
    _items: Counter[str] = field(default_factory=Counter)
    _lost: int = 0

    def add(self, kind: str, length: int | None, lost: int | None = None, given: int = 0) -> None:
        """Adds an item of the part that is read.

        Args:
            kind: What became of it.
            length: Of it in the decompressed input, where that is known.
            lost: Bytes on disk that could not be decompressed, where it is such a region; its length is not counted.
            given: Decompressed bytes that are lost with such a region.
        """
        self._items[kind] += lost != 0  # none of the input's bytes: something is told that they do not hold
        if lost is not None:
            self._lost += lost
            self._lengths[kind] += given
        else:
            self._lengths[kind] += length or 0

    def settle(self, ledger: Ledger) -> None:
        """Ends a part: its bytes on disk are shared out by the lengths of its items, or by their numbers without."""
        lost = min(self._lost, ledger.size)
        weights = self._lengths if self._lengths.total() else self._items
        whole = max(ledger.given if self._lengths.total() else 0, weights.total())
        shares = {kind: (ledger.size - lost) * weight // whole for kind, weight in weights.items() if weight}
        shares[QUARANTINED] = shares.get(QUARANTINED, 0) + lost
        shares[FRAMING] = ledger.size - sum(shares.values())
        self.bytes_of.update(shares)
        self._lengths.clear()
        self._items.clear()
        self._lost = 0

    def counts(self) -> dict[str, int]:
        """The numbers of a manifest."""
        kinds = (DOCUMENTS, EXCLUDED, QUARANTINED, FRAMING)
        return {"bytes_in": self.bytes_of.total()} | {f"bytes_{kind}": self.bytes_of[kind] for kind in kinds}
