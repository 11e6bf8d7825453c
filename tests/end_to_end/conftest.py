from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end import tiny


@dataclass(frozen=True)
class Finished:
    """A finished tiny run."""

    recipe: Path
    root: Path
    summaries: dict[str, dict[str, Any]]


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, sample: Path) -> Finished:
    folder = tmp_path_factory.mktemp("tiny")
    recipe = tiny.write_inputs(folder, sample)
    summaries = tiny.run_all(recipe, folder / "run")
    return Finished(recipe, folder / "run", summaries)
