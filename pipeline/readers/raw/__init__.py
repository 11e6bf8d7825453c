"""Bytes before they are records.

1. ``compression``  the compressions that are undone, and one decompressor for all of them
2. ``kinds``        kinds of file that are no text, and whether bytes are text at all
3. ``whatwg``       encodings by their labels, and bytes in them as browsers read them
4. ``charsets``     which encoding bytes are in: declared, or told from them
5. ``prescan``      the encoding that a page declares
6. ``http``         responses as WARC files keep them
7. ``ledger``       where the bytes of an input go
"""
