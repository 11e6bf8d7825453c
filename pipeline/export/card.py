"""What stands beside exported documents: a dataset card, Croissant metadata, and the recipe they were made by.

The card's head is what the Hugging Face hub reads; ``croissant.json`` follows Croissant 1.1 (mlcommons.org/croissant).
"""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa

from pipeline import __version__
from pipeline.base.words import largest_first
from pipeline.export.hub import hub_languages, hub_licences, size_category
from pipeline.export.request import DATA, STEPS, Request
from pipeline.recipe.load import recipe_toml
from pipeline.run.manifest import load_manifests, total_counts

CARD, CROISSANT, RECIPE = "README.md", "croissant.json", "recipe.toml"
NAMES = (CARD, CROISSANT, RECIPE)
UNKNOWN = "unknown"
KINDS = ("source", "licence", "language")
_ENCODINGS = {
    "parquet": "application/x-parquet",
    "hf": "application/x-parquet",
    "jsonl": "application/jsonlines",
    "arrow": "application/vnd.apache.arrow.file",
}
_SUFFIX = {"parquet": "parquet", "hf": "parquet", "jsonl": "jsonl", "arrow": "arrow"}
_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


def kinds_of(batch: pa.RecordBatch) -> Counter[tuple[str, str, str]]:
    """Documents by source, licence and language, as far as the export has these columns."""
    names = [name for name in KINDS if name in batch.schema.names]
    if not names:
        return Counter({(UNKNOWN,) * len(KINDS): batch.num_rows})  # type: ignore[dict-item]
    groups = pa.table(batch.select(names)).group_by(names).aggregate([([], "count_all")])
    found: Counter[tuple[str, str, str]] = Counter()
    for row in groups.to_pylist():
        found[tuple(row.get(name) or UNKNOWN for name in KINDS)] += row["count_all"]  # type: ignore[index]
    return found


def pages(request: Request, records: Sequence[dict[str, Any]]) -> dict[str, bytes]:
    """The files beside the data, by name."""
    kinds: Counter[tuple[str, str, str]] = Counter()
    for record in records:
        for source, licence, language, count in record["kinds"]:
            kinds[source, licence, language] += count
    croissant = json.dumps(_croissant(request, records, kinds), indent=1, ensure_ascii=False) + "\n"
    return {
        CARD: _card(request, records, kinds).encode(),
        CROISSANT: croissant.encode(),
        RECIPE: recipe_toml(request.run.recipe).encode(),
    }


def _sums(kinds: Counter[tuple[str, str, str]], name: str) -> list[tuple[str, int]]:
    """Documents by source, licence or language, the largest first."""
    found: Counter[str] = Counter()
    for key, count in kinds.items():
        found[key[KINDS.index(name)]] += count
    return largest_first(found)


def _card(request: Request, records: Sequence[dict[str, Any]], kinds: Counter[tuple[str, str, str]]) -> str:
    documents = sum(record["documents"] for record in records)
    text = sum(record["text_bytes"] for record in records)
    lines = [
        *_front_matter(request, documents, kinds),
        f"# {request.run.recipe.name}",
        "",
        f"{documents:,} documents, {text:,} bytes of text, taken out of a run of tokenmill {__version__} "
        f"(`documents export --format {request.format} --select {request.select}`). Made by `{RECIPE}`; "
        "the files and their SHA-256 are in `export.json`.",
        "",
        *_curation(request),
    ]
    for name, title in zip(KINDS, ("Sources", "Licences", "Languages"), strict=True):
        if name in request.chosen.names:
            rows = [(_cell(value), f"{count:,}") for value, count in _sums(kinds, name)]
            lines += [f"## {title}", "", *_table((name, "documents"), rows), ""]
    fields = request.chosen.schema
    described = [(f"`{f.name}`", f"{f.type}", _cell(request.chosen.descriptions[f.name])) for f in fields]
    lines += ["## Columns", "", *_table(("column", "type", "what it holds"), described), ""]
    lines += _versions(request)
    return "\n".join(lines)


def _front_matter(request: Request, documents: int, kinds: Counter[tuple[str, str, str]]) -> list[str]:
    """The head of the card as YAML; every value is written as JSON, which YAML reads."""
    lines = ["---", f"pretty_name: {json.dumps(request.run.recipe.name)}"]
    licences = [name for name, _ in _sums(kinds, "licence") if name != UNKNOWN]
    languages = hub_languages(name for name, _ in _sums(kinds, "language"))
    if licences:
        lines += ["license:", *(f"- {json.dumps(name)}" for name in hub_licences(licences))]
    if languages:
        lines += ["language:", *(f"- {json.dumps(name)}" for name in languages)]
    lines += ["size_categories:", f"- {size_category(documents)}", "task_categories:", "- text-generation"]
    pattern = f"{DATA}*.{_SUFFIX[request.format]}"
    lines += ["configs:", "- config_name: default", "  data_files:", "  - split: train", f'    path: "{pattern}"']
    return [*lines, "---", ""]


def _curation(request: Request) -> list[str]:
    """What each stage of the run did, from its manifests."""
    lines = ["## Curation", ""]
    recipe = request.run.recipe
    clean = total_counts(load_manifests(request.run.root, "clean").values())
    rows = [("clean", f"{clean.get('records_in', 0):,} records", f"{clean.get('documents', 0):,} documents")]
    for stage in ("dedup", "filter"):
        counts = total_counts(load_manifests(request.run.root, stage).values())
        if counts:
            rows.append((stage, f"{counts['documents_in']:,} documents", f"{counts['kept']:,} kept"))
    lines += [*_table(("stage", "in", "out"), rows), ""]
    if "filter" in recipe.stages:
        rules = ", ".join(recipe.filter.rules) or "none"
        lines += [f"Rules: {rules}. Languages: {', '.join(recipe.filter.languages) or 'all'}.", ""]
    return lines


def _versions(request: Request) -> list[str]:
    """The libraries that the documents and verdicts were made with, from the manifests."""
    found: dict[str, set[str]] = {}
    for step in STEPS:
        for manifest in load_manifests(request.run.root, step).values():
            for name, version in manifest.libraries.items():
                found.setdefault(name, set()).add(version)
    rows = [(_cell(name), _cell(", ".join(sorted(versions)))) for name, versions in sorted(found.items())]
    return ["## Versions", "", *_table(("made with", "version"), [("tokenmill", __version__), *rows]), ""]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *(f"| {' | '.join(row)} |" for row in rows)]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _croissant(
    request: Request, records: Sequence[dict[str, Any]], kinds: Counter[tuple[str, str, str]]
) -> dict[str, Any]:
    encoding, suffix = _ENCODINGS[request.format], _SUFFIX[request.format]
    licences = [name for name, _ in _sums(kinds, "licence") if name != UNKNOWN]
    files = [
        {
            "@type": "cr:FileObject",
            "@id": record["path"],
            "name": record["path"],
            "contentUrl": record["path"],
            "encodingFormat": encoding,
            "contentSize": f"{record['bytes']} B",
            "sha256": record["sha256"],
        }
        for record in records
    ]
    every = {"@type": "cr:FileSet", "@id": "documents-files", "name": "documents-files", "encodingFormat": encoding}
    documents = sum(record["documents"] for record in records)
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "name": request.run.recipe.name,
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "description": f"{documents:,} documents curated with tokenmill {__version__}; the recipe stands beside them.",
        **({"license": licences} if licences else {}),
        "inLanguage": [name for name, _ in _sums(kinds, "language") if name != UNKNOWN],
        "version": "1.0.0",
        "distribution": [*files, {**every, "includes": f"{DATA}*.{suffix}"}],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "documents",
                "name": "documents",
                "field": [_field(request, field) for field in request.chosen.schema],
            }
        ],
    }


def _field(request: Request, field: pa.Field) -> dict[str, Any]:
    kind = field.type
    repeated = pa.types.is_list(kind)
    found = {
        "@type": "cr:Field",
        "@id": f"documents/{field.name}",
        "name": field.name,
        "description": request.chosen.descriptions[field.name],
        "dataType": _data_type(kind.value_type if repeated else kind),
        "source": {"fileSet": {"@id": "documents-files"}, "extract": {"column": field.name}},
    }
    return {**found, "repeated": True} if repeated else found


def _data_type(kind: pa.DataType) -> str:
    if pa.types.is_boolean(kind):
        return "sc:Boolean"
    if pa.types.is_integer(kind):
        return "sc:Integer"
    return "sc:Float" if pa.types.is_floating(kind) else "sc:Text"
