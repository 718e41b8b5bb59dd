"""Every row of a report as data: what the page's script lists, filters, sorts and groups without a line of HTML for each.

A row is a JSON array, its members in the order of ``js/data.js``: compressed they take a tenth of what drawn rows would, and a browser reads
ten thousand of them in the time of a blink. What stands in a row is what the filters ask about; the rest is in the result itself.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from operator import itemgetter

from evalkit._lib.fast_json import dumps
from evalkit._lib.json import JSON
from evalkit.reports.formatting import Found
from evalkit.reports.page.variants import Row

LEVEL = 3
_TOGETHER = 64
"""Rows that are written and compressed at once."""

_FIRST = itemgetter(0)


class Rows:
    """The rows of a page, compressed as they come."""

    def __init__(self) -> None:
        self._deflate = zlib.compressobj(LEVEL)
        self._data: list[bytes] = []
        self._waiting: list[list[JSON]] = []
        self._next = "["

    def add(self, head: Mapping[str, JSON], findings: Found, row: Row) -> None:
        """Keep the row of a result (its head is enough) with its findings."""
        metrics = head["metrics"]
        codes = [
            (finding["severity"] == "warn", check["name"], finding["code"])
            for check, finding in findings
        ]
        values = [
            row.name,
            row.verdict,
            int(row.warned),
            head["suite"],
            row.title,
            row.tags,
            metrics.get("tokens", {}).get("total_tokens"),
            metrics.get("exchanges"),
            metrics.get("elapsed_ms"),
            row.message,
            row.address,
            row.number,
            row.anchor,
            head["variant"],
            [one[1:] for one in dict.fromkeys(sorted(codes, key=_FIRST))] if codes else [],
            head["trial"],
        ]
        self._waiting.append(values)
        if len(self._waiting) == _TOGETHER:
            self._compress()

    def _compress(self) -> None:
        self._data.append(
            self._deflate.compress((self._next + dumps(self._waiting)[1:-1]).encode())
        )
        self._next = ","
        self._waiting.clear()

    def base64(self) -> str:
        """Return the JSON array of all rows, deflated, as base64. Nothing can be added after."""
        if self._waiting:
            self._compress()
        last = "[]" if self._next == "[" else "]"
        self._data.append(self._deflate.compress(last.encode()) + self._deflate.flush())
        return base64.b64encode(b"".join(self._data)).decode()
