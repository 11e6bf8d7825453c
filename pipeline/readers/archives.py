"""ZIP and tar archives: every regular file in them is an input of its own, named ``archive.zip/inner/name``.

Formats that are read from front to back stream out of the archive.  WARC, Parquet, Arrow and compressed members, which
need to seek, go through a temporary file.  A member whose path leaves the archive is damaged; links and devices are
passed over.
"""

import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any

from pipeline.readers.formats import ARCHIVES, COMPRESSION_SUFFIXES, STREAMED, format_of_bytes, format_of_name
from pipeline.readers.records import Damaged, Excluded, Item
from pipeline.readers.streams import CHUNK_BYTES, Budget, Gap, Limits, RangeReader, chunks, decompression_errors

# (chunks, path, format) and (file, path, format) -> items
ReadStream = Callable[[Iterator[bytes | Gap], str, str], Iterator[Item]]
ReadFile = Callable[[Path, str, str], Iterator[Item]]


class MemberReader:
    """Reads the members of one archive.

    Args:
        path: The archive's path, which begins the members' paths.
        named_format: The recipe's format, or ``auto``.
        limits: Bounds of what a member may become.
        read_stream: Reads a member from front to back.
        read_file: Reads a member from a file.
    """

    def __init__(
        self, path: str, named_format: str, limits: Limits, read_stream: ReadStream, read_file: ReadFile
    ) -> None:
        self.path, self.limits = path, limits
        self.named_format = "auto" if named_format in ARCHIVES else named_format  # of the members
        self._read_stream, self._read_file = read_stream, read_file

    def read(self, name: str, opened: IO[bytes], packed_bytes: int, offset: int) -> Iterator[Item]:
        """Items of one member.

        Args:
            name: Its name in the archive.
            opened: Its data.
            packed_bytes: Its size in the archive, for the ratio.
            offset: Where its header stands in the archive.
        """
        path = f"{self.path}/{name}"
        head = opened.read(CHUNK_BYTES)
        kind = self._format(name, head)
        if kind in ARCHIVES:
            yield Excluded(path, offset, "nested_archive", kind)
            return
        data = self._chunks(head, opened, packed_bytes, offset)
        if kind in STREAMED and not name.lower().endswith(COMPRESSION_SUFFIXES):
            yield from self._read_stream(data, path, kind)
        else:
            yield from self._through_file(data, path, kind)

    def _format(self, name: str, head: bytes) -> str:
        by_name = format_of_name(name)
        if by_name in ARCHIVES or (self.named_format == "auto" and by_name is not None):
            return str(by_name)
        return format_of_bytes(head) if self.named_format == "auto" else self.named_format

    def _chunks(self, head: bytes, opened: IO[bytes], packed_bytes: int, offset: int) -> Iterator[bytes | Gap]:
        budget = Budget(self.limits)
        budget.consumed = packed_bytes
        data = head
        while data:
            budget.produced += len(data)
            if (bomb := budget.exceeded()) is not None:
                yield Gap(offset, packed_bytes, "decompression_bomb", bomb, b"", final=True)
                return
            yield data
            try:
                data = opened.read(CHUNK_BYTES)
            except ERRORS as error:
                yield Gap(offset, packed_bytes, "corrupt_compression", str(error), b"", final=True)
                return

    def _through_file(self, data: Iterator[bytes | Gap], path: str, kind: str) -> Iterator[Item]:
        with tempfile.NamedTemporaryFile(prefix="tokenmill-member-") as file:
            for chunk in data:
                if isinstance(chunk, Gap):
                    yield chunk.damaged(path)
                    return
                file.write(chunk)
            file.flush()
            yield from self._read_file(Path(file.name), path, kind)


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


def _hidden(name: str) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(name).parts)


def read_zip(local: Path, path: str, members: MemberReader) -> Iterator[Item]:
    """Items of a ZIP archive's members, in the archive's order."""
    try:
        archive = zipfile.ZipFile(local)
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        yield Damaged(path, 0, None, "corrupt_file", f"zip: {error}")
        return
    with archive:
        for info in archive.infolist():
            name, where = info.filename, max(0, info.header_offset)  # of a damaged directory it may be negative
            if leaves_archive(name):
                yield Damaged(f"{path}/{_printable(name)}", where, info.compress_size, "unsafe_path", name)
                continue
            if info.is_dir() or _hidden(name):
                continue
            try:
                with archive.open(info) as opened:
                    yield from members.read(_printable(name), opened, info.compress_size, where)
            except ERRORS as error:
                reason = "encrypted" if info.flag_bits & 1 else "corrupt_compression"
                yield Damaged(f"{path}/{_printable(name)}", where, info.compress_size, reason, str(error))


def read_tar(reader: RangeReader, path: str, limits: Limits, members: MemberReader) -> Iterator[Item]:
    """Items of a tar archive's members, in the archive's order; compressed or not.

    A damaged header is one damaged region, up to the next header whose checksum is right.
    """
    source = _File(chunks(reader, limits))
    damaged: list[int] = []
    try:
        # ignore_zeros: tarfile would take a damaged header for the end of the archive, and say nothing
        with tarfile.open(fileobj=source, mode="r|", tarinfo=_headers(damaged), ignore_zeros=True) as archive:  # type: ignore[call-overload]
            for info in archive:
                yield from _bad_headers(path, damaged)
                name = info.name
                if leaves_archive(name):
                    yield Damaged(f"{path}/{_printable(name)}", info.offset, info.size, "unsafe_path", name)
                elif info.isfile() and not _hidden(name):
                    opened = archive.extractfile(info)
                    if opened is not None:
                        yield from members.read(_printable(name), opened, info.size, info.offset)
    except ERRORS as error:
        if source.gap is None and not damaged:
            yield Damaged(path, source.position, None, "corrupt_file", f"tar: {error}")
    yield from _bad_headers(path, damaged)
    if source.gap is not None:
        yield source.gap.damaged(path)


def _headers(damaged: list[int]) -> type[tarfile.TarInfo]:
    """The class of a tar archive's headers, which notes where a run of damaged ones begins and ends."""

    class Header(tarfile.TarInfo):
        @classmethod
        def fromtarfile(cls, archive: tarfile.TarFile) -> "Header":
            at = archive.offset
            try:
                return super().fromtarfile(archive)
            except (tarfile.InvalidHeaderError, tarfile.TruncatedHeaderError):  # type: ignore[attr-defined]
                damaged[1:] = [at]
                raise

    return Header


def _bad_headers(path: str, damaged: list[int]) -> Iterator[Damaged]:
    if damaged:
        length = damaged[-1] + tarfile.BLOCKSIZE - damaged[0]
        yield Damaged(path, damaged[0], length, "corrupt_file", "tar: no header where one should stand")
        damaged.clear()


def _printable(name: str) -> str:
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


class _File:
    """Chunks as the file object that ``tarfile`` reads a stream from; ``gap`` is set where they end in damage."""

    def __init__(self, data: Iterator[bytes | Gap]) -> None:
        self._data: Any = data
        self._buffer = b""
        self.position = 0
        self.gap: Gap | None = None

    def read(self, size: int) -> bytes:
        """The next bytes; fewer at the end."""
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
        return data
