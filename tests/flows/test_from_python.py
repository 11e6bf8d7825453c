"""The flows called from one's own Python: scripts, threads, event loops, and flows and tasks of one's own."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.flows.deployments import write_texts
from tests.flows.served import Served

pytestmark = [
    pytest.mark.slow,
    pytest.mark.flow,
    pytest.mark.xdist_group("prefect"),
    pytest.mark.timeout(900),
]
CURATE = "from flows.end_to_end import curate\n"
WAYS = {
    "without a main guard": f"{CURATE}curate(RECIPE, ROOT)\n",
    "with a main guard": f"{CURATE}if __name__ == '__main__':\n    curate(RECIPE, ROOT)\n",
    "in a thread": f"""{CURATE}
from threading import Thread
thread = Thread(target=curate, args=(RECIPE, ROOT))
thread.start()
thread.join()
""",
    "where an event loop runs, as in a notebook": f"""{CURATE}
import asyncio
async def cell():
    curate(RECIPE, ROOT)
asyncio.run(cell())
""",
    "as a sub-flow": f"""{CURATE}
from prefect import flow
@flow
def ours():
    return curate(RECIPE, ROOT)
assert ours()["clean"]["documents"] == 40
""",
    "as a sub-flow of an asynchronous flow": f"""{CURATE}
import asyncio
from prefect import flow
@flow
async def ours():
    return curate(RECIPE, ROOT)
assert asyncio.run(ours())["clean"]["documents"] == 40
""",
    "in a task of a task runner's thread": f"""{CURATE}
from prefect import flow, task
from prefect.task_runners import ThreadPoolTaskRunner
@task
def work():
    return curate(RECIPE, ROOT)
@flow(task_runner=ThreadPoolTaskRunner(max_workers=2))
def ours():
    return work.submit().result()
assert ours()["clean"]["documents"] == 40
""",
    "in a task of a task runner's process": f"""{CURATE}
from prefect import flow, task
from prefect.task_runners import ProcessPoolTaskRunner
@task
def work():
    return curate(RECIPE, ROOT)
@flow(task_runner=ProcessPoolTaskRunner(max_workers=1))
def ours():
    return work.submit().result()
if __name__ == "__main__":
    assert ours()["clean"]["documents"] == 40
""",
}
TEST = f"""{CURATE}
def test_ours():
    assert curate(RECIPE, ROOT)["clean"]["documents"] == 40
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with Served(tmp_path_factory.mktemp("server"), worker=False) as served:
        yield served.environment


def write(folder: Path, script: str, name: str) -> Path:
    """The script, and a recipe that cleans forty short texts."""
    write_texts(folder / "in.jsonl", 0, 40)
    recipe = folder / "recipe.toml"
    recipe.write_text('name = "r"\nstages = ["clean"]\n[[sources]]\nname = "s"\npaths = ["in.jsonl"]\n')
    path = folder / name
    path.write_text(script.replace("RECIPE", repr(str(recipe))).replace("ROOT", repr(str(folder / "run"))))
    return path


def run(command: list[str], environment: Mapping[str, str], folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=600)


@pytest.mark.parametrize("script", WAYS.values(), ids=WAYS)
def test_flow_does_its_work_from_a_script(script: str, environment: dict[str, str], tmp_path: Path) -> None:
    done = run([sys.executable, str(write(tmp_path, script, "ours.py"))], environment, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("clean: finished") == 1, "the script ran once"
    assert len(list((tmp_path / "run/manifests/clean").glob("*.json"))) == 1


def test_flow_does_its_work_from_a_test_of_pytest(environment: dict[str, str], tmp_path: Path) -> None:
    test = write(tmp_path, TEST, "test_ours.py")
    done = run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(test)], environment, tmp_path)
    assert "1 passed" in done.stdout, done.stdout


def test_flow_does_its_work_from_standard_input(environment: dict[str, str], tmp_path: Path) -> None:
    script = write(tmp_path, f"{CURATE}curate(RECIPE, ROOT)\n", "ours.py")
    with script.open() as lines:
        command = [sys.executable, "-"]
        done = subprocess.run(command, stdin=lines, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("clean: finished") == 1
