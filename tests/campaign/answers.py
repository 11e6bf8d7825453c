"""A question about a finished run while the disk refuses to open a file: the same answer, or a sentence that names it.

An answer that ends well is a promise too: what could not be read must not be missing in it.
"""

import errno
import random
from pathlib import Path

from tests.campaign import child
from tests.campaign.damage import QUESTIONS
from tests.campaign.scenarios import Scenario, command
from tests.campaign.shim import Action, Kind, Shim
from tests.campaign.trials import Trial
from tests.trees import tree

ASKED = {name: words for name, words in QUESTIONS.items() if "{file}" not in words} | {"verify": ("verify", "{run}")}
REFUSALS = {"EIO": errno.EIO, "EACCES": errno.EACCES, "ESTALE": errno.ESTALE}

Answer = tuple[int, str, dict[str, bytes]]  # exit code, what was said, files that were written
_undisturbed: dict[str, tuple[Answer, int]] = {}


def question(finished: Scenario, place: Path, shim: Shim, chance: random.Random) -> Trial:
    """Asks one question while a random file of the folder cannot be opened, once or from then on."""
    name, error = chance.choice(sorted(ASKED)), chance.choice(sorted(REFUSALS))
    expected, opens = _answer(finished, place, shim, name)
    lasting = chance.random() < 0.4
    trial = Trial(name, f"{error} of open{', lasting' if lasting else ''}")
    finished.begin(place)
    shim.arm(
        place, Action.FAIL, chance.randrange(max(1, opens)), kinds=Kind.OPEN, error=REFUSALS[error], lasting=lasting
    )
    ended = child.run(lambda: command(*ASKED[name])(place, False), shim)
    _, hit = shim.disarm()
    trial.hit, trial.ended = [hit] if hit else [], f"code {ended.code} {ended.error}"
    trial.complaints += ended.complaints(place)
    if ended.killed:
        trial.complaints.append(f"ended by signal {-ended.code}: {ended.said[-500:]}")
    if ended.code == 0 and (found := (0, ended.said, _written(place))) != expected:
        trial.complaints.append(f"another answer: {_difference(expected, found)}")
    return trial


def _answer(finished: Scenario, place: Path, shim: Shim, name: str) -> tuple[Answer, int]:
    """The answer without any disturbance, and how many files are opened for it; found once."""
    if name not in _undisturbed:
        finished.begin(place)
        shim.arm(place, Action.COUNT, kinds=Kind.OPEN)
        ended = child.run(lambda: command(*ASKED[name])(place, False), shim)
        opens, _ = shim.disarm()
        _undisturbed[name] = (ended.code, ended.said, _written(place)), opens
    return _undisturbed[name]


def _written(place: Path) -> dict[str, bytes]:
    out = place / "out"
    return tree(out) if out.is_dir() else {}


def _difference(expected: Answer, found: Answer) -> str:
    files = sorted(path for path in expected[2].keys() | found[2].keys() if expected[2].get(path) != found[2].get(path))
    was, now = expected[1].splitlines(), found[1].splitlines()
    lines = [f"- {line}" for line in was if line not in now] + [f"+ {line}" for line in now if line not in was]
    return "\n".join([f"exit code {expected[0]} before", *files[:5], *lines[:12]])
