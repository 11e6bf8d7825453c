"""What is said before kernels are compiled, and when."""

from pathlib import Path

import numpy as np
import pytest

from pipeline import kernels
from pipeline.dedup import signatures
from pipeline.screen import cold


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which nothing was ever compiled."""
    monkeypatch.setattr(kernels, "kernel_cache_folder", lambda: tmp_path)


@pytest.mark.usefixtures("elsewhere")
def test_it_is_said_where_a_stage_has_never_run(capsys: pytest.CaptureFixture[str]) -> None:
    cold.say_if_cold("dedup", "filter")
    assert "doctor --warm" in capsys.readouterr().err
    cold.say_if_cold("train", "report")  # these compile nothing
    assert capsys.readouterr().err == ""


def test_a_kernel_that_was_called_counts_as_compiled() -> None:
    """Numba still keeps kernels where ``are_compiled`` looks."""
    assert signatures(["one two three four five six"]).dtype == np.uint32
    assert cold.are_compiled("dedup")


def test_each_stage_is_known_by_a_module_of_kernels() -> None:
    folder = Path(kernels.__file__).parent
    assert [name for name in cold.MODULES.values() if not (folder / f"{name}.py").exists()] == []
