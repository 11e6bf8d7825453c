"""Folders that the library datasets leaves: its own files beside the data, and caches that hold the data once more.

A folder that ``save_to_disk`` wrote, and one of its cache, has ``dataset_info.json`` beside Arrow files.  What ``map``
made of them is cached beside them as ``cache-….arrow``: a second copy of every row.
"""

import re
from collections.abc import Iterable

LIBRARY_FILE, CACHED_COPY = "dataset_info", "dataset_cache"  # reasons of what is not read
_INFO = "dataset_info.json"
_OWN_FILES = frozenset({_INFO, "state.json"})
_OF_SEVERAL = "dataset_dict.json"  # beside the folders of its splits
_OF_A_REPOSITORY = "dataset_infos.json"  # on the hub, beside data of any format
_CACHE = re.compile(r"cache-[0-9a-f]{16}(?:_\d+_of_\d+)?\.arrow")


def library_files(paths: Iterable[str]) -> dict[str, str]:
    """The paths among those of a source that hold no data of their own, each with its reason.

    Example:
        >>> library_files(["d/data-00000-of-00001.arrow", "d/cache-0123456789abcdef.arrow", "d/dataset_info.json"])
        {'d/cache-0123456789abcdef.arrow': 'dataset_cache', 'd/dataset_info.json': 'dataset_info'}
    """
    folders: dict[str, list[str]] = {}
    for path in paths:
        folder, _, name = path.rpartition("/")
        folders.setdefault(folder, []).append(name)
    saved = {folder for folder, names in folders.items() if _INFO in names and any(map(_is_data, names))}
    found: dict[str, str] = {}
    for folder, names in folders.items():
        reasons = {name: reason for name in names if (reason := _reason(name)) is not None} if folder in saved else {}
        if any(place.rpartition("/")[0] == folder and place != folder for place in saved) and _OF_SEVERAL in names:
            reasons[_OF_SEVERAL] = LIBRARY_FILE
        if _OF_A_REPOSITORY in names:
            reasons[_OF_A_REPOSITORY] = LIBRARY_FILE
        found |= {f"{folder}/{name}" if folder else name: reason for name, reason in reasons.items()}
    return found


def _is_data(name: str) -> bool:
    return name.endswith(".arrow") and not _CACHE.fullmatch(name)


def _reason(name: str) -> str | None:
    if name in _OWN_FILES:
        return LIBRARY_FILE
    return CACHED_COPY if _CACHE.fullmatch(name) else None
