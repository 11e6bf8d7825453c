"""A folder of robots.txt files: read for the clean stage and for `tokenmill rights`."""

from collections.abc import Sequence

from pipeline.base import storage
from pipeline.base.errors import UserError
from pipeline.clean.facts.robots import Sites

NAMES = {"robots.txt": "robots", "tdmrep.json": "tdmrep"}


def files_of_sites(folder: str) -> dict[str, tuple[str, str]]:
    """Files of a folder: path -> host and kind. They are named HOST/robots.txt, HOST/tdmrep.json or HOST.txt.

    Raises:
        UserError: If there is no such folder, or none of its files is named so.
    """
    if not storage.is_folder(folder):
        raise UserError(f"robots: {folder}: no such folder; expected one with HOST/robots.txt or HOST.txt in it")
    found = {}
    for path in storage.list_files(folder):
        parts = path.split("/")
        if parts[-1].lower() in NAMES and len(parts) > 1:
            hosts = [part for part in parts[:-1] if part != ".well-known"]
            found[path] = (hosts[-1], NAMES[parts[-1].lower()])
        elif len(parts) == 1 and path.endswith(".txt") and "." in path.removesuffix(".txt"):
            found[path] = (path.removesuffix(".txt"), "robots")
    if not found:
        raise UserError(f"robots: {folder} holds no robots.txt; they are named HOST/robots.txt or HOST.txt")
    return found


def read_sites(folder: str | None, agents: Sequence[str]) -> Sites:
    """What the sites of a folder say; nothing where there is no folder."""
    sites = Sites(agents)
    for path, (host, kind) in sorted(files_of_sites(folder).items()) if folder else ():
        sites.add(host, kind, storage.read_bytes(storage.join(folder or "", path)).decode("utf-8", "replace"))
    return sites
