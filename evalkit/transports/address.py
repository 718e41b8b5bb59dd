"""Checks configured addresses and the key before anything is sent. No message repeats a key."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlencode, urlsplit

from evalkit.cassette.redaction import Redactor
from evalkit.errors import UsageError
from evalkit.protocol.wire_facts import API_BASE_URL
from evalkit.transcript import Request

COLLECTOR_HEADERS = "OTEL_EXPORTER_OTLP_HEADERS"
"""The variable with headers for the collector, such as its key: ``name=value,name=value``."""


@dataclass(frozen=True, slots=True)
class Address:
    """A valid base URL without a slash at the end; ``host`` is its name in messages."""

    base: str
    host: str

    def uri(self, request: Request) -> str:
        """Return the URI of a request."""
        query = "?" + urlencode(request.query, quote_via=quote) if request.query else ""
        return self.base + request.path + query


def parse_base_url(base_url: str) -> Address:
    """Parse a base URL, whose path may have a prefix. Raises UsageError."""
    if not base_url.strip():
        raise UsageError(f"the base URL is empty; set e.g. {API_BASE_URL} or http://127.0.0.1:8787")
    return _parse(base_url.strip(), "base URL", "set the key in GEMINI_API_KEY")


def parse_collector(endpoint: str) -> Address:
    """Parse the address of a collector of OpenTelemetry. Raises UsageError."""
    return _parse(endpoint.strip(), "collector", f"set headers in {COLLECTOR_HEADERS}")


def collector_headers(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that the environment has for the collector. Raises UsageError."""
    headers = {}
    for pair in filter(
        None, (one.strip() for one in environment.get(COLLECTOR_HEADERS, "").split(","))
    ):
        name, sign, value = pair.partition("=")
        if not sign or not name.strip().isascii() or not unquote(value).strip().isascii():
            # The value may be a key, so it is not shown.
            raise UsageError(
                f"{COLLECTOR_HEADERS}: invalid (expected name=value,name=value in ASCII)"
            )
        headers[name.strip()] = unquote(value).strip()
    return headers


def _parse(text: str, name: str, advice: str) -> Address:
    # Even without a scheme, what is before an "@" may be a password.
    shown = Redactor().uri(text).rpartition("@")[2]
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise UsageError(f"{name} {shown!r}: {error}") from None
    if parts.username is not None or parts.password is not None:
        raise UsageError(
            f"{name} for {parts.hostname}: it must not contain a user or a password; {advice}"
        )
    if parts.scheme not in ("http", "https"):
        problem = f"unknown scheme {parts.scheme!r}" if "://" in text else "no scheme"
        raise UsageError(f"{name} {shown!r}: {problem}; it must start with https:// or http://")
    if not parts.hostname or any(char.isspace() for char in text):
        raise UsageError(f"{name} {shown!r}: no host")
    if parts.query or parts.fragment:
        raise UsageError(
            f"{name} of {parts.hostname}: it must not contain a query or a fragment; {advice}"
        )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    host = host if port is None else f"{host}:{port}"
    return Address(f"{parts.scheme}://{host}{parts.path.rstrip('/')}", host)


def check_key(key: str | None) -> str | None:
    """Return the key, stripped, or None if it is empty. Raises UsageError if it cannot be sent."""
    text = (key or "").strip()
    for position, char in enumerate(text, 1):
        if not "!" <= char <= "~":
            raise UsageError(
                f"the API key cannot be sent: character {position} of {len(text)} is not a "
                "printable ASCII character"
            )
    return text or None
