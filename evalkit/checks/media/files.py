"""What a media file is: its type by its first bytes, its structure, its size from its header.

Only containers are read, never pixels or samples, so a hostile file takes no more time than its
length. Sources: PNG (W3C, third edition, chapter 5), JPEG (ITU T.81, annex B), GIF89a, RIFF/WAVE
and WebP containers, ISO base media file format (boxes), HEIF (ISO 23008-12), Matroska (EBML
header), MPEG audio (ISO 11172-3, 13818-3 and the unofficial 2.5).
"""

import base64
import zlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (8, b"WEBP", "image/webp"),
    (8, b"WAVE", "audio/wav"),
    (8, b"AVI ", "video/x-msvideo"),
    (0, b"BM", "image/bmp"),
    (0, b"II*\0", "image/tiff"),
    (0, b"MM\0*", "image/tiff"),
    (0, b"ID3", "audio/mpeg"),
    # A frame starts with eleven bits, then version 2.5, 2 or 1, then layer III, II or I.
    *(
        (0, bytes((0xFF, 0xE0 | version << 3 | layer << 1 | unprotected)), "audio/mpeg")
        for version in (0, 2, 3)
        for layer in (1, 2, 3)
        for unprotected in (0, 1)
    ),
    (0, b"\xff\xf1", "audio/aac"),
    (0, b"\xff\xf9", "audio/aac"),
    (0, b"FORM", "audio/aiff"),
    (0, b"OggS", "audio/ogg"),
    (0, b"fLaC", "audio/flac"),
    (4, b"ftypavif", "image/avif"),
    (4, b"ftypavis", "image/avif"),
    (4, b"ftyphe", "image/heic"),
    (4, b"ftypmif1", "image/heic"),
    (4, b"ftypmsf1", "image/heic"),
    (4, b"ftyp", "video/mp4"),
    (0, b"FLV\x01", "video/x-flv"),
    (0, b"\0\0\x01\xba", "video/mpeg"),
    (0, b"\0\0\x01\xb3", "video/mpeg"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "video/x-ms-wmv"),
    (0, b"\x1a\x45\xdf\xa3", "video/webm"),
    (0, b"%PDF-", "application/pdf"),
)
"""Offset, the bytes there, and their type; the first row that fits counts.

``RIFF`` files have their type at offset 8.
"""

SAME: dict[str, str] = {
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "image/x-png": "image/png",
    "image/heif": "image/heic",
    "image/heic-sequence": "image/heic",
    "image/heif-sequence": "image/heic",
    "image/x-ms-bmp": "image/bmp",
    "audio/x-aac": "audio/aac",
    "audio/aacp": "audio/aac",
    "audio/x-aiff": "audio/aiff",
    "audio/mpga": "audio/mpeg",
    "audio/x-mpeg": "audio/mpeg",
    "audio/x-wav": "audio/wav",
    "audio/wave": "audio/wav",
    "audio/vnd.wave": "audio/wav",
    "audio/mp3": "audio/mpeg",
    "audio/x-flac": "audio/flac",
    "audio/opus": "audio/ogg",
    "application/ogg": "audio/ogg",
    "video/ogg": "audio/ogg",
    "audio/mp4": "video/mp4",
    "audio/x-m4a": "video/mp4",
    "audio/m4a": "video/mp4",
    "video/quicktime": "video/mp4",
    "video/x-m4v": "video/mp4",
    "video/3gpp": "video/mp4",
    "audio/3gpp": "video/mp4",
    "video/mpg": "video/mpeg",
    "video/mpegps": "video/mpeg",
    "video/avi": "video/x-msvideo",
    "video/wmv": "video/x-ms-wmv",
    "audio/webm": "video/webm",
    "video/x-matroska": "video/webm",
}
"""Other names of a type, and types with the same container, to the name used here."""

_KNOWN = frozenset(kind for _, _, kind in MAGIC)


class Structure(NamedTuple):
    """What the structure of a file says: its size in pixels, and damage if there is any."""

    width: int | None = None
    height: int | None = None
    damage: str = ""


def decode(data: Any) -> tuple[bytes | None, str]:
    """Decode base64 (RFC 4648 section 4, padded), or return None and the reason."""
    if not isinstance(data, str):
        return None, "it is not a string"
    try:
        return base64.b64decode(data, validate=True), ""
    except ValueError as error:
        return None, str(error)


def same_type(left: str, right: str) -> bool:
    """Return whether two mime types name the same file type."""
    return plain_type(left) == plain_type(right)


def plain_type(mime_type: str) -> str:
    """Return the name used here for a mime type."""
    lower = mime_type.lower().partition(";")[0].strip()
    return SAME.get(lower, lower)


def sniff(raw: bytes) -> str | None:
    """Return the type by the first bytes, None where they are not in the table."""
    # The major brand ``mif1`` says no codec; the others of the box do.
    if raw.startswith(b"ftypmif1", 4) and b"avif" in raw[16 : _uint(raw[:4])]:
        return "image/avif"
    return next(
        (
            kind
            for offset, magic, kind in MAGIC
            if raw.startswith(magic, offset) and (offset != 8 or raw.startswith(b"RIFF"))
        ),
        None,
    )


def examine(raw: bytes, declared: str | None) -> tuple[str | None, str, Structure]:
    """Compare a file with its declared type, and read its structure where that is known here.

    Returns the type by its first bytes, how that differs from the declared one (a phrase, or
    ``""``), and the structure.
    """
    real = sniff(raw)
    structure = _READERS[real](raw) if real in _READERS else Structure()
    expected = plain_type(declared) if declared is not None else None
    is_other = expected != real
    if expected not in _KNOWN:
        families = [(each or "").partition("/")[0] for each in (expected, real)]
        is_other = None not in (expected, real) and families[0] != families[1]
    bytes_are = f"are {real}" if real is not None else f"begin with {raw[:8].hex(' ')}"
    return real, f"its bytes {bytes_are}" if is_other else "", structure


def _uint(raw: bytes) -> int:
    return int.from_bytes(raw, "big")


def _uint_le(raw: bytes) -> int:
    return int.from_bytes(raw, "little")


def _png(raw: bytes) -> Structure:
    at, width, height = 8, None, None
    names: list[bytes] = []
    while at < len(raw):
        if at + 12 > len(raw):
            return Structure(width, height, f"a chunk is cut off at byte {at}")
        length, name = _uint(raw[at : at + 4]), raw[at + 4 : at + 8]
        end = at + 12 + length
        shown = name.decode("latin-1")
        if end > len(raw):
            return Structure(width, height, f"the chunk {shown!r} is cut off at byte {len(raw)}")
        if zlib.crc32(raw[at + 4 : end - 4]) != _uint(raw[end - 4 : end]):
            return Structure(
                width, height, f"the checksum of the chunk {shown!r} at byte {at} is wrong"
            )
        if not names and (name != b"IHDR" or length != 13):
            return Structure(None, None, f"the first chunk is {shown!r}, not IHDR")
        if name == b"IHDR":
            width, height = _uint(raw[at + 8 : at + 12]), _uint(raw[at + 12 : at + 16])
        names.append(name)
        at = end
        if name == b"IEND":
            break
    if not names or names[-1] != b"IEND":
        return Structure(width, height, "the end is missing (IEND)")
    return Structure(width, height, "" if b"IDAT" in names else "the image data is missing (IDAT)")


_SIZED = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_BARE = frozenset({0x01, *range(0xD0, 0xD8)})


def _jpeg(raw: bytes) -> Structure:
    at, width, height = 2, None, None
    while at + 4 <= len(raw):
        if raw[at] != 0xFF:
            return Structure(width, height, f"no marker at byte {at}")
        marker = raw[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if marker in _BARE:
            at += 2
            continue
        length = _uint(raw[at + 2 : at + 4])
        if marker in _SIZED and at + 9 <= len(raw):
            height, width = _uint(raw[at + 5 : at + 7]), _uint(raw[at + 7 : at + 9])
        if marker == 0xDA:
            # Entropy-coded bytes follow. Their end marker is the last one, apart from padding.
            damage = "" if width is not None else "it has no frame header"
            if raw.find(b"\xff\xd9", at + 2 + length) < 0:
                damage = "it has no end (EOI)"
            return Structure(width, height, damage)
        if length < 2 or at + 2 + length > len(raw):
            return Structure(width, height, f"the segment at byte {at} is cut off")
        at += 2 + length
    return Structure(width, height, "the image data is missing (SOS)")


def _gif(raw: bytes) -> Structure:
    if len(raw) < 13:
        return Structure(damage="the header is cut off")
    width, height = _uint_le(raw[6:8]), _uint_le(raw[8:10])
    return Structure(
        width, height, "" if raw.rstrip(b"\0").endswith(b";") else "it has no end (trailer)"
    )


def _riff(raw: bytes) -> str:
    size = _uint_le(raw[4:8]) + 8
    # A streamed WAV has 0 or all ones as its length, which was unknown when it was written.
    return f"it is cut off: {len(raw)} of {size} bytes" if len(raw) < size < 0xFFFFFFFF else ""


def _wav(raw: bytes) -> Structure:
    damage = _riff(raw)
    at = 12
    names: list[bytes] = []
    while not damage and at + 8 <= len(raw):
        names.append(raw[at : at + 4])
        length = _uint_le(raw[at + 4 : at + 8])
        at += 8 + length + length % 2
    missing = [name for name in (b"fmt ", b"data") if name not in names]
    return Structure(
        damage=damage or (f"it has no {missing[0].decode().strip()!r} chunk" if missing else "")
    )


def _webp(raw: bytes) -> Structure:
    damage, kind = _riff(raw), raw[12:16]
    width = height = None
    if kind == b"VP8X" and len(raw) >= 30:
        width, height = (
            _uint_le(raw[24:27]) + 1,
            _uint_le(raw[27:30]) + 1,
        )
    elif kind == b"VP8L" and len(raw) >= 25:
        packed = _uint_le(raw[21:25])
        width, height = (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1
    elif kind == b"VP8 " and len(raw) >= 30:
        width, height = (
            _uint_le(raw[26:28]) & 0x3FFF,
            _uint_le(raw[28:30]) & 0x3FFF,
        )
    else:
        damage = damage or "the image data is missing"
    return Structure(width, height, damage)


def _mp4(raw: bytes) -> Structure:
    names, damage = _boxes(raw)
    if not damage and b"moov" not in names:
        damage = "it has no index of its tracks (moov)"
    return Structure(damage=damage)


def _heif(raw: bytes) -> Structure:
    names, damage = _boxes(raw)
    if not damage and not {b"meta", b"moov"} & set(names):
        damage = "it has no index of its images (meta)"
    # Every image in the file has its extents: the largest is the whole one, not a tile of it.
    sizes = [
        (_uint(raw[at + 8 : at + 12]), _uint(raw[at + 12 : at + 16]))
        for at in _occurrences(raw, b"ispe")
    ]
    width, height = max(sizes, key=lambda size: size[0] * size[1], default=(None, None))
    return Structure(width, height, damage)


def _occurrences(raw: bytes, word: bytes) -> Iterator[int]:
    at = raw.find(word)
    while at >= 0:
        yield at
        at = raw.find(word, at + 1)


def _boxes(raw: bytes) -> tuple[list[bytes], str]:
    """Return the names of the outermost boxes, and what is damaged."""
    at = 0
    names: list[bytes] = []
    while at + 8 <= len(raw):
        length, name = _uint(raw[at : at + 4]), raw[at + 4 : at + 8]
        if length == 1 and at + 16 <= len(raw):
            length = _uint(raw[at + 8 : at + 16])
        elif length == 0:
            length = len(raw) - at
        if length < 8:
            return names, f"the box at byte {at} has an impossible length"
        names.append(name)
        at += length
    if at < len(raw):
        return names, f"a box is cut off at byte {at}"
    if at > len(raw):
        last = names[-1].decode("latin-1")
        return names, f"the box {last!r} is cut off: {len(raw)} of {at} bytes"
    return names, ""


_READERS: dict[str | None, Callable[[bytes], Structure]] = {
    "image/png": _png,
    "image/jpeg": _jpeg,
    "image/gif": _gif,
    "image/webp": _webp,
    "audio/wav": _wav,
    "image/heic": _heif,
    "image/avif": _heif,
    "video/mp4": _mp4,
}
