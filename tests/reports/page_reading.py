"""Reads a page with the standard library: elements, attributes, text, embedded results."""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple

VOID = {"meta", "link", "img", "input", "br", "wbr", "hr", "rect", "line", "path", "polyline"}


class Element(NamedTuple):
    """An element: name, attributes, text with that of children, names of elements around it."""

    tag: str
    attributes: dict[str, str]
    texts: list[str]
    inside: tuple[str, ...]

    @property
    def text(self) -> str:
        """The text with white space collapsed."""
        return " ".join("".join(self.texts).split())


class Page(HTMLParser):
    """A parsed page."""

    def __init__(self, path: Path) -> None:
        super().__init__(convert_charrefs=True)
        self.source = path.read_text(encoding="utf-8")
        self.elements: list[Element] = []
        self._open: list[Element] = []
        self.feed(self.source)
        self.close()
        assert self._open == [], "every element is closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Add an element."""
        element = Element(
            tag,
            {name: value or "" for name, value in attrs},
            [],
            tuple(one.tag for one in self._open),
        )
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        """Close an element."""
        assert tag in VOID or self._open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        """Add text to all elements around it."""
        for element in self._open:
            element.texts.append(data)

    def all(self, tag: str, class_: str = "") -> list[Element]:
        """Return the elements of a name, and of a class."""
        return [
            one
            for one in self.elements
            if one.tag == tag and (not class_ or class_ in one.attributes.get("class", "").split())
        ]

    def by_id(self, id_: str) -> Element:
        """Return the one element of an id."""
        [found] = [one for one in self.elements if one.attributes.get("id") == id_]
        return found

    @property
    def policy(self) -> str:
        """The content security policy."""
        [meta] = [
            one
            for one in self.all("meta")
            if one.attributes.get("http-equiv") == "Content-Security-Policy"
        ]
        return meta.attributes["content"]

    def result(self, address: str) -> dict[str, Any]:
        """Return the result at an address, ``<pack>.<index>``."""
        number, index = address.split(".")
        data = zlib.decompress(base64.b64decode("".join(self.by_id(f"pack-{number}").texts)))
        value: dict[str, Any] = json.loads(data.split(b"\n")[int(index)])
        return value

    def rows(self) -> list[list[Any]]:
        """Return the rows in the page's data."""
        value: list[list[Any]] = json.loads(
            zlib.decompress(base64.b64decode("".join(self.by_id("rows").texts)))
        )
        return value


def source_hash(text: str) -> str:
    """Return the hash a policy names for an inline script or style."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
