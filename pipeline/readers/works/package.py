"""A ZIP file whose members are the parts of one work: docx, odt and epub."""

import io
import zipfile

from pipeline.base.errors import in_words

_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"  # what Office wraps around a file that has a password
_LOCKED = "EncryptedPackage".encode("utf-16-le")


class PaperError(ValueError):
    """A file that is not what its format asks for."""


class LockedError(PaperError):
    """A file that only its password opens."""


class Package:
    """Reads parts by their names.

    Args:
        data: The file.
        max_bytes: Of all parts together, when they are unpacked.

    Raises:
        PaperError: If it is no ZIP file.
    """

    def __init__(self, data: bytes, max_bytes: int) -> None:
        try:
            self._archive = zipfile.ZipFile(io.BytesIO(data))
        except Exception as error:
            if data.startswith(_OLE) and _LOCKED in data:
                raise LockedError("it is encrypted with a password") from error
            raise PaperError(f"zip: {in_words(error)}") from error
        self._left = max_bytes
        self.names = frozenset(self._archive.namelist())

    def read(self, name: str) -> bytes:
        """The bytes of a part.

        Raises:
            PaperError: If it is missing, damaged or too large.
        """
        if name not in self.names:
            raise PaperError(f"no {name} in it")
        try:
            with self._archive.open(name) as opened:
                data = opened.read(self._left + 1)
        except Exception as error:
            raise PaperError(f"{name}: {in_words(error)}") from error
        self._left -= len(data)
        if self._left < 0:
            raise PaperError(f"{name}: more than max_record_bytes when unpacked")
        return data
