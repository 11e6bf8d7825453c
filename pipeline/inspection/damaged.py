"""One damaged or missing file, as ``verify`` names it."""

from dataclasses import dataclass

from pipeline.run import layout

MISSING = "missing"
# records of the run itself: nothing makes them again, so that `verify --delete` leaves them where they are
KEPT = (layout.RECIPE, layout.TAKEDOWN, layout.RESTORED, layout.TAKEDOWN_PLAN, layout.STEP_DIGESTS)


@dataclass(frozen=True)
class Damaged:
    """One file that is not as it should be.

    Attributes:
        path: Below the run folder.
        problem: What is wrong with it.
        step: The step that made it, or what it belongs to.
        shard: The shard that made it.
        cure: What to do about it, where `verify --delete` and another run are not it.
    """

    path: str
    problem: str
    step: str
    shard: str = ""
    cure: str = ""
