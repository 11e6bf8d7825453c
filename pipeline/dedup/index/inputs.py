"""What the index commands read: the user's files (JSON Lines, Parquet, Arrow) and run folders, as batches."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.base.errors import UserError
from pipeline.dedup.files.input_files import File, Part, list_files
from pipeline.dedup.files.records import PartReader, Wanted, check_text_column, schema_of
from pipeline.dedup.index.runs import is_run, run_batches, run_corpus
from pipeline.dedup.index.state import Corpus
from pipeline.dedup.index.writer import Batch


@dataclass
class Inputs:
    """Files whose records are documents of one corpus.

    After ``batches`` is exhausted, ``quarantined`` counts the records without a text that can be read, and ``problem``
    says what is wrong with the first.

    Args:
        paths: Files, globs and folders.
        text_field: Field with the text.
        id_field: Field with the id; a record without one is named ``path:row``.

    Raises:
        UserError: If there is no file, or one has no text column.
    """

    paths: Sequence[str]
    text_field: str = "text"
    id_field: str = "id"
    quarantined: int = 0
    problem: str = ""
    passed_over: tuple[str, ...] = ()
    _files: tuple[File, ...] = field(default=())

    def __post_init__(self) -> None:
        listing = list_files(self.paths)
        self._files, self.passed_over = listing.files, listing.passed_over
        for file in self._files:
            if file.format != "jsonl":
                check_text_column(file, schema_of(file)[0], self.text_field)

    def batches(self) -> Iterator[Batch]:
        """Every document, in input order: files by path in byte order, then rows."""
        wanted = Wanted(self.text_field, self.id_field)
        for file in self._files:
            reader = PartReader(Part(file, 0, file.size, "bytes", file.size), wanted)
            for batch in reader.batches():
                rows = pa.array(batch.rows).cast(pa.string())
                places = pc.binary_join_element_wise(pa.scalar(file.path), rows, ":")
                yield Batch(pc.coalesce(batch.ids.cast(pa.string()), places).to_pylist(), batch.texts)
            self.quarantined += len(reader.damaged)
            if reader.damaged and not self.problem:
                first = reader.damaged[0]
                self.problem = f"{first.path}: {first.reason}: {first.detail}"


@dataclass(frozen=True)
class Source:
    """A corpus, and the run folder or the files that its documents are read from."""

    corpus: Corpus
    run: str | None = None
    files: Inputs | None = None

    def batches(self) -> Iterator[Batch]:
        """Its documents."""
        if self.files is not None:
            return self.files.batches()
        return (Batch(*batch) for batch in run_batches(str(self.run)))

    @property
    def passed_over(self) -> tuple[str, ...]:
        """Files in no format that can be read."""
        return self.files.passed_over if self.files else ()

    @property
    def quarantined(self) -> int:
        """Records without a text that can be read, when all batches are taken."""
        return self.files.quarantined if self.files else 0

    @property
    def problem(self) -> str:
        """What is wrong with the first of them."""
        return self.files.problem if self.files else ""


def sources(paths: Sequence[str], name: str | None, text_field: str, id_field: str) -> list[Source]:
    """The corpora that the command's INPUT arguments name: each run folder is one, all other files are another.

    Args:
        paths: The arguments.
        name: Name of the corpus of the files; without it, that of the first input.
        text_field: See ``Inputs``.
        id_field: See ``Inputs``.

    Raises:
        UserError: If an input cannot be used, or a run is not finished.
    """
    runs = [path for path in paths if is_run(path)]
    files = [path for path in paths if path not in runs]
    if name is not None and not files:
        raise UserError(f"--corpus {name}: a run folder is a corpus of its own, named by the folder")
    found = [Source(run_corpus(path), run=path) for path in runs]
    if files:
        label = name or Path(files[0].rstrip("/")).name
        found.append(Source(Corpus(label), files=Inputs(files, text_field, id_field)))
    return found
