"""Threads of a training that wait for each other leave the processor to those that work."""

import os
import subprocess
import sys


def policy(**environment: str) -> str:
    """What torch's OpenMP says of itself when it is loaded, after our packages."""
    variables = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    done = subprocess.run(
        [sys.executable, "-c", "import model.network.transformer"],
        env={**variables, "OMP_DISPLAY_ENV": "TRUE", **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stderr


def test_threads_that_wait_sleep() -> None:
    assert "OMP_WAIT_POLICY = 'PASSIVE'" in policy()


def test_what_the_environment_says_goes_before() -> None:
    assert "OMP_WAIT_POLICY = 'ACTIVE'" in policy(OMP_WAIT_POLICY="ACTIVE")
