"""The training tokens of a run, and of the runs that it mixes in: named by their digests, and opened in their order."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from pipeline.base import storage
from pipeline.base.errors import RunError, UserError
from pipeline.base.progress import each
from pipeline.base.words import counted
from pipeline.order.weights import weights_and_caps
from pipeline.order.windows import WindowOrder
from pipeline.run import layout, ledger
from pipeline.run.folder import Run
from pipeline.run.manifest import digest_file, load_manifests
from pipeline.tokens import restored
from pipeline.tokens.shards.shard_facts import known_shards
from pipeline.tokens.shards.token_shard import original_digest

REBUILD_TOKENS = "make them again: `tokenmill run RECIPE --root RUN --stages tokenize`"

DIGESTS_AT_ONCE = 4  # they read a disk
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


def missing_shard(run: Run, path: str, more: int = 0) -> RunError:
    """What is said of a token shard that manifests of the run name, and ``more`` others, where they are gone."""
    others = f", and {counted(more, 'other shard')}" if more else ""
    return RunError(
        f"{run.url(path)}: missing{others}, and its manifest is there; make it again: `tokenmill run "
        f"{run.url(layout.RECIPE)} --root {run.root} --stages tokenize`"
    )


def _named_shards(run: Run, path: str) -> dict[str, str]:
    """Digests of the token shards below ``path`` that manifests of the run name; none of tokens from elsewhere."""
    made = [manifest for step in ("tokenize", restored.STEP) for manifest in load_manifests(run.root, step).values()]
    named = {name: digest for manifest in made for name, digest in manifest.digests(path).items()}
    return {name: digest for name, digest in named.items() if name.endswith(".arrow")}


def check_shards(run: Run, folders: Sequence[str], task: str) -> None:
    """Compares token shards with their manifests' checksums, byte for byte: damaged ones would be read as they are.

    Args:
        run: The run.
        folders: Of its token shards; of the runs that its recipe mixes in, the training shards are read with its own.
        task: What they are wanted for, to show it meanwhile.

    Raises:
        RunError: If one is not what its manifest says.
    """
    shards = [(run, path, digest) for folder in folders for path, digest in _named_shards(run, folder).items()]
    for other in map(Run.open, run.recipe.train.runs if layout.TRAIN_TOKENS in folders else ()):
        shards += [(other, path, digest) for path, digest in _named_shards(other, layout.TRAIN_TOKENS).items()]
    with ThreadPoolExecutor(DIGESTS_AT_ONCE) as threads:  # a digest holds no lock of Python
        found = threads.map(lambda shard: _digest(*shard[:2]), shards)
        for (owner, path, digest), read in zip(shards, each(found, task, "shard", total=len(shards)), strict=True):
            if read != digest:
                raise RunError(
                    f"{owner.url(path)}: damaged, its checksum is not the one in its manifest; `tokenmill verify "
                    f"{owner.root} --delete` removes what is damaged, then run again"
                )


def _digest(run: Run, path: str) -> str:
    try:
        return digest_file(run.local(path))
    except FileNotFoundError as error:
        raise missing_shard(run, path) from error


def local_folder(run: Run, path: str) -> Path:
    """A local folder with the token shards of the folder ``path``: itself, or links to cached copies of the objects.

    Raises:
        RunError: If a shard is gone that the run's manifests name: without it all others would stand elsewhere.
    """
    there = {f"{path}{name}" for name in storage.list_files(run.url(path), ".arrow")}
    if gone := sorted(_named_shards(run, path).keys() - there):
        raise missing_shard(run, gone[0], len(gone) - 1)
    return storage.open_folder(run.url(path), ".arrow", as_path=path)
