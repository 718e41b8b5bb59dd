"""Resources of one kind: stored by id, listed in order of creation, page by page. Sans-IO.

Lists follow docs/protocol.md section 1.4. A page token is the number of the last resource on the
page, so that resources which are created or deleted meanwhile do not move the following pages.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Generic, TypeVar

from evalkit._lib.json import JSON, dumps
from evalkit.server.calls import Call, Reply
from evalkit.server.requests.error_response import ErrorResponse, bad_request

T = TypeVar("T")
DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE = 50, 1000


class ResourceCollection(Generic[T]):
    """Resources of one kind, and the operations that every kind has.

    ``noun`` is the name of one resource in messages, ``plural`` the key of a list in replies,
    ``to_json`` returns a resource as clients receive it. ``by_id`` contains those that exist now.
    """

    def __init__(
        self, noun: str, plural: str, to_json: Callable[[T], JSON] = lambda resource: resource
    ) -> None:
        self._noun = noun
        self._plural = plural
        self._to_json = to_json
        self.by_id: dict[str, T] = {}
        self._numbers: dict[str, int] = {}
        self._added = 0

    def add(self, resource_id: str, resource: T) -> T:
        """Store a resource under a free id, and return it."""
        self._added += 1
        self._numbers[resource_id] = self._added
        self.by_id[resource_id] = resource
        return resource

    def find(self, resource_id: str, prefix: str = "") -> T:
        """Return a resource. Raises ErrorResponse (404), its message after ``prefix``."""
        if resource_id not in self.by_id:
            noun = self._noun if prefix else self._noun.capitalize()
            raise ErrorResponse(404, f"{prefix}{noun} '{resource_id}' was not found.")
        return self.by_id[resource_id]

    def list_page(self, call: Call) -> Reply:
        """``GET`` of the collection: one page."""
        return Reply(200, page_body(self._plural, self.numbered(), call.query, self._to_json))

    def numbered(self) -> Iterable[tuple[int, T]]:
        """Return the resources in order of creation, each after its number."""
        return zip(self._numbers.values(), self.by_id.values(), strict=True)

    def get(self, call: Call, resource_id: str) -> Reply:
        """``GET`` of one resource."""
        return Reply(200, dumps(self._to_json(self.find(resource_id))))

    def delete(self, call: Call, resource_id: str) -> Reply:
        """``DELETE`` of one resource."""
        self.find(resource_id)
        del self.by_id[resource_id], self._numbers[resource_id]
        return Reply(200, "{}")


def page_body(
    plural: str,
    numbered: Iterable[tuple[int, T]],
    query: Mapping[str, str],
    to_json: Callable[[T], JSON],
) -> str:
    """Return the body of one page: ``{<plural>: […], "next_page_token": …}``.

    The numbers of the items are ascending.

    Raises ErrorResponse (400) for an invalid ``page_size`` or ``page_token`` of the query.
    """
    size = min(_read_number(query, "page_size") or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
    last_number = _read_number(query, "page_token")
    following = [(number, item) for number, item in numbered if number > last_number]
    page: dict[str, JSON] = {plural: [to_json(item) for _, item in following[:size]]}
    if len(following) > size:
        page["next_page_token"] = str(following[size - 1][0])
    return dumps(page)


def _read_number(query: Mapping[str, str], name: str) -> int:
    """Return a number of the query; 0 without it."""
    digits = query.get(name) or "0"
    if not (digits.isascii() and digits.isdigit()):
        raise bad_request(f"'{name}' must be a whole number, got '{digits}'.")
    return int(digits[:9])
