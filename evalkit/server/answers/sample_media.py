"""Draw pictures and generate sounds with the standard library only: real files, deterministic.

``skyline`` draws a city at sunset, whatever the prompt; the prompt decides colors, sun and houses.
An imaging library would be a dependency for a picture that is only a placeholder. Formats: W3C PNG
specification, third edition; WAV: RIFF, PCM.
"""

import hashlib
import itertools
import math
import struct
import zlib
from collections.abc import Iterator

_PALETTES = (
    ((38, 20, 72), (255, 122, 64)),
    ((16, 32, 88), (255, 168, 92)),
    ((64, 16, 64), (255, 96, 112)),
    ((20, 44, 72), (248, 196, 112)),
)
"""Colors of the sky: at the top, at the horizon."""
SIZES = {
    "16:9": (320, 180),
    "9:16": (180, 320),
    "1:1": (240, 240),
    "4:3": (320, 240),
    "3:4": (240, 320),
    "3:2": (318, 212),
    "2:3": (212, 318),
    "4:5": (240, 300),
    "5:4": (300, 240),
    "21:9": (336, 144),
}
"""Width and height of a picture by the ``aspect_ratio`` of ``response_format``."""


def skyline(about: str, width: int = 320, height: int = 180) -> bytes:
    """Return a PNG (8-bit RGB) of a skyline at sunset, chosen by the words of ``about``."""
    words = " ".join(about.split()).casefold()
    digest = hashlib.sha256(words.encode("utf-8", "surrogatepass")).digest()
    top_color, horizon_color = _PALETTES[digest[0] % len(_PALETTES)]
    sun_x, sun_y = width * (64 + digest[1] // 2) // 255, height * 3 // 5
    radius = max(4, height // 7)
    houses = list(_houses(digest, width, height))
    rows = bytearray()
    for y in range(height):
        share = y / max(1, height - 1)
        sky = bytes(
            round(top + (horizon - top) * share)
            for top, horizon in zip(top_color, horizon_color, strict=True)
        )
        row = bytearray(sky * width)
        half = math.isqrt(max(0, radius * radius - (y - sun_y) ** 2))
        left, right = max(0, sun_x - half), min(width, sun_x + half)
        row[3 * left : 3 * right] = bytes((255, 232, 168)) * (right - left)
        for left, right, roof, shade in houses:
            if y >= roof:
                row[3 * left : 3 * right] = bytes((shade, shade, shade + 12)) * (right - left)
        rows += b"\0" + row
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + _png_chunk(b"IHDR", header)
        + _png_chunk(b"IDAT", zlib.compress(bytes(rows), 9))
        + _png_chunk(b"IEND", b"")
    )


def tone(about: str, seconds: float = 0.5, rate: int = 8_000) -> bytes:
    """Return a WAV file (mono, 16 bit) of one soft tone, its pitch chosen by ``about``."""
    pitch = 220 + hashlib.sha256(about.encode("utf-8", "surrogatepass")).digest()[0]
    count = round(seconds * rate)
    data = b"".join(
        struct.pack(
            "<h",
            round(
                8_000
                * math.sin(2 * math.pi * pitch * index / rate)
                * math.sin(math.pi * index / count)
            ),
        )
        for index in range(count)
    )
    form = struct.pack("<HHIIHH", 1, 1, rate, rate * 2, 2, 16)
    chunks = b"fmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(data))
    return b"RIFF" + struct.pack("<I", 4 + len(chunks) + len(data)) + b"WAVE" + chunks + data


def _houses(digest: bytes, width: int, height: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield left, right, roof and shade of each house, from left to right."""
    left = 0
    for value in itertools.cycle(digest[2:] + digest[:2]):
        right = min(width, left + 14 + value % 23)
        yield left, right, height - height * (20 + value % 60) // 100, 18 + value % 24
        left = right
        if left >= width:
            return


def _png_chunk(name: bytes, data: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(name + data))
    return struct.pack(">I", len(data)) + name + data + checksum
