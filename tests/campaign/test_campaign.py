"""The preloaded library does what it says, and a few trials of each kind find nothing."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.campaign import shim
from tests.campaign.shim import Action, Kind, Shim
from tests.conftest import REPOSITORY

pytestmark = pytest.mark.skipif(shim.compiler() is None, reason="no C compiler")
# under the library: tells the library what to do, then writes three files, one of them elsewhere
PROGRAM = """
import os, sys
from pathlib import Path
from tests.campaign.shim import Action, Kind, Shim
folder, elsewhere, action, target, kinds, error = sys.argv[1:]
control = Shim()
control.arm(Path(folder), Action(int(action)), int(target), kinds=Kind(int(kinds)), error=int(error))
Path(elsewhere).write_bytes(b"x")
for name in ("a", "b"):
    descriptor = os.open(f"{folder}/{name}", os.O_WRONLY | os.O_CREAT)
    print(name, os.write(descriptor, b"0123456789"))
    os.close(descriptor)
    os.rename(f"{folder}/{name}", f"{folder}/{name}{name}")
print(*control.disarm())
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return {**os.environ, **shim.build(tmp_path_factory.mktemp("shim"))}


def run(
    environment: dict[str, str], folder: Path, action: Action, target: int, kinds: Kind, error: int = 0
) -> "subprocess.CompletedProcess[str]":
    (folder / "in").mkdir()
    arguments = [folder / "in", folder / "elsewhere", int(action), target, int(kinds) & 0xFFFFFFFF, error]
    command = [sys.executable, "-c", PROGRAM, *map(str, arguments)]
    return subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)


def test_operations_below_the_folder_count_and_no_others(environment: dict[str, str], tmp_path: Path) -> None:
    done = run(environment, tmp_path, Action.COUNT, 0, Kind.OPEN | Kind.WRITE | Kind.RENAME)
    assert done.stdout.split() == ["a", "10", "b", "10", "6"], done.stderr


def test_the_wanted_operation_fails_with_the_wanted_error(environment: dict[str, str], tmp_path: Path) -> None:
    done = run(environment, tmp_path, Action.FAIL, 1, Kind.WRITE, errno.EDQUOT)
    assert done.stdout.split() == ["a", "10"]
    assert f"OSError: [Errno {errno.EDQUOT}]" in done.stderr
    assert (tmp_path / "in/aa").exists()


def test_a_short_write_writes_less(environment: dict[str, str], tmp_path: Path) -> None:
    done = run(environment, tmp_path, Action.SHORT, 0, Kind.WRITE)
    assert done.stdout.split()[:4] == ["a", "5", "b", "10"], done.stderr


def test_a_process_is_killed_before_the_wanted_operation(environment: dict[str, str], tmp_path: Path) -> None:
    done = run(environment, tmp_path, Action.KILL_SELF, 1, Kind.RENAME)
    assert done.returncode == -signal.SIGKILL
    assert sorted(path.name for path in (tmp_path / "in").iterdir()) == ["aa", "b"]


def test_the_wall_clock_jumps_at_the_wanted_operation_and_no_other_clock(
    environment: dict[str, str], tmp_path: Path
) -> None:
    program = """
import os, sys, time
from pathlib import Path
from tests.campaign.shim import Action, Kind, Shim
control = Shim()
control.arm(Path(sys.argv[1]), Action.JUMP, 1, kinds=Kind.MKDIR, seconds=-86400)
for name in ("a", "b"):
    before, steady = time.time(), time.monotonic()
    os.mkdir(f"{sys.argv[1]}/{name}")
    print(round((time.time() - before) / 60), round((time.monotonic() - steady) / 60))
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.split() == ["0", "0", "-1440", "0"], done.stderr


def test_the_control_has_the_layout_that_the_library_has(environment: dict[str, str]) -> None:
    assert Path(environment[shim.VARIABLE]).stat().st_size == 4 * 4 + 4 + 4 + 4 * 8 + 512 + 512
    assert Shim.__doc__


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    "kind", ["kills", "faults", "damage", "disks", "pairs", "clocks", "takedowns", "answers", "servers"]
)
def test_some_trials_find_nothing_wrong(kind: str) -> None:
    command = [sys.executable, "-m", "tests.campaign.run", "--what", kind, "--count", "8", "--minutes", "15"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert f"{kind:9} {8:6,} tried" in done.stdout
