"""Every manifest of a run as it stands, the damaged and the missing ones too: nothing here stops at the first."""

from dataclasses import dataclass, field

from pipeline.base import storage
from pipeline.base.errors import FormatError, parse_json
from pipeline.recipe.stage_names import in_order
from pipeline.run import layout, step_digests
from pipeline.run.manifest import Manifest, digest_bytes, load_manifest, named_shards, steps_of


@dataclass
class StepManifests:
    """The manifests of one step.

    Attributes:
        shards: Those that can be read, by shard.
        problems: Path below the run folder -> what is wrong with it, of those that cannot.
        expected: Shard -> digest, as the stage manifest names them; None where the step is not finished.
        lost: Whether the stage manifest is gone, though the step is recorded as finished.
    """

    shards: dict[str, Manifest] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    expected: dict[str, str] | None = None
    lost: bool = False

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
    """The manifests of every step, in the order of the data path; of steps too that are recorded and have none left."""
    known = step_digests.recorded(root) or {}
    return {step: _read_step(root, step, known.get(step)) for step in in_order({*steps_of(root), *known})}


def _read_step(root: str, step: str, recorded: str | None) -> StepManifests:
    found, named = StepManifests(), named_shards(root, step)
    for name in storage.list_files(storage.join(root, layout.step_manifests(step)), ".json"):
        shard = name.removesuffix(".json")
        try:
            made = load_manifest(root, step, shard, named)
        except FormatError as error:
            found.problems[layout.shard_manifest(step, shard)] = _below(root, str(error))
            continue
        if made is not None:
            found.shards[shard] = made
    path = layout.stage_manifest(step)
    data = storage.read_if_there(storage.join(root, path))
    if data is None:
        found.lost = recorded is not None  # else the step is not finished
        return found
    try:
        shards = parse_json(data)["shards"]
        found.expected = {str(shard): str(digest) for shard, digest in shards.items()}
        if recorded not in (None, digest_bytes(data)):
            raise ValueError(f"it is not the one that {layout.STEP_DIGESTS} records")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        found.problems[path] = f"{path}: damaged ({error})"
    return found


def _below(root: str, message: str) -> str:
    """A message with paths below the run folder."""
    return message.replace(f"{root.rstrip('/')}/", "")
