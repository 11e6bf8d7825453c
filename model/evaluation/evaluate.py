"""Validation: loss and bits per byte, in all and by source and language, beside a unigram model of the same tokens.

Every window of the validation set is scored in the order of its shards, each token once.  Bits per byte divide the
nats of the tokens that stand for text by ln 2 and by the bytes those tokens stand for; the end-of-text token has none.

Shape letters: W windows, T positions, G groups (a source in a language).
"""

import contextlib
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from model.data.batches import TokenDataset
from model.data.corpus import Corpus, languages_of
from model.devices.hardware import uncompiled
from model.devices.world import World
from model.network.loss import NOT_SCORED
from model.network.transformer import Transformer
from pipeline.recipe.training_options import Train
from pipeline.run.folder import Run
from pipeline.tokens.tokenizer.byte_lengths import token_byte_lengths

UNKNOWN = "unknown"


@dataclass(frozen=True)
class Score:
    """What a model needs for some text: nats over ``tokens``, and over those that stand for ``bytes`` of text."""

    nats: float = 0.0
    tokens: float = 0.0
    text_nats: float = 0.0
    bytes: float = 0.0

    @property
    def loss(self) -> float:
        """Nats per token."""
        return self.nats / self.tokens if self.tokens else math.nan

    @property
    def bits_per_byte(self) -> float:
        """Bits per byte of text."""
        return self.text_nats / math.log(2) / self.bytes if self.bytes else math.nan

    def __add__(self, other: "Score") -> "Score":
        return Score(*(mine + theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))

    def summary(self) -> dict[str, Any]:
        """The figures as they are stored; None where there was nothing to score."""
        figures = {"validation_loss": self.loss, "bits_per_byte": self.bits_per_byte}
        rounded = {name: round(value, 6) if math.isfinite(value) else None for name, value in figures.items()}
        return {**rounded, "tokens": int(self.tokens)}


@dataclass(frozen=True)
class Validation:
    """Scores by (source, language)."""

    groups: dict[tuple[str, str], Score]

    @property
    def total(self) -> Score:
        """All groups together."""
        return sum(self.groups.values(), Score())

    @property
    def sources(self) -> dict[str, Score]:
        """Scores by source, in the order of their names."""
        return self._sums(0)

    def by_source(self) -> dict[str, dict[str, Any]]:
        """Summaries by source."""
        return {name: score.summary() for name, score in self.sources.items()}

    def by_language(self) -> dict[str, dict[str, Any]]:
        """Summaries by language."""
        return {name: score.summary() for name, score in self._sums(1).items()}

    def _sums(self, position: int) -> dict[str, Score]:
        sums: dict[str, Score] = defaultdict(Score)
        for key, score in self.groups.items():
            sums[key[position]] += score
        return dict(sorted(sums.items()))


class Validator:
    """Scores a model, or a unigram model, on a validation set.

    Args:
        dataset: The validation set.
        byte_lengths: Bytes that each token id stands for; 0 for special tokens.
        languages: Language by doc_id.
        train: Batch size, document masks and ``max_validation_tokens``.
        world: The processes that share the work.
    """

    def __init__(
        self,
        dataset: TokenDataset,
        byte_lengths: NDArray[np.int64],
        languages: Mapping[bytes, str],
        train: Train,
        world: World,
    ) -> None:
        self.dataset, self.train, self.world = dataset, train, world
        self.byte_lengths = byte_lengths
        self.windows = self._chosen_windows()
        self.groups, self._of_window = self._group(languages)

    def _chosen_windows(self) -> NDArray[np.int64]:
        """All windows, or evenly spread ones up to the recipe's number of tokens."""
        total, most = self.dataset.num_windows, self.train.max_validation_tokens
        chosen = total if not most else max(1, min(total, most // self.dataset.context_length))
        return np.arange(chosen, dtype=np.int64) * total // chosen

    def _group(self, languages: Mapping[bytes, str]) -> tuple[list[tuple[str, str]], NDArray[np.int64]]:
        """The groups, and each target's group, (W, T)."""
        numbers: dict[tuple[str, str], int] = {}
        length = self.dataset.context_length
        groups_WT = np.empty((len(self.windows), length), np.int64)
        edges = np.cumsum([0, *self.dataset.windows])
        for row, window in enumerate(self.windows.tolist()):
            source = int(np.searchsorted(edges, window, side="right")) - 1
            stream = self.dataset.streams[source]
            address = stream.base + (window - int(edges[source])) * length
            place = self.dataset.data.places(np.array([address]))[0]
            starts = self.dataset.data.document_starts(place, length + 1)
            of_document = [
                numbers.setdefault((stream.name, languages.get(doc_id, UNKNOWN)), len(numbers))
                for doc_id in self.dataset.data.documents(place, length + 1)
            ]
            targets = np.arange(1, length + 1)
            groups_WT[row] = np.array(of_document)[np.searchsorted(starts, targets, side="right")]
        return list(numbers), groups_WT

    @property
    def tokens(self) -> int:
        """Tokens that are scored."""
        return len(self.windows) * self.dataset.context_length

    def _batches(self) -> Iterator[tuple[NDArray[np.int64], Any]]:
        """Rows of ``windows`` with their batch, this process's part; every process yields as many batches."""
        size, world = self.train.micro_batch_sequences, self.world
        for first in range(0, len(self.windows), size * world.size):
            rows = np.arange(first + world.rank * size, min(first + (world.rank + 1) * size, len(self.windows)))
            yield rows, self._read(rows if len(rows) else np.array([0]))

    def _read(self, rows: NDArray[np.int64]) -> tuple[Any, Any, Any]:
        """Inputs, targets and, with document masks, documents and positions of some windows."""
        read = self.dataset.masked_in_order if self.train.mask_documents else self.dataset.in_order
        parts = [read(window, 1) for window in self.windows[rows].tolist()]
        inputs, targets, *documents = (torch.cat(part) for part in zip(*parts, strict=True))
        return inputs, targets, tuple(documents) or None

    @torch.no_grad()
    def score(self, model: Transformer, heard: Callable[[int, int], None] | None = None) -> Validation:
        """Scores a model; collective.  ``heard`` is told how many of how many batches are done."""
        device = self.world.device
        sums_G4 = np.zeros((len(self.groups), 4))
        total = -(-len(self.windows) // (self.train.micro_batch_sequences * self.world.size))
        for number, (rows, (inputs, targets, documents)) in enumerate(self._batches()):
            if heard is not None:
                heard(number, total)
            masks = None if documents is None else (documents[0].to(device), documents[1].to(device))
            whole = len(inputs) == self.train.micro_batch_sequences
            with contextlib.nullcontext() if whole else uncompiled(self.train.compile, device):
                losses = model.token_losses(inputs.to(device), targets.to(device), documents=masks)
            if len(rows):
                self._add(sums_G4, rows, targets.numpy(), losses.cpu().numpy().astype(np.float64))
        return self._validation(self.world.total(torch.from_numpy(sums_G4).to(device)).cpu().numpy())

    def score_unigram(self, counts: NDArray[np.int64]) -> Validation:
        """Scores the unigram model of the training tokens, each counted once more than it occurs."""
        nats = -np.log((counts + 1) / (counts.sum() + len(counts)))
        sums_G4 = np.zeros((len(self.groups), 4))
        for first in range(0, len(self.windows), 256):
            rows = np.arange(first, min(first + 256, len(self.windows)))
            targets = self._read(rows)[1].numpy()
            self._add(sums_G4, rows, targets, nats[np.maximum(targets, 0)])
        return self._validation(sums_G4)

    def _add(
        self, sums_G4: NDArray[Any], rows: NDArray[np.int64], targets: NDArray[Any], nats: NDArray[np.float64]
    ) -> None:
        valid = targets != NOT_SCORED
        groups, nats, lengths = self._of_window[rows][valid], nats[valid], self.byte_lengths[targets[valid]]
        columns = (nats, np.ones_like(nats), np.where(lengths > 0, nats, 0.0), lengths)
        for column, values in enumerate(columns):
            sums_G4[:, column] += np.bincount(groups, weights=values, minlength=len(self.groups))

    def _validation(self, sums_G4: NDArray[Any]) -> Validation:
        return Validation({key: Score(*sums_G4[number].tolist()) for number, key in enumerate(self.groups)})


def validator_of(run: Run, corpus: Corpus, world: World) -> Validator | None:
    """The validator of a run's own validation set; None where its recipe holds nothing out."""
    if corpus.validation is None:
        return None
    lengths = token_byte_lengths(corpus.tokenizer).astype("int64")
    return Validator(corpus.validation, lengths, languages_of(run, corpus.validation), run.recipe.train, world)
