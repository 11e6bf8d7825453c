import io
import logging
import sys

import pytest

from flows.display.terminal import Terminal, funnel_rows, summary_table, tell
from pipeline.base.progress import Moment


def test_pace_counts_only_what_this_process_made() -> None:
    terminal = Terminal()
    terminal.step_started("clean", total=10, skipped=6)
    terminal.shard_done("clean", "00006", {"records_in": 500}, 1.0)
    terminal.shard_done("clean", "00007", {"records_in": 500}, 1.0)
    assert terminal.pace(terminal._started + 10.0) == ("100 records/s", 10.0)


def test_step_without_a_shard_tells_no_rate_and_no_time() -> None:
    terminal = Terminal()
    terminal.step_started("clean", total=10, skipped=6)
    assert terminal.pace(terminal._started + 10.0) == ("", None)


def test_training_is_counted_in_steps_and_not_summed_as_records(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal()
    terminal.step_started("train", 30, 0, "step")
    terminal.shard_done("train", "10", {"step": 10, "tokens": 1000}, 1.0)
    terminal.shard_done("train", "20", {"step": 20, "tokens": 2000}, 1.0)
    assert capsys.readouterr().err == "train: 30 of 30 steps to do\n"
    assert terminal.pace(terminal._started + 10.0) == ("", 5.0)


def test_share_of_a_training_is_passed_on_with_its_loss() -> None:
    told: list[tuple[str, float, str]] = []
    terminal = Terminal(lambda *values: told.append(values))
    terminal.stage_started("train")
    terminal.step_started("train", 40, 0, "step")
    terminal._sent -= 10.0
    terminal.moment(Moment("train", "step 17 of 40", ("loss 6.9", "1,204 tokens/s"), 0.4, 130.0))
    assert told == [("train", 0.4, "train: step 17 of 40, loss 6.9, 1,204 tokens/s, 2 min left")]


def test_stage_says_what_it_took_with_its_interrupted_parts_and_none_of_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    terminal = Terminal()
    terminal.stage_finished("clean", 84.0, earlier=416.0)
    terminal.stage_finished("clean", 2.9, worked=False)
    assert capsys.readouterr().err.splitlines() == [
        "clean: finished in 1 min 24 s; 8 min 20 s with what was interrupted before",
        "clean: nothing to do",
    ]


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


@pytest.mark.parametrize("width", [120, 80, 60, 40])
def test_last_column_stays_within_the_window(width: int) -> None:
    summaries = {
        "clean": {"seconds": 1.5, "records_in": 120000, "documents": 100000, "excluded": 150, "quarantined": 12},
        "train": {"seconds": 2.0, "tokens": 1064960, "train_loss": 3.25, "skipped_steps": 0, "bits_per_byte": 2.284},
    }
    lines = summary_table(summaries, width).splitlines()
    assert max(map(len, lines)) <= width
    words = " ".join(lines).replace(",", "").split()
    assert {"120000", "100000", "documents", "1064960", "150", "2.284"} <= set(words)
