"""Kinds of files as a person calls them: ``12 PDF files``, not ``application/pdf 12``.

Tables and ``--json`` have the media type or the reason; what is printed has these words, and the media type only where
there is none.
"""

from collections.abc import Callable, Mapping

from pipeline.base.words import counted, largest_first

UNSUPPORTED = "unsupported: "  # begins the reason of what no reader reads
NO_TEXT_LAYER = "no_text_layer"  # the reason of a PDF file that is pictures alone
MOST_KINDS = 8
_WORDS = {
    "application/pdf": "PDF file",
    "application/postscript": "PostScript file",
    "application/rtf": "RTF document",
    "application/x-ole-storage": "Office file of 1997 to 2003 or Outlook message",
    "image/vnd.djvu": "DjVu file",
    "application/x-dvi": "DVI file of TeX",
    "image/png": "PNG picture",
    "image/jpeg": "JPEG picture",
    "image/gif": "GIF picture",
    "image/webp": "WebP picture",
    "image/tiff": "TIFF picture",
    "image/bmp": "BMP picture",
    "image/x-icon": "icon",
    "image/vnd.adobe.photoshop": "Photoshop picture",
    "image/jp2": "JPEG 2000 picture",
    "image/jxl": "JPEG XL picture",
    "image/avif": "AVIF picture",
    "image/heic": "HEIC picture",
    "image/x-xcf": "GIMP picture",
    "image/svg+xml": "SVG drawing",
    "audio/mpeg": "MP3 sound file",
    "audio/flac": "FLAC sound file",
    "audio/wav": "WAV sound file",
    "audio/midi": "MIDI file",
    "audio/ogg": "Ogg sound file",
    "video/x-msvideo": "AVI film",
    "video/x-matroska": "Matroska or WebM film",
    "video/mp4": "MP4 film",
    "video/mpeg": "MPEG film",
    "video/x-flv": "Flash film",
    "application/x-shockwave-flash": "Flash file",
    "video/x-ms-asf": "Windows Media film",
    "application/zip": "ZIP archive",
    "application/gzip": "gzip file",
    "application/x-bzip2": "bzip2 file",
    "application/x-xz": "xz file",
    "application/zstd": "zstd file",
    "application/x-7z-compressed": "7z archive",
    "application/vnd.rar": "RAR archive",
    "application/x-lz4": "LZ4 file",
    "application/x-snappy-framed": "Snappy file",
    "application/x-lzip": "lzip file",
    "application/x-lzop": "lzop file",
    "application/x-lzma": "LZMA file",
    "application/x-compress": ".Z file",
    "application/zlib": "zlib file",
    "application/x-tar": "tar archive",
    "application/x-archive": "ar archive, such as a .deb",
    "application/x-cpio": "cpio archive",
    "application/vnd.ms-cab-compressed": "CAB archive",
    "application/x-rpm": "RPM package",
    "application/x-xar": "xar archive",
    "application/x-elf": "Linux program or library",
    "application/x-mach-binary": "macOS program or library",
    "application/x-dosexec": "Windows program or library",
    "application/java-vm": "Java class",
    "application/java-archive": "Java archive",
    "application/wasm": "WebAssembly file",
    "application/vnd.android.dex": "Android program",
    "application/vnd.android.package-archive": "Android package",
    "application/x-llvm-bitcode": "LLVM bitcode file",
    "application/x-python-bytecode": "Python bytecode file",
    "application/vnd.sqlite3": "SQLite database",
    "application/vnd.apache.parquet": "Parquet file",
    "application/vnd.apache.arrow.file": "Arrow file",
    "application/vnd.apache.avro": "Avro file",
    "application/vnd.apache.orc": "ORC file",
    "application/x-hdf5": "HDF5 file",
    "application/x-netcdf": "NetCDF file",
    "application/x-npy": "NumPy array",
    "application/x-matlab-data": "MATLAB file",
    "application/x-pickle": "Python pickle",
    "application/x-gguf": "GGUF model",
    "application/x-safetensors": "safetensors model",
    "application/x-git-pack": "file of Git's own",
    "application/x-bittorrent": "torrent",
    "application/x-arc": "ARC web archive",
    "application/x-ms-shortcut": "Windows shortcut",
    "application/x-gettext-translation": "compiled gettext translation",
    "application/vnd.openxmlformats-officedocument.wordprocessingml": "Word document",
    "application/vnd.openxmlformats-officedocument.spreadsheetml": "Excel workbook",
    "application/vnd.openxmlformats-officedocument.presentationml": "PowerPoint presentation",
    "application/vnd.openxmlformats-officedocument.unknown": "Office file",
    "application/vnd.oasis.opendocument.spreadsheet": "OpenDocument spreadsheet",
    "application/vnd.oasis.opendocument.presentation": "OpenDocument presentation",
    "application/vnd.oasis.opendocument.graphics": "OpenDocument drawing",
    "application/vnd.oasis.opendocument.unknown": "OpenDocument file",
    "application/epub+zip": "EPUB",
    "application/octet-stream": "file of no known kind",
    "bytes before an archive": "run of bytes before an archive",
    # reasons
    NO_TEXT_LAYER: "PDF file without a text layer, as a scan",
    "broken_link": "link to nothing",
    "outside_link": "link out of the folder",
    "dataset_info": "file of the library datasets about its data",
    "dataset_cache": "cached copy by the library datasets",
}
_FAMILIES = {"image": "picture", "audio": "sound file", "video": "film", "font": "font"}
_PLURALS = {
    NO_TEXT_LAYER: "PDF files without a text layer, as scans",
    "application/x-ole-storage": "Office files of 1997 to 2003 or Outlook messages",
    "application/x-dvi": "DVI files of TeX",
    "application/x-archive": "ar archives, such as .deb files",
    "application/x-elf": "Linux programs or libraries",
    "application/x-mach-binary": "macOS programs or libraries",
    "application/x-dosexec": "Windows programs or libraries",
    "application/java-vm": "Java classes",
    "application/vnd.sqlite3": "SQLite databases",
    "application/x-git-pack": "files of Git's own",
    "application/octet-stream": "files of no known kind",
    "bytes before an archive": "runs of bytes before an archive",
    "broken_link": "links to nothing",
    "outside_link": "links out of the folder",
    "dataset_info": "files of the library datasets about its data",
    "dataset_cache": "cached copies by the library datasets",
}


def counted_kind(kind: str, count: int) -> str:
    """How many files there are of a media type, or of a reason of the listing.

    Example:
        >>> counted_kind("application/pdf", 12), counted_kind("image/x-new", 1), counted_kind("model/obj", 2)
        ('12 PDF files', '1 picture (image/x-new)', '2 files (model/obj)')
    """
    return f"{count:,} {kind_named(kind, count)}"


def kind_named(kind: str, count: int) -> str:
    """The noun for so many files of a media type, or of a reason of the listing."""
    if kind in _WORDS:
        return _WORDS[kind] if count == 1 else _PLURALS.get(kind, f"{_WORDS[kind]}s")
    family = kind.partition("/")[0]
    noun = _FAMILIES.get(family, "file") + "s" * (count != 1)
    return noun if family == "font" else f"{noun} ({kind})"


def counted_reason(reason: str, count: int) -> str:
    """A reason with its count; of a file that is not read, in words.

    Example:
        >>> counted_reason("empty", 3), counted_reason("unsupported: image/png", 2), counted_reason("broken_link", 1)
        ('empty 3', '2 PNG pictures not read', '1 link to nothing')
    """
    if reason.startswith(UNSUPPORTED):
        return f"{counted_kind(reason.removeprefix(UNSUPPORTED), count)} not read"
    return counted_kind(reason, count) if reason in _WORDS else f"{reason} {count:,}"


def reason_named(reason: str, count: int) -> str:
    """Why so many files are not read, in words: their kind, or what the listing found.

    Example:
        >>> reason_named("unsupported: image/png", 2), reason_named("broken_link", 1), reason_named("an_output", 1)
        ('PNG pictures', 'link to nothing', 'an output')
    """
    kind = reason.removeprefix(UNSUPPORTED)
    return kind_named(kind, count) if kind != reason or kind in _WORDS else reason.replace("_", " ")


def kinds_listed(counts: Mapping[str, int]) -> str:
    """What is not read, the commonest kinds first, and how many more kinds there are."""
    return _several(counts, counted_kind)


def tally(counts: Mapping[str, int]) -> str:
    """Formats or reasons with their counts, the largest first, and how many more there are."""
    return _several(counts, counted_reason)


def _several(counts: Mapping[str, int], in_words: Callable[[str, int], str]) -> str:
    ordered = largest_first(counts)
    shown = ", ".join(in_words(name, count) for name, count in ordered[:MOST_KINDS])
    more = len(ordered) - MOST_KINDS
    return shown + (f", and {counted(more, 'more kind')}" if more > 0 else "")
