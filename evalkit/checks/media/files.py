"""What a file really is: its type by its first bytes, its structure walked, its size from its header. No decoder, no dependency.

Only containers are read, never pixels or samples, so a hostile file can cost no more than its own length. Sources: PNG (W3C, third edition,
chapter 5), JPEG (ITU T.81, annex B), GIF89a, RIFF/WAVE and WebP container, ISO base media file format (boxes), Matroska (EBML header).
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (8, b"WEBP", "image/webp"),
    (8, b"WAVE", "audio/wav"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"\xff\xfb", "audio/mpeg"),
    (0, b"\xff\xf3", "audio/mpeg"),
    (0, b"\xff\xf2", "audio/mpeg"),
    (0, b"\xff\xfa", "audio/mpeg"),
    (0, b"OggS", "audio/ogg"),
    (0, b"fLaC", "audio/flac"),
    (4, b"ftyp", "video/mp4"),
    (0, b"\x1a\x45\xdf\xa3", "video/webm"),
    (0, b"%PDF-", "application/pdf"),
)
"""Offset, bytes there, and the type they mean. ``RIFF`` files say at offset 8 what they are."""

SAME: dict[str, str] = {
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "image/x-png": "image/png",
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
    "audio/webm": "video/webm",
    "video/x-matroska": "video/webm",
}
"""Other names of a type, and types that share a container, to the name used here."""

_KNOWN = frozenset(kind for _, _, kind in MAGIC)


class Facts(NamedTuple):
    """What the bytes tell: the type (None: unknown), size in pixels where the header has it; what is wrong, as words, or ``""``."""

    mime_type: str | None
    width: int | None = None
    height: int | None = None
    mismatch: str = ""
    damage: str = ""


class Shape(NamedTuple):
    """What walking a file's structure found."""

    width: int | None = None
    height: int | None = None
    damage: str = ""


def decode(data: Any) -> tuple[bytes | None, str]:
    """Decode base64 (RFC 4648 section 4, padded), or return None and the reason."""
    if not isinstance(data, str):
        return None, "it is no string"
    try:
        return base64.b64decode(data, validate=True), ""
    except (binascii.Error, ValueError) as error:
        return None, str(error)


def same_type(left: str, right: str) -> bool:
    """Say whether two mime types name the same file type."""
    return plain_type(left) == plain_type(right)


def plain_type(mime_type: str) -> str:
    """Return the name used here for a mime type."""
    lower = mime_type.lower().partition(";")[0].strip()
    return SAME.get(lower, lower)


def sniff(raw: bytes) -> str | None:
    """Return the type that the first bytes mean, None where they mean none of the table."""
    return next(
        (
            kind
            for offset, magic, kind in MAGIC
            if raw.startswith(magic, offset) and (offset != 8 or raw.startswith(b"RIFF"))
        ),
        None,
    )


def examine(raw: bytes, declared: str | None) -> Facts:
    """Compare a file with the type it is declared to have, and walk its structure where that is known here."""
    real = sniff(raw)
    shape = _WALKERS[real](raw) if real in _WALKERS else Shape()
    mismatch = ""
    wanted = plain_type(declared) if declared is not None else None
    if wanted in _KNOWN and wanted != real:
        mismatch = (
            f"its bytes are {real}"
            if real is not None
            else f"its bytes begin with {raw[:8].hex(' ')}"
        )
    elif (
        wanted is not None
        and wanted not in _KNOWN
        and real is not None
        and wanted.partition("/")[0] != real.partition("/")[0]
    ):
        mismatch = f"its bytes are {real}"
    return Facts(real, shape.width, shape.height, mismatch, shape.damage)


def _png(raw: bytes) -> Shape:
    at, width, height = 8, None, None
    names: list[bytes] = []
    while at < len(raw):
        if at + 12 > len(raw):
            return Shape(width, height, f"a chunk is cut off at byte {at}")
        length, name = int.from_bytes(raw[at : at + 4], "big"), raw[at + 4 : at + 8]
        end = at + 12 + length
        shown = name.decode("latin-1")
        if end > len(raw):
            return Shape(width, height, f"the chunk {shown!r} is cut off at byte {len(raw)}")
        if zlib.crc32(raw[at + 4 : end - 4]) != int.from_bytes(raw[end - 4 : end], "big"):
            return Shape(
                width, height, f"the checksum of the chunk {shown!r} at byte {at} is wrong"
            )
        if not names and (name != b"IHDR" or length != 13):
            return Shape(None, None, f"the first chunk is {shown!r}, not IHDR")
        if name == b"IHDR":
            width, height = (
                int.from_bytes(raw[at + 8 : at + 12], "big"),
                int.from_bytes(raw[at + 12 : at + 16], "big"),
            )
        names.append(name)
        at = end
        if name == b"IEND":
            break
    if not names or names[-1] != b"IEND":
        return Shape(width, height, "there is no end (IEND)")
    return Shape(width, height, "" if b"IDAT" in names else "there is no picture in it (IDAT)")


_SIZED = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_BARE = frozenset({0x01, *range(0xD0, 0xD8)})


def _jpeg(raw: bytes) -> Shape:
    at, width, height = 2, None, None
    while at + 4 <= len(raw):
        if raw[at] != 0xFF:
            return Shape(width, height, f"no marker at byte {at}")
        marker = raw[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if marker in _BARE:
            at += 2
            continue
        length = int.from_bytes(raw[at + 2 : at + 4], "big")
        if marker in _SIZED and at + 9 <= len(raw):
            height, width = (
                int.from_bytes(raw[at + 5 : at + 7], "big"),
                int.from_bytes(raw[at + 7 : at + 9], "big"),
            )
        if marker == 0xDA:
            # After the scan's header come entropy-coded bytes; their end marker is the last thing in the file, padding aside.
            whole = raw.find(b"\xff\xd9", at + 2 + length) >= 0
            damage = (
                ""
                if whole and width is not None
                else "it has no end (EOI)"
                if not whole
                else "it has no frame header"
            )
            return Shape(width, height, damage)
        if length < 2 or at + 2 + length > len(raw):
            return Shape(width, height, f"the segment at byte {at} is cut off")
        at += 2 + length
    return Shape(width, height, "there is no picture in it (SOS)")


def _gif(raw: bytes) -> Shape:
    if len(raw) < 13:
        return Shape(damage="the header is cut off")
    width, height = int.from_bytes(raw[6:8], "little"), int.from_bytes(raw[8:10], "little")
    return Shape(
        width, height, "" if raw.rstrip(b"\0").endswith(b";") else "it has no end (trailer)"
    )


def _riff(raw: bytes) -> str:
    size = int.from_bytes(raw[4:8], "little") + 8
    # A streamed WAV has 0 or all ones for a length that was not known when the header was written.
    return f"it is cut off: {len(raw)} of {size} bytes" if len(raw) < size < 0xFFFFFFFF else ""


def _wav(raw: bytes) -> Shape:
    damage = _riff(raw)
    at = 12
    names: list[bytes] = []
    while not damage and at + 8 <= len(raw):
        names.append(raw[at : at + 4])
        length = int.from_bytes(raw[at + 4 : at + 8], "little")
        at += 8 + length + length % 2
    lost = [name for name in (b"fmt ", b"data") if name not in names]
    return Shape(damage=damage or (f"it has no {lost[0].decode().strip()!r} chunk" if lost else ""))


def _webp(raw: bytes) -> Shape:
    damage, kind = _riff(raw), raw[12:16]
    width = height = None
    if kind == b"VP8X" and len(raw) >= 30:
        width, height = (
            int.from_bytes(raw[24:27], "little") + 1,
            int.from_bytes(raw[27:30], "little") + 1,
        )
    elif kind == b"VP8L" and len(raw) >= 25:
        packed = int.from_bytes(raw[21:25], "little")
        width, height = (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1
    elif kind == b"VP8 " and len(raw) >= 30:
        width, height = (
            int.from_bytes(raw[26:28], "little") & 0x3FFF,
            int.from_bytes(raw[28:30], "little") & 0x3FFF,
        )
    else:
        damage = damage or "there is no picture in it"
    return Shape(width, height, damage)


def _mp4(raw: bytes) -> Shape:
    at = 0
    names: list[bytes] = []
    while at + 8 <= len(raw):
        length, name = int.from_bytes(raw[at : at + 4], "big"), raw[at + 4 : at + 8]
        if length == 1 and at + 16 <= len(raw):
            length = int.from_bytes(raw[at + 8 : at + 16], "big")
        elif length == 0:
            length = len(raw) - at
        if length < 8:
            return Shape(damage=f"the box at byte {at} has an impossible length")
        names.append(name)
        at += length
    if at < len(raw):
        return Shape(damage=f"a box is cut off at byte {at}")
    if at > len(raw):
        return Shape(
            damage=f"the box {names[-1].decode('latin-1')!r} is cut off: {len(raw)} of {at} bytes"
        )
    return Shape(damage="" if b"moov" in names else "it has no index of its tracks (moov)")


_WALKERS: dict[str | None, Callable[[bytes], Shape]] = {
    "image/png": _png,
    "image/jpeg": _jpeg,
    "image/gif": _gif,
    "image/webp": _webp,
    "audio/wav": _wav,
    "video/mp4": _mp4,
}
