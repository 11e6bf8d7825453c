"""Two commands on one folder at once: one waits, refuses, or both are right; afterwards everything stands."""

import random
import time
from pathlib import Path

from tests.campaign import child
from tests.campaign.scenarios import Scenario, command
from tests.campaign.trials import Trial, finish

OTHERS = {
    "status": ("status", "{run}"),
    "verify": ("verify", "{run}"),
    "verify --delete": ("verify", "{run}", "--delete"),
    "clean-up": ("clean-up", "{run}", "--dry-run"),
    "takedown": ("takedown", "{run}", "--ids", "{doc}", "--dry-run"),
    "inspect": ("inspect", "{run}"),
}
LOCKED = ("another process is", "is working on this", "a process is")


def together(scenario: Scenario, place: Path, chance: random.Random) -> Trial:
    """Starts the work, and a moment later the same once more, or another command."""
    name = chance.choice([*OTHERS, "the same"])
    trial = Trial(scenario.name, f"beside it {name}", [name])
    scenario.begin(place)
    first = child.Child(lambda: scenario.work(place, False))
    time.sleep(chance.random() * 0.6)  # the random moment itself, not a wait for something
    other = scenario.work if name == "the same" else command(*OTHERS[name])
    second = child.run(lambda: other(place, False))
    ended = first.wait()
    trial.ended = f"codes {ended.code} and {second.code}"
    for one in (ended, second):
        if one.killed or one.code == child.UNEXPECTED:
            trial.complaints.append(f"no sentence: {one.said[-1200:]}")
        elif one.code not in (0, 1, 2) and not any(words in one.said for words in LOCKED):
            trial.complaints += one.complaints(place)
    return finish(trial, scenario, place, workers=False)
