"""Mistakes in a command line, in our words: what was found, what was expected, the nearest name, where to read on."""

import difflib
import inspect
import shlex
from collections.abc import Sequence
from typing import Any, Literal, get_args, get_origin

from cyclopts import CycloptsError
from cyclopts.exceptions import (
    CoercionError,
    ConsumeMultipleError,
    MissingArgumentError,
    RepeatArgumentError,
    UnknownCommandError,
    UnknownOptionError,
    UnusedCliTokensError,
    ValidationError,
)

from pipeline.base.words import nearest

KINDS = {int: "a whole number", float: "a number", bool: "yes or no"}


def explained(error: CycloptsError, arguments: Sequence[str]) -> str:
    """The mistake in a sentence, and a second line that says where to read on.

    Args:
        error: What cyclopts found.
        arguments: The command line, without the program's name.
    """
    command = " ".join(["tokenmill", *(error.command_chain or ())])
    told = _stage(arguments) or _sentence(error, command) or _plain(error)
    return f"{told}\nsee {command} --help"


def _sentence(error: CycloptsError, command: str) -> str | None:
    """The kinds of mistake that people make; None for any other."""
    if isinstance(error, UnknownCommandError):
        return _unknown_command(error, command)
    if isinstance(error, UnknownOptionError):
        return _unknown_option(error, command)
    if isinstance(error, ConsumeMultipleError):
        return f"{_name(error)} needs at least one value"
    if isinstance(error, MissingArgumentError):
        return _missing(error, command)
    if isinstance(error, CoercionError):
        return _wrong_value(error)
    if isinstance(error, ValidationError):
        return _refused(error)
    if isinstance(error, RepeatArgumentError):
        return f"{error.token.keyword} is given twice"
    if isinstance(error, UnusedCliTokensError):
        extra = " ".join(map(str, error.unused_tokens or ()))
        told = f"{command} takes no further arguments; found {extra}"
        return (
            f"{told}; documents are named by an option, such as --path {shlex.quote(extra)}"
            if _by_path(error)
            else told
        )
    return None


def _by_path(error: UnusedCliTokensError) -> bool:
    """Whether the command names documents by options alone, as ``takedown`` does."""
    return error.target is not None and {"ids", "path"} <= set(inspect.signature(error.target).parameters)


def _plain(error: CycloptsError) -> str:
    error.verbose = False
    return str(error).strip()


def _stage(arguments: Sequence[str]) -> str | None:
    """What to say to ``tokenmill clean``: the nearest command would be ``plan``."""
    from flows.cli.commands import COMMANDS
    from flows.session.stages import STAGES

    name = arguments[0] if arguments else ""
    if name in COMMANDS or name not in STAGES:
        return None
    return f"{name} is a stage, not a command: tokenmill run RECIPE --stages {name}"


def _unknown_command(error: UnknownCommandError, command: str) -> str:
    name = (error.unused_tokens or ["?"])[0]
    if name.endswith(".toml"):
        return f"{name} is no command; a recipe is run with: tokenmill run {name}"
    known = [known for known in error.app or () if not known.startswith("-")]
    return f"{command} has no command {name}{nearest(name, known)}"


def _unknown_option(error: UnknownOptionError, command: str) -> str:
    given = error.token.keyword or error.token.value
    if given == "-":
        return f"{command} does not read standard input: -; name a file"
    names = [name for argument in error.argument_collection if argument.parse for name in argument.names]
    close = difflib.get_close_matches(given.partition("=")[0], [n for n in names if n.startswith("-")], n=1)
    return f"{command} has no option {given}{f'; did you mean {close[0]}?' if close else ''}"


def _missing(error: MissingArgumentError, command: str) -> str:
    argument = error.argument
    if argument is None:
        return _plain(error)
    if error.keyword or argument.tokens:
        choices = _choices(argument.hint)
        return f"{_name(error)} needs a value{f': {_listed(choices)}' if choices else ''}"
    about = str(argument.parameter.help or "").strip().rstrip(".")
    example = _example(error.target)
    shown = f"{command} needs {_name(error)}{f', {about[0].lower()}{about[1:]}' if about else ''}"
    return f"{shown}; for example: {example}" if example else shown


def _wrong_value(error: CoercionError) -> str | None:
    if error.token is None or error.msg is not None:
        return None
    value, kind = error.token.value, error.target_type
    if choices := _choices(kind):
        return f"{_name(error)} {value}: expected {_listed(choices)}{nearest(value, choices)}"
    expected = KINDS.get(kind) if kind is not None else None
    return f"{_name(error)} {value}: expected {expected}" if expected else None


def _refused(error: ValidationError) -> str:
    """What the check of an option says of a value that has the right type."""
    if error.argument is None or not error.argument.tokens:
        return _plain(error)
    return f"{_name(error)} {error.argument.tokens[-1].value}: {error.exception_message}"


def _name(error: Any) -> str:
    """The option as it was typed, or an argument as the help names it."""
    token = getattr(error, "token", None)
    keyword = getattr(error, "keyword", None) or (token.keyword if token else None)
    if keyword:
        return str(keyword)
    argument = error.argument
    if argument is None:
        return "a value"
    kept = [token.keyword for token in argument.tokens if token.keyword]
    if kept:
        return str(kept[-1])
    positional = argument.field_info.is_positional
    return str(argument.name.lstrip("-").upper().replace("-", "_") if positional else argument.name)


def _example(target: Any) -> str:
    """The example of a command's own help."""
    lines = (getattr(target, "__doc__", None) or "").splitlines()
    return next((line.partition("Example:")[2].strip() for line in lines if "Example:" in line), "")


def _choices(kind: Any) -> list[str]:
    """The values that an option may have, where there are only these."""
    if get_origin(kind) is Literal:
        return [str(choice) for choice in get_args(kind)]
    return [choice for inner in get_args(kind) for choice in _choices(inner)]


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
