"""One kill or one storage fault at a random operation, then the same work once more, undisturbed.

What must be true after a kill: the same command ends well, and every promised byte is there.  After a fault: the work
ends well with the right bytes, or in a sentence that names a file; and the same command then ends well.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.campaign import child
from tests.campaign.scenarios import Scenario
from tests.campaign.shim import ERRORS, Action, Kind, Shim

FAULTS = {
    "write": Kind.WRITE,
    "pwrite": Kind.PWRITE,
    "rename": Kind.RENAME,
    "link": Kind.LINK,
    "fsync": Kind.FSYNC,
    "truncate": Kind.TRUNCATE,
    "open": Kind.OPEN,
    "mkdir": Kind.MKDIR,
}


@dataclass
class Trial:
    """What was tried, and what was wrong with what came of it.

    Attributes:
        name: Of the scenario.
        what: The disturbance, in words.
        hit: The operations that were disturbed; empty where the work had ended before.
        ended: How the disturbed work ended.
        complaints: What is not as it must be.
    """

    name: str
    what: str
    hit: list[str] = field(default_factory=list)
    ended: str = ""
    complaints: list[str] = field(default_factory=list)


def kill(scenario: Scenario, place: Path, shim: Shim, chance: random.Random) -> Trial:
    """Kills the tree, or the process at work, at a random operation; one time in four twice."""
    workers = chance.random() < 0.4
    action = Action.KILL_SELF if chance.random() < 0.4 else Action.KILL_GROUP
    times = 2 if chance.random() < 0.25 else 1
    trial = Trial(scenario.name, f"{action.name.lower()} x{times}, {'workers' if workers else 'one process'}")
    scenario.begin(place)
    for _ in range(times):
        shim.arm(place, action, chance.randrange(max(1, scenario.operations)))
        ended = child.run(lambda: scenario.work(place, workers), shim)
        _, hit = shim.disarm()
        trial.hit += [hit] if hit else []
        trial.ended = f"code {ended.code}"
        if not ended.killed and ended.code != 0:  # a worker that is killed again and again is named
            trial.complaints += ended.complaints(place)
    return finish(trial, scenario, place, workers)


def fault(scenario: Scenario, place: Path, shim: Shim, chance: random.Random, kinds: Sequence[str]) -> Trial:
    """Fails a random operation of a kind, once or from then on, with a random error; or makes a write short."""
    name = chance.choice([kind for kind in kinds if count(scenario, place, shim, FAULTS[kind])])
    error = chance.choice([*ERRORS, "short"] if name in ("write", "pwrite") else list(ERRORS))
    lasting, workers = error != "EINTR" and chance.random() < 0.4, chance.random() < 0.3
    trial = Trial(scenario.name, f"{error} of {name}{', lasting' if lasting else ''}")
    action = Action.SHORT if error == "short" else Action.FAIL
    target = chance.randrange(max(1, count(scenario, place, shim, FAULTS[name])))
    scenario.begin(place)
    shim.arm(place, action, target, kinds=FAULTS[name], error=ERRORS.get(error, 0), lasting=lasting)
    ended = child.run(lambda: scenario.work(place, workers), shim)
    _, hit = shim.disarm()
    trial.hit, trial.ended = [hit] if hit else [], f"code {ended.code} {ended.error}"
    trial.complaints += ended.complaints(place)
    if ended.killed:
        trial.complaints.append(f"ended by signal {-ended.code}: {ended.said[-500:]}")
    if ended.code == 0 and (wrong := scenario.differences(place)):
        trial.complaints.append(f"ended well, with other bytes: {', '.join(wrong[:5])}")
    return finish(trial, scenario, place, workers)


JUMPS = {"an hour": 3600, "a day": 86_400, "ten years": 315_576_000}


def jump(scenario: Scenario, place: Path, shim: Shim, chance: random.Random) -> Trial:
    """The wall clock jumps at a random operation: nothing of the outcome may hang on it."""
    workers = chance.random() < 0.4
    name, direction = chance.choice(list(JUMPS)), chance.choice((1, -1))
    trial = Trial(scenario.name, f"{name} {'on' if direction > 0 else 'back'}")
    scenario.begin(place)
    target = chance.randrange(max(1, scenario.operations))
    shim.arm(place, Action.JUMP, target, seconds=direction * JUMPS[name])
    ended = child.run(lambda: scenario.work(place, workers), shim)
    _, hit = shim.disarm()
    trial.hit, trial.ended = [hit] if hit else [], f"code {ended.code} {ended.error}"
    if ended.code != 0:
        trial.complaints.append(f"ended with {ended.code}: {ended.said[-1500:]}")
    elif wrong := scenario.differences(place):
        trial.complaints.append(f"other bytes: {', '.join(wrong[:5])}")
    return finish(trial, scenario, place, workers)


_counted: dict[tuple[str, int], int] = {}


def count(scenario: Scenario, place: Path, shim: Shim, kind: Kind) -> int:
    """Operations of a kind that a scenario does; counted once."""
    key = (scenario.name, int(kind))
    if key not in _counted:
        scenario.begin(place)
        shim.arm(place, Action.COUNT, kinds=kind)
        child.run(lambda: scenario.work(place, False), shim)
        _counted[key] = shim.disarm()[0]
    return _counted[key]


def finish(trial: Trial, scenario: Scenario, place: Path, workers: bool) -> Trial:
    """The same work once more, undisturbed."""
    again = child.run(lambda: scenario.work(place, workers))
    is_made = again.code == 2 and "there is an index" in again.said  # what it was asked to make stands
    if again.code != 0 and not is_made:
        trial.complaints.append(f"the same work again ended with {again.code}: {again.said[-1500:]}")
    elif wrong := scenario.differences(place):
        trial.complaints.append(f"other bytes after the same work again: {', '.join(wrong[:5])}")
    return trial
