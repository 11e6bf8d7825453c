"""What a training needs of its run, read once and checked: model, tokens, validation set.

Whatever can be refused is refused here, before a checkpoint is touched or a step is made.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.checkpoints import elsewhere
from model.checkpoints.checkpoint import OPTIMIZER_FILE
from model.checkpoints.tensor_file import TensorFile
from model.data.batches import TokenDataset
from model.data.corpus import Corpus, open_corpus, token_counts
from model.devices.world import World
from model.evaluation.evaluate import Validator, validator_of
from model.export.folder import load_folder
from model.network.config import ModelConfig
from model.network.transformer import Transformer
from model.plan.enough import warnings
from model.training.job import Training
from model.training.refusals import check_batch, check_init_optimizer, passed_over, wanted_shape
from model.training.report import Reporter
from model.updates.schedule import misfit
from pipeline.base.console import say
from pipeline.base.errors import UserError
from pipeline.order.corpus import check_shards
from pipeline.order.weights import budget_lines
from pipeline.run import layout
from pipeline.run.folder import Run
from pipeline.run.tokenizer import Tokenizer


@dataclass(frozen=True)
class Prepared:
    """All that was read of a run for its training; made by ``prepare``.

    Attributes:
        run: The run folder and its recipe.
        training: What defines the training.
        world: This process among those that train together.
        corpus: The tokens.
        model: The initial model, in float32; without its weights where it is drawn sharded.
        sequences: Windows of a global batch.
        validator: Scores the validation set; None where the recipe holds nothing out.
        unigram: Bits per byte of a unigram model of the training tokens, under the name in the summary.
    """

    run: Run
    training: Training
    world: World
    corpus: Corpus
    model: Transformer
    sequences: int
    validator: Validator | None
    unigram: dict[str, Any]


def prepare(run: Run, training: Training, world: World, reporter: Reporter) -> Prepared:
    """Reads and checks what the training needs; says what each source will give.

    Raises:
        UserError: If something does not fit, with the key that makes it fit.
        RunError: If a token shard is damaged or missing.
        FormatError: If tokens come from two tokenizers.
    """
    world.leading(lambda: check_shards(run, (layout.TOKENS,), "train: checking the tokens"))
    model, corpus = _model_and_corpus(run)
    sequences = check_batch(model.config, run.recipe.train, world.size)  # before anything that takes long
    check_budget(corpus.train, sequences * run.recipe.train.steps, run)
    tell_budget(corpus.train, sequences * run.recipe.train.steps, reporter, "to read")
    tokens = sum(stream.tokens for stream in corpus.train.streams)
    goes_on = run.recipe.model.init is not None
    for told in (
        passed_over(run.recipe.model),
        misfit(run.recipe.train),
        *warnings(model.config, run.recipe.train, tokens, goes_on=goes_on),
    ):
        if told:
            reporter.note(told)
    counts = world.leading(lambda: token_counts(corpus.train))
    validator, unigram = validator_of(run, corpus, world), {}
    if validator is not None:
        unigram = {"unigram_bits_per_byte": validator.score_unigram(counts).total.summary()["bits_per_byte"]}
    return Prepared(run, training, world, corpus, model, sequences, validator, unigram)


def _model_and_corpus(run: Run) -> tuple[Transformer, Corpus]:
    """The model before its first step, drawn by the seed or read from ``model.init``, and tokens for its context."""
    wanted = run.recipe.model
    if wanted.init is None:
        check_init_optimizer(run)
        corpus = open_corpus(run, wanted.context_length)
        config = ModelConfig.from_recipe(wanted, corpus.vocabulary_size)
        sharded = run.recipe.train.parallel == "fsdp"
        return Transformer.without_weights(config) if sharded else Transformer(config, run.recipe.train.seed), corpus
    wanted_shape(run)
    model = load_folder(wanted.init, context_length=wanted.context_length)
    corpus = open_corpus(run, model.config.context_length)
    _check_tokenizer(run, wanted.init, model.config, corpus)
    return model, corpus


def _check_tokenizer(run: Run, init: str, config: ModelConfig, corpus: Corpus) -> None:
    """Refuses tokens of another tokenizer than that of the checkpoint in ``model.init``."""
    own = Path(init) / "tokenizer.json"
    same = corpus.vocabulary_size <= config.vocabulary_size
    if same and not own.is_file():
        say(f"{own} is not there, so whether the tokens are of the tokenizer that it was trained with cannot be told")
    elif same:
        vocabularies = [Tokenizer.open(path).vocabulary() for path in (own, corpus.tokenizer)]
        same = vocabularies[0] == vocabularies[1]
    if not same:
        raise UserError(
            f"{run.root}: its tokens come from another tokenizer than model.init = {init!r} was trained with "
            f"({corpus.vocabulary_size:,} and {config.vocabulary_size:,} entries); make them with "
            f"tokenize.tokenizer = {str(own)!r}"
        )


def init_optimizer(prepared: Prepared) -> tuple[TensorFile, int]:
    """State of the optimizer of the checkpoint in ``model.init``, and how many updates it has made.

    Raises:
        UserError: If it is of other optimizers than the recipe asks for.
    """
    folder, asked = str(prepared.run.recipe.model.init), prepared.run.recipe.train.optimizer
    file = elsewhere.open_tensors(folder, OPTIMIZER_FILE)
    found = "muon" if any(name.endswith(".momentum_buffer") for name in file.names) else "adamw"
    if file.names and found != asked:
        raise UserError(f"train.init_optimizer: {folder} was trained with {found!r}, not train.optimizer = {asked!r}")
    return file, int(elsewhere.read_state(folder)["updates"])


def check_budget(dataset: TokenDataset, sequences: int, run: Run) -> None:
    """Refuses a training that asks for more than the sources' ``max_epochs`` allow.

    Raises:
        UserError: With the steps that they allow.
    """
    total, train = dataset.mixture.total, run.recipe.train
    if total is not None and sequences > total:
        allowed = total * dataset.context_length // train.global_batch_tokens
        raise UserError(
            f"train.steps = {train.steps:,} read {sequences:,} sequences of {dataset.context_length:,} tokens, but "
            f"max_epochs of the sources allow {total:,}, so at most {allowed:,} steps; raise one or lower the other"
        )


def tell_budget(dataset: TokenDataset, sequences: int, reporter: Reporter, what: str) -> dict[str, dict[str, Any]]:
    """Says what each source gives to the first ``sequences``; returns it by source."""
    rows = dataset.budget(sequences)
    reporter.note(f"tokens {what}, by source:")
    for line in budget_lines(rows):
        reporter.note(line)
    return {row["source"]: {key: round(row[key], 6) for key in ("tokens", "share", "epochs")} for row in rows}
