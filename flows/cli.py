"""The command line: ``tokenmill COMMAND``.

Commands are registered by name and imported when called, so that ``--help`` is quick and ``dedup`` or ``train`` never
load Prefect.  Exit codes: 0 done, 1 failed, 2 usage or recipe error, 3 a gate exceeded, 130 interrupted.
"""

import signal
import sys
from typing import Any, NoReturn

from pipeline import __version__
from pipeline.console import claim_stdout, emit, say
from pipeline.errors import TokenmillError, UserError

COMMANDS = {
    "run": "flows.commands:run",
    "status": "flows.commands:status",
    "verify": "flows.commands:verify",
    "inspect": "flows.commands:inspect",
    "report": "flows.commands:report",
    "dedup": "pipeline.dedup.cli:app",
    "filter": "pipeline.filter.cli:filter_run",
    "classifier": "pipeline.filter.cli:classifier_app",
    "train": "model.cli:train",
    "eval": "model.cli:evaluate",
    "sample": "model.cli:sample",
    "export": "model.cli:export",
    "plan": "model.cli:plan",
    "doctor": "flows.commands:doctor",
    "bench": "flows.commands:bench",
}


def build_app() -> Any:
    """The cyclopts application with every command."""
    from cyclopts import App

    app = App(
        name="tokenmill",
        version=__version__,
        help="Raw text to a pre-trained language model: one recipe, one command, one run folder.",
        help_format="plaintext",
        result_action="return_value",
        exit_on_error=False,
        print_error=False,
    )
    for name, target in COMMANDS.items():
        app.command(target, name=name)
    return app


def _interrupted(number: int, frame: Any) -> NoReturn:
    raise KeyboardInterrupt


def main(arguments: list[str] | None = None) -> NoReturn:
    """Runs a command and ends the process with its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    as_json = "--json" in arguments
    if as_json:
        claim_stdout()
    signal.signal(signal.SIGTERM, _interrupted)
    code = _run(arguments, as_json)
    sys.stdout.flush()
    sys.stderr.flush()
    sys.exit(code)


def _run(arguments: list[str], as_json: bool) -> int:
    from cyclopts import CycloptsError

    try:
        result = build_app()(arguments)
    except TokenmillError as error:
        return _failed(str(error), error.exit_code, as_json)
    except CycloptsError as error:
        return _failed(f"{error}\nsee tokenmill --help", UserError.exit_code, as_json)
    except KeyboardInterrupt:
        return _failed("interrupted; run the same command again to go on", 130, as_json)
    return result if isinstance(result, int) else 0


def _failed(message: str, code: int, as_json: bool) -> int:
    say(f"error: {message}")
    if as_json:
        emit({"status": "failed", "exit_code": code, "error": message})
    return code


if __name__ == "__main__":
    main()
