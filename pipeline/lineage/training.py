"""The training order of a run as arithmetic: from a document to the steps that read it, and back.

Steps are counted from 0, as in ``TokenDataset.batch(step)``: step 0 is the first batch, and a checkpoint or a line of
metrics that says ``step`` N stands after the steps 0 to N - 1.
"""

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.base import storage
from pipeline.base.console import say
from pipeline.base.errors import RunError, UserError, parse_json
from pipeline.lookup.locate import Located
from pipeline.order.corpus import missing_shard, open_train
from pipeline.order.trained import as_trained, check_tokens
from pipeline.order.windows import WindowOrder
from pipeline.run import layout
from pipeline.run.checkpoints import standing, succession
from pipeline.run.folder import Run
from pipeline.run.manifest import load_manifest
from pipeline.run.rows import read_row
from pipeline.run.tables import VERDICTS
from pipeline.tokens import restored
from pipeline.tokens.shards import shard_facts
from pipeline.tokens.shards.token_shard import ShardBatches


@dataclass(frozen=True)
class TokenRange:
    """Where the tokens of a document stand: rows and tokens of its shard, and tokens of its source's stream."""

    split: str
    path: str
    row: int
    start: int  # in the shard
    tokens: int
    stream: int  # number of the stream; -1 for validation
    stream_start: int


@dataclass(frozen=True)
class Part:
    """A document's part of one window: tokens ``start`` to ``stop`` of it."""

    shard: str
    row: int  # in the token shard
    doc_id: bytes
    start: int
    stop: int
    withdrawn: bool


class Training:
    """The order that a run trains in, and how far it has got."""

    def __init__(self, run: Run) -> None:
        self.run = as_trained(run)
        recipe = self.run.recipe
        self.context_length = recipe.model.trained_context_length
        self.sequences = max(1, recipe.train.global_batch_tokens // self.context_length)

    @cached_property
    def dataset(self) -> WindowOrder:
        """The training tokens in their order.

        Raises:
            UserError: If there are none.
        """
        return open_train(self.run, self.context_length, WindowOrder, trust_manifests=True)

    @cached_property
    def checkpoints(self) -> list[int]:
        """Steps of the complete checkpoints, sorted."""
        return list(standing(self.run.root))

    @cached_property
    def steps_done(self) -> int:
        """Steps that a checkpoint, or else a line of metrics, says were trained.

        While a training that replaces the model has no checkpoint yet, the metrics are of that one.
        """
        if self.checkpoints and succession(self.run.root).replaces:
            return self.checkpoints[-1]
        lines = metrics_lines(self.run)
        return max([0, *self.checkpoints, *(int(line["step"]) for line in lines)])

    def check_checkpoints(self, question: str = "which steps read which documents") -> None:
        """Refuses checkpoints that were not trained on the tokens at hand.

        Args:
            question: What was asked.

        Raises:
            RunError: If one was trained with another tokenizer or is damaged, or the last one on other tokens.
        """
        if not self.checkpoints:
            return
        check_tokens(self.run, self.checkpoints[-1], question)
        expected = self.dataset.data.format.tokenizer
        for folder in standing(self.run.root).values():
            path = f"{folder}/{layout.CHECKPOINT_STATE}"
            try:
                found = parse_json(storage.read_bytes(self.run.url(path))).get("tokenizer", expected)
            except (ValueError, AttributeError) as error:
                raise RunError(
                    f"{self.run.url(path)}: damaged ({error}); `tokenmill verify {self.run.root} --delete` removes the "
                    "checkpoint"
                ) from error
            if found != expected:
                raise RunError(
                    f"{self.run.url(path)}: a checkpoint from another run: trained on tokens "
                    f"of tokenizer {found}, the shards here are of {expected}. Its steps cannot be told from these "
                    "shards"
                )

    # -- document -> steps

    def token_range(self, located: Located) -> TokenRange | None:
        """Where a document's tokens stand; None when it was not encoded.

        Raises:
            RunError: If its shard is gone, and its manifest is there.
        """
        known = read_row(
            self.run, layout.verdicts("tokenize", located.shard), VERDICTS, located.row, ["doc_id", "split"]
        ).get("split")
        for split in [known] if known else ["train", "validation"]:
            path = layout.tokens(split, located.shard)
            if self._stands(path, located.shard):
                found = self._in_shard(path, split, located.doc_id)
                if found is not None:
                    return found
        return self._restored_range(located)

    def _stands(self, path: str, shard: str) -> bool:
        """Whether there is such a token shard: of no training documents there is none."""
        if storage.exists(self.run.url(path)):
            return True
        made = load_manifest(self.run.root, shard_facts.STEP, shard)
        if made is not None and path in made.digests():
            raise missing_shard(self.run, path)
        return False

    def _restored_range(self, located: Located) -> TokenRange | None:
        """Where a document's tokens stand that came back after a takedown."""
        for restoration in restored.load(self.run.root):
            if any(doc_id == located.doc_id.hex() for doc_id, _, _ in restoration.documents):
                path = layout.restored_tokens(restoration.number, located.shard)
                if storage.exists(self.run.url(path)):
                    return self._in_shard(path, "restored", located.doc_id)
        return None

    def _in_shard(self, path: str, split: str, doc_id: bytes) -> TokenRange | None:
        wanted = np.frombuffer(doc_id, np.uint64)
        row, start = 0, 0
        for batch in ShardBatches(self.run.local(path), sparse=True):
            ids = np.ascontiguousarray(batch.doc_ids).view(np.uint64)
            for inside in np.flatnonzero((ids[:, 0] == wanted[0]) & (ids[:, 1] == wanted[1])).tolist():
                first, end = int(batch.offsets[inside]), int(batch.offsets[inside + 1])
                stream, stream_start = (-1, 0) if split == "validation" else self._in_stream(path, doc_id)
                return TokenRange(split, path, row + inside, start + first, end - first, stream, stream_start)
            row, start = row + len(batch.doc_ids), start + len(batch.tokens)
        return None

    def _in_stream(self, path: str, doc_id: bytes) -> tuple[int, int]:
        try:
            data = self.dataset.data
        except UserError:  # too few tokens for a single window: nothing was trained
            return -1, 0
        # the run's own: shards of runs that are mixed in may have the same names
        folder = data.restored_folder if path.startswith(layout.RESTORED_TOKENS) else data.folders[0]
        number = next(n for n, s in enumerate(data.shards) if s.path == folder / path.rpartition("/")[2])
        stream, start, _ = next(self.dataset.data.find(doc_id, number))
        return stream, start

    def reads(self, tokens: TokenRange, steps: int) -> list[tuple[int, int, int]]:
        """When, in the first ``steps`` steps, a document was read.

        Returns:
            A row each time: step, epoch (counted from 1), and how many of its tokens were targets.
        """
        if tokens.stream < 0 or steps == 0:
            return []
        length, dataset = self.context_length, self.dataset
        start, end = tokens.stream_start, tokens.stream_start + tokens.tokens
        found = []
        for position, window in dataset.positions_of(tokens.stream, start, end, steps * self.sequences):
            first = window * length + 1  # the window's first target
            targets = max(0, min(end, first + length) - max(start, first))
            found.append((position // self.sequences, dataset.mixture.epoch_of(position) + 1, targets))
        return found

    # -- steps -> documents

    def require_step(self, step: int) -> None:
        """Refuses a step that was not, and will not be, trained.

        Raises:
            UserError: If the step is beyond the run.
        """
        last = max(self.steps_done, self.run.recipe.train.steps)
        if not 0 <= step < last:
            raise UserError(
                f"step {step}: beyond the run, whose steps are 0 to {last - 1} "
                f"(train.steps = {self.run.recipe.train.steps}; {self.steps_done} trained so far)"
            )

    def window_parts(self, position: int) -> list[Part]:
        """The documents' parts of one window, in order; the window's tokens count from 0."""
        data = self.dataset.data
        place = self.dataset.places(position, 1)[0]
        parts = []
        for shard, row, doc_id, start, stop in data.parts(place, self.context_length + 1):
            opened = data.shards[shard]
            parts.append(Part(opened.path.stem, row, doc_id, start, stop, row in opened.withdrawn))
        return parts

    def window_tokens(self, position: int) -> NDArray[Any]:
        """The tokens of one window."""
        return self.dataset.window(position)

    def targets_by_document(self, first_step: int, last_step: int) -> tuple[Counter[bytes], dict[bytes, str], int]:
        """Targets of each document in the steps ``first_step`` to ``last_step`` (both included).

        Returns:
            Targets by doc_id, document shard by doc_id, and targets that are not scored because they were taken down.
        """
        counts: Counter[bytes] = Counter()
        shards: dict[bytes, str] = {}
        unscored = 0
        for position in range(first_step * self.sequences, (last_step + 1) * self.sequences):
            for part in self.window_parts(position):
                targets = part.stop - max(part.start, 1)
                counts[part.doc_id] += targets
                shards[part.doc_id] = part.shard
                unscored += targets if part.withdrawn else 0
        return counts, shards, unscored


def metrics_lines(run: Run) -> list[dict[str, Any]]:
    """Lines of metrics/train.jsonl."""
    return read_json_lines(run.url(layout.TRAIN_METRICS))


def read_json_lines(url: str) -> list[dict[str, Any]]:
    """The lines of a log of a training, each an object with its step.

    One that is half-written is left out, a damaged one too, and named.
    """
    found, problems = json_lines(storage.read_if_there(url) or b"")
    for number, problem in problems:
        say(f"{url}: line {number} is damaged ({problem}); it is left out")
    return found


def json_lines(data: bytes) -> tuple[list[dict[str, Any]], list[tuple[int, str]]]:
    """The lines of such a log, and the number and problem of each that is damaged."""
    found: list[dict[str, Any]] = []
    problems: list[tuple[int, str]] = []
    for number, line in enumerate(data.splitlines(keepends=True), start=1):
        try:
            found += [_with_step(parse_json(line))] if line.endswith(b"\n") else []
        except ValueError as error:
            problems.append((number, str(error)))
    return found, problems


def _with_step(line: Any) -> dict[str, Any]:
    if not isinstance(line, dict) or not isinstance(line.get("step"), int):
        raise ValueError("no object with a step")
    return line
