"""What a checkpoint is worth: validation, multiple choice on a JSONL file, minimal pairs (BLiMP), and sample text.

Multiple choice: each line is ``{"context": ..., "choices": [...], "answer": index}``.  The answer chosen is the one
whose tokens are likeliest after the context (``accuracy``), or likeliest per byte (``accuracy_by_bytes``).
Minimal pairs: ``{"sentence_good": ..., "sentence_bad": ...}``; right where the good sentence is likelier.
Source of the pairs' form: Warstadt et al., "BLiMP", TACL 2020.
"""

import math
import unicodedata
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from model.data.corpus import open_corpus
from model.devices.hardware import chosen_precision
from model.devices.world import ALONE
from model.evaluation.evaluate import validator_of
from model.evaluation.generate import Sampling, generate
from model.evaluation.prefix_tree import Text, log_likelihoods
from model.network.transformer import Transformer, load_model, rounded
from pipeline.base.console import say
from pipeline.base.errors import RunError, UnansweredError, UserError, parse_json
from pipeline.base.progress import counter
from pipeline.order.corpus import check_shards
from pipeline.order.trained import as_trained, begin_of_text_of, check_tokens, end_of_text_of, tokenizer_of
from pipeline.run import layout
from pipeline.run.checkpoints import chosen
from pipeline.run.folder import Run
from pipeline.run.tokenizer import Tokenizer


def evaluate_run(
    run: Run,
    *,
    choices: str | None = None,
    pairs: str | None = None,
    previous: bool = False,
    named: str | None = None,
    dtype: str = "float32",
) -> dict[str, Any]:
    """Validation figures of a run's checkpoint, and its scores on multiple choice or minimal pairs if asked.

    Where the tokens that it was trained on are gone, there are no validation figures: with questions of one's own that
    is said, else refused.

    Args:
        run: The run.
        choices: A file of multiple-choice questions.
        pairs: Minimal pairs.
        previous: Use the checkpoint before the last one.
        named: Use this checkpoint.
        dtype: Round its weights to this first, as an export does.

    Raises:
        UserError: If there is no checkpoint or nothing to score.
        RunError: If its tokens are gone, with both digests.
    """
    step = chosen(run.root, named, previous=previous)
    model = rounded(load_model(run.root, step), dtype)
    model.precision = chosen_precision(run.recipe.train.precision, ALONE.device)
    result: dict[str, Any] = {"checkpoint": layout.checkpoint(step)}
    try:
        check_tokens(run, step, "its validation loss")
    except UnansweredError:
        raise
    except RunError as error:
        if choices is None and pairs is None:
            raise
        say(str(error))
    else:
        result |= _validation(as_trained(run), model)
    scorer = Scorer(model, Tokenizer.open(tokenizer_of(run, step)), start_of(run, step))
    if choices is not None:
        result["choices"] = score_choices(scorer, read_choices(Path(choices)))
    if pairs is not None:
        result["pairs"] = score_minimal_pairs(scorer, Path(pairs))
    return result


def _validation(run: Run, model: Transformer) -> dict[str, Any]:
    check_shards(run, (layout.VALIDATION_TOKENS,), "eval: checking the tokens")
    validator = validator_of(run, open_corpus(run, model.config.context_length), ALONE)
    if validator is None:
        raise UserError(f"{run.root}: the recipe holds no validation tokens out (tokenize.validation_share = 0)")
    found = validator.score(model, counter("eval: validation", "batch", "batches"))
    return {**found.total.summary(), "by_source": found.by_source(), "by_language": found.by_language()}


def sample_run(
    run: Run, prompt: str, tokens: int, sampling: Sampling, *, named: str | None = None, dtype: str = "float32"
) -> str:
    """Text that a run's last checkpoint, or the one that is named, writes after a prompt.

    Raises:
        UserError: If there is no checkpoint, or the prompt came from bytes that are not UTF-8.
        RunError: If its tokenizer is gone.
    """
    if not is_unicode(prompt):
        raise UserError(f"the prompt {prompt!r} is not UTF-8: expected text in UTF-8")
    step = chosen(run.root, named)
    model = rounded(load_model(run.root, step), dtype)
    tokenizer = Tokenizer.open(tokenizer_of(run, step))
    begin, ids = begin_of_text_of(run, step), tokenizer.ids(unicodedata.normalize("NFC", prompt))
    ids = [begin, *ids] if begin is not None else ids or _start(run, step)
    found = generate(model, ids, max_new_tokens=tokens, sampling=sampling, end_of_text=end_of_text_of(run, step))
    text = tokenizer.text([*ids, *found], special=False)
    return text[len(tokenizer.text(ids, special=False)) :]


def _start(run: Run, step: int) -> list[int]:
    """What an empty prompt begins from."""
    if (start := start_of(run, step)) is None:
        raise UserError(
            "the prompt is empty, and with train.mask_documents the first words of a document were not learned from "
            "what stands before them; give a prompt"
        )
    return [start]


def start_of(run: Run, step: int) -> int | None:
    """The token that a document's text follows, in the training of a checkpoint.

    That is the one which begins each document, if there is one, else the end of the document before it; None where
    documents were masked: then nothing was ever predicted from that token.
    """
    if (begin := begin_of_text_of(run, step)) is not None:
        return begin
    return None if as_trained(run).recipe.train.mask_documents else end_of_text_of(run, step)


class Scorer:
    """Log-likelihoods of texts under a model.

    Texts are brought into Unicode's form NFC, as those that it was trained on.

    Args:
        model: In evaluation mode.
        tokenizer: Its tokenizer.
        start: The token before a text; None: there is none, and what a text begins with is not scored.
    """

    def __init__(self, model: Transformer, tokenizer: Tokenizer, start: int | None) -> None:
        self.model, self.tokenizer = model.eval(), tokenizer
        self._before = [] if start is None else [start]

    def log_likelihoods(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """Ln P(continuation | context) of each (context, continuation).

        Context and continuation are encoded together, as they would stand in a document; the tokens that end in the
        continuation are scored.  What is longer than the model's context loses its beginning.
        """
        return log_likelihoods(self.model, [self._text(context, continuation) for context, continuation in pairs])

    def preferences(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """Ln P(first) - ln P(second) of each pair of texts; what both begin with cancels out and is not scored."""
        encoded = self.tokenizer.ids_of([unicodedata.normalize("NFC", text) for pair in pairs for text in pair])
        tokens = [[*self._before, *ids] for ids in encoded]
        texts = []
        for first, second in zip(tokens[::2], tokens[1::2], strict=True):
            same = (number for number, (a, b) in enumerate(zip(first, second, strict=False)) if a != b)
            shared = next(same, min(len(first), len(second)))
            texts += [self._fitted(text, len(text) - shared) for text in (first, second)]
        values = log_likelihoods(self.model, texts)
        return [good - bad for good, bad in zip(values[::2], values[1::2], strict=True)]

    def _text(self, context: str, continuation: str) -> Text:
        context = unicodedata.normalize("NFC", context)
        ids, offsets = self.tokenizer.offsets(context + unicodedata.normalize("NFC", continuation))
        scored = sum(end > len(context) for _, end in offsets)
        if not scored:
            raise UserError(f"a choice without text after the context {context[:60]!r}")
        return self._fitted([*self._before, *ids], scored)

    def _fitted(self, tokens: list[int], scored: int) -> Text:
        """The end of a text that the model's context holds."""
        tokens = tokens[-self.model.config.context_length - 1 :]
        return Text(tokens, min(scored, len(tokens) - 1))


def read_choices(path: Path) -> list[dict[str, Any]]:
    """Questions of a JSONL file.

    Raises:
        UserError: If the file or a line is not of the form, naming the line.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: cannot be read: {error}") from error
    questions = []
    for number, line in _lines(text):
        try:
            question = parse_json(line)
            fits = len(question["choices"]) > 1 and 0 <= int(question["answer"]) < len(question["choices"])
            texts = question["choices"], question.get("context", "")
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise UserError(f"{path}:{number}: expected context, choices, answer; {error!r}") from error
        if not (isinstance(texts[0], list) and all(map(is_unicode, [*texts[0], texts[1]])) and all(texts[0])):
            raise UserError(
                f"{path}:{number}: expected context to be text, and choices a list of texts that are not empty"
            )
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
    plain = by_bytes = 0.0
    for question in questions:
        scores = [next(values) for _ in question["choices"]]
        sizes = [max(1, len(str(choice).encode())) for choice in question["choices"]]
        relative = [score / size for score, size in zip(scores, sizes, strict=True)]
        plain += _right(scores, int(question["answer"]))
        by_bytes += _right(relative, int(question["answer"]))
    chance = sum(1 / len(question["choices"]) for question in questions) / len(questions)
    return {
        "questions": len(questions),
        "chance": chance,
        "accuracy": share(plain, len(questions)),
        "accuracy_by_bytes": share(by_bytes, len(questions)),
    }


def _right(scores: Sequence[float], answer: int) -> float:
    """1 where the answer alone is the likeliest, 1/n where n are: a model that knows nothing gets chance."""
    best = max(scores)
    return float(scores[answer] == best) / scores.count(best)


def share(right: float, total: int) -> dict[str, float]:
    """A share with its Wilson interval at 95 %."""
    z = 1.959963984540054
    p = right / total
    center = (p + z * z / (2 * total)) / (1 + z * z / total)
    half = z * math.sqrt(p * (1 - p) / total + z * z / (4 * total * total)) / (1 + z * z / total)
    return {"share": p, "low": center - half, "high": center + half}


def score_minimal_pairs(scorer: Scorer, path: Path, pairs_per_set: int | None = None) -> dict[str, Any]:
    """Share of minimal pairs whose good sentence is the likelier one, in all and by set, with 95 % intervals.

    Args:
        scorer: The model.
        path: A zip of JSONL files (BLiMP as it is published) or one JSONL file; each file is a set.
        pairs_per_set: How many pairs of each set count, from its first on; None: all.
    """
    by_set: dict[str, tuple[int, int]] = {}
    sets, heard = read_minimal_pairs(path), counter("eval: minimal pairs", "set")
    for number, (name, pairs) in enumerate(sets.items(), 1):
        chosen = pairs[:pairs_per_set]
        heard(number - 1, len(sets))
        by_set[name] = (sum(value > 0.0 for value in scorer.preferences(chosen)), len(chosen))
        say(f"minimal pairs: {number} of {len(sets)} sets, {name} {by_set[name][0]} of {len(chosen)}")
    right, total = (sum(counts) for counts in zip(*by_set.values(), strict=True))
    return {
        "pairs": total,
        "chance": 0.5,
        "accuracy": share(right, total),
        "by_set": {name: share(*counts) for name, counts in sorted(by_set.items())},
    }


def read_minimal_pairs(path: Path) -> dict[str, list[tuple[str, str]]]:
    """Sets of (good, bad) sentences by name.

    Raises:
        UserError: If the file is no zip or JSONL of such pairs, naming the line.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as files:
                members = [n for n in sorted(files.namelist()) if n.endswith(".jsonl") and "__MACOSX" not in n]
                texts = {name: files.read(name).decode("utf-8") for name in members}
        else:
            texts = {path.name: path.read_text(encoding="utf-8")}
    except (zipfile.BadZipFile, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from error
    sets = {Path(name).stem: list(_minimal_pairs(text, f"{path}:{name}")) for name, text in texts.items()}
    sets = {name: pairs for name, pairs in sets.items() if pairs}
    if not sets:
        raise UserError(f"{path}: no *.jsonl with sentence_good and sentence_bad in it")
    return sets


def _minimal_pairs(text: str, where: str) -> Iterator[tuple[str, str]]:
    for number, line in _lines(text):
        try:
            row = parse_json(line)
            good, bad = row["sentence_good"], row["sentence_bad"]
        except (ValueError, TypeError, KeyError) as error:
            raise UserError(f"{where}:{number}: expected sentence_good and sentence_bad; {error!r}") from error
        if not (is_unicode(good) and is_unicode(bad) and good and bad):
            raise UserError(f"{where}:{number}: expected sentence_good and sentence_bad to be texts that are not empty")
        yield good, bad


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Number and text of the lines of a JSONL file that are not blank; a string may hold U+2028, which ends no line."""
    return ((number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip())


def is_unicode(value: object) -> bool:
    """Whether a value is text that UTF-8 can hold: lone surrogates, which no tokenizer takes, are not."""
    return isinstance(value, str) and not any("\ud800" <= character <= "\udfff" for character in value)
