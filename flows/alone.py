"""Flows for one part of the work alone: ``dedup`` of a person's own files, and ``evaluate`` of a finished run.

Each runs the command of the same name in a process of its own, with the same result.
"""

from typing import Annotated, Any

from prefect import flow, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from pydantic import Field

from flows.child import run_command
from flows.parameters import Count, Location, MemorySize, Share, WorkerCount
from flows.show import shown

Inputs = Annotated[list[Location], Field(min_length=1, max_length=10_000)]


@task(cache_policy=NO_CACHE, persist_result=False, task_run_name="tokenmill {name}")
def command_task(name: str, arguments: list[str]) -> dict[str, Any]:
    """Runs a command; its arguments are strings, its result one object of plain figures."""
    return run_command([*name.split(), *arguments])


def publish_figures(key: str, values: dict[str, Any], description: str) -> None:
    """The plain figures of a result as a table artifact."""
    table = [{"figure": k, "value": shown(v)} for k, v in values.items() if isinstance(v, int | float | str)]
    create_table_artifact(key=key, table=table, description=description)


@flow(name="dedup", persist_result=False)
def dedup(
    inputs: Inputs,
    output: Location,
    text_field: str = "text",
    threshold: Share = 0.8,
    ngram: Count = 5,
    bands: Count = 14,
    rows: Count = 8,
    keep: str = "first",
    memory: MemorySize = "2GB",
    workers: WorkerCount = 0,
) -> dict[str, Any]:
    """Deduplicates JSONL, Parquet or Arrow files of your own; see `tokenmill dedup run`.

    Args:
        inputs: Files or folders to deduplicate.
        output: Folder for kept/, removed.arrow and summary.json.
        text_field: Field or column that holds the text.
        threshold: Exact Jaccard similarity from which a record is removed.
        ngram: Words in a shingle.
        bands: Bands of the signature.
        rows: Min-hash values in a band.
        keep: Which record of a pair is kept: first, longest, or a field, highest first.
        memory: Memory of the join, such as 2GB.
        workers: Worker processes; 0: one for each processor.
    """
    arguments = [*inputs, "--output", output, "--text-field", text_field, "--threshold", str(threshold)]
    arguments += ["--ngram", str(ngram), "--bands", str(bands), "--rows", str(rows), "--keep", keep, "--memory", memory]
    summary = command_task("dedup run", [*arguments, *(["--workers", str(workers)] if workers else [])])
    publish_figures("tokenmill-dedup", summary, f"deduplication into {output}")
    return summary


@flow(name="evaluate", persist_result=False)
def evaluate(root: Location) -> dict[str, Any]:
    """Scores the last checkpoint of a run: validation loss and bits per byte; see `tokenmill eval`.

    Args:
        root: Run folder with a checkpoint and validation tokens.
    """
    result = command_task("eval", [root])
    publish_figures("tokenmill-evaluation", result, f"evaluation of {root}")
    return result
