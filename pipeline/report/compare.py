"""Two runs side by side: ``tokenmill report RUN_A RUN_B``.

1. What the recipes say differently.
2. The figures of both, and their difference.
3. Where both read the same documents: which ones only one of them keeps, and why the other does not.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from pipeline.base import storage
from pipeline.base.arrow import doc_id_array
from pipeline.base.errors import UserError
from pipeline.base.words import head, visible
from pipeline.recipe.load import toml_value
from pipeline.recipe.stage_names import JUDGES
from pipeline.report.collect import collect
from pipeline.report.documents import document_shards, documents_at, facts_of, judging_stages
from pipeline.report.figures import MIXES, Example, Figures, Mix
from pipeline.report.hidden import is_legible
from pipeline.report.labels import figure_label
from pipeline.report.page import RESULTS, WORST_FIRST, commands_of, places_of, render_page
from pipeline.report.plots import training_charts
from pipeline.report.summary import tiles
from pipeline.report.training import finite
from pipeline.report.written import number
from pipeline.run import layout
from pipeline.run.folder import Run
from pipeline.run.table_files import read_table
from pipeline.run.tables import DOCUMENTS, VERDICTS
from pipeline.run.tables.alive import alive_in_run

DocIds = NDArray[Any]  # 16 bytes each, as one value
EXAMPLES = 6
REASONS_SHOWN = 40
HEAD_CHARACTERS = 300


@dataclass
class Shared:
    """Documents that both runs have, by who keeps them."""

    documents: int = 0
    both: int = 0
    neither: int = 0
    only: tuple[int, int] = (0, 0)
    examples: tuple[list[Example], list[Example]] = field(default_factory=lambda: ([], []))


def names_of(runs: tuple[Run, Run]) -> tuple[str, str]:
    """What to call the two: their recipes' names, or else their folders'.

    Raises:
        UserError: If both are the same run.
    """
    folders = [Path(run.root.rstrip("/")).name for run in runs]
    places = [run.root.rstrip("/") if not storage.is_local(run.root) else str(Path(run.root).resolve()) for run in runs]
    if places[0] == places[1]:
        raise UserError(f"{runs[0].root}: both runs are the same folder; name two different ones")
    labels = [run.recipe.name for run in runs]
    if labels[0] == labels[1]:
        labels = folders if folders[0] != folders[1] else _endings(places)
    return visible(labels[0]), visible(labels[1])


def _endings(places: list[str]) -> list[str]:
    """The ends of two places, from the last name on in which they differ.

    Example:
        >>> _endings(["/data/a/runs/demo", "/data/b/runs/demo"])
        ['a/runs/demo', 'b/runs/demo']
    """
    parts = [place.split("/") for place in places]
    most = max(map(len, parts))
    size = next(size for size in range(1, most + 1) if parts[0][-size:] != parts[1][-size:])
    return ["/".join(names[-size:]) for names in parts]


def compare_page(first: Run, second: Run) -> str:
    """The page of two runs.

    Raises:
        UserError: If they are the same.
    """
    runs = (first, second)
    names = names_of(runs)
    figures = (collect(first), collect(second))
    asked = [
        places_of(found).in_values(run.recipe.model_dump(mode="json")) for run, found in zip(runs, figures, strict=True)
    ]
    return render_page(
        "compare.html.j2",
        training_charts(list(zip(names, figures, strict=True))),
        {
            "title": f"{names[0]} and {names[1]}",
            "names": names,
            "figures": figures,
            "tiles": list(zip(*map(tiles, figures), strict=True)),
            "commands": [commands_of(found) for found in figures],
            "results": result_rows(figures),
            "changes": recipe_changes(*asked),
            "funnel": funnel_rows(figures),
            "reasons": reason_rows(figures),
            "mixes": {name: mix_rows(name, figures) for name in MIXES if any(f.mixes.get(name) for f in figures)},
            "shared": shared_documents(runs),
            "samples": sample_rows(figures),
        },
    )


def recipe_changes(first: Mapping[str, Any], second: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str, str]]:
    """Keys whose values differ, with both."""
    found: list[tuple[str, str, str]] = []
    for key in dict.fromkeys([*first, *second]):
        one, other = first.get(key), second.get(key)
        if one == other:
            continue
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            found += recipe_changes(one, other, f"{prefix}{key}.")
        elif _named(one) and _named(other):  # the sources, each by its name
            found += recipe_changes(_by_name(one), _by_name(other), f"{prefix}{key}.")
        else:
            found.append((f"{prefix}{key}", _value(one), _value(other)))
    return found


def _named(value: Any) -> TypeGuard[list[dict[str, Any]]]:
    return isinstance(value, list) and bool(value) and all(isinstance(v, Mapping) and "name" in v for v in value)


def _by_name(values: list[dict[str, Any]]) -> dict[str, Any]:
    return {str(value["name"]): value for value in values}


def _value(value: Any) -> str:
    """A value as a recipe has it; of a section only what it sets."""
    return "-" if value in (None, {}, []) else visible(toml_value(_set(value)))


def _set(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _set(item) for key, item in value.items() if item not in (None, {}, [])}
    return [_set(item) for item in value] if isinstance(value, list) else value


def _row(name: str, values: tuple[Any, Any]) -> dict[str, Any]:
    """A row of two figures and their difference, in words."""
    difference = ""
    if all(finite(value) for value in values):
        gap = values[1] - values[0]
        sign = "+" if gap > 0 else "\N{MINUS SIGN}"
        difference = f"{sign}{number(abs(gap))}" if gap else "same"
    shown = ["" if value is None else number(value) for value in values]
    return {"name": name, "values": shown, "difference": difference}


def result_rows(figures: tuple[Figures, Figures]) -> list[dict[str, Any]]:
    """What a reader wants first, of both."""
    merged = [{**found.tokens, **found.result, "kept": found.count("documents kept")} for found in figures]
    labels = {"kept": "documents kept", **{key: figure_label(key) for key in RESULTS}}
    return [
        _row(label, (merged[0].get(key), merged[1].get(key)))
        for key, label in labels.items()
        if any(key in one for one in merged)
    ]


def funnel_rows(figures: tuple[Figures, Figures]) -> list[dict[str, Any]]:
    """The rows of both funnels, by name."""
    names = list(dict.fromkeys(row.name for found in figures for row in found.funnel))
    order = ["records read", "quarantined", "excluded", "documents", *(f"dropped by {s}" for s in JUDGES)]
    ranks = {name: rank for rank, name in enumerate([*order, "documents kept"])}
    rows = []
    for name in sorted(names, key=lambda name: ranks.get(name, len(ranks))):
        found = [next((row for row in one.funnel if row.name == name), None) for one in figures]
        rows.append(
            {
                **_row(name, (found[0].count if found[0] else 0, found[1].count if found[1] else 0)),
                "bars": [(row.before - row.share if row.kind == "loss" else 0.0, row.share) if row else (0.0, 0.0)
                         for row in found],
                "shares": [row.share if row else 0.0 for row in found],
                "kind": next(row.kind for row in found if row),
            }
        )  # fmt: skip
    return rows


def reason_rows(figures: tuple[Figures, Figures]) -> list[dict[str, Any]]:
    """Documents by reason where the two differ, the largest difference first."""
    counts: dict[tuple[str, str], list[int]] = {}
    words: dict[str, set[str]] = {}  # of a rule with two thresholds there are two, and neither is shown
    for number_of, found in enumerate(figures):
        for stage in WORST_FIRST:
            for reason in found.reasons.get(stage, []):
                counts.setdefault((stage, reason.name), [0, 0])[number_of] = reason.documents
                words.setdefault(reason.name, set()).add(reason.words)
    ordered = sorted(counts.items(), key=lambda item: (-abs(item[1][0] - item[1][1]), -sum(item[1]), item[0]))
    return [
        {
            **_row(visible(name), (one, other)),
            "stage": stage,
            "words": min(words[name]) if len(words[name]) == 1 else "",
        }
        for (stage, name), (one, other) in ordered[:REASONS_SHOWN]
        if one != other
    ]


def mix_rows(name: str, figures: tuple[Figures, Figures]) -> list[dict[str, Any]]:
    """Shares of the bytes that both keep, by group, largest first."""
    mixes = [found.mixes.get(name, Mix()) for found in figures]
    totals = [sum(mix.kept_bytes.values()) or 1 for mix in mixes]
    groups = {group for mix in mixes for group in mix.documents}
    shares = {
        group: [mix.kept_bytes[group] / total for mix, total in zip(mixes, totals, strict=True)] for group in groups
    }
    largest = sorted(shares, key=lambda group: (-max(shares[group]), group))[:12]
    return [{"name": group, "shares": shares[group]} for group in largest]


def sample_rows(figures: tuple[Figures, Figures]) -> list[dict[str, Any]]:
    """The last text that each wrote after the same words; those of one alone too."""
    last: list[dict[str, dict[str, Any]]] = [
        {str(sample.get("prompt", "")): sample for sample in found.samples} for found in figures
    ]
    prompts = dict.fromkeys([*last[0], *last[1]])
    return [{"prompt": prompt, "texts": [one.get(prompt) for one in last]} for prompt in prompts]


# -- the same documents


def shared_documents(runs: tuple[Run, Run]) -> Shared | None:
    """Who keeps what, of the documents that both runs have; None where they have none in common."""
    sides = [_Side(run) for run in runs]
    common, places, others = np.intersect1d(sides[0].ids, sides[1].ids, assume_unique=True, return_indices=True)
    if not len(common):
        return None
    one, other = sides[0].kept[places], sides[1].kept[others]
    only = (np.flatnonzero(one & ~other), np.flatnonzero(other & ~one))
    # a doc_id is a hash: the first ones in its order are a fair draw, the same every time
    examples = (
        [_example(sides[0], int(places[row]), sides[1], int(others[row])) for row in only[0][:EXAMPLES]],
        [_example(sides[1], int(others[row]), sides[0], int(places[row])) for row in only[1][:EXAMPLES]],
    )
    neither = int((~one & ~other).sum())
    return Shared(len(common), int((one & other).sum()), neither, (len(only[0]), len(only[1])), examples)


class _Side:
    """Every document of a run: its id, its shard and row, and whether the run keeps it."""

    def __init__(self, run: Run) -> None:
        self.run, self.names = run, document_shards(run)
        self.stages = judging_stages(run)
        ids, kept, shards, rows = [np.empty(0, "V16")], [np.empty(0, bool)], [np.empty(0, int)], [np.empty(0, int)]
        for shard, name in enumerate(self.names):
            column = read_table(run.local(layout.documents(name)), DOCUMENTS, ["doc_id"])["doc_id"]
            parts = [np.ascontiguousarray(doc_id_array(chunk)).view("V16").reshape(-1) for chunk in column.chunks]
            ids += parts
            kept.append(alive_in_run(run, self.stages, name, len(column)))
            shards.append(np.full(len(column), shard))
            rows.append(np.arange(len(column)))
        # void values do not sort: the same bytes as text do
        self.ids: DocIds = np.concatenate(ids).view("S16")
        self.kept, self.shards, self.rows = np.concatenate(kept), np.concatenate(shards), np.concatenate(rows)

    def place(self, number_of: int) -> tuple[str, int]:
        """Shard and row of a document."""
        return self.names[int(self.shards[number_of])], int(self.rows[number_of])

    def reasons(self, number_of: int) -> list[str]:
        """Why the run does not keep a document."""
        shard, row = self.place(number_of)
        found: list[str] = []
        for stage in self.stages:
            verdict = self.run.url(layout.verdicts(stage, shard))
            if storage.exists(verdict):
                found += read_table(storage.open_local(verdict), VERDICTS, ["reasons"])["reasons"][row].as_py()
        return [visible(reason) for reason in found]


def _example(keeper: _Side, number_of: int, dropper: _Side, other: int) -> Example:
    shard, row = keeper.place(number_of)
    values = documents_at(keeper.run, shard, [row])[0]
    text = head(values["text"], HEAD_CHARACTERS) if is_legible(values["text"][:HEAD_CHARACTERS]) else ""
    return Example(values["doc_id"].hex(), facts_of(values), text, reasons=dropper.reasons(other))
