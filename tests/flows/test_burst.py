"""The embedded server keeps every record of a burst: Prefect's own way to embed one loses some."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.flows.processes import ENVIRONMENT

NUMBER = 150


@pytest.mark.slow
@pytest.mark.flow
@pytest.mark.xdist_group("prefect")
@pytest.mark.timeout(1200)
def test_every_task_run_artifact_event_and_line_of_a_burst_is_recorded(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.tools.burst", str(tmp_path), str(NUMBER)]
    subprocess.run(command, cwd=REPOSITORY, env=ENVIRONMENT, check=True)
    with closing(sqlite3.connect(tmp_path / ".prefect/prefect.db")) as database:

        def rows(query: str) -> list[tuple[object, ...]]:
            return database.execute(query).fetchall()

        assert rows("select state_type, count(*) from task_run group by 1") == [("COMPLETED", NUMBER)]
        assert rows("select state_type from flow_run") == [("COMPLETED",)]
        assert rows("select count(*) from artifact") == [(NUMBER + 1,)]
        assert rows("select count(*) from log where message like 'line %'") == [(NUMBER,)]
        events = dict(rows("select event, count(*) from events group by 1"))  # type: ignore[arg-type]
        assert events["prefect.task-run.Completed"] == events["prefect.artifact.updated"] == NUMBER
        assert events["prefect.artifact.created"] == NUMBER + 1
