"""What another threshold would do: the funnel under a changed recipe against the one as it is, from stored signals.

Only signals and a few document columns are read; text only for the examples.  Nothing is written.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.base import storage
from pipeline.base.errors import UserError
from pipeline.base.progress import each
from pipeline.filter.rules.document_rules import DOCUMENT_COLUMNS, read_blocklist
from pipeline.filter.rules.predicates import Failures, Mask
from pipeline.filter.rules.verdicts import all_failures, cut_bytes, wanted_cuts
from pipeline.filter.stage import signal_config
from pipeline.recipe.filter_options import Filter
from pipeline.recipe.load import Recipe, load_recipe
from pipeline.recipe.rule_sets import RULES
from pipeline.run import layout
from pipeline.run.context import Context
from pipeline.run.folder import Run
from pipeline.run.manifest import load_manifests, total_counts
from pipeline.run.table_files import batches, read_table
from pipeline.run.tables import DOCUMENTS, SIGNALS
from pipeline.run.tables.alive import alive

BYTES_PER_TOKEN = 4.0  # where the run has no tokens yet
EXAMPLE_CHARACTERS = 300


@dataclass
class Funnel:
    """What the filter stage keeps and drops under one recipe."""

    documents_in: int = 0
    kept: int = 0
    cut: int = 0
    kept_bytes: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    alone: Counter[str] = field(default_factory=Counter)
    sources: Counter[str] = field(default_factory=Counter)

    def add(self, failures: Failures, alive: Mask, cuts: dict[int, list[int]], sizes: Any, source: str) -> Mask:
        """Counts one shard; returns which of its documents are kept."""
        kept: Mask = alive & ~failures.any()
        number = int(np.count_nonzero(kept))
        taken = cut_bytes(cuts, len(kept))
        self.cut += int(np.count_nonzero(kept & (taken > 0)))
        self.kept_bytes -= int(taken[kept].sum())
        self.documents_in += int(np.count_nonzero(alive))
        self.kept += number
        self.kept_bytes += int(sizes[kept].sum())
        self.reasons.update(failures.counts(alive))
        self.alone.update(failures.alone(alive))
        self.sources[source] += number
        return kept

    def as_dict(self, tokens_a_byte: float) -> dict[str, Any]:
        """For ``--json``; tokens are an estimate."""
        return {
            "documents_in": self.documents_in,
            "kept": self.kept,
            "cut": self.cut,
            "dropped": self.documents_in - self.kept,
            "tokens_estimated": round(self.kept_bytes * tokens_a_byte),
            "reasons": dict(sorted(self.reasons.items())),
            "alone": dict(sorted(self.alone.items())),
            "sources": dict(sorted(self.sources.items())),
        }


@dataclass
class Freed:
    """Documents that pass a rule they failed before, and which rules then still fail them."""

    documents: Counter[str] = field(default_factory=Counter)  # by the rule they would pass
    still: dict[str, Counter[str]] = field(default_factory=dict)  # that rule -> rule they fail nevertheless
    still_documents: Counter[str] = field(default_factory=Counter)

    def add(self, old: Failures, new: Failures, alive: Mask) -> None:
        """Counts one shard."""
        now = dict(zip(new.reasons, new.masks, strict=True))
        fails_now = new.any()
        for reason, mask in zip(old.reasons, old.masks, strict=True):
            passes = mask & alive & ~now[reason] if reason in now else mask & alive
            held = passes & fails_now
            self.documents[reason] += int(np.count_nonzero(passes))
            self.still_documents[reason] += int(np.count_nonzero(held))
            if held.any():
                self.still.setdefault(reason, Counter()).update(new.counts(held))

    def as_dict(self) -> dict[str, dict[str, Any]]:
        """By rule: documents that would pass it, those of them that another rule still fails, and which rules."""
        return {
            reason: {
                "would_pass": self.documents[reason],
                "still_failing": self.still_documents[reason],
                "by": dict(self.still[reason].most_common()),
            }
            for reason in sorted(self.still)
        }


def changed_recipe(root: str, overrides: Sequence[str]) -> tuple[Run, Recipe]:
    """The run, and its recipe under the overrides.

    Raises:
        UserError: If there is no such run, an override is not of the filter section, or it needs other signals.
    """
    run = Run.open(root)
    foreign = [override for override in overrides if not override.strip().startswith("filter.")]
    if foreign:
        raise UserError(f"--set {foreign[0]}: only filter.* can be looked at here; `tokenmill run` applies the rest")
    recipe = load_recipe(run.url(layout.RECIPE), overrides)
    if signal_config(recipe.filter) != signal_config(run.recipe.filter):
        raise UserError(
            "this change needs signals that the run does not have (classifiers, evaluation sets, bad words and "
            "datatrove filters read the text): put it into the recipe and use `tokenmill run`"
        )
    return run, recipe


def what_if(root: str, overrides: Sequence[str], examples: int = 3) -> dict[str, Any]:
    """The funnel as it is and under the overrides, with examples of documents that would come in and go out.

    Args:
        root: The run folder, its filter stage done.
        overrides: ``filter.…=value``.
        examples: Documents to show of each kind.
    """
    run, recipe = changed_recipe(root, overrides)
    context = Context(run, dry=True)
    before, after = Funnel(), Funnel()
    freed = Freed()
    moved: dict[str, list[dict[str, Any]]] = {"come_in": [], "go_out": []}
    counts = dict.fromkeys(moved, 0)
    shards = list(context.document_shards())
    if not shards or not context.manifests("filter.signals"):
        raise UserError(f"{root}: has no signals yet; `tokenmill run` with the filter stage makes them")
    lists = {path: read_blocklist(path) for path in {r.filter.url.blocklist for r in (run.recipe, recipe)}}
    for shard in each(shards, "filter", "shard"):
        signals, documents, judged, source = _load(context, shard)
        sizes = signals["byte_count"].to_numpy()
        old, new = (
            all_failures(signals, documents, r.filter, lists[r.filter.url.blocklist]) for r in (run.recipe, recipe)
        )
        was = before.add(old, judged, wanted_cuts(signals, run.recipe.filter), sizes, source)
        will = after.add(new, judged, wanted_cuts(signals, recipe.filter), sizes, source)
        freed.add(old, new, judged)
        for name, mask, failures in (("come_in", will & ~was, old), ("go_out", was & ~will, new)):
            rows = np.flatnonzero(mask)
            counts[name] += len(rows)
            wanted = rows[: max(0, examples - len(moved[name]))]
            moved[name] += _examples(run, shard, wanted.tolist(), failures, source)
    ratio, exact = tokens_a_byte(run, before)
    return {
        "root": root,
        "overrides": list(overrides),
        "without_effect": _without_effect(overrides, recipe.filter.rules),
        "before": before.as_dict(ratio),
        "after": after.as_dict(ratio),
        "still_failing": freed.as_dict(),
        "tokens_a_byte": {"value": ratio, "from": "the run's tokens" if exact else "an assumption"},
        **{name: {"documents": counts[name], "examples": moved[name]} for name in moved},
    }


def funnel_of(context: Context, shard: str, options: Filter) -> Funnel:
    """What these rules would keep of one shard, by its signals; of what earlier stages have left."""
    signals, documents, judged, source = _load(context, shard)
    failures = all_failures(signals, documents, options, read_blocklist(options.url.blocklist))
    funnel = Funnel()
    funnel.add(failures, judged, wanted_cuts(signals, options), signals["byte_count"].to_numpy(), source)
    return funnel


def _without_effect(overrides: Sequence[str], rules: Sequence[str]) -> list[str]:
    """Overrides of a rule set that does not judge, in words."""
    found = []
    for override in overrides:
        parts = override.split("=", 1)[0].strip().split(".")
        if len(parts) > 2 and parts[1] in RULES and parts[1] not in rules:
            asked = ", ".join(f'"{name}"' for name in (*rules, parts[1]))
            found.append(
                f"{override}: changes nothing, for {parts[1]} is none of the rule sets of this run "
                f"({', '.join(rules) or 'none'}); --set 'filter.rules=[{asked}]' adds it"
            )
    return found


def _load(context: Context, shard: str) -> tuple[pa.Table, pa.Table, Mask, str]:
    run = context.run
    signals = read_table(run.local(layout.signals(shard)), SIGNALS)
    path = run.local(layout.documents(shard))
    documents = read_table(path, DOCUMENTS, DOCUMENT_COLUMNS)
    verdicts = [run.local(path) for path in context.verdict_inputs("filter", shard)]
    source = (documents.schema.metadata or {}).get(b"tokenmill.source", b"").decode()
    return signals, documents, alive(verdicts, signals.num_rows), source


def _examples(run: Run, shard: str, rows: list[int], failures: Failures, source: str) -> list[dict[str, Any]]:
    """The documents of ``rows``: only their record batches are read."""
    found: list[dict[str, Any]] = []
    start = 0
    if not rows:
        return found
    for batch in batches(run.local(layout.documents(shard)), DOCUMENTS, ["doc_id", "text", "url", "path", "offset"]):
        inside = [row for row in rows if start <= row < start + batch.num_rows]
        for row in inside:
            text = batch["text"][row - start].as_py()
            reasons = [r for r, m in zip(failures.reasons, failures.masks, strict=True) if m[row]]
            found.append(
                {
                    "doc_id": batch["doc_id"][row - start].as_py().hex(),
                    "source": source,
                    "path": batch["path"][row - start].as_py(),
                    "offset": batch["offset"][row - start].as_py(),
                    "url": batch["url"][row - start].as_py(),
                    "reasons": reasons,
                    "text": text[:EXAMPLE_CHARACTERS],
                }
            )
        start += batch.num_rows
        if start > rows[-1]:
            break
    return found


def tokens_a_byte(run: Run, funnel: Funnel) -> tuple[float, bool]:
    """Tokens per byte of text, and whether they are those of the run's own tokens or an assumption."""
    tokens = total_counts(load_manifests(run.root, "tokenize").values()).get("tokens", 0)
    if tokens and funnel.kept_bytes and storage.exists(run.url(layout.stage_manifest("tokenize"))):
        return tokens / funnel.kept_bytes, True
    return 1 / BYTES_PER_TOKEN, False
