"""What ``media`` reports for small files."""

from __future__ import annotations

from typing import Any

import pytest

from tests.checks.media_samples import GIF, JPEG, MP4, PNG, WAV, WEBP, media, picture
from tests.checks.sample_turns import codes, output


@pytest.mark.parametrize(
    ("options", "source", "expected"),
    [
        ({}, media(PNG, "image/png"), []),
        (
            {"type": "image", "count": 1, "width": 3, "height": 2, "mime_type": "image/png"},
            media(PNG, "image/png"),
            [],
        ),
        ({"width": 3, "height": 2}, media(JPEG, "image/jpeg"), []),
        ({"width": 3, "height": 2}, media(GIF, "image/gif"), []),
        ({"width": 3, "height": 2}, media(WEBP, "image/webp"), []),
        ({"width": 3, "height": 2}, media(picture("WEBP", 3, 2), "image/webp"), []),
        ({"mime_type": "image/jpg"}, media(JPEG, "image/jpeg; charset=binary"), []),
        ({"type": "audio"}, media(WAV, "audio/x-wav", "audio"), []),
        ({"type": "video"}, media(MP4, "video/mp4", "video"), []),
        ({}, media(b"ID3\x04" + b"\0" * 20, "audio/mp3", "audio"), []),
        ({}, media(b"\1\2\3\4", "audio/l16", "audio"), []),
        ({}, output("no picture"), ["media_missing"]),
        ({"count": 0}, output("no picture"), []),
        ({"count": 0}, media(PNG, "image/png"), ["media_unexpected"]),
        ({"count": {"min": 2}}, media(PNG, "image/png"), ["media_missing"]),
        ({"type": "video"}, media(PNG, "image/png"), ["media_missing"]),
        (
            {"mime_type": ["image/webp", "image/jpeg"]},
            media(PNG, "image/png"),
            ["mime_type_differs"],
        ),
        ({}, media(PNG, "audio/wav"), ["mime_type_differs", "media_type_wrong"]),
        ({}, media(PNG, "image/jpeg"), ["media_type_wrong"]),
        ({}, media(b"<svg/>", "image/png"), ["media_type_wrong"]),
        ({}, media(PNG, "audio/l16", "audio"), ["media_type_wrong"]),
        ({}, media("not base64!", "image/png"), ["media_undecodable"]),
        ({}, media("iVBORw0KGgo", "image/png"), ["media_undecodable"]),
        ({}, media("", "image/png"), ["media_empty"]),
        ({}, media(None, "image/png"), ["media_empty"]),
        ({}, media(None, "image/png", uri="https://example.org/a.png"), []),
        (
            {"width": 3},
            media(None, "image/png", uri="https://example.org/a.png"),
            ["media_not_inline"],
        ),
        ({"min_bytes": 10}, media(PNG, "image/png"), []),
        ({"min_bytes": 10_000}, media(PNG, "image/png"), ["media_too_small"]),
        ({"width": {"min": 4}}, media(PNG, "image/png"), ["media_size_differs"]),
        ({"width": 3}, media(WAV, "audio/wav", "audio"), ["media_size_unknown"]),
    ],
)
def test_media(options: dict[str, Any], source: Any, expected: list[str]) -> None:
    assert codes({"media": options} if options else "media", source) == expected


@pytest.mark.parametrize(
    ("whole", "mime_type", "kind"),
    [
        (PNG, "image/png", "image"),
        (JPEG, "image/jpeg", "image"),
        (GIF, "image/gif", "image"),
        (WEBP, "image/webp", "image"),
        (WAV, "audio/wav", "audio"),
        (MP4, "video/mp4", "video"),
    ],
)
def test_media_cut_off_anywhere_is_found(whole: bytes, mime_type: str, kind: str) -> None:
    assert codes("media", media(whole, mime_type, kind)) == []
    # Where an MP4 is cut between two boxes, what is left is whole in itself.
    for length in set(range(1, len(whole) - 1)) - ({24} if whole is MP4 else set()):
        found = codes("media", media(whole[:length], mime_type, kind))
        assert found, f"cut after {length} of {len(whole)} bytes"
        assert set(found) <= {"media_damaged", "media_type_wrong"}


def test_media_with_a_flipped_bit_is_found() -> None:
    for place in range(8, len(PNG)):
        spoilt = bytearray(PNG)
        spoilt[place] ^= 1
        assert codes("media", media(bytes(spoilt), "image/png")) != [], place
