"""Text from models and suites in Markdown and in commands of CI servers. Pure.

In Markdown, text becomes code, where GitHub looks for no mention, issue number or address, and no
image, link, tag or emphasis results from it: a code span, which also reads well in an editor, or
``<code>`` with entities for what could end a code span or a cell of a table.
"""

import re

from evalkit._lib.text import shorten, visible

_SPECIAL = re.compile(r"[&<>\"'`*_{}\[\]()#.!|~\\@:$]")
_ENDS_CODE = frozenset("`|\\")
_DATA = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
_PROPERTY = _DATA | str.maketrans({":": "%3A", ",": "%2C"})


def code(text: str, limit: int = 300) -> str:
    """Return text as code on one line of Markdown, cut in the middle; ``""`` for none."""
    line = shorten(" ".join(text.split()), limit)
    if line and _ENDS_CODE.isdisjoint(line):
        return f"`{line}`"
    escaped = _SPECIAL.sub(lambda match: f"&#{ord(match.group())};", line)
    return f"<code>{escaped}</code>" if escaped else ""


def annotation(path: str, line: int, title: str, message: str) -> str:
    """Return GitHub's workflow command for an error at a line of a file."""
    properties = {"file": path, "line": str(line), "title": visible(title)}
    text = ",".join(f"{name}={value.translate(_PROPERTY)}" for name, value in properties.items())
    return f"::error {text}::{visible(message).translate(_DATA)}"
