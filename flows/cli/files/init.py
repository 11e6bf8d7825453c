"""``tokenmill init``: looks at somebody's files and writes a recipe for them.  The work is in pipeline/proposal."""

import os
import re
import shlex
import unicodedata
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from flows.display.answer import answer
from flows.display.options import Json, Output, Overwrite, Workers, refuse_overwriting
from flows.display.standard import STANDARD
from pipeline.base import storage
from pipeline.base.console import say
from pipeline.base.errors import UserError
from pipeline.base.progress import working
from pipeline.base.words import counted


def init(
    *paths: Annotated[str, Parameter(name="FOLDER")],
    output: Annotated[Output, Parameter(allow_leading_hyphen=True)] | None = None,
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
        The recipe; by default NAME.toml in this folder, by the name of the first path. - writes it to standard output.
    preset
        Rules for a kind of text; without it, chosen by what the files are.
    workers
        Worker processes for the sample; 0: one for each processor.
    """
    if not paths:
        raise UserError("init needs a folder or files, such as: tokenmill init manuals")
    given = [storage.absolute(path) for path in paths]
    name = _name(given[0])
    to_standard = str(output) == STANDARD
    target = (Path(f"{name}.toml") if output is None or to_standard else output).absolute()
    if str(target) in given:
        raise UserError(f"--output {target}: is itself one of the files to look at; name another")
    if not to_standard:
        refuse_overwriting("--output", target, overwrite=overwrite)
    proposal = _propose(name, given, preset, workers, str(target))
    from pipeline.proposal import write
    from pipeline.recipe.load import load_recipe

    shown = write.relative_paths(given, str(target.parent))
    command = shlex.join(["tokenmill", "init", *paths, *(["--preset", preset] if preset else [])])
    text = write.recipe_text(proposal, shown, command)
    if to_standard:
        say(write.told(proposal, STANDARD))
        return answer(json, {**_result(proposal, STANDARD), "text": text}, text.rstrip("\n"), verbatim=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
    load_recipe(target)
    recipe = os.path.relpath(target)
    return answer(json, _result(proposal, str(target)), write.told(proposal, recipe), made=True)


def _name(path: str) -> str:
    """The name of a recipe for a path, which is also that of a folder.

    Example:
        >>> _name("/home/me/Büro Müller/"), _name("crawl/*.warc.gz"), _name("a b.tar.gz")
        ('Büro-Müller', 'recipe', 'a-b')
    """
    last = path.rstrip("/").rsplit("/", 1)[-1].split("*")[0]
    plain = re.sub(r"[^\w-]+", "-", unicodedata.normalize("NFC", last.partition(".")[0] or last)).strip("-")
    return plain or "recipe"


def _propose(name: str, paths: list[str], preset: str | None, workers: int, target: str) -> Any:
    from model.devices.gpus import visible_gpus
    from pipeline.base.pool import default_workers
    from pipeline.proposal import sizes, sources, write
    from pipeline.proposal.estimate import of_presets
    from pipeline.proposal.token_bytes import USUAL
    from pipeline.recipe.options import Tokenize
    from pipeline.screen.cold import say_if_cold

    with working("init: listing the files"):
        found = sources.look(paths, target, name)
    if not found.formats:
        raise UserError(f"{', '.join(paths)}: no file that is read; {'; '.join(write.files_in_words(found))}")
    say(f"looking at {counted(found.files, 'file')}, and at a sample of what they hold ...")
    say_if_cold("clean", "dedup", "filter")
    with working("init: looking for the texts in tables"):
        proposed = sources.propose(found)
    if not proposed:
        raise UserError(_without_text(paths, found))
    tried = of_presets(write.source_tables(paths, proposed), workers or default_workers())
    if tried.sample.without_text:
        proposed = sources.leave_out(found, proposed, tried.sample.without_text)
        if not proposed:
            raise UserError(_without_text(paths, found))
        tried = of_presets(write.source_tables(paths, proposed), workers or default_workers())
    chosen, why = (preset, "asked for with --preset") if preset else write.choose_preset(found, tried)
    vocabulary = sizes.vocabulary_for(round(tried.kept_bytes(chosen) / USUAL))
    tokens = tried.tokens(Tokenize(vocabulary_size=vocabulary), chosen)
    if tried.why_none:
        tokens = round(found.bytes / USUAL)
        vocabulary = sizes.vocabulary_for(tokens)
    one = tried.whole and tried.sample.kept.get(chosen, 0) <= 1
    cores, gpu = len(os.sched_getaffinity(0)), bool(visible_gpus())
    suited = sizes.sizes(tokens, cores, gpu, one_document=one)
    return write.Proposal(name, found, proposed, tried, chosen, why, suited, tokens)


def _without_text(paths: list[str], found: Any) -> str:
    from pipeline.proposal import write

    there = "; ".join(write.files_in_words(found))
    return (
        f"{', '.join(paths)}: no text in {there}: what is there are tables and archives whose columns hold no text, or "
        "files that programs wrote (lock files, source maps); where one does hold text, "
        "write a recipe that names its column: fields = {text = ...} of [[sources]], docs/recipes.md"
    )


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
            "records": tried.sample.records,
            "documents": tried.sample.documents,
            "unique": tried.sample.unique,
            "kept": tried.sample.kept,
            "damaged_places": tried.sample.damaged_places,
        },
        "languages": dict(tried.languages),
        "documents": round(tried.documents),
        "tokens": proposal.tokens,
    }
