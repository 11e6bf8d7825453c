"""Other people's surroundings: the whole job gives the same bytes in each of them, and says nothing untrue."""

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pipeline.kernels import kernel_cache_folder
from pipeline.run.step_digests import parse
from tests.conftest import REPOSITORY
from tests.end_to_end import tiny
from tests.end_to_end.conftest import Finished
from tests.flows.processes import ENVIRONMENT

pytestmark = [pytest.mark.flow, pytest.mark.xdist_group("prefect")]

KERNELS = REPOSITORY / "pipeline" / "kernels"
OF_TRAINING = re.compile(r"^(checkpoints/|manifests/(train|report))")
DIGESTS = "manifests/steps.digests"
NAMES_OF_OURS = "raise SystemExit('imported from PYTHONPATH')\n"


@dataclass(frozen=True)
class Surroundings:
    """What a run finds around it.

    Attributes:
        variables: Set in its environment, where None removes one; ``{here}`` is a folder of the test's own.
        shell: What a shell does before it becomes the run; the command is ``"$@"``.
        name: Of the run folder, below ``here``.
        files: Written below ``here`` first.
        before: Called in the child before it becomes the run.
        needs: Whether this machine can give it.
        said: What standard error has to say.
        trains: Also trains, which costs most of a run.
    """

    variables: Mapping[str, str | None] = field(default_factory=dict)
    shell: str = 'exec "$@"'
    name: str = "run"
    files: Mapping[str, str] = field(default_factory=dict)
    before: Callable[[], object] | None = None
    needs: bool = True
    said: str = ""
    trains: bool = False


def _without_children() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)


def _deaf() -> None:
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)


ROOT = os.geteuid() == 0
# of another user, who may read what is the superuser's (this Python may lie in his home), and write nothing of it
AS_USER = (
    "exec setpriv --reuid {0} --regid {0} --clear-groups --inh-caps +dac_read_search "
    '--ambient-caps +dac_read_search "$@"'
)
OTHER: dict[str, Any] = {
    "needs": ROOT and shutil.which("setpriv") is not None,
    "said": "kernels are kept in",
}
WITHOUT_NETWORK = 'exec unshare --net --map-root-user sh -c \'ip link set lo up && exec "$@"\' sh "$@"'


def _can_be_alone() -> bool:
    """Whether this user may make a network namespace, and start its loopback."""
    tried = ["unshare", "--net", "--map-root-user", "ip", "link", "set", "lo", "up"]
    return (
        shutil.which("unshare") is not None and subprocess.run(tried, capture_output=True, check=False).returncode == 0
    )


NO_HOME = {"HOME": "/dev/null", "XDG_CACHE_HOME": None, "TOKENMILL_CACHE": None, "TMPDIR": "{here}/tmp"}
PROXIES = dict.fromkeys(("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY"), "http://me:x@127.0.0.1:9")
TORCHRUN = {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "4", "MASTER_ADDR": "10.255.255.1", "MASTER_PORT": "29500"}

TABLE: dict[str, Surroundings] = {
    "no HOME": Surroundings({"HOME": None}),
    "HOME that cannot be written": Surroundings(NO_HOME, said="kernels are kept in"),
    "path of a run with what ends a URL": Surroundings(name="50% of #1?x=1&y;z"),
    "path of a run in other letters": Surroundings(name="run ünïcödé 中 'quoted\" $HOME\nline", trains=True),
    "LC_ALL=C without UTF-8": Surroundings({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, trains=True),
    "LC_ALL=POSIX": Surroundings({"LC_ALL": "POSIX", "LANG": None}),
    "LC_ALL=tr_TR.ISO-8859-9": Surroundings({"LC_ALL": "tr_TR.ISO-8859-9", "LOCPATH": "{here}/locales"}),
    "PYTHONIOENCODING=ascii": Surroundings({"PYTHONIOENCODING": "ascii"}),
    "TZ": Surroundings({"TZ": "Pacific/Apia"}),
    "few descriptors": Surroundings(shell='ulimit -n 256; exec "$@"', trains=True),
    "closed descriptors": Surroundings(shell='exec "$@" <&- >&- 2>&-'),
    "umask": Surroundings(shell='umask 077; exec "$@"'),
    "working directory that cannot be written": Surroundings(shell='cd /proc; exec "$@"'),
    "working directory that was removed": Surroundings(shell='mkdir gone; cd gone; rmdir ../gone; exec "$@"'),
    "nohup": Surroundings(shell='exec nohup "$@"'),
    "bare environment": Surroundings(
        shell='exec env -i "PATH=$PATH" "TOKENMILL_CACHE=$TOKENMILL_CACHE" "PYTHONPATH=$PYTHONPATH" "$@"'
    ),
    "signals ignored": Surroundings(before=_deaf),
    "children not waited for": Surroundings(before=_without_children),
    "another user": Surroundings({"HOME": None, "TMPDIR": "{here}/tmp"}, shell=AS_USER.format(65534), **OTHER),
    "user without a name": Surroundings(
        {"HOME": None, "XDG_CACHE_HOME": None, "TOKENMILL_CACHE": None, "TMPDIR": "{here}/tmp"},
        shell=AS_USER.format(54321),
        trains=True,
        **OTHER,
    ),
    "network of loopback alone": Surroundings(shell=WITHOUT_NETWORK, needs=_can_be_alone(), trains=True),
    "proxies": Surroundings({**PROXIES, "ALL_PROXY": "socks5://127.0.0.1:9", "no_proxy": None, "NO_PROXY": "x"}),
    "PYTHONPATH": Surroundings(
        {"PYTHONPATH": f"{REPOSITORY}:{{here}}/path"},
        files={"path/pipeline/__init__.py": NAMES_OF_OURS, "path/flows/__init__.py": NAMES_OF_OURS},
    ),
    "sitecustomize": Surroundings(
        {"PYTHONPATH": f"{{here}}/path:{REPOSITORY}"},
        files={"path/sitecustomize.py": "import sys, logging\nlogging.basicConfig(level=0)\nprint('hello')\n"},
    ),
    "PYTHONSTARTUP": Surroundings({"PYTHONSTARTUP": "{here}/up.py"}, files={"up.py": "raise SystemExit('startup')"}),
    "PYTHONOPTIMIZE": Surroundings({"PYTHONOPTIMIZE": "2"}),
    "PYTHONHASHSEED": Surroundings({"PYTHONHASHSEED": "7"}),
    "PYTHONWARNINGS": Surroundings({"PYTHONWARNINGS": "error"}, trains=True),
    "PYTHONDONTWRITEBYTECODE and more": Surroundings(
        {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1", "PYTHONNOUSERSITE": "1"}
    ),
    "bare terminal": Surroundings({"NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "20", "LINES": "1", "CI": "1"}),
    "threads": Surroundings({"OMP_NUM_THREADS": "3", "NUMBA_NUM_THREADS": "2", "MKL_NUM_THREADS": "2"}),
    "environment of a torchrun": Surroundings(TORCHRUN, trains=True),
    "settings of Prefect's": Surroundings(
        {"PREFECT_LOGGING_LEVEL": "DEBUG", "PREFECT_PROFILE": "ephemeral", "PREFECT_API_KEY": "x"}
    ),
}
QUICK = ()


def _without_training(promised: dict[str, bytes]) -> dict[str, bytes]:
    """The files, and the entries of the steps' digests, that a run without training has too."""
    steps = {step: digest for step, digest in parse(promised[DIGESTS]).items() if step not in ("train", "report")}
    kept = {path: data for path, data in promised.items() if not OF_TRAINING.search(path)}
    return {**kept, DIGESTS: repr(sorted(steps.items())).encode()}


def _locale(folder: Path) -> bool:
    """Makes the locale ``tr_TR.ISO-8859-9``; False where this machine cannot."""
    folder.mkdir()
    command = ["localedef", "-i", "tr_TR", "-f", "ISO-8859-9", str(folder / "tr_TR.ISO-8859-9")]
    return shutil.which("localedef") is not None and subprocess.run(command, capture_output=True).returncode == 0


def _keep_kernels(temporary: Path, kernels: Path) -> None:
    """The kernels that an earlier run of the same user has compiled into his own folder of the temporary one."""
    temporary.mkdir()
    temporary.chmod(0o1777)
    for uid in (0, 54321, 65534) if ROOT else (os.geteuid(),):
        kept = temporary / f"tokenmill-{uid}" / "cache" / kernels.name
        kept.mkdir(parents=True)
        for folder in kernels.glob("kernels_*"):
            if folder.name == f"kernels_{hashlib.sha1(str(KERNELS).encode()).hexdigest()}":  # Numba's name for it
                shutil.copytree(folder, kept / folder.name)
        if ROOT:
            for path in (kept.parent.parent, *kept.parent.parent.rglob("*")):
                os.chown(path, uid, uid)
        kept.parent.parent.chmod(0o700)


def _prepare(here: Path, given: Surroundings) -> dict[str, str]:
    """The folder and the environment of the run."""
    for path, text in given.files.items():
        (here / path).parent.mkdir(parents=True, exist_ok=True)
        (here / path).write_text(text)
    kernels = kernel_cache_folder()
    if "TMPDIR" in given.variables:
        _keep_kernels(here / "tmp", kernels)
    environment = {**ENVIRONMENT, "PYTHONPATH": str(REPOSITORY), "TOKENMILL_CACHE": str(kernels.parent)}
    for name, value in given.variables.items():
        environment.pop(name, None)
        if value is not None:
            environment[name] = value.format(here=here)
    return environment


@pytest.mark.parametrize(
    "name", [pytest.param(name, id=name, marks=() if name in QUICK else pytest.mark.slow) for name in TABLE]
)
def test_same_bytes_in_these_surroundings(name: str, finished: Finished, tmp_path: Path) -> None:
    given = TABLE[name]
    if not given.needs:
        pytest.skip("this machine cannot give them")
    if "LOCPATH" in given.variables and not _locale(tmp_path / "locales"):
        pytest.skip("no localedef")
    environment = _prepare(tmp_path, given)
    if ROOT:
        tmp_path.chmod(0o777)
        for path in (tmp_path, *tmp_path.parents):
            path.chmod(path.stat().st_mode | 0o755)
    root = tmp_path / given.name
    stages = ["clean", "dedup", "filter", "tokenize", *["train", "report"] * given.trains]
    command = [sys.executable, "-P", "-m", "flows.cli", "run", str(finished.recipe), "--root", str(root)]
    line = ["bash", "-c", given.shell, "bash", *command, "--workers", "2", "--stages", ",".join(stages)]
    done = subprocess.run(
        line,
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        preexec_fn=given.before,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Traceback" not in done.stderr, done.stderr[-3000:]
    assert given.said in done.stderr, done.stderr[-3000:]
    made, undisturbed = tiny.promised(root), tiny.promised(finished.root)
    if not given.trains:
        made, undisturbed = _without_training(made), _without_training(undisturbed)
    assert set(made) == set(undisturbed)
    assert [path for path, data in made.items() if data != undisturbed[path]] == []
