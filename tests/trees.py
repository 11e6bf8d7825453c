"""The files of a run folder with their bytes, to compare what two runs have written."""

from pathlib import Path

from pipeline.base import storage

OUTSIDE = (".lock", ".prefect", ".scratch", "logs")  # what may differ between two runs of one recipe


def tree(root: Path | str, *outside: str) -> dict[str, bytes]:
    """Every file below ``root`` by its path, but for OUTSIDE and the first folders named in ``outside``."""
    root = Path(root)
    files = {path.relative_to(root): path for path in sorted(root.rglob("*")) if path.is_file()}
    left_out = {*OUTSIDE, *outside}
    return {name.as_posix(): path.read_bytes() for name, path in files.items() if name.parts[0] not in left_out}


def objects(root: str) -> dict[str, bytes]:
    """Every file below a folder or an object store's prefix."""
    return {name: storage.read_bytes(storage.join(root, name)) for name in storage.list_files(root)}
