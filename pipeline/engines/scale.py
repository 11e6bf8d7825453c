"""What a corpus of a size would take on a cluster: arithmetic from per-core figures measured on a small one.

``python -m pipeline.engines.scale`` prints the tables of docs/scale.md; a test keeps them so.  Nothing here was run at
these sizes.
"""

from dataclasses import dataclass

TB = 1e12
PARTITION_BYTES = 128 << 20  # largest partition of clean (docs/formats.md)
BYTES_A_DOCUMENT = 64_053_654 / 22_936  # of the measured corpus
KEPT_SHARE = 0.7  # assumed: of the text, after dedup and filter
CORE_HOUR_DOLLARS = 0.04  # assumed: a spot core with 4 GB of memory

# Seconds of one core for 64.05 MB of text of 22,936 documents, kernels compiled, two cores of an AMD EPYC, one worker.
MEASURED_BYTES = 64_053_654
SECONDS = {"clean": 8.65, "dedup.signatures": 0.73, "dedup": 0.23, "filter.signals": 6.47, "filter": 0.07}
TOKENIZE_BYTES_A_SECOND = 18_669_939 / 1.18
CLUSTERS_SECONDS_A_DOCUMENT = 0.38 / 22_936
BYTES_ON_DISK = {"documents": 27_423_556, "signatures": 11_382_564, "signals": 1_535_092, "verdicts": 1_359_060}
TOKEN_BYTES_A_TEXT_BYTE = 8_822_680 / 18_669_939
NODE_BYTES = 8 * 3 + 14 * 8  # memory of dedup.clusters: three numbers a record, a 64-bit key for each band


@dataclass(frozen=True)
class Estimate:
    """One corpus on one cluster."""

    text_bytes: float
    cores: int

    @property
    def documents(self) -> float:
        """Documents of the corpus."""
        return self.text_bytes / BYTES_A_DOCUMENT

    @property
    def shards(self) -> int:
        """Tasks of each step that runs shard by shard."""
        return int(-(-self.text_bytes // PARTITION_BYTES))

    def core_hours(self) -> dict[str, float]:
        """Core-hours of each step that runs shard by shard."""
        hours = {step: seconds * self.text_bytes / MEASURED_BYTES / 3600 for step, seconds in SECONDS.items()}
        hours["tokenize"] = KEPT_SHARE * self.text_bytes / TOKENIZE_BYTES_A_SECOND / 3600
        return hours

    def disk_bytes(self) -> dict[str, float]:
        """Bytes of the run folder."""
        sizes = {name: size * self.text_bytes / MEASURED_BYTES for name, size in BYTES_ON_DISK.items()}
        sizes["tokens"] = KEPT_SHARE * self.text_bytes * TOKEN_BYTES_A_TEXT_BYTE
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
        (f"cost at ${CORE_HOUR_DOLLARS} a core-hour", f"${total * CORE_HOUR_DOLLARS:,.0f}"),
        ("run folder", ", ".join(f"{name} {size / TB:,.1f} TB" for name, size in sizes.items())),
        ("through the storage", f"{network / TB:,.0f} TB, {network / (total / estimate.cores) / 3600 / 1e9:,.1f} GB/s"),
        ("dedup.clusters, one process: hours", f"{CLUSTERS_SECONDS_A_DOCUMENT * estimate.documents / 3600:,.0f}"),
        ("dedup.clusters, one process: memory", f"{NODE_BYTES * estimate.documents / TB:,.2f} TB"),
    ]
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


CASES = {
    "10 TB of text, 1,000 cores": Estimate(10 * TB, 1000),
    "1 PB of text, 20,000 cores": Estimate(1000 * TB, 20_000),
}


def render() -> str:
    """All tables."""
    return "\n\n".join(f"### {title}\n\n{table(estimate)}" for title, estimate in CASES.items())


if __name__ == "__main__":
    import sys

    sys.stdout.write(render() + "\n")
