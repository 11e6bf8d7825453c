"""A mistake of ours is told once, in few lines, and with --json still as an object."""

import json
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from flows.display.tracebacks import MOST_CHARACTERS, cut, shortened
from tests.conftest import REPOSITORY

CODE = """
from flows.cli import app as cli, run as commands
def broken(root: str, *, json: bool = False) -> int:
    '''Breaks.'''
    return {}["missing"]
commands.status = broken
cli.main(["status", "somewhere", "--json"])
"""


def test_command_that_breaks_prints_its_own_lines_and_one_object() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 1
    answer = json.loads(done.stdout)
    assert answer["status"] == "failed"
    assert answer["error"].startswith("unexpected KeyError: 'missing'")
    assert "in broken" in done.stderr
    assert "site-packages" not in done.stderr
    assert len(done.stderr.splitlines()) < 20


def breaks() -> None:
    raise ValueError("in a worker")


def test_error_of_a_worker_process_keeps_the_workers_lines() -> None:
    pool = ProcessPoolExecutor(1, get_context("forkserver"))
    try:
        with pytest.raises(ValueError) as caught:
            pool.submit(breaks).result()
    finally:
        pool.shutdown()
    told = shortened(caught.value)
    assert "in breaks" in told
    assert told.endswith("ValueError: in a worker")
    assert '"""' not in told


def explained() -> None:
    try:
        breaks()
    except ValueError as error:
        raise RuntimeError("and so") from error


def test_what_an_error_came_from_stands_before_it() -> None:
    with pytest.raises(RuntimeError) as caught:
        explained()
    told = shortened(caught.value).splitlines()
    assert told.index("ValueError: in a worker") < told.index("RuntimeError: and so")


def test_words_of_a_library_that_hold_all_it_was_given_are_cut_in_the_middle() -> None:
    try:
        raise ValueError(f"begins {'x' * 2_000_000} ends")
    except ValueError as error:
        told = shortened(error)
    assert len(told) < 2 * MOST_CHARACTERS
    assert "ValueError: begins xxx" in told
    assert told.endswith("xxx ends")
    assert "characters left out" in told
    assert cut("short") == "short"
