"""Media by their first bytes: newer pictures, every version of MPEG audio, other containers."""

from __future__ import annotations

from typing import Any

import pytest

from evalkit.checks.media.files import same_type, sniff
from tests.checks.media_samples import media, picture
from tests.checks.sample_turns import codes, judge


def box(name: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return (8 + len(body)).to_bytes(4, "big") + name + body


def ispe(width: int, height: int) -> bytes:
    return box(b"ispe", b"\0\0\0\0", width.to_bytes(4, "big"), height.to_bytes(4, "big"))


def heic(brand: bytes, *others: bytes) -> bytes:
    """Return a file like those of phones: tiles and the whole picture, without their pixels."""
    sizes = box(b"iprp", box(b"ipco", ispe(512, 512), ispe(4032, 3024)))
    meta = box(b"meta", b"\0\0\0\0", sizes)
    return box(b"ftyp", brand, b"\0\0\0\0", *others) + meta + box(b"mdat", b"x")


HEIC, AVIF = heic(b"heic", b"mif1", b"heic"), picture("AVIF", 6, 4)
MPEG_2_5 = b"\xff\xe3\x18\xc4" + bytes(60)


@pytest.mark.parametrize(
    ("source", "options", "expected"),
    [
        (media(HEIC, "image/heic"), {"width": 4032, "height": 3024}, []),
        (media(heic(b"mif1", b"heic"), "image/heif"), {"type": "image", "count": 1}, []),
        (media(heic(b"mif1", b"avif"), "image/avif"), {"mime_type": "image/avif"}, []),
        (media(AVIF, "image/avif"), {"width": 6, "height": 4}, []),
        (media(AVIF, "image/heic"), {}, ["media_type_wrong"]),
        (media(HEIC, "image/jpeg"), {}, ["media_type_wrong"]),
        (media(HEIC, "video/mp4", "video"), {}, ["media_type_wrong"]),
        (media(HEIC[:-4], "image/heic"), {}, ["media_damaged"]),
        (media(box(b"ftyp", b"heic", b"\0\0\0\0"), "image/heic"), {}, ["media_damaged"]),
        (media(MPEG_2_5, "audio/mpeg", "audio"), {}, []),
        (media(b"\xff\xe2" + MPEG_2_5[2:], "audio/mp3", "audio"), {}, []),
        (media(b"\xff\xfd" + MPEG_2_5[2:], "audio/mpeg", "audio"), {}, []),
        (media(b"\xff\xe9" + MPEG_2_5[2:], "audio/mpeg", "audio"), {}, ["media_type_wrong"]),
        (media(b"\xff\xf1" + bytes(60), "audio/aac", "audio"), {}, []),
        (media(b"\xff\xf1" + bytes(60), "audio/mp3", "audio"), {}, ["media_type_wrong"]),
        (media(picture("BMP"), "image/bmp"), {}, []),
        (media(picture("TIFF"), "image/tiff"), {}, []),
        (media(picture("PNG"), "image/bmp"), {}, ["media_type_wrong"]),
        (media(b"FORM\0\0\0\x04AIFF", "audio/x-aiff", "audio"), {}, []),
        (media(b"RIFF\x04\0\0\0AVI ", "video/avi", "video"), {}, []),
    ],
)  # fmt: skip
def test_media_are_what_they_are_declared(
    source: dict[str, Any], options: dict[str, Any], expected: list[str]
) -> None:
    assert codes({"media": options}, source) == expected


def test_a_wrong_type_is_named() -> None:
    (finding,) = judge("media", media(AVIF, "image/png")).findings
    assert "its bytes are image/avif" in finding.message


@pytest.mark.parametrize(
    "data", [b"", b"\0\0\0\x18ftyp", b"\xff", b"ftypmif1", b"\0\0\0\0ftypmif1"]
)
def test_short_files_are_no_reason_to_fail(data: bytes) -> None:
    assert sniff(data) in (None, "video/mp4", "image/heic")


def test_other_names_of_a_type_are_the_same_type() -> None:
    pairs = [("image/heif", "image/HEIC"), ("video/3gpp", "video/mp4"), ("audio/aacp", "audio/aac")]
    assert all(same_type(*pair) for pair in pairs)
    assert not same_type("image/heic", "image/avif")
