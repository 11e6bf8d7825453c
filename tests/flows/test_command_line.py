"""The command line as people type it: mistakes in our words, short options, groups of commands, completion."""

import itertools
import subprocess
from pathlib import Path

import pytest
from cyclopts import CycloptsError

from flows.cli.commands import COMMANDS, GROUPS, build_app
from flows.cli.completion import script
from flows.cli.mistakes import explained
from flows.cli.reference import WIDTH, help_text
from tests.contracts.commands import commands


def mistake(line: str) -> str:
    """What is said to a command line that is none."""
    arguments = line.split()
    with pytest.raises(CycloptsError) as caught:
        build_app(arguments)(arguments)
    return explained(caught.value, arguments)


@pytest.mark.parametrize(
    ("line", "told", "where"),
    [
        ("run", "tokenmill run needs RECIPE; for example: tokenmill run configs/demo.toml", "tokenmill run"),
        ("rn my.toml", "tokenmill has no command rn; did you mean run?", "tokenmill"),
        ("my.toml", "my.toml is no command; a recipe is run with: tokenmill run my.toml", "tokenmill"),
        ("dedup rn", "tokenmill dedup has no command rn; did you mean run?", "tokenmill dedup"),
        ("run my.toml -", "tokenmill run does not read standard input: -; name a file", "tokenmill run"),
        ("run my.toml --worker 3", "tokenmill run has no option --worker; did you mean --workers?", "tokenmill run"),
        ("run my.toml --workers two", "--workers two: expected a whole number", "tokenmill run"),
        ("run my.toml -j two", "-j two: expected a whole number", "tokenmill run"),
        ("run my.toml -j -3", "-j -3: expected 0 or more", "tokenmill run"),
        (
            "documents export runs/x --output y --workers=-1",
            "--workers -1: expected 0 or more",
            "tokenmill documents export",
        ),
        ("plan my.toml --mfu much", "--mfu much: expected a number", "tokenmill plan"),
        ("run my.toml --engine rey", "--engine rey: expected local, ray or slurm; did you mean ray?", "tokenmill run"),
        ("run my.toml --set", "--set needs a value", "tokenmill run"),
        ("extract page.html --blocks", "--blocks needs a value: text or html", "tokenmill extract"),
        ("run my.toml --root a --root b", "--root is given twice", "tokenmill run"),
        (
            "takedown runs/a b.html",
            "tokenmill takedown takes no further arguments; found b.html; documents are named by an option, such as "
            "--path b.html",
            "tokenmill takedown",
        ),
        ("status a b", "tokenmill status takes no further arguments; found b", "tokenmill status"),
        ("export runs/a", "tokenmill export needs --output; for example: tokenmill export", "tokenmill export"),
        ("completion ksh", "SHELL ksh: expected bash, zsh or fish", "tokenmill completion"),
        ("clean", "clean is a stage, not a command: tokenmill run RECIPE --stages clean", "tokenmill"),
    ],
)
def test_mistake_is_told_in_our_words_with_what_was_probably_meant(line: str, told: str, where: str) -> None:
    first, last = mistake(line).splitlines()
    assert first.startswith(told)
    assert last == f"see {where} --help"


def test_help_is_grouped_and_begins_with_what_makes_a_model() -> None:
    assert list(COMMANDS)[:2] == ["run", "init"]
    assert len(GROUPS) > 4
    app = build_app([])
    groups = {
        name: app[name].group[0] for name in COMMANDS if name not in ("dedup", "classifier", "tokens", "documents")
    }
    assert {name: group.name for name, group in groups.items()} == {
        name: title for title, names in GROUPS.items() for name in names if name in groups
    }
    places = [groups[name].sort_key for name in COMMANDS if name in groups]
    assert places == sorted(places)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_broken_where_the_terminal_ends_and_not_where_the_source_does(name: str) -> None:
    shown = help_text([name]).split("╭")[0].splitlines()
    early = [
        line
        for line, following in itertools.pairwise(shown)
        if line and following and len(line) + 1 + len(following.split()[0]) <= WIDTH
    ]
    assert early == []


def test_help_says_no_default_of_what_is_there_or_not() -> None:
    assert "default: False" not in help_text(["run"])
    assert "--rebuild" in help_text(["run"])


def test_one_short_option_means_one_thing_in_every_command() -> None:
    meant: dict[str, set[str]] = {}
    for _, app in commands(build_app([]), ()):
        for argument in app.assemble_argument_collection():
            short = [name for name in argument.names if len(name) == 2 and name.startswith("-")]
            for name in short:
                meant.setdefault(name, set()).update(set(argument.names) - set(short))
    assert meant["-o"] == {"--output"}
    assert meant["-j"] == {"--workers"}
    assert meant["-n"] == {"--dry-run", "--rows", "--documents", "--show"}  # as in make; as in head


def test_long_name_is_there_beside_every_short_one() -> None:
    for path, app in commands(build_app([]), ()):
        for argument in app.assemble_argument_collection():
            assert any(name.startswith("--") or not name.startswith("-") for name in argument.names), path


@pytest.fixture(scope="module")
def bash_script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("completion") / "tokenmill"
    path.write_text(script(build_app([]), "bash"))
    return path


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("tokenmill ", set(COMMANDS)),
        ("tokenmill cl", {"classifier", "clean-up"}),
        ("tokenmill dedup index q", {"query"}),
        ("tokenmill run my.toml --dr", {"--dry-run"}),
        ("tokenmill run my.toml --engine ", {"local", "ray", "slurm"}),
        ("tokenmill completion ", {"bash", "zsh", "fish"}),
    ],
)
def test_bash_completes_commands_options_and_choices(line: str, offered: set[str], bash_script: Path) -> None:
    words = " ".join(f"'{word}'" for word in line.split(" "))
    code = (
        f"source {bash_script}; COMP_WORDS=({words}); COMP_CWORD=$(({len(line.split(' '))} - 1)); _tokenmill;"
        "printf '%s\\n' \"${COMPREPLY[@]}\"; complete -p tokenmill"
    )
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True)
    *found, registered = done.stdout.split("\n")[:-1]
    assert set(found) == offered
    assert "-o default" in registered, "paths, where nothing else fits"


def test_zsh_and_fish_are_offered_every_command_and_paths_for_recipes() -> None:
    zsh, fish = script(build_app([]), "zsh"), script(build_app([]), "fish")
    for name in COMMANDS:
        assert f"'{name}:" in zsh
        assert f"-a '{name}'" in fish
    assert "'1:The recipe, a TOML file.:_files'" in zsh
    assert '_cyclopts_tokenmill "$@"' in zsh, (
        "a file of $fpath is the body of a function: it has to call what it defines"
    )
