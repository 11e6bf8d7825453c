"""The tokens that a run trains and validates on: opened, checked, counted."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.data.batches import TokenDataset
from pipeline.base import storage
from pipeline.base.errors import FormatError, UserError
from pipeline.order.corpus import REBUILD_TOKENS, local_folder, open_train
from pipeline.order.windows import NoWindowError
from pipeline.run import layout
from pipeline.run.folder import Run
from pipeline.run.manifest import digest_file
from pipeline.run.table_files import batches
from pipeline.run.tables import DOCUMENTS
from pipeline.tokens.left import account, cannot_be_held_out
from pipeline.tokens.shards.token_shard import check_tokenizer, common_format, map_batches

SPARE_WINDOWS = 3  # documents differ in length, so the tokens of a share do too
LARGEST_SHARE = 0.3


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

    @property
    def delimiters(self) -> dict[str, int]:
        """The tokens around every document: ``end_of_text``, and ``begin_of_text`` where there is one."""
        begin = self.train.data.format.begin_of_text
        return {"end_of_text": self.end_of_text} | ({} if begin is None else {"begin_of_text": begin})


def open_corpus(run: Run, context_length: int) -> Corpus:
    """Opens the tokens of a run, and of the other runs its recipe mixes in.

    Raises:
        UserError: If there is not one window of training tokens, or of validation tokens although the recipe holds
            some out.
        FormatError: If shards come from two tokenizers, or from another one than tokenizer.json.
    """
    try:
        train = open_train(run, context_length, TokenDataset)
    except NoWindowError as error:
        raise UserError(f"{error}. {account(run) or 'Add text'}, or lower model.context_length") from error
    validation = None
    if run.recipe.tokenize.validation_share > 0.0:
        validation = _open_validation(run, context_length, sum(stream.tokens for stream in train.streams))
    tokenizer = run.local(layout.TOKENIZER)
    _check_tokenizer(tokenizer, train, validation)
    return Corpus(train, validation, tokenizer)


def open_split(run: Run, split: str, context_length: int | None = None, seed: int | None = None) -> TokenDataset:
    """One split alone, by default as the recipe has it; of ``train`` with its weights and the runs that it mixes in.

    Args:
        run: The run.
        split: ``train`` or ``validation``.
        context_length: Tokens in a window, other than the model's.
        seed: Of the order, other than the recipe's.

    Raises:
        UserError: If the split is unknown, or there is not one window of it.
    """
    recipe = run.recipe
    length = recipe.model.trained_context_length if context_length is None else context_length
    if split == "validation":
        return TokenDataset(local_folder(run, layout.VALIDATION_TOKENS), length, seed or 0)
    if split != "train":
        raise UserError(f"split = {split!r}: expected train or validation")
    if seed is not None:
        recipe = recipe.model_copy(update={"train": recipe.train.model_copy(update={"seed": seed})})
    return open_train(Run(run.root, recipe), length, TokenDataset)


def _open_validation(run: Run, context_length: int, training_tokens: int) -> TokenDataset:
    try:
        return TokenDataset(local_folder(run, layout.VALIDATION_TOKENS), context_length, seed=0)
    except UserError as error:
        held_out = error.tokens if isinstance(error, NoWindowError) else 0
        cure = _more_validation(run, context_length + 1, held_out, training_tokens)
        raise UserError(
            f"no validation tokens: {error}. {cure}; or train without validation: tokenize.validation_share = 0.0"
        ) from error


def _more_validation(run: Run, window: int, held_out: int, training_tokens: int) -> str:
    """What gives the validation set its first window: a larger share where there is text for it."""
    if cannot_be_held_out(run):
        return account(run) or "Add text: nothing would be left to train on"
    total, share = held_out + training_tokens, run.recipe.tokenize.validation_share
    needed = max(SPARE_WINDOWS * window / max(1, total), 2 * share)
    if needed <= LARGEST_SHARE:
        return f"Raise tokenize.validation_share to {math.ceil(100 * needed) / 100:g}, or lower model.context_length"
    return f"{account(run) or 'Add text'}, or lower model.context_length"


def _check_tokenizer(tokenizer: Path, train: TokenDataset, validation: TokenDataset | None) -> None:
    digest, datasets = digest_file(tokenizer), [train, *([validation] if validation else [])]
    for dataset in datasets:
        check_tokenizer(dataset.data.format, digest, str(dataset.data.folders[0]))
    common_format([shard for dataset in datasets for shard in dataset.data.shards])


def token_counts(dataset: TokenDataset) -> NDArray[np.int64]:
    """How often each token id occurs in the shards, one pass over the mapped files.

    Raises:
        FormatError: If an id lies outside the vocabulary, naming the shard.
    """
    size = dataset.vocabulary_size
    counts = np.zeros(size, np.int64)
    for path in (shard.path for shard in dataset.data.shards):
        for batch in map_batches(path):
            found = np.bincount(batch.tokens, minlength=size)
            if len(found) > size:
                raise FormatError(
                    f"{path}: holds token id {len(found) - 1:,}, but its vocabulary has {size:,} entries; "
                    f"{REBUILD_TOKENS}"
                )
            counts += found
    return counts


def languages_of(run: Run, dataset: TokenDataset) -> dict[bytes, str]:
    """Language of each document of a (validation) set, from the document shards of the same names."""
    found: dict[bytes, str] = {}
    for shard in dataset.data.shards:
        wanted = {row.tobytes() for batch in map_batches(shard.path) for row in batch.doc_ids}
        path = layout.documents(layout.shard_of(shard.path.name))
        if not wanted or not storage.exists(run.url(path)):
            continue
        for batch in batches(run.local(path), DOCUMENTS, ["doc_id", "language"]):
            rows = zip(batch["doc_id"].to_pylist(), batch["language"].to_pylist(), strict=True)
            found |= {doc_id: language for doc_id, language in rows if doc_id in wanted and language}
    return found
