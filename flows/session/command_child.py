"""Runs one of our own commands as a child of a flow, and takes its JSON object.

The child ends with the flow, however that ends: its standard input is a pipe that closes with us (flows/cli/app.py
watches it), and an interrupted flow ends it and all below it within ten seconds.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from flows.server.lost_server import interruptible
from pipeline.base.errors import GateError, RunError, TokenmillError, UserError
from pipeline.base.pool import GRACE_SECONDS
from pipeline.base.processes import ENDS_WITH_STDIN, ChildWords, descendants, end, environment

_KINDS: dict[int, type[TokenmillError]] = {kind.exit_code: kind for kind in (RunError, UserError, GateError)}


def run_command(arguments: Sequence[str]) -> dict[str, Any]:
    """Runs ``tokenmill ARGUMENTS --json`` and returns its object.

    Raises:
        TokenmillError: If it fails, of the kind of its exit code and in its words.
    """
    command = [sys.executable, "-m", "flows.cli", *arguments, "--json"]
    variables = {**environment(), ENDS_WITH_STDIN: "1"}
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, errors="replace", env=variables
    )
    assert process.stderr is not None  # it is a pipe
    words = ChildWords(process.stderr)
    try:
        assert process.stdout is not None  # it is a pipe
        with interruptible():
            answer = process.stdout.read()
            code = process.wait()
    finally:
        if process.poll() is None:
            end([*descendants(process.pid), process.pid], GRACE_SECONDS)
            process.wait()
        for end_of_pipe in (process.stdin, process.stdout):
            if end_of_pipe is not None:
                end_of_pipe.close()
        words.finish()
    made: dict[str, Any] = json.loads(answer) if answer.strip() else {}
    if code != 0:
        text = made.get("error") or f"tokenmill {' '.join(arguments[:2])} ended with code {code}{words.last()}"
        raise _KINDS.get(code, RunError)(text)
    return made
