"""How much each source gives to a training: weights and caps from the recipes of all runs that it mixes.

The weight of a source is, in this order: ``train.weights["run/source"]``, ``train.weights["source"]``, the ``weight``
of the source in the recipe of its own run; ``run`` is the name of a run's folder.  A source's ``max_epochs`` comes from
the recipe of its own run.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.base.errors import UserError
from pipeline.run.folder import Run


def weights_and_caps(runs: Sequence[Run]) -> tuple[dict[str, float], dict[str, float]]:
    """Weights and ``max_epochs`` as ``TokenDataset`` takes them: by "source" for one run, by "run/source" for several.

    Args:
        runs: The run that trains, then those of its ``train.runs``.

    Raises:
        UserError: If two runs have the same folder name, or ``train.weights`` names no source.
    """
    given = runs[0].recipe.train.weights
    names = [Path(run.root).resolve().name for run in runs]
    if len(set(names)) != len(names):
        raise UserError(
            f"train.runs: two runs have the same folder name ({', '.join(names)}); rename one of the folders"
        )
    weights: dict[str, float] = {}
    caps: dict[str, float] = {}
    used: set[str] = set()
    for name, run in zip(names, runs, strict=True):
        for source in run.recipe.sources:
            full = f"{name}/{source.name}"
            label = source.name if len(runs) == 1 else full
            weights[label] = given.get(full, given.get(source.name, source.weight))
            used |= {full, source.name}
            if source.max_epochs is not None:
                caps[label] = source.max_epochs
    if unknown := sorted(set(given) - used):
        raise UserError(f"train.weights names {', '.join(unknown)}; the sources are {', '.join(sorted(weights))}")
    return weights, caps


def budget_lines(rows: list[dict[str, Any]]) -> list[str]:
    """The token budget by source (``TokenDataset.budget``) as the lines of a table."""
    lines = [f"{'source':24} {'tokens':>14} {'share':>7} {'available':>14} {'epochs':>7}"]
    lines += [
        f"{row['source']:24} {row['tokens']:14,} {row['share']:7.1%} {row['tokens_available']:14,} {row['epochs']:7.2f}"
        for row in rows
    ]
    return lines
