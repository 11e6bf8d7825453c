"""Signals to the processes of a training, one after another: ``python -m tests.model.rank_campaign --signals 100``.

Two processes (ddp, then fsdp) train under torchrun; one of them, torchrun itself or all get SIGTERM, SIGINT, SIGHUP or
SIGKILL at a random moment, also while they start.  Then the same command goes on, until the next signal.  Held to:

- everything ends within a minute, nobody is left, and something is said;
- after a signal that can be answered, once steps are made, a checkpoint of the last step stands there;
- the folder can be gone on from, and in the end the weights are those of a training that nobody disturbed.

``--operations 20``: a process gets SIGKILL not at a moment but at a file operation, a random one of those that it makes
in the run folder; held to the same.  It is preloaded with tests/campaign/shim.c, so a C compiler is needed.
"""

import argparse
import collections
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from model.checkpoints.steps import complete_steps
from model.training.metrics import read_lines
from pipeline.base.processes import alive, descendants
from pipeline.run.folder import Run
from pipeline.run.manifest import digest_file
from tests.campaign import shim
from tests.campaign.shim import Action, Shim
from tests.model.runs import make_run

STEPS, CHAIN = 1200, 10  # steps of a training, and signals that it gets before it may end
SETTINGS = (f"train.steps={STEPS}", "train.checkpoint_every_steps=400", "train.log_every_steps=5")
BUSY_STEPS = 60  # of a training that is killed at operations: it saves and logs often
BUSY = (f"train.steps={BUSY_STEPS}", "train.checkpoint_every_steps=10", "train.log_every_steps=1")
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL)
LAST = f"checkpoints/step-{BUSY_STEPS:07d}/model.safetensors"
TARGETS = ("rank 0", "rank 1", "torchrun", "all")
WITHIN_SECONDS = 60


def command(run: Run) -> list[str]:
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    program = ["-m", "model.train", "--recipe", f"{run.root}/recipe.toml", "--root", run.root]
    return [sys.executable, *torchrun, *program]


def ranks(parent: int) -> list[int]:
    """The training processes of a torchrun, by rank."""
    found = {}
    for process in descendants(parent):
        try:
            line = Path(f"/proc/{process}/cmdline").read_bytes()
            values = Path(f"/proc/{process}/environ").read_bytes().split(b"\0")
        except OSError:
            continue  # it has ended since
        number = [value.removeprefix(b"RANK=") for value in values if value.startswith(b"RANK=")]
        if b"model.train" in line and number:
            found[int(number[0])] = process
    return [found[rank] for rank in sorted(found)]


def start(run: Run, log: Path, preloaded: Mapping[str, str] | None = None) -> "subprocess.Popen[bytes]":
    def usual() -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)

    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TORCH_ELASTIC_SHUTDOWN_TIMEOUT": "30", **(preloaded or {})}
    with log.open("wb") as out:
        return subprocess.Popen(command(run), stdout=out, stderr=out, preexec_fn=usual, env=environment)


def last_step(run: Run) -> int:
    steps = [line["step"] for line in read_lines(run.root)] if (Path(run.root) / "metrics/train.jsonl").exists() else []
    return max(steps, default=0)


def disturb(run: Run, log: Path, choice: random.Random) -> tuple[str, list[str]]:
    """One start and one signal; what it was, and what was wrong."""
    number, target = choice.choice(SIGNALS), choice.choice(TARGETS)
    early = choice.random() < 0.15
    before, process = last_step(run), start(run, log)
    try:
        while process.poll() is None:  # until the first line of metrics, or both ranks exist
            if len(ranks(process.pid)) == 2 and (early or last_step(run) > before):
                break
            time.sleep(0.02)
        time.sleep(choice.random() * (1.0 if early else 2.0))
        members = descendants(process.pid)
        trainers = ranks(process.pid)
        chosen = {"rank 0": trainers[:1], "rank 1": trainers[1:], "torchrun": [process.pid]}
        for one in chosen.get(target, [process.pid, *trainers]):
            os.kill(one, number)
        sent = time.monotonic()
        process.wait(WITHIN_SECONDS)
        left = alive(members)
        while left and time.monotonic() - sent < WITHIN_SECONDS:
            time.sleep(0.1)
            left = alive(left)
    except ProcessLookupError:
        return "ended before the signal", []
    except subprocess.TimeoutExpired:
        return f"{number.name} {target}", [f"not ended within {WITHIN_SECONDS} s"]
    finally:
        for one in alive([process.pid, *descendants(process.pid)]):
            os.kill(one, signal.SIGKILL)
        process.wait()
    said, faults = log.read_text(encoding="utf-8", errors="replace"), []
    if left:
        faults.append(f"left behind: {left}")
    answered = number != signal.SIGKILL or target == "torchrun"
    made = last_step(run)
    if answered and made > before and max(complete_steps(run.root), default=0) < made:
        faults.append(f"step {made} was made, checkpoints are {complete_steps(run.root)}")
    if not said.strip():
        faults.append("nothing was said")
    return f"{number.name} {target}{' early' if early else ''}", faults


def said(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")


def kill_at_operation(
    run: Run, log: Path, preloaded: Mapping[str, str], control: Shim, most: int, choice: random.Random
) -> tuple[str, list[str]]:
    """One start, in which the process is killed that makes one operation; what it was, and what was wrong."""
    control.arm(Path(run.root), Action.KILL_SELF, choice.randrange(most))
    process, members = start(run, log, preloaded), set[int]()
    ended_by: float | None = None
    while process.poll() is None:
        members |= {*descendants(process.pid)}
        ended_by = ended_by or (time.monotonic() + WITHIN_SECONDS if control.hits() else None)
        if ended_by is not None and time.monotonic() > ended_by:
            break
        time.sleep(0.05)
    hung = process.poll() is None
    left = alive(members)
    for one in [*([process.pid] if hung else []), *left]:
        os.kill(one, signal.SIGKILL)
    process.wait()
    _, hit = control.disarm()
    if not hit:
        return "ended before the operation", [] if process.returncode == 0 else [f"exit {process.returncode}"]
    faults = [f"not ended within {WITHIN_SECONDS} s"] if hung else []
    faults += [f"left behind: {left}"] if left and not hung else []
    faults += ["exit code 0"] if process.returncode == 0 else []
    faults += [] if said(log).strip() else ["nothing was said"]
    return hit.replace(run.root, "RUN"), faults


def killed_at_operations(kills: int, choice: random.Random) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """So many kills, some in one training after the other; where they hit, and what was wrong."""
    hits: list[str] = []
    faults: list[tuple[str, list[str]]] = []
    with tempfile.TemporaryDirectory() as folder:
        preloaded = shim.build(Path(folder))
        os.environ[shim.VARIABLE] = preloaded[shim.VARIABLE]
        control, number = Shim(), 0
        ends: dict[str, tuple[str, int]] = {}
        while len(hits) < kills:
            parallel, number = ("ddp", "fsdp")[number % 2], number + 1
            if parallel not in ends:
                undisturbed = make_run(Path(folder, parallel), overrides=(*BUSY, f"train.parallel={parallel}"))
                control.arm(Path(undisturbed.root))
                assert start(undisturbed, Path(folder, "log"), preloaded).wait() == 0, Path(folder, "log").read_text(
                    encoding="utf-8", errors="replace"
                )
                ends[parallel] = digest_file(f"{undisturbed.root}/{LAST}"), control.disarm()[0]
            expected, most = ends[parallel]
            run = make_run(Path(folder, f"{number}"), overrides=(*BUSY, f"train.parallel={parallel}"))
            for _ in range(min(CHAIN, kills - len(hits))):
                hit, wrong = kill_at_operation(run, Path(folder, "log"), preloaded, control, most, choice)
                hits.append(f"{parallel} {hit}")
                faults += [(hits[-1], wrong)] if wrong else []
                sys.stdout.write(f"{len(hits):4d}  {hits[-1]} {wrong or ''}\n")
                sys.stdout.flush()
                if hit.startswith("ended"):
                    break
            code = start(run, Path(folder, "log")).wait()
            found = digest_file(f"{run.root}/{LAST}") if code == 0 else f"exit {code}"
            if found != expected:
                faults.append(
                    (
                        f"{parallel} end",
                        [
                            f"{found}, undisturbed {expected}",
                            Path(folder, "log").read_text(encoding="utf-8", errors="replace"),
                        ],
                    )
                )
    return hits, faults


def chain(parallel: str, signals: int, folder: Path, choice: random.Random) -> list[tuple[str, list[str]]]:
    """A training that gets so many signals and is then left to end; the last entry compares its weights."""
    results = []
    folder.mkdir()
    run = make_run(folder, overrides=(*SETTINGS, f"train.parallel={parallel}"))
    for _ in range(signals):
        if last_step(run) >= STEPS:
            break
        name, faults = disturb(run, folder / "log", choice)
        results.append((f"{parallel} {name}", faults))
        if faults:
            sys.stdout.write(f"{parallel} {name}: {faults}\n{(folder / 'log').read_text(errors='replace')[-3000:]}\n")
    process = start(run, folder / "log")
    code = process.wait()
    whole = Path(run.root) / f"checkpoints/step-{STEPS:07d}/model.safetensors"
    fault = [] if code == 0 and whole.exists() else [f"exit {code}: {(folder / 'log').read_text()[-2000:]}"]
    results.append((f"{parallel} end {digest_file(str(whole)) if whole.exists() else ''}", fault))
    return results


def main() -> None:
    """Runs the campaign and prints what was sent how often, and every fault."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--signals", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--operations", type=int, default=0, help="kills at file operations, in place of signals")
    options = parser.parse_args()
    if options.operations:
        hits, wrong_ends = killed_at_operations(options.operations, random.Random(options.seed))
        sys.stdout.write(f"{sum(' ended' not in hit for hit in hits)} kills, {len(wrong_ends)} faults\n")
        sys.stdout.writelines(f"FAULT {name}: {wrong}\n" for name, wrong in wrong_ends)
        sys.exit(bool(wrong_ends))
    choice, sent, faults, ends = random.Random(options.seed), collections.Counter[str](), [], {}
    number = 0
    while sum(sent.values()) < options.signals:
        parallel = ("ddp", "fsdp")[number % 2]
        number += 1
        with tempfile.TemporaryDirectory() as folder:
            if parallel not in ends:
                (end,) = chain(parallel, 0, Path(folder, "undisturbed"), choice)
                ends[parallel] = end[0]
            *results, (end, fault) = chain(parallel, CHAIN, Path(folder, "disturbed"), choice)
        sent.update(name for name, _ in results)
        faults += [(name, wrong) for name, wrong in [*results, (end, fault)] if wrong]
        if end != ends[parallel]:
            faults.append((end, [f"other weights than undisturbed: {ends[parallel]}"]))
        sys.stdout.write(f"{sum(sent.values())} signals, {len(faults)} faults\n")
        sys.stdout.flush()
    for name, count in sorted(sent.items()):
        sys.stdout.write(f"{count:4d}  {name}\n")
    for name, wrong in faults:
        sys.stdout.write(f"FAULT {name}: {wrong}\n")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
