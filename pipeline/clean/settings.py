"""What of the recipe defines the bytes of a clean shard, as plain values that travel to the worker."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.options import Clean, Source

if TYPE_CHECKING:  # a plan needs no readers
    from pipeline.readers.dispatch import ReadOptions

NOT_IN_THE_BYTES = ("max_quarantined",)  # a gate: changing it makes no shard again
SOURCE_KEYS = ("name", "format", "licence", "fields", "separator", "encoding", "options")


@dataclass(frozen=True)
class Settings:
    """The recipe's part for one source, in the worker."""

    clean: Clean
    source: Source

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Settings":
        """The inverse of ``job_config``."""
        return cls(Clean(**config["clean"]), Source(**config["source"], paths=["."]))

    def read_options(self) -> "ReadOptions":
        """How the source is read."""
        from pipeline.readers.dispatch import ReadOptions
        from pipeline.readers.fields import Fields
        from pipeline.readers.streams import Limits
        from pipeline.readers.warc import Wanted

        clean, source = self.clean, self.source
        return ReadOptions(
            fields=Fields(source.fields, source.licence),
            limits=Limits(clean.max_record_bytes, clean.max_decompression_ratio, clean.max_decompressed_bytes),
            wanted=Wanted(frozenset(clean.http_statuses)),
            separator=source.separator,
            encoding=source.encoding,
            reader_options=source.options,
            named_format="warc" if source.format == "wet" else source.format,
        )


def job_config(clean: Clean, source: Source, parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Config of a job: everything that defines its bytes but the content of its inputs."""
    return {
        "clean": clean.model_dump(mode="json", exclude=set(NOT_IN_THE_BYTES)),
        "source": source.model_dump(mode="json", include=set(SOURCE_KEYS), exclude_none=True),
        "parts": parts,
    }
