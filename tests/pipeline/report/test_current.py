"""A report that is not as it was made is outdated, and made again; it never stops a command."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.base.pool import InProcess
from pipeline.inspection.status import status_rows
from pipeline.inspection.verify import verify
from pipeline.recipe.load import load_recipe
from pipeline.report.stage import run as report
from pipeline.run.context import Context
from pipeline.run.folder import Run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run of nothing but its report."""
    (tmp_path / "recipe.toml").write_text('[[sources]]\nname = "s"\npaths = ["x"]\n')
    run = Run(str(tmp_path / "run"), load_recipe(tmp_path / "recipe.toml"))
    run.write_recipe()
    report(Context(run, InProcess()))
    return run


def test_report_as_it_was_made_is_done_and_whole(run: Run) -> None:
    assert status_rows(run)["report"]["state"] == "done"
    assert verify(run).exit_code == 0
    context = Context(run, InProcess())
    report(context)
    assert context.shards_skipped == 1


def test_command_of_its_own_does_not_load_pandas(run: Run) -> None:
    code = (
        "import sys; from flows.cli.app import main\n"
        "try: main()\n"
        "finally:\n"
        "    import pyarrow; pyarrow.array([0])  # as of any run that holds documents\n"
        "    print('pandas' in sys.modules, 'matplotlib' in sys.modules)"
    )
    asked = [sys.executable, "-c", code, "report", run.root]
    done = subprocess.run(asked, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False True"


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("made_from.json", b""),
        ("made_from.json", b"[]"),
        ("made_from.json", b"\xff"),
        ("made_from.json", b'{"files": []}'),
        ("made_from.json", b'{"files": {"../victim.txt": "0"}}'),
        ("made_from.json", b'{"files": {"recipe.toml": "0"}}'),
        ("index.html", b"<!doctype"),
    ],
)
def test_damaged_report_is_named_and_made_again(run: Run, name: str, data: bytes) -> None:
    path = Path(run.root) / "report" / name
    path.write_bytes(data)
    row = status_rows(run)["report"]
    assert row["state"] == "outdated"
    assert f"tokenmill report {run.root}" in row["problems"][0]
    found = verify(run)
    assert found.exit_code == 1
    assert [entry.path for entry in found.damaged] == [f"report/{name}"]
    report(Context(run, InProcess()))
    assert status_rows(run)["report"]["state"] == "done"
    assert verify(run).exit_code == 0


def test_report_of_an_earlier_version_which_names_no_files_stays(run: Run) -> None:
    path = Path(run.root) / "report/made_from.json"
    earlier = json.loads(path.read_text())
    del earlier["files"]
    path.write_text(json.dumps(earlier))
    assert status_rows(run)["report"]["state"] == "done"
    assert verify(run).exit_code == 0


@pytest.mark.parametrize("data", [b"", b"\xff\xfe\n", b"[]\n7\n{}\n", b'{"step": "x"}\n', b'{"step": 1}\n', b'{"st'])
def test_damaged_metrics_and_samples_leave_a_report(run: Run, data: bytes) -> None:
    folder = Path(run.root) / "metrics"
    folder.mkdir(exist_ok=True)
    for name in ("train.jsonl", "samples.jsonl"):
        (folder / name).write_bytes(data)
    (Path(run.root) / "report/index.html").unlink()
    report(Context(run, InProcess()))
    assert status_rows(run)["report"]["state"] == "done"


@pytest.mark.parametrize("name", ["stages.json", "failed.json", "environment.json"])
@pytest.mark.parametrize("data", [b'{"clean": []}', b'{"clean": {"error": 1}}', b'{"clean": null, "x": "y"}'])
def test_logs_of_strange_values_stop_neither_status_nor_report(run: Run, name: str, data: bytes) -> None:
    (Path(run.root) / "logs").mkdir(exist_ok=True)
    (Path(run.root) / "logs" / name).write_bytes(data)
    (Path(run.root) / "report/index.html").unlink()
    status_rows(run)
    report(Context(run, InProcess()))
    assert status_rows(run)["report"]["state"] == "done"
