"""``tokenmill init``: looks at somebody's files and writes a recipe for them.  The work is in pipeline/proposal."""

import os
import re
import shlex
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from flows.display.answer import answer
from flows.display.options import Json, Output, Overwrite, Workers, refuse_overwriting
from pipeline.base import storage
from pipeline.base.console import say
from pipeline.base.errors import UserError
from pipeline.base.words import counted


def init(
    *paths: Annotated[str, Parameter(name="FOLDER")],
    output: Output | None = None,
    preset: Literal["web", "own", "code-and-docs", "clean"] | None = None,
    workers: Workers = 0,
    overwrite: Overwrite = False,
    json: Json = False,
) -> int:
    """Look at a folder or files of your own, and write a commented recipe for them.

    Example: tokenmill init manuals --output manuals.toml

    Parameters
    ----------
    paths
        Folders, files or globs.
    output
        The recipe; by default NAME.toml in this folder, by the name of the first path.
    preset
        Rules for a kind of text; without it, chosen by what the files are.
    workers
        Worker processes for the sample; 0: one for each processor.
    """
    if not paths:
        raise UserError("init needs a folder or files, such as: tokenmill init manuals")
    given = [storage.absolute(path) for path in paths]
    name = _name(given[0])
    target = (output or Path(f"{name}.toml")).absolute()
    if str(target) in given:
        raise UserError(f"--output {target}: is itself one of the files to look at; name another")
    refuse_overwriting("--output", target, overwrite=overwrite)
    proposal = _propose(name, given, preset, workers, str(target))
    from pipeline.proposal import write
    from pipeline.recipe.load import load_recipe

    shown = write.relative_paths(given, str(target.parent))
    command = shlex.join(["tokenmill", "init", *paths, *(["--preset", preset] if preset else [])])
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(write.recipe_text(proposal, shown, command), encoding="utf-8")
    load_recipe(target)
    recipe = os.path.relpath(target)
    return answer(json, _result(proposal, str(target)), write.told(proposal, recipe), made=True)


def _name(path: str) -> str:
    last = path.rstrip("/").rsplit("/", 1)[-1].split("*")[0]
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", last.partition(".")[0] or last).strip("-")
    return plain or "recipe"


def _propose(name: str, paths: list[str], preset: str | None, workers: int, target: str) -> Any:
    from model.devices.gpus import visible_gpus
    from pipeline.base.pool import default_workers
    from pipeline.proposal import sizes, sources, trial, write
    from pipeline.screen.cold import say_if_cold

    found = sources.look(paths, target, name)
    if not found.formats:
        raise UserError(f"{', '.join(paths)}: no file that is read; {'; '.join(write.files_in_words(found))}")
    say(f"looking at {counted(found.files, 'file')}, and at a sample of what they hold ...")
    say_if_cold("clean", "filter")
    proposed = sources.propose(found)
    tried = trial.attempt(write.source_tables(paths, proposed), workers or default_workers())
    chosen, why = (preset, "asked for with --preset") if preset else write.choose_preset(found, tried)
    one = tried.share >= 1 and tried.kept.get(chosen, 0) <= 1
    cores, gpu = len(os.sched_getaffinity(0)), bool(visible_gpus())
    suited = sizes.sizes(tried.all_tokens(chosen), cores, gpu, one_document=one)
    return write.Proposal(name, found, proposed, tried, chosen, why, suited)


def _result(proposal: Any, recipe: str) -> dict[str, Any]:
    found, tried = proposal.found, proposal.tried
    return {
        "recipe": recipe,
        "files": found.files,
        "bytes": found.bytes,
        "formats": dict(sorted(found.formats.items())),
        "unsupported": dict(sorted(found.unsupported.items())),
        "unreadable": found.unreadable,
        "preset": proposal.preset,
        "sample": {
            "share": tried.share,
            "records": tried.records,
            "documents": tried.documents,
            "kept": tried.kept,
            "languages": dict(tried.languages),
        },
        "tokens": proposal.tokens,
    }
