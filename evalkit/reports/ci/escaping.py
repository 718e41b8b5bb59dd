"""Text from models and suites in Markdown and in commands of CI servers. Pure.

In Markdown, text goes into ``<code>``, where GitHub looks for no mention, issue number or address;
characters with a meaning in Markdown or HTML become entities, so that no image, link, tag or
emphasis results from them.
"""

import re

from evalkit._lib.text import shorten, visible

_SPECIAL = re.compile(r"[&<>\"'`*_{}\[\]()#.!|~\\@:$]")
_DATA = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
_PROPERTY = _DATA | str.maketrans({":": "%3A", ",": "%2C"})


def code(text: str, limit: int = 300) -> str:
    """Return text as ``<code>`` on one line of Markdown, cut in the middle; ``""`` for none."""
    line = shorten(" ".join(text.split()), limit)
    escaped = _SPECIAL.sub(lambda match: f"&#{ord(match.group())};", line)
    return f"<code>{escaped}</code>" if escaped else ""


def annotation(path: str, line: int, title: str, message: str) -> str:
    """Return GitHub's workflow command for an error at a line of a file."""
    properties = {"file": path, "line": str(line), "title": visible(title)}
    text = ",".join(f"{name}={value.translate(_PROPERTY)}" for name, value in properties.items())
    return f"::error {text}::{visible(message).translate(_DATA)}"
