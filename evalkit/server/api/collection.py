"""A shelf of resources as the API lists them: kept by id, shown in order of creation, page by page (protocol section 1.4). Pure.

A page token is the number of the last resource shown, so that a resource which is deleted or made meanwhile moves no page.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Generic, TypeVar

from evalkit._lib.json import JSON
from evalkit.server.requests.error_response import ErrorResponse, bad_request

T = TypeVar("T")
USUAL_PAGE, LARGEST_PAGE = 50, 1000


class ResourceCollection(Generic[T]):
    """Resources of one kind. ``noun`` names one of them, for messages."""

    def __init__(self, noun: str) -> None:
        self._noun = noun
        self._held: dict[str, tuple[int, T]] = {}
        self._made = 0

    def __contains__(self, id_: object) -> bool:
        return id_ in self._held

    def __iter__(self) -> Iterator[T]:
        return (item for _, item in self._held.values())

    def add(self, id_: str, item: T) -> T:
        """Keep a resource under an id that is free."""
        self._made += 1
        self._held[id_] = (self._made, item)
        return item

    def get(self, id_: str, where: str = "") -> T:
        """Return a resource; ``where`` is put before the message. Raises ErrorResponse (404)."""
        held = self._held.get(id_)
        if held is None:
            noun = self._noun if where else self._noun.capitalize()
            raise ErrorResponse(404, f"{where}{noun} '{id_}' was not found.")
        return held[1]

    def delete(self, id_: str) -> None:
        """Forget a resource. Raises ErrorResponse (404)."""
        self.get(id_)
        del self._held[id_]

    def page(
        self, plural: str, query: Mapping[str, str], show: Callable[[T], JSON]
    ) -> dict[str, JSON]:
        """Return one page, see ``page_of``."""
        return page_of(plural, self._held.values(), query, show)


def page_of(
    plural: str, items: Iterable[tuple[int, T]], query: Mapping[str, str], show: Callable[[T], JSON]
) -> dict[str, JSON]:
    """Return one page of items with rising numbers: ``{<plural>: […]}``, with ``next_page_token`` where more follow.

    Raises ErrorResponse (400) for a ``page_size`` or ``page_token`` of the query that is none.
    """
    size, after = _size(query.get("page_size", "")), _after(query.get("page_token", ""))
    behind = [(number, item) for number, item in items if number > after]
    page: dict[str, JSON] = {plural: [show(item) for _, item in behind[:size]]}
    if len(behind) > size:
        page["next_page_token"] = base64.urlsafe_b64encode(
            f"after {behind[size - 1][0]}".encode()
        ).decode()
    return page


def _size(given: str) -> int:
    if given in ("", "0"):
        return USUAL_PAGE
    if not given.isascii() or not given.isdigit():
        raise bad_request(
            f"'page_size' must be a whole number from 1 to {LARGEST_PAGE}, got '{given}'."
        )
    return min(int(given[:9]), LARGEST_PAGE)


def _after(given: str) -> int:
    if not given:
        return 0
    try:
        word, number = (
            base64.b64decode(given.encode(), altchars=b"-_", validate=True).decode().split(" ")
        )
        if word == "after":
            return int(number)
    except (ValueError, binascii.Error):
        pass
    raise bad_request(f"'page_token': '{given}' is no token of this list.")
