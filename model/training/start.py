"""Starts a training in this process: is it done, may it run here, what does it need, and what is recorded of it.

1. The processes of a training join (model/devices/world.py); the leading one waits for a trainer of this run that is
   just ending, and takes the GPUs.
2. What defines the training (``job``) is compared with the manifest and the checkpoints: a finished one is not made
   again, and one of other settings is refused (``continuation``).
3. ``prepare`` reads everything once and refuses what does not fit; only then is anything written.
4. ``Trainer`` trains; what it replaces goes when its first checkpoint is complete.  The manifest, written last, says
   that the training is finished.
"""

import contextlib
import ctypes
import fcntl
import os
from collections.abc import Iterator
from typing import Any

import torch

from model.checkpoints import checkpoint
from model.devices.gpus import gpu_lock
from model.devices.world import World, joined
from model.training.continuation import Continuation, continuation, replaces_text
from model.training.job import SHARD, STEP, Training, summary, training_of, write_manifest
from model.training.prepare import prepare, tell_budget
from model.training.refusals import check_loggers
from model.training.report import Reporter
from model.training.signals import ignore
from model.training.trainer import Trainer
from pipeline.base import storage
from pipeline.base.console import say
from pipeline.base.locks import open_lock
from pipeline.run import checkpoints, layout, step_digests
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
        restart: Begin anew; the checkpoints there are go when the first new one is complete.

    Raises:
        Stopped: If a signal asked for the end; a checkpoint is saved.
        TokenmillError: If it cannot be done, saying why.
    """
    train = run.recipe.train
    with joined(train) as world, _only_one(run, world), _own_gpus(world, train.device):
        reporter = reporter or Reporter(leads=world.leads, events=False)
        training = world.leading(lambda: training_of(run))
        way = world.leading(lambda: _way(run, training, restart, previous))
        if way.reason is None:
            world.leading(run.write_recipe)
            reporter.note("training is finished: present and matching")
            return summary(run)
        world.leading(lambda: check_loggers(run))
        start = way.start(previous=previous)
        # a fixed number of threads: sums in another order would be other bits
        torch.set_num_threads(train.threads or len(os.sched_getaffinity(0)))
        _keep_memory()
        prepared = prepare(run, training, world, reporter)
        world.leading(lambda: _begin(run, way, reporter))  # only now: what was refused has changed nothing
        reporter.event("started", step=start or 0)
        trainer = Trainer(prepared, reporter, start=start, replaces=way.succession.replaces)
        result = trainer.execute()
        if not world.leads:
            ignore()  # the leading process, which has work left, answers them, and its end is noticed
            return result
        result["trained_on"] = tell_budget(
            prepared.corpus.train, result["steps"] * prepared.sequences, reporter, "read"
        )
        trainer.write_samples()
        checkpoints.begin_succession(run.root, checkpoints.Succession())  # none is under way any more
        write_manifest(run, training, checkpoint.digests(run.root, result["steps"]), result)
        return summary(run)


def _way(run: Run, training: Training, restart: bool, previous: bool) -> Continuation:
    checkpoints.promote(run.root)  # a first checkpoint that stood complete when the training was killed
    return continuation(run, training, restart=restart, previous=previous)


def _begin(run: Run, way: Continuation, reporter: Reporter) -> None:
    """Records what is replaced, and clears what a killed process left; the manifest of what is gone on from goes."""
    run.write_recipe()
    checkpoints.remove_incomplete(run.root)
    checkpoints.begin_succession(run.root, way.succession)
    if way.succession.replaces:
        reporter.note(replaces_text(run.root, way))
    else:
        step_digests.forget(run.root, STEP.name)
        storage.delete(manifests.manifest_url(run.root, STEP.name, SHARD))


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
    path = storage.local_path(run.url(layout.TRAIN_LOCK))
    with os.fdopen(open_lock(path), "wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _own_gpus(world: World, device: str) -> contextlib.AbstractContextManager[Any]:
    """Holds the visible GPUs against another training; the leading process does it for all."""
    return gpu_lock(say) if world.leads and device != "cpu" else contextlib.nullcontext()
