import io
import logging
import sys

import pytest

from flows.display.terminal import Terminal, duration, funnel_rows, shown, summary_table, tell


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0 s"), (59.4, "59 s"), (190, "3 min 10 s"), (7500, "2 h 05 min")])
def test_duration_reads_as_a_person_says_it(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_pace_counts_only_what_this_process_made() -> None:
    terminal = Terminal()
    terminal.step_started("clean", total=10, skipped=6)
    terminal.shard_done("clean", "00006", {"records_in": 500}, 1.0)
    terminal.shard_done("clean", "00007", {"records_in": 500}, 1.0)
    assert terminal.pace(terminal._started + 10.0) == "100 records/s, 10 s left"


def test_training_steps_are_not_summed_as_records() -> None:
    terminal = Terminal()
    terminal.step_started("train", total=3, skipped=0)
    terminal.shard_done("train", "10", {"step": 10, "tokens": 1000}, 1.0)
    terminal.shard_done("train", "20", {"step": 20, "tokens": 2000}, 1.0)
    assert terminal.pace(terminal._started + 10.0) == "5 s left"


def test_line_is_on_the_console_once_where_prefect_has_its_own_handler_on_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As in the engine process of a worker's run: the root logger writes to the console, ours to the run's page."""
    console, page = logging.StreamHandler(sys.stderr), logging.StreamHandler(io.StringIO())
    root, ours = logging.getLogger(), logging.getLogger("tokenmill")
    root.addHandler(console)
    ours.addHandler(page)
    try:
        tell("clean: 6 of 6 to do")
    finally:
        root.removeHandler(console)
        ours.removeHandler(page)
    assert capsys.readouterr().err == page.stream.getvalue() == "clean: 6 of 6 to do\n"


def test_progress_in_a_pipe_has_no_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    with Terminal() as terminal:
        terminal.stage_started("clean")
        terminal.step_started("clean", 2, 0)
        terminal.note("a note with \x1b[31m colour")
        terminal.shard_done("clean", "0", {}, 0.1)
        terminal.shard_done("clean", "1", {}, 0.1)
        terminal.stage_finished("clean", 0.2)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "\x1b" not in captured.err
    assert "clean: finished in 0.2 s" in captured.err


def test_funnel_names_what_went_in_and_out_of_each_stage() -> None:
    summaries = {
        "clean": {"seconds": 1.5, "shards": 3, "records_in": 1200, "documents": 1000, "excluded": 150},
        "dedup": {"seconds": 0.5, "documents_in": 1000, "kept": 900, "dropped": 100},
        "tokenize": {"seconds": 2.0, "documents": 900, "tokens": 123456},
    }
    rows = funnel_rows(summaries)
    assert [(row["in"], row["out"]) for row in rows] == [
        ("1,200", "1,000 documents"),
        ("1,000", "900 kept"),
        ("900", "123,456 tokens"),
    ]
    table = summary_table(summaries).splitlines()
    assert table[0].split() == ["stage", "in", "out", "seconds", "more"]
    assert len(table) == 4


def test_figures_are_shown_as_a_person_reads_them() -> None:
    assert [shown(value) for value in (1234567, 0.123456, "x", None)] == ["1,234,567", "0.1235", "x", "-"]
