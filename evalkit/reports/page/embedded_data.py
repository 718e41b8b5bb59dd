"""Data inside the page: packed result lines, rows, and tables as inline JSON.

Result lines are only needed when somebody opens a variant, and they repeat themselves: a history
contains every earlier step, two variants of a scenario differ by a word. So neighboring lines are
packed together, deflated, as base64 in script elements of a type that no browser runs; the page's
script inflates the pack it needs. Base64 needs no escaping. Rows have what the list, filters and
sorting need of each variant: deflated they take a tenth of the space of rows in HTML.
"""

import base64
import re
import zlib
from collections.abc import Iterator

from evalkit._lib.json import JSON, dumps
from evalkit.reports.text_spool import TextSpan, TextSpool

PACK = 256 << 10
"""Characters of result lines after which a pack is closed: fast to inflate, long enough to repeat.
"""

LEVEL = 3
"""Level of deflate. On result lines, higher levels take half as long again and save a twentieth."""

MOST = 1 << 28
"""Bytes that a pack is inflated to at most; real ones are far smaller."""

_ROWS_AT_ONCE = 64
_DEFLATED = re.compile(
    rb'(<script type="text/plain" id="(?:rows|pack-[0-9]+)">|^")([A-Za-z0-9+/]+=*)(?=</script>|")',
    re.MULTILINE,
)


class ResultPacks:
    """Packed result lines."""

    def __init__(self) -> None:
        self._spool = TextSpool()
        self._spans: list[TextSpan] = []
        self._lines: list[str] = []
        self._length = 0

    def add(self, line: str) -> str:
        """Store a result line and return its address, ``<pack>.<index>``, both from 0."""
        address = f"{len(self._spans)}.{len(self._lines)}"
        self._lines.append(line)
        self._length += len(line)
        if self._length >= PACK:
            self.complete()
        return address

    def complete(self) -> None:
        """Close the last pack."""
        if self._lines:
            data = zlib.compress("\n".join(self._lines).encode(), LEVEL)
            self._spans.append(self._spool.put(base64.b64encode(data).decode()))
            self._lines, self._length = [], 0

    @property
    def size(self) -> int:
        """Characters of all closed packs."""
        return sum(span.size for span in self._spans)

    def items(self) -> Iterator[tuple[int, str]]:
        """Yield ``(number, base64)`` of every closed pack."""
        for number, span in enumerate(self._spans):
            yield number, self._spool.get(span)

    def close(self) -> None:
        """Drop everything."""
        self._spool.close()


class RowData:
    """The rows of a page, each a JSON array in the order of ``js/embedded_data.js``."""

    def __init__(self) -> None:
        self._compressor = zlib.compressobj(LEVEL)
        self._data: list[bytes] = []
        self._rows: list[list[JSON]] = []
        self._prefix = "["

    def add(self, row: list[JSON]) -> None:
        """Add a row."""
        self._rows.append(row)
        if len(self._rows) == _ROWS_AT_ONCE:
            self._compress()

    def _compress(self) -> None:
        text = self._prefix + dumps(self._rows)[1:-1]
        self._data.append(self._compressor.compress(text.encode()))
        self._rows.clear()
        self._prefix = ","

    def base64(self) -> str:
        """Return the JSON array of all rows, deflated, as base64. No row can be added after it."""
        if self._rows:
            self._compress()
        end = "[]" if self._prefix == "[" else "]"
        self._data.append(self._compressor.compress(end.encode()) + self._compressor.flush())
        return base64.b64encode(b"".join(self._data)).decode()


def inflate_packs(page: bytes) -> bytes:
    """Return a page, or a file of its data, with packs inflated, to compare it with another one.

    Two builds of zlib may deflate the same lines to different bytes.
    """
    return _DEFLATED.sub(_inflate, page)


def _inflate(match: re.Match[bytes]) -> bytes:
    decompressor = zlib.decompressobj()
    try:
        text = decompressor.decompress(base64.b64decode(match[2], validate=True), MOST)
    except (ValueError, zlib.error):
        return match[0]
    is_whole = decompressor.eof and not decompressor.unused_data
    return match[1] + text if is_whole else match[0]


def inline_json(value: JSON) -> str:
    """Return JSON text that is safe in a script element: ASCII, and no ``<`` that could end it."""
    return dumps(value).replace("<", "\\u003c")
