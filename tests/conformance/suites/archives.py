"""The archives that jwilk/traversal-archives describes, made here: members that would leave the archive, and links."""

import io
import stat
import tarfile
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass

from tests.conformance.cases import TEXT, Case, Check, Rows, Settings
from tests.conformance.suites import suite

MOO = TEXT.format(1)


@dataclass(frozen=True)
class Member:
    """A file, or a link to ``target``."""

    name: str
    target: str = ""
    unsafe: bool = False


KINDS = {
    "absolute1": (Member("/tmp/moo", unsafe=True),),
    "absolute2": (Member("//tmp/moo", unsafe=True),),
    "relative0": (Member("../moo", unsafe=True),),
    "relative2": (Member("tmp/../../moo", unsafe=True),),
    "symlink": (Member("moo", "/tmp/moo"), Member("moo")),
    "dirsymlink": (Member("tmp", "/tmp"), Member("tmp/moo")),
    "dirsymlink2a": (Member("cur", "."), Member("par", "cur/.."), Member("par/moo")),
    "dirsymlink2b": (Member("cur", "."), Member("cur/par", ".."), Member("par/moo")),
    "backslash": (Member("..\\..\\moo.txt", unsafe=True),),
    "drive": (Member("C:\\moo.txt", unsafe=True),),
    "link-to-text": (Member("link.txt", "../../../etc/passwd"), Member("ok.txt")),
}


@suite("traversal-archives")
def traversal() -> Iterator[Case]:
    """Each as ZIP and as tar."""
    for name, members in KINDS.items():
        yield Case("archives", f"{name}.zip", _zip(members), Settings(), _check(members))
        yield Case("archives", f"{name}.tar", _tar(members), Settings(), _check(members))


def _zip(members: tuple[Member, ...]) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w") as archive:
        warnings.simplefilter("ignore")  # a name twice
        for member in members:
            info = zipfile.ZipInfo(member.name)
            info.create_system = 3
            info.external_attr = (stat.S_IFLNK | 0o777 if member.target else stat.S_IFREG | 0o644) << 16
            archive.writestr(info, member.target or MOO)
    return buffer.getvalue()


def _tar(members: tuple[Member, ...]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for member in members:
            info = tarfile.TarInfo(member.name)
            if member.target:
                info.type, info.linkname = tarfile.SYMTYPE, member.target
            else:
                info.size = len(MOO)
            archive.addfile(info, None if member.target else io.BytesIO(MOO.encode()))
    return buffer.getvalue()


def _check(members: tuple[Member, ...]) -> Check:
    files = [member for member in members if not member.target]
    unsafe = sum(member.unsafe for member in files)

    def check(rows: Rows) -> Iterator[tuple[str, str, int]]:
        texts = [row["text"] for row in rows.documents]
        if (
            texts != [MOO] * (len(files) - unsafe)
            or [row["reason"] for row in rows.quarantined] != ["unsafe_path"] * unsafe
        ):
            kind = "SILENT" if rows.total < len(files) else "VALUE"
            detail = f"{len(files)} files, {unsafe} of them unsafe: {len(texts)} documents ({rows.reasons()})"
            yield kind, detail, max(0, len(files) - rows.total)

    return check
