"""Every command answers with one JSON object where ``--json`` is given, and the option has one form."""

import pytest

from flows.cli.commands import COMMANDS, build_app
from tests.contracts.commands import commands


@pytest.fixture(scope="module")
def options() -> dict[tuple[str, ...], set[str]]:
    """The names of the options of every command."""
    return {
        path: {name for argument in app.assemble_argument_collection() for name in argument.names}
        for path, app in commands(build_app([]), ())
    }


def test_commands_of_every_app_are_looked_at(options: dict[tuple[str, ...], set[str]]) -> None:
    assert {path[0] for path in options} == set(COMMANDS)
    assert {("dedup", "index", "query"), ("tokens", "export"), ("classifier", "train")} <= set(options)


def test_every_command_has_the_option_json_and_none_its_opposite(options: dict[tuple[str, ...], set[str]]) -> None:
    assert [path for path, names in options.items() if "--json" not in names] == []
    assert [path for path, names in options.items() if "--no-json" in names] == []
