"""What a report shows, as plain data: filled by the modules beside, drawn by plots.py, written by page.py."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.base.words import counted
from pipeline.recipe.load import Recipe
from pipeline.recipe.rule_sets import RULE_SETS, Rule
from pipeline.report.labels import BOUNDS

UNKNOWN = "unknown"
MIXES = ("source", "language", "licence")
DOUBTFUL_SCORE = 0.5  # extraction_score below which the text of a page is doubtful


@dataclass
class FunnelRow:
    """A row of the funnel; ``kind`` is "total" (what is left) or "loss" (what goes here)."""

    name: str
    count: int
    share: float
    kind: str
    before: float = 0.0  # share of the records that were left before this loss
    anchor: str = ""


@dataclass
class Example:
    """A document, or a record that never became one, as the page shows it."""

    title: str
    facts: list[str]
    head: str
    reasons: list[str] = field(default_factory=list)
    measured: list[str] = field(default_factory=list)
    note: str = ""  # why there is nothing of it to read


@dataclass
class Reason:
    """One reason of one stage: how many it took, of what, and examples.

    ``alone`` counts documents that failed nothing else: those that come back when the rule goes.
    """

    stage: str
    name: str
    documents: int = 0
    alone: int = 0
    words: str = ""  # what it means, where its name does not say it all
    of: dict[str, Counter[str]] = field(default_factory=lambda: {name: Counter() for name in MIXES})
    examples: list[Example] = field(default_factory=list)


@dataclass
class Mix:
    """Documents and their bytes by some property, before and after curation."""

    documents: Counter[str] = field(default_factory=Counter)
    kept: Counter[str] = field(default_factory=Counter)
    bytes: Counter[str] = field(default_factory=Counter)
    kept_bytes: Counter[str] = field(default_factory=Counter)

    def rows(self, most: int = 12) -> list[dict[str, Any]]:
        """The largest groups, and the rest as one row."""
        names = sorted(self.documents, key=lambda name: (-self.documents[name], name))
        rows = [self._row(name, [name]) for name in names[:most]]
        return rows + ([self._row(counted(len(names) - most, "other"), names[most:])] if len(names) > most else [])

    def _row(self, shown: str, names: list[str]) -> dict[str, Any]:
        sums = {
            key: sum(getattr(self, key)[name] for name in names) for key in ("documents", "kept", "bytes", "kept_bytes")
        }
        totals = {key: sum(getattr(self, key).values()) or 1 for key in sums}
        weighed = "bytes" if self.bytes else "documents"
        kept_weighed = "kept_bytes" if self.bytes else "kept"
        return {
            "name": shown,
            **sums,
            "before": sums[weighed] / totals[weighed],
            "after": sums[kept_weighed] / totals[kept_weighed],
            "yield": sums["kept"] / sums["documents"] if sums["documents"] else 0.0,
        }


@dataclass
class PageType:
    """Web pages of one type: documents, how many are kept, and what their texts are likely to be worth."""

    documents: int = 0
    kept: int = 0
    scores: float = 0.0  # sum over the documents
    doubtful: int = 0  # below DOUBTFUL_SCORE

    @property
    def score(self) -> float:
        """The mean."""
        return self.scores / self.documents if self.documents else 0.0


@dataclass
class Threshold:
    """One rule over a signal: the side that fails, its threshold, and how many documents failed it."""

    reason: str
    bound: str  # "min" or "max"
    value: float
    failed: int

    @property
    def words(self) -> str:
        """What the rule asks: at least, or at most."""
        return BOUNDS[self.bound]


@dataclass
class Signal:
    """A signal that rules look at: its values over (a sample of) the documents that were judged."""

    name: str
    description: str
    values: NDArray[np.float32]
    thresholds: list[Threshold]


class Compared(NamedTuple):
    """The two sides of a near-duplicate, as pieces that are the same or not."""

    removed: list[Any]
    kept: list[Any]


@dataclass
class Cluster:
    """A cluster of duplicates, by the removed document most unlike the one kept in its place."""

    cluster_id: str
    removed: int
    rule: str
    similarity: float
    doc_id: str
    kept_id: str
    facts: list[str] = field(default_factory=list)
    texts: Compared | None = None


@dataclass
class Figures:
    """Everything the page shows."""

    funnel: list[FunnelRow] = field(default_factory=list)
    reasons: dict[str, list[Reason]] = field(default_factory=dict)  # by stage, largest first
    mixes: dict[str, Mix] = field(default_factory=lambda: defaultdict(Mix))
    page_types: dict[str, PageType] = field(default_factory=lambda: defaultdict(PageType))
    doubtful_pages: list[Example] = field(default_factory=list)  # kept, the lowest scores first
    lengths_kept: list[int] = field(default_factory=list)
    lengths_dropped: list[int] = field(default_factory=list)
    lengths_of: int = 0  # documents that the lengths are of
    signals: list[Signal] = field(default_factory=list)
    sampled: int = 0
    judged: int = 0
    clusters: list[Cluster] = field(default_factory=list)
    cluster_sizes: dict[int, int] = field(default_factory=dict)
    similarities: list[float] = field(default_factory=list)
    removed_exact: int = 0
    removed_near: int = 0
    tokens: dict[str, Any] = field(default_factory=dict)
    tokenizer: dict[str, Any] = field(default_factory=dict)
    training: list[dict[str, Any]] = field(default_factory=list)
    validation: list[dict[str, Any]] = field(default_factory=list)
    result: dict[str, Any] = field(default_factory=dict)
    samples: list[dict[str, Any]] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    machine: dict[str, str] = field(default_factory=dict)
    commands: list[dict[str, str]] = field(default_factory=list)
    conservation: list[str] = field(default_factory=list)
    empty_files: list[str] = field(default_factory=list)

    def count(self, name: str) -> int:
        """The count of a row of the funnel; 0 where it has no such row."""
        return next((row.count for row in self.funnel if row.name == name), 0)


def rule_of(reason: str) -> Rule | None:
    """The rule that a reason ``<rule set>.<rule>`` names, or None where it is no rule over a signal."""
    rule_set, _, name = reason.partition(".")
    return next((rule for rule in RULE_SETS.get(rule_set, ()) if rule.name == name), None)


def threshold_of(recipe: Recipe, reason: str) -> float:
    """The threshold of a rule in this recipe (that of all languages)."""
    rule_set, _, name = reason.partition(".")
    own = getattr(recipe.filter, rule_set, {}).get(name)
    rule = rule_of(reason)
    assert rule is not None, reason
    return float(rule.default if own is None else own)
