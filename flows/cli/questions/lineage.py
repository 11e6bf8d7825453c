"""Commands: explain, trace, licences, takedown.  Thin: they read the options and print."""

import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from flows.display.answer import answer
from flows.display.options import (
    DryRun,
    Flag,
    GivenFile,
    Json,
    Output,
    Overwrite,
    Several,
    refuse_overwriting,
    written,
)
from flows.display.standard import as_files, lines_of
from pipeline.base.console import say
from pipeline.base.errors import UserError
from pipeline.base.progress import resting
from pipeline.base.words import counted, place
from pipeline.run.folder import Run

# pydocstyle takes a parameter "note" for the head of a section
Note = Annotated[str, Parameter(help="Kept in takedown.jsonl, such as the number of the request.")]


def explain_document(
    root: str,
    doc_id: str | None = None,
    *,
    path: str | None = None,
    phrase: str | None = None,
    url: str | None = None,
    id: str | None = None,
    file: GivenFile | None = None,
    limit: int = 20,
    json: Json = False,
) -> int:
    """Show everything about one document: source, signals, failed rules, duplicates, tokens, the steps that read it.

    Of a record that became no document it shows why. Where several fit, they are listed.

    Example: tokenmill explain runs/demo 40aac2e9

    Example: tokenmill explain runs/demo sql-select.html

    Parameters
    ----------
    root
        The run folder.
    doc_id
        What names it: a doc_id or the beginning of one, a URL, a record's id, a path or a file's name, or any phrase of
        its text. It is tried in this order, and the answer says what it was taken for.
    path
        Find it by its path: a file's name, the end of a path, a folder or an archive, a glob, PATH:OFFSET.
    phrase
        Find it by words of its text; case and white space are not compared.
    url
        Find it by its URL.
    id
        Find it by the record's own id.
    file
        Find it by its text: a file with the same text, or one near to it; - reads standard input.
    limit
        Records to list where several fit.
    """
    from pipeline.inspection.status import of_a_document, stage_states, status_rows
    from pipeline.lineage import explain
    from pipeline.lookup import find, listing, near_text

    asked = {"DOC_ID": doc_id, "--path": path, "--phrase": phrase, "--url": url, "--id": id, "--file": file}
    named = [name for name, value in asked.items() if value]
    if len(named) != 1:
        raise UserError(f"name one document by {', '.join(asked)}; found {', '.join(named) or 'none'}")
    run = Run.open(root)
    similarity, found = None, None
    if file:
        with as_files(file) as (path_of_text,):
            located, similarity = near_text.by_text(run, Path(path_of_text))
    else:
        found = find.by_one_of(run, doc_id, path=path, phrase=phrase, url=url, id=id)
        if found.count != 1 or not found.documents:
            records = listing.listing(run, found, limit)
            return answer(json, listing.as_json(run, found, records), listing.as_text(found, records))
        (located,) = find.located(run, found)
    told = explain.explain(run, located)
    told["stages"] = of_a_document(stage_states(status_rows(run)))
    text = explain.as_text(told)
    if found is not None:
        told |= {"asked": found.asked, "kind": found.kind, "taken_for": found.taken_for}
        if found.kind not in ("doc_id", "id", "url") or doc_id:
            text = f"{listing.heading(found)}\n{text}"
    if similarity is not None:
        told["similarity_to_file"] = similarity
        equal = "has the text of" if similarity == 1.0 else f"is near (about {similarity:.2f}) to"
        text = f"this document {equal} {file}\n{text}"
    return answer(json, told, text)


def trace_steps(
    root: str,
    *,
    step: int | None = None,
    to: int | None = None,
    spike: int | None = None,
    window: int | None = None,
    documents: Annotated[int, Parameter(name=["--documents", "-n"])] = 20,
    json: Json = False,
) -> int:
    """Show what a training step read: the documents, sources, languages and licences of its global batch.

    Steps are counted from 0: step 0 is the first batch.

    Example: tokenmill trace runs/demo --step 120 --window 3

    Parameters
    ----------
    root
        The run folder.
    step
        The step.
    to
        Trace the steps from --step to this one.
    spike
        Trace the loss spike of this rank instead of --step: 1 is the largest in metrics/train.jsonl.
    window
        Show the text of this window of the step's batch.
    documents
        Documents to list; --json has all.
    """
    from pipeline.lineage import trace

    run = Run.open(root)
    if (step is None) == (spike is None):
        raise UserError("say which step: --step N (with --to M for a range), or --spike 1 for the largest loss spike")
    found_spike: dict[str, Any] | None = None
    if spike is not None:
        found = trace.spikes(run, max(spike, 1))
        if not 1 <= spike <= len(found):
            raise UserError(f"--spike {spike}: the metrics have {len(found)} candidates, counted from 1")
        found_spike = found[spike - 1]
        first, last = found_spike["first"], found_spike["last"]
    else:
        first = step or 0
        last = first if to is None else to
    if window is not None:
        shown = trace.window_text(run, first, window)
        return answer(json, {"root": root, **shown}, trace.window_as_text(shown))
    result = trace.trace(run, first, last)
    text = trace.as_text(result, documents)
    if found_spike:
        loss = "not finite" if found_spike["loss"] is None else found_spike["loss"]
        text = f"loss {loss}, usually about {found_spike['usual']:.4f} around there\n{text}"
        result["spike"] = found_spike
    return answer(json, result, text)


def count_licences(
    root: str,
    *,
    steps: int | None = None,
    output: Output | None = None,
    overwrite: Overwrite = False,
    json: Json = False,
) -> int:
    """Count tokens by licence and source in what was trained on, and write an attribution file.

    Example: tokenmill licences runs/demo --output ATTRIBUTION.md

    Parameters
    ----------
    root
        The run folder.
    steps
        Count the first N steps only, such as those of a checkpoint; by default all that were trained.
    output
        Write the attribution file, Markdown, to publish with the model: what each licence asks for, and the works that
        are to be named.
    """
    from pipeline.lineage import credits, licences

    run = Run.open(root)
    if output is not None:
        refuse_overwriting("--output", output, overwrite=overwrite)
    found = licences.licences(run, steps)
    result: dict[str, Any] = dict(found)
    if output is not None:
        with written("--output", output):
            works = credits.write_attribution(found, run, output)
        say(f"attribution file: {output}, {counted(works, 'work')} named")
        result |= {"output": str(output), "works": works}
    return answer(json, result, licences.as_text(found))


def count_rights(root: str, *, robots: str | None = None, agent: Several | None = None, json: Json = False) -> int:
    """Count documents and tokens by opt-out, robot and licence: what heeding them costs, before a run is made anew.

    Of each mark the documents that are still in the run, and the records that the clean stage has left out for it.

    Example: tokenmill rights runs/demo --robots robots/

    Parameters
    ----------
    root
        The run folder.
    robots
        Folder of HOST/robots.txt, HOST/tdmrep.json or HOST.txt, as `[clean] robots`; by default that of the recipe.
    agent
        Robots to ask robots.txt about; by default the recipe's `clean.robots_agents`.
    """
    from pipeline.lineage import rights

    found = rights.rights(Run.open(root), robots, agent)
    return answer(json, found, rights.as_text(found))


def takedown(
    root: str,
    *,
    ids: Several | None = None,
    url: Several | None = None,
    domain: Several | None = None,
    licence: Several | None = None,
    path: Several | None = None,
    phrase: Several | None = None,
    all_matches: Flag = False,
    restore: Several | None = None,
    index: Several | None = None,
    note: Note = "",
    dry_run: DryRun = False,
    yes: Flag = False,
    json: Json = False,
) -> int:
    """Take documents out of every table and token shard of a run; name near-duplicates and checkpoints.

    On a terminal it shows first what it will do, and asks. The raw inputs of the run are not touched. Without a choice,
    it finishes a takedown that was interrupted and lists those that were made.

    Example: tokenmill takedown runs/demo --domain example.org --dry-run

    Example: tokenmill takedown runs/demo --phrase "my private letter" --dry-run

    Parameters
    ----------
    root
        The run folder.
    ids
        doc_ids or at least their first 8 digits, or records' own ids; @FILE, or @- for standard input: one per line.
    url
        URLs.
    domain
        Domains, with all their sub-domains.
    licence
        Licences; "unknown" for documents without one.
    path
        Paths, as `tokenmill explain` takes them: a file's name, the end of a path, a folder, a glob, PATH:OFFSET.
    phrase
        Words of the text; case and white space are not compared.
    all_matches
        Take all documents that a --path or --phrase fits; without it one that fits several is refused.
    restore
        doc_ids of documents that were removed as duplicates of one taken down, and that may stay: they come back in
        token shards of their own.
    index
        Dedup indexes outside the run that forget what was taken down, now and before; RUN/index/dedup always does.
    dry_run
        Say what would be done, and write nothing.
    yes
        Do not ask.
    """
    from pipeline.takedown.choose import Choice
    from pipeline.takedown.takedown import history, take_down

    run = Run.open(root)
    choice = Choice(
        _values(ids), _values(url), _values(domain), _values(licence), note, _values(path), _values(phrase), all_matches
    )
    if dry_run and not choice and not restore:
        raise UserError("--dry-run needs a choice: --ids, --url, --domain, --licence, --path, --phrase or --restore")
    restoring, indexes = _values(restore), _values(index)
    if (choice or restoring) and not (dry_run or yes or json) and sys.stdout.isatty() and sys.stdin.isatty():
        planned = take_down(run, choice, restoring=restoring, indexes=indexes, dry_run=True)
        say(takedown_text(planned, []))
        if planned["status"] == "ambiguous":
            raise UserError("nothing was changed; name one document with --ids, or take all with --all-matches")
        if planned["status"] == "refused":
            raise UserError(planned["refused"])
        if not confirmed(f"change {root} now? What is taken down cannot be brought back from it"):
            raise UserError("not confirmed: nothing was changed; --yes asks nothing")
    found = take_down(run, choice, restoring=restoring, indexes=indexes, dry_run=dry_run)
    past = history(run)
    return answer(json, {**found, "history": past}, takedown_text(found, [] if choice else past), made=True)


def confirmed(question: str) -> bool:
    """Asks a person on the terminal; anything but yes is no."""
    try:
        with resting():
            return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False


def _values(given: list[str] | None) -> tuple[str, ...]:
    values: list[str] = []
    for value in given or []:
        if value.startswith("@"):
            values += lines_of("@", Path(value[1:]))
        elif value.strip():
            values.append(value.strip())
        else:
            raise UserError("an empty value names no document")
    return tuple(dict.fromkeys(values))


def takedown_text(found: dict[str, Any], history: list[dict[str, Any]]) -> str:
    """What a takedown did, or would do, for a person."""
    planned = found["status"] in ("planned", "ambiguous", "refused")
    verb = "would be taken down" if planned else "taken down"
    lines = _found_lines(found)
    lines += [f"{counted(len(found['documents']), 'document')} {verb} ({found['status']})"]
    lines += [f"  {row['doc_id']}  {place(row)}" for row in found["documents"][:20]]
    if len(found["documents"]) > 20:
        lines.append(f"  and {len(found['documents']) - 20:,} more")
    if found["already_taken_down"]:
        lines.append(f"taken down before: {len(found['already_taken_down']):,}")
    if "refused" in found:
        lines.append(f"the takedown would be refused: {found['refused']}")
    lines.append(f"{counted(len(found['files']), 'file')} {'would change' if planned else 'changed'}")
    lines += _raw_input_lines(found["raw_inputs"])
    near = found["near_duplicates"]
    if near:
        lines.append(f"not taken down: {counted(len(near), 'equal or near document')}; takedown --ids takes them too:")
        lines += [
            f"  {row['doc_id']}{f', {place(row)}' if 'path' in row else ''}  {row['rule']} {row['similarity']:.4f}, "
            f"{row['relation']} {row['near']}"
            for row in near[:20]
        ]
        if len(near) > 20:
            lines.append(f"  and {len(near) - 20:,} more")
    for row in found["checkpoints"]:
        steps = row["steps"]
        shown = ", ".join(map(str, steps[:8])) + (", ..." if len(steps) > 8 else "")
        lines.append(
            f"{row['checkpoint']} was trained on {row['documents']:,} of them: {counted(row['tokens'], 'token')} in "
            f"{counted(len(steps), 'step')} ({shown})"
        )
    if "checkpoints_without" in found:
        lines.append(f"{counted(found['checkpoints_without'], 'checkpoint')} looked at: none was trained on them")
    if "checkpoints_unknown" in found:
        lines.append(found["checkpoints_unknown"])
    if found["tokenizer"]:
        lines.append("the tokenizer was trained on a sample of all training documents; its merges are not changed")
    lines += [f"{place}: {counted(count, 'document')} forgotten" for place, count in found.get("forgotten", {}).items()]
    back = found.get("restored", {})
    if back.get("documents"):
        lines.append(f"{counted(len(back['documents']), 'document')} {'would come' if planned else 'came'} back")
        lines += [f"  {doc_id}" for doc_id in back["documents"][:20]]
    if "first_epoch" in back:
        lines.append(f"they are trained on from epoch {back['first_epoch']} on, as far as they make whole windows")
    for request in history:
        documents = counted(request["documents"], "document")
        lines.append(f"request {request['request']}: {documents} {request.get('note', '')}".rstrip())
    return "\n".join(lines)


def _found_lines(found: dict[str, Any]) -> list[str]:
    """What paths and phrases have found, first of all."""
    from pipeline.lookup.listing import record_lines
    from pipeline.takedown.searches import STAYS

    lines = []
    for search in found.get("found", []):
        name = f"{search['option']} {search['asked']!r}"
        lines.append(f"{name} is {search['taken_for']}: {counted(search['documents'], 'document')}")
        lines += record_lines(search["matches"])
        if search["count"] > len(search["matches"]):
            lines.append(f"  and {search['count'] - len(search['matches']):,} more")
        if search["count"] > search["documents"]:
            lines.append(STAYS)
    if found["status"] == "ambiguous":
        lines.append("several documents fit: without --all-matches none is taken down. With it:")
    return lines


def _raw_input_lines(raw: list[dict[str, Any]]) -> list[str]:
    """What a takedown leaves alone: the files that the text came from."""
    if not raw:
        return []
    places = [f"{row['path']} ({row['source']})" for row in raw]
    more = f", and {len(places) - 5:,} more" if len(places) > 5 else ""
    return [
        f"the raw inputs still hold the text: {', '.join(places[:5])}{more}; remove it there, or a new run folder made "
        "from them has it again"
    ]
