"""``train.loggers``: what TensorBoard, Weights & Biases and MLflow get is what ``metrics/train.jsonl`` has."""

import importlib.util
import json
import os
import socket
import subprocess
import sys
import time
import types
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from model.loggers.bridges import numbers
from model.loggers.refused import refused
from model.training.metrics import Metrics, read_lines
from model.training.refusals import check_loggers, of_training
from pipeline.base.errors import UserError
from pipeline.recipe.training_options import LOGGER_PACKAGES
from pipeline.run.folder import Run
from tests.model.runs import RECIPE, make_run, train
from tests.trees import tree

Figures = dict[str, list[tuple[int, float]]]
BLOCK, HEAD = 32_768, 7  # of the log that W&B writes: LevelDB's, after seven bytes of its own


def run_with(folder: Path, *names: str) -> Run:
    return make_run(folder, RECIPE + f"loggers = {json.dumps(names)}\nvalidate_every_steps = 4\n")


def logged(run: Run, after_step: int, first: int, last: int, *, killed: bool = False, **env: str) -> str:
    """Writes lines in a process of its own; returns the packages of tools that it has imported."""
    command = [sys.executable, "-m", "tests.model.log_lines", run.root, *map(str, (after_step, first, last))]
    command += ["killed"] * killed
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **env})
    assert done.returncode == (9 if killed else 0), done.stderr
    assert "gets no more figures" not in done.stderr
    return done.stdout.strip()


def in_metrics(run: Run) -> Figures:
    """The figures of metrics/train.jsonl; a figure that two lines of a step have counts once."""
    found: dict[str, dict[int, float]] = {}
    for line in read_lines(run.root):
        for name, value in numbers(line):
            found.setdefault(name, {})[line["step"]] = float(value)
    return {name: sorted(values.items()) for name, values in found.items()}


def in_tensorboard(run: Run) -> Figures:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    from tensorboard.util.tensor_util import make_ndarray

    events = accumulator.EventAccumulator(run.url("metrics/tensorboard"), size_guidance={"tensors": 0})
    events.Reload()
    names = [name for name in events.Tags()["tensors"] if "text_summary" not in name]
    return {
        name: [(event.step, float(make_ndarray(event.tensor_proto))) for event in events.Tensors(name)]
        for name in names
    }


def in_wandb(run: Run) -> tuple[Figures, int]:
    """The figures of the offline runs, and how many runs there are."""
    from wandb.proto.wandb_internal_pb2 import Record

    found: Figures = {}
    files = list(Path(run.url("metrics/wandb")).glob("offline-run-*/*.wandb"))
    for data in (data for file in files for data in records(file.read_bytes())):
        record = Record()
        record.ParseFromString(data)
        if record.WhichOneof("record_type") == "history":
            items = {
                (item.key or "/".join(item.nested_key)): json.loads(item.value_json) for item in record.history.item
            }
            for name, value in items.items():
                if not name.startswith("_"):
                    found.setdefault(name, []).append((items["_step"], float(value)))
    return found, len(files)


def records(data: bytes) -> Iterator[bytes]:
    at, whole = HEAD, b""
    while at + HEAD <= len(data):
        if (left := BLOCK - at % BLOCK) < HEAD:
            at += left
            continue
        length, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        whole += data[at + HEAD : at + HEAD + length]
        at += HEAD + length
        if kind in (1, 4):
            yield whole
            whole = b""


def once(figures: Figures) -> Figures:
    """Values that two lines of one step share, once."""
    return {name: sorted(set(values)) for name, values in figures.items()}


def test_tensorboard_has_every_figure_also_after_a_kill(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    run = run_with(tmp_path, "tensorboard")
    logged(run, 0, 1, 6, killed=True)
    assert logged(run, 4, 5, 8) == "['tensorboard']"
    found = in_tensorboard(run)
    assert once(found) == in_metrics(run)
    assert [step for step, _ in found["loss"]] == list(range(1, 9))
    assert found["seconds"][4] == (5, 4 + 5 / 7.0)  # of the second attempt, as a double
    assert len(list(Path(run.url("metrics/tensorboard")).iterdir())) == 1


@pytest.mark.slow
def test_wandb_has_every_figure_in_one_offline_run_also_after_a_kill(tmp_path: Path) -> None:
    pytest.importorskip("wandb")
    run = run_with(tmp_path, "wandb")
    logged(run, 0, 1, 6, killed=True)
    assert logged(run, 4, 5, 8, WANDB_MODE="offline") == "['wandb']"
    found, runs = in_wandb(run)
    assert runs == 1
    assert {name: sorted(values) for name, values in found.items()} == in_metrics(run)


@pytest.mark.slow
def test_wandb_is_offline_unless_it_is_told_otherwise(tmp_path: Path) -> None:
    pytest.importorskip("wandb")
    run = run_with(tmp_path, "wandb")
    environment = {"WANDB_MODE": "offline"} if "WANDB_MODE" in os.environ else {}
    logged(run, 0, 1, 1, **environment)
    assert in_wandb(run)[1] == 1
    logged(run, 0, 1, 1, **environment)  # begun anew: another run
    assert in_wandb(run)[1] == 2


@pytest.mark.slow
def test_mlflow_keeps_a_store_of_the_run(tmp_path: Path) -> None:
    pytest.importorskip("mlflow")
    run = run_with(tmp_path, "mlflow")
    logged(run, 0, 1, 6, killed=True)
    assert logged(run, 4, 5, 8) == "['mlflow']"
    check_mlflow(run, f"sqlite:///{run.url('metrics/mlflow.db')}")


@pytest.mark.slow
def test_mlflow_server_gets_every_figure_once(tmp_path: Path) -> None:
    pytest.importorskip("flask_cors", reason="the server of MLflow is not there")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    store = f"sqlite:///{tmp_path}/server.db"
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", store, "--default-artifact-root", str(tmp_path / "artifacts"), "--workers", "1"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    uri = f"http://127.0.0.1:{port}"
    run = run_with(tmp_path, "mlflow")
    with subprocess.Popen(
        command,
        env={**environment, "MLFLOW_DISABLE_TELEMETRY": "true"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as server:
        try:
            wait_for(f"{uri}/health", server)
            logged(run, 0, 1, 6, killed=True, MLFLOW_TRACKING_URI=uri)
            logged(run, 4, 5, 8, MLFLOW_TRACKING_URI=uri)
            check_mlflow(run, uri)
        finally:
            server.terminate()
    assert not Path(run.url("metrics/mlflow.db")).exists()


def wait_for(url: str, server: "subprocess.Popen[bytes]") -> None:
    for _ in range(240):
        assert server.poll() is None, "the server ended"
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                assert answer.status == 200
                return
        except OSError:
            time.sleep(0.5)
    raise AssertionError("the server did not come up")


def check_mlflow(run: Run, uri: str) -> None:
    """One finished run with every figure once; steps that were made twice keep the seconds of their first time."""
    code = (
        "import json, sys\n"
        "from mlflow.tracking import MlflowClient\n"
        "client = MlflowClient(tracking_uri=sys.argv[1])\n"
        "(run,) = client.search_runs([client.get_experiment_by_name('small').experiment_id])\n"
        "names = list(run.data.metrics)\n"
        "history = {n: [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, n)] for n in names}\n"
        "print(json.dumps([run.info.status, run.data.params['train.steps'], history]))\n"
    )
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
    done = subprocess.run([sys.executable, "-c", code, uri], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    status, steps, history = json.loads(done.stdout)
    assert (status, steps) == ("FINISHED", "8")
    found = {name: [(step, value) for step, value in values] for name, values in history.items()}
    wanted = in_metrics(run)
    assert found.keys() == wanted.keys()
    for name in found.keys() - {"seconds"}:
        assert sorted(found[name]) == wanted[name], name
    assert sorted(step for step, _ in found["seconds"]) == list(range(1, 9))


def test_without_loggers_no_tool_is_imported(tmp_path: Path) -> None:
    run = run_with(tmp_path)
    assert logged(run, 0, 1, 2) == "[]"
    assert sorted(path.name for path in Path(run.url("metrics")).iterdir()) == ["train.jsonl"]


def test_a_tool_that_fails_is_told_of_once_and_the_training_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_with(tmp_path, "tensorboard", "wandb")
    said: list[str] = []
    seen: list[int] = []

    class Broken:
        def __init__(self, start: Any) -> None:
            self.finished: bool | None = None

        def write(self, line: Any) -> None:
            if line["step"] == 2:
                raise ConnectionError("the server is gone\nwith details")

        def flush(self) -> None:
            pass

        def close(self, *, finished: bool) -> None:
            raise AssertionError("closed after it failed")

    class Sound(Broken):
        def write(self, line: Any) -> None:
            seen.append(line["step"])

        def close(self, *, finished: bool) -> None:
            seen.append(finished)

    monkeypatch.setitem(sys.modules, "model.loggers.wandb", types.SimpleNamespace(Tool=Broken))
    monkeypatch.setitem(sys.modules, "model.loggers.tensorboard", types.SimpleNamespace(Tool=Sound))
    metrics = Metrics(run, after_step=0, tell=said.append)
    for step in (1, 2, 3):
        metrics.write({"step": step, "loss": 1.0})
    metrics.close()
    assert said == ["wandb fails and gets no more figures (ConnectionError: the server is gone); the training goes on"]
    assert seen == [1, 2, 3, False]
    assert [line["step"] for line in read_lines(run.root)] == [1, 2, 3]


def test_a_missing_package_is_refused_before_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_with(tmp_path, "wandb", "mlflow")
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name in LOGGER_PACKAGES else find(name, *a)
    )
    before = tree(Path(run.root))
    message = "train.loggers names wandb, mlflow, which is not installed: pip install wandb mlflow-skinny"
    assert message in list(of_training(run))
    with pytest.raises(UserError, match="pip install wandb mlflow-skinny"):
        check_loggers(run)
    assert tree(Path(run.root)) == before


def test_a_run_in_an_object_store_has_no_folder_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: object())
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (words,) = refused(["tensorboard", "mlflow"], "s3://bucket/run")
    assert "tensorboard, mlflow" in words
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    assert list(refused(["mlflow"], "s3://bucket/run")) == []


@pytest.mark.slow
def test_a_training_logs_and_stays_the_same_training(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    pytest.importorskip("wandb")
    run = run_with(tmp_path, "tensorboard", "wandb")
    done = train(run)
    assert done.returncode == 0, done.stderr
    assert once(in_tensorboard(run)) == in_metrics(run) == {k: sorted(v) for k, v in in_wandb(run)[0].items()}
    without = make_run(tmp_path / "plain", RECIPE + "validate_every_steps = 4\n")
    assert train(without).returncode == 0
    assert tree(Path(run.url("checkpoints"))) == tree(Path(without.url("checkpoints")))
