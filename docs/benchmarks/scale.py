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
BYTES_ON_DISK = {"documents": 27_423_556, "signatures": 11_382_564, "signals": 1_535_092, "verdicts": 1_359_060}
TOKEN_BYTES_PER_TEXT_BYTE = 8_822_680 / 18_669_939

# The join (docs/benchmarks/dedup.md): processor seconds, and bytes written, of 100,000 documents in 8 partitions.  They
# are made of sentences, a fifth revisions of others, so 29,426 share a key with another one.
JOINED, JOINED_TEXT_BYTES = 100_000, 361_030_020
JOIN_SECONDS = {"keys": 1.175, "links": 0.300, "sets": 3.501, "select": 1.600, "clusters": 0.040}
JOIN_BYTES = {
    **{"keys": 17_796_972, "links": 1_013_072, "components": 299_218},
    **{"sets": 140_429_114, "select": 1_677_216, "clusters": 311_796},
}
LINKED_SHARE = 29_426 / JOINED
# edges of 64 partitions: the more there are, the more of them find the same pair; seconds of 800,000 documents
EDGES_PER_DOCUMENT, COMPONENT_SECONDS_PER_EDGE = 100_794 / JOINED, 0.188 / 123_337
BANDS, KINDS = 14, 2
KEY_BYTES, EDGE_BYTES, FACTS_BYTES = 40, 64, 400  # memory of a key, of an edge, of a linked document
MEMORY, JOIN_SHARE = 16e9, 0.7  # `[dedup] memory`, and what of it the join takes


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
    ]
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


@dataclass(frozen=True)
class Join:
    """The join of so many documents, with ``[dedup] memory = "16GB"``."""

    documents: float

    @property
    def partitions(self) -> int:
        """What ``[dedup] partitions`` is chosen to be."""
        return int(-(-self.documents * (BANDS + KINDS) * KEY_BYTES // (MEMORY * JOIN_SHARE)))

    def steps(self) -> list[tuple[str, float, float, float, float, float]]:
        """Name, tasks, core-hours, bytes that a task reads, its memory, bytes written in all, of each step."""
        text = Estimate(self.documents * BYTES_PER_DOCUMENT, 1)
        shards, parts, share = text.shards, self.partitions, self.documents / JOINED
        hours = {step: seconds * share / 3600 for step, seconds in JOIN_SECONDS.items()}
        hours["sets"] *= BYTES_PER_DOCUMENT / (JOINED_TEXT_BYTES / JOINED)  # the texts are read and hashed
        written = {step: size * share for step, size in JOIN_BYTES.items()}
        written["sets"] *= BYTES_PER_DOCUMENT / (JOINED_TEXT_BYTES / JOINED)
        edges = self.documents * EDGES_PER_DOCUMENT
        hours["components"], written["links"] = edges * COMPONENT_SECONDS_PER_EDGE / 3600, 16 * edges
        disk, of_shard = text.disk_bytes(), self.documents / shards
        keys_memory, share_of_sets = of_shard * (BANDS + KINDS) * KEY_BYTES, written["sets"] / shards
        part_memory = self.documents * LINKED_SHARE / parts * FACTS_BYTES + MEMORY * JOIN_SHARE / 2
        rows = [
            ("keys", shards, disk["signatures"] / shards, keys_memory),
            ("links", parts, written["keys"] / parts, MEMORY * JOIN_SHARE),
            ("components", 1, written["links"], min(MEMORY * JOIN_SHARE, edges * EDGE_BYTES)),
            ("sets", shards, disk["documents"] / shards + written["components"] / shards, 2 * share_of_sets),
            ("select", parts, written["sets"] / parts, part_memory),
            ("clusters", 1, written["select"], written["select"] / shards),
        ]
        return [(f"dedup.{n}", tasks, hours[n], read, memory, written[n]) for n, tasks, read, memory in rows]

    def table(self) -> str:
        """The steps as a Markdown table."""
        steps = self.steps()
        lines = ["| step | tasks | core-hours | a task reads | its memory | written |", "|---|---|---|---|---|---|"]
        for name, tasks, hours, *sizes in steps:
            lines.append(f"| {name} | {tasks:,.0f} | {hours:,.1f} | {' | '.join(map(_size, sizes))} |")
        hours, written = sum(step[2] for step in steps), sum(step[5] for step in steps)
        lines.append(f"| in all | {sum(step[1] for step in steps):,.0f} | {hours:,.0f} | | | {_size(written)} |")
        return "\n".join(lines)


def _size(count: float) -> str:
    """Bytes with the unit that leaves a number of up to four digits."""
    units = ((TB, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))
    return next(f"{count / size:,.0f} {unit}" for size, unit in units if count >= size)


CASES = {
    "10 TB of text, 1,000 cores": Estimate(10 * TB, 1000),
    "1 PB of text, 20,000 cores": Estimate(1000 * TB, 20_000),
}

JOINS = {
    "10 TB of text": CASES["10 TB of text, 1,000 cores"].documents,
    "10 billion documents": 1e10,
    "1 PB of text": CASES["1 PB of text, 20,000 cores"].documents,
}


def render() -> str:
    """All tables."""
    tables = {title: table(estimate) for title, estimate in CASES.items()}
    joins = {f"The join: {title}": Join(count).table() for title, count in JOINS.items()}
    return "\n\n".join(f"### {title}\n\n{rows}" for title, rows in (tables | joins).items())


if __name__ == "__main__":
    import sys

    sys.stdout.write(render() + "\n")
