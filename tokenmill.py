"""The Python door: ``import tokenmill`` (docs/python-api.md).

``Run`` opens a finished run: its documents with verdicts and cuts applied, any of its tables, its signatures as
datasketch objects, its tokens and its model.  The other names are those of the rooms below: what a duplicate is, how a
text is measured and judged.  Everything heavy loads when it is first used; only ``Run.tokens`` and ``Run.model`` load
torch.
"""

from collections.abc import Iterator, Sequence
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

__all__ = [
    "RULES",
    "ExtractedPage",
    "Run",
    "__version__",
    "extract",
    "judge",
    "shingle_hash",
    "shingles",
    "signals",
    "signatures",
]

_HOMES = {
    **dict.fromkeys(("shingle_hash", "shingles", "signatures"), "pipeline.dedup"),
    **dict.fromkeys(("RULES", "judge", "signals"), "pipeline.filter"),
    **dict.fromkeys(("ExtractedPage", "extract"), "pipeline.page"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


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

    def tokens(
        self, split: str = "train", context_length: int | None = None, seed: int | None = None
    ) -> "TokenDataset":
        """The windows of a split as a torch dataset, by default as the recipe trains on them.

        Args:
            split: ``train`` or ``validation``.
            context_length: Tokens in a window.
            seed: Of the order.
        """
        from model.data.batches import TokenDataset
        from pipeline.base import storage
        from pipeline.run import layout

        path = layout.tokens_folder(split)
        folder = storage.open_folder(self._run.url(path), ".arrow", as_path=path)
        length = context_length or self.recipe.model.context_length
        return TokenDataset(folder, length, self.recipe.train.seed if seed is None else seed)

    def model(self) -> "Transformer":
        """The model of the last complete checkpoint, in float32 on the CPU."""
        from model.network.transformer import Transformer

        return Transformer.from_run(Path(self.root))
