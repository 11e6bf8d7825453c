"""ZIP archives, and what tar archives share with them: every regular file is an input of its own, ``a.zip/inner/name``.

Formats that are read from front to back stream out of the archive.  WARC, Parquet, Arrow and compressed members, which
need to seek, go through a temporary file.  A member whose path leaves the archive is damaged; links and devices are
passed over.  A second member of one name is named ``inner/name@offset``, by where its header stands.

Numbers of an archive are believed within the archive alone.  What all its members become together has one budget; after
that, or after too many members that were refused, the rest of the archive is one damaged region.
"""

import stat
import struct
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO

from pipeline.base.errors import in_words, naming, raise_the_systems
from pipeline.readers.parts.formats import (
    ARCHIVES,
    BINARY,
    COMPRESSION_SUFFIXES,
    STREAMED,
    binary_kind,
    format_of_bytes,
    format_of_name,
)
from pipeline.readers.parts.lost_directory import WalkedArchive, walked
from pipeline.readers.raw.compression import decompression_errors
from pipeline.readers.records import INT64_MAX, Damaged, Excluded, Item, unsupported
from pipeline.readers.streams import CHUNK_BYTES, RATIO_GRACE_BYTES, Budget, Gap, Limits
from pipeline.recipe.globs import Members

# (chunks, path, format) and (file, path, format) -> items
ReadStream = Callable[[Iterator[bytes | Gap], str, str], Iterator[Item]]
ReadFile = Callable[[Path, str, str], Iterator[Item]]
MAX_REFUSED = 16  # members of an archive that are bombs, each of which costs work
DESCRIPTOR_BYTES = 24  # that may follow a ZIP member's data


@dataclass(frozen=True)
class Member:
    """One regular file of an archive, as its header describes it.

    Args:
        name: As it can be shown.
        packed_bytes: Its size in the archive, for the ratio.
        offset: Where its header stands in the archive.
    """

    name: str
    packed_bytes: int
    offset: int


@dataclass
class MemberReader:
    """Reads the members of one archive.

    Args:
        path: The archive's path, which begins the members' paths.
        named_format: The recipe's format, or ``auto``.
        limits: Bounds of what a member, and all of them together, may become.
        read_stream: Reads a member from front to back.
        read_file: Reads a member from a file.
        selection: Which members the recipe wants; None: all.
    """

    path: str
    named_format: str
    limits: Limits
    read_stream: ReadStream
    read_file: ReadFile
    selection: Members | None = None
    refused: int = 0  # members that were bombs
    _seen: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        if self.named_format in ARCHIVES:
            self.named_format = "auto"  # of the members
        self.total = Budget(self.limits)

    def read(self, member: Member, opened: IO[bytes]) -> Iterator[Item]:
        """Items of one member, whose data ``opened`` gives."""
        path = self.path_of(member)
        head = opened.read(CHUNK_BYTES)
        kind = self._format(member.name, head)
        if kind in ARCHIVES:
            yield Excluded(path, member.offset, "nested_archive", kind)
            return
        if kind == BINARY:
            yield Excluded(path, member.offset, unsupported(binary_kind(head)))
            return
        data = self._chunks(head, opened, member)
        if kind in STREAMED and not member.name.lower().endswith(COMPRESSION_SUFFIXES):
            yield from self.read_stream(data, path, kind)
        else:
            yield from self._through_file(data, path, kind)

    def wants(self, name: str) -> bool:
        """Whether a member is to be read; what is not is counted nowhere, as a file that the recipe leaves out."""
        return not is_hidden(name) and (self.selection is None or self.selection.wants(self.path, printable(name)))

    def path_of(self, member: Member) -> str:
        """The path of a member's records; another one for a second member of the same name."""
        name = member.name if member.name not in self._seen else f"{member.name}@{member.offset}"
        self._seen.add(name)
        return f"{self.path}/{name}"

    def exhausted(self) -> str | None:
        """Why no more of the archive is read, in words; None while it is."""
        if self.refused >= MAX_REFUSED:
            return f"{self.refused} members beyond max_decompression_ratio = {self.limits.ratio:g}"
        bomb = self.total.exceeded()
        return None if bomb is None else f"its members together: {bomb}"

    def _format(self, name: str, head: bytes) -> str:
        by_name = format_of_name(name)
        if by_name in ARCHIVES or (self.named_format == "auto" and by_name is not None):
            return str(by_name)
        return format_of_bytes(head) if self.named_format == "auto" else self.named_format

    def _chunks(self, head: bytes, opened: IO[bytes], member: Member) -> Iterator[bytes | Gap]:
        budget = Budget(self.limits)
        budget.consumed = member.packed_bytes
        data = head
        while data:
            budget.produced += len(data)
            self.total.produced += len(data)
            if (bomb := budget.exceeded()) is not None:
                self.refused += 1
                self.total.produced -= budget.produced  # it costs itself; how many may is counted
                yield Gap(member.offset, member.packed_bytes, "decompression_bomb", bomb, b"", final=True)
                return
            yield data
            try:
                data = opened.read(CHUNK_BYTES)
            except ERRORS as error:
                raise_the_systems(error)
                yield Gap(member.offset, member.packed_bytes, "corrupt_compression", str(error), b"", final=True)
                return

    def _through_file(self, data: Iterator[bytes | Gap], path: str, kind: str) -> Iterator[Item]:
        with tempfile.NamedTemporaryFile(prefix="tokenmill-member-") as file:
            for chunk in data:
                if isinstance(chunk, Gap):
                    yield chunk.damaged(path)
                    return
                with naming(file.name):
                    file.write(chunk)
            with naming(file.name):
                file.flush()
            yield from self.read_file(Path(file.name), path, kind)


ERRORS: tuple[type[Exception], ...] = (
    *decompression_errors(),
    zipfile.BadZipFile,
    NotImplementedError,
    RuntimeError,
    tarfile.TarError,
)


def leaves_archive(name: str) -> bool:
    """True for a member name that is absolute or steps out with ``..``.

    Example:
        >>> [leaves_archive(name) for name in ("a/b.txt", "../x", "/etc/passwd", "a/../../b")]
        [False, True, True, True]
    """
    plain = name.replace("\\", "/")
    return plain.startswith("/") or plain[1:3] == ":/" or ".." in PurePosixPath(plain).parts


def is_hidden(name: str) -> bool:
    """True for a member that is, or lies in, what begins with a dot, or that macOS adds."""
    return any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(name).parts)


def read_zip(local: Path, path: str, members: MemberReader) -> Iterator[Item]:
    """Items of a ZIP archive's members, in the archive's order."""
    size = local.stat().st_size
    try:
        archive = _opened(local)
    except Exception as error:  # noqa: BLE001  whatever a damaged directory makes of zipfile is the archive's damage
        raise_the_systems(error)
        found = walked(local)
        if found is None:
            yield Damaged(path, 0, size, "corrupt_file", f"zip: {in_words(error)}")
            return
        with found:
            yield from _zip_members(found, local, path, members)
            yield _lost_end(found, size, path, error)
        return
    with archive:
        yield from _zip_members(archive, local, path, members)


def _opened(local: Path) -> zipfile.ZipFile:
    """The archive, by the directory at its end.

    Raises:
        BadZipFile: If that is none, or of an archive that lies within a member of this one, whose own end is lost.
    """
    archive = zipfile.ZipFile(local)
    first = min((info.header_offset for info in archive.infolist()), default=0)
    if first > 0 and (found := walked(local)) is not None:
        with found:
            if found.cut and found.known < first:
                archive.close()
                raise zipfile.BadZipFile("its last directory is that of an archive within its last member")
    return archive


def _lost_end(archive: WalkedArchive, size: int, path: str, error: Exception) -> Damaged:
    """The item for the lost directory of an archive, and for the member that is cut with it."""
    what = "a member that is cut" if archive.cut else "no directory"
    detail = f"zip: {in_words(error)}; {len(archive.filelist):,} members were read by their own headers, then {what}"
    left = size - archive.known
    return Damaged(path, archive.known, left, "truncated" if archive.cut else "corrupt_file", detail, lost=left)


def _zip_members(archive: zipfile.ZipFile, local: Path, path: str, members: MemberReader) -> Iterator[Item]:
    size = local.stat().st_size
    members.total.consumed = size
    infos = archive.infolist()
    if (bomb := _claims_too_much(infos, size, members.limits)) is not None:
        yield Damaged(path, 0, size, "decompression_bomb", bomb)
        return
    free, overlapping = _apart(infos, archive.start_dir)
    for info in free:
        where = min(max(0, info.header_offset), size)  # a damaged directory may say anything
        if (reason := members.exhausted()) is not None:
            yield Damaged(path, where, size - where, "decompression_bomb", reason)
            return
        yield from _zip_member(archive, info, where, path, members)
    yield from _between(local, infos, archive.start_dir, path)
    if overlapping:
        names = ", ".join(printable(info.filename) for info in overlapping[:3])
        detail = f"zip: {len(overlapping):,} members of its directory lie on others, such as {names}"
        yield Damaged(path, overlapping[0].header_offset, None, "corrupt_file", detail)


def _zip_member(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, where: int, path: str, members: MemberReader
) -> Iterator[Item]:
    name = info.filename
    if not name or leaves_archive(name):
        detail = name or "a member without a name"
        inner, packed = f"{path}/{printable(name)}", info.compress_size
        yield Damaged(inner, where, packed, "unsafe_path", detail, lost=packed)
        return
    if name.endswith("/") or stat.S_ISLNK(info.external_attr >> 16) or not members.wants(name):
        return
    if not info.flag_bits & 1 and info.compress_type not in ZIP_METHODS:
        yield Excluded(f"{path}/{printable(name)}", where, unsupported(f"zip method {info.compress_type}"))
        return
    try:
        with archive.open(info) as opened:
            yield from members.read(Member(printable(name), max(0, info.compress_size), where), opened)
    except ERRORS as error:
        raise_the_systems(error)
        reason = "encrypted" if info.flag_bits & 1 else "corrupt_compression"
        inner = f"{path}/{printable(name)}"
        yield Damaged(inner, where, info.compress_size, reason, in_words(error), lost=info.compress_size)


ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)


def _claims_too_much(infos: list[zipfile.ZipInfo], size: int, limits: Limits) -> str | None:
    """In words, that an archive whose members lie on each other would become too much; None for any other one."""
    total = sum(min(max(info.file_size, 0), INT64_MAX) for info in infos)
    places = {info.header_offset for info in infos}
    if len(places) == len(infos) or total <= max(RATIO_GRACE_BYTES, limits.ratio * size):
        return None
    return (
        f"{len(infos):,} members lie in {len(places):,} places and would become {total:,} bytes, ratio "
        f"{total / size:,.0f}, more than max_decompression_ratio = {limits.ratio:g}"
    )


def _between(local: Path, infos: list[zipfile.ZipInfo], end: int, path: str) -> Iterator[Item]:
    """An item for what stands before the first member, and for each region between members that no entry names."""
    position = 0
    with open(local, "rb") as file:
        for info in sorted(infos, key=lambda entry: entry.header_offset):
            start = info.header_offset
            if not position <= start <= end:
                continue
            if position == 0 and start:
                yield Excluded(path, 0, unsupported("bytes before an archive"), length=start)
            elif start - position > DESCRIPTOR_BYTES:
                yield _unnamed(path, position, start - position)
            file.seek(start + zipfile.sizeFileHeader - 4)  # type: ignore[attr-defined]
            lengths = file.read(4)
            if len(lengths) == 4:
                start += sum(struct.unpack("<HH", lengths))
            position = start + zipfile.sizeFileHeader + max(0, info.compress_size)  # type: ignore[attr-defined]
    if position and end - position > DESCRIPTOR_BYTES:
        yield _unnamed(path, position, end - position)


def _unnamed(path: str, start: int, length: int) -> Damaged:
    detail = f"zip: {length:,} bytes that no entry of the directory names"
    return Damaged(path, start, length, "unread_bytes", detail, lost=length)


def _apart(infos: list[zipfile.ZipInfo], end: int) -> tuple[list[zipfile.ZipInfo], list[zipfile.ZipInfo]]:
    """The members that lie on no other one, in the directory's order, and those that lie on one before them."""
    taken = 0
    free, overlapping = set(), []
    for number, info in sorted(enumerate(infos), key=lambda entry: (entry[1].header_offset, entry[0])):
        stops = info.header_offset + zipfile.sizeFileHeader + max(0, info.compress_size)  # type: ignore[attr-defined]
        if info.header_offset < taken:
            overlapping.append(info)
            continue
        free.add(number)
        if stops <= end:  # one that goes beyond the members has a damaged size, and hides none
            taken = stops
    return [info for number, info in enumerate(infos) if number in free], overlapping


def printable(name: str) -> str:
    """A name that a table can hold: bytes and lone surrogates that are no text become escapes."""
    raw = "".join(c if not "\ud800" <= c <= "\udfff" or "\udc80" <= c <= "\udcff" else f"\\u{ord(c):04x}" for c in name)
    return raw.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
