"""What a cassette holds, as values: recordings in the order they were made, and what is known about them. No behaviour."""

from __future__ import annotations

from dataclasses import dataclass, field

from evalkit._lib.json import JSON

Headers = dict[str, list[str]]

MEDIA_FOLDER = "_media"
MEDIA_PREFIX = "evalkit-media:"


@dataclass(slots=True)
class Recording:
    """One HTTP request and its response, as recorded.

    Bodies are text, or bytes where they are no UTF-8. Headers are lists of values by name. ``elapsed_ms`` is the time from sending the
    request to the end of the answer, ``event_ms`` the arrival of each server-sent event since the request, both in milliseconds; ``broken``
    says why the body ended early, None means it is whole. ``extra`` keeps keys of the response that only one HTTP client's stub of vcrpy
    writes (aiohttp's ``url``).
    """

    method: str
    uri: str
    request_body: str | bytes | None = None
    request_headers: Headers = field(default_factory=dict)
    status: int = 200
    reason: str = ""
    response_headers: Headers = field(default_factory=dict)
    body: str | bytes = ""
    elapsed_ms: float | None = None
    event_ms: tuple[float, ...] = ()
    broken: str | None = None
    extra: dict[str, JSON] = field(default_factory=dict)


@dataclass(slots=True)
class Cassette:
    """A cassette: its recordings in recorded order, and its metadata (JSON values by name)."""

    recordings: list[Recording] = field(default_factory=list)
    metadata: dict[str, JSON] = field(default_factory=dict)
