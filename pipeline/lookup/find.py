"""Records of a run by what a person has in hand: a doc_id, URL, id, path, file name, or any phrase of a text.

A record is looked for in documents/, and where it became none, in quarantine/ and excluded/.  Paths and phrases are
looked for by ``scans``, which is loaded only where it is needed: an id or URL is found in milliseconds.
"""

import shlex
from collections.abc import Iterator

import numpy as np

from pipeline.base.errors import UserError
from pipeline.base.words import counted
from pipeline.lookup import locate, paths
from pipeline.lookup.found import Found, Rows
from pipeline.lookup.locate import DocIndex, Located
from pipeline.recipe.globs import escaped
from pipeline.run import layout, ledger
from pipeline.run.folder import Run
from pipeline.run.rows import read_rows
from pipeline.run.tables import DOCUMENTS

EXACT_URL, ALMOST_URL = "a URL", "a URL but for its scheme, fragment or last slash"


def find(run: Run, asked: str) -> Found:
    """The records that ``asked`` names: tried as a doc_id, URL, record id, path, then as a phrase; the first that fits.

    Raises:
        UserError: If it is none of these in this run, or the beginning of several doc_ids.
    """
    index = DocIndex(run)
    digits = asked.strip().rstrip(".…").lower()
    for found in _tries(run, index, asked, digits):
        if found.places:
            return found
    if locate.is_prefix(digits):
        index.find(digits)  # its error names the nearest one
    raise UserError(f"{asked!r}: {_nowhere(run, asked)}")


def by_one_of(
    run: Run,
    any_of_these: str | None = None,
    *,
    path: str | None = None,
    phrase: str | None = None,
    url: str | None = None,
    id: str | None = None,
) -> Found:
    """The records that the one value which is given names.

    Raises:
        UserError: If there are none, or several documents of this URL or id.
    """
    if any_of_these:
        return find(run, any_of_these)
    if url or id:
        found = by_url(run, url) if url else by_id(run, id or "")
        if found.places and (found.taken_for != EXACT_URL or found.count > found.documents):
            return found
        one = locate.one_by_key(run, "url" if url else "id", found.asked)  # its errors say what is wrong with this key
        return Found(found.asked, found.kind, found.taken_for, _places([one]))
    from pipeline.lookup import scans

    found = scans.by_path(run, path) if path else scans.by_phrase(run, phrase or "")
    if not found.places:
        raise UserError(f"{'--path' if path else '--phrase'} {found.asked!r}: {_nowhere(run, found.asked)}")
    return found


def _tries(run: Run, index: DocIndex, asked: str, digits: str) -> Iterator[Found]:
    if locate.is_prefix(digits) and index.begins(digits):
        yield Found(asked, "doc_id", _doc_id_in_words(digits), _places([index.find(digits)]))
    if "://" in asked:
        yield by_url(run, asked)
    yield by_id(run, asked)
    from pipeline.lookup import scans

    yield scans.by_path(run, asked)
    yield scans.by_phrase(run, asked)


def _doc_id_in_words(digits: str) -> str:
    return "a doc_id" if len(digits) == 32 else "the beginning of a doc_id"


def _places(found: list[Located]) -> list[Rows]:
    """Documents as places, each once."""
    rows: dict[str, set[int]] = {}
    for located in found:
        rows.setdefault(located.shard, set()).add(located.row)
    return [Rows(0, shard, np.array(sorted(rows[shard]), np.int64)) for shard in sorted(rows)]


def by_url(run: Run, url: str) -> Found:
    """Records with this URL; else with the same but for its scheme, fragment, or a slash at its end."""
    others = {url, url.partition("#")[0], url.rstrip("/"), f"{url}/"}
    others |= {f"http{'' if scheme else 's'}://{u.partition('://')[2]}" for u in others for scheme in (0, 1)}
    for wanted, taken_for in (([url], EXACT_URL), (sorted(others - {url}), ALMOST_URL)):
        places = _places([located for value in wanted for located in locate.by_key(run, "url", value)])
        if not places:
            from pipeline.lookup import scans

            places = scans.excluded_urls(run, wanted)
        if places:
            return Found(url, "url", taken_for, places)
    if gone := _gone(run, "url", url):
        return Found(url, "url", EXACT_URL, gone)
    return Found(url, "url", "a page's canonical URL", scans.canonical_urls(run, url))


def by_id(run: Run, value: str) -> Found:
    """Documents whose records have this id."""
    return Found(value, "id", "a record's id", _places(locate.by_key(run, "id", value)) or _gone(run, "id", value))


def _gone(run: Run, kind: str, value: str) -> list[Rows]:
    """Documents that had this id or URL before they were taken down."""
    gone = ledger.load(run.root).by_key(kind, value)
    return _places([Located(bytes.fromhex(one.doc_id), one.shard, one.row) for one in gone])


def _nowhere(run: Run, asked: str) -> str:
    """What it means that nothing was found."""
    from pipeline.clean.stage import seen_inputs

    kind_of = paths.matcher(asked)
    inputs = {path: size for files in seen_inputs(run.root).values() for path, (size, _) in files.items()}
    if named := [path for path in inputs if kind_of(path) is not None]:
        empty = "the file is empty" if not inputs[named[0]] else "nothing of it is a document, damaged or excluded"
        return f"an input of the run ({named[0]}), but no table has a record of it: {empty}"
    told = "no doc_id, URL, record's id, path or file name in this run, and no phrase of its texts"
    if holding := [path for path in inputs if asked.casefold() in path.casefold()]:
        glob = shlex.quote(f"*{escaped(asked)}*")
        return f"{told}; but it is a part of {counted(len(holding), 'path')}, such as {holding[0]}: ask for {glob}"
    if run.recipe.clean.pii == "replace":
        told += ". Personal data are placeholders in the texts (clean.pii), and cannot be found"
    return told


def located(run: Run, found: Found) -> list[Located]:
    """The documents among what was found, with their doc_ids."""
    made = []
    for place in found.places:
        if place.table == 0:
            path = run.local(layout.documents(place.shard))
            ids = read_rows(path, DOCUMENTS, place.rows.tolist(), ["doc_id"])["doc_id"].to_pylist()
            made += [Located(doc_id, place.shard, row) for doc_id, row in zip(ids, place.rows.tolist(), strict=True)]
    return made
