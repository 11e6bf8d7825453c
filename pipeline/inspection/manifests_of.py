"""Every manifest of a run as it stands, the damaged and the missing ones too: nothing here stops at the first."""

import json
from dataclasses import dataclass, field

from pipeline.base import storage
from pipeline.base.errors import FormatError
from pipeline.run import layout
from pipeline.run.manifest import Manifest, load_manifest, steps_of


@dataclass
class StepManifests:
    """The manifests of one step.

    Attributes:
        shards: Those that can be read, by shard.
        problems: Path below the run folder -> what is wrong with it, of those that cannot.
        expected: Shard -> digest, as the stage manifest names them; None where the step is not finished.
    """

    shards: dict[str, Manifest] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    expected: dict[str, str] | None = None

    @property
    def gone(self) -> list[str]:
        """Shards that the stage manifest names and that have no manifest any more."""
        damaged = {layout.shard_of(path) for path in self.problems}
        return [shard for shard in self.expected or () if shard not in self.shards and shard not in damaged]

    @property
    def differs(self) -> bool:
        """Whether shards were made since the stage manifest was written."""
        if self.expected is None:
            return False
        return any(self.expected.get(shard) != made.digest() for shard, made in self.shards.items())

    def outputs(self) -> dict[str, str]:
        """Path -> digest of every output."""
        return {output.path: output.digest for made in self.shards.values() for output in made.outputs}


def read_steps(root: str) -> dict[str, StepManifests]:
    """The manifests of every step, in the order of the data path."""
    return {step: _read_step(root, step) for step in steps_of(root)}


def _read_step(root: str, step: str) -> StepManifests:
    found = StepManifests()
    for name in storage.list_files(storage.join(root, layout.step_manifests(step)), ".json"):
        shard = name.removesuffix(".json")
        try:
            made = load_manifest(root, step, shard)
        except FormatError as error:
            found.problems[layout.shard_manifest(step, shard)] = _below(root, str(error))
            continue
        if made is not None:
            found.shards[shard] = made
    path = layout.stage_manifest(step)
    try:
        shards = json.loads(storage.read_bytes(storage.join(root, path)))["shards"]
        found.expected = {str(shard): str(digest) for shard, digest in shards.items()}
    except FileNotFoundError:
        pass  # the step is not finished
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        found.problems[path] = f"{path}: damaged ({error})"
    return found


def _below(root: str, message: str) -> str:
    """A message with paths below the run folder."""
    return message.replace(f"{root.rstrip('/')}/", "")
