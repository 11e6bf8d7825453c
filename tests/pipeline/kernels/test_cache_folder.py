import os
import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import sys
{before}
from pipeline.dedup import signatures
import numba, os
assert signatures(["one two three four five six"]).shape == (1, 112)
print(os.environ["NUMBA_CACHE_DIR"])
assert numba.config.CACHE_DIR == os.environ["NUMBA_CACHE_DIR"]
"""


def start(cache: Path, before: str = "", **more: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "TOKENMILL_CACHE": str(cache), **more}
    environment.pop("NUMBA_CACHE_DIR", None)
    return subprocess.Popen(
        [sys.executable, "-c", CODE.format(before=before)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> Path:
    with process:  # one that takes too long must not be collected within another test, which would fail for it
        try:
            out, error = process.communicate(timeout=240)
        finally:
            process.kill()
    assert process.returncode == 0, error
    return Path(out.strip())


@pytest.mark.slow
def test_two_processes_that_compile_at_once_share_one_sound_cache(tmp_path: Path) -> None:
    with start(tmp_path) as first, start(tmp_path) as second:
        folder = finish(first)
        assert folder == finish(second)
    assert folder.parent == tmp_path
    compiled = sorted(path.name for path in folder.rglob("*.nbc"))
    assert any("sign" in name for name in compiled)
    assert finish(start(tmp_path)) == folder
    assert sorted(path.name for path in folder.rglob("*.nbc")) == compiled, "the third run compiled again"


def test_folder_is_used_even_where_numba_was_loaded_first(tmp_path: Path) -> None:
    from pipeline.kernels import kernel_cache_folder

    code = "import numba, os; import pipeline.kernels; print(numba.config.CACHE_DIR)"
    environment = {**os.environ, "TOKENMILL_CACHE": str(tmp_path)}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert Path(result.stdout.strip()).name == kernel_cache_folder().name
    assert Path(result.stdout.strip()).parent == tmp_path


def test_changed_kernel_source_is_another_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import pipeline.kernels

    monkeypatch.setenv("TOKENMILL_CACHE", str(tmp_path / "cache"))
    before = pipeline.kernels.kernel_cache_folder()
    edited = tmp_path / "edited"
    edited.mkdir()
    (edited / "__init__.py").write_text("changed")
    monkeypatch.setattr(pipeline.kernels, "__file__", str(edited / "__init__.py"))
    assert pipeline.kernels.kernel_cache_folder() != before


def test_folder_that_cannot_be_written_falls_back_to_the_temporary_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import pipeline.kernels

    (tmp_path / "file").write_text("in the way")
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TOKENMILL_CACHE", str(tmp_path / "file" / "below"))
    monkeypatch.setattr(pipeline.kernels.tempfile, "gettempdir", lambda: str(tmp_path / "temporary"))  # type: ignore[attr-defined]
    assert pipeline.kernels.kernel_cache_folder().is_relative_to(tmp_path / "temporary")
