"""A run started in a folder of the user's whose names are ours or Python's: nothing is imported from there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.end_to_end import tiny
from tests.flows.processes import ENVIRONMENT

pytestmark = [pytest.mark.flow, pytest.mark.xdist_group("prefect")]

OURS = ("pipeline", "flows", "model")
PYTHONS = ("tokens.py", "random.py", "json")
TRAP = "raise SystemExit(f'{__file__} was imported from the working directory')\n"


def trapped(folder: Path, names: tuple[str, ...]) -> Path:
    """A folder with modules and packages that end who imports them."""
    for name in names:
        path = folder / name if name.endswith(".py") else folder / name / "__init__.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(TRAP)
    return folder


@pytest.mark.parametrize(
    ("how", "names"),
    [
        pytest.param(["-P", "-m"], OURS + PYTHONS, id="script"),
        pytest.param(["-m"], ("pipeline", "model", *PYTHONS), id="-m", marks=pytest.mark.slow),
    ],
)
def test_run_in_a_folder_with_modules_of_our_names_imports_none_of_them(
    tmp_path: Path, sample: Path, how: list[str], names: tuple[str, ...]
) -> None:
    recipe = tiny.write_inputs(tmp_path / "inputs", sample)
    here = trapped(tmp_path / "here", names)
    # as the script `tokenmill`, or `python -m flows.cli`, where no flows/ lies in the way of that
    command = [sys.executable, *how, "flows.cli", "run", str(recipe), "--root", "run", "--workers", "2"]
    command += ["--set=train.processes=2"] if "-P" not in how else []
    environment = {**ENVIRONMENT, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    environment.pop("PYTHONSAFEPATH", None)
    done = subprocess.run(command, cwd=here, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert (here / "run/report/index.html").exists()
    assert "was imported" not in done.stderr
    assert not list(here.rglob("__pycache__"))


def test_the_folder_would_end_a_process_that_imports_from_it(tmp_path: Path) -> None:
    here = trapped(tmp_path, PYTHONS)
    done = subprocess.run([sys.executable, "-S", "-c", "import random"], cwd=here, capture_output=True, text=True)
    assert "was imported" in done.stderr


def test_a_checkout_that_is_not_installed_works_from_its_own_folder(tmp_path: Path) -> None:
    """The children find the code of the process that started them, wherever that had it from."""
    code = "from pipeline.base.processes import environment; print(environment()['PYTHONPATH'].split(':')[0])"
    bare = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, env=bare, capture_output=True, text=True)
    assert done.stdout.strip() == str(REPOSITORY), done.stderr
