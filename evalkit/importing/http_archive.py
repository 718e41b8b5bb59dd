"""HTTP archives (HAR 1.2) as browsers and proxies write them: order, times and bodies.

Entries may have any order. A body may be missing, be Base64, or be in a file beside the archive. It
is decompressed, although its headers say how it was compressed. Some exporters decode a text
without a declared charset as Latin-1, such as an event stream, which is always UTF-8.

Source: HAR 1.2; the exporters of Chrome, Safari, Playwright (``_file``, status -1), mitmproxy
(Latin-1, ``.zhar``) and HTTP Toolkit (no bodies over 40 KB), as published.
"""

import base64
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from evalkit._lib.files import read_file
from evalkit._lib.json import JSON

SUFFIXES = (".har", ".har.gz", ".zhar")
"""How names of archives end: plain ones, those compressed by a user, and by mitmproxy."""
NO_CONTENT = (
    "the archive does not have its content, because the exporter left it out (too large, or not "
    "loaded); export it with content, or record with another tool"
)
"""Why a recording is broken that has a response without its content."""
_LONGEST = 1e9
_NAMES = frozenset(("mimeType", "_file"))
_NAMES_WITH_TEXT = _NAMES | {"encoding", "size"}


def in_order(items: Sequence[JSON]) -> list[tuple[int, JSON]]:
    """Return items with their numbers, by the time of their requests where all of them have one."""
    numbered = list(enumerate(items, 1))
    with suppress(KeyError, TypeError, ValueError):
        numbered.sort(key=lambda item: datetime.fromisoformat(item[1]["startedDateTime"]))
    return numbered


def elapsed_of(entry: Mapping[str, JSON], response: Mapping[str, JSON]) -> float | None:
    """Return the milliseconds of an entry, or of an exchange in a result line."""
    elapsed = entry.get("time") if "startedDateTime" in entry else response.get("elapsed_ms")
    if isinstance(elapsed, int | float) and 0 < elapsed < _LONGEST:
        return float(elapsed)
    return None


def is_content(value: JSON) -> bool:
    """Return whether a value is the content of a message as archives have it."""
    if not isinstance(value, dict):
        return False
    names = _NAMES_WITH_TEXT if isinstance(value.get("text"), str) else _NAMES
    return not names.isdisjoint(value)


def content_body(content: Mapping[str, JSON], folder: Path) -> str | bytes:
    """Return the body in a content, empty where it has none. Raises OSError and ValueError."""
    text, name = content.get("text"), content.get("_file")
    if isinstance(name, str):
        # The name is foreign: nothing outside the archive's folder is read.
        return read_file(folder / Path(name).name)
    if not isinstance(text, str):
        return ""
    if str(content.get("encoding")).lower() == "base64":
        return base64.b64decode(text)
    if "charset" not in str(content.get("mimeType")):
        with suppress(UnicodeError):
            return text.encode("latin-1").decode()
    return text
