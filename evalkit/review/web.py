"""Serve the review as a local web page with plain forms.

The page is on loopback, for one person's browser only. Access is checked before anything else. A
rejected request learns nothing about the run:

| request | requirement |
|---|---|
| any | a Host that is this server's address, against DNS rebinding |
| the first | the token of the printed URL; it is replaced by a cookie and a redirect |
| any other | that cookie: SameSite=Strict, HttpOnly |
| POST | this server's Origin, the form token, a body of a form's type and size |

Pages run no script and load nothing: the policy allows one style by its digest. ``PageRenderer``
writes the HTML.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Protocol, cast
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from evalkit.errors import Misconfigured
from evalkit.review.decisions import CHOICES, Choice
from evalkit.review.session import DecisionRequest, Reviewer, ReviewSession, ReviewState, StaleView
from evalkit.review.state import ItemState, ItemStatus, group_members, undecided

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

MAX_BODY = 64 * 1024
"""Largest form in bytes: a comment of some ten thousand characters."""

HEADERS = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # With "no-referrer", browsers would send no Origin with a form.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


class PageRenderer(Protocol):
    """Renders the pages as HTML. ``form`` is the token every form must carry."""

    @property
    def style(self) -> str:
        """Return the one style sheet of the pages."""

    def overview(self, state: ReviewState, form: str) -> str:
        """Return the list of all items."""

    def item(
        self,
        state: ReviewState,
        status: ItemStatus,
        form: str,
        *,
        problem: str = "",
        comment: str = "",
    ) -> str:
        """Return the page of an item.

        After a refused form, ``problem`` says why and ``comment`` is the text that was entered.
        """

    def problem(self, message: str) -> str:
        """Return a page with an error message."""


class SessionSecrets:
    """The random secrets of one review session. ``token`` is part of the printed URL."""

    def __init__(self) -> None:
        self.token, self.cookie, self.form = (secrets.token_urlsafe(32) for _ in range(3))

    def url(self, base: str) -> str:
        """Return the URL to open in the browser."""
        return f"{base}/?token={self.token}"


def create_app(
    session: ReviewSession, reviewer: Reviewer, pages: PageRenderer, session_secrets: SessionSecrets
) -> Starlette:
    """Return the application. Serve it on loopback only."""
    handlers = _Handlers(session, reviewer, pages, session_secrets.form)
    app = Starlette(
        routes=[
            Route("/", handlers.overview, methods=["GET"]),
            Route("/item/{key}", handlers.item, methods=["GET"]),
            Route("/decide", handlers.decide, methods=["POST"]),
        ]
    )
    app.add_middleware(
        _AccessGuard, session_secrets=session_secrets, policy=content_security_policy(pages.style)
    )
    return app


def content_security_policy(style: str) -> str:
    """Return the pages' policy: no script, one style, forms to this server only."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    )


class _AccessGuard:
    """Rejects requests without access, and adds security headers to all responses."""

    def __init__(self, app: Any, *, session_secrets: SessionSecrets, policy: str) -> None:
        self._app = app
        self._secrets = session_secrets
        self._headers = [
            (name.encode(), value.encode())
            for name, value in {**HEADERS, "content-security-policy": policy}.items()
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *self._headers]
            await send(message)

        handler = self._rejection(Request(scope)) or self._app
        await handler(scope, receive, send_with_headers)

    def _rejection(self, request: Request) -> Response | None:
        """Return the response for a request without access, or None."""
        port = request.scope["server"][1]
        host = request.headers.get("host", "")
        if host not in (f"127.0.0.1:{port}", f"localhost:{port}"):
            return _text(421, "This is not the address of this page.")
        # Cookies are not separated by port, and two reviews may be open.
        cookie = f"evalkit_review_{port}"
        token = request.query_params.get("token")
        if token is not None and request.method == "GET" and request.url.path == "/":
            if not _same(token, self._secrets.token):
                return _text(403, "The token is wrong. Open the URL that `evalkit review` printed.")
            response = RedirectResponse("/", 303)
            response.set_cookie(
                cookie, self._secrets.cookie, path="/", httponly=True, samesite="strict"
            )
            return response
        if not _same(request.cookies.get(cookie, ""), self._secrets.cookie):
            return _text(403, "Open the URL that `evalkit review` printed, with its token.")
        origin = request.headers.get("origin")
        if request.method not in ("GET", "HEAD") and origin != f"http://{host}":
            return _text(403, "This form is not from this page.")
        return None


class _Handlers:
    def __init__(
        self, session: ReviewSession, reviewer: Reviewer, pages: PageRenderer, form_token: str
    ) -> None:
        self._session = session
        self._reviewer = reviewer
        self._pages = pages
        self._form_token = form_token

    async def overview(self, request: Request) -> Response:
        return await run_in_threadpool(
            self._page, lambda state: self._pages.overview(state, self._form_token)
        )

    async def item(self, request: Request) -> Response:
        return await run_in_threadpool(self._item_page, request.path_params["key"])

    async def decide(self, request: Request) -> Response:
        content_type = request.headers.get("content-type", "").partition(";")[0].strip()
        if content_type != "application/x-www-form-urlencoded":
            return _text(415, "A form was expected.")
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY:
                return _text(
                    413, f"The form is longer than {MAX_BODY:,} bytes; shorten the comment."
                )
        try:
            fields = dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=20))
        except ValueError:
            return _text(400, "This is not a form.")
        if not _same(fields.get("form", ""), self._form_token):
            return _text(
                403,
                "This form is not from this session. Open the URL that `evalkit review` printed.",
            )
        return await run_in_threadpool(self._decide, fields)

    def _decide(self, fields: Mapping[str, str]) -> Response:
        key, choice = fields.get("item", ""), fields.get("decision", "")
        comment = fields.get("comment", "")
        if choice != "keep" and choice not in CHOICES:
            return _text(400, "This is not a decision.")
        try:
            state = self._session.state()
            status = state.find(key)
            if status is None:
                raise StaleView("the item is no longer in the run; nothing was written")
            is_group = choice != "keep" and fields.get("scope") == "group"
            members = group_members(state.statuses, status.item) if is_group else [status]
            keys = [member.item.key for member in members]
            seen = fields.get("group_seen" if is_group else "item_seen", "")
            if choice == "keep":
                self._session.keep_earlier(keys, self._reviewer, seen=seen)
            else:
                group = status.item.group if len(keys) > 1 else ""
                request = DecisionRequest(cast("Choice", choice), keys, group)
                self._session.decide([request], self._reviewer, comment, seen=seen)
        except Misconfigured as error:
            code = 409 if isinstance(error, StaleView) else 422
            return self._item_page(key, problem=str(error), comment=comment, code=code)
        # Skipped items are not asked about again at once, only from the list.
        for candidate in undecided(self._session.state().statuses):
            if candidate.item.key not in keys and candidate.state is not ItemState.SKIPPED:
                return RedirectResponse(f"/item/{candidate.item.key}", 303)
        return RedirectResponse("/", 303)

    def _item_page(
        self, key: str, *, problem: str = "", comment: str = "", code: int = 200
    ) -> Response:
        def render(state: ReviewState) -> str | None:
            status = state.find(key)
            if status is None:
                return self._pages.problem(problem) if problem else None
            return self._pages.item(
                state, status, self._form_token, problem=problem, comment=comment
            )

        return self._page(render, code)

    def _page(self, render: Callable[[ReviewState], str | None], code: int = 200) -> Response:
        try:
            text = render(self._session.state())
        except Misconfigured as error:
            return HTMLResponse(self._pages.problem(str(error)), 409)
        if text is None:
            return HTMLResponse(self._pages.problem("There is no such item."), 404)
        return HTMLResponse(text, code)


def _same(text: str, secret: str) -> bool:
    return secrets.compare_digest(text.encode("utf-8", "surrogatepass"), secret.encode())


def _text(code: int, message: str) -> Response:
    return Response(message + "\n", code, media_type="text/plain")
