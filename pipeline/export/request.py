"""What was asked of an export, and its plan: which output file holds which batches of which document shards.

The plan follows from the run's manifests alone, so a resumed export has the same files, whatever worker wrote which.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

from pipeline.base import storage
from pipeline.base.errors import UserError
from pipeline.export.columns import Chosen
from pipeline.export.documents import Documents, Part, Select, batch_rows, stages_judged
from pipeline.export.formats import json_lines, text_bytes
from pipeline.run import layout
from pipeline.run.folder import Run
from pipeline.run.manifest import canonical_json, digest_bytes, load_manifests
from pipeline.run.rows import shard_names
from pipeline.run.table_files import open_table
from pipeline.run.tables import DOCUMENTS

Format = Literal["parquet", "jsonl", "arrow", "hf"]
FORMATS: tuple[Format, ...] = get_args(Format)
DATA = "data/"
VERSION = 2  # of the bytes of an export; raised where the same request gives others
STEPS = ("clean", "dedup", "filter.signals", "filter", "tokenize.split")  # whose tables an export reads
SHARD_BYTES = 512 << 20
_ENDINGS = {"parquet": ".parquet", "hf": ".parquet", "jsonl": ".jsonl", "arrow": ".arrow"}
_SAMPLE_ROWS = 1000  # of each output file, to estimate its size


@dataclass(frozen=True)
class Planned:
    """One output file: its path below the output folder, its parts, and what they are estimated to hold."""

    path: str
    parts: tuple[Part, ...]
    holds: "Holds"


@dataclass(frozen=True)
class Holds:
    """What some batches of documents/ are estimated to hold of documents that are asked for."""

    documents: float = 0.0
    text_bytes: float = 0.0
    stored_bytes: float = 0.0  # in documents/, with all columns

    def __add__(self, other: "Holds") -> "Holds":
        return Holds(
            self.documents + other.documents,
            self.text_bytes + other.text_bytes,
            self.stored_bytes + other.stored_bytes,
        )


@dataclass(frozen=True)
class Request:
    """An export as it was asked for."""

    run: Run
    chosen: Chosen
    select: Select
    format: Format
    shard_bytes: int

    def digest(self, files: list[Planned]) -> str:
        """What defines every byte of the output: the run as it stands, what was asked, and the plan."""
        parts = [[file.path, [[part.shard, part.first, part.last] for part in file.parts]] for file in files]
        asked: list[Any] = [VERSION, self.format, self.select, list(self.chosen.names), parts, state_of(self.run)]
        return digest_bytes(canonical_json(asked).encode())

    def plan(self) -> list[Planned]:
        """The output files: batches of consecutive shards, until ``shard_bytes`` of text are reached.

        Raises:
            UserError: If a stage whose verdicts are needed has not finished.
        """
        stages_judged(self.run, self.chosen, self.select)
        groups: list[tuple[list[Part], Holds]] = []
        for part, holds in self._batches():
            if not groups or groups[-1][1].text_bytes + holds.text_bytes > self.shard_bytes:
                groups.append(([], Holds()))
            parts, before = groups[-1]
            if parts and parts[-1].shard == part.shard:
                parts[-1] = Part(part.shard, parts[-1].first, part.last)
            else:
                parts.append(part)
            groups[-1] = parts, before + holds
        return [
            Planned(self._name(number, len(groups)), tuple(parts), holds)
            for number, (parts, holds) in enumerate(groups)
        ]

    def _batches(self) -> Iterator[tuple[Part, Holds]]:
        """Each batch of each shard, with its share of what the shard holds."""
        clean, shares = load_manifests(self.run.root, "clean"), self._shares()
        for shard in shard_names(self.run):
            rows, manifest = batch_rows(self.run, shard), clean.get(shard)
            text = manifest.counts.get("text_bytes", 0) if manifest else 0
            stored = storage.size(self.run.url(layout.documents(shard))) or 0
            wanted, total = shares.get(shard, 1.0), max(1, sum(rows))
            for number, count in enumerate(rows):
                share = wanted * count / total
                yield Part(shard, number, number + 1), Holds(wanted * count, text * share, stored * share)

    def _shares(self) -> dict[str, float]:
        """The share of each shard's documents that is asked for; 1 where no stage has judged it."""
        if self.select == "all":
            return {}
        kept: dict[str, float] = {}
        for stage in ("dedup", "filter"):
            for shard, manifest in load_manifests(self.run.root, stage).items():
                documents = max(1, manifest.counts.get("documents_in", 0))
                kept[shard] = kept.get(shard, 1.0) * manifest.counts.get("kept", documents) / documents
        return kept if self.select == "kept" else {shard: 1.0 - share for shard, share in kept.items()}

    def _name(self, number: int, files: int) -> str:
        ending = _ENDINGS[self.format]
        if self.format == "hf":
            return f"{DATA}train-{number:05d}-of-{files:05d}{ending}"
        return f"{DATA}{number:05d}{ending}"

    def expected_bytes(self, files: list[Planned]) -> int:
        """An estimate of the bytes of these files on disk; the first documents of each say what its columns take."""
        documents = Documents(self.run, self.chosen, self.select)
        return int(sum(self._expected(documents, file) for file in files))

    def _expected(self, documents: Documents, file: Planned) -> float:
        first = next((batch for part in file.parts for batch in documents.read(part)), None)
        if first is None:
            return 0.0
        sample = first.slice(0, _SAMPLE_ROWS)
        if self.format == "jsonl":
            text = text_bytes(sample)
            beside: float = (sum(map(len, json_lines(sample))) - text) / sample.num_rows
            return beside * file.holds.documents + (file.holds.text_bytes if text else 0.0)
        part = file.parts[0]
        whole = open_table(self.run.local(layout.documents(part.shard)), DOCUMENTS).get_batch(part.first)
        share: float = (first.nbytes / first.num_rows) / max(1.0, whole.nbytes / max(1, whole.num_rows))
        return file.holds.stored_bytes * share


def state_of(run: Run) -> dict[str, str]:
    """Digests of what an export reads: it is the same as long as nothing of the curation was made again."""
    paths = [*map(layout.stage_manifest, STEPS), layout.TAKEDOWN, layout.RESTORED]
    found = {path: storage.read_if_there(run.url(path)) for path in paths}
    return {path: digest_bytes(data) for path, data in found.items() if data is not None}


def check_format(name: str) -> Format:
    """Raises a UserError where ``name`` is no format of an export."""
    for known in FORMATS:
        if name == known:
            return known
    raise UserError(f"--format {name}: expected one of {', '.join(FORMATS)}")
