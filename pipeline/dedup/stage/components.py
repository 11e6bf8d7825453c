"""Step ``dedup.components``: which documents are connected, directly or through others, over all partitions.

Edges go from a document to an earlier one.  The partitions of the documents are taken from the last to the first: in
each, the edges of its documents are joined, so that each of these documents points to the first one that it is
connected with; what is then known of documents of earlier partitions is handed to these as edges.  On the way back,
from the first partition to the last, each document is told to where its own one leads.

So no more than the edges of one partition are held, and there are never more edges than there were.  Where all of them
fit the memory, they are one partition.
"""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.base.errors import naming_size
from pipeline.base.sizes import parse_memory
from pipeline.dedup.rule.join import Ints
from pipeline.dedup.stage.corpus import scratch_folder
from pipeline.dedup.stage.keys import connected
from pipeline.dedup.stage.links import document_bounds
from pipeline.recipe.minhash import JOIN_SHARE
from pipeline.run import layout
from pipeline.run.engine import Job, Outputs
from pipeline.run.table_files import RangeReader, RangeWriter
from pipeline.run.tables import COMPONENTS, LINKS

EDGE_BYTES = 64  # memory of joining one edge: its two documents, sorted, their places, their parents


def find_components(job: Job, outputs: Outputs) -> None:
    """Writes the first document that each linked one is connected with, a range for each shard."""
    rows, linked_documents = job.arguments["rows"], 0
    bases = np.append(0, np.cumsum(rows, dtype=np.int64)).tolist()
    with (
        scratch_folder(job) as folder,
        RangeWriter(outputs.table(layout.COMPONENTS, COMPONENTS)) as ranges,
    ):
        shard = 0
        for end, documents, firsts in components(Edges(job, outputs), folder):
            linked_documents += len(documents)
            while shard < len(rows) and bases[shard + 1] <= end:
                low, high = np.searchsorted(documents, bases[shard : shard + 2])
                local = pa.array(documents[low:high] - bases[shard], pa.uint32())
                ranges.write(pa.record_batch([local, pa.array(firsts[low:high])], schema=COMPONENTS.schema))
                shard += 1
    outputs.count(linked_documents=linked_documents)


class Edges:
    """The edges of all partitions of the keys, read by partitions of the documents.

    Attributes:
        bounds: First document of each partition that is worked on, and the end.
    """

    def __init__(self, job: Job, outputs: Outputs) -> None:
        partitions = job.config["partitions"]
        self._files = [outputs.url(layout.shard_table(layout.LINKS, name)) for name in job.arguments["partitions"]]
        held = max(1, int(parse_memory(job.arguments["memory"]) * JOIN_SHARE) // EDGE_BYTES)
        pieces = min(partitions, -(-job.arguments["edges"] // held) or 1)
        self._ranges = [number * partitions // pieces for number in range(pieces + 1)]
        self.bounds = document_bounds(job.arguments["rows"], partitions)[self._ranges]

    def read(self, number: int) -> tuple[Ints, Ints]:
        """The edges of the documents of one partition: from, to."""
        left, right = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for file in self._files:
            with RangeReader(file, LINKS) as reader:
                for number_in_file in range(*self._ranges[number : number + 2]):
                    found = reader.read(number_in_file)
                    left.append(found.column("document").to_numpy())
                    right.append(found.column("linked").to_numpy())
        return np.concatenate(left), np.concatenate(right)


class _Pairs:
    """Pairs of document numbers in files, one for each partition.

    Args:
        stem: Path that the files' names begin with.
        bounds: First document of each partition, and the end.
    """

    def __init__(self, stem: Path, bounds: Ints) -> None:
        self._stem, self._bounds = stem, bounds

    def add(self, deciding: Ints, others: Ints) -> None:
        """Files pairs by the partition of their first number, which must ascend."""
        cuts = np.searchsorted(deciding, self._bounds).tolist()
        for number, (start, end) in enumerate(pairwise(cuts)):
            if end > start:
                pairs = np.stack([deciding[start:end], others[start:end]], axis=1)
                path = self._path(number)
                with naming_size(str(path), pairs.nbytes), open(path, "ab") as file:
                    file.write(pairs.data)

    def take(self, number: int) -> tuple[Ints, Ints]:
        """The pairs of one partition."""
        path = self._path(number)
        pairs = np.fromfile(path, np.int64).reshape(-1, 2) if path.exists() else np.zeros((0, 2), np.int64)
        return pairs[:, 0], pairs[:, 1]

    def _path(self, number: int) -> Path:
        return self._stem.with_name(f"{self._stem.name}-{number}")


def components(edges: Edges, folder: Path) -> Iterator[tuple[int, Ints, Ints]]:
    """End of a partition, its linked documents, ascending, and the first document that each is connected with.

    Args:
        edges: From each document to earlier ones.
        folder: For what is handed from one partition to others.
    """
    bounds = edges.bounds
    handed = _Pairs(folder / "handed", bounds)  # edges to documents of earlier partitions
    pointers = _Pairs(folder / "pointers", bounds)  # each document to the first one that it leads to
    asking = _Pairs(folder / "asking", bounds)  # the same, the other way round
    answers = _Pairs(folder / "answers", bounds)
    for number in range(len(bounds) - 2, -1, -1):
        left, right = edges.read(number)
        more = handed.take(number)
        documents, firsts = connected(np.concatenate([left, more[0]]), np.concatenate([right, more[1]]))
        own = int(np.searchsorted(documents, bounds[number]))
        pointers.add(documents[own:], firsts[own:])
        outside = np.flatnonzero(firsts[own:] < bounds[number]) + own
        by_first = outside[np.argsort(firsts[outside], kind="stable")]
        asking.add(firsts[by_first], documents[by_first])
        below = np.flatnonzero(firsts[:own] < documents[:own])
        handed.add(documents[below], firsts[below])
    for number in range(len(bounds) - 1):
        asked, askers = asking.take(number)
        documents, firsts = _told(pointers.take(number), asked, answers.take(number))
        order = np.argsort(askers, kind="stable")
        answers.add(askers[order], firsts[np.searchsorted(documents, asked[order])])
        yield int(bounds[number + 1]), documents, firsts


def _told(pointers: tuple[Ints, Ints], asked: Ints, answers: tuple[Ints, Ints]) -> tuple[Ints, Ints]:
    """The linked documents of a partition, and the very first ones that they lead to."""
    documents = np.unique(np.concatenate([pointers[0], asked]))
    firsts = documents.copy()
    firsts[np.searchsorted(documents, pointers[0])] = pointers[1]
    firsts[np.searchsorted(documents, answers[0])] = answers[1]
    return documents, firsts
