"""A datatrove reader that fails as no library should."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datatrove.data import Document
from datatrove.pipeline.readers.base import BaseDiskReader


class OddReader(BaseDiskReader):  # type: ignore[misc]  # datatrove ships no types
    """A document per line; the line KILL ends the process."""

    name = "odd"

    def read_file(self, filepath: str) -> Iterator[Any]:
        for number, line in enumerate((Path(self.data_folder.path) / filepath).read_text().splitlines()):
            if line == "KILL":
                os.kill(os.getpid(), signal.SIGKILL)
            yield Document(text=line, id=str(number))
