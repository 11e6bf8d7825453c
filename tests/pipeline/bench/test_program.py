"""What a process took is its own, whatever the process that starts it holds."""

import subprocess
import sys

from pipeline.bench.program import measured

MEGABYTE = 1 << 20


def test_peak_is_not_that_of_the_process_that_starts_it() -> None:
    held = bytearray(b"x") * (300 * MEGABYTE)
    assert measured([sys.executable, "-c", ""]).peak_bytes < 100 * MEGABYTE < len(held)


def test_peak_processor_time_exit_code_and_output_are_those_of_the_command() -> None:
    code = "import sys; held = b'x' * (200 << 20); sum(range(10**6)); print(len(sys.argv)); sys.exit(3)"
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reader:
        used = measured([sys.executable, "-c", code, "a"], stdout=reader.stdin)
        said, _ = reader.communicate()
    assert said == "2\n"
    assert used.exit_code == 3
    assert 200 * MEGABYTE < used.peak_bytes < 300 * MEGABYTE
    assert used.cpu_seconds > 0.01
