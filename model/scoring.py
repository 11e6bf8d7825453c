"""What a checkpoint is worth: validation, multiple choice on a JSONL file, minimal pairs (BLiMP), and sample text.

Multiple choice: a line is ``{"context": ..., "choices": [...], "answer": index}``.  The answer chosen is the one whose
tokens are likeliest after the context (``accuracy``), or likeliest by the byte (``accuracy_by_bytes``).
Minimal pairs: ``{"sentence_good": ..., "sentence_bad": ...}``; right where the good sentence is likelier.
Source of the pairs' form: Warstadt et al., "BLiMP", TACL 2020.
"""

import json
import math
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer

from model import checkpoint
from model.corpus import TOKENIZER, languages_of, open_corpus
from model.evaluate import Validator
from model.export import end_of_text
from model.generate import Sampling, generate
from model.hardware import chosen_precision
from model.loss import IGNORED
from model.transformer import Transformer
from model.world import World
from pipeline.errors import UserError
from pipeline.run import Run

BATCH_TOKENS = 4096


def evaluate_run(run: Run, *, choices: str | None = None, previous: bool = False) -> dict[str, Any]:
    """Validation figures of a run's last checkpoint, and its multiple-choice scores on a file if asked.

    Raises:
        UserError: If there is no checkpoint or nothing to score.
    """
    from pipeline.tokens.byte_lengths import token_byte_lengths

    model = checkpoint.load_model(run.root, previous=previous)
    model.precision = chosen_precision(run.recipe.train.precision, torch.device("cpu"))
    result: dict[str, Any] = {"checkpoint": checkpoint.folder_of(checkpoint.chosen_step(run.root, previous=previous))}
    corpus = open_corpus(run, model.config.context_length)
    if corpus.validation is None:
        raise UserError(f"{run.root}: the recipe holds no validation tokens out (tokenize.validation_share = 0)")
    lengths = token_byte_lengths(corpus.tokenizer).astype("int64")
    languages = languages_of(run, corpus.validation)
    world = World(0, 1, torch.device("cpu"))
    found = Validator(corpus.validation, lengths, languages, run.recipe.train, world).score(model)
    result |= {**found.total.summary(), "by_source": found.by(0), "by_language": found.by(1)}
    if choices is not None:
        scorer = Scorer(model, run.local(TOKENIZER))
        result["choices"] = score_choices(scorer, read_choices(Path(choices)))
    return result


def sample_run(run: Run, prompt: str, tokens: int, sampling: Sampling) -> str:
    """Text that a run's last checkpoint writes after a prompt."""
    model = checkpoint.load_model(run.root)
    path = run.local(TOKENIZER)
    tokenizer, end = Tokenizer.from_file(str(path)), end_of_text(path)[1]
    ids = tokenizer.encode(prompt, add_special_tokens=False).ids or [end]
    found = generate(model, ids, max_new_tokens=tokens, sampling=sampling, end_of_text=end)
    text = tokenizer.decode([*ids, *found], skip_special_tokens=True)
    return text[len(tokenizer.decode(ids, skip_special_tokens=True)) :]


class Scorer:
    """Log-likelihoods of texts under a model.

    Args:
        model: In evaluation mode.
        tokenizer: Its tokenizer.json.
    """

    def __init__(self, model: Transformer, tokenizer: Path) -> None:
        self.model = model.eval()
        self.tokenizer = Tokenizer.from_file(str(tokenizer))
        self.start = end_of_text(tokenizer)[1]

    def log_likelihoods(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """Ln P(continuation | context) of each (context, continuation); the text starts after an end-of-text token.

        The boundary is kept: context and continuation are encoded apart.  What is longer than the model's context
        loses its beginning.
        """
        rows = [self._row(context, continuation) for context, continuation in pairs]
        order = sorted(range(len(rows)), key=lambda number: len(rows[number][0]))
        found = [0.0] * len(rows)
        for batch in _batches(order, [len(tokens) for tokens, _ in rows]):
            for number, value in zip(batch, self._score([rows[n] for n in batch]), strict=True):
                found[number] = value
        return found

    def _row(self, context: str, continuation: str) -> tuple[list[int], int]:
        before = (
            [self.start, *self.tokenizer.encode(context, add_special_tokens=False).ids] if context else [self.start]
        )
        after = self.tokenizer.encode(continuation, add_special_tokens=False).ids
        if not after:
            raise UserError(f"a choice without text after the context {context[:60]!r}")
        tokens = [*before, *after][-self.model.config.context_length - 1 :]
        return tokens, min(len(after), len(tokens) - 1)

    @torch.no_grad()
    def _score(self, rows: list[tuple[list[int], int]]) -> list[float]:
        longest = max(len(tokens) for tokens, _ in rows)
        inputs = torch.zeros(len(rows), longest - 1, dtype=torch.int64)
        targets = torch.full((len(rows), longest - 1), IGNORED)
        for number, (tokens, scored) in enumerate(rows):
            inputs[number, : len(tokens) - 1] = torch.tensor(tokens[:-1])
            targets[number, len(tokens) - 1 - scored : len(tokens) - 1] = torch.tensor(tokens[-scored:])
        losses = self.model(inputs, targets, each_token=True)
        return [-value for value in losses.double().sum(1).tolist()]


def _batches(order: Sequence[int], lengths: Sequence[int]) -> Iterator[list[int]]:
    """Neighbours of similar length, at most ``BATCH_TOKENS`` with their padding."""
    batch: list[int] = []
    for number in order:
        if batch and (len(batch) + 1) * lengths[number] > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(number)
    if batch:
        yield batch


def read_choices(path: Path) -> list[dict[str, Any]]:
    """Questions of a JSONL file.

    Raises:
        UserError: If the file or a line is not of the form, naming the line.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    questions = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            question = json.loads(line)
            fits = len(question["choices"]) > 1 and 0 <= int(question["answer"]) < len(question["choices"])
        except (ValueError, TypeError, KeyError) as error:
            raise UserError(f"{path}:{number}: expected context, choices, answer; {error!r}") from error
        if not fits:
            raise UserError(
                f"{path}:{number}: answer {question['answer']} is none of {len(question['choices'])} choices"
            )
        questions.append(question)
    if not questions:
        raise UserError(f"{path}: no question in it")
    return questions


def score_choices(scorer: Scorer, questions: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Share of questions whose answer is the likeliest choice, with its 95 % interval."""
    pairs = [(str(q.get("context", "")), str(choice)) for q in questions for choice in q["choices"]]
    values = iter(scorer.log_likelihoods(pairs))
    plain = by_bytes = 0
    for question in questions:
        scores = [next(values) for _ in question["choices"]]
        sizes = [max(1, len(str(choice).encode())) for choice in question["choices"]]
        relative = [score / size for score, size in zip(scores, sizes, strict=True)]
        plain += scores.index(max(scores)) == int(question["answer"])
        by_bytes += relative.index(max(relative)) == int(question["answer"])
    chance = sum(1 / len(question["choices"]) for question in questions) / len(questions)
    return {
        "questions": len(questions),
        "chance": chance,
        "accuracy": share(plain, len(questions)),
        "accuracy_by_bytes": share(by_bytes, len(questions)),
    }


def share(right: int, total: int) -> dict[str, float]:
    """A share with its Wilson interval at 95 %."""
    z = 1.959963984540054
    p = right / total
    center = (p + z * z / (2 * total)) / (1 + z * z / total)
    half = z * math.sqrt(p * (1 - p) / total + z * z / (4 * total * total)) / (1 + z * z / total)
    return {"share": p, "low": center - half, "high": center + half}


def score_pairs(scorer: Scorer, pairs: Sequence[tuple[str, str]]) -> int:
    """How many of the (good, bad) sentence pairs have the good one likelier."""
    values = scorer.log_likelihoods([("", sentence) for pair in pairs for sentence in pair])
    return sum(good > bad for good, bad in zip(values[::2], values[1::2], strict=True))


def score_blimp(scorer: Scorer, archive: Path, pairs_a_set: int = 1000) -> dict[str, Any]:
    """Minimal pairs of BLiMP's sets (a zip of JSONL files): share right in all and by set.

    Args:
        scorer: The model.
        archive: The zip.
        pairs_a_set: The first so many pairs of each set.
    """
    by_set: dict[str, int] = {}
    total = 0
    for name, pairs in read_blimp(archive):
        chosen = pairs[:pairs_a_set]
        by_set[name] = score_pairs(scorer, chosen)
        total += len(chosen)
    if not total:
        raise UserError(f"{archive}: no *.jsonl with sentence_good and sentence_bad in it")
    size = total // len(by_set)
    return {
        "pairs": total,
        "chance": 0.5,
        "accuracy": share(sum(by_set.values()), total),
        "by_set": {name: right / size for name, right in sorted(by_set.items())},
    }


def read_blimp(archive: Path) -> Iterable[tuple[str, list[tuple[str, str]]]]:
    """The sets of a BLiMP archive: name and (good, bad) sentences."""
    with zipfile.ZipFile(archive) as files:
        for name in sorted(n for n in files.namelist() if n.endswith(".jsonl")):
            rows = [json.loads(line) for line in files.read(name).decode("utf-8").splitlines() if line.strip()]
            yield Path(name).stem, [(row["sentence_good"], row["sentence_bad"]) for row in rows]
