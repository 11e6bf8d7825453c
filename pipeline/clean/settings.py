"""The part of the recipe that defines the bytes of a clean shard, as plain values that travel to the worker."""

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.base import storage
from pipeline.base.errors import UserError, in_a_sentence
from pipeline.clean.facts.site_files import files_of_sites
from pipeline.clean.languages.identify import check_model
from pipeline.recipe.csv_options import Csv
from pipeline.recipe.globs import into_archives
from pipeline.recipe.options import Clean, Source
from pipeline.run.manifest import canonical_json, digest_bytes, digest_file

if TYPE_CHECKING:  # a plan needs no readers
    from pipeline.readers.parts.part_reader import ReadOptions

NOT_IN_THE_BYTES = ("max_quarantined",)  # a gate: changing it makes no shard again


@dataclass(frozen=True)
class SourceSettings:
    """The keys of a source that define bytes: not where it lies, nor its share in training."""

    name: str
    format: str
    licence: str | None = None
    fields: dict[str, str] = field(default_factory=dict)
    separator: str | None = None
    encoding: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    metadata: list[str] | None = None
    csv: Csv | None = None
    members: dict[str, list[str]] | None = None  # globs of those that are read (``into_archives``)


@dataclass(frozen=True)
class Settings:
    """The recipe's part for one source, in the worker."""

    clean: Clean
    source: SourceSettings

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Settings":
        """The inverse of ``job_config``."""
        csv = config["source"].get("csv")
        source = config["source"] | ({"csv": Csv(**csv)} if csv is not None else {})
        return cls(Clean(**config["clean"]), SourceSettings(**source))

    def read_options(self) -> "ReadOptions":
        """How the source is read."""
        from pipeline.readers.parts.part_reader import ReadOptions
        from pipeline.readers.records import Fields
        from pipeline.readers.streams import Limits
        from pipeline.recipe.globs import Members

        clean, source = self.clean, self.source
        return ReadOptions(
            fields=Fields(source.fields, source.licence, source.metadata),
            limits=Limits(clean.max_record_bytes, clean.max_decompression_ratio, clean.max_decompressed_bytes),
            http_statuses=frozenset(clean.http_statuses),
            separator=source.separator,
            encoding=source.encoding,
            csv=source.csv,
            reader_options=source.options,
            members=Members(**source.members) if source.members else None,
            named_format="warc" if source.format == "wet" else source.format,
        )


def job_config(clean: Clean, source: Source, parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Config of a job: everything that defines its bytes but the content of its inputs."""
    keys = {key.name for key in fields(SourceSettings)}
    members = into_archives(source.include, source.exclude)
    return {
        "clean": _with_lists_by_digest(clean.model_dump(mode="json", exclude=_not_in_the_bytes(clean))),
        "source": source.model_dump(mode="json", include=keys, exclude_none=True)
        | ({"members": members} if members else {}),
        "parts": parts,
    }


def _not_in_the_bytes(clean: Clean) -> set[str]:
    """Keys that decide nothing; what one extractor makes is not made again for the keys that choose among several."""
    return {*NOT_IN_THE_BYTES, *(("extractor",) if clean.extractors else ("extractors", "choose"))}


def list_entry(entry: str) -> str:
    """How a manifest names an entry of a URL list: a list file by its name and digest, never by its folder.

    Raises:
        UserError: If the file cannot be read.
    """
    if not entry.startswith("@"):
        return entry
    try:
        return f"@{entry.rsplit('/', 1)[-1].removeprefix('@')}#{digest_file(Path(entry[1:]))}"
    except OSError as error:
        raise UserError(f"clean.url_block or url_allow: {in_a_sentence(error, entry[1:])}") from error


def list_paths(clean: Clean) -> dict[str, str]:
    """Where the list files lie, by the name that the config has for them."""
    return {list_entry(entry): entry[1:] for entry in (*clean.url_block, *clean.url_allow) if entry.startswith("@")}


def _with_lists_by_digest(values: dict[str, Any]) -> dict[str, Any]:
    for name in ("url_block", "url_allow"):
        values[name] = [list_entry(entry) for entry in values[name]]
    if values["language_model"]:
        values["language_model"] = digest_file(Path(check_model(values["language_model"])))
    if values["robots"]:
        values["robots"] = _folder_digest(values["robots"])
    return values


def _folder_digest(folder: str) -> str:
    """One digest for the robots.txt files of a folder and their hosts."""
    files = sorted(files_of_sites(folder).items())
    named = [[*site, digest_file(storage.open_local(storage.join(folder, path)))] for path, site in files]
    return digest_bytes(canonical_json(named).encode())
