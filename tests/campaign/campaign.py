"""The scenarios of a campaign, made once, and the kinds of trials over them."""

import random
import time
from collections.abc import Callable
from pathlib import Path

from pipeline.base.console import say
from pipeline.base.pool import InProcess
from tests.campaign.answers import question
from tests.campaign.damage import damage
from tests.campaign.full_disk import full_disk
from tests.campaign.scenarios import STAGES, Scenario, prepare
from tests.campaign.servers import kill_server
from tests.campaign.shim import Shim
from tests.campaign.together import takedown_beside, together
from tests.campaign.trials import FAULTS, Trial, fault, jump, kill
from tests.conftest import REPOSITORY

DEAR = {"train": 0.5, "report": 0.3}  # they take ten times as long as the others
SAMPLE = REPOSITORY / "data" / "sample"


class Campaign:
    """Everything that trials need.

    Args:
        folder: Where it works.
        only: Scenarios, separated by commas; empty for all.
    """

    def __init__(self, folder: Path, only: str = "") -> None:
        self._place, self._shim = folder / "trial", Shim()
        began = time.monotonic()
        _load()
        self.made = list(prepare(folder / "bases", self._place, SAMPLE, self._shim))
        self.scenarios = [scenario for scenario in self.made if not only or scenario.name in only.split(",")]
        counted = ", ".join(f"{scenario.name} {scenario.operations:,}" for scenario in self.scenarios)
        say(f"file operations: {counted}; ready after {time.monotonic() - began:.0f} s")

    def kinds(self) -> dict[str, Callable[[random.Random], object]]:
        """Name of a kind of trial -> what does one."""
        return {
            **{"kills": self._kill, "faults": self._fault, "damage": self._damage},
            **{"disks": self._disk, "pairs": self._pair, "clocks": self._jump, "takedowns": self._takedown},
            **{"answers": self._answer, "servers": self._server},
        }

    def _chosen(self, chance: random.Random) -> Scenario:
        weights = [DEAR.get(scenario.name, 1.0) for scenario in self.scenarios]
        return chance.choices(self.scenarios, weights)[0]

    def _kill(self, chance: random.Random) -> Trial:
        return kill(self._chosen(chance), self._place, self._shim, chance)

    def _fault(self, chance: random.Random) -> Trial:
        return fault(self._chosen(chance), self._place, self._shim, chance, list(FAULTS))

    def _disk(self, chance: random.Random) -> Trial:
        return full_disk(self._chosen(chance), self._place, chance)

    def _pair(self, chance: random.Random) -> Trial:
        return together(self._chosen(chance), self._place, chance)

    def _jump(self, chance: random.Random) -> Trial:
        return jump(self._chosen(chance), self._place, self._shim, chance)

    def _takedown(self, chance: random.Random) -> Trial:
        """Beside a stage that works on documents which are there already."""
        later = [made for made in self.scenarios if made.name in STAGES[1:]]
        return takedown_beside(chance.choice(later), self._place, chance)

    def _answer(self, chance: random.Random) -> Trial:
        """Of a finished run from which nothing was taken down."""
        return question(next(made for made in self.made if made.name == "takedown"), self._place, self._shim, chance)

    def _server(self, chance: random.Random) -> Trial:
        """Of all stages in one command; what comes after the report is promised by none."""
        stages = [made for made in self.made if made.name in STAGES]
        operations = sum(made.operations for made in stages)
        return kill_server(stages[0], stages[-1], operations, self._place, self._shim, chance)

    def _damage(self, chance: random.Random) -> Trial:
        """Of the run as it was finished, or after a takedown."""
        name = chance.choice(("takedown", "dedup run"))
        finished = next(made for made in self.made if made.name == name)
        return damage(finished, self._place, chance)


def _load() -> None:
    """Loads every module, and every kernel, before the first fork; no thread may start meanwhile."""
    import tempfile

    import tokenizers  # noqa: F401
    import torch

    from flows.session.stages import STAGES
    from pipeline import warm
    from pipeline.run.engine import load_function

    torch.set_num_threads(1)
    for function in STAGES.values():
        load_function(function)
    with tempfile.TemporaryDirectory(prefix="campaign-warm-") as folder:
        warm.warm(Path(folder), InProcess())
