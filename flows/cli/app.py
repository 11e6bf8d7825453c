"""The command line: ``tokenmill COMMAND``.

Commands are registered by name and imported when called, so that ``--help`` is quick and ``train`` never
loads Prefect.  Exit codes: 0 done, 1 failed, 2 usage or recipe error, 3 a gate exceeded, 130 interrupted.
"""

import os
import signal
import sys
from typing import Any, NoReturn

from pipeline import __version__
from pipeline.base.console import (
    claim_stdout,
    emit,
    flush_result,
    guard_streams,
    leave_closed_terminal,
    say,
    say_at_once,
)
from pipeline.base.errors import TokenmillError, UserError
from pipeline.base.processes import ENDS_WITH_STDIN, end_here, end_with_parent, interrupts_kept
from pipeline.screen.line import last_line

COMMANDS = {
    "init": ("flows.cli.files.init:init", "Look at a folder of your own, and write a commented recipe for it."),
    "run": ("flows.cli.run:run", "Run a recipe: raw files in, token shards, a checkpoint and a report out."),
    "status": ("flows.cli.run:status", "Show each stage of a run: shards, records, bytes, seconds, state."),
    "verify": ("flows.cli.run:verify", "Re-read every output of a run against its checksum."),
    "clean-up": ("flows.cli.run:clean_up", "Remove what a run keeps of its past: old checkpoints, scratch, records."),
    "dedup": ("flows.cli.files.dedup:dedup_app", "Deduplicate your own JSONL, Parquet or Arrow files; plan, compare."),
    "inspect": (
        "flows.cli.questions.inspect:inspect",
        "Show schema, counts and rows of a table, or what a run folder holds.",
    ),
    "report": ("flows.cli.questions.inspect:report", "Write report/index.html of a run."),
    "documents": (
        "flows.cli.questions.documents:documents_app",
        "Take documents out of a run: Parquet, JSON Lines, Arrow, a Hugging Face folder.",
    ),
    "filter": (
        "flows.cli.questions.filter:filter_run",
        "What-if: the funnel under other thresholds, from the stored signals.",
    ),
    "classifier": ("flows.cli.questions.filter:classifier_app", "Train a fastText quality classifier."),
    "decontaminate": (
        "flows.cli.questions.filter:decontaminate",
        "Documents and token ranges an evaluation set touches.",
    ),
    "tokens": ("flows.cli.tokens:tokens_app", "Token shards to and from Megatron's and nanoGPT's files."),
    "train": ("flows.cli.model:train", "Train the model of a recipe on the token shards of a run."),
    "eval": ("flows.cli.model:evaluate", "Validation loss and bits per byte of a run's checkpoint."),
    "sample": ("flows.cli.model:sample", "Write text with a run's checkpoint."),
    "export": ("flows.cli.model:export", "Write a checkpoint as a folder that transformers and vLLM load."),
    "plan": ("flows.cli.model:plan", "Before spending: parameters, FLOPs, tokens, memory, hours and cost."),
    "explain": (
        "flows.cli.questions.lineage:explain_document",
        "Everything about one document and the steps that trained on it.",
    ),
    "trace": (
        "flows.cli.questions.lineage:trace_steps",
        "Documents, sources and licences in the global batch of a step.",
    ),
    "licences": ("flows.cli.questions.lineage:count_licences", "Tokens by licence and source in what was trained on."),
    "takedown": ("flows.cli.questions.lineage:takedown", "Take documents out of every table and shard of a run."),
    "ablate": ("flows.cli.compare:ablate", "Train the same small model on each variant: did this filter help?"),
    "doctor": ("flows.cli.doctor:doctor", "Check this environment and say what to do."),
    "bench": ("flows.cli.compare:bench", "Time tokenmill against installed peers, side by side."),
}


REPORT = "please report this with the lines above; what was finished is kept"


def build_app(arguments: list[str]) -> Any:
    """The cyclopts application; commands load when they are called.

    The one-line summaries serve the list of commands, which must not import them all; a command's own ``--help`` comes
    from its docstring.
    """
    from cyclopts import App

    app = App(
        name="tokenmill",
        version=__version__,
        help="Raw text to a pre-trained language model: one recipe, one command, one run folder.",
        help_format="plaintext",
        result_action="return_value",
        exit_on_error=False,
        print_error=False,
        suppress_keyboard_interrupt=False,  # we say how to go on
    )
    called = next((argument for argument in arguments if argument in COMMANDS), None)
    for name, (target, summary) in COMMANDS.items():
        if name == called:
            app.command(target, name=name)
        else:
            app.command(target, name=name, help=summary)
    return app


class _Interrupts:
    """The answer to SIGINT, SIGTERM and SIGHUP: the work is interrupted and may save itself; a second Ctrl-C ends it.

    Only SIGINT is counted: `timeout`, service managers and closing terminals send their signals more than once.
    """

    def __init__(self) -> None:
        self._asked = False

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
        raise KeyboardInterrupt


def main(arguments: list[str] | None = None) -> NoReturn:
    """Runs a command (by default that of this process) and ends the process with its exit code."""
    guard_streams()
    if arguments is None:
        arguments = sys.argv[1:]
        if arguments[:2] == ["dedup", "run"]:
            from flows.cli.without_pandas import leave_out_pandas_and_awkward

            leave_out_pandas_and_awkward()
    if os.environ.pop(ENDS_WITH_STDIN, None):  # a flow started us (flows/session/command_child.py)
        end_with_parent()
    as_json = "--json" in arguments
    if as_json:
        claim_stdout()
    _Interrupts().listen()
    with interrupts_kept(KeyboardInterrupt):
        code = _run(arguments, as_json)
    try:
        flush_result()
    except OSError as error:
        code = _failed(f"{type(error).__name__}: {error}", 1, as_json=False)
    sys.stderr.flush()
    sys.exit(code)


def _run(arguments: list[str], as_json: bool) -> int:
    from cyclopts import CycloptsError

    try:
        with last_line():
            result = build_app(arguments)(arguments)
    except TokenmillError as error:
        return _failed(str(error), error.exit_code, as_json)
    except CycloptsError as error:
        return _failed(f"{_stage_named(arguments) or error}\nsee tokenmill --help", UserError.exit_code, as_json)
    except OSError as error:  # a disk or a network, not a mistake of ours: a sentence, no traceback
        return _failed(f"{type(error).__name__}: {error}", 1, as_json)
    except KeyboardInterrupt:
        return _failed("interrupted; run the same command again to go on", 130, as_json)
    except Exception as error:  # noqa: BLE001  a mistake of ours: shown, with an exit code and an object of its own
        from flows.display.tracebacks import cut, shortened

        say(shortened(error))
        return _failed(f"unexpected {type(error).__name__}: {cut(str(error))}; {REPORT}", 1, as_json)
    return result if isinstance(result, int) else 0


def _stage_named(arguments: list[str]) -> str | None:
    """What to say to ``tokenmill clean``: the nearest command would be ``plan``."""
    from flows.session.stages import STAGES

    name = arguments[0] if arguments else ""
    if name in COMMANDS or name not in STAGES:
        return None
    return f"{name} is a stage, not a command: tokenmill run RECIPE --stages {name}"


def _failed(message: str, code: int, as_json: bool) -> int:
    say(f"error: {message}")
    if as_json:
        emit({"status": "failed", "exit_code": code, "error": message})
    return code


if __name__ == "__main__":
    main()
