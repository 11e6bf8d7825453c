"""``python -m model.train --recipe RECIPE --root RUN``, alone or under torchrun: command line and exit codes.

What starts here is ``model/training/start.py``; the loop itself is ``model/training/trainer.py``.
"""

import argparse
import contextlib
import os
import signal
import sys
from typing import NoReturn

from model.training.report import Reporter
from model.training.start import train_run
from model.training.trainer import Stopped
from pipeline.base.console import claim_stdout, emit, out, say
from pipeline.base.errors import TokenmillError
from pipeline.base.processes import end_with_parent
from pipeline.order.corpus import token_inputs
from pipeline.recipe.load import load_recipe
from pipeline.run.folder import Run


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
    options = _arguments(arguments)
    leads = os.environ.get("RANK", "0") == "0"
    if options.events:
        end_with_parent()
    if options.json:
        claim_stdout()
    reporter = Reporter(leads=leads, events=options.events and leads)
    try:
        run = Run(options.root, load_recipe(options.recipe, options.set))
        token_inputs(run)  # a folder without tokens is refused before a lock file is made in it
        with contextlib.nullcontext() if options.events or not leads else run.lock():
            result = train_run(run, reporter, previous=options.previous, restart=options.restart)
    except Stopped as stopped:
        reporter.note(f"{stopped}; run the same command again to go on")
        result = {"status": "stopped", "steps": stopped.step}
        if stopped.number == signal.SIGINT:
            sys.exit(130)
    except TokenmillError as error:
        reporter.event("failed", message=str(error), exit_code=error.exit_code)
        if not options.events and leads:
            say(f"error: {error}")
        if options.json and leads:
            emit({"status": "failed", "exit_code": error.exit_code, "error": str(error)})
        sys.exit(error.exit_code)
    if options.json and leads:
        emit(result)
    elif leads and not options.events:
        out("  ".join(f"{name} {value}" for name, value in result.items()))
    sys.exit(0)


if __name__ == "__main__":
    main()
