"""What earlier commands have written into a folder that is read now: outputs of ``dedup run``, and run folders.

An output's records are copies of others, its tables are about records: read with the folder around it, each would be a
duplicate or damage.  So the whole output is left out there; of one that is named itself, only the tables are.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline.base import storage
from pipeline.base.errors import parse_json
from pipeline.readers.parts.inputs import InputFile, source_root
from pipeline.run import layout

KEPT, REMOVED_FILE, CLUSTERS_FILE, QUARANTINE_FILE, SUMMARY = (
    "kept",
    "removed.arrow",
    "clusters.arrow",
    "quarantine.arrow",
    "summary.json",
)
NAMES = (SUMMARY, KEPT, REMOVED_FILE, CLUSTERS_FILE, QUARANTINE_FILE)
TABLES = (SUMMARY, REMOVED_FILE, CLUSTERS_FILE, QUARANTINE_FILE)
OWN_OUTPUT = "output of an earlier dedup run"
OWN_RUN = "run folder"


def own_outputs(paths: Sequence[str], files: Sequence[InputFile]) -> dict[str, str]:
    """Which of the files found are left out, and why, by their URLs.

    Args:
        paths: The INPUT arguments, absolute.
        files: What was found there.
    """
    if not all(storage.is_local(path) for path in paths):
        return {}
    urls = {file.url for file in files}
    named = {os.path.normpath(source_root([path])) for path in paths}
    left_out: dict[str, str] = {}
    for folder, why in output_folders(urls):
        inside = f"{folder}/"
        if os.path.normpath(folder) not in named:
            left_out |= {url: why for url in urls if url.startswith(inside)}
        elif why == OWN_OUTPUT:
            left_out |= {f"{inside}{name}": why for name in TABLES}
    return {url: why for url, why in left_out.items() if url in urls}


def output_folders(urls: set[str]) -> Iterator[tuple[str, str]]:
    """Folders among the files that an earlier command has made."""
    for url in sorted(urls):
        folder, _, name = url.rpartition("/")
        if name == SUMMARY and f"{folder}/{REMOVED_FILE}" in urls and _is_summary(Path(url)):
            yield folder, OWN_OUTPUT
        elif name == layout.RECIPE and (Path(folder) / layout.MANIFESTS).is_dir():
            yield folder, OWN_RUN


def _is_summary(path: Path) -> bool:
    try:
        found = parse_json(path.read_bytes())
    except (PermissionError, ValueError):  # one that may not be read is an input that its reader refuses
        return False
    return isinstance(found, dict) and {"records_in", "records_kept"} <= set(found)
