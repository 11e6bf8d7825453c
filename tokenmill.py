"""The Python door: ``import tokenmill`` (docs/python-api.md).

``Run`` opens a finished run: its documents with verdicts and cuts applied, any of its tables, its signatures as
datasketch objects, its tokens and its model.  ``run_recipe`` makes one.  The other names are those of the rooms below:
texts cleaned, judged and deduplicated in memory, what a duplicate is, how a text is measured.  Everything heavy loads
when it is first used; only ``Run.tokens``, ``Run.model`` and ``Run.sample`` load torch, and nothing loads Prefect.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import __version__

if TYPE_CHECKING:
    import pyarrow as pa

    from model.data.batches import TokenDataset
    from model.network.transformer import Transformer
    from pipeline.dedup import shingle_hash, shingles, signatures
    from pipeline.filter import RULES, judge, signals
    from pipeline.page import ExtractedPage, extract
    from pipeline.recipe.load import Recipe
    from pipeline.texts.cleaning import CleanText, clean
    from pipeline.texts.duplicates import Deduplicated, deduplicate
    from pipeline.texts.verdicts import Verdict, verdict

__all__ = [
    "RULES",
    "CleanText",
    "Deduplicated",
    "ExtractedPage",
    "Run",
    "Verdict",
    "__version__",
    "clean",
    "deduplicate",
    "extract",
    "judge",
    "run_recipe",
    "shingle_hash",
    "shingles",
    "signals",
    "signatures",
    "verdict",
]

_HOMES = {
    **dict.fromkeys(("CleanText", "clean"), "pipeline.texts.cleaning"),
    **dict.fromkeys(("Deduplicated", "deduplicate"), "pipeline.texts.duplicates"),
    **dict.fromkeys(("Verdict", "verdict"), "pipeline.texts.verdicts"),
    **dict.fromkeys(("shingle_hash", "shingles", "signatures"), "pipeline.dedup"),
    **dict.fromkeys(("RULES", "judge", "signals"), "pipeline.filter"),
    **dict.fromkeys(("ExtractedPage", "extract"), "pipeline.page"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def run_recipe(
    recipe: "str | Path | Mapping[str, Any]",
    root: str | Path | None = None,
    *,
    set: Mapping[str, Any] | None = None,
    stages: Sequence[str] | None = None,
    workers: int = 0,
    rebuild: bool = False,
    restart: bool = False,
) -> "Run":
    """Runs a recipe as ``tokenmill run`` does, in a process of its own; what is finished already is not made again.

    Its progress comes out on standard error.  Prefect, its settings and its telemetry (off) stay in that process, which
    ends with this one; an interrupt saves what is in work, and the same call goes on.

    Args:
        recipe: A recipe file, or its sections as dicts; paths in these are relative to the working directory.
        root: The run folder; ``runs/NAME`` where none is named.
        set: What differs from the recipe, such as ``{"train.steps": 100}``.
        stages: Only these.
        workers: Processes; 0: one for each processor.
        rebuild: Make again what was made with other versions of libraries.
        restart: Begin the training anew.

    Returns:
        The run; its ``summary`` has the figures of each stage.

    Raises:
        ValueError: If the recipe is wrong, or cannot work.
        pipeline.base.errors.TokenmillError: If the run fails, in the words of the command; its ``exit_code`` says how.
    """
    from flows.session.command_child import run_command
    from pipeline.recipe.section import toml_value

    named = {"root": root, "stages": ",".join(stages) if stages else None, "workers": workers or None}
    options = [f"--{name}={value}" for name, value in named.items() if value is not None]
    options += [f"--set={key}={toml_value(value)}" for key, value in (set or {}).items()]
    options += ["--rebuild"] * rebuild + ["--restart"] * restart
    with _recipe_file(recipe) as path:
        done = run_command(["run", path, *options])
    found = Run(done["root"])
    found.summary = done["stages"]
    return found


@contextlib.contextmanager
def _recipe_file(recipe: "str | Path | Mapping[str, Any]") -> Iterator[str]:
    """The path of a recipe; of one that is given in sections, that of a file which holds it meanwhile."""
    if not isinstance(recipe, Mapping):
        yield str(recipe)
        return
    from tempfile import TemporaryDirectory

    from pipeline.recipe.load import recipe_from, recipe_toml

    text = recipe_toml(recipe_from(recipe))
    with TemporaryDirectory(prefix="tokenmill-") as folder:
        path = Path(folder) / "recipe.toml"
        path.write_text(text, encoding="utf-8")
        yield str(path)


class Run:
    """A run folder, opened for reading.

    Args:
        root: The folder, or an fsspec URL.

    Raises:
        ValueError: If there is no run.
    """

    def __init__(self, root: str | Path) -> None:
        from pipeline.run.folder import Run as Folder

        self._run = Folder.open(root)
        self.summary: dict[str, dict[str, Any]] = {}
        """By stage the figures of the ``run_recipe`` that gave this object; empty where the run was opened."""

    def __repr__(self) -> str:
        return f"tokenmill.Run({self._run.root!r})"

    @property
    def root(self) -> str:
        """The folder or URL."""
        return self._run.root

    @property
    def recipe(self) -> "Recipe":
        """The recipe that the run was made by."""
        return self._run.recipe

    def status(self) -> dict[str, dict[str, Any]]:
        """By stage: its state, shards, records, bytes and problems, as ``tokenmill status --json`` has them."""
        from pipeline.inspection.status import status_rows

        return status_rows(self._run)

    def documents(self, select: str = "kept", columns: Sequence[str] | None = None) -> "Iterator[pa.RecordBatch]":
        """Documents in the order of the run, as Arrow record batches; texts are without what the filter stage cuts.

        Args:
            select: ``kept``, ``dropped`` or ``all``; what was taken down is in none of them.
            columns: Columns of documents/ and signals/, and those of docs/export.md; by default all of documents/.

        Raises:
            ValueError: If a column or selection is unknown, or a stage whose verdicts are needed has not finished.
        """
        from pipeline.export.columns import choose_columns
        from pipeline.export.documents import Documents, check_selection, whole_shards

        chosen_by = check_selection(select)
        documents = Documents(self._run, choose_columns(self._run, columns, chosen_by), chosen_by)
        return (batch for part in whole_shards(self._run) for batch in documents.read(part))

    def table(self, folder: str, columns: Sequence[str] | None = None) -> "Iterator[pa.RecordBatch]":
        """The rows of a table as they stand on disk, shard by shard.

        Args:
            folder: ``documents``, ``quarantine``, ``excluded``, ``signatures``, ``signals``, ``clusters`` or
                ``verdicts/<stage>`` (docs/formats.md has their columns).
            columns: Only these.

        Raises:
            ValueError: If the run has no such table.
        """
        from pipeline.export.tables import table_batches

        return table_batches(self._run, folder, columns)

    def signatures(self) -> Iterator[tuple[str, Any]]:
        """doc_id (hex) and ``datasketch.MinHash`` of every document, as the dedup stage has computed it."""
        from datasketch import MinHash

        from pipeline.dedup import shingle_hash as hashed_with
        from pipeline.recipe.minhash import SCHEME

        seed = self.recipe.dedup.minhash.seed
        for batch in self.table("signatures", ["doc_id", "signature"]):
            for doc_id, values in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                hashed = MinHash(
                    num_perm=len(values), seed=seed, scheme=SCHEME, hashvalues=values, hashfunc=hashed_with
                )
                yield doc_id.hex(), hashed

    def verdict(self, text: str, *, url: str | None = None, licence: str | None = None) -> "Verdict":
        """What the clean and filter stages of this run would say of a text, with its classifiers and evaluation sets.

        Args:
            text: As a source would have it.
            url: For rules over URLs.
            licence: For rules over licences.
        """
        from pipeline.texts.verdicts import verdict

        return verdict(text, self._run, url=url, licence=licence)

    def explain(self, doc_id: str | bytes) -> dict[str, Any]:
        """All that is known of a document, as ``tokenmill explain --json`` has it.

        Args:
            doc_id: In hex, of which the beginning is enough, or its 16 bytes, as the tables hold it.

        Raises:
            ValueError: If there is no such document, or several.
        """
        from pipeline.lineage.explain import explain
        from pipeline.lookup.locate import DocIndex

        index = DocIndex(self._run)
        return explain(self._run, index.find(doc_id.hex() if isinstance(doc_id, bytes) else doc_id), index)

    def trace(self, step: int, to: int | None = None) -> dict[str, Any]:
        """What a training step (counted from 0), or all from ``step`` to ``to``, read: as ``trace --json`` has it.

        Raises:
            ValueError: If the run has no such step.
        """
        from pipeline.lineage.trace import trace

        return trace(self._run, step, step if to is None else to)

    def licences(self) -> dict[str, Any]:
        """Tokens by licence and source in what was trained on, as ``tokenmill licences --json`` has them."""
        from pipeline.lineage.licences import licences

        return licences(self._run, None)

    def tokens(
        self, split: str = "train", context_length: int | None = None, seed: int | None = None
    ) -> "TokenDataset":
        """The windows of a split as a torch dataset, by default as the recipe trains on them.

        Args:
            split: ``train`` (with the weights of the sources, and the runs that the recipe mixes in) or ``validation``.
            context_length: Tokens in a window.
            seed: Of the order.

        Raises:
            ValueError: If the split is unknown, or has no tokens.
        """
        from model.data.corpus import open_split

        return open_split(self._run, split, context_length, seed)

    def model(self) -> "Transformer":
        """The model of the last complete checkpoint, in float32 on the CPU."""
        from model.network.transformer import Transformer

        return Transformer.from_run(self.root)

    def sample(
        self,
        prompt: str = "",
        *,
        seed: int = 1,
        tokens: int = 200,
        temperature: float = 0.8,
        top_k: int = 50,
        top_p: float = 1.0,
    ) -> str:
        """Text that the model of the last complete checkpoint writes after a prompt, as ``tokenmill sample`` does.

        Args:
            prompt: The beginning of the text; empty: that of a document.
            seed: Of the draws: the same seed gives the same text.
            tokens: Most tokens to write.
            temperature: 0 is greedy; higher is more varied.
            top_k: Only the k likeliest tokens at each place; 0: all.
            top_p: Only the likeliest tokens that together reach this probability.

        Raises:
            ValueError: If there is no checkpoint, or an option is out of its range.
        """
        from model.evaluation.generate import Sampling
        from model.evaluation.scoring import sample_run

        sampling = Sampling(temperature=temperature, top_k=top_k, top_p=top_p, seed=seed)
        return sample_run(self._run, prompt, tokens, sampling)
