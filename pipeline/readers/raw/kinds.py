"""Kinds of file by their first bytes, and whether bytes are text at all.

The table holds what ordinary folders and web servers mix with text.  A signature that a text could begin with is
checked further, so that no text is taken for something else.
"""

import re
import struct
import zlib
from collections.abc import Iterable

PDF = "application/pdf"
OCTETS = "application/octet-stream"  # bytes that are no text, of no kind that is known
HEAD_BYTES = 1 << 12  # what is looked at
SAMPLE_BYTES = 1 << 16
# control bytes that no text has: tab, line ends, overstriking, and the shifts of ISO 2022 are some that texts do have
CONTROLS = bytes(value for value in range(32) if value not in (8, 9, 10, 12, 13, 14, 15, 27)) + b"\x7f"
# of control bytes, above which bytes are no text; random bytes have 10 %, texts in any encoding hardly one
UTF8_SHARE, OTHER_SHARE = 0.1, 0.03

_KINDS: tuple[tuple[str, bytes], ...] = (
    # documents that are no plain text
    (PDF, rb"\s*%PDF-\d"),
    ("application/postscript", rb"%!PS|\xc5\xd0\xd3\xc6"),
    ("application/rtf", rb"\{\\rtf\d"),
    ("application/x-ole-storage", rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"),  # Word, Excel, PowerPoint of 1997 to 2003
    ("image/vnd.djvu", rb"AT&TFORM....DJV"),
    ("application/x-dvi", rb"\xf7\x02\x01\x83\x92"),
    # pictures
    ("image/png", rb"\x89PNG\r\n\x1a\n"),
    ("image/jpeg", rb"\xff\xd8\xff"),
    ("image/gif", rb"GIF8[79]a.{0,6}?[\0-\x08]"),
    ("image/webp", rb"RIFF....WEBP"),
    ("image/tiff", rb"II\*\0|MM\0\*|II\+\0|MM\0\+"),
    ("image/bmp", rb"BM.{4}\0\0\0\0.{3}\0[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0"),
    ("image/x-icon", rb"\0\0[\x01\x02]\0[\x01-\x20]\0"),
    ("image/vnd.adobe.photoshop", rb"8BPS\0[\x01\x02]"),
    ("image/jp2", rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51"),
    ("image/jxl", rb"\0\0\0\x0cJXL \r\n\x87\n"),
    ("image/avif", rb"\0\0\0.ftypavi[fs]"),
    ("image/heic", rb"\0\0\0.ftyp(?:hei[cx]|mif1|msf1|hevc)"),
    ("image/x-xcf", rb"gimp xcf (?:file|v\d{3})\0"),
    # sound and film
    ("audio/mpeg", rb"ID3[\x02-\x04]|\xff[\xfb\xf3\xf2][\x10-\xee]"),
    ("audio/flac", rb"fLaC\0"),
    ("audio/wav", rb"RIFF....WAVE"),
    ("audio/midi", rb"MThd\0\0\0\x06"),
    ("audio/ogg", rb"OggS\0"),
    ("video/x-msvideo", rb"RIFF....AVI "),
    ("video/x-matroska", rb"\x1a\x45\xdf\xa3"),
    ("video/mp4", rb"\0\0\0.ftyp|\0\0..(?:moov|mdat|wide)"),
    ("video/mpeg", rb"\0\0\x01[\xba\xb3]"),
    ("video/x-flv", rb"FLV\x01"),
    ("application/x-shockwave-flash", rb"[FCZ]WS[\x01-\x32].{3}\0"),
    ("video/x-ms-asf", rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11"),
    # fonts
    ("font/woff", rb"wOFF(?:\0\x01\0\0|OTTO|true)"),
    ("font/woff2", rb"wOF2(?:\0\x01\0\0|OTTO|true)"),
    ("font/ttf", rb"\0\x01\0\0\0[\x04-\x40]|true\0"),
    ("font/otf", rb"OTTO\0"),
    ("font/collection", rb"ttcf\0"),
    # archives and compressions
    ("application/zip", rb"PK(?:\x03\x04|\x05\x06|\x07\x08)"),
    ("application/gzip", rb"\x1f\x8b\x08"),
    ("application/x-bzip2", rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)"),
    ("application/x-xz", rb"\xfd7zXZ\0"),
    ("application/zstd", rb"\x28\xb5\x2f\xfd"),
    ("application/x-7z-compressed", rb"7z\xbc\xaf\x27\x1c"),
    ("application/vnd.rar", rb"Rar!\x1a\x07"),
    ("application/x-lz4", rb"\x04\x22\x4d\x18|\x02\x21\x4c\x18"),
    ("application/x-snappy-framed", rb"\xff\x06\0\0sNaPpY"),
    ("application/x-lzip", rb"LZIP[\0\x01]"),
    ("application/x-lzop", rb"\x89LZO\0\r\n\x1a\n"),
    ("application/x-lzma", rb"\x5d\0\0[\0-\xff]{2}(?:\xff{8}|[\0-\xff]{4}\0{4})"),
    ("application/x-compress", rb"\x1f[\x9d\xa0]"),
    ("application/x-tar", rb".{257}ustar[\0 ]"),
    ("application/x-archive", rb"!<arch>\n"),
    ("application/x-cpio", rb"07070[127][0-9A-Fa-f]{60}"),
    ("application/vnd.ms-cab-compressed", rb"MSCF\0\0\0\0"),
    ("application/x-rpm", rb"\xed\xab\xee\xdb"),
    ("application/x-xar", rb"xar!\0"),
    # programs
    ("application/x-elf", rb"\x7fELF[\x01\x02]"),
    ("application/x-mach-binary", rb"[\xce\xcf]\xfa\xed\xfe|\xfe\xed\xfa[\xce\xcf]|\xca\xfe\xba\xbe\0\0\0"),
    ("application/java-vm", rb"\xca\xfe\xba\xbe"),
    ("application/wasm", rb"\0asm\x01\0\0\0"),
    ("application/vnd.android.dex", rb"dex\n0\d\d\0"),
    ("application/x-llvm-bitcode", rb"BC\xc0\xde"),
    ("application/x-python-bytecode", rb"..\r\n(?:[\0-\x03]\0\0\0).{8}[\xe3\x63]"),
    ("application/x-dosexec", rb"MZ.{58}[\0-\xff]{3}\0"),
    # data
    ("application/vnd.sqlite3", rb"SQLite format 3\0"),
    ("application/vnd.apache.parquet", rb"PAR1[\0-\x08\x0e-\x1f]|PARE.{2}\0\0"),
    ("application/vnd.apache.arrow.file", rb"ARROW1\0\0|FEA1[\0-\x08]"),
    ("application/vnd.apache.avro", rb"Obj\x01"),
    ("application/vnd.apache.orc", rb"ORC[\0-\x1f].{0,64}?[\0-\x08]"),
    ("application/x-hdf5", rb"\x89HDF\r\n\x1a\n"),
    ("application/x-netcdf", rb"CDF[\x01\x02\x05]"),
    ("application/x-npy", rb"\x93NUMPY"),
    ("application/x-matlab-data", rb"MATLAB 5\.0 MAT-file"),
    ("application/x-pickle", rb"\x80[\x02-\x05](?:\x95|c|\}|\]|\()"),
    ("application/x-gguf", rb"GGUF[\x01-\x10]\0\0\0"),
    ("application/x-safetensors", rb"[\0-\xff]{3}\0{5}\{\""),
    ("application/x-git-pack", rb"PACK\0\0\0[\x02\x03]|\xfftOc|DIRC\0\0\0"),
    ("application/x-bittorrent", rb"d8:announce\d"),
    ("application/x-arc", rb"filedesc://\S+ \d"),  # web archives before WARC
    ("application/x-gettext-translation", rb"\xde\x12\x04\x95\0\0[\0\x01]\0|\x95\x04\x12\xde\0[\0\x01]\0\0"),
    ("application/x-ms-shortcut", rb"L\0\0\0\x01\x14\x02\0"),
)
_PATTERN = re.compile(
    rb"|".join(b"(?P<k%d>%s)" % (number, pattern) for number, (_, pattern) in enumerate(_KINDS)), re.DOTALL
)
_BEFORE_A_DRAWING = rb"<!--(?:[^-]|-(?!->))*-->\s*|<!DOCTYPE\s+svg[^>\[]*(?:\[[^\]]*\]\s*)?>\s*"
_DRAWING = re.compile(rb"(?:<\?xml[^>]*>\s*)?(?:%s)*<svg[\s>]" % _BEFORE_A_DRAWING, re.DOTALL)


def kind_of(head: bytes) -> str | None:
    """Media type of a file or body that begins so and is no text; None where nothing says that.

    Example:
        >>> kind_of(b"%PDF-1.7"), kind_of(b"BMW is a maker of cars"), kind_of(b"<html>"), kind_of(b"<svg width='9'>")
        ('application/pdf', None, None, 'image/svg+xml')
    """
    if head[:1] == b"<":  # most pages
        return "image/svg+xml" if _DRAWING.match(head[:HEAD_BYTES]) else None
    found = _PATTERN.match(head[:HEAD_BYTES])
    if found is not None:
        return _KINDS[int(str(found.lastgroup)[1:])][0]
    return "application/zlib" if _is_zlib(head) else None


_OPEN_DOCUMENT = "application/vnd.oasis.opendocument.unknown"
_OFFICE = "application/vnd.openxmlformats-officedocument."
_STATED = re.compile(rb"application/[\w.+-]{1,80}?(?=PK|\Z|[^\w.+-])")  # what the member "mimetype" holds
_PARTS = (  # names of members that tell what an Office file is
    (re.compile(r"word/(document\d*\.xml|styles\.xml|settings\.xml|_rels/)"), f"{_OFFICE}wordprocessingml"),
    (
        re.compile(r"xl/(workbook\.(xml|bin)|worksheets/|sharedStrings\.xml|styles\.xml|_rels/)"),
        f"{_OFFICE}spreadsheetml",
    ),
    (re.compile(r"ppt/(presentation\.xml|slides/|slideLayouts/|slideMasters/|_rels/)"), f"{_OFFICE}presentationml"),
)
_FOLDERS = (  # of these parts, where nothing more is seen of the names
    ("word/", f"{_OFFICE}wordprocessingml"),
    ("xl/", f"{_OFFICE}spreadsheetml"),
    ("ppt/", f"{_OFFICE}presentationml"),
)
MEMBER, HEADER_BYTES = b"PK\x03\x04", 30  # a member's local header
SIZE_FOLLOWS = 8  # flag: of a member whose size stands behind it
_ANDROID = frozenset({"AndroidManifest.xml", "classes.dex"})
_CONTAINER = "META-INF/container.xml"  # of an EPUB


def package_kind(head: bytes) -> str | None:
    """Media type of a ZIP file that is one work of several parts: Office files, OpenDocument, EPUB, programs.

    The members come in any order, and folders may have entries of their own: all names that the bytes show are asked.
    """
    if not head.startswith(MEMBER):
        return None
    names = _member_names(head)
    if (at := names.get("mimetype")) is not None and (stated := _STATED.match(head, at)) is not None:
        return stated.group().decode("ascii")
    if names.keys() & {"[Content_Types].xml", "_rels/.rels"} or next(iter(names), "").startswith(
        ("_rels/", "docProps/")
    ):
        return _office_part(names, whole=True) or f"{_OFFICE}unknown"
    if (kind := _office_part(names, whole=False)) is not None:
        return kind
    if names.keys() & _ANDROID:
        return "application/vnd.android.package-archive"
    if "META-INF/MANIFEST.MF" in names:
        return "application/java-archive"
    if _CONTAINER in names:
        return "application/epub+zip"
    return _OPEN_DOCUMENT if {"content.xml", "META-INF/manifest.xml"} <= names.keys() else None


def _member_names(head: bytes) -> dict[str, int]:
    """Names of members whose headers stand in these bytes, in their order, and where their data begins."""
    names: dict[str, int] = {}
    at = 0
    while at >= 0 and (header := head[at : at + HEADER_BYTES]).startswith(MEMBER) and len(header) == HEADER_BYTES:
        flags, packed, name_bytes, extra_bytes = struct.unpack("<6xH10xI4x2H", header)
        start = at + HEADER_BYTES + name_bytes + extra_bytes
        name = head[at + HEADER_BYTES : at + HEADER_BYTES + name_bytes].decode("utf-8", "replace")
        names.setdefault(name.replace("\\", "/"), start)
        # what lies within a member is no member: an Office file in an archive
        at = start + packed if packed and not flags & SIZE_FOLLOWS else head.find(MEMBER, start)
    return names


def _office_part(names: Iterable[str], *, whole: bool) -> str | None:
    """Which Office file it is, by the first name that tells; ``whole`` where it is known to be one."""
    for name in names:
        found = [kind for pattern, kind in _PARTS if pattern.match(name)]
        found += [kind for folder, kind in _FOLDERS if whole and name.startswith(folder)]
        if found:
            return found[0]
    return None


def _is_zlib(head: bytes) -> bool:
    if head[:1] != b"\x78" or head[1:2] not in (b"\x01", b"\x5e", b"\x9c", b"\xda"):
        return False
    try:
        return len(head) > 8 and bool(zlib.decompressobj().decompress(head[: HEAD_BYTES * 4], 64))
    except zlib.error:
        return False


def control_share(data: bytes) -> float:
    """Share of control bytes that no text has, in the first 64 KiB."""
    sample = data[:SAMPLE_BYTES]
    return (len(sample) - len(sample.translate(None, CONTROLS))) / max(1, len(sample))


def is_utf8(data: bytes) -> bool:
    """Whether the bytes are valid UTF-8; a character that the end cuts is no fault."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.reason == "unexpected end of data" and error.start >= len(data) - 3
    return True


def why_no_text(data: bytes, share: float | None = None) -> str | None:
    """In words, why bytes of a one-byte or multi-byte encoding are no text; None where they may be.

    Args:
        data: The bytes.
        share: Their ``control_share``, where it is known.
    """
    share = control_share(data) if share is None else share
    if share <= OTHER_SHARE:
        return None
    stray = 1 / len(data)  # one is no sign in a short text
    if is_utf8(data[:SAMPLE_BYTES]) and share <= UTF8_SHARE + stray:
        return None
    return f"{share:.0%} of its bytes are control characters"
