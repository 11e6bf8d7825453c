"""TODO model/training/start.py."""

import contextlib
import ctypes
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from model.checkpoints import checkpoint
from model.data.batches import TokenDataset
from model.data.corpus import Corpus, languages_of, open_corpus, token_counts
from model.devices.gpus import gpu_lock
from model.devices.world import World, joined
from model.evaluation.evaluate import Validator
from model.network.config import ModelConfig
from model.network.transformer import Transformer
from model.training.job import SHARD, STEP, Training, summary, training_of, unfinished, write_manifest
from model.training.report import Reporter
from model.training.samples import write_samples
from model.training.trainer import Trainer, check_batch
from pipeline.base import storage
from pipeline.base.console import say
from pipeline.base.errors import TokenmillError, UserError
from pipeline.order.weights import budget_lines
from pipeline.run import layout
from pipeline.run import manifest as manifests
from pipeline.run.folder import Run


def train_run(
    run: Run, reporter: Reporter | None = None, *, previous: bool = False, restart: bool = False
) -> dict[str, Any]:
    """Trains a run to its end, unless that is done; returns its summary.

    Args:
        run: The run folder and its recipe.
        reporter: Where progress goes.
        previous: Go on from the checkpoint before the last one.
        restart: Forget the checkpoints there are.

    Raises:
        Stopped: If a signal asked for the end; a checkpoint is saved.
        TokenmillError: If it cannot be done, saying why.
    """
    train = run.recipe.train
    with joined(train) as world, _only_one(run, world), _own_gpus(world, train.device):
        reporter = reporter or Reporter(leads=world.leads, events=False)
        training = _leading(world, lambda: training_of(run))
        reason = _leading(world, lambda: unfinished(run, training))
        if reason is None and not restart:
            reporter.note("training is finished: present and matching")
            return summary(run)
        _use_threads(train.threads)
        _keep_memory()
        trainer = _prepared(run, training, world, reporter)
        _leading(world, lambda: _clear(run, training, restart))  # only now: what was refused has cost no checkpoint
        reporter.event("started", step=_last_step(run))
        trainer.on_checkpoint = lambda: write_samples(run, trainer)
        result = trainer.execute(previous=previous)
        if world.leads:
            result["trained_on"] = _tell_budget(
                trainer.corpus.train, trainer.step * trainer.sequences, reporter, "read"
            )
            write_samples(run, trainer)
            _record(run, training, trainer.step, result)
        return summary(run) if world.leads else result


def _prepared(run: Run, training: Training, world: World, reporter: Reporter) -> Trainer:
    recipe = run.recipe
    model = initial_model(run)
    corpus = open_corpus(run, model.config.context_length)
    check_init_tokenizer(run, model.config, corpus)
    sequences = check_batch(model.config, run, world.size) * recipe.train.steps  # before anything that takes long
    check_budget(corpus.train, sequences, run)
    _tell_budget(corpus.train, sequences, reporter, "to read")
    counts = _leading(world, lambda: token_counts(corpus.train))
    trainer = Trainer(run, corpus, model, world, reporter, training.trajectory)
    if corpus.validation is not None:
        from pipeline.tokens.tokenizer.byte_lengths import token_byte_lengths

        lengths = token_byte_lengths(corpus.tokenizer).astype("int64")
        languages = languages_of(run, corpus.validation)
        trainer.validator = Validator(corpus.validation, lengths, languages, recipe.train, world)
        unigram = trainer.validator.score_unigram(counts).total
        trainer.validation = {"unigram_bits_per_byte": unigram.summary()["bits_per_byte"]}
    return trainer


def initial_model(run: Run) -> Transformer:
    """The model before its first step: drawn by the seed, or read from ``model.init``."""
    recipe = run.recipe
    if recipe.model.init is not None:
        from model.export.folder import load_folder

        return load_folder(recipe.model.init, context_length=recipe.model.context_length)
    corpus_size = open_corpus(run, recipe.model.context_length).vocabulary_size
    return Transformer(ModelConfig.from_recipe(recipe.model, corpus_size), seed=recipe.train.seed)


def check_init_tokenizer(run: Run, config: ModelConfig, corpus: Corpus) -> None:
    """Refuses tokens of another tokenizer than that of the checkpoint in ``model.init``.

    Raises:
        UserError: With the key that makes them fit.
    """
    from tokenizers import Tokenizer

    init = run.recipe.model.init
    if init is None:
        return
    own = Path(init) / "tokenizer.json"
    same = corpus.vocabulary_size <= config.vocabulary_size
    if same and own.is_file():
        vocabularies = [Tokenizer.from_file(str(path)).get_vocab() for path in (own, corpus.tokenizer)]
        same = vocabularies[0] == vocabularies[1]
    if not same:
        raise UserError(
            f"{run.root}: its tokens come from another tokenizer than model.init = {init!r} was trained with "
            f"({corpus.vocabulary_size:,} and {config.vocabulary_size:,} entries); make them with "
            f"tokenize.tokenizer = {str(own)!r}"
        )


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


def _tell_budget(dataset: TokenDataset, sequences: int, reporter: Reporter, what: str) -> dict[str, dict[str, Any]]:
    """Says what each source gives to the training; returns it by source."""
    rows = dataset.budget(sequences)
    reporter.note(f"tokens {what}, by source:")
    for line in budget_lines(rows):
        reporter.note(line)
    return {row["source"]: {key: round(row[key], 6) for key in ("tokens", "share", "epochs")} for row in rows}


def _leading(world: World, work: Any) -> Any:
    """Does the work in the leading process only; every process gets the result, or the error."""
    if world.size == 1:
        return work()
    answer: tuple[Any, BaseException | None] = (None, None)
    if world.leads:
        try:
            answer = (work(), None)
        except TokenmillError as error:
            answer = (None, error)
    value, failed = world.from_leader(answer)
    if failed is not None:
        raise failed
    return value


def _clear(run: Run, training: Training, restart: bool) -> None:
    """Checkpoints of a finished training that is out of date go, then its manifest; half-removed ones always."""
    old = manifests.load_manifest(run.root, STEP.name, SHARD)
    out_of_date = old is not None and old.fingerprint != training.fingerprint
    if restart or out_of_date:
        for step in checkpoint.complete_steps(run.root):
            checkpoint.remove(run.root, step)
    storage.delete(manifests.manifest_url(run.root, STEP.name, SHARD))
    checkpoint.remove_incomplete(run.root)


def _last_step(run: Run) -> int:
    steps = checkpoint.complete_steps(run.root)
    return steps[-1] if steps else 0


def _record(run: Run, training: Training, step: int, result: dict[str, Any]) -> None:
    folder = layout.checkpoint(step)
    digests = checkpoint.read_state(run.root, step)["digests"]
    state = f"{folder}/{layout.CHECKPOINT_STATE}"
    outputs = {f"{folder}/{name}": digest for name, digest in digests.items()}
    outputs[state] = manifests.digest_file(run.local(state))
    write_manifest(run, training, outputs, result)


def _use_threads(wanted: int) -> None:
    """A fixed number of compute threads: sums in another order would be other bits."""
    import torch

    torch.set_num_threads(wanted or len(os.sched_getaffinity(0)))


def _keep_memory() -> None:
    """Tells glibc to keep freed memory instead of giving it back and faulting it in again, page by page.

    Measured in docs/benchmarks/train.md; other C libraries have no mallopt and stay as they are.
    """
    mmap_max, trim_threshold, top_pad = -4, -1, -2
    with contextlib.suppress(AttributeError, OSError):
        library = ctypes.CDLL(None)
        library.mallopt(mmap_max, 0)
        library.mallopt(trim_threshold, 2**31 - 1)
        library.mallopt(top_pad, 64 << 20)


@contextlib.contextmanager
def _only_one(run: Run, world: World) -> Iterator[None]:
    """Waits until a training process of this run that is just ending has ended; held by the leading process."""
    if not storage.is_local(run.root) or not world.leads:
        yield
        return
    folder = storage.local_path(run.url(layout.LOGS))
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "train.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _own_gpus(world: World, device: str) -> contextlib.AbstractContextManager[Any]:
    """Holds the visible GPUs against another training; the leading process does it for all."""
    return gpu_lock(say) if world.leads and device != "cpu" else contextlib.nullcontext()
