"""One run folder takes over finished outputs of another: hard links of the files, then the manifests.

The engine decides afterwards, as in any run: what matches the recipe is skipped, what does not is made anew.  It is
then published under the name of the link, as a new file, so that the folder it was linked from keeps its own.
"""

import errno
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from pipeline.base import storage
from pipeline.run import step_digests
from pipeline.run.manifest import Manifest, load_manifests, manifest_url, missing_output, shards_of, sound_manifest

NO_LINKS = (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP)


def share(source: str, target: str, steps: Iterable[str]) -> None:
    """Links the outputs of ``steps`` from one local run folder into another; what is there already stays."""
    for step in steps:
        for shard, manifest in load_manifests(source, step).items():
            if sound_manifest(target, step, shard) is None:
                _take(source, target, manifest)


def mirror(source: str, target: str, steps: Iterable[str]) -> None:
    """As ``share``, for steps that ``target`` never does itself: what differs from ``source`` is replaced."""
    for step in steps:
        found = load_manifests(source, step)
        for shard in shards_of(target, step):
            manifest = sound_manifest(target, step, shard)
            if manifest is None or found.get(shard) != manifest or missing_output(target, manifest):
                step_digests.forget(target, step)
                storage.delete(manifest_url(target, step, shard))
                for output in manifest.outputs if manifest else ():
                    storage.delete(storage.join(target, output.path))
        share(source, target, [step])


def _take(source: str, target: str, manifest: Manifest) -> None:
    step_digests.forget(target, manifest.step)
    for output in manifest.outputs:
        _link(Path(source) / output.path, Path(target) / output.path)
    storage.publish_bytes(manifest.to_bytes(), manifest_url(target, manifest.step, manifest.shard), target)


def _link(existing: Path, name: Path) -> None:
    name.parent.mkdir(parents=True, exist_ok=True)
    name.unlink(missing_ok=True)  # left without its manifest by a killed run
    try:
        os.link(existing, name)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        partial = storage.scratch(str(name.parent))  # a file system without links
        shutil.copyfile(existing, partial)
        storage.publish(partial, str(name))
