"""The last line of a terminal: what it says and when, what is said meanwhile, and what pipes get instead."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from pipeline.base import progress
from pipeline.base.pool import Pool
from pipeline.base.progress import Moment, Nobody, count_done, each, watched, working
from pipeline.screen.line import LastLine, last_line, line_seconds
from tests.pipeline.screen.screens import read, resize, shown, terminal


class Clock:
    """Seconds that the test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests tick themselves."""
    monkeypatch.setattr(LastLine, "_start", lambda line: None)
    monkeypatch.setenv("TERM", "xterm")


@pytest.fixture
def window() -> Iterator[tuple[int, int]]:
    with terminal() as ends:
        yield ends


def test_line_is_written_again_in_place_and_goes_at_the_end(window: tuple[int, int]) -> None:
    clock = Clock()
    line = LastLine(window[1], clock)
    line.show(Moment("verify", "3 of 40 files"))
    clock.now += 2
    line.tick()
    line.show(Moment("verify", "17 of 40 files"))
    clock.now += 1
    line.tick()
    written = read(window[0])
    assert shown(written) == ["verify: 17 of 40 files, 3 s so far"]
    line.show(None)
    assert shown(written + read(window[0])) == [""]


def test_what_is_done_within_a_second_shows_nothing(window: tuple[int, int]) -> None:
    clock = Clock()
    line = LastLine(window[1], clock)
    line.show(Moment("verify", "3 of 40 files"))
    clock.now += 0.9
    line.tick()
    line.show(None)
    os.write(window[1], b"end")
    assert read(window[0]) == b"end"


def test_what_is_said_stands_above_the_line(window: tuple[int, int]) -> None:
    clock = Clock()
    line = LastLine(window[1], clock)
    line.show(Moment("clean", "0 of 3 shards"))
    clock.now += 5
    line.tick()
    with line.above():
        os.write(window[1], b"a notice\n")
    line.tick()
    assert shown(read(window[0])) == ["a notice", "clean: 0 of 3 shards, 5 s so far"]


def test_line_waits_for_the_end_of_a_line_that_somebody_has_begun(window: tuple[int, int]) -> None:
    clock = Clock()
    line = LastLine(window[1], clock)
    line.show(Moment("clean"))
    clock.now += 5
    with line.above(whole=False):
        os.write(window[1], b"half ")
    line.tick()
    with line.above():
        os.write(window[1], b"a line\n")
    line.tick()
    assert shown(read(window[0])) == ["half a line", "clean, 5 s so far"]


def test_line_follows_the_width_of_the_window(window: tuple[int, int]) -> None:
    clock = Clock()
    line = LastLine(window[1], clock)
    line.show(Moment("train", "step 17 of 40", ("validation 3 of 12", "loss 6.9123", "1,204 tokens/s"), 0.4, 130.0))
    clock.now += 2
    seen = []
    for columns in (120, 80, 40, 24, 12):
        resize(window[1], columns)
        line.tick()
        (text,) = shown(read(window[0]))
        assert len(text) < columns
        seen.append(text)
    assert seen[1] == "train: step 17 of 40, validation 3 of 12, loss 6.9123, 2 min left  [####------]"
    assert seen[2:] == ["train: step 17 of 40, 2 min left", "train: step 17 of 40", "train: step"]


def test_terminal_that_cannot_erase_and_a_pipe_get_whole_lines(
    window: tuple[int, int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TERM", "dumb")
    clock = Clock()
    line = LastLine(window[1], clock)
    line.show(Moment("verify", "3 of 40 files", share=3 / 40))
    for _ in range(100):
        clock.now += 1
        line.tick()
    os.write(window[1], b"end")
    assert read(window[0]) == b"end"
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "verify: 3 of 40 files, 10 s so far"
    assert len(lines) == 10
    assert "\x1b" not in "".join(lines)


def test_whole_line_that_could_only_say_that_work_goes_on_waits_a_minute(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    line = LastLine(os.open(os.devnull, os.O_WRONLY), clock)
    line.show(Moment("export"))
    for _ in range(119):
        clock.now += 1
        line.tick()
    os.close(line._descriptor)
    assert capsys.readouterr().err == "export, 1 min 00 s so far\n"


def test_whole_lines_come_the_rarer_the_longer_it_takes() -> None:
    assert [line_seconds(worked) for worked in (0, 60, 600, 3600, 86400)] == [10, 10, 60, 360, 600]


def test_line_says_nothing_more_where_others_have_just_spoken(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    line = LastLine(os.open(os.devnull, os.O_WRONLY), clock)
    line.show(Moment("train"))
    for _ in range(30):
        clock.now += 1
        with line.above():
            pass
        line.tick()
    os.close(line._descriptor)
    assert capsys.readouterr().err == ""


def test_items_are_counted_and_what_was_shown_before_comes_back() -> None:
    seen: list[Moment | None] = []

    class Remembering(Nobody):
        def show(self, moment: Moment | None) -> Moment | None:
            seen.append(moment)
            return seen[-2] if len(seen) > 1 else None

    with watched(Remembering()), working("takedown"):
        assert list(each("ab", "takedown", "file")) == ["a", "b"]
        assert list(each(iter("a"), "read", "entry", plural="entries")) == ["a"]
    words = [None if moment is None else (moment.task, moment.at, moment.share) for moment in seen]
    assert words == [
        ("takedown", "", None),
        ("takedown", "", None),
        ("takedown", "0 of 2 files", 0.0),
        ("takedown", "1 of 2 files", 0.5),
        ("takedown", "", None),
        ("read", "", None),
        ("read", "0 entries", None),
        ("takedown", "", None),
        None,
    ]


def test_forked_process_is_watched_by_nobody() -> None:
    """The child does no more than say who watches it: what else the tests have loaded does not come into it."""
    reading, writing = os.pipe()
    with last_line():
        assert isinstance(progress.watcher(), LastLine)
        child = os.fork()
        if not child:
            os.write(writing, type(progress.watcher()).__name__.encode())
            os._exit(0)
        os.waitpid(child, 0)
    assert os.read(reading, 100) == b"Nobody"
    assert isinstance(progress.watcher(), Nobody)
    os.close(reading)
    os.close(writing)


def test_no_thread_runs_while_a_process_is_forked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    before = threading.active_count()
    with last_line():
        progress.watcher().show(Moment("dedup"))
        assert threading.active_count() == before + 1
        with progress.watcher().still():
            assert threading.active_count() == before
        assert threading.active_count() == before + 1
    assert threading.active_count() == before


WORKS = """
import time
from pipeline.base.console import guard_streams, say
from pipeline.base.pool import Pool
from pipeline.base.progress import Moment, watcher
from pipeline.screen.line import last_line
guard_streams()
with last_line(), Pool(1) as pool:
    watcher().show(Moment("tokenize.tokenizer", "0 of 1 shards"))
    time.sleep(1.6)
    list(pool.run(say, [(("a word of a worker that is long enough to be broken at the width of the window",), "job")]))
    print("half ", end="", flush=True)
    print("a line")
    time.sleep(0.8)
"""


def test_notice_of_a_worker_does_not_land_on_the_line(window: tuple[int, int]) -> None:
    resize(window[1], 40)
    streams = {"stdin": window[1], "stdout": window[1], "stderr": window[1]}
    done = subprocess.run([sys.executable, "-c", WORKS], **streams, check=True, timeout=120)  # type: ignore[call-overload]
    assert done.returncode == 0
    written = read(window[0])
    assert b"tokenize.tokenizer: 0 of 1 shards" in written
    notice = ["a word of a worker that is long enough", "  to be broken at the width of the", "  window"]
    assert shown(written) == [*notice, "half a line", ""]


def test_documents_of_unfinished_shards_are_counted_while_workers_are_at_them(window: tuple[int, int]) -> None:
    clock = Clock()
    line = LastLine(window[1], clock)
    with Pool(2) as pool:
        list(pool.run(count_done, [((7,), "before")]))
        line.show(Moment("clean", "0 of 2 shards", counts="records"))
        list(pool.run(count_done, [((100,), number) for number in range(4)]))
        clock.now += 4
        line.tick()
    assert shown(read(window[0])) == ["clean: 0 of 2 shards, 400 records, 100 records/s, 4 s so far"]
    assert progress.counted_so_far() == 0
