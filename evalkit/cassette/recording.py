"""The content of a cassette as values."""

from dataclasses import dataclass, field

from evalkit._lib.json import JSON

VERSION = 1
"""The version of vcrpy's file format."""

Headers = dict[str, list[str]]


@dataclass(slots=True)
class Recording:
    """One HTTP request and its response, as recorded.

    Bodies are text, or bytes if they are not UTF-8. Headers are lists of values by name.
    ``elapsed_ms`` is the time from the request to the end of the response, ``event_ms`` the arrival
    of each server-sent event after the request, both in milliseconds. ``broken`` says why the body
    ended early; None means it is complete. ``json_style`` names the white space that a body had
    before it was indented; a tape restores it. ``extra`` has keys of the response that only one of
    vcrpy's stubs writes (``url`` of aiohttp).
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
    json_style: str = ""
    extra: dict[str, JSON] = field(default_factory=dict)


@dataclass(slots=True)
class Cassette:
    """Recordings in recorded order, and metadata (JSON values by name)."""

    recordings: list[Recording] = field(default_factory=list)
    metadata: dict[str, JSON] = field(default_factory=dict)
