"""What a training would refuse: a shape, a batch, a checkpoint to go on from.  No torch, so that it is asked early.

``tokenmill run`` asks before anything starts, ``prepare`` again when the tokens are there.
"""

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

from model.checkpoints import elsewhere
from model.devices.gpus import visible_gpus
from model.export.foreign_config import read_config
from model.loggers.refused import refused
from model.network.config import ModelConfig
from pipeline.base import storage
from pipeline.base.errors import UserError
from pipeline.recipe.training_options import Model, Train
from pipeline.run import layout
from pipeline.run.folder import Run


def of_training(run: Run) -> Iterator[str]:
    """What cannot work of the train stage, a sentence each; the tokens need not be there."""
    train = run.recipe.train
    try:
        config = wanted_shape(run)
        check_batch(config, train, train.processes)
        _check_tokenizer_of_init(run, config)
    except UserError as error:
        yield str(error)
    for root in train.runs:
        if not storage.exists(storage.join(root, layout.RECIPE)):
            yield f"train.runs: {root} is no run folder: it has no {layout.RECIPE}"
    yield from _unknown_weights(run)
    yield from refused(train.loggers, run.root)
    if train.device == "cuda" and not visible_gpus():
        yield 'train.device = "cuda": no NVIDIA device is visible to this process; "auto" takes one where there is one'


def check_loggers(run: Run) -> None:
    """Refuses ``train.loggers`` that cannot be.

    Raises:
        UserError: Naming what to install.
    """
    if problems := list(refused(run.recipe.train.loggers, run.root)):
        raise UserError("; ".join(problems))


def wanted_shape(run: Run) -> ModelConfig:
    """The shape that the recipe asks for, or that of the checkpoint in ``model.init``.

    Raises:
        UserError: If its numbers do not fit together, or there is no such checkpoint.
    """
    model = run.recipe.model
    if model.init is None:
        check_init_optimizer(run)
        return ModelConfig.from_recipe(model, run.recipe.tokenize.vocabulary_size)
    check_init(model.init)
    check_init_optimizer(run)
    return read_config(Path(model.init), model.context_length)


def check_init_optimizer(run: Run) -> None:
    """Refuses ``train.init_optimizer`` where nothing has a state to go on with.

    Raises:
        UserError: Saying what would have one.
    """
    init = run.recipe.model.init
    if not run.recipe.train.init_optimizer or (init is not None and elsewhere.is_checkpoint(init)):
        return
    what = "there is no model.init" if init is None else f"model.init = {init!r} is a Hugging Face folder"
    raise UserError(
        f"train.init_optimizer: {what}, so there is no state of an optimizer; leave the key out, or name a checkpoint "
        "of a run in model.init"
    )


def passed_over(model: Model) -> str | None:
    """The keys of [model] that say another shape than the folder of ``model.init``, which defines it."""
    if model.init is None:
        return None
    config = read_config(Path(model.init), model.context_length)
    written = sorted(model.model_fields_set & {field.name for field in fields(config)})
    other = [key for key in written if getattr(model, key) not in (getattr(config, key), 0)]
    if not other:
        return None
    keys = ", ".join(f"model.{key} = {getattr(model, key)!r} (there {getattr(config, key)!r})" for key in other)
    return f"the folder of model.init defines the shape; passed over: {keys}"


def check_init(folder: str) -> list[str]:
    """The files of a Hugging Face folder, or of a checkpoint of a run, that define its model.

    Raises:
        UserError: If it has none.
    """
    if elsewhere.is_checkpoint(folder):
        return [layout.CHECKPOINT_STATE]  # which names the digests of the others
    elsewhere.refuse_run_folder(folder)
    names = [name for name in storage.list_files(folder) if name.endswith((".safetensors", "config.json"))]
    if not any(name.endswith(".safetensors") for name in names):
        raise UserError(
            f"model.init = {folder!r}: no such Hugging Face folder (config.json and *.safetensors), nor a checkpoint "
            f"of a run ({layout.CHECKPOINT_STATE})"
        )
    return names


def _check_tokenizer_of_init(run: Run, config: ModelConfig) -> None:
    """Refuses to make tokens that the checkpoint in ``model.init`` was not trained with."""
    init, options = run.recipe.model.init, run.recipe.tokenize
    if init is None or "tokenize" not in run.recipe.stages or options.tokenizer is not None:
        return  # a tokenizer that is given is compared when the tokens are there
    own = Path(init) / "tokenizer.json"
    cure = f"set tokenize.tokenizer = {str(own)!r}"
    if not own.is_file():
        cure = f"{own} is not there: bring it, or name the one it was trained with in tokenize.tokenizer"
    raise UserError(
        f"model.init = {init!r} goes on with its own tokenizer, but the recipe would train another one: {cure}"
    )


def _unknown_weights(run: Run) -> Iterator[str]:
    """``train.weights`` of sources that neither this run has, nor one that it mixes in."""
    train, names = run.recipe.train, [source.name for source in run.recipe.sources]
    unknown = sorted(name for name in train.weights if name not in names)
    if unknown and not train.runs:
        yield f"train.weights names {', '.join(unknown)}; the sources are {', '.join(names)}"


def check_batch(config: ModelConfig, train: Train, world_size: int) -> int:
    """Sequences of a global batch.

    Raises:
        UserError: If the batch does not divide into sequences, processes and micro-batches.
    """
    length = config.context_length
    if train.global_batch_tokens % length:
        near = max(1, round(train.global_batch_tokens / length)) * length
        raise UserError(
            f"train.global_batch_tokens = {train.global_batch_tokens}: not a multiple of model.context_length = "
            f"{length}; {near} is"
        )
    sequences = train.global_batch_tokens // length
    if sequences % world_size:
        raise UserError(
            f"train.global_batch_tokens = {train.global_batch_tokens} are {sequences} sequences, which "
            f"{world_size} processes cannot share evenly; use a multiple of {world_size * length} tokens"
        )
    share = sequences // world_size
    if share > train.micro_batch_sequences and share % train.micro_batch_sequences:
        fitting = [n for n in range(1, train.micro_batch_sequences + 1) if share % n == 0]
        raise UserError(
            f"train.micro_batch_sequences = {train.micro_batch_sequences}: does not divide the {share} sequences of a "
            f"process's part of the global batch; {fitting[-1]} does"
        )
    return sequences
