"""What defines a training, whether it is done, and what is recorded of it: ``manifests/train/all.json``.

No torch: a finished training is recognised, and a planned one described, without it.
"""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from model.training import metrics
from model.training.refusals import check_init
from model.updates.schedule import last_stable_step, warmup_steps
from pipeline.base import storage
from pipeline.base.errors import RunError, parse_json
from pipeline.order.corpus import token_inputs, token_set
from pipeline.recipe.training_options import Model, Train
from pipeline.run import ledger
from pipeline.run import manifest as manifests
from pipeline.run.context import difference, leaves
from pipeline.run.engine import Job as EngineJob
from pipeline.run.engine import Step
from pipeline.run.folder import Run
from pipeline.run.manifest import Manifest, digest_file
from pipeline.tokens import restored

STEP = Step("train", 1, "", libraries=("torch", "safetensors"))
SHARD = "all"

# [train] keys that say how to hurry, watch and keep, not which weights come out
_NOT_DEFINING = {
    "log_every_steps",
    "loggers",
    "validate_every_steps",
    "checkpoint_every_steps",
    "checkpoint_every_minutes",
    "keep_last",
    "keep_every_steps",
    "keep_best",
    "disk_full",
    "device",
    "threads",
    "processes",
    "parallel",
    "runs",  # folders: their tokens' digests stand in the configuration
}
# and those that change rounding only: a checkpoint may go on under another value
_ROUNDING_ONLY = {
    "micro_batch_sequences",
    "precision",
    "compile",
    "activation_checkpointing",
    "max_validation_tokens",
    "max_skipped_steps",
}
_OF_THE_DECAY = {"steps", "decay_share", "final_learning_rate_ratio"}


@dataclass(frozen=True)
class Training:
    """What defines a training run.

    Attributes:
        job: Configuration and the digests of what is read, as in the manifest.
        recipe: The keys of [train] as they were asked for.
        tokens: Digests of token shards and tokenizer as they were before any takedown.
        takedown: Digest of the run's takedown.jsonl.
    """

    job: EngineJob
    recipe: Train
    tokens: dict[str, str]
    takedown: str

    @property
    def fingerprint(self) -> str:
        """As in its manifest."""
        return manifests.fingerprint(STEP.name, STEP.logic_version, self.job.config, self.job.inputs, self.takedown)

    @property
    def trajectory(self) -> str:
        """Fingerprint of what decides the weights, from the first step to the last."""
        return self._fingerprint({key: v for key, v in self.job.config["train"].items() if key not in _ROUNDING_ONLY})

    def led_to(self, state: Mapping[str, Any]) -> bool:
        """Whether the checkpoint of this state lies on the way of this training, so that it may go on from there."""
        step = int(state["step"])
        return step <= self.recipe.steps and state["trajectory"] in (self.trajectory_at(step), self.trajectory)

    def trajectory_at(self, step: int) -> str:
        """Fingerprint of what decided the weights after ``step`` steps."""
        return self._fingerprint(self._steering(step))

    def recorded(self, step: int) -> dict[str, Any]:
        """What a checkpoint keeps of its training beside the tensors: ``training.json``."""
        return {"config": {**self.job.config, "train": self._steering(step)}, "inputs": self.tokens}

    def _steering(self, step: int) -> dict[str, Any]:
        """The keys of [train] that decided the weights after ``step`` steps.

        As long as wsd has not begun to fall, how many steps there will be has not mattered.
        """
        keys = {key: v for key, v in self.job.config["train"].items() if key not in _ROUNDING_ONLY}
        if self.recipe.schedule == "wsd" and step <= last_stable_step(self.recipe):
            keys = {key: value for key, value in keys.items() if key not in _OF_THE_DECAY}
            keys["warmup_steps"] = warmup_steps(self.recipe)
        return keys

    def _fingerprint(self, train: Mapping[str, Any]) -> str:
        return manifests.fingerprint(
            "train.trajectory", STEP.logic_version, {**self.job.config, "train": train}, self.tokens
        )


def training_of(run: Run) -> Training:
    """What defines the training of a run.

    Raises:
        UserError: If there are no training tokens.
    """
    recipe = run.recipe
    tokens, others = token_set(run)
    train = {key: value for key, value in recipe.train.model_dump(mode="json").items() if key not in _NOT_DEFINING}
    if not train["init_optimizer"]:
        del train["init_optimizer"]  # trainings of before it was there are what they were
    sources = {source.name: [source.weight, source.max_epochs] for source in recipe.sources}
    sequences = recipe.train.steps * max(1, recipe.train.global_batch_tokens // recipe.model.trained_context_length)
    config = {
        "model": _shape(recipe.model).model_dump(mode="json", exclude={"init"}),
        "train": train,
        "sources": sources,
        "validates": recipe.tokenize.validation_share > 0.0,
        "init": _init_digests(recipe.model.init),
        "runs": others,
    }
    config = parse_json(json.dumps(config))
    # what came back joins in an epoch that had not begun, so it is no part of what led to a checkpoint
    inputs = token_inputs(run) | restored.inputs(run, sequences)
    return Training(EngineJob(SHARD, config, inputs), recipe.train, tokens, ledger.digest(run.root))


def _shape(model: Model) -> Model:
    """The section without what the folder of ``init`` overrules: its digest stands for the shape."""
    return model if model.init is None else Model(init=model.init, context_length=model.context_length)


def _init_digests(folder: str | None) -> dict[str, str]:
    if folder is None:
        return {}
    return {name: digest_file(storage.open_local(storage.join(folder, name))) for name in check_init(folder)}


def keys_of(was: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Key -> old and new value of each setting that both have and that differs; what only rounds differently is left.

    A key that the old settings do not have decided nothing, or was not recorded.
    """
    old, new = dict(_settings(was)), dict(_settings(now))
    keys = [key for key in sorted(new) if key in old and old[key] != new[key]]
    return {key: (old[key], new[key]) for key in keys}


def _settings(config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Key and value of each setting that decides weights; the tokens of other runs are no setting."""
    for key, value in leaves({name: value for name, value in config.items() if name not in ("runs", "init")}):
        if key.removeprefix("train.") not in _ROUNDING_ONLY:
            yield key, value
    if "init" in config:
        yield "model.init", {os.path.basename(path): digest for path, digest in config["init"].items()}


def unfinished(run: Run, training: Training, *, rebuild: bool = False) -> str | None:
    """Why the training has to run; None when it is done."""
    try:
        found = manifests.load_manifest(run.root, STEP.name, SHARD)
    except manifests.DamagedManifestError:
        return "its manifest is damaged"
    if found is None:
        return "not made yet"
    if found.fingerprint != training.fingerprint:
        return difference(found, STEP, training.job)
    versions = manifests.library_versions(STEP.libraries)
    if rebuild and found.libraries != versions:
        return f"made with other versions: {found.libraries}, now {versions}"
    if missing := manifests.missing_output(run.root, found):
        return missing
    stands = manifests.stage_manifest_stands(run.root, STEP.name, {SHARD: found})
    return None if stands else manifests.STAGE_MANIFEST_DIFFERS


def summary(run: Run) -> dict[str, Any]:
    """The finished training in figures.

    Raises:
        RunError: If it is not finished.
    """
    found = manifests.load_manifest(run.root, STEP.name, SHARD)
    if found is None:
        raise RunError(f"{run.root}: training is not finished; run the same command again to go on")
    rates = [line["tokens_per_second"] for line in metrics.read_lines(run.root) if "tokens_per_second" in line]
    nested = {"by_source", "by_language"}
    return {
        **{name: value for name, value in found.counts.items() if name not in nested},
        "tokens_per_second": sorted(rates)[len(rates) // 2] if rates else None,
        "checkpoint": os.path.dirname(found.outputs[0].path),
    }


def write_manifest(run: Run, training: Training, outputs: dict[str, str], counts: dict[str, Any]) -> None:
    """Records the finished training; ``outputs`` maps each file to its digest."""
    made = Manifest(
        step=STEP.name,
        shard=SHARD,
        fingerprint=training.fingerprint,
        logic_version=STEP.logic_version,
        config=training.job.config,
        inputs=training.job.inputs,
        libraries=manifests.library_versions(STEP.libraries),
        outputs=[
            manifests.Output(path, cast(int, storage.size(run.url(path))), digest)
            for path, digest in sorted(outputs.items())
        ],
        counts=counts,
        takedown=training.takedown,
    )
    storage.publish_bytes(made.to_bytes(), manifests.manifest_url(run.root, STEP.name, SHARD), run.root)
    manifests.write_stage_manifest(run.root, STEP.name, {SHARD: made})
