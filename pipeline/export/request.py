"""What was asked of an export, and its plan: which output file holds which batches of which document shards.

The plan follows from the run's manifests alone, so a resumed export has the same files, whatever worker wrote which.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

from pipeline.base import storage
from pipeline.base.errors import UserError
from pipeline.export.columns import Chosen
from pipeline.export.documents import Part, Select, batch_rows, stages_judged
from pipeline.run import layout
from pipeline.run.folder import Run
from pipeline.run.manifest import canonical_json, digest_bytes, load_manifests
from pipeline.run.rows import shard_names

Format = Literal["parquet", "jsonl", "arrow", "hf"]
FORMATS: tuple[Format, ...] = get_args(Format)
DATA = "data/"
VERSION = 1  # of the bytes of an export; raised where the same request gives others
SHARD_BYTES = 512 << 20
_ENDINGS = {"parquet": ".parquet", "hf": ".parquet", "jsonl": ".jsonl", "arrow": ".arrow"}
_JSONL_GROWTH = 1.35  # bytes of a line over those of its text: keys, metadata, escapes; measured on data/sample


@dataclass(frozen=True)
class Planned:
    """One output file: its path below the output folder, its parts, and what they are estimated to hold."""

    path: str
    parts: tuple[Part, ...]
    text_bytes: float
    stored_bytes: float


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
        groups: list[tuple[list[Part], float, float]] = []
        for part, text, stored in self._batches():
            if not groups or groups[-1][1] + text > self.shard_bytes:
                groups.append(([], 0.0, 0.0))
            parts, text_bytes, stored_bytes = groups[-1]
            if parts and parts[-1].shard == part.shard:
                parts[-1] = Part(part.shard, parts[-1].first, part.last)
            else:
                parts.append(part)
            groups[-1] = parts, text_bytes + text, stored_bytes + stored
        return [
            Planned(self._name(number, len(groups)), tuple(parts), text, stored)
            for number, (parts, text, stored) in enumerate(groups)
        ]

    def _batches(self) -> Iterator[tuple[Part, float, float]]:
        """Each batch of each shard, with its share of the shard's text and of its bytes on disk."""
        clean, shares = load_manifests(self.run.root, "clean"), self._shares()
        for shard in shard_names(self.run):
            rows, manifest = batch_rows(self.run, shard), clean.get(shard)
            text = manifest.counts.get("text_bytes", 0) if manifest else 0
            stored = storage.size(self.run.url(layout.documents(shard))) or 0
            total = max(1, sum(rows))
            for number, count in enumerate(rows):
                share = shares.get(shard, 1.0) * count / total
                yield Part(shard, number, number + 1), text * share, stored * share

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
        """An estimate of the bytes of these files on disk."""
        if self.format == "jsonl":
            return int(sum(file.text_bytes for file in files) * _JSONL_GROWTH)
        return int(sum(file.stored_bytes for file in files))


def state_of(run: Run) -> dict[str, str]:
    """Digests of what an export reads: it is the same as long as nothing of the curation was made again."""
    steps = ("clean", "dedup", "filter.signals", "filter", "tokenize.split")
    paths = [*map(layout.stage_manifest, steps), layout.TAKEDOWN, layout.RESTORED]
    found = {path: storage.read_if_there(run.url(path)) for path in paths}
    return {path: digest_bytes(data) for path, data in found.items() if data is not None}


def check_format(name: str) -> Format:
    """Raises a UserError where ``name`` is no format of an export."""
    for known in FORMATS:
        if name == known:
            return known
    raise UserError(f"--format {name}: expected one of {', '.join(FORMATS)}")
