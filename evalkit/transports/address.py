"""Where requests go, and with which key: what a user configured, checked before anything is sent. Pure. No message repeats a key."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, urlencode, urlsplit

from evalkit.errors import UsageError
from evalkit.transcript import Request


@dataclass(frozen=True, slots=True)
class Address:
    """A base URL that can be used: scheme, host and prefix without a slash at the end; ``host`` is how messages name it."""

    base: str
    host: str

    def uri(self, request: Request) -> str:
        """Return the URI of a request."""
        query = "?" + urlencode(request.query, quote_via=quote) if request.query else ""
        return self.base + request.path + query


def parse_base_url(base_url: str) -> Address:
    """Check a base URL; a prefix in its path is kept. Raises UsageError that says what is wrong with it."""
    text = base_url.strip()
    if not text:
        raise UsageError(
            "the base URL is empty; give e.g. https://generativelanguage.googleapis.com or http://127.0.0.1:8787"
        )
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise UsageError(f"base URL {text!r}: {error}") from None
    if parts.username is not None or parts.password is not None:
        raise UsageError(
            f"base URL for {parts.hostname}: it must not hold a user or a password; the key goes into GEMINI_API_KEY"
        )
    if parts.scheme not in ("http", "https"):
        wrong = f"unknown scheme {parts.scheme!r}" if "://" in text else "no scheme"
        raise UsageError(f"base URL {text!r}: {wrong}; it begins with https:// or http://")
    if not parts.hostname or any(char.isspace() for char in text):
        raise UsageError(f"base URL {text!r}: no host")
    if parts.query or parts.fragment:
        raise UsageError(
            f"base URL of {parts.hostname}: a query or fragment cannot stand in it; a key goes into GEMINI_API_KEY"
        )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    host = host if port is None else f"{host}:{port}"
    return Address(f"{parts.scheme}://{host}{parts.path.rstrip('/')}", host)


def check_key(key: str | None) -> str | None:
    """Return a key that can stand in a header, None where there is none. Raises UsageError that tells the place of the fault, not the
    key."""
    text = (key or "").strip()
    for place, char in enumerate(text, 1):
        if not "!" <= char <= "~":
            raise UsageError(
                f"the API key cannot be sent: character {place} of {len(text)} is not a printable ASCII character"
            )
    return text or None
