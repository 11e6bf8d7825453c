"""One web page, outside of a run: its main text and what it says about itself.

- ``find``     the page's bytes: a file, standard input, or a record of a WARC file
- ``blocks``   block by block, what our own extractor keeps and drops
- ``extract``  decoding, limits, facts, extraction and normalisation, as the clean stage does them
"""

from pipeline.page.extract import ExtractedPage, extract

__all__ = ["ExtractedPage", "extract"]
