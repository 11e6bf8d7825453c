"""Runs one of our own commands as a child of a flow or of a Python program, and takes its JSON object.

The child ends with its parent, however that ends: its standard input is a pipe that closes with us (flows/cli/app.py
watches it), and an interrupt here ends it and all below it within ten seconds.  Prefect is not imported: the child has
its own settings (flows/server/settings.py), and the environment of a Python program stays as it is.
"""

import contextlib
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from pipeline.base.errors import GateError, RunError, TokenmillError, UserError, parse_json
from pipeline.base.pool import GRACE_SECONDS
from pipeline.base.processes import ENDS_WITH_STDIN, ChildWords, descendants, end, environment

_KINDS: dict[int, type[TokenmillError]] = {kind.exit_code: kind for kind in (RunError, UserError, GateError)}


def run_command(
    arguments: Sequence[str], waiting: contextlib.AbstractContextManager[Any] | None = None
) -> dict[str, Any]:
    """Runs ``tokenmill ARGUMENTS --json`` and returns its object; its other lines come out on our standard error.

    Args:
        arguments: Of the command line.
        waiting: Entered while the command is waited for.

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
        with waiting or contextlib.nullcontext():
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
    made: dict[str, Any] = parse_json(answer) if answer.strip() else {}
    if code != 0:
        text = made.get("error") or f"tokenmill {' '.join(arguments[:2])} ended with code {code}{words.last()}"
        raise _KINDS.get(code, RunError)(text)
    return made
