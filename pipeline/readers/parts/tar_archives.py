"""Tar archives, compressed or not: every regular file in them is an input of its own (``archives``).

tarfile believes the numbers of a header, and its stream ends at the first that is wrong.  Here they are believed within
the archive alone, and a damaged header costs one region: up to the next one whose checksum is right.
"""

import tarfile
from collections.abc import Iterator
from typing import Any

from pipeline.base.errors import NO_RECORD_S_FAULT, in_words, raise_the_systems
from pipeline.readers.parts.archives import ERRORS, Member, MemberReader, leaves_archive, printable
from pipeline.readers.ranges import RangeReader
from pipeline.readers.records import INT64_MAX, Damaged, Item
from pipeline.readers.streams import Gap, Limits, chunks

MAX_HEADERS_OF_A_MEMBER = 16  # long names, attributes, each of which tarfile reads within the one before it
MAX_HEADER_BYTES = 1 << 20  # of a tar header's long name or extended attributes, which tarfile holds in memory
AFTER_THE_END = 8  # reads beyond the end of the data that tarfile makes of a sound archive, with a margin
# the end of the archive or of its data, and what is no fault of the archive
_NO_DAMAGE: tuple[type[Exception], ...] = (
    *(tarfile.EOFHeaderError, tarfile.EmptyHeaderError, tarfile.ReadError),  # type: ignore[attr-defined]
    *(MemoryError, *NO_RECORD_S_FAULT),
)


def read_tar(reader: RangeReader, path: str, limits: Limits, members: MemberReader) -> Iterator[Item]:
    """Items of a tar archive's members, in the archive's order; compressed or not.

    A damaged header is one damaged region, up to the next header whose checksum is right.
    """
    source = _File(chunks(reader, limits))
    damaged: list[int] = []
    members.total.consumed = reader.end - reader.start
    try:
        # ignore_zeros: tarfile would take a damaged header for the end of the archive, and say nothing
        with tarfile.open(fileobj=source, mode="r|", tarinfo=_headers(damaged), ignore_zeros=True) as archive:  # type: ignore[call-overload]
            for info in archive:
                yield from _bad_headers(path, damaged)
                if (reason := members.exhausted()) is not None:
                    yield Damaged(path, info.offset, None, "decompression_bomb", reason)
                    return
                yield from _tar_member(archive, info, path, members)
    except ERRORS as error:
        raise_the_systems(error)
        if source.gap is None and not damaged:
            yield Damaged(path, source.position, None, "corrupt_file", f"tar: {error}")
    yield from _bad_headers(path, damaged)
    if source.gap is not None:
        yield source.gap.damaged(path)


def _tar_member(archive: tarfile.TarFile, info: tarfile.TarInfo, path: str, members: MemberReader) -> Iterator[Item]:
    name = info.name
    if not name or leaves_archive(name):
        detail = name or "a member without a name"
        yield Damaged(f"{path}/{printable(name)}", info.offset, info.size, "unsafe_path", printable(detail))
    elif info.isfile() and members.wants(name):
        opened = archive.extractfile(info)
        # the holes of a sparse file are no bytes of the archive
        sparse: Any = info.sparse
        packed = info.size if sparse is None else min(sum(max(0, size) for _, size in sparse), INT64_MAX)
        if opened is not None:
            yield from members.read(Member(printable(name), packed, info.offset), opened)


def _headers(damaged: list[int]) -> type[tarfile.TarInfo]:
    """The class of a tar archive's headers, which notes where a run of damaged ones begins and ends.

    A header may describe the one behind it, so these are made within each other; what is wrong with any of them is
    said of the first, and reading goes on behind all that was taken for one of them.
    """
    open_headers = 0

    class Header(tarfile.TarInfo):
        @classmethod
        def fromtarfile(cls, archive: tarfile.TarFile) -> "Header":
            nonlocal open_headers
            stream: Any = archive.fileobj
            at = stream.tell()
            open_headers += 1
            try:
                if open_headers > MAX_HEADERS_OF_A_MEMBER:
                    raise _invalid(f"more than {MAX_HEADERS_OF_A_MEMBER} headers of one member")
                header: Header = _bounded(super().fromtarfile(archive), INT64_MAX)
                return header
            except _NO_DAMAGE:
                raise
            except Exception as error:  # whatever tarfile makes of a header's numbers is that header's damage
                if open_headers == 1:
                    damaged[:] = [damaged[0] if damaged else at, stream.tell()]
                    archive.offset = stream.tell() - tarfile.BLOCKSIZE  # from where it looks for the next one
                raise _invalid(in_words(error)) from error
            finally:
                open_headers -= 1

        @classmethod
        def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "Header":
            header = super().frombuf(buf, encoding, errors)
            bounded: Header = _bounded(header, MAX_HEADER_BYTES if header.type in _HELD_IN_MEMORY else INT64_MAX)
            return bounded

    return Header


def _bounded(header: Any, limit: int) -> Any:
    """The header.

    Raises:
        InvalidHeaderError: If the size that it states is none, or above a limit.
    """
    if not 0 <= header.size <= limit:
        raise _invalid(f"a member of {str(header.size)[:30]} bytes")
    return header


def _invalid(what: str) -> tarfile.TarError:
    error: tarfile.TarError = tarfile.InvalidHeaderError(what)  # type: ignore[attr-defined]
    return error


_HELD_IN_MEMORY = (
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
)


def _bad_headers(path: str, damaged: list[int]) -> Iterator[Damaged]:
    if damaged:
        start, end = damaged
        yield Damaged(path, start, end - start, "corrupt_file", "tar: no header where one should stand")
        damaged.clear()


class _File:
    """Chunks as the file object that ``tarfile`` reads a stream from; ``gap`` is set where they end in damage."""

    def __init__(self, data: Iterator[bytes | Gap]) -> None:
        self._data: Any = data
        self._buffer = b""
        self.position = 0
        self.gap: Gap | None = None
        self._after_the_end = 0

    def read(self, size: int) -> bytes:
        """The next bytes; fewer at the end.

        Raises:
            tarfile.ReadError: If it is asked again and again beyond the end, to pass over a member that is not there.
        """
        while len(self._buffer) < size:
            chunk = next(self._data, None)
            if isinstance(chunk, Gap):
                self.gap, chunk = chunk, None
                self._data = iter(())
            if chunk is None:
                break
            self._buffer += chunk
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        self.position += len(data)
        if not data:
            self._after_the_end += 1
            if self._after_the_end > AFTER_THE_END:
                raise tarfile.ReadError("the archive ends within a member")
        return data
