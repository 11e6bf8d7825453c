"""Bytes before they are records.

1. ``compression``  the compressions that are undone, and one decompressor for all of them
2. ``kinds``        kinds of file that are no text, and whether bytes are text at all
3. ``charsets``     encodings by their names, or by the bytes
4. ``prescan``      the encoding that a page declares
5. ``http``         responses as WARC files keep them
6. ``ledger``       where the bytes of an input go
"""
