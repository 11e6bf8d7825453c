"""The files of a folder as sources of a recipe: one for text of every kind, one for each kind of table or JSON.

Which column holds the text is tried, with the reader that the run will use: the one whose first values are longest.
"""

import os
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pipeline.base import storage
from pipeline.base.words import counted, listed
from pipeline.proposal.earlier_work import earlier_work, refuse_nothing_else
from pipeline.proposal.not_written import LeftOut, not_written
from pipeline.proposal.text_fields import fields_of, has_no_text, text_fields
from pipeline.proposal.within import Within, look_into, without_in_words
from pipeline.readers.parts.first import TABULAR, FirstRecords, first_records
from pipeline.readers.parts.formats import ARCHIVES, BINARY, COMPRESSION_SUFFIXES, HEAD_BYTES, binary_kind, format_of
from pipeline.readers.parts.inputs import InputFile, SourceInputs, list_inputs, source_root
from pipeline.recipe.globs import Selection, escaped

MOST_LOOKED_AT = 200  # tables of a kind, and archives
MOST_TOLD = 3
ARCHIVE = "archive"  # the name of sources that are archives with tables in them


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
    earlier: list[LeftOut] = field(default_factory=list)  # what earlier commands left among them
    read: list[InputFile] = field(default_factory=list)  # those counted in ``formats``
    archives: list[InputFile] = field(default_factory=list)
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
    there = list_inputs("", list(paths))
    left_out = of_the_run(source_root(paths), recipe, name)
    others = _without(there, left_out)
    earlier = earlier_work(others)
    inputs = _without(others, _globs_of(earlier))
    if not inputs.files:
        refuse_nothing_else(paths, earlier_work(there))
    found = look_at(inputs, "auto")
    found.left_out, found.earlier = left_out, earlier
    return found


def _without(inputs: SourceInputs, globs: Sequence[str]) -> SourceInputs:
    chosen = Selection(exclude=globs)
    return replace(inputs, files=tuple(file for file in inputs.files if chosen.wants(file.path)))


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
        found.read.append(file)
        if kind in ARCHIVES:
            found.archives.append(file)
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
    folder: str = ""  # that holds these tables of the kind and no others
    example: str = ""  # the table in an archive that ``columns`` are of
    told: tuple[str, ...] = ()  # what these fields do not reach
    without: tuple[str, ...] = ()  # globs of tables in archives that hold no text

    def others(self, inputs: SourceInputs, gone: Sequence[LeftOut]) -> list[str]:
        """Files that its globs would take along: a name without a folder stands for it in any folder."""
        chosen, own = Selection(self.globs(), _globs_of(gone)), {file.path for file in self.files}
        return [file.path for file in inputs.files if file.path not in own and chosen.wants(file.path)]

    def exclude(self, inputs: SourceInputs, gone: Sequence[LeftOut]) -> tuple[str, ...]:
        """Globs of what would be one of them by its name, and is left out or of another source."""
        chosen = Selection(self.globs())
        by_ending = _globs_of([one for one in gone if any(map(chosen.wants, one.paths))])
        return (*by_ending, *map(escaped, self.others(inputs, gone)), *self.without)

    def can_be_told_apart(self, inputs: SourceInputs, gone: Sequence[LeftOut], placed: Collection[str]) -> bool:
        """Whether globs name these files alone, and keep no other file from the source of the rest.

        Args:
            inputs: All files.
            gone: What is left out.
            placed: Files that the source of the rest does not read.
        """
        others = self.others(inputs, gone)
        chosen = Selection(self.globs(), self.exclude(inputs, gone))
        return all(path in placed for path in others) and all(chosen.wants(file.path) for file in self.files)

    def globs(self) -> tuple[str, ...]:
        """Which files they are: by their endings where these are theirs alone, in all or in a folder."""
        if self.whole:
            return tuple(sorted(_globs(self.files)))
        if self.folder:
            return tuple(sorted(f"{escaped(self.folder)}/{glob}" for glob in _globs(self.files)))
        return tuple(sorted({escaped(file.path) for file in self.files}))


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
    gone = [*found.earlier, *not_written(found.read, found.formats["html"])]
    alike = [group for kind, files in _tables(found, gone) for group in _alike(found.inputs, kind, files)]
    archives = {file.path: within for file in found.archives[:MOST_LOOKED_AT] if (within := _within(found, file))}
    alike += _archives_alike(found, archives)
    alike = _told_apart(found.inputs, [group for group in alike if group.fields != {}], gone)
    apart = [group for group in alike if group.fields]
    without = [group for group in alike if group.fields is None]
    sources = [_the_rest(found, apart, without, gone, archives)]
    names: Counter[str] = Counter()
    for group in apart:
        names[group.kind] += 1
        name = f"{group.kind}-{names[group.kind]}" if names[group.kind] > 1 else group.kind
        why = f"{group.example or group.files[0].path} has the columns {listed(group.columns)}"
        why += "; its own word for the language is believed" if "language" in (group.fields or {}) else ""
        why += "".join(f"; {told}" for told in group.told[:MOST_TOLD])
        named = "auto" if group.kind == ARCHIVE else group.kind
        exclude = (*found.left_out, *group.exclude(found.inputs, gone))
        sources.append(Proposed(name, named, group.globs(), exclude, fields=group.fields or {}, why=why))
    read = [source for source in sources if reads_something(source, found)]
    if read and read[0] is not sources[0]:  # what it would have said of what is left out is said all the same
        read[0] = replace(read[0], why="; ".join(filter(None, (read[0].why, sources[0].why))))
    return read


def _told_apart(inputs: SourceInputs, groups: list[_Alike], gone: Sequence[LeftOut]) -> list[_Alike]:
    """Those groups that globs can name; the files of the others stay with the rest."""
    while True:
        placed = {file.path for group in groups for file in group.files}
        left = [group for group in groups if group.can_be_told_apart(inputs, gone, placed)]
        if len(left) == len(groups):
            return left
        groups = left


def reads_something(source: Proposed, found: Found) -> bool:
    """Whether a source is not empty; a run refuses one that is."""
    chosen = Selection(source.include, source.exclude)
    return any(chosen.wants(file.path) for file in found.read)


def _tables(found: Found, gone: Sequence[LeftOut]) -> Iterator[tuple[str, list[InputFile]]]:
    """The tables by kind, without what is left out."""
    paths = frozenset().union(*(one.paths for one in gone))
    for kind, files in sorted(found.tables.items()):
        if left := [file for file in files if file.path not in paths]:
            yield kind, left


def _globs_of(gone: Sequence[LeftOut]) -> tuple[str, ...]:
    return tuple(glob for one in gone for glob in one.globs)


def _the_rest(
    found: Found,
    apart: Sequence[_Alike],
    without: Sequence[_Alike],
    gone: Sequence[LeftOut],
    archives: Mapping[str, Within],
) -> Proposed:
    """The source of all that needs no fields, without what is another source or nothing to be read."""
    why = [*map(_without_text, without), *(one.told for one in gone), without_in_words(archives.values())]
    elsewhere = {file.path for group in apart for file in group.files}
    within = [glob for path, one in archives.items() if path not in elsewhere for glob in one.globs]
    out = (*found.left_out, *(glob for group in (*apart, *without) for glob in group.globs()))
    return Proposed("files", exclude=(*out, *_globs_of(gone), *within), why="; ".join(filter(None, why)))


def leave_out(found: Found, sources: Sequence[Proposed], archives: Sequence[str]) -> list[Proposed]:
    """The sources without some archives, which ``why`` then says; none of them that would then be empty."""
    without = [_without_archives(source, archives) if source.format == "auto" else source for source in sources]
    return [source for source in without if reads_something(source, found)]


def _without_archives(source: Proposed, archives: Sequence[str]) -> Proposed:
    chosen = Selection(source.include, source.exclude)
    own = [path for path in archives if chosen.wants(path)]
    if not own:
        return source
    told = f"{counted(len(own), 'archive')} without a text left out, such as {own[0]}"
    exclude = (*source.exclude, *map(escaped, own))
    return replace(source, exclude=exclude, why="; ".join(filter(None, (source.why, told))))


def _without_text(group: _Alike) -> str:
    files, first = counted(len(group.files), f"{group.kind} file"), group.files[0].path
    columns = listed(group.columns[:5]) if group.columns else "no record"
    return f"{files} without a text left out, such as {first} ({columns})"


def _alike(inputs: SourceInputs, kind: str, files: Sequence[InputFile]) -> Iterator[_Alike]:
    """Groups the tables of a kind by the fields that they need; of very many, the first speaks for all."""
    if len(files) > MOST_LOOKED_AT:
        fields, columns = text_fields(inputs, files[0])
        yield _Alike(kind, fields, list(files), columns, whole=True)
        return
    groups: dict[str, tuple[dict[str, str] | None, list[str], list[InputFile]]] = {}
    for file in files:
        fields, columns = text_fields(inputs, file)
        needed: dict[str, str] | None = fields if fields or not has_no_text(first_records(inputs, file)) else None
        groups.setdefault(repr(needed), (needed, columns, []))[2].append(file)
    for needed, columns, own in groups.values():
        yield _Alike(kind, needed, own, columns, whole=len(own) == len(files), folder=_folder_of(own, files))


def _folder_of(own: Sequence[InputFile], files: Sequence[InputFile]) -> str:
    """The deepest folder that holds several tables, where it holds no others of their kind, and all have endings."""
    folder = os.path.commonpath([file.path.rpartition("/")[0] for file in own])
    below = [file for file in files if file.path.startswith(f"{folder}/")]
    named = all("." in file.path.rsplit("/", 1)[-1] for file in own)
    return folder if len(own) > 1 and len(below) == len(own) and named else ""


def _within(found: Found, archive: InputFile) -> Within | None:
    return look_into(found.inputs, archive, _fields_if_text)


def _archives_alike(found: Found, archives: Mapping[str, Within]) -> list[_Alike]:
    """The archives whose tables need fields, by these."""
    groups: dict[str, list[tuple[InputFile, Within]]] = {}
    for file in found.archives:
        within = archives.get(file.path)
        if within is not None and within.fields:
            groups.setdefault(repr(within.fields), []).append((file, within))
    return [
        _Alike(
            ARCHIVE,
            alike[0][1].fields,
            [file for file, _ in alike],
            alike[0][1].columns,
            whole=False,
            example=alike[0][1].member,
            told=tuple(within.told for _, within in alike if within.told),
            without=tuple(glob for _, within in alike for glob in within.globs),
        )
        for alike in groups.values()
    ]


def _fields_if_text(first: FirstRecords) -> dict[str, str] | None:
    """The fields that a table needs; None where it has no text."""
    return fields_of(first) or (None if has_no_text(first) else {})


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
