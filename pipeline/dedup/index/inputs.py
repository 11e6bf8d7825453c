"""What the index commands read: the user's files (JSON Lines, Parquet, Arrow) and run folders, as batches."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.base.errors import UserError
from pipeline.dedup.files.columns import check_texts
from pipeline.dedup.files.fields import WantedFields
from pipeline.dedup.files.input_files import Part, list_files
from pipeline.dedup.files.items import in_words
from pipeline.dedup.files.records import RecordReader
from pipeline.dedup.index.runs import is_run, run_batches, run_corpus
from pipeline.dedup.index.state import Corpus
from pipeline.dedup.index.writer import Batch


class Source:
    """A corpus to be: its documents, and what was found while they were read.

    Attributes:
        corpus: Where the documents come from.
        quarantined: Records without a text that can be read, when all batches are taken.
        problem: What is wrong with the first of them.
    """

    def __init__(self, corpus: Corpus) -> None:
        self.corpus = corpus
        self.quarantined = 0
        self.problem = ""

    def batches(self) -> Iterator[Batch]:
        """Every document that a run keeps."""
        return (Batch(*batch) for batch in run_batches(str(self.corpus.root)))


class FileSource(Source):
    """Files whose records are documents of one corpus.

    Args:
        corpus: Its name.
        paths: Files, globs and folders.
        text_field: Field with the text.
        id_field: Field with the id; a record without one is named ``path:row``.

    Raises:
        UserError: If there is no file, or one has no text column.
    """

    def __init__(self, corpus: Corpus, paths: Sequence[str], text_field: str = "text", id_field: str = "id") -> None:
        super().__init__(corpus)
        self._wanted, self._files = WantedFields(text_field, id_field), list_files(paths).files
        check_texts(self._files, self._wanted)

    def batches(self) -> Iterator[Batch]:
        """Every document, in input order: files by path in byte order, then rows."""
        for file in self._files:
            reader = RecordReader(Part.whole(file), self._wanted)
            for batch in reader.batches():
                rows = pa.array(batch.rows).cast(pa.string())
                places = pc.binary_join_element_wise(pa.scalar(file.path), rows, ":")
                yield Batch(pc.coalesce(batch.ids.cast(pa.string()), places).to_pylist(), batch.texts)
            self.quarantined += len(reader.damaged)
            if reader.damaged and not self.problem:
                self.problem = in_words(reader.damaged[0])


def sources(paths: Sequence[str], name: str | None, text_field: str, id_field: str) -> list[Source]:
    """The corpora that the command's INPUT arguments name: each run folder is one, all other files are another.

    Args:
        paths: The arguments.
        name: Name of the corpus of the files; without it, that of the first input.
        text_field: See ``FileSource``.
        id_field: See ``FileSource``.

    Raises:
        UserError: If an input cannot be used, or a run is not finished.
    """
    runs = [path for path in paths if is_run(path)]
    files = [path for path in paths if path not in runs]
    if name is not None and not files:
        raise UserError(f"--corpus {name}: a run folder is a corpus of its own, named by the folder")
    found = [Source(run_corpus(path)) for path in runs]
    if files:
        label = name or Path(files[0].rstrip("/")).name
        found.append(FileSource(Corpus(label), files, text_field, id_field))
    return found
