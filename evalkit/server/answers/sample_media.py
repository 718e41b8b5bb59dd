"""Pictures and sounds made of nothing but zlib and arithmetic: real files, the same bytes for the same words.

``skyline`` draws a city at sunset, whatever is asked for; the words choose the colours, the sun and the houses. Written by hand because a
server that answers in plain pictures must not need an imaging library. PNG: W3C PNG specification, third edition; WAV: RIFF, PCM.
"""

from __future__ import annotations

import hashlib
import math
import struct
import zlib

_PALETTES = (
    ((38, 20, 72), (255, 122, 64)),
    ((16, 32, 88), (255, 168, 92)),
    ((64, 16, 64), (255, 96, 112)),
    ((20, 44, 72), (248, 196, 112)),
)
SIZES = {
    "16:9": (320, 180), "9:16": (180, 320), "1:1": (240, 240), "4:3": (320, 240), "3:4": (240, 320), "3:2": (318, 212), "2:3": (212, 318),
    "4:5": (240, 300), "5:4": (300, 240), "21:9": (336, 144),
}  # fmt: skip
"""Width and height of a picture by the ``aspect_ratio`` of ``response_format``."""


def skyline(about: str, width: int = 320, height: int = 180) -> bytes:
    """Return a PNG (8-bit RGB) of a skyline at sunset, chosen by the words of ``about``."""
    chance = hashlib.sha256(
        " ".join(about.split()).casefold().encode("utf-8", "surrogatepass")
    ).digest()
    night, glow = _PALETTES[chance[0] % len(_PALETTES)]
    sun_x, sun_y, radius = (
        width * (64 + chance[1] // 2) // 255,
        height * 3 // 5,
        max(4, height // 7),
    )
    houses = _houses(chance, width, height)
    rows = bytearray()
    for y in range(height):
        share = y / max(1, height - 1)
        row = bytearray(
            bytes(round(a + (b - a) * share) for a, b in zip(night, glow, strict=True)) * width
        )
        reach = radius * radius - (y - sun_y) ** 2
        if reach > 0:
            half = math.isqrt(reach)
            left, right = max(0, sun_x - half), min(width, sun_x + half)
            row[3 * left : 3 * right] = bytes((255, 232, 168)) * max(0, right - left)
        for left, right, top, shade in houses:
            if y < top:
                continue
            row[3 * left : 3 * right] = bytes((shade, shade, shade + 12)) * (right - left)
            if (y - top) % 8 in (3, 4, 5):
                for x in range(left + 3, right - 3, 6):
                    if (x * 7 + (y - top) // 8 * 13 + shade) % 5 < 2:
                        row[3 * x : 3 * x + 6] = bytes((255, 220, 130)) * 2
        rows += b"\0" + row
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + _chunk(b"IDAT", zlib.compress(bytes(rows), 9))
        + _chunk(b"IEND", b"")
    )


def tone(about: str, seconds: float = 0.5, rate: int = 8_000) -> bytes:
    """Return a WAV file (mono, 16 bit): one soft tone whose pitch the words choose."""
    pitch = 220 + hashlib.sha256(about.encode("utf-8", "surrogatepass")).digest()[0]
    count = round(seconds * rate)
    samples = (
        round(
            8_000 * math.sin(2 * math.pi * pitch * index / rate) * math.sin(math.pi * index / count)
        )
        for index in range(count)
    )
    data = b"".join(struct.pack("<h", sample) for sample in samples)
    head = struct.pack(
        "<4sI4s4sIHHIIHH",
        b"RIFF",
        36 + len(data),
        b"WAVE",
        b"fmt ",
        16,
        1,
        1,
        rate,
        rate * 2,
        2,
        16,
    )
    return head + struct.pack("<4sI", b"data", len(data)) + data


def _houses(chance: bytes, width: int, height: int) -> list[tuple[int, int, int, int]]:
    """Return left, right, top and shade of each house, left to right."""
    houses = []
    left, index = 0, 2
    while left < width:
        value = chance[index % len(chance)]
        right = min(width, left + 14 + value % 23)
        houses.append((left, right, height - height * (20 + value % 60) // 100, 18 + value % 24))
        left, index = right, index + 1
    return houses


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
