"""``tokenmill disclose``: the EU's public summary of training content."""

from typing import Annotated, Any

from cyclopts import Parameter

from flows.display.answer import answer
from flows.display.options import Checkpoint, Flag, Json, LocalPath, Output, Overwrite, refuse_overwriting, written
from pipeline.base.errors import UserError
from pipeline.base.words import counted
from pipeline.run.folder import Run

MOST_PLACES = 60


def disclose(
    root: str,
    *,
    output: Output,
    answers: LocalPath | None = None,
    checkpoint: Checkpoint = None,
    sme: Annotated[Flag, Parameter(name="--sme")] = False,
    attribution: LocalPath | None = None,
    overwrite: Overwrite = False,
    json: Json = False,
) -> int:
    """Write the EU's public summary of training content (Article 53(1)(d) of the AI Act) of what a run trained on.

    What the run knows is filled in; what a person must write is marked TO WRITE, and listed. No legal advice.

    Example: tokenmill disclose runs/demo --output summary.docx

    Parameters
    ----------
    root
        The run folder.
    output
        The file to write; its name ends with .md, .html or .docx (extra "docx"). Without an ending it is Markdown.
    answers
        What only you can say, a TOML file with [sources] and [answers] (docs/disclose.md); it fills marked places.
    sme
        The provider is a small or medium-sized enterprise: the top 5 % of the domains, at most 1,000, in the place of
        the top 10 %.
    attribution
        Write the attribution file too, as `tokenmill licences --output` does.
    """
    from pipeline.disclosure import summary
    from pipeline.disclosure.answers import read_answers
    from pipeline.disclosure.facts import collect
    from pipeline.lineage.credits import write_attribution
    from pipeline.run.checkpoints import chosen

    run = Run.open(root)
    summary.check_format(output)
    if attribution is not None and attribution.absolute() == output.absolute():
        raise UserError(f"--attribution {attribution}: is --output too; name another file")
    for option, place in (("--output", output), ("--attribution", attribution)):
        if place is not None:
            refuse_overwriting(option, place, overwrite=overwrite)
            _refuse_folder(option, place)
    told = read_answers(answers, [source.name for source in run.recipe.sources])
    facts = collect(run, chosen(run.root, checkpoint))
    made = summary.summary_of(facts, told, sme=sme)
    result: dict[str, Any] = {**summary.as_json(facts, made), "output": str(output)}
    with written("--output", output):
        summary.write(made, output)
    if attribution is not None:
        with written("--attribution", attribution):
            works = write_attribution(facts.total, run, attribution)
        result |= {"attribution": str(attribution), "works": works}
    return answer(json, result, _text(result), made=True)


def _refuse_folder(option: str, place: LocalPath) -> None:
    if place.is_dir():
        raise UserError(f"{option} {place}: is a folder; name a file in it")


def _text(result: dict[str, Any]) -> str:
    places = result["to_write"]
    lines = [
        f"{result['output']}: {counted(result['tokens'], 'token')} of {counted(result['documents'], 'document')} in "
        f"{counted(result['steps'], 'step')}, {counted(len(result['sources']), 'source')}, "
        f"{counted(result['domains'], 'web domain')}"
    ]
    if "attribution" in result:
        lines.append(f"{result['attribution']}: {counted(result['works'], 'work')} named")
    if not places:
        return "\n".join([*lines, "nothing is left to write; read it before you publish it"])
    verb = "is" if len(places) == 1 else "are"
    lines.append(f"{counted(len(places), 'place')} {verb} marked TO WRITE, for you (--answers FILE fills them):")
    lines += [f"  {place['key']:22} {place['write']}" for place in places[:MOST_PLACES]]
    if len(places) > MOST_PLACES:
        lines.append(f"  and {len(places) - MOST_PLACES:,} more")
    return "\n".join(lines)
