"""What the first bytes of a file or a body say, before any reader sees it.

1. ``compression``  the compressions that are undone, and one decompressor for all of them
"""
