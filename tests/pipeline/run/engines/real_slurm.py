"""A real Slurm on this machine: munge, a controller and a daemon with a folder and ports of their own.

Made by Debian's packages slurm-wlm and munge.  Nothing of the system's own Slurm is touched: its configuration is named
by ``SLURM_CONF``.  ``python -m tests.pipeline.run.engines.real_slurm COMMAND...`` runs a command beside one.
"""

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from pipeline.base.processes import descendants, send

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol", "sinfo")
FOLDERS = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
CONFIGURATION = """
ClusterName=ours
SlurmctldHost={host}
SlurmctldPort={controller_port}
SlurmdPort={daemon_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
KillWait=2
MessageTimeout=5
NodeName={host} CPUs={cpus} RealMemory={memory_mb} State=UNKNOWN
PartitionName=cpu Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def missing_programs() -> list[str]:
    """Programs of Slurm and munge that are not installed."""
    return [name for name in PROGRAMS if shutil.which(name, path=FOLDERS) is None]


def _free_port() -> int:
    with socket.socket() as chosen:
        chosen.bind(("", 0))
        return int(chosen.getsockname()[1])


class RealSlurm:
    """One node with two processors; a ``with`` starts it and ends all that it has started."""

    def __init__(self, folder: Path, cpus: int = 2, memory_mb: int = 8000) -> None:
        self.folder, self.host = folder, socket.gethostname().split(".")[0]
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        for name in ("munge", "state", "spool"):
            (folder / name).mkdir(mode=0o700)
        text = CONFIGURATION.format(
            host=self.host, folder=folder, user=getpass.getuser(), cpus=cpus, memory_mb=memory_mb,
            controller_port=_free_port(), daemon_port=_free_port(),
        )  # fmt: skip
        (folder / "slurm.conf").write_text(text, encoding="utf-8")

    @property
    def environment(self) -> Mapping[str, str]:
        """What a command needs to find this Slurm."""
        return {"SLURM_CONF": str(self.folder / "slurm.conf"), "PATH": FOLDERS}

    def __enter__(self) -> Self:
        try:
            self._start_munge()
            self.start_controller()
            self._start("slurmd", "-D")
            self.wait_for("sinfo", "--noheader", "--format=%T", answer="idle")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *raised: object) -> None:
        if "slurmctld" in self._processes and "slurmd" in self._processes:
            self.ask("scancel", f"--user={getpass.getuser()}")
            self.wait_for("sinfo", "--noheader", "--format=%T jobs", answer="idle jobs")  # no job outlives its daemon
        for name in ("slurmd", "slurmctld", "munged"):
            self._stop(name)
        send(self._of_jobs(), signal.SIGKILL)  # the step daemon of a job that was ended for its memory stays

    def _of_jobs(self) -> list[int]:
        """The step daemons of this Slurm that are left, and what they have started; no other child of ours."""
        found = []
        for path in Path("/proc").glob("[0-9]*/comm"):
            with contextlib.suppress(OSError):  # it has ended, or is somebody else's
                if path.read_text("utf-8").strip() == "slurmstepd":
                    environment = path.with_name("environ").read_bytes()
                    pid = int(path.parent.name)
                    found += [pid, *descendants(pid)] if str(self.folder).encode() in environment else []
        return found

    def _start_munge(self) -> None:
        key, folder = self.folder / "munge" / "key", self.folder / "munge"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        files = [f"--{name}-file={folder}/{name}" for name in ("key", "pid", "log", "seed")]
        self._start("munged", "--foreground", "--force", f"--socket={folder}/socket", *files)

    def start_controller(self) -> None:
        """Starts slurmctld, or starts it again where it was stopped."""
        self._start("slurmctld", "-D")

    def stop_controller(self) -> None:
        """Ends slurmctld; jobs go on without it."""
        self._stop("slurmctld")

    def _start(self, name: str, *arguments: str) -> None:
        program = shutil.which(name, path=FOLDERS)
        assert program is not None, "missing_programs() says whether it is installed"
        with (self.folder / f"{name}.out").open("ab") as out:
            self._processes[name] = subprocess.Popen(
                [program, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env={**os.environ, **self.environment},
            )

    def _stop(self, name: str) -> None:
        process = self._processes.pop(name, None)
        if process is None:
            return
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def ask(self, *command: str) -> str:
        """What a command of Slurm answers; "" where it fails."""
        found = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **self.environment})
        return found.stdout.strip() if found.returncode == 0 else ""

    def wait_for(self, *command: str, answer: str, seconds: float = 60.0) -> str:
        """Asks until the answer holds a text; returns it.

        Raises:
            TimeoutError: With the last answer.
        """
        deadline = time.monotonic() + seconds
        while answer not in (found := self.ask(*command)):
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"{' '.join(command)}: {found!r} for {seconds:.0f} s, and not {answer!r}; see {self.folder}"
                )
            time.sleep(0.1)
        return found


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made, RealSlurm(Path(made)) as slurm:
        sys.exit(subprocess.run(sys.argv[1:], env={**os.environ, **slurm.environment}).returncode)
