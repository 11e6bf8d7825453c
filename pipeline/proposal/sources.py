"""The files of a folder as sources of a recipe: one for text of every kind, one for each kind of table or JSON.

Which column holds the text is tried, with the reader that the run will use: the one whose first values are longest.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pipeline.base import storage
from pipeline.base.words import counted
from pipeline.clean.language import stated_label
from pipeline.proposal import lists
from pipeline.readers.parts.first import Column, FirstRecords, first_records, value_at
from pipeline.readers.parts.formats import BINARY, COMPRESSION_SUFFIXES, HEAD_BYTES, binary_kind, format_of
from pipeline.readers.parts.inputs import InputFile, SourceInputs, list_inputs, source_root
from pipeline.readers.records import USUAL_NAMES
from pipeline.recipe.globs import Selection

TABULAR = ("jsonl", "json", "parquet", "arrow", "csv", "tsv")
MOST_LOOKED_AT = 200  # tables of a kind
FEWEST_WORDS = 5
FIRST_WITHOUT_SPACES = "\u2e80"  # radicals, kana, characters
SHORTEST_TEXT = 40  # characters on average; shorter columns are titles and codes
ASSETS = (
    "css",
    "js",
    "map",
)  # what pages carry with them: text to a reader, and nothing that somebody wrote to be read
LANGUAGES = frozenset({"language", "lang", "locale", "language_code", "lang_code"})
_HTML = re.compile(r"\s*<(!doctype|html|p|div|h\d|body)\b", re.IGNORECASE)
# beside those that a reader looks for by itself
_USUAL = {
    "id": (*USUAL_NAMES["id"], "_id", "doc_id", "document_id", "uid", "uuid", "key"),
    "url": (*USUAL_NAMES["url"], "source_url", "link", "uri", "href"),
    "date": (*USUAL_NAMES["date"], "created_at", "published", "published_at"),
    "licence": USUAL_NAMES["licence"],
}


@dataclass
class Found:
    """What lies in the paths: every file counted once, in ``formats``, or in one of the three that say why not."""

    inputs: SourceInputs
    files: int = 0
    bytes: int = 0
    formats: Counter[str] = field(default_factory=Counter)
    unsupported: Counter[str] = field(default_factory=Counter)
    excluded: Counter[str] = field(default_factory=Counter)
    unreadable: list[str] = field(default_factory=list)
    left_out: tuple[str, ...] = ()  # globs of what a run will put among them
    tables: dict[str, list[InputFile]] = field(default_factory=lambda: defaultdict(list))


@dataclass(frozen=True)
class Proposed:
    """One source: globs below the paths' folder, and the fields of its records; ``why`` is a comment."""

    name: str
    format: str = "auto"
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    fields: dict[str, str] = field(default_factory=dict)
    why: str = ""


def look(paths: Sequence[str], recipe: str = "", name: str = "") -> Found:
    """Lists every file and tells its format by name or first bytes.

    Args:
        paths: Files, globs or folders.
        recipe: Where the recipe will lie; among the files, it is none of them, and neither is its run folder.
        name: The recipe's name.

    Raises:
        UserError: If a path names no file.
    """
    left_out = of_the_run(source_root(paths), recipe, name)
    found = look_at(list_inputs("files", list(paths), Selection(exclude=left_out)), "auto")
    found.left_out = left_out
    return found


def look_at(inputs: SourceInputs, named_format: str) -> Found:
    """Tells the format of every file of a source, as its reader will."""
    found = Found(inputs)
    for file in inputs.files:
        found.files += 1
        found.bytes += file.size
        if file.error is not None:
            found.unreadable.append(file.path)
            continue
        if file.excluded is not None:
            found.excluded[file.excluded] += 1
            continue
        try:
            kind = format_of(file, named_format)
            if kind == BINARY:
                found.unsupported[_media_type(file)] += 1
                continue
        except OSError:
            found.unreadable.append(file.path)
            continue
        found.formats[kind] += 1
        if kind in TABULAR:
            found.tables[kind].append(file)
    return found


def _media_type(file: InputFile) -> str:
    with open(storage.open_local(file.url), "rb") as opened:
        return binary_kind(opened.read(HEAD_BYTES))


@dataclass(frozen=True)
class _Alike:
    """Tables of one kind that need the same ``fields``; None where they hold no text at all."""

    kind: str
    fields: dict[str, str] | None
    files: list[InputFile]
    columns: list[str]
    whole: bool  # all tables of the kind

    def names_only_its_own(self, inputs: SourceInputs) -> bool:
        """False where a glob would take another file with it: a name without a folder stands for it in any folder."""
        chosen, own = Selection(self.globs()), {file.path for file in self.files}
        return all(file.path in own or not chosen.wants(file.path) for file in inputs.files)

    def globs(self) -> tuple[str, ...]:
        """Which files they are: by their endings where these are theirs alone."""
        return tuple(sorted(_globs(self.files) if self.whole else {escaped(file.path) for file in self.files}))


def of_the_run(root: str, recipe: str, name: str) -> tuple[str, ...]:
    """Globs of what a recipe and its run will put among the files, where the recipe lies in their folder."""
    folder, _, file = recipe.rpartition("/")
    if not f"{folder}/".startswith(f"{root.rstrip('/')}/"):
        return ()
    below = folder[len(root.rstrip("/")) :].lstrip("/")
    return tuple(escaped(f"{below}/{path}".lstrip("/")) for path in (file, f"runs/{name}"))


def propose(found: Found) -> list[Proposed]:
    """The sources: tables whose text is where a reader looks for it stay with the rest, the others get their fields.

    Tables without any text (settings, lists of numbers) are left out, and said so.
    """
    alike = [group for kind, files in sorted(found.tables.items()) for group in _alike(found.inputs, kind, files)]
    alike = [group for group in alike if group.names_only_its_own(found.inputs)]
    apart = [group for group in alike if group.fields]
    without = [group for group in alike if group.fields is None]
    others = sum(found.formats.values()) - sum(len(group.files) for group in (*apart, *without))
    sources = [_the_rest(found, apart, without)] if others else []
    names: Counter[str] = Counter()
    for group in apart:
        names[group.kind] += 1
        name = f"{group.kind}-{names[group.kind]}" if names[group.kind] > 1 else group.kind
        why = f"{group.files[0].path} has the columns {', '.join(group.columns)}"
        why += "; its own word for the language is believed" if "language" in (group.fields or {}) else ""
        sources.append(Proposed(name, group.kind, group.globs(), fields=group.fields or {}, why=why))
    return sources


def _the_rest(found: Found, apart: Sequence[_Alike], without: Sequence[_Alike]) -> Proposed:
    """The source of all that needs no fields, without what is another source or nothing to be read."""
    assets = _assets(found)
    why = [_without_text(group) for group in without]
    why += [f"style sheets and scripts of the pages left out: {', '.join(assets)}"] if assets else []
    out = (*found.left_out, *(glob for group in (*apart, *without) for glob in group.globs()))
    return Proposed("files", exclude=(*out, *(f"**/*.{ending}" for ending in assets)), why="; ".join(why))


def leave_out(sources: Sequence[Proposed], archives: Sequence[str]) -> list[Proposed]:
    """The sources without some archives, which ``why`` then says."""
    told = f"{counted(len(archives), 'archive')} without a text left out, such as {archives[0]}"
    globs = tuple(map(escaped, archives))
    return [
        replace(one, exclude=(*one.exclude, *globs), why="; ".join(filter(None, (one.why, told))))
        if one.format == "auto"
        else one
        for one in sources
    ]


def _assets(found: Found) -> list[str]:
    """Endings of what belongs to web pages, where most of such files are pages."""
    endings = Counter(file.path.rsplit(".", 1)[-1] for file in found.inputs.files)
    pages = found.formats["html"]
    return [ending for ending in ASSETS if 0 < endings[ending] <= pages]


def _without_text(group: _Alike) -> str:
    files, first = counted(len(group.files), f"{group.kind} file"), group.files[0].path
    return f"{files} without a text left out, such as {first} ({', '.join(group.columns[:5]) or 'no record'})"


def _alike(inputs: SourceInputs, kind: str, files: Sequence[InputFile]) -> Iterator[_Alike]:
    """Groups the tables of a kind by the fields that they need; of very many, the first speaks for all."""
    if len(files) > MOST_LOOKED_AT:
        fields, columns = text_fields(inputs, files[0])
        yield _Alike(kind, fields, list(files), columns, whole=True)
        return
    groups: dict[str, tuple[dict[str, str] | None, list[str], list[InputFile]]] = {}
    for file in files:
        fields, columns = text_fields(inputs, file)
        needed: dict[str, str] | None = fields if fields or not _has_no_text(inputs, file) else None
        groups.setdefault(repr(needed), (needed, columns, []))[2].append(file)
    for needed, columns, own in groups.values():
        yield _Alike(kind, needed, own, columns, whole=len(own) == len(files))


def _has_no_text(inputs: SourceInputs, file: InputFile) -> bool:
    """Whether a table was read, and has no column that a reader takes for its text."""
    first = first_records(inputs, file)
    texts = {column.name for column in first.columns if column.filled and set(column.kinds) & {"string", "bytes"}}
    return bool(first.values) and not texts & set(USUAL_NAMES["text"])


def escaped(path: str) -> str:
    """A path as a glob that names it alone."""
    return re.sub(r"([*?\[])", r"[\1]", path)


def _globs(files: Sequence[InputFile]) -> set[str]:
    """A glob for each ending of the files' names; a name without one stands for itself."""
    globs = set()
    for file in files:
        name = file.path.rsplit("/", 1)[-1]
        stem, dot, ending = _long_ending(name)
        globs.add(f"**/*{dot}{escaped(ending)}" if stem and dot else escaped(file.path))
    return globs


def _long_ending(name: str) -> tuple[str, str, str]:
    """Stem, dot and ending of a name; the ending of a compressed file is both of its own."""
    stem, dot, ending = name.rpartition(".")
    if dot + ending.lower() in COMPRESSION_SUFFIXES and "." in stem:
        stem, _, inner = stem.rpartition(".")
        return stem, dot, f"{inner}.{ending}"
    return stem, dot, ending


def text_fields(inputs: SourceInputs, file: InputFile) -> tuple[dict[str, str], list[str]]:
    """The ``fields`` that a table needs, and its columns; no fields where the readers find the text by themselves."""
    first = first_records(inputs, file)
    names = [column.name for column in first.columns]
    texts = [column for column in first.columns if set(column.kinds) & {"string", "bytes"}]
    if any(column.name in USUAL_NAMES["text"] and 2 * column.filled > len(first.values) for column in texts):
        return {**_within(names), **_stated_language(first)}, names
    usual = {ours: name for ours, usual in _USUAL.items() for name in names if name.lower() in usual}
    usual = {**_within(names), **usual, **_stated_language(first)}
    if (chat := lists.chat_field(first.values)) is not None:
        return {"messages": chat, **usual}, names
    worded = [column for column in texts if _words(column, first.values) >= FEWEST_WORDS]
    best = max(worded, key=lambda column: column.characters, default=None)
    if best is None or best.characters < SHORTEST_TEXT:
        return _fields_in_lists(first.values), names
    pages = sum(_is_html(value_at(value, best.name)) for value in first.values)
    return {"html" if 4 * pages > len(first.values) else "text": best.name, **usual}, names


def _within(names: Sequence[str]) -> dict[str, str]:
    """Fields that stand within an object alone, such as ``meta.source_url``: no reader looks for them there."""
    beside = {name.lower() for name in names}
    found: dict[str, str] = {}
    for ours in ("url", "date", "licence"):
        within = [name for name in names if "." in name and name.rpartition(".")[2].lower() in _USUAL[ours]]
        if within and not beside & set(_USUAL[ours]):
            found[ours] = within[0]
    return found


def _stated_language(first: FirstRecords) -> dict[str, str]:
    """The field that names the language, where most records have one and all of them are languages."""
    for column in first.columns:
        if column.name.rpartition(".")[2].lower() in LANGUAGES and 2 * column.filled > len(first.values):
            said = {value for record in first.values if (value := value_at(record, column.name)) is not None}
            if all(isinstance(word, str) and stated_label(word) for word in said):
                return {"language": column.name}
    return {}


def _words(column: Column, values: Sequence[Mapping[str, Any]]) -> float:
    """Words of a column's values, on average."""
    found = [value_at(value, column.name) for value in values]
    return _mean_words([value.decode("utf-8", "replace") if isinstance(value, bytes) else value for value in found])


def _mean_words(texts: Sequence[Any]) -> float:
    """Words of texts, on average; a character of a script without spaces counts as one.

    A path, a link or a key may be long, and is no text.
    """
    counts = [
        len(text.split()) + sum(character >= FIRST_WITHOUT_SPACES for character in text)
        for text in texts
        if isinstance(text, str)
    ]
    return sum(counts) / max(1, len(counts))


def _fields_in_lists(values: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The fields of records whose text lies in lists of objects."""
    name, texts = lists.longest_in_lists(values) or ("", [])
    if not texts or sum(map(len, texts)) < SHORTEST_TEXT * len(texts) or _mean_words(texts) < FEWEST_WORDS:
        return {}
    if 4 * sum(map(_is_html, texts)) > len(texts):
        return {"html": name, **lists.beside(name, values, _USUAL)}
    text = lists.marked(name, values)
    return {"text": text, **(lists.beside(name, values, _USUAL) if text != name else {})}


def _is_html(value: Any) -> bool:
    return isinstance(value, str) and bool(_HTML.match(value))
