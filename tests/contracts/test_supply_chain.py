"""What is installed is known: the lock has every dependency with digests, the bill of materials every package."""

import json
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.tools import make_lock, make_sbom
from tests.tools.make_lock import CHOSEN_BY_USER

PINNED = re.compile(r"(?m)^([A-Za-z0-9][\w.-]*)==(\S+)")


def pins(path: Path) -> dict[str, str]:
    return {make_sbom.name_of(name): version for name, version in PINNED.findall(path.read_text("utf-8"))}


def test_every_dependency_but_torch_is_in_the_lock(repository: Path) -> None:
    locked = pins(repository / "requirements.lock")
    project = tomllib.loads((repository / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = [Requirement(text) for text in project["dependencies"]]
    assert {make_sbom.name_of(one.name) for one in wanted} - locked.keys() == {"torch"}
    assert [
        one for one in wanted if one.name != "torch" and locked[make_sbom.name_of(one.name)] not in one.specifier
    ] == []


def test_each_package_of_the_lock_has_digests_and_none_is_of_a_build_of_torch(repository: Path) -> None:
    packages = re.split(r"(?m)^(?=[A-Za-z0-9])", (repository / "requirements.lock").read_text("utf-8"))[1:]
    assert len(packages) > 100
    assert [package.splitlines()[0] for package in packages if "--hash=sha256:" not in package] == []
    assert [package.splitlines()[0] for package in packages if CHOSEN_BY_USER.match(package)] == []


def test_the_lock_has_the_versions_of_the_constraints(repository: Path) -> None:
    """Those that are for every Python and system; `make lock` after a change of constraints.txt."""
    locked, constrained = pins(repository / "requirements.lock"), pins(repository / "constraints.txt")
    both = locked.keys() & constrained.keys()
    assert len(both) > 100
    assert {name: locked[name] for name in both if locked[name] != constrained[name]} == {}


def test_bill_of_materials_lists_what_is_needed_with_its_licence(tmp_path: Path) -> None:
    assert make_sbom.main([str(tmp_path)]) == 0
    bill = json.loads((tmp_path / "sbom.json").read_bytes())
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    components = {component["name"]: component for component in bill["components"]}
    assert {"pyarrow", "numpy", "torch", "prefect", "sqlalchemy"} <= components.keys()
    assert components["numpy"]["purl"] == f"pkg:pypi/numpy@{components['numpy']['version']}"
    assert "| pyarrow |" in (tmp_path / "licences.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("events", "known"),
    [
        ([{"introduced": "0"}], 1),
        ([{"introduced": "0"}, {"fixed": "0.0.1"}], 0),
        ([{"introduced": "0"}, {"fixed": "9999"}], 1),
        ([{"introduced": "9999"}], 0),
        ([{"introduced": "0"}, {"last_affected": "0.1"}], 0),
    ],
)
def test_audit_names_what_an_advisory_is_of(
    events: list[dict[str, str]], known: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ranges = [{"type": "ECOSYSTEM", "events": events}]
    affected = [{"package": {"ecosystem": "PyPI", "name": "NumPy"}, "ranges": ranges}]
    (tmp_path / "a.json").write_text(json.dumps({"id": "X-1", "affected": affected}), encoding="utf-8")
    assert make_sbom.main([str(tmp_path), "--audit", str(tmp_path)]) == known
    assert capsys.readouterr().out.endswith(f"{known} advisories\n")


def test_audit_of_a_folder_without_advisories_does_not_say_that_there_are_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "all.zip").write_bytes(b"PK")
    assert make_sbom.main(["build", "--audit", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "no database of advisories" in said
    assert "0 advisories" not in said


@pytest.mark.parametrize("content", ['{"id":', "[" * 100_000, "[]", '"a"'])
def test_audit_names_a_file_that_is_no_advisory(content: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(content, encoding="utf-8")
    with pytest.raises(SystemExit, match=r"a\.json: not .*database"):
        make_sbom.main(["build", "--audit", str(tmp_path)])


def test_audit_takes_a_local_build_for_the_version_that_advisories_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Installed:
        version = "2.9.1+cpu"

    monkeypatch.setattr(make_sbom, "needed", lambda: {"torch": Installed()})
    affected = [{"package": {"ecosystem": "PyPI", "name": "torch"}, "versions": ["2.9.1"]}]
    (tmp_path / "a.json").write_text(json.dumps({"id": "X-1", "affected": affected}), encoding="utf-8")
    assert make_sbom.main(["build", "--audit", str(tmp_path)]) == 1
    assert "torch 2.9.1: X-1" in capsys.readouterr().out


def test_lock_without_uv_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"no-uv: not found; .*make lock UV="):
        make_lock.main(str(tmp_path / "no-uv"))


def test_lock_stays_as_it_was_where_nothing_fits() -> None:
    before = make_lock.LOCK.read_bytes()
    with pytest.raises(SystemExit, match="is as it was"):
        make_lock.main("false")
    assert make_lock.LOCK.read_bytes() == before
