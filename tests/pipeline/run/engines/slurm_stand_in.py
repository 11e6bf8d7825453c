"""A stand-in for Slurm's commands, called by the name of its link: sbatch, srun, squeue, scancel, scontrol.

``sbatch`` starts the members of the job array one after the other in a background process and returns at once, as
Slurm does.  With ``STAND_IN_PREEMPT`` naming a file that does not exist yet, it makes that file and ends member 1 of
the array without running it: a job that was pre-empted and not queued again.
"""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

STATE = Path(os.environ.get("STAND_IN_SLURM", "."))


def sbatch(arguments: list[str]) -> None:
    text = Path(arguments[-1]).read_text(encoding="utf-8")
    options = dict(re.findall(r"^#SBATCH --([\w-]+)(?:=(.*))?$", text, re.MULTILINE))
    number = len(list(STATE.glob("*.sh")))
    script = STATE / f"{number}.sh"
    script.write_text(text)
    (STATE / f"{number}.args").write_text("\n".join([options["job-name"], *arguments[:-1]]))
    last = int(re.match(r"0-(\d+)", options["array"]).group(1))  # type: ignore[union-attr]
    log = options["output"].replace("%A", str(number))
    exported = dict(part.split("=") for a in arguments if a.startswith("--export=ALL,") for part in a.split(",")[1:])
    code = f"""
import os, subprocess, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import slurm_stand_in
slurm_stand_in.members({str(script)!r}, {last}, {log!r}, {exported!r})
"""
    with open(os.devnull, "r+b") as nothing:
        job = subprocess.Popen(
            [sys.executable, "-c", code], start_new_session=True, stdin=nothing, stdout=nothing, stderr=nothing
        )
    (STATE / f"{number}.pid").write_text(f"{job.pid} {options['job-name']}")
    sys.stdout.write(f"Submitted batch job {number}\n")


def members(script: str, last: int, log: str, exported: dict[str, str]) -> None:
    marker = os.environ.get("STAND_IN_PREEMPT")
    for member in range(last + 1):
        if member == 1 and marker and not Path(marker).exists():
            Path(marker).write_text("pre-empted", encoding="utf-8")
            continue
        environment = {
            **os.environ,
            **exported,
            "SLURM_ARRAY_TASK_ID": str(member),
            "SLURM_NODELIST": "node-0",
            "SLURM_JOB_ID": Path(script).stem,
        }
        with open(log.replace("%a", str(member)), "wb") as out:
            subprocess.run(["bash", script], env=environment, stdout=out, stderr=out)


def jobs(name: str) -> list[int]:
    found = []
    for path in STATE.glob("*.pid"):
        pid, job_name = path.read_text().split()
        status = Path(f"/proc/{pid}/stat")
        if job_name == name and status.exists() and status.read_text(encoding="utf-8").split()[2] != "Z":
            found.append(int(pid))
    return found


def main() -> None:
    command, arguments = Path(sys.argv[0]).name, sys.argv[1:]
    name = next((a.removeprefix("--name=") for a in arguments if a.startswith("--name=")), "")
    if command == "sbatch":
        sbatch(arguments)
    elif command == "squeue":
        sys.stdout.write("".join(f"{pid} RUNNING\n" for pid in jobs(name)))
    elif command == "scancel":
        for pid in jobs(name):
            os.killpg(pid, signal.SIGKILL)
    elif command == "scontrol":
        sys.stdout.write(f"{arguments[-1]}\n")
    elif command == "srun":
        start = arguments.index("-n") + 2
        sys.exit(subprocess.run(arguments[start:]).returncode)


if __name__ == "__main__":
    main()
