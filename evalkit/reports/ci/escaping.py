"""Model text in other people's formats: what GitHub and CI servers would act on is taken away, what was said can still be read. Pure.

Markdown: text goes into ``<code>``, where GitHub looks for no mention, no issue number and no address; characters that Markdown or HTML read
stand as entities, so no image, link, tag or emphasis comes of them. What is printed to a log is the business of
``_lib.text.harmless``.
"""

from __future__ import annotations

import re

from evalkit._lib.text import shorten, visible

_READ = re.compile(r"[&<>\"'`*_{}\[\]()#.!|~\\@:$]")
_ENTITIES = {chr(number): f"&#{number};" for number in range(128)}
_DATA = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_PROPERTY = {**_DATA, ":": "%3A", ",": "%2C"}


def code(text: str, limit: int = 300) -> str:
    """Return text for one line of Markdown, as ``<code>``; ``""`` for none. It is cut in the middle above ``limit`` characters."""
    flat = shorten(" ".join(text.split()), limit)
    return f"<code>{_READ.sub(_entity, flat)}</code>" if flat else ""


def _entity(found: re.Match[str]) -> str:
    return _ENTITIES[found.group()]


def annotation(path: str, line: int, title: str, message: str) -> str:
    """Return GitHub's workflow command for an error at a line of a file (its runner's own escapes)."""
    where = ",".join(
        f"{name}={_escaped(value, _PROPERTY)}"
        for name, value in (("file", path), ("line", str(line)), ("title", visible(title)))
    )
    return f"::error {where}::{_escaped(visible(message), _DATA)}"


def _escaped(text: str, table: dict[str, str]) -> str:
    return "".join(table.get(char, char) for char in text)
