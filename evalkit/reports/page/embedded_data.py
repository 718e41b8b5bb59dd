"""Data and code inside the page: result lines packed, tables as inline JSON, the policy that lets only this page's own code run.

Raw lines are not needed until somebody opens an exchange or a variant far down, and they repeat themselves: a history holds every earlier
step again, two variants of a scenario differ by a word. So they stand in packs of neighbouring lines, deflated, as base64 in script
elements of a type that no browser runs, and the page's script inflates the pack that holds what is asked for. Base64 needs no escaping.
"""

from __future__ import annotations

import base64
import hashlib
import re
import zlib
from collections.abc import Iterator

from evalkit._lib.json import JSON, dumps
from evalkit.reports.text_spool import Piece, Spool

PACK = 256 << 10
"""Characters of result lines after which a pack is closed: inflated in a blink, and long enough to hold what repeats itself."""

LEVEL = 3
"""Of deflate. Measured on result lines: higher ones cost half as much again and save a twentieth."""


MOST = 1 << 28
"""Bytes that a pack is inflated to at most: one of ours is far smaller."""

_DEFLATED = re.compile(
    rb'(<script type="text/plain" id="(?:rows|pack-[0-9]+)">|^")([A-Za-z0-9+/]+=*)(?=</script>|")',
    re.MULTILINE,
)


class Packs:
    """Result lines in the page. ``add`` says where a line went: ``<pack>.<index>``, both from 0."""

    def __init__(self) -> None:
        self._spool = Spool()
        self._done: list[Piece] = []
        self._open: list[str] = []
        self._size = 0

    def add(self, line: str) -> str:
        """Keep a result line and return its address."""
        address = f"{len(self._done)}.{len(self._open)}"
        self._open.append(line)
        self._size += len(line)
        if self._size >= PACK:
            self._close_pack()
        return address

    def _close_pack(self) -> None:
        data = zlib.compress("\n".join(self._open).encode(), LEVEL)
        self._done.append(self._spool.put(base64.b64encode(data).decode()))
        self._open, self._size = [], 0

    @property
    def size(self) -> int:
        """Characters of all packs; the last one is closed by asking."""
        if self._open:
            self._close_pack()
        return sum(piece.size for piece in self._done)

    def packs(self) -> Iterator[tuple[int, str]]:
        """Yield ``(number, base64)`` of every pack."""
        if self._open:
            self._close_pack()
        for number, piece in enumerate(self._done):
            yield number, self._spool.get(piece)

    def close(self) -> None:
        """Drop everything."""
        self._spool.close()


def inflated(page: bytes) -> bytes:
    """Return a page, or a file of its data, with its packs inflated: of the same lines two builds of zlib need not make the same bytes."""
    return _DEFLATED.sub(_inflated, page)


def _inflated(found: re.Match[bytes]) -> bytes:
    reader = zlib.decompressobj()
    try:
        text = reader.decompress(base64.b64decode(found[2], validate=True), MOST)
    except (ValueError, zlib.error):
        return found[0]
    return found[1] + text if reader.eof and not reader.unused_data else found[0]


def inline_json(value: JSON) -> str:
    """Return JSON text that may stand in a script element: ASCII, and no ``<`` that could end it or open a comment (HTML, 4.12.1.3)."""
    return dumps(value).replace("<", "\\u003c")


def policy(script: str, style: str, *, folder: bool = False) -> str:
    """Return the policy of a page with exactly this script and this style (CSP 3): nothing is fetched, nothing else runs.

    No text becomes markup or code either, whatever a script would do with it (Trusted Types). The page of a ``folder`` may load scripts
    that lie beside it, those alone whose names its own script makes.
    """
    types = "evalkit-data" if folder else "'none'"
    scripts = f"{_source(script)} 'self'" if folder else _source(script)
    return (
        f"default-src 'none'; script-src {scripts}; style-src {_source(style)}; img-src data:; media-src data:; base-uri 'none'; "
        f"form-action 'none'; require-trusted-types-for 'script'; trusted-types {types}"
    )


def _source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def check_inline(text: str) -> str:
    """Return code that may stand inline as it is. Raises ValueError where it could end its element or open a comment."""
    if "</" in text or "<!--" in text:
        raise ValueError("inline code holds '</' or '<!--'")
    return text
