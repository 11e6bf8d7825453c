"""A datatrove extractor as the clean stage's extractor.

Its ``extract`` is called directly: datatrove's own sandbox ends a page by a wall clock, so that results depend on the
machine's speed; here the scan before parsing bounds the work.
"""

from collections.abc import Callable

from pipeline.base.class_path import make
from pipeline.base.errors import UserError


def datatrove_extract(path: str) -> Callable[[str], str]:
    """The ``extract`` function of the extractor that ``path`` names.

    Raises:
        UserError: If it is not a datatrove extractor.
    """
    from datatrove.pipeline.extractors.base import BaseExtractor

    extractor = make(path, {})
    if not isinstance(extractor, BaseExtractor):
        raise UserError(f"{path}: not a datatrove extractor")

    def extract(html: str) -> str:
        return str(extractor.extract(html) or "")

    return extract
