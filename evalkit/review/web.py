"""The review as a local web page: plain forms over the desk, on loopback, for one person's browser and nobody else.

Who may come in is settled before anything else, in this order; nothing is told to whom it turns away:

| request | must have |
|---|---|
| any | a Host that is this server's address (a name that leads here by DNS is another site) |
| the first | the token of the printed address, compared in constant time; a cookie takes its place, and the address loses it |
| any other | that cookie: SameSite=Strict, HttpOnly |
| POST | an Origin that is this server's, the form's own token, a body of a form's type and size |

Pages run no script and load nothing: the policy allows one style by its digest. How a page looks is not known here (``Pages``).
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Protocol
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from evalkit.errors import Misconfigured
from evalkit.review.session import Desk, Look, Person, Stale
from evalkit.review.state import CHOICES, Standing, companions, in_turn

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

MAX_BODY = 64 * 1024
"""Largest form in bytes: a comment of some ten thousand letters."""

HEADERS = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",  # with none at all, browsers send no Origin with a form
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


class Pages(Protocol):
    """Draws pages as HTML. ``form`` is the token every form must carry."""

    @property
    def style(self) -> str:
        """Return the one style the pages hold."""

    def overview(self, look: Look, form: str) -> str:
        """Return the list of everything."""

    def item(
        self, look: Look, one: Standing, form: str, *, problem: str = "", comment: str = ""
    ) -> str:
        """Return the page that asks about an item; ``problem`` says why what was sent is not taken, ``comment`` is what was written."""

    def problem(self, message: str) -> str:
        """Return a page that says only what is wrong."""


class Door:
    """The secrets of one session. ``token`` is in the printed address; all are made anew for each."""

    def __init__(self) -> None:
        self.token, self.cookie, self.form = (secrets.token_urlsafe(32) for _ in range(3))

    def address(self, url: str) -> str:
        """Return the address to open, of a base URL."""
        return f"{url}/?token={self.token}"


def create_app(desk: Desk, who: Person, pages: Pages, door: Door) -> Starlette:
    """Return the application. Serve it on loopback only."""
    shell = _Shell(desk, who, pages, door)
    app = Starlette(
        routes=[
            Route("/", shell.overview, methods=["GET"]),
            Route("/item/{key}", shell.item, methods=["GET"]),
            Route("/decide", shell.decide, methods=["POST"]),
        ]
    )
    app.add_middleware(_Guard, door=door, policy=policy(pages.style))
    return app


def policy(style: str) -> str:
    """Return the policy of the pages (CSP 3): no script, one style, forms to this server only."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"


class _Guard:
    """Turns away what must not come in, and gives every answer its headers."""

    def __init__(self, app: Any, *, door: Door, policy: str) -> None:
        self._app = app
        self._door = door
        self._headers = [
            (name.encode(), value.encode())
            for name, value in {**HEADERS, "content-security-policy": policy}.items()
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *self._headers]
            await send(message)

        answer = self._turned_away(Request(scope)) or self._app
        await answer(scope, receive, guarded)

    def _turned_away(self, request: Request) -> Response | None:
        port = request.scope["server"][1]
        host = request.headers.get("host", "")
        if host not in (f"127.0.0.1:{port}", f"localhost:{port}"):
            return _plain(421, "This is not the address of this page.")
        name = f"evalkit_review_{port}"  # cookies know no port, and two reviews may be open
        given = request.query_params.get("token")
        if given is not None and request.method == "GET" and request.url.path == "/":
            if not _same(given, self._door.token):
                return _plain(
                    403, "The token is wrong. Open the address that `evalkit review` printed."
                )
            inside = RedirectResponse("/", 303)
            inside.set_cookie(name, self._door.cookie, path="/", httponly=True, samesite="strict")
            return inside
        if not _same(request.cookies.get(name, ""), self._door.cookie):
            return _plain(403, "Open the address that `evalkit review` printed, with its token.")
        if (
            request.method not in ("GET", "HEAD")
            and request.headers.get("origin") != f"http://{host}"
        ):
            return _plain(403, "This form is not from this page.")
        return None


class _Shell:
    def __init__(self, desk: Desk, who: Person, pages: Pages, door: Door) -> None:
        self._desk = desk
        self._who = who
        self._pages = pages
        self._door = door

    async def overview(self, request: Request) -> Response:
        return await run_in_threadpool(
            self._page, lambda look: self._pages.overview(look, self._door.form)
        )

    async def item(self, request: Request) -> Response:
        key = request.path_params["key"]

        def page(look: Look) -> str | None:
            one = look.find(key)
            return self._pages.item(look, one, self._door.form) if one is not None else None

        return await run_in_threadpool(self._page, page)

    async def decide(self, request: Request) -> Response:
        if (
            request.headers.get("content-type", "").partition(";")[0].strip()
            != "application/x-www-form-urlencoded"
        ):
            return _plain(415, "A form was expected.")
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > MAX_BODY:
                return _plain(
                    413, f"The form is longer than {MAX_BODY:,} bytes; shorten the comment."
                )
        try:
            fields = dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=20))
        except ValueError:
            return _plain(400, "This is no form.")
        if not _same(fields.get("form", ""), self._door.form):
            return _plain(
                403,
                "This form is not from this session. Open the address that `evalkit review` printed.",
            )
        return await run_in_threadpool(self._decided, fields)

    def _page(self, draw: Callable[[Look], str | None], status: int = 200) -> Response:
        try:
            text = draw(self._desk.look())
        except Misconfigured as error:
            return HTMLResponse(self._pages.problem(str(error)), 409)
        return (
            HTMLResponse(text, status)
            if text is not None
            else HTMLResponse(self._pages.problem("There is no such item."), 404)
        )

    def _decided(self, fields: Mapping[str, str]) -> Response:
        key, comment, word = (
            fields.get("item", ""),
            fields.get("comment", ""),
            fields.get("decision", ""),
        )
        try:
            look = self._desk.look()
            one = look.find(key)
            if one is None:
                raise Stale("this item is no longer there; nothing was written")
            whole = fields.get("scope") == "group" and word != "keep"
            keys = (
                [other.item.key for other in companions(look.standings, one.item)]
                if whole
                else [key]
            )
            seen = fields.get("group_seen" if whole else "item_seen", "")
            if word == "keep":
                self._desk.keep(keys, self._who, seen=seen)
            elif word in CHOICES:
                group = one.item.group if len(keys) > 1 else ""
                self._desk.decide(keys, word, self._who, comment, seen=seen, group=group)
            else:
                return _plain(400, "This is no decision.")
        except Misconfigured as error:
            status, problem = (409, str(error)) if isinstance(error, Stale) else (422, str(error))
            return self._again(key, problem, comment, status)
        after = [
            other for other in in_turn(self._desk.look().standings) if other.item.key not in keys
        ]
        # What was skipped was seen: it is asked again from the list, not at once.
        following = next((other for other in after if other.state != "skipped"), None)
        return RedirectResponse(
            f"/item/{following.item.key}" if following is not None else "/", 303
        )

    def _again(self, key: str, problem: str, comment: str, status: int) -> Response:
        def page(look: Look) -> str:
            one = look.find(key)
            if one is None:
                return self._pages.problem(problem)
            return self._pages.item(look, one, self._door.form, problem=problem, comment=comment)

        return self._page(page, status)


def _same(given: str, secret: str) -> bool:
    return secrets.compare_digest(given.encode("utf-8", "surrogatepass"), secret.encode())


def _plain(status: int, message: str) -> Response:
    return Response(message + "\n", status, media_type="text/plain")
