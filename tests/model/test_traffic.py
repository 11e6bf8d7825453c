"""What a step sends between processes: computed, and measured on the loopback of a network namespace of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from model.network.config import ModelConfig
from model.plan.traffic import step_traffic
from pipeline.recipe.training_options import Train
from tests.model.runs import make_run

LAYERS, WIDTH, HEADS = 4, 128, 4
SHAPE = (f"model.layers={LAYERS}", f"model.width={WIDTH}", f"model.heads={HEADS}")
BATCH = ("train.global_batch_tokens=1024", "train.micro_batch_sequences=4", "train.checkpoint_every_steps=0")
FEW, MORE = 4, 16
INSIDE = """
import json, os, subprocess, sys
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
subprocess.run(json.loads(sys.argv[1]), check=True, stdout=subprocess.DEVNULL)
print(next(line.split()[1] for line in open("/proc/net/dev") if line.strip().startswith("lo:")))
"""


def namespaces() -> bool:
    """Whether this user may make a network namespace, with ``ip`` at hand to start its loopback."""
    tried = subprocess.run(["unshare", "--net", "ip", "link", "set", "lo", "up"], capture_output=True, check=False)
    return tried.returncode == 0


def received(folder: Path, processes: int, *overrides: str) -> int:
    """Bytes that a whole training receives on the loopback."""
    folder.mkdir()
    run = make_run(folder, overrides=(*SHAPE, *BATCH, *overrides))
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    command = [*torchrun, "-m", "model.train", "--recipe", f"{run.root}/recipe.toml", "--root", run.root]
    inside = ["unshare", "--net", sys.executable, "-c", INSIDE, json.dumps(command)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    result = subprocess.run(inside, capture_output=True, text=True, env=environment, check=False)
    assert result.returncode == 0, result.stderr[-3000:]
    return int(result.stdout)


@pytest.mark.slow
@pytest.mark.skipif(not namespaces(), reason="needs root and ip: a network namespace")
@pytest.mark.parametrize("processes", [2, 4])
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize(("parallel", "precision"), [("ddp", "bfloat16"), ("fsdp", "float32"), ("fsdp", "bfloat16")])
def test_measured_traffic_is_what_was_computed(
    parallel: str, precision: str, optimizer: str, processes: int, tmp_path: Path
) -> None:
    """The figures of docs/gpu.md are written (-s)."""
    keys = {"parallel": parallel, "precision": precision, "optimizer": optimizer}
    settings = [f"train.{key}={value}" for key, value in keys.items()]
    few, more = (received(tmp_path / f"{n}", processes, *settings, f"train.steps={n}") for n in (FEW, MORE))
    measured = (more - few) / (MORE - FEW) / processes
    config = ModelConfig(vocabulary_size=300, context_length=32, layers=LAYERS, heads=HEADS, width=WIDTH)
    train = Train(global_batch_tokens=1024, micro_batch_sequences=4, **keys)  # type: ignore[arg-type]
    found = step_traffic(config, train, processes)
    of_gloo = found.total + (found.gradients if parallel == "fsdp" else 0)  # its reduce-scatter is an all-reduce
    sys.stdout.write(f"\n{keys} {processes}: computed {found}, with gloo {of_gloo:,}, measured {measured:,.0f}\n")
    assert measured == pytest.approx(of_gloo, rel=0.02)


def test_sharing_out_saves_traffic_the_more_processes_there_are() -> None:
    config = ModelConfig("qwen3", 32_768, 2048, layers=24, heads=16, width=2048)
    sharded = Train(parallel="fsdp", optimizer="muon", global_batch_tokens=2**20)
    updates = [step_traffic(config, sharded, processes).updates for processes in (2, 4, 8)]
    assert updates == sorted(updates, reverse=True)
    alone = step_traffic(config, sharded, 1)
    assert alone.total == 0
