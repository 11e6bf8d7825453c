"""The data sets of a recipe: training and validation tokens of its run, and of the other runs that it mixes in.

The weight of a source is, in this order: ``train.weights["run/source"]``, ``train.weights["source"]``, the ``weight``
of the source in the recipe of its own run.  A source's ``max_epochs`` comes from the recipe of its own run.
"""

from pathlib import Path
from typing import Any

from model.data import TokenDataset
from pipeline import storage
from pipeline.errors import UserError
from pipeline.recipe import Recipe
from pipeline.run import Run


def training_data(run: Run) -> TokenDataset:
    """The training tokens of a run, in the order of ``train.seed``.

    Raises:
        UserError: If a run that is mixed in is not there, or a weight names no source.
        FormatError: If the runs were encoded with two tokenizers, or a shard is damaged.
    """
    recipe = run.recipe
    weights, caps = _weights(run)
    folders = _folders(run, "tokens/train")
    dataset = TokenDataset(folders, recipe.model.context_length, recipe.train.seed, weights=weights, max_epochs=caps)
    names = {stream.name for stream in dataset.streams}
    known = names | {name.rpartition("/")[2] for name in names}
    unknown = sorted(set(recipe.train.weights) - known)
    if unknown:
        raise UserError(f"train.weights names {', '.join(unknown)}; the sources are {', '.join(sorted(names))}")
    return dataset


def validation_data(run: Run) -> TokenDataset:
    """The validation tokens of the run itself; other runs are trained on, not evaluated on."""
    return TokenDataset(_local(run.root, "tokens/validation"), run.recipe.model.context_length, run.recipe.train.seed)


def budget_lines(rows: list[dict[str, Any]]) -> list[str]:
    """The token budget by source (``TokenDataset.budget``) as lines of a table."""
    lines = [f"{'source':24} {'tokens':>14} {'share':>7} {'available':>14} {'epochs':>7}"]
    lines += [
        f"{row['source']:24} {row['tokens']:14,} {row['share']:7.1%} {row['tokens_available']:14,} {row['epochs']:7.2f}"
        for row in rows
    ]
    return lines


def _weights(run: Run) -> tuple[dict[str, float], dict[str, float]]:
    """Weights and caps by "source" where one run is read, by "run/source" where several are."""
    runs = [(Path(run.root).resolve().name, run.recipe)] if storage.is_local(run.root) else [("", run.recipe)]
    for other in run.recipe.train.runs:
        runs.append((Path(other).resolve().name, _recipe_of(other)))
    names = [name for name, _ in runs]
    if len(set(names)) != len(names):
        raise UserError(f"train.runs: two runs have the same folder name ({', '.join(names)}); rename one")
    weights: dict[str, float] = {}
    caps: dict[str, float] = {}
    for name, recipe in runs:
        for source in recipe.sources:
            label = source.name if len(runs) == 1 else f"{name}/{source.name}"
            given = run.recipe.train.weights
            weights[label] = given.get(label, given.get(source.name, source.weight))
            if source.max_epochs is not None:
                caps[label] = source.max_epochs
    return weights, caps


def _recipe_of(root: str) -> Recipe:
    try:
        return Run.open(root).recipe
    except UserError as error:
        raise UserError(f"train.runs: {error}") from error


def _folders(run: Run, folder: str) -> list[Path]:
    return [_local(root, folder) for root in (run.root, *run.recipe.train.runs)]


def _local(root: str, folder: str) -> Path:
    """A local folder with the token shards of a run; those of an object store are copied to the cache."""
    if storage.is_local(root):
        return storage.local_path(root) / folder
    url = storage.join(root, folder)
    copies = [storage.open_local(storage.join(url, name)) for name in storage.list_files(url, ".arrow")]
    if not copies:
        return Path(url)
    target = storage.cache_folder() / "tokens" / storage_key(url) / folder
    target.mkdir(parents=True, exist_ok=True)
    for copy in copies:
        link = target / copy.name
        if not link.is_symlink() or link.resolve() != copy.resolve():
            link.unlink(missing_ok=True)
            link.symlink_to(copy)
    return target


def storage_key(url: str) -> str:
    """A short name for a URL."""
    from pipeline.manifest import digest_bytes

    return digest_bytes(url.encode())
