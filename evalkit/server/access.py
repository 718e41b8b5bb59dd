"""Who may use a local server: clients on this machine, and web pages that are allowed. Pure.

Any web page can make a browser send requests to this machine: to its address, as long as they need
no preflight (https://fetch.spec.whatwg.org/#http-cors-protocol), or to a name of the page's own
that it has resolve to 127.0.0.1 (DNS rebinding). So a request must satisfy every row:

| of a request | accepted |
|---|---|
| method | one of the API's; no tunnel |
| target | a path, no address of another host |
| ``Host`` | ``localhost``, a loopback address, or one of the ``names``; with any port |
| ``Origin``, ``Sec-Fetch-Site`` | absent; or of a page on this machine, if pages are allowed |
| POST | a body type or a header of the API, which no page can send without a preflight |

A POST of another program than a browser may also have the body type that curl sends by default.
"""

import re
from collections.abc import Iterable, Mapping

from evalkit._lib.loopback import is_loopback_host, is_loopback_url
from evalkit._lib.text import quoted
from evalkit.protocol.wire_facts import CREDENTIAL_HEADERS
from evalkit.server.requests.error_response import ErrorResponse

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_HOST = re.compile(r"(?:\[([0-9A-Fa-f]*:[0-9A-Fa-f:]*)\]|([A-Za-z0-9._-]+))(?::([0-9]{1,5}))?")
# Types of a body that a page may send without a preflight, see
# https://fetch.spec.whatwg.org/#cors-safelisted-request-header. A browser also sends pings and
# reports for it; it is recognized by the user agent, which a page cannot change.
_PAGE_TYPES = ("text/plain", "multipart/form-data")
_API_TYPE = "application/json"
_BROWSER = "mozilla/"
_API_HEADER_PREFIX = "x-goog-"


class AccessRules:
    """``names`` are accepted in ``Host`` beside this machine's own.

    ``pages`` allows the web pages of this machine.
    """

    def __init__(self, names: Iterable[str] = (), *, pages: bool = False) -> None:
        self._names = frozenset(name.lower() for name in names)
        self._pages = pages

    def check(self, method: str, target: str, headers: Mapping[str, str]) -> str:
        """Return the origin of the web page that sent a request, "" for other clients.

        Raises ErrorResponse for a request that is not accepted.
        """
        if method not in _METHODS:
            allowed = ", ".join(_METHODS)
            message = f"{quoted(method)} is not allowed here; allowed: {allowed}."
            raise ErrorResponse(405, message, headers={"allow": allowed})
        if not target.startswith("/"):
            message = f"The target {quoted(target)} is not a path of this server."
            raise ErrorResponse(400, message)
        host = headers.get("host", "")
        if not self.accepts_host(host):
            message = (
                f"This server is not {quoted(host)} (expected a loopback address or localhost); "
                "evalkit serve --allow-host NAME accepts a name."
            )
            raise ErrorResponse(421, message, code="wrong_host")
        origin = headers.get("origin", "")
        is_page = origin or headers.get("sec-fetch-site", "none") != "none"
        if is_page and not self._accepts_page(headers):
            reason = (
                "only those of this machine may"
                if self._pages
                else "evalkit serve --cors allows it"
            )
            message = (
                f"The web page {quoted(origin or '(unknown)')} may not use this server ({reason})."
            )
            raise ErrorResponse(403, message)
        if method == "POST" and _may_be_simple(headers):
            message = (
                "A POST as any web page may send it is not accepted; send content-type: "
                "application/json, or a key in the header x-goog-api-key."
            )
            raise ErrorResponse(415, message, code="unsupported_media_type")
        return origin

    def accepts_host(self, host: str, port: int | None = None) -> bool:
        """Return whether the value of a ``Host`` header is this server.

        With ``port``, an address of this machine must have it; a tunnel has another one.
        """
        match = _HOST.fullmatch(host)
        if match is None:
            return False
        name = (match[1] or match[2]).lower()
        if is_loopback_host(name):
            return port is None or match[3] == str(port)
        return name in self._names

    def _accepts_page(self, headers: Mapping[str, str]) -> bool:
        if not self._pages:
            return False
        # Browsers send no Origin with a GET of an image.
        if "origin" in headers:
            return is_loopback_url(headers["origin"])
        return headers["sec-fetch-site"] in ("same-origin", "same-site")


def refuse_page(headers: Mapping[str, str], action: str) -> None:
    """Raise ErrorResponse (403) for a request of a web page, even of one that is allowed."""
    if headers.get("origin"):
        raise ErrorResponse(403, f"A web page may not {action}.")


def _may_be_simple(headers: Mapping[str, str]) -> bool:
    """Return whether a POST may come from a page, and without a preflight request."""
    if any(name in CREDENTIAL_HEADERS or name.startswith(_API_HEADER_PREFIX) for name in headers):
        return False
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    is_browser = headers.get("user-agent", "").lower().startswith(_BROWSER)
    return media_type in _PAGE_TYPES or (is_browser and media_type != _API_TYPE)
