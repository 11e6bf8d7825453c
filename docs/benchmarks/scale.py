"""What a corpus of a size would take on a cluster: arithmetic from per-core figures measured on a small one.

``python docs/benchmarks/scale.py`` prints the tables of docs/scale.md; a test keeps them so.  Nothing
here was run at these sizes.
"""

from dataclasses import dataclass

TB = 1e12
PARTITION_BYTES = 128 << 20  # largest partition of clean (docs/formats.md)
BYTES_PER_DOCUMENT = 64_053_654 / 22_936  # of the measured corpus
KEPT_SHARE = 0.7  # assumed: of the text, after dedup and filter
CORE_HOUR_DOLLARS = 0.04  # assumed: a spot core with 4 GB of memory

# Seconds of one core for 64.05 MB of text of 22,936 documents, kernels compiled, two cores of an AMD EPYC, one worker.
MEASURED_BYTES = 64_053_654
SECONDS = {"clean": 8.65, "dedup.signatures": 0.73, "dedup": 0.23, "filter.signals": 6.47, "filter": 0.07}
TOKENIZE_BYTES_PER_SECOND = 18_669_939 / 1.18
CLUSTERS_SECONDS_PER_DOCUMENT = 0.38 / 22_936
BYTES_ON_DISK = {"documents": 27_423_556, "signatures": 11_382_564, "signals": 1_535_092, "verdicts": 1_359_060}
TOKEN_BYTES_PER_TEXT_BYTE = 8_822_680 / 18_669_939
# Of the join, one core, 72,598 documents (docs/benchmarks/dedup.md): 8,785 of them shared a bucket, in 62,302 places.
BANDS = 14
SORTED_KEYS_PER_SECOND = BANDS * 70_700 / 0.099  # of distinct texts
ACTIVE_SHARE, PLACES_PER_DOCUMENT = 8_785 / 72_598, 62_302 / 8_785
VERIFIED_SECONDS = (0.524 + 0.542) / 8_785  # text read and hashed again, compared
UNIONS_PER_SECOND = 10e6  # assumed: 57 million a second were measured, within the processor's cache
KEY_BYTES, SORT_BYTES, SET_BYTES, TEXT_BYTES_PER_SHINGLE = 16, 40, 24, 6
TASK_BYTES = 1e9  # memory of a task of the join
NODE_BYTES = 8 * 3 + 14 * 8  # memory of dedup.clusters: three numbers for each record, a 64-bit key for each band

# The join in parts: 72,598 documents in 8 parts, processor seconds of one task, of which each reads all signatures.
LINK_SECONDS_PER_DOCUMENT, SELECT_SECONDS_PER_DOCUMENT = 1.583 / 8 / 72_598, 4.311 / 8 / 72_598
LINKED_SHARE = 13_030 / 72_598
LINK_BYTES = 16 * 16  # memory of dedup.links, all tasks together: key and number, for text, URL and 14 bands
PARTS_BYTES = 1 + LINKED_SHARE * 28  # memory of dedup.parts: a mark for each document, four numbers for each linked one
PART_BYTES = 48e9  # keys of a task on a machine of 64 GB


@dataclass(frozen=True)
class Estimate:
    """One corpus on one cluster."""

    text_bytes: float
    cores: int

    @property
    def documents(self) -> float:
        """Documents of the corpus."""
        return self.text_bytes / BYTES_PER_DOCUMENT

    @property
    def shards(self) -> int:
        """Tasks of each step that runs shard by shard."""
        return int(-(-self.text_bytes // PARTITION_BYTES))

    def core_hours(self) -> dict[str, float]:
        """Core-hours of each step that runs shard by shard."""
        hours = {step: seconds * self.text_bytes / MEASURED_BYTES / 3600 for step, seconds in SECONDS.items()}
        hours["tokenize"] = KEPT_SHARE * self.text_bytes / TOKENIZE_BYTES_PER_SECOND / 3600
        return hours

    @property
    def partitions(self) -> int:
        """Parts of the join (``[dedup] partitions``) that fit the machines."""
        return int(-(-LINK_BYTES * self.documents // PART_BYTES))

    def disk_bytes(self) -> dict[str, float]:
        """Bytes of the run folder."""
        sizes = {name: size * self.text_bytes / MEASURED_BYTES for name, size in BYTES_ON_DISK.items()}
        sizes["tokens"] = KEPT_SHARE * self.text_bytes * TOKEN_BYTES_PER_TEXT_BYTE
        return sizes


def table(estimate: Estimate) -> str:
    """The estimate as a Markdown table."""
    hours, sizes = estimate.core_hours(), estimate.disk_bytes()
    total = sum(hours.values())
    network = 2 * sizes["documents"] + sizes["signatures"] + sum(sizes.values())  # read by two steps, written by all
    rows = [
        ("documents", f"{estimate.documents / 1e9:,.1f} billion"),
        ("shards, tasks of each step", f"{estimate.shards:,}"),
        *((f"core-hours of {step}", f"{value:,.0f}") for step, value in hours.items()),
        ("core-hours in all", f"{total:,.0f}"),
        (f"hours on {estimate.cores:,} cores", f"{total / estimate.cores:,.1f}"),
        (f"cost at ${CORE_HOUR_DOLLARS} per core-hour", f"${total * CORE_HOUR_DOLLARS:,.0f}"),
        ("run folder", ", ".join(f"{name} {size / TB:,.1f} TB" for name, size in sizes.items())),
        ("through the storage", f"{network / TB:,.0f} TB, {network / (total / estimate.cores) / 3600 / 1e9:,.1f} GB/s"),
        *_join_rows(estimate),
    ]
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


@dataclass(frozen=True)
class SpreadJoin:
    """Deduplication of so many documents with its keys shuffled to tasks of ``TASK_BYTES``: a plan, not built."""

    documents: float

    @property
    def active(self) -> float:
        """Documents that share a bucket with another."""
        return self.documents * ACTIVE_SHARE

    def steps(self) -> list[tuple[str, float, float, float, float]]:
        """Name, tasks, memory of a task, core-hours and bytes written, of each step."""
        text = Estimate(self.documents * BYTES_PER_DOCUMENT, 1)
        keys, places = self.documents * BANDS, self.active * PLACES_PER_DOCUMENT
        sets = self.active * BYTES_PER_DOCUMENT / TEXT_BYTES_PER_SHINGLE
        hours, partitions = text.core_hours(), -(-self.documents * SORT_BYTES // TASK_BYTES)
        signed = text.disk_bytes()["signatures"] + keys * KEY_BYTES
        return [
            ("signatures, one task per shard", text.shards, 1e9, hours["dedup.signatures"], signed),
            (
                *(f"join, {partitions:,.0f} partitions of each band by the key's upper bits", BANDS * partitions),
                *(TASK_BYTES, keys / SORTED_KEYS_PER_SECOND / 3600, places * KEY_BYTES),
            ),
            ("components, one process", 1, 2 * 8 * self.active, places / UNIONS_PER_SECOND / 3600, 8 * self.active),
            (
                *("verification, one task per group of components", -(-sets * SET_BYTES // TASK_BYTES), TASK_BYTES),
                *(self.active * VERIFIED_SECONDS / 3600, sets * 8),
            ),
            ("verdicts, one task per shard", text.shards, 1e9, hours["dedup"], text.disk_bytes()["verdicts"]),
        ]

    def table(self) -> str:
        """The plan as a Markdown table."""
        steps = self.steps()
        lines = ["| step | tasks | memory of a task | core-hours | written |", "|---|---|---|---|---|"]
        for name, tasks, memory, hours, written in steps:
            lines.append(f"| {name} | {tasks:,.0f} | {memory / 1e9:,.0f} GB | {hours:,.1f} | {written / TB:,.2f} TB |")
        hours, written = sum(step[3] for step in steps), sum(step[4] for step in steps)
        lines.append(f"| in all | {sum(step[1] for step in steps):,.0f} | | {hours:,.0f} | {written / TB:,.1f} TB |")
        return "\n".join(lines)


JOIN_CASE = "10 billion documents on Ray: deduplication alone, its join shuffled (a plan)"


def _join_rows(estimate: Estimate) -> list[tuple[str, str]]:
    count, parts = estimate.documents, estimate.partitions
    hours = CLUSTERS_SECONDS_PER_DOCUMENT * count / 3600
    link, select = (seconds * count / 3600 for seconds in (LINK_SECONDS_PER_DOCUMENT, SELECT_SECONDS_PER_DOCUMENT))
    node_bytes = NODE_BYTES * count
    return [
        ("join by one process", f"{hours:,.0f} hours, {node_bytes / TB:,.2f} TB of memory"),
        ("join in parts of 64 GB: parts", f"{parts:,}"),
        ("dedup.links, one task per part", f"{link:,.1f} hours, {LINK_BYTES * count / parts / 1e9:,.0f} GB"),
        ("dedup.parts, one task", f"{PARTS_BYTES * count / 1e9:,.0f} GB"),
        ("dedup.select, one task per part", f"{select:,.1f} hours, {LINKED_SHARE * node_bytes / parts / 1e9:,.0f} GB"),
    ]


CASES = {
    "10 TB of text, 1,000 cores": Estimate(10 * TB, 1000),
    "1 PB of text, 20,000 cores": Estimate(1000 * TB, 20_000),
}


def render() -> str:
    """All tables."""
    tables = {title: table(estimate) for title, estimate in CASES.items()} | {JOIN_CASE: SpreadJoin(1e10).table()}
    return "\n\n".join(f"### {title}\n\n{rows}" for title, rows in tables.items())


if __name__ == "__main__":
    import sys

    sys.stdout.write(render() + "\n")
