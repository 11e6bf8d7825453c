"""No bytes lead a kernel out of its arrays: some known ones, some new ones every day."""

import datetime

import numpy as np
import pytest

from pipeline.kernels import html_scan
from tests.fuzz import run
from tests.fuzz.run import WHAT, Findings, search
from tests.fuzz.scanners import HTML, kernel_complaints


@pytest.mark.parametrize("page", [b"<script ='ld+jso", b'<a rel="licen', b"<!doctype", b"</3", b"<?xml", b"<!--"])
def test_nothing_that_is_not_closed_ends_beyond_the_page(page: bytes) -> None:
    data = np.frombuffer(page, np.uint8)
    assert html_scan._skip_attributes(data, 1)[0] <= len(page)
    assert html_scan._skip_markup(data, 0, data[1]) <= len(page)
    behind = np.frombuffer(page + b"n='license'>", np.uint8)[: len(page)]
    assert html_scan._scan(behind, 100)[:3] == html_scan._scan(data, 100)[:3]


def test_kernels_are_not_tried_without_the_check_of_indices() -> None:
    with pytest.raises(RuntimeError, match="NUMBA_BOUNDSCHECK"):
        list(kernel_complaints({}, 0))


def test_finding_is_told_with_the_command_that_shows_it() -> None:
    findings = Findings("scanners")
    findings.add("html_scan: notes", 12)
    findings.add("html_scan: notes", 15)
    assert findings.lines() == [
        "     2  python -m tests.fuzz.run --what scanners --count 1 --first 12: html_scan: notes"
    ]
    assert "scanners" in WHAT
    assert b"<!--" in HTML


def test_child_that_gets_ready_does_not_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "HANG_SECONDS", 1.0)  # importing the readers alone is more work than that
    findings = search("files", 3, 60, count=2)
    assert (findings.tried, findings.lines()) == (2, [])


def test_inputs_can_be_counted_instead_of_timed() -> None:
    assert search("files", 3, 60, count=2).tried == 2


@pytest.mark.parametrize("first", [0, datetime.date.today().toordinal() * 1_000_000])
def test_foreign_bytes_do_not_lead_a_scanner_out_of_its_arrays(first: int) -> None:
    findings = search("scanners", first, 2)
    assert findings.tried > 10
    assert findings.lines() == []


@pytest.mark.slow  # .ci/run tries those from 0 on for two minutes
def test_no_bytes_lead_any_kernel_out_of_its_arrays() -> None:
    findings = search("kernels", datetime.date.today().toordinal() * 1_000_000, 30)
    assert findings.tried > 10
    assert findings.lines() == []
