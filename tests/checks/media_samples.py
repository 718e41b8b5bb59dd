"""Small files of common media types, and turns that have them."""

from __future__ import annotations

import base64
import io
from typing import Any

from PIL import Image


def picture(kind: str, width: int = 3, height: int = 2) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), (200, 30, 30)).save(buffer, kind)
    return buffer.getvalue()


def wave(samples: bytes = b"\0\0" * 8) -> bytes:
    body = (
        b"WAVEfmt \x10\0\0\0\x01\0\x01\0@\x1f\0\0\x80>\0\0\x02\0\x10\0data"
        + len(samples).to_bytes(4, "little")
        + samples
    )
    return b"RIFF" + len(body).to_bytes(4, "little") + body


PNG, JPEG, GIF, WEBP, WAV = picture("PNG"), picture("JPEG"), picture("GIF"), picture("WEBP"), wave()


MP4 = b"\0\0\0\x10ftypisom\0\0\0\0" + b"\0\0\0\x08moov" + b"\0\0\0\x09mdatx"


def media(
    data: bytes | str | None, mime_type: str | None, kind: str = "image", **more: Any
) -> dict[str, Any]:
    text = base64.b64encode(data).decode() if isinstance(data, bytes) else data
    block = {"type": kind, "data": text, "mime_type": mime_type, **more}
    return {
        "steps": [
            {
                "type": "model_output",
                "content": [
                    {"type": "text", "text": "Here."},
                    {k: v for k, v in block.items() if v is not None},
                ],
            }
        ]
    }
