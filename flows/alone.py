"""Flows for one part of the work alone: ``dedup`` of a person's own files, ``evaluate`` of a finished run, ``ablate``.

Each runs the command of the same name in a process of its own, with the same result.
"""

from typing import Annotated, Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from pydantic import Field

from flows.server.in_service import in_service
from flows.server.lost_server import interruptible
from flows.session.artifacts import Artifacts
from flows.session.bounded import bounded
from flows.session.command_child import run_command
from flows.session.parameters import (
    NONE,
    Bands,
    Copies,
    FieldName,
    Location,
    MemorySize,
    Ngram,
    Overrides,
    Patterns,
    Places,
    Rows,
    Seed,
    SeedCount,
    Share,
    Vary,
    WorkerCount,
)
from flows.session.run_names import run_name
from pipeline.base.words import figure
from pipeline.recipe.minhash import MINHASH, THRESHOLD

Inputs = Annotated[list[Location], Field(min_length=1, max_length=10_000)]


@task(cache_policy=NO_CACHE, persist_result=False, task_run_name="tokenmill {name}")
def command_task(name: str, arguments: list[str]) -> dict[str, Any]:
    """Runs a command; its arguments are strings, its result one object of plain figures."""
    return run_command([*name.split(), *arguments], interruptible())


def as_options(**values: Any) -> list[str]:
    """Options of a command: ``--name=value``, one for each value of a list, and the name alone for True."""
    found = []
    for name, value in values.items():
        option = f"--{name.replace('_', '-')}"
        if isinstance(value, bool):
            found += [option] * value
        else:
            found += [f"{option}={part}" for part in (value if isinstance(value, list) else [value])]
    return found


def publish_figures(key: str, values: dict[str, Any], description: str) -> None:
    """The plain figures of a result as a table artifact."""
    table = [{"figure": k, "value": figure(v)} for k, v in values.items() if isinstance(v, int | float | str)]
    with Artifacts() as artifacts:
        artifacts.table(key, table, description)


@bounded
@flow(name="dedup", flow_run_name=run_name, persist_result=False)
def dedup(
    inputs: Inputs,
    output: Location,
    text_field: FieldName = "text",
    id_field: FieldName = "id",
    threshold: Share = THRESHOLD,
    ngram: Ngram = MINHASH.ngram,
    bands: Bands = MINHASH.bands,
    rows: Rows = MINHASH.rows,
    seed: Seed = MINHASH.seed,
    keep: FieldName = "first",
    copies: Copies = 1,
    exact_only: bool = False,
    no_verify: bool = False,
    prefer_source: Patterns = NONE,
    prefer_licence: Patterns = NONE,
    licence_field: FieldName = "licence",
    same_url: bool = False,
    url_field: FieldName = "url",
    against: Places = NONE,
    memory: MemorySize = "2GB",
    workers: WorkerCount = 0,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Deduplicates JSONL, Parquet or Arrow files of your own; see `tokenmill dedup run`.

    Args:
        inputs: Files, globs and folders to deduplicate.
        output: Folder for kept/, removed.arrow and summary.json.
        text_field: Field or column that holds the text.
        id_field: Field or column that holds the record's id.
        threshold: Exact Jaccard similarity from which a record is removed.
        ngram: Words in a shingle.
        bands: Bands of the signature.
        rows: Min-hash values in a band.
        seed: Seed of the permutations.
        keep: Which of similar records is kept: first, longest, or a field, highest first.
        copies: Similar records that may be kept.
        exact_only: Remove equal texts only.
        no_verify: Go by the estimated similarity: faster by little, and no guarantee for a removed record.
        prefer_source: Input paths from best to worst, with * and ?; they decide before keep.
        prefer_licence: Licences from best to worst, with * and ?; they decide after prefer_source.
        licence_field: Field with the licence.
        same_url: Keep only one of the records of one URL.
        url_field: Field with the URL.
        against: Indexes or run folders whose documents are not to come again.
        memory: Memory of the join, such as 2GB.
        workers: Worker processes; 0: one for each processor.
        overwrite: Replace what the output holds, once the new output is whole; else it is refused.
    """
    arguments = [
        *inputs,
        *as_options(output=output, text_field=text_field, id_field=id_field, against=against),
        *as_options(threshold=threshold, ngram=ngram, bands=bands, rows=rows, seed=seed),
        *as_options(exact_only=exact_only, no_verify=no_verify, same_url=same_url, url_field=url_field),
        *as_options(keep=keep, copies=copies, prefer_source=prefer_source),
        *as_options(prefer_licence=prefer_licence, licence_field=licence_field),
        *as_options(memory=memory, workers=workers, overwrite=overwrite),
    ]
    with in_service():
        summary = command_task("dedup run", arguments)
        publish_figures("tokenmill-dedup", summary, f"deduplication into {output}")
    return summary


@bounded
@flow(name="evaluate", flow_run_name=run_name, persist_result=False)
def evaluate(root: Location) -> dict[str, Any]:
    """Scores the last checkpoint of a run: validation loss and bits per byte; see `tokenmill eval`.

    Args:
        root: Run folder with a checkpoint and validation tokens.
    """
    with in_service():
        result = command_task("eval", [root])
        publish_figures("tokenmill-evaluation", result, f"evaluation of {root}")
    return result


@bounded
@flow(name="ablate", flow_run_name=run_name, persist_result=False)
def ablate(
    recipe: Location,
    root: Location,
    vary: Vary,
    seeds: SeedCount = 3,
    overrides: Overrides = NONE,
    workers: WorkerCount = 0,
) -> dict[str, Any]:
    """Trains the same small model on each variant of a recipe and compares them; see `tokenmill ablate`.

    Args:
        recipe: Path of the recipe, a TOML file.
        root: Folder of the ablation, on a local disk.
        vary: KEY=[VALUE, ...] in TOML; with several, every combination is a variant. The first is the reference.
        seeds: Trainings of each variant.
        overrides: KEY=VALUE pairs that hold for every variant, such as train.steps=200.
        workers: Worker processes of the data steps; 0: one for each processor.
    """
    options = as_options(root=root, seeds=seeds, workers=workers, vary=vary, set=overrides)
    with in_service():
        found = command_task("ablate", [recipe, *options])
        publish_variants(found)
    return found


def publish_variants(found: dict[str, Any]) -> None:
    """The variants of an ablation as a table artifact: bits per byte, difference, verdict."""
    table = []
    for row in found["variants"]:
        difference = row["difference"]
        shown_difference = ""
        if difference:
            shown_difference = f"{difference['mean']:+.4f} [{difference['low']:+.4f}, {difference['high']:+.4f}]"
        score = f"{row['bits_per_byte']['mean']:.4f}"
        table.append(
            {"variant": row["name"], "bits per byte": score, "difference": shown_difference, "verdict": row["verdict"]}
        )
    with Artifacts() as artifacts:
        artifacts.table("tokenmill-ablation", table, f"variants in {found['root']}")
