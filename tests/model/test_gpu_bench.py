"""``tokenmill bench gpu``: its programs on a CPU, where only the figures of a GPU are missing."""

import os
from pathlib import Path

import pytest

from model.bench import gpu
from model.bench.gpu import Bench, DeviceMemory, Shape, torchtitan_row
from model.devices.hardware import known_device
from pipeline.base.errors import UserError

TINY = Shape(layers=2, heads=2, width=64, context=64, vocabulary=512, sequences=2)
# as components/metrics.py of torchtitan 0.3 colours its lines
TITAN_LINE = (
    "[titan] \x1b[31mstep: {step:2}  \x1b[32mloss:  7.91234  \x1b[33mgrad_norm:  0.9123  "
    "\x1b[36mmemory: {memory:5.2f}GiB(3.10%)  \x1b[34mtps: {rate:,}  \x1b[36mtflops: 12.34  "
    "\x1b[35mmfu: {share:.2f}%\x1b[39m"
)


def test_log_of_torchtitan_gives_the_median_of_its_later_steps(tmp_path: Path) -> None:
    steps = [(1, 1.0, 100, 0.5), (2, 2.5, 90_000, 30.0), (3, 2.5, 92_000, 31.0), (4, 2.5, 94_000, 32.0)]
    log = tmp_path / "titan.log"
    log.write_text("\n".join(TITAN_LINE.format(step=s, memory=m, rate=r, share=p) for s, m, r, p in steps))
    row = torchtitan_row(log)
    assert (row["tokens_per_second"], row["mfu"], row["peak_megabytes"]) == (93_000, 0.315, 2684)


def test_log_without_steps_is_refused(tmp_path: Path) -> None:
    log = tmp_path / "other.log"
    log.write_text("step 1: loss 7.9\n")
    with pytest.raises(UserError, match=r"other\.log: no line with 'memory"):
        torchtitan_row(log)


def test_memory_is_the_most_of_the_fullest_device_less_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = tmp_path / "said"
    said.write_text("100\n40\n")
    program = tmp_path / "nvidia-smi"
    program.write_text(f'#!/bin/sh\ncat "{said}"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    used = DeviceMemory()
    said.write_text("300\n900\n")
    with used.watched():
        while used.most == 100:
            pass
    said.write_text("5\n5\n")
    assert used.megabytes == 800


def test_machine_without_gpus_is_told_at_once() -> None:
    with pytest.raises(UserError, match="torch sees none"):
        gpu.run()


@pytest.mark.slow
def test_every_row_is_there_beside_what_the_device_should_do(tmp_path: Path) -> None:
    bench = Bench(tmp_path, TINY, 4, known_device("NVIDIA H100 80GB HBM3"), on="cpu", devices=2)
    rows = bench.rows(None, None)
    assert [row["what"] for row in rows] == [f"ours, {name}" for name in (*gpu.ARCHITECTURES, *gpu.SEVERAL)]
    assert all(row["tokens_per_second"] > 0 and row["planned_megabytes"] > 0 for row in rows)
    by_name = {row["what"]: row["planned_tokens_per_second"] for row in rows}
    assert by_name["ours, gpt2, AdamW, ddp"] == pytest.approx(2 * by_name["ours, gpt2, AdamW"], abs=2)
