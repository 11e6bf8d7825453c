"""The step ``tokenize.tokenizer``: one tokenizer for the run, the engine that encodes with it, and a report on it.

Writes ``tokenizer/tokenizer.json``, ``tokenizer/encoding.json`` (engine and ids, read by every encoding job) and
``tokenizer/report.json``.
"""

import contextlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.base.console import say
from pipeline.base.errors import RunError, UserError
from pipeline.run import layout
from pipeline.run.engine import Job, Outputs
from pipeline.run.manifest import canonical_json
from pipeline.tokens.documents import corpus
from pipeline.tokens.tokenizer.definition import (
    end_of_text_id,
    from_tiktoken,
    pre_tokenizer,
    special_ids,
    vocabulary_size,
)
from pipeline.tokens.tokenizer.engines import Choice, choose, make_encoder
from pipeline.tokens.tokenizer.report import REPORT_BYTES, make_report
from pipeline.tokens.tokenizer.survey import merge


def make_tokenizer(job: Job, outputs: Outputs) -> None:
    """Job "all" of the step.

    ``job.config``: the recipe's keys that decide the tokenizer, ``weights`` (source -> weight), ``sample_bytes``,
    ``shards``, and ``given`` (digest of a given file) with its path in ``job.arguments``.
    """
    config = job.config
    found = merge(outputs, config["shards"])
    if not sum(found.train_bytes.values()):
        raise RunError(
            "no training document is left: every document was dropped or held out; `tokenmill report RUN` shows by "
            "which rule, and `tokenmill filter RUN --set KEY=VALUE` what another threshold would keep"
        )
    shares = corpus.sample_shares(found.train_bytes, config["weights"], config["sample_bytes"])
    given = job.arguments.get("tokenizer")
    recent: list[str] = []
    if given:
        definition = load_given(Path(given), config)
    else:
        texts = _remembering(corpus.training_texts(outputs, found, shares, config["seed"]), recent)
        definition = train(texts, config)
    parsed = json.loads(definition)
    named = not given or str(given).endswith(".tiktoken")
    refuse_reachable_special(definition, parsed, cut_long_texts=named)
    size = vocabulary_size(parsed)
    if not given and size < config["vocabulary_size"]:
        say(
            f"tokenize: the corpus supports a vocabulary of {size:,} entries, {config['vocabulary_size']:,} were asked "
            "for: no further pair of tokens occurs twice"
        )
    samples = found.proof
    choice = choose(definition, [sample.text for sample in samples], config["engine"], cut_long_texts=named)
    if choice.engine != "gigatoken":
        say(f"tokenize: encoding with {choice.engine}: {choice.reason}")
    _write(outputs, definition, parsed, choice, config, named=named)
    report = make_report(definition, choice, samples, recent, named=named)
    outputs.file(layout.TOKENIZER_REPORT).write_text(canonical_json(report))
    outputs.count(
        vocabulary_size=size,
        sample_documents=len(samples),
        round_trip_failures=report["round_trip"]["failures"],
        gigatoken=int(choice.engine == "gigatoken"),
    )


def refuse_reachable_special(definition: str, parsed: dict[str, Any], *, cut_long_texts: bool) -> None:
    """Text that reads like a special token must stay text: refuses special tokens that merges of text can reach.

    Raises:
        UserError: Naming them.
    """
    special = special_ids(parsed)
    merges = (pair if isinstance(pair, list) else pair.split(" ") for pair in parsed["model"].get("merges") or ())
    reached = special.keys() & {"".join(pair) for pair in merges}
    encode = make_encoder("tokenizers", definition, cut_long_texts=cut_long_texts)
    for token, token_id in special.items():
        if token_id in encode(pa.array([token], pa.large_string()))[0]:
            reached = reached | {token}
    if reached:
        raise UserError(
            f"the special tokens {', '.join(map(repr, sorted(reached)))} are also what this tokenizer makes of plain "
            "text, which could then end a document; name ones that text is always cut inside of, such as '<|pad|>'"
        )


def _write(
    outputs: Outputs, definition: str, parsed: dict[str, Any], choice: Choice, config: dict[str, Any], *, named: bool
) -> None:
    outputs.file(layout.TOKENIZER).write_text(definition)
    encoding = {
        "engine": choice.engine,
        "engine_version": choice.version,
        "reason": choice.reason,
        "cut_long_texts": named,
        "end_of_text": config["end_of_text"],
        "end_of_text_id": end_of_text_id(parsed, config["end_of_text"]),
        "special_tokens": special_ids(parsed),
        "vocabulary_size": vocabulary_size(parsed),
    }
    outputs.file(layout.ENCODING).write_text(canonical_json(encoding))


def _remembering(batches: Iterable[list[str]], kept: list[str]) -> Iterator[list[str]]:
    """Passes batches on, and keeps the first ``REPORT_BYTES`` of text for the report."""
    size = 0
    for batch in batches:
        for text in batch if size < REPORT_BYTES else ():
            kept.append(text)
            size += len(text)
            if size >= REPORT_BYTES:
                break
        yield batch


def train(texts: Iterable[list[str]], config: dict[str, Any]) -> str:
    """A byte-level BPE tokenizer of the texts; the same bytes whatever the number of threads.

    Args:
        texts: Batches of documents.
        config: ``vocabulary_size``, ``pretokenizer``, ``end_of_text``, ``special_tokens``.

    Returns:
        The content of its ``tokenizer.json``.
    """
    with _all_processors():
        return _train(texts, config)


@contextlib.contextmanager
def _all_processors() -> Iterator[None]:
    """Lets ``tokenizers`` use every processor: the one job of this step, no other worker computes meanwhile."""
    wanted = {"TOKENIZERS_PARALLELISM": "true", "RAYON_NUM_THREADS": str(len(os.sched_getaffinity(0)))}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _train(texts: Iterable[list[str]], config: dict[str, Any]) -> str:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.decoder = decoders.ByteLevel()
    # set through its definition, so that training and a later load cut text in exactly the same way
    definition = json.loads(tokenizer.to_str())
    definition["pre_tokenizer"] = pre_tokenizer(config["pretokenizer"])
    tokenizer = Tokenizer.from_str(json.dumps(definition))
    trainer = trainers.BpeTrainer(
        vocab_size=config["vocabulary_size"],
        min_frequency=2,
        special_tokens=[config["end_of_text"], *config["special_tokens"]],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return str(tokenizer.to_str(pretty=True)) + "\n"


def load_given(path: Path, config: dict[str, Any]) -> str:
    """The ``tokenizer.json`` of a given file, which may be a ``.tiktoken`` file.

    Raises:
        UserError: If it is neither, or lacks the end-of-text token.
    """
    if path.suffix == ".tiktoken":
        return from_tiktoken(path, config["pretokenizer"], config["end_of_text"], config["special_tokens"])
    from tokenizers import Tokenizer

    definition = path.read_text(encoding="utf-8")
    try:
        Tokenizer.from_str(definition)
        parsed = json.loads(definition)
    except Exception as error:
        raise UserError(f"tokenize.tokenizer = {path}: not a tokenizer.json: {error}") from error
    end_of_text_id(parsed, config["end_of_text"])
    return definition
