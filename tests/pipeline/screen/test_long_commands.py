"""Commands that read much say how far they are."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from pipeline.base.pool import InProcess
from pipeline.base.progress import Moment, Nobody, watched
from pipeline.dedup.command.workers import call_all
from pipeline.inspection.verify import verify
from tests.pipeline.run.dummy_run import run_dummy


class Remembering(Nobody):
    """Remembers what was shown."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def show(self, moment: Moment | None) -> None:
        if moment is not None and moment.at:
            self.seen.append(f"{moment.task}: {moment.at}")


@contextlib.contextmanager
def remembered() -> Iterator[list[str]]:
    with watched(by := Remembering()):
        yield by.seen


def test_verify_counts_files(tmp_path: Path) -> None:
    run = run_dummy(tmp_path / "run", workers=1).run
    with remembered() as seen:
        files = verify(run).files
    total = int(seen[0].split()[3])
    assert seen == [f"verify: {number} of {total} files" for number in range(total)]
    assert 4 <= total <= files


def test_dedup_counts_parts() -> None:
    with InProcess() as workers, remembered() as seen:
        assert call_all(workers, abs, [(-1,), (2,)], "dedup: reading") == [1, 2]
    assert seen == ["dedup: reading: 0 of 2 parts", "dedup: reading: 1 of 2 parts"]
