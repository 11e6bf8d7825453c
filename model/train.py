"""``python -m model.train --recipe RECIPE --root RUN``, alone or under torchrun: command line and exit codes.

What starts here is ``model/training/start.py``; the loop itself is ``model/training/trainer.py``.
"""

import argparse
import contextlib
import os
import signal
import sys
from typing import Any, NoReturn

from model.training.report import Reporter
from model.training.signals import (
    SAVING_SECONDS,
    Interrupted,
    Stopped,
    answered,
    ignore,
    interrupt,
    name_of,
    under_torchrun,
)
from pipeline.base.console import claim_stdout, emit, guard_streams, out, say
from pipeline.base.errors import RunError, TokenmillError, in_a_sentence
from pipeline.base.processes import end_before_finalization, end_with_parent, end_with_process
from pipeline.base.progress import working
from pipeline.order.corpus import token_inputs
from pipeline.recipe.load import load_recipe
from pipeline.run.folder import Run
from pipeline.screen.line import last_line


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m model.train", description="Trains the model of a run.")
    parser.add_argument("--recipe", required=True, help="the recipe, a TOML file")
    parser.add_argument("--root", required=True, help="run folder with tokens/")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="overrides the recipe")
    parser.add_argument("--previous", action="store_true", help="go on from the checkpoint before the last one")
    parser.add_argument(
        "--restart", action="store_true", help="begin anew; what is there goes once its first checkpoint is complete"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")
    parser.add_argument("--events", action="store_true", help=argparse.SUPPRESS)  # for the program that started us
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> NoReturn:
    """Trains, and ends the process with the exit code of docs/cli.md."""
    guard_streams()
    options = _arguments(arguments)
    leads = os.environ.get("RANK", "0") == "0"
    _end_with_starter(options.events)
    if options.json:
        claim_stdout()
    reporter = Reporter(leads=leads, events=options.events and leads)
    code = 0
    try:
        with answered(interrupt), _shown(options, leads):
            result = _train(options, reporter, leads)
    except (Stopped, Interrupted) as stopped:
        result = _stopped(stopped, options, reporter)
        code = exit_code(stopped)
    except (TokenmillError, OSError) as raised:
        error = raised if isinstance(raised, TokenmillError) else RunError(in_a_sentence(raised, options.root))
        reporter.event("failed", message=str(error), exit_code=error.exit_code)
        if not (error.told or (options.events and leads)):
            say(f"error: {error}" if leads else f"error in process {os.environ['RANK']}: {error}")
        if options.json and leads:
            emit({"status": "failed", "exit_code": error.exit_code, "error": str(error)})
        sys.exit(error.exit_code)
    ignore()
    if options.json and leads:
        emit(result)
    elif leads and not options.events:
        out("  ".join(f"{name} {value}" for name, value in result.items()), words=True)
    sys.exit(code)


def _train(options: argparse.Namespace, reporter: Reporter, leads: bool) -> dict[str, Any]:
    with working("train: getting ready"):
        from model.training.start import train_run  # torch takes seconds, in which a signal should be answered

    run = Run(options.root, load_recipe(options.recipe, options.set))
    token_inputs(run)  # a folder without tokens is refused before a lock file is made in it
    with contextlib.nullcontext() if options.events or not leads else run.lock():
        return train_run(run, reporter, previous=options.previous, restart=options.restart)


def _shown(options: argparse.Namespace, leads: bool) -> contextlib.AbstractContextManager[Any]:
    """Shows a person where the training stands; the program above us does it otherwise."""
    return last_line() if leads and not options.events else contextlib.nullcontext()


def _end_with_starter(events: bool) -> None:
    """Lets this process save a checkpoint and end when the one that started it has gone, however that went."""
    if events:
        end_with_parent(grace_seconds=SAVING_SECONDS)
    if under_torchrun():
        end_with_process(os.getppid(), grace_seconds=SAVING_SECONDS)


def exit_code(stopped: Stopped | Interrupted) -> int:
    """0 where a checkpoint is saved, but 130 after Ctrl-C; under torchrun, which takes that for a failure, 0.

    A process of several that ends before they could agree on it is a failure: torchrun must end those that wait for it.
    """
    if under_torchrun():
        return 128 + stopped.number if isinstance(stopped, Interrupted) else 0
    return 130 if stopped.number == signal.SIGINT else 0


def _stopped(stopped: Stopped | Interrupted, options: argparse.Namespace, reporter: Reporter) -> dict[str, Any]:
    """Says how the training goes on; the result to print."""
    from model.checkpoints.steps import complete_steps, next_start

    steps = complete_steps(options.root)
    by = "" if options.events else f" by {name_of(stopped.number)}"  # our starter's signal is not the person's
    reporter.note(f"stopped{by}{stopped}; {next_start(options.root)}: run the same command again to go on")
    reporter.event("stopped")
    return {"status": "stopped", "steps": steps[-1] if steps else 0}


if __name__ == "__main__":
    try:
        main()
    except SystemExit as ended:
        end_before_finalization(ended.code if isinstance(ended.code, int) else 1)
