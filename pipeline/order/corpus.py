"""The training tokens of a run, and of the runs that it mixes in: named by their digests, and opened in their order."""

from pathlib import Path
from typing import TypeVar

from pipeline.base import storage
from pipeline.base.errors import UserError
from pipeline.order.weights import weights_and_caps
from pipeline.order.windows import WindowOrder
from pipeline.run import layout, ledger
from pipeline.run.folder import Run
from pipeline.run.manifest import digest_file, load_manifests
from pipeline.tokens import restored
from pipeline.tokens.shards.shard_facts import known_shards
from pipeline.tokens.shards.token_shard import original_digest

REBUILD_TOKENS = "make them again: `tokenmill run RECIPE --root RUN --stages tokenize`"

Windows = TypeVar("Windows", bound=WindowOrder)


def token_inputs(run: Run) -> dict[str, str]:
    """Path -> digest of every file of this run that defines the training: token shards and the tokenizer.

    Raises:
        UserError: If there are no training tokens.
    """
    found: dict[str, str] = {}
    for step, prefix in (("tokenize", layout.TOKENS), ("tokenize.tokenizer", layout.TOKENIZER_FOLDER)):
        for manifest in load_manifests(run.root, step).values():
            found |= manifest.digests(prefix)
    if not found:  # tokens that no manifest of this run describes: brought from elsewhere
        paths = [f"{layout.TOKENS}{name}" for name in storage.list_files(run.url(layout.TOKENS), ".arrow")]
        found = {
            path: digest_file(run.local(path)) for path in [*paths, layout.TOKENIZER] if storage.exists(run.url(path))
        }
    if not any(path.startswith(layout.TRAIN_TOKENS) for path in found):
        raise UserError(f"{run.url(layout.TRAIN_TOKENS)}: no training tokens; {REBUILD_TOKENS}")
    return dict(sorted(found.items()))


def before_takedown(run: Run, inputs: dict[str, str]) -> dict[str, str]:
    """The digests that token shards had before documents were taken down from them.

    A takedown moves no token, so a checkpoint goes on from the shards as they are now.
    """
    removed = ledger.load(run.root)
    originals = {path: original_digest(run.local(path)) for path in inputs if path in removed.tokens}
    return {path: originals.get(path) or digest for path, digest in inputs.items()}


def token_set(run: Run) -> tuple[dict[str, str], list[dict[str, str]]]:
    """What a training reads: digests of this run's token shards and tokenizer, and those of each run it mixes in.

    Raises:
        UserError: If there are no training tokens.
    """
    others = [before_takedown(other, token_inputs(other)) for other in map(Run.open, run.recipe.train.runs)]
    return before_takedown(run, token_inputs(run)), others


def open_train(run: Run, context_length: int, kind: type[Windows], *, trust_manifests: bool = False) -> Windows:
    """Opens the training tokens of a run, and of the other runs its recipe mixes in, in their order.

    Args:
        run: The run.
        context_length: Tokens the model attends over.
        kind: ``WindowOrder``, or the model's class that makes batches of it.
        trust_manifests: Take the sizes of shards from the manifests instead of opening every file: for lookups, which
            touch few of them.

    Raises:
        UserError: If there is not one window.
        FormatError: If shards come from two tokenizers.
    """
    recipe = run.recipe
    runs = [run, *(Run.open(root) for root in recipe.train.runs)]
    weights, max_epochs = weights_and_caps(runs)
    folders = [local_folder(other, layout.TRAIN_TOKENS) for other in runs]
    pairs = zip(runs, folders, strict=True) if trust_manifests else ()
    known = {folder: known_shards(other, folder) for other, folder in pairs}
    return kind(
        folders,
        context_length,
        recipe.train.seed,
        weights=weights,
        max_epochs=max_epochs,
        known=known,
        restored=_restored_of(run),
    )


def _restored_of(run: Run) -> tuple[Path, dict[int, int]] | None:
    """What came back after a takedown of this run (not of those mixed in), and from which epoch on it is read.

    Raises:
        UserError: If the shards are not made yet.
    """
    found = {restoration.number: restoration.first_epoch for restoration in restored.load(run.root)}
    if not found:
        return None
    made = {
        restored.parse_name(Path(name).stem)[0]
        for name in storage.list_files(run.url(layout.RESTORED_TOKENS), ".arrow")
    }
    if missing := sorted(set(found) - made):
        raise UserError(
            f"{run.url(layout.RESTORED_TOKENS)}: documents of restoration {missing[0]} are not made yet; "
            f"`tokenmill takedown {run.root}` or `tokenmill run` makes them"
        )
    return local_folder(run, layout.RESTORED_TOKENS), found


def local_folder(run: Run, path: str) -> Path:
    """A local folder with the token shards of the folder ``path``: itself, or links to cached copies of the objects."""
    return storage.open_folder(run.url(path), ".arrow", as_path=path)
