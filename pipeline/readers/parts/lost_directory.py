"""ZIP archives whose directory is lost or damaged: members by the headers that stand before their data.

A download that broke off, or a disk that was full, costs an archive its end, where its directory stands.  Each member
also has a header of its own; a member that was cut, and what is no member, is told as one damaged region.
"""

import mmap
import struct
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.base.errors import raise_the_systems

HEADER, DESCRIPTOR = b"PK\x03\x04", b"PK\x07\x08"
HEADER_BYTES = 30
SIZES_FOLLOW, UTF8_NAME = 0x08, 0x800  # flags of a member
IN_EXTRA = 0xFFFFFFFF  # a size that is too large for its place, and stands in the extra field
ZIP64 = 1


@dataclass
class _Walk:
    """The members of an archive, from its first byte on."""

    data: mmap.mmap
    members: list[zipfile.ZipInfo] = field(default_factory=list)
    position: int = 0  # up to which members are known

    def run(self) -> None:
        """Goes from member to member, up to what is none, or to one that is cut."""
        while self.data[self.position : self.position + 4] == HEADER:
            if (following := self._member()) is None:
                return
            self.position = following

    def _member(self) -> int | None:
        """Adds the member that stands here; where the next one begins, or None where this one is cut."""
        fixed = self.data[self.position + 4 : self.position + HEADER_BYTES]
        if len(fixed) < HEADER_BYTES - 4:
            return None
        version, flags, method, _, _, crc, packed, size, name_bytes, extra_bytes = struct.unpack("<5H3L2H", fixed)
        start = self.position + HEADER_BYTES + name_bytes + extra_bytes
        name = self.data[self.position + HEADER_BYTES : start - extra_bytes]
        extra = self.data[start - extra_bytes : start]
        after = 0
        if IN_EXTRA in (packed, size):
            packed, size = _large_sizes(extra, packed, size)
        if flags & SIZES_FOLLOW and not packed:
            if (found := self._descriptor(start)) is None:
                return None
            crc, packed, size, after = found
        if start + packed > len(self.data):
            return None
        info = zipfile.ZipInfo(name.decode("utf-8" if flags & UTF8_NAME else "cp437", "replace"))
        info.header_offset, info.extract_version, info.flag_bits = self.position, version, flags
        info.compress_type, info.CRC, info.compress_size, info.file_size = method, crc, packed, size
        info.extra = extra
        self.members.append(info)
        return int(start + packed + after)

    def _descriptor(self, start: int) -> tuple[int, int, int, int] | None:
        """Checksum, sizes and own length of what follows a member that was written without knowing its size."""
        at = start
        while (at := self.data.find(DESCRIPTOR, at)) >= 0:
            for form in ("<3L", "<LQQ"):
                length = struct.calcsize(form)
                found = self.data[at + 4 : at + 4 + length]
                if len(found) == length:
                    crc, packed, size = struct.unpack(form, found)
                    if packed == at - start:
                        return int(crc), int(packed), int(size), 4 + length
            at += 1
        return None


def _large_sizes(extra: bytes, packed: int, size: int) -> tuple[int, int]:
    """Sizes of a member of 4 GiB or more."""
    while len(extra) >= 4:
        kind, length = struct.unpack("<HH", extra[:4])
        if kind == ZIP64 and length >= 16 and len(extra) >= 20:
            size, packed = struct.unpack("<QQ", extra[4:20])
            break
        extra = extra[4 + length :]
    return packed, size


class WalkedArchive(zipfile.ZipFile):
    """An archive that is opened without its directory.

    Attributes:
        known: Bytes from its beginning up to the end of the last whole member.
        cut: Whether what follows is a member that is cut.
    """

    known: int
    cut: bool

    def _RealGetContents(self) -> None:  # noqa: N802  where zipfile reads the directory
        file = self.fp
        assert file is not None, "a closed archive"
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            walk = _Walk(data)
            walk.run()
            self.known, self.cut = walk.position, data[walk.position : walk.position + 4] == HEADER
        self.start_dir = self.known
        self.filelist.extend(walk.members)
        self.NameToInfo.update((info.filename, info) for info in walk.members)


def walked(local: Path) -> WalkedArchive | None:
    """The archive, by its members' headers; None where it does not begin with a whole member."""
    try:
        archive = WalkedArchive(local)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise_the_systems(error)
        return None
    if archive.filelist:
        return archive
    archive.close()
    return None
