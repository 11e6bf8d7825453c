"""Step ``dedup.earlier``: an index of each earlier run that has none, made once for all tasks of the join."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pipeline.base import storage
from pipeline.dedup.index.reader import Index
from pipeline.dedup.index.runs import run_batches, run_corpus
from pipeline.dedup.index.writer import Batch, build_index
from pipeline.dedup.stage.corpus import scratch_folder
from pipeline.recipe.minhash import MinHash
from pipeline.run import layout
from pipeline.run.engine import Job, Outputs


def index_run(job: Job, outputs: Outputs) -> None:
    """Writes the index of one earlier run."""
    place = job.arguments["place"]
    with scratch_folder(job) as name:
        folder = name / "index"
        minhash = MinHash(**job.config["minhash"])
        state = build_index(folder, minhash, [(run_corpus(place), (Batch(*b) for b in run_batches(place)))])
        for path in sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")):
            path.rename(outputs.file(layout.earlier_index(job.shard) + str(path.relative_to(folder))))
    outputs.count(documents=state.documents)


@contextmanager
def opened_places(job: Job, outputs: Outputs, minhash: MinHash) -> Iterator[list[Index]]:
    """The indexes of what a batch is deduplicated against, in their order.

    Args:
        job: ``arguments["against"]`` has their folders, ``arguments["of_the_run"]`` those of them below this run.
        outputs: Says where these stand.
        minhash: What similarity means for the batch.
    """
    with ExitStack() as stack:
        found = []
        for place in job.arguments["against"]:
            is_made = place in job.arguments["of_the_run"]
            folder = _local(outputs.url(place), stack, job) if is_made else place
            found.append(stack.enter_context(Index(folder, minhash)))
        yield found


def _local(url: str, stack: ExitStack, job: Job) -> Path:
    """The folder of an index; of one in an object store, a folder of links to this machine's copies."""
    if storage.is_local(url):
        return storage.local_path(url)
    folder = stack.enter_context(scratch_folder(job))
    for name in storage.list_files(url):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(storage.open_local(storage.join(url, name)))
    return folder
