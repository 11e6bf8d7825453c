"""Manifests: what decides that an output is done.

A shard's manifest is written last, after its outputs stand under their final names.  It records what defined them
(``logic_version``, ``config``, the digests of the ``inputs``) and what came out (``outputs`` with rows, bytes and
digest; ``counts``).  ``fingerprint`` is one hash of what defined them: present and equal means done.  Manifests hold no
time, host or absolute path: the same recipe and inputs give the same bytes.

A manifest is opened by ``load_manifest`` alone.  It must be of the step and shard that its name says, name outputs that
such a shard can have, and be the one that the finished step has recorded (``pipeline/run/step_digests.py``).

``libraries`` stands beside the fingerprint, not in it: outputs made with another version are reported, and made again
only when asked.
"""

import hashlib
import importlib.metadata
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from functools import cache, cached_property
from pathlib import Path
from platform import python_version
from types import MappingProxyType
from typing import Any

from pipeline.base import storage
from pipeline.base.digests import digest, hasher
from pipeline.base.errors import FormatError, parse_json
from pipeline.recipe.stage_names import in_order
from pipeline.run import layout, step_digests

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
        values = {part.name: getattr(self, part.name) for part in fields(self)}
        values |= {"format": FORMAT, "outputs": [vars(output) for output in self.outputs]}
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
            values = parse_json(data)
            if values.pop("format") != FORMAT:
                raise FormatError(f"{where}: written by another version of tokenmill; delete it to rebuild its shard")
            values["outputs"] = [Output(**output) for output in values["outputs"]]
            made = cls(**values)
            if not all(isinstance(part, dict) for part in (made.config, made.inputs, made.counts, made.read)):
                raise ValueError("one of its parts is no JSON object")
            made._check_outputs()
            return made
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DamagedManifestError(f"{where}: damaged manifest ({error}); {AGAIN}") from error

    def _check_outputs(self) -> None:
        """Asks whether this shard may have these outputs: what it names is read, and removed when it is made again."""
        for output in self.outputs:
            if not layout.is_output_of(self.step, self.shard, output.path):
                raise ValueError(f"it names {output.path!r}, which is no output of {self.step} {self.shard}")

    def digests(self, prefix: str = "") -> dict[str, str]:
        """Digest of each output whose path starts with ``prefix``."""
        return {output.path: output.digest for output in self.outputs if output.path.startswith(prefix)}

    def digest(self) -> str:
        """Digest of the manifest itself."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        return digest_bytes(self.to_bytes())


def manifest_url(root: str, step: str, shard: str) -> str:
    """URL of a shard's manifest."""
    return storage.join(root, layout.shard_manifest(step, shard))


def load_manifest(root: str, step: str, shard: str, named: Mapping[str, str] | None = None) -> Manifest | None:
    """The manifest of one shard, or None.

    Args:
        root: The run folder.
        step: The step.
        shard: The shard.
        named: What ``named_shards`` says of the step, where several of its manifests are opened.

    Raises:
        DamagedManifestError: If it is damaged, that of another shard, or not the one that the step was finished with.
        FormatError: If it is of another format.
    """
    read = _read_manifest(root, step, shard)
    if read is None:
        return None
    found, written = read
    named = named_shards(root, step) if named is None else named
    if named is not ANY and named.get(shard) != written:
        raise DamagedManifestError(
            f"{manifest_url(root, step, shard)}: damaged manifest (not the one that {step} was finished with, as "
            f"{layout.STEP_DIGESTS} has it: changed, or from another copy of the run); {AGAIN}"
        )
    return found


def _read_manifest(root: str, step: str, shard: str) -> tuple[Manifest, str] | None:
    """A manifest, and the digest of its file."""
    url = manifest_url(root, step, shard)
    data = storage.read_if_there(url)
    if data is None:
        return None
    found = Manifest.from_bytes(data, url)
    if (found.step, found.shard) != (step, shard):  # what it lists is another shard's, not to be removed for this one
        raise DamagedManifestError(
            f"{url}: damaged manifest (it is of {found.step} {found.shard}: moved or copied by hand); {AGAIN}"
        )
    return found, digest_bytes(data)


ANY: Mapping[str, str] = MappingProxyType({})  # of a step that is not finished: any manifest may be there


def named_shards(root: str, step: str) -> Mapping[str, str]:
    """Shard -> digest of its manifest, as the step was finished with; ``ANY`` where it is not, or does not say.

    A step's own manifest that is not the recorded one is of no use.  The manifests of its shards are then asked whether
    together they give the recorded one; where they do not, none of them counts.
    """
    expected = (step_digests.recorded(root) or {}).get(step)
    if expected is None:
        return ANY
    data = storage.read_if_there(storage.join(root, layout.stage_manifest(step)))
    if data is not None and digest_bytes(data) == expected:
        return {str(shard): str(found) for shard, found in parse_json(data)["shards"].items()}
    made: dict[str, Manifest] = {}
    for shard in shards_of(root, step):
        try:
            made |= {shard: read[0]} if (read := _read_manifest(root, step, shard)) else {}
        except DamagedManifestError:
            return {}
    same = digest_bytes(stage_manifest_bytes(step, made)) == expected
    return {shard: found.digest() for shard, found in made.items()} if same else {}


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
    named = named_shards(root, step)
    loaded = {shard: load_manifest(root, step, shard, named) for shard in shards_of(root, step)}
    return {shard: found for shard, found in loaded.items() if found is not None}


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
    """Whether ``manifests/<step>.json`` says what the manifests of the step's shards say, and is recorded.

    A run that records no digests was made before there were any, and is as finished as it was.
    """
    data = stage_manifest_bytes(step, made)
    if storage.read_if_there(storage.join(root, layout.stage_manifest(step))) != data:
        return False
    known = step_digests.recorded(root)
    return known is None or known.get(step) == digest_bytes(data)


def write_stage_manifest(root: str, step: str, made: Mapping[str, Manifest]) -> None:
    """Publishes ``manifests/<step>.json``, then records its digest: the step is finished."""
    data = stage_manifest_bytes(step, made)
    url = storage.join(root, layout.stage_manifest(step))
    if storage.read_if_there(url) != data:
        step_digests.forget(root, step)
        storage.publish_bytes(data, url, root)
    step_digests.record(root, step, digest_bytes(data))


def steps_of(root: str) -> list[str]:
    """Every step that has manifests, in the order of the data path."""
    names = storage.list_files(storage.join(root, layout.MANIFESTS), ".json")
    return in_order({name.split("/")[0].removesuffix(".json") for name in names})
