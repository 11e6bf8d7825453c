"""The step ``tokenize.tokenizer``: one tokenizer for the run, the engine that encodes with it, and a report on it.

Writes ``tokenizer/tokenizer.json``, ``tokenizer/encoding.json`` (engine and ids, read by every encoding job) and
``tokenizer/report.json``.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.base.arrow import doc_id_array
from pipeline.base.console import say
from pipeline.base.errors import UserError, naming, parse_json
from pipeline.run import layout
from pipeline.run.engine import Job, Outputs
from pipeline.run.manifest import canonical_json
from pipeline.run.tokenizer import Tokenizer, special_ids
from pipeline.tokens.documents.assign import TRAIN
from pipeline.tokens.documents.kept_documents import kept_batches
from pipeline.tokens.documents.split import below_share, keyed_hash
from pipeline.tokens.tokenizer.definition import (
    from_tiktoken,
    further_special,
    special_id,
    vocabulary_size,
)
from pipeline.tokens.tokenizer.engines import Choice, choose, make_encoder
from pipeline.tokens.tokenizer.merges import learn_vocabulary
from pipeline.tokens.tokenizer.pretokens import PretokenCounts, library_pre_tokenizer
from pipeline.tokens.tokenizer.report import REPORT_BYTES, make_report
from pipeline.tokens.tokenizer.survey import Survey, merge, shortened

DOCUMENT_SAMPLE_BYTES = 1 << 20  # a longer document trains the tokenizer with its beginning only


def make_tokenizer(job: Job, outputs: Outputs) -> None:
    """Job "all" of the step.

    ``job.config``: the recipe's keys that decide the tokenizer, ``weights`` (source -> weight), ``sample_bytes``,
    ``shards``, and ``given`` (digest of a given file) with its path in ``job.arguments``.
    """
    config = job.config
    found = merge(outputs, config["shards"])
    shares = sample_shares(found.train_bytes, config["weights"], config["sample_bytes"])
    given = job.arguments.get("tokenizer")
    recent: list[str] = []
    if given:
        definition = load_given(Path(given), config)
    else:
        texts = _remembering(training_texts(outputs, found, shares, config["seed"]), recent)
        definition = train(texts, config)
    parsed = parse_json(definition)
    named = not given or str(given).endswith(".tiktoken")
    refuse_reachable_special(definition, parsed, cut_long_texts=named)
    size = vocabulary_size(parsed)
    if not given and size < config["vocabulary_size"]:
        say(
            f"tokenize: the vocabulary has {size:,} entries instead of the {config['vocabulary_size']:,} that were "
            "asked for: in this corpus no further pair of tokens occurs twice"
        )
    samples = found.proof
    choice = choose(definition, [sample.text for sample in samples], config["engine"], cut_long_texts=named)
    if choice.engine != "gigatoken":
        say(
            f"tokenize: the library {choice.engine} encodes, which only takes longer than gigatoken: the tokens are "
            f"those of this tokenizer ({choice.in_words})"
        )
    _write(outputs, definition, parsed, choice, config, named=named)
    report = make_report(definition, choice, samples, recent, named=named)
    outputs.file(layout.TOKENIZER_REPORT).write_text(canonical_json(report), encoding="utf-8")
    outputs.count(
        vocabulary_size=size,
        sample_documents=len(samples),
        round_trip_failures=report["round_trip"]["failures"],
        gigatoken=int(choice.engine == "gigatoken"),
    )


def sample_shares(train_bytes: Mapping[str, int], weights: Mapping[str, float], budget: int) -> dict[str, float]:
    """Share of each source's documents that trains the tokenizer: in proportion to its weight, within the budget.

    A source cannot give more than all its documents; what it lacks is not made up by repeating them.
    """
    usable = {source: size for source, size in train_bytes.items() if size and weights.get(source, 1.0) > 0}
    if not usable:
        return {}
    largest = max(weights.get(source, 1.0) for source in usable)
    full = {source: weights.get(source, 1.0) / largest for source in usable}
    wanted = sum(size * full[source] for source, size in usable.items())
    factor = min(1.0, budget / wanted)
    return {source: full[source] * factor for source in usable}


def training_texts(outputs: Outputs, found: Survey, shares: Mapping[str, float], seed: int) -> Iterator[list[str]]:
    """The sample of training documents, a list for each record batch; long ones cut at ``DOCUMENT_SAMPLE_BYTES``."""
    for name, source in found.sources.items():
        share = shares.get(source, 0.0)
        if share == 0.0:
            continue
        for batch, sides, _ in kept_batches(outputs, name, ["doc_id", "text"]):
            hashes = keyed_hash(doc_id_array(batch.column("doc_id")), f"sample {seed}")
            chosen = np.flatnonzero((sides == TRAIN) & below_share(hashes, share))
            if len(chosen):
                texts = batch.column("text").take(pa.array(chosen))
                yield [shortened(text, DOCUMENT_SAMPLE_BYTES) for text in texts.to_pylist()]


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
    outputs.file(layout.TOKENIZER).write_text(definition, encoding="utf-8")
    encoding = {
        "engine": choice.engine,
        "engine_version": choice.version,
        "reason": choice.reason,
        "cut_long_texts": named,
        "end_of_text": config["end_of_text"],
        "end_of_text_id": special_id(parsed, config["end_of_text"], "tokenize.end_of_text"),
        "special_tokens": special_ids(parsed),
        "vocabulary_size": vocabulary_size(parsed),
    }
    if config.get("begin_of_text"):
        encoding["begin_of_text_id"] = special_id(parsed, config["begin_of_text"], "tokenize.begin_of_text")
    outputs.file(layout.ENCODING).write_text(canonical_json(encoding), encoding="utf-8")


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


def train(texts: Iterable[list[str] | pa.Array], config: dict[str, Any]) -> str:
    """A byte-level BPE tokenizer of the texts: the bytes that ``tokenizers``' trainer gives.

    Args:
        texts: Batches of documents, in any order.
        config: ``vocabulary_size``, ``pretokenizer``, ``end_of_text``, ``begin_of_text``, ``special_tokens``.

    Returns:
        The content of its ``tokenizer.json``.
    """
    from tokenizers import Tokenizer, decoders, models

    words = PretokenCounts(config["pretokenizer"])
    for batch in texts:
        words.add(batch)
    special = [config["end_of_text"], *further_special(config)]
    names, merges = learn_vocabulary(words, config["vocabulary_size"], special)
    tokenizer = Tokenizer(models.BPE({name: token_id for token_id, name in enumerate(names)}, merges))
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.pre_tokenizer = library_pre_tokenizer(config["pretokenizer"])
    tokenizer.add_special_tokens(special)
    return str(tokenizer.to_str(pretty=True)) + "\n"


def load_given(path: Path, config: dict[str, Any]) -> str:
    """The ``tokenizer.json`` of a given file, which may be a ``.tiktoken`` file.

    Raises:
        UserError: If it is neither, or lacks the token that ends a document or that which begins one.
    """
    if path.suffix == ".tiktoken":
        return from_tiktoken(path, config["pretokenizer"], config["end_of_text"], further_special(config))
    try:
        with naming(str(path)):
            definition = path.read_text(encoding="utf-8")
        Tokenizer(definition)
        parsed = parse_json(definition)
    except ValueError as error:
        raise UserError(f"tokenize.tokenizer = {path}: not a tokenizer.json: {error}") from error
    for key in ("end_of_text", "begin_of_text"):
        if config.get(key):
            special_id(parsed, config[key], f"tokenize.{key}")
    return definition
