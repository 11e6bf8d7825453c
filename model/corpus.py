"""The tokens that a run trains and validates on: opened, checked, and named by their digests."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.data import TokenDataset
from model.mixing import weights_and_caps
from pipeline import storage
from pipeline.errors import FormatError, UserError
from pipeline.manifest import digest_file, load_manifests
from pipeline.run import Run
from pipeline.tables import DOCUMENTS, batches
from pipeline.tokens import restored
from pipeline.tokens.layout import known_shards
from pipeline.tokens.shards import TokenShard, check_tokenizer, common_format, map_batches

TOKENIZER = "tokenizer/tokenizer.json"
REBUILD_TOKENS = "make them again: `tokenmill run RECIPE --root RUN --stages tokenize`"


@dataclass(frozen=True)
class Corpus:
    """Training and validation tokens of one tokenizer; ``validation`` is None where the recipe holds nothing out."""

    train: TokenDataset
    validation: TokenDataset | None
    tokenizer: Path

    @property
    def vocabulary_size(self) -> int:
        """Entries of the vocabulary."""
        return self.train.vocabulary_size

    @property
    def end_of_text(self) -> int:
        """The token that ends every document."""
        return self.train.data.format.end_of_text


def token_inputs(run: Run) -> dict[str, str]:
    """Path -> digest of every file of this run that defines the training: token shards and the tokenizer.

    Raises:
        UserError: If there are no training tokens.
    """
    found: dict[str, str] = {}
    for step, prefix in (("tokenize", "tokens/"), ("tokenize.tokenizer", "tokenizer/")):
        for manifest in load_manifests(run.root, step).values():
            found |= manifest.digests(prefix)
    if not found:  # tokens that no manifest of this run describes: brought from elsewhere
        paths = [f"tokens/{name}" for name in storage.list_files(run.url("tokens"), ".arrow")]
        found = {path: digest_file(run.local(path)) for path in [*paths, TOKENIZER] if storage.exists(run.url(path))}
    if not any(path.startswith("tokens/train/") for path in found):
        raise UserError(f"{run.url('tokens/train')}: no training tokens; {REBUILD_TOKENS}")
    return dict(sorted(found.items()))


def open_corpus(run: Run, context_length: int) -> Corpus:
    """Opens the tokens of a run, and of the other runs its recipe mixes in.

    Raises:
        UserError: If there is not one window of training tokens, or of validation tokens although the recipe holds
            some out.
        FormatError: If shards come from two tokenizers, or from another one than tokenizer.json.
    """
    train = open_train(run, context_length)
    validation = None
    if run.recipe.tokenize.validation_share > 0.0:
        validation = _open_validation(run, context_length)
    tokenizer = run.local(TOKENIZER)
    _check_tokenizer(tokenizer, train, validation)
    return Corpus(train, validation, tokenizer)


def open_train(run: Run, context_length: int, *, trust_manifests: bool = False) -> TokenDataset:
    """Opens the training tokens of a run, and of the other runs its recipe mixes in, in their order.

    Args:
        run: The run.
        context_length: Tokens the model attends over.
        trust_manifests: Take the sizes of shards from the manifests instead of opening every file: for lookups, which
            touch few of them.

    Raises:
        UserError: If there is not one window.
        FormatError: If shards come from two tokenizers.
    """
    recipe = run.recipe
    runs = [run, *(Run.open(root) for root in recipe.train.runs)]
    weights, max_epochs = weights_and_caps(runs)
    folders = [_local_folder(other, "tokens/train") for other in runs]
    pairs = zip(runs, folders, strict=True) if trust_manifests else ()
    known = {folder: known_shards(other, folder) for other, folder in pairs}
    return TokenDataset(
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
    made = {restored.parse_name(Path(name).stem)[0] for name in storage.list_files(run.url(restored.FOLDER), ".arrow")}
    if missing := sorted(set(found) - made):
        raise UserError(
            f"{run.url(restored.FOLDER)}: documents of restoration {missing[0]} are not made yet; "
            f"`tokenmill takedown {run.root}` or `tokenmill run` makes them"
        )
    return _local_folder(run, restored.FOLDER), found


def _open_validation(run: Run, context_length: int) -> TokenDataset:
    try:
        return TokenDataset(_local_folder(run, "tokens/validation"), context_length, seed=0)
    except UserError as error:
        raise UserError(
            f"no validation tokens: {error}; or train without validation: tokenize.validation_share = 0.0"
        ) from error


def _check_tokenizer(tokenizer: Path, train: TokenDataset, validation: TokenDataset | None) -> None:
    digest, datasets = digest_file(tokenizer), [train, *([validation] if validation else [])]
    for dataset in datasets:
        check_tokenizer(dataset.data.format, digest, str(dataset.data.folders[0]))
    common_format([shard for dataset in datasets for shard in dataset.data.shards])


def _local_folder(run: Run, path: str) -> Path:
    """A local folder with the token shards below ``path``: itself, or links to cached copies of the objects."""
    if storage.is_local(run.root):
        return storage.local_path(run.url(path))
    folder = storage.scratch(run.root) / path
    folder.mkdir(parents=True)
    for name in storage.list_files(run.url(path), ".arrow"):
        (folder / name).symlink_to(run.local(f"{path}/{name}"))
    return folder


def token_counts(dataset: TokenDataset) -> NDArray[np.int64]:
    """How often each token id occurs in the shards, one pass over the mapped files.

    Raises:
        FormatError: If an id lies outside the vocabulary, naming the shard.
    """
    size = dataset.vocabulary_size
    counts = np.zeros(size, np.int64)
    for shard, tokens in _mapped(dataset):
        found = np.bincount(tokens, minlength=size)
        if len(found) > size:
            raise FormatError(
                f"{shard.path}: holds token id {len(found) - 1:,}, but its vocabulary has {size:,} entries; "
                f"{REBUILD_TOKENS}"
            )
        counts += found
    return counts


def _mapped(dataset: TokenDataset) -> Iterator[tuple[TokenShard, NDArray[Any]]]:
    for shard in dataset.data.shards:
        for batch in map_batches(shard.path):
            yield shard, batch.tokens


def languages_of(run: Run, dataset: TokenDataset) -> dict[bytes, str]:
    """Language of each document of a (validation) set, from the document shards of the same names."""
    found: dict[bytes, str] = {}
    for shard in dataset.data.shards:
        wanted = {row.tobytes() for batch in map_batches(shard.path) for row in batch.doc_ids}
        path = f"documents/{shard.path.name}"
        if not wanted or not storage.exists(run.url(path)):
            continue
        for batch in batches(run.local(path), DOCUMENTS, ["doc_id", "language"]):
            rows = zip(batch["doc_id"].to_pylist(), batch["language"].to_pylist(), strict=True)
            found |= {doc_id: language for doc_id, language in rows if doc_id in wanted and language}
    return found
