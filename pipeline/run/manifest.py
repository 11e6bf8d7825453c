"""Manifests: what decides that an output is done.

A shard's manifest is written last, after its outputs stand under their final names.  It records what defined them
(``logic_version``, ``config``, the digests of the ``inputs``) and what came out (``outputs`` with rows, bytes and
digest; ``counts``).  ``fingerprint`` is one hash of what defined them: present and equal means done.  Manifests hold no
time, host or absolute path: the same recipe and inputs give the same bytes.

``libraries`` stands beside the fingerprint, not in it: outputs made with another version are reported, and made again
only when asked.
"""

import hashlib
import importlib.metadata
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from platform import python_version
from typing import Any

from pipeline.base import storage
from pipeline.base.digests import digest, hasher
from pipeline.base.errors import FormatError
from pipeline.recipe.stage_names import in_order
from pipeline.run import layout

FORMAT = 1
MISSING = " is missing"  # how missing_output ends for a file that is not there
STAGE_MANIFEST_DIFFERS = "its stage manifest is not up to date"
AGAIN = "the next `tokenmill run` makes its shard again"


class DamagedManifestError(FormatError):
    """A manifest says nothing: it is damaged, or that of another shard.  A run makes its shard again."""


def digest_bytes(data: bytes) -> str:
    """BLAKE2b-128 of ``data``, hex."""
    return digest(data).hex()


def digest_file(path: Path) -> str:
    """BLAKE2b-128 of a file's bytes, hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, hasher).hexdigest()


def canonical_json(value: Any) -> str:
    """JSON with sorted keys: equal values give equal text."""
    return json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False) + "\n"


@cache
def library_versions(names: tuple[str, ...]) -> dict[str, str]:
    """Versions of the named distributions, and of Python."""
    return {"python": python_version(), **{name: importlib.metadata.version(name) for name in sorted(names)}}


def fingerprint(
    step: str, logic_version: int, config: Mapping[str, Any], inputs: Mapping[str, str], takedown: str = ""
) -> str:
    """Hash of everything that defines a shard's output but the library versions.

    ``takedown`` is the digest of the run's takedown.jsonl: what was taken down is part of what defines every output.
    """
    parts: list[Any] = [FORMAT, step, logic_version, config, inputs]
    return digest_bytes(canonical_json([*parts, takedown] if takedown else parts).encode())


@dataclass(frozen=True)
class Output:
    """One published file: path below the run folder, rows (None where it is no table), bytes and digest."""

    path: str
    bytes: int
    digest: str
    rows: int | None = None

    def __post_init__(self) -> None:
        if not layout.is_output(self.path):
            raise ValueError(f"it names {self.path!r}, which is no output of a run")


@dataclass(frozen=True)
class Manifest:
    """The record of one finished shard of one step."""

    step: str
    shard: str
    fingerprint: str
    logic_version: int
    config: dict[str, Any]
    inputs: dict[str, str]
    libraries: dict[str, str]
    outputs: list[Output]
    counts: dict[str, Any]
    # raw inputs as they were when they were read, by which clean recognises them; layouts of token shards
    read: dict[str, Any] = field(default_factory=dict)
    takedown: str = ""  # digest of takedown.jsonl when the outputs were made; empty, and left out, while there is none

    def to_bytes(self) -> bytes:
        """The manifest file."""
        values = {"format": FORMAT, **asdict(self)}
        if not self.takedown:
            del values["takedown"]
        return canonical_json(values).encode()

    @classmethod
    def from_bytes(cls, data: bytes, where: str) -> "Manifest":
        """Reads a manifest file.

        Raises:
            DamagedManifestError: If it is damaged.
            FormatError: If it is of another format.
        """
        try:
            values = json.loads(data)
            if values.pop("format") != FORMAT:
                raise FormatError(f"{where}: written by another version of tokenmill; delete it to rebuild its shard")
            values["outputs"] = [Output(**output) for output in values["outputs"]]
            made = cls(**values)
            if not all(isinstance(part, dict) for part in (made.config, made.inputs, made.counts, made.read)):
                raise ValueError("one of its parts is no JSON object")
            return made
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DamagedManifestError(f"{where}: damaged manifest ({error}); {AGAIN}") from error

    def digests(self, prefix: str = "") -> dict[str, str]:
        """Digest of each output whose path starts with ``prefix``."""
        return {output.path: output.digest for output in self.outputs if output.path.startswith(prefix)}

    def digest(self) -> str:
        """Digest of the manifest itself."""
        return digest_bytes(self.to_bytes())


def manifest_url(root: str, step: str, shard: str) -> str:
    """URL of a shard's manifest."""
    return storage.join(root, layout.shard_manifest(step, shard))


def load_manifest(root: str, step: str, shard: str) -> Manifest | None:
    """The manifest of one shard, or None.

    Raises:
        DamagedManifestError: If it is damaged, or that of another shard.
        FormatError: If it is of another format.
    """
    url = manifest_url(root, step, shard)
    try:
        found = Manifest.from_bytes(storage.read_bytes(url), url)
    except FileNotFoundError:
        return None
    if (found.step, found.shard) != (step, shard):  # what it lists is another shard's, not to be removed for this one
        raise DamagedManifestError(
            f"{url}: damaged manifest (it is of {found.step} {found.shard}: moved or copied by hand); {AGAIN}"
        )
    return found


def sound_manifest(root: str, step: str, shard: str) -> Manifest | None:
    """The manifest of one shard; None where there is none, or a damaged one, whose shard is made again.

    Raises:
        FormatError: If it is of another format: that is no damage.
    """
    try:
        return load_manifest(root, step, shard)
    except DamagedManifestError:
        return None


def shards_of(root: str, step: str) -> list[str]:
    """Names of the shards of a step that have a manifest, whatever is in it."""
    names = storage.list_files(storage.join(root, layout.step_manifests(step)), ".json")
    return [name.removesuffix(".json") for name in names]


def load_manifests(root: str, step: str) -> dict[str, Manifest]:
    """Every shard manifest of a step, by shard name in order."""
    return {shard: found for shard in shards_of(root, step) if (found := load_manifest(root, step, shard)) is not None}


def missing_output(root: str, manifest: Manifest) -> str | None:
    """The first output that is absent or of another size, in words; None when all stand."""
    for output in manifest.outputs:
        found = storage.size(storage.join(root, output.path))
        if found is None:
            return f"{output.path}{MISSING}"
        if found != output.bytes:
            return f"{output.path} has {found:,} bytes, its manifest says {output.bytes:,}"
    return None


def total_counts(manifests: Iterable[Manifest]) -> dict[str, int]:
    """Sums the integer counts over shards; nested counts get dotted names."""
    totals: dict[str, int] = {}
    for manifest in manifests:
        for name, value in _flat(manifest.counts):
            totals[name] = totals.get(name, 0) + value
    return dict(sorted(totals.items()))


def _flat(counts: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, int]]:
    for name, value in counts.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        elif isinstance(value, int):
            yield f"{prefix}{name}", value


def stage_manifest_bytes(step: str, manifests: Mapping[str, Manifest]) -> bytes:
    """The step's summary file ``manifests/<step>.json``: its shards with their digests, and the summed counts."""
    return canonical_json(
        {
            "format": FORMAT,
            "step": step,
            "shards": {shard: manifest.digest() for shard, manifest in manifests.items()},
            "outputs": sum(len(manifest.outputs) for manifest in manifests.values()),
            "bytes": sum(output.bytes for manifest in manifests.values() for output in manifest.outputs),
            "counts": total_counts(manifests.values()),
        }
    ).encode()


def stage_manifest_stands(root: str, step: str, made: Mapping[str, Manifest]) -> bool:
    """Whether ``manifests/<step>.json`` says what the manifests of the step's shards say."""
    try:
        found = storage.read_bytes(storage.join(root, layout.stage_manifest(step)))
    except FileNotFoundError:
        return False
    return found == stage_manifest_bytes(step, made)


def write_stage_manifest(root: str, step: str, made: Mapping[str, Manifest]) -> None:
    """Publishes ``manifests/<step>.json``."""
    url = storage.join(root, layout.stage_manifest(step))
    storage.publish_bytes(stage_manifest_bytes(step, made), url, root)


def steps_of(root: str) -> list[str]:
    """Every step that has manifests, in the order of the data path."""
    names = storage.list_files(storage.join(root, layout.MANIFESTS), ".json")
    return in_order({name.split("/")[0].removesuffix(".json") for name in names})
