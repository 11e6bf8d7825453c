"""A run folder with given documents, its steps run in this process."""

import hashlib
import json
from pathlib import Path

import pyarrow as pa

from pipeline.filter import stage
from pipeline.kernels import tokens
from pipeline.kernels.token_tables import load_tables
from pipeline.recipe.load import load_recipe
from pipeline.run.context import Context
from pipeline.run.engine import Job, Step
from pipeline.run.folder import Run
from pipeline.run.tables import DOCUMENTS, VERDICTS

CLEAN = Step("clean", 1, "tests.pipeline.filter.helpers:write_documents")
DEDUP = Step("dedup", 1, "tests.pipeline.filter.helpers:write_verdicts")
GOOD = (
    "The committee of the town met with the mayor on Monday. They have agreed to be careful about money. "
    "Nobody had thought that this would take so long. A second meeting will follow next month, and people may come. "
    "The minutes are kept in the archive. Anyone can read them there with a friend or alone, at any time of the day."
)


class HerePool:
    """Runs the jobs in this process."""

    def run(self, function, items):
        for arguments, key in items:
            yield key, function(*arguments)


def write_documents(job, outputs):
    rows = job.config["rows"]
    columns = []
    for field in DOCUMENTS.schema:
        values = [row.get(field.name, default(field, row)) for row in rows]
        columns.append(pa.array(values, field.type))
    with outputs.table(f"documents/{job.shard}.arrow", DOCUMENTS, {"tokenmill.source": job.config["source"]}) as writer:
        table = pa.table(columns, schema=DOCUMENTS.schema)
        for start in range(0, table.num_rows, 100):  # several batches, as a large shard has
            writer.write(table.slice(start, 100).cast(writer.schema))
    outputs.count(documents=len(rows))


def default(field, row):
    if field.name == "doc_id":
        return hashlib.blake2b(row["text"].encode("utf-8", "replace"), digest_size=16).digest()
    values = {"language": "en", "language_score": 0.99, "source": "web", "path": "a.jsonl", "offset": 0}
    return values.get(field.name, 0 if field.name.startswith("pii_") else None)


def write_verdicts(job, outputs):
    keep = job.config["keep"]
    ids = [bytes(16)] * len(keep)
    with outputs.table(f"verdicts/dedup/{job.shard}.arrow", VERDICTS) as writer:
        writer.write(pa.table([ids, keep, [[] if k else ["exact"] for k in keep]], schema=VERDICTS.schema))


def make_run(folder: Path, shards, filter_toml="", dedup=None, *, tokenize="") -> Context:
    """A run whose clean stage (and dedup, where verdicts are given) is done; ``shards`` maps names to rows."""
    folder.mkdir(exist_ok=True)
    recipe = folder / "recipe-in.toml"
    stages = ["clean", "dedup", "filter"] if dedup else ["clean", "filter"]
    stages += ["tokenize"] if tokenize else []
    recipe.write_text(
        f'name = "t"\nstages = {json.dumps(stages)}\n[[sources]]\nname = "web"\npaths = ["x.jsonl"]\n'
        f"[filter]\n{filter_toml}\n{tokenize}\n"
    )
    run = Run(str(folder / "run"), load_recipe(recipe))
    run.write_recipe()
    context = Context(run, HerePool())
    context.run_step(CLEAN, [Job(name, {"rows": rows, "source": "web"}) for name, rows in shards.items()])
    if dedup:
        context.run_step(DEDUP, [Job(name, {"keep": keep}) for name, keep in dedup.items()])
    return context


def run_filter(context: Context):
    return stage.run(context)


def token_texts(text: str) -> list[str]:
    """The tokens of a text as strings, in order."""
    return tokens.token_texts(text, load_tables())
