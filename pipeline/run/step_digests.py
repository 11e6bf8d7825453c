"""``manifests/steps.digests``: the digest of each finished step's manifest, in one file with a digest of its own.

A shard's manifest says what its outputs are; the step's manifest says which shard manifests there are, by their
digests; this file says the same of the steps' manifests.  So a figure that was changed in a manifest, or a manifest
from another copy of the run, is noticed by whoever opens it (``pipeline/run/manifest.py``), and never taken over.

A step has no entry while it is worked on: its manifests change then.  A run that was made before there was such a file
has none, and nothing is asked of its manifests that they cannot answer.
"""

import json

from pipeline.base import storage
from pipeline.base.digests import digest
from pipeline.base.errors import parse_json
from pipeline.run import layout


class DamagedDigestsError(ValueError):
    """The file does not say what was written into it."""


def parse(data: bytes) -> dict[str, str]:
    """Step -> digest of ``manifests/<step>.json``.

    Raises:
        DamagedDigestsError: If a byte of the file is not what was written.
    """
    try:
        steps = parse_json(data)["steps"]
        if data == _to_bytes(steps):
            return {str(step): str(found) for step, found in steps.items()}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DamagedDigestsError(f"damaged ({error})") from error
    raise DamagedDigestsError("damaged (its own digest differs)")


def _to_bytes(steps: dict[str, str]) -> bytes:
    said = json.dumps(steps, sort_keys=True, ensure_ascii=False)
    whole = {"digest": digest(said.encode()).hex(), "steps": steps}
    return (json.dumps(whole, sort_keys=True, indent=1, ensure_ascii=False) + "\n").encode()


def recorded(root: str) -> dict[str, str] | None:
    """What the file says; None where there is none, and nothing where it is damaged: the next run begins it anew."""
    data = storage.read_if_there(storage.join(root, layout.STEP_DIGESTS))
    if data is None:
        return None
    try:
        return parse(data)
    except DamagedDigestsError:
        return {}


def record(root: str, step: str, found: str) -> None:
    """Records that a step is finished, and the digest of its manifest."""
    _change(root, {step: found})


def forget(root: str, *steps: str) -> None:
    """Call it before the first manifest of a step changes: it is finished when its digest is recorded again."""
    _change(root, dict.fromkeys(steps))


def _change(root: str, changes: dict[str, str | None]) -> None:
    before = recorded(root)
    after = {step: found for step, found in {**(before or {}), **changes}.items() if found is not None}
    if before != after or not after:  # nothing at all may be a damaged file
        storage.publish_bytes(_to_bytes(after), storage.join(root, layout.STEP_DIGESTS), root)
