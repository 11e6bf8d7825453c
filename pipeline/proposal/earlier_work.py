"""What earlier commands left in a folder that ``init`` looks at: its recipes, run folders, outputs of ``dedup run``.

None of it is text: a run folder holds every document once more.
"""

from collections.abc import Iterator, Sequence
from typing import NoReturn

from pipeline.base import storage
from pipeline.base.errors import UserError
from pipeline.base.words import listed
from pipeline.dedup.files.own_outputs import OWN_RUN, output_folders
from pipeline.proposal.not_written import LeftOut
from pipeline.readers.parts.inputs import InputFile, SourceInputs
from pipeline.recipe.globs import escaped

PROPOSED_BY = "# Proposed by `tokenmill init"  # how such a recipe begins
MOST_NAMED = 3


def earlier_work(inputs: SourceInputs) -> list[LeftOut]:
    """What of the files is none of the text, and how that is said."""
    if not storage.is_local(inputs.root):
        return []
    left_out = list(_folders(inputs))
    if recipes := [file.path for file in inputs.files if _is_recipe(file)]:
        told = f"{listed(recipes, MOST_NAMED)} left out: written by `tokenmill init`"
        left_out.append(LeftOut(frozenset(recipes), tuple(map(escaped, recipes)), told))
    return left_out


def _folders(inputs: SourceInputs) -> Iterator[LeftOut]:
    paths = {file.url: file.path for file in inputs.files}
    for folder, why in output_folders(set(paths)):
        held = frozenset(path for url, path in paths.items() if url.startswith(f"{folder}/"))
        below = folder.removeprefix(f"{inputs.root.rstrip('/')}/")
        if below != folder:  # the folder that was named is read, whatever it is
            article = "a" if why == OWN_RUN else "the"
            yield LeftOut(held, (escaped(below),), f"{below} left out: {article} {why}")


def _is_recipe(file: InputFile) -> bool:
    if not file.path.endswith(".toml") or file.error is not None or file.excluded is not None:
        return False
    try:
        with open(file.url, encoding="utf-8", errors="replace") as opened:
            return opened.read(len(PROPOSED_BY)) == PROPOSED_BY
    except OSError:
        return False  # whoever reads it says why


def refuse_nothing_else(paths: Sequence[str], left_out: Sequence[LeftOut]) -> NoReturn:
    """Says what to do in a folder that holds nothing but what earlier commands left.

    Raises:
        UserError: Always.
    """
    recipe = min((path for one in left_out for path in one.paths if path.endswith(".toml")), default="RECIPE")
    there = "; ".join(one.told.replace(" left out:", ",") for one in left_out) or "a recipe that is to be overwritten"
    raise UserError(
        f"{', '.join(paths)}: no text is here, only what earlier commands made ({there}). `tokenmill run {recipe}` "
        "runs that recipe; for another name the folder with your text, such as: tokenmill init ../manuals"
    )
