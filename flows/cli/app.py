"""The command line: ``tokenmill COMMAND``.

Exit codes: 0 done, 1 failed, 2 usage or recipe error, 3 a gate exceeded, 130 interrupted.
"""

import itertools
import os
import signal
import sys
from typing import Any, NoReturn

from flows.cli.commands import build_app
from flows.cli.quick_start import quick_start
from pipeline.base.console import (
    claim_stdout,
    emit,
    flush_result,
    guard_streams,
    leave_closed_terminal,
    say,
    say_at_once,
)
from pipeline.base.errors import TokenmillError, UserError, in_a_sentence
from pipeline.base.processes import ENDS_WITH_STDIN, end_here, end_with_parent, interrupts_kept
from pipeline.base.progress import working
from pipeline.screen.line import last_line

INTERRUPTED = "interrupted; run the same command again to go on"
REPORT = "please report this with the lines above; what was finished is kept"


class _Interrupts:
    """The answer to SIGINT, SIGTERM and SIGHUP: the work is interrupted and may save itself; a second Ctrl-C ends it.

    Only SIGINT is counted: `timeout`, service managers and closing terminals send their signals more than once.
    """

    def __init__(self) -> None:
        self._asked = False
        self.raised = False

    def listen(self) -> None:
        """Answers from now on; SIGHUP stays ignored where it is, as under nohup."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self)

    def __call__(self, number: int, frame: Any) -> NoReturn:
        if number == signal.SIGHUP:
            leave_closed_terminal()
        if number == signal.SIGINT:
            if self._asked:
                say_at_once("error: interrupted twice, ended at once; run the same command again to go on")
                end_here(130)
            self._asked = True
        self.raised = True
        raise KeyboardInterrupt


def main(arguments: list[str] | None = None) -> NoReturn:
    """Runs a command (by default that of this process) and ends the process with its exit code."""
    guard_streams()
    if arguments is None:
        arguments = sys.argv[1:]
        quick_start(arguments)
    if os.environ.pop(ENDS_WITH_STDIN, None):  # a flow or a program started us (flows/session/command_child.py)
        end_with_parent()
    as_json = "--json" in arguments
    if as_json:
        claim_stdout()
    interrupts = _Interrupts()
    interrupts.listen()
    with interrupts_kept(KeyboardInterrupt):
        code = _run(arguments, as_json, interrupts)
    try:
        flush_result()
    except OSError as error:
        code = _failed(in_a_sentence(error, "standard output"), 1, as_json=False)
    sys.stderr.flush()
    sys.exit(code)


def _run(arguments: list[str], as_json: bool, interrupts: _Interrupts) -> int:
    from cyclopts import CycloptsError

    try:
        with last_line(), working(_words(arguments)):
            result = build_app(arguments)(arguments)
    except CycloptsError as error:
        from flows.cli.mistakes import explained

        return _failed(explained(error, arguments), UserError.exit_code, as_json)
    except KeyboardInterrupt:
        return _failed(INTERRUPTED, 130, as_json)
    except Exception as error:  # noqa: BLE001  a mistake of ours: shown, with an exit code and an object of its own
        if told := failure_of(error):
            return _failed(*told, as_json)
        if interrupts.raised:  # a library has made an error of it, as pydantic does while Prefect is loaded
            return _failed(INTERRUPTED, 130, as_json)
        from flows.display.tracebacks import cut, shortened

        say(shortened(error))
        return _failed(f"unexpected {type(error).__name__}: {cut(str(error))}; {REPORT}", 1, as_json)
    return result if isinstance(result, int) else 0


def failure_of(error: Exception) -> tuple[str, int] | None:
    """The sentence and the exit code of an error that is no mistake of ours; None where it is one."""
    if isinstance(error, TokenmillError):
        return str(error), error.exit_code
    if isinstance(error, OSError):  # a disk or a network
        return in_a_sentence(error), 1
    if isinstance(error, MemoryError):
        return f"memory ran out ({error or 'no more is given'}); give it more, or fewer --workers, then run it again", 1
    return None


def _words(arguments: list[str]) -> str:
    """The words of the command, such as ``dedup run``."""
    words = list(itertools.takewhile(lambda argument: argument.replace("-", "").isalpha(), arguments))
    return " ".join(words[: 1 + (words[:1] in (["dedup"], ["tokens"], ["classifier"], ["documents"]))] or ["tokenmill"])


def _failed(message: str, code: int, as_json: bool) -> int:
    say(f"error: {message}")
    if as_json:
        emit({"status": "failed", "exit_code": code, "error": message})
    return code


if __name__ == "__main__":
    main()
