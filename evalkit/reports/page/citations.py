"""A text with its citations marked in place.

Offsets count UTF-8 bytes, the end is exclusive (protocol section 5); ``protocol.step_reader.cited`` decides whether a span is right, here it is
only turned into places between characters. Several citations may share a span or overlap: the text is cut at every start and end, a piece
is marked when any citation covers it, and each number stands where its span ends. A wrong span is listed with what is wrong, never marked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType
from typing import Any, NamedTuple

from evalkit._lib.text import shorten
from evalkit.protocol.step_reader import cited_text
from evalkit.protocol.step_types import CITATIONS

_LINK = r"(?i)https?://[^\s\x00-\x20\x7f]+"
_WORDS = 240


class Segment(NamedTuple):
    """A piece of text: whether a citation covers it, and the numbers of those that end with it."""

    text: str
    marked: bool
    numbers: tuple[int, ...]


class Citation(NamedTuple):
    """One line of the numbered list. ``href`` is ``""`` for anything but http and https: such an address is shown, never linked.

    ``via`` is the step that searched for it, as anchor and number; ``("", 0)`` where no step did.
    """

    number: int
    title: str
    url: str
    href: str
    words: str
    problem: str
    via: tuple[str, int]


SEARCHES: dict[str, tuple[str, ...]] = {
    "url_citation": ("google_search_call", "url_context_call"),
    "file_citation": ("file_search_call", "retrieval_call"),
    "place_citation": ("google_maps_call",),
}
"""Citation type to the calls whose results it can come from."""

NOWHERE: tuple[str, int] = ("", 0)


def sources(kinds: Sequence[Any], index: int, anchor: str) -> dict[str, tuple[str, int]]:
    """Return, by citation type, the step that a citation in step ``index`` (from 0) of a turn comes from: the last search before it, else the
    first after it, for a service may list the text first. ``kinds`` are the types of the turn's steps, ``anchor`` is the turn's."""
    found = {}
    for citation, calls in SEARCHES.items():
        places = [place for place, kind in enumerate(kinds) if kind in calls]
        if places:
            place = next((place for place in reversed(places) if place < index), places[0])
            found[citation] = (f"{anchor}.s{place + 1}", place + 1)
    return found


def safe_link(url: Any) -> str:
    """Return the address if following it can only lead to a web page, else ``""``."""
    return url if isinstance(url, str) and re.fullmatch(_LINK, url) else ""


def mark(
    text: str,
    annotations: Sequence[Any],
    first: int,
    limit: int,
    via: Mapping[str, tuple[str, int]] = MappingProxyType({}),
) -> tuple[list[Segment], list[Citation]]:
    """Return the first ``limit`` characters of a text in segments, and its citations numbered from ``first``; ``via`` as :func:`sources` has it."""
    citations: list[Citation] = []
    spans: list[tuple[int, int, int]] = []
    data = text.encode("utf-8", "surrogatepass")
    ascii_only = len(data) == len(text)
    for annotation in annotations:
        if not isinstance(annotation, dict) or annotation.get("type") not in CITATIONS:
            continue
        start, end = annotation.get("start_index"), annotation.get("end_index")
        found = cited_text(text, start, end)
        number = first + len(citations)
        problem = found.problem
        if found.ok:
            begin = (
                int(start or 0)
                if ascii_only
                else len(data[: int(start or 0)].decode("utf-8", "surrogatepass"))
            )
            if begin + len(found.text) <= limit:
                spans.append((begin, begin + len(found.text), number))
            else:
                problem = "beyond the part shown"
        citations.append(
            _citation(number, annotation, found.text, problem, via.get(annotation["type"], NOWHERE))
        )
    return _segments(text[:limit], spans), citations


def _citation(
    number: int, annotation: Mapping[str, Any], words: str, problem: str, via: tuple[str, int]
) -> Citation:
    url = (
        annotation.get("url") or annotation.get("document_uri") or annotation.get("place_id") or ""
    )
    url = url if isinstance(url, str) else ""
    title = (
        annotation.get("title")
        or annotation.get("file_name")
        or annotation.get("name")
        or "(no title)"
    )
    page = annotation.get("page_number")
    label = f"{title}, page {page}" if page is not None else str(title)
    return Citation(
        number,
        shorten(label, 160),
        shorten(url, 100),
        safe_link(url),
        shorten(words, _WORDS),
        problem,
        via,
    )


def _segments(text: str, spans: Sequence[tuple[int, int, int]]) -> list[Segment]:
    opened: dict[int, int] = {0: 0, len(text): 0}
    ended: dict[int, list[int]] = {}
    for start, end, number in spans:
        opened[start] = opened.get(start, 0) + 1
        opened[end] = opened.get(end, 0) - 1
        ended.setdefault(end, []).append(number)
    segments = []
    covering = 0
    cuts = sorted(opened)
    for left, right in pairwise(cuts):
        covering += opened[left]
        segments.append(Segment(text[left:right], covering > 0, tuple(ended.get(right, ()))))
    return segments
