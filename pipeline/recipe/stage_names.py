"""The names of the stages: their order, and which of them judge documents."""

from collections.abc import Iterable
from typing import Literal, get_args

StageName = Literal["clean", "dedup", "filter", "tokenize", "train", "report"]
CurationStage = Literal["clean", "dedup", "filter", "tokenize"]  # those that make the data
STAGES: tuple[StageName, ...] = get_args(StageName)  # in the order of the data path
CURATION: tuple[str, ...] = get_args(CurationStage)
SELECTION = ("dedup", "filter")  # in either order: each judges what the one before it keeps
JUDGES = (*SELECTION, "tokenize")  # those that write verdicts

_PART_OF = {"index": "tokenize"}  # steps that are not named after the stage that runs them


def stage_of(step: str) -> str:
    """The stage that runs a step.

    Example:
        >>> stage_of("index.keys"), stage_of("dedup.signatures")
        ('tokenize', 'dedup')
    """
    family = step.split(".")[0]
    return _PART_OF.get(family, family)


def in_order(steps: Iterable[str]) -> list[str]:
    """Names of steps in the order of the data path; a stage's own step stands behind the steps that prepare it.

    Example:
        >>> in_order(["train", "index", "tokenize", "tokenize.split", "clean"])
        ['clean', 'tokenize.split', 'tokenize', 'index', 'train']
    """
    ranks: dict[str, int] = {stage: rank for rank, stage in enumerate(STAGES)}

    def place(step: str) -> tuple[int, bool, bool, str]:
        family = step.split(".")[0]
        return ranks.get(_PART_OF.get(family, family), len(ranks)), family in _PART_OF, "." not in step, step

    return sorted(steps, key=place)
