"""Images, sound and video on the page: shown only where their type is known to be safe, and each stored once.

A picture that a user sent stands in the user's message, in every request that repeats the history, and in every variant of the scenario. So
base64 of some length is stored once in the page, under the digest of its text: where it is first shown, or, if only variants that the
page's script draws show it, in a block of its own. Everywhere else stands its name, ``evalkit-media:<digest>``, in place of the data.

What is shown comes from a model: a type outside ``SAFE`` (SVG, HTML, PDF …), data that is not base64, and data too large to open a page
with are told in words and left in results.jsonl. The type is never guessed from the data.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from evalkit._lib.files import sha256
from evalkit.reports.formatting import size
from evalkit.reports.text_spool import Piece, Spool

SAFE: dict[str, str] = {
    "image/png": "image",
    "image/jpeg": "image",
    "image/gif": "image",
    "image/webp": "image",
    "image/avif": "image",
    "image/bmp": "image",
    "audio/mp3": "audio",
    "audio/mpeg": "audio",
    "audio/wav": "audio",
    "audio/x-wav": "audio",
    "audio/ogg": "audio",
    "audio/flac": "audio",
    "audio/aac": "audio",
    "audio/mp4": "audio",
    "audio/webm": "audio",
    "video/mp4": "video",
    "video/webm": "video",
    "video/ogg": "video",
}
"""Types that a browser plays and that cannot run anything, and the element that shows them."""

LONG = 2048
"""Characters of base64 from which on a page stores it once."""

TOO_LONG = 16 << 20
"""Characters of base64 above which a page does without it."""

NAME = "evalkit-media:"
# Not compiled here: `re` does that, and keeps it, when a run with media asks.
_DATA = rf'("data": ?")([A-Za-z0-9+/]{{{LONG - 2},}}={{0,2}})(?=")'
_BASE64 = r"[A-Za-z0-9+/]+={0,2}"


class Media(NamedTuple):
    """A content block to show. ``element`` is ``img``, ``audio``, ``video`` or ``""``: then ``caption`` is all there is.

    ``source`` is the data URI. Where it is ``""`` the same data is shown elsewhere: ``digest`` names it, and ``anchor`` the place.
    """

    element: str
    mime: str
    caption: str
    source: str = ""
    digest: str = ""
    anchor: str = ""
    link: str = ""


class MediaBook:
    """What the page stores of media. One per page; memory grows with the number of different media, not with their size."""

    def __init__(self) -> None:
        self._spool = Spool()
        self._kept: dict[str, Piece] = {}
        self._shown: set[str] = set()

    def strip(self, line: str) -> str:
        """Return a result line with every long base64 replaced by its name, and keep the data."""
        if len(line) < LONG or '"data":' not in line:
            return line
        return re.sub(_DATA, self._keep, line)

    def _keep(self, found: re.Match[str]) -> str:
        data = found.group(2)
        digest = _digest(data)
        if digest not in self._kept and len(data) <= TOO_LONG:
            self._kept[digest] = self._spool.put(data)
        return f"{found.group(1)}{NAME}{digest}"

    def show(self, block: Mapping[str, Any]) -> Media:
        """Return what to show of an image, audio, video or document block (protocol section 5)."""
        mime = block.get("mime_type")
        mime = mime.lower() if isinstance(mime, str) else f"{block.get('type')} of no stated type"
        data, uri = block.get("data"), block.get("uri")
        if not isinstance(data, str):
            link = uri if isinstance(uri, str) else ""
            return Media(
                "",
                mime,
                f"{mime}, not in the answer itself" if link else f"{mime}, without data",
                link=link,
            )
        if not re.fullmatch(_BASE64, data):
            return Media(
                "", mime, f"{mime}, {len(data):,} characters that are not base64, not shown"
            )
        caption = f"{mime}, {size(len(data.rstrip('=')) * 3 // 4)}"
        element = SAFE.get(mime, "").replace("image", "img")
        if not element:
            return Media("", mime, f"{caption}, not shown; the data is in results.jsonl")
        if len(data) > TOO_LONG:
            return Media("", mime, f"{caption}, too large to show; the data is in results.jsonl")
        if len(data) < LONG:
            return Media(element, mime, caption, f"data:{mime};base64,{data}")
        digest = _digest(data)
        if digest in self._shown:
            return Media(element, mime, caption, digest=digest, anchor=f"m-{digest}")
        self._shown.add(digest)
        return Media(element, mime, caption, f"data:{mime};base64,{data}", digest, f"m-{digest}")

    @property
    def size(self) -> int:
        """Characters of what :meth:`unshown` yields."""
        return sum(piece.size for digest, piece in self._kept.items() if digest not in self._shown)

    def unshown(self) -> Iterator[tuple[str, str]]:
        """Yield ``(digest, data)`` of what the page refers to and does not show yet."""
        for digest, piece in self._kept.items():
            if digest not in self._shown:
                yield digest, self._spool.get(piece)

    def close(self) -> None:
        """Drop everything."""
        self._spool.close()


def _digest(data: str) -> str:
    return sha256(data)[:20]
