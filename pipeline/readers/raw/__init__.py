"""What the first bytes of a file or a body say, before any reader sees it.

1. ``compression``  the compressions that are undone, and one decompressor for all of them
2. ``kinds``        kinds of file that are no text, and whether bytes are text at all
3. ``prescan``      the encoding that a page declares
4. ``ledger``       where the bytes of an input go
"""
