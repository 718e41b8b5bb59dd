"""Serve the review as a local web page with plain forms.

The page is on loopback, for one person's browser only. Access is checked before anything else. A
rejected request learns nothing about the run:

| request | requirement |
|---|---|
| any | a Host that is this machine, with this server's port, or an allowed name |
| the first | the token of the printed URL; it is replaced by a cookie and a redirect |
| any other | that cookie: SameSite=Strict, HttpOnly |
| POST | this server's Origin, the form token, a body of a form's type and size |

Pages run no script and load nothing: the policy allows one style by its digest.
"""

import base64
import hashlib
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import cast
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from evalkit.errors import Misconfigured
from evalkit.reports.page.review_pages import ReviewPages
from evalkit.review.decisions import CHOICES, Choice
from evalkit.review.session import DecisionRequest, Reviewer, ReviewSession, StaleView
from evalkit.review.state import ItemState, group_members, undecided
from evalkit.server.access import AccessRules

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


class SessionSecrets:
    """The random secrets of one review session. ``token`` is part of the printed URL."""

    def __init__(self) -> None:
        self.token, self.cookie, self.form = (secrets.token_urlsafe(32) for _ in range(3))

    def url(self, base: str) -> str:
        """Return the URL to open in the browser."""
        return f"{base}/?token={self.token}"


def create_app(
    session: ReviewSession,
    reviewer: Reviewer,
    pages: ReviewPages,
    session_secrets: SessionSecrets,
    hosts: Iterable[str] = (),
) -> Starlette:
    """Return the application. Serve it on loopback only; ``hosts`` are more names of it."""
    handlers = _Handlers(session, reviewer, pages, session_secrets.form)
    headers = {**HEADERS, "content-security-policy": content_security_policy(pages.style)}
    return Starlette(
        routes=[
            Route("/", handlers.overview, methods=["GET"]),
            Route("/item/{key}", handlers.item, methods=["GET"]),
            Route("/decide", handlers.decide, methods=["POST"]),
        ],
        middleware=[
            Middleware(
                _AccessGuard,
                session_secrets=session_secrets,
                headers=headers,
                access=AccessRules(hosts),
            )
        ],
        exception_handlers={
            Misconfigured: lambda _, error: HTMLResponse(pages.problem(str(error)), 409)
        },
    )


def content_security_policy(style: str) -> str:
    """Return the pages' policy: no script, one style, forms to this server only."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    )


class _AccessGuard(BaseHTTPMiddleware):
    """Rejects requests without access, and adds security headers to all responses."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        session_secrets: SessionSecrets,
        headers: Mapping[str, str],
        access: AccessRules,
    ) -> None:
        super().__init__(app)
        self._access = access
        self._secrets = session_secrets
        self._headers = headers

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        response = self._rejection(request) or await call_next(request)
        response.headers.update(self._headers)
        return response

    def _rejection(self, request: Request) -> Response | None:
        """Return the response for a request without access, or None."""
        port = request.scope["server"][1]
        host = request.headers.get("host", "")
        if not self._access.accepts_host(host, port):
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
        # A tunnel has another port, and may end TLS.
        schemes = ("http",) if host.endswith(f":{port}") else ("http", "https")
        own_origins = [f"{scheme}://{host}" for scheme in schemes]
        if request.method not in ("GET", "HEAD") and (
            request.headers.get("origin") not in own_origins
        ):
            return _text(403, "This form is not from this page.")
        return None


@dataclass(frozen=True, slots=True)
class _Handlers:
    session: ReviewSession
    reviewer: Reviewer
    pages: ReviewPages
    form_token: str

    def overview(self, request: Request) -> Response:
        return HTMLResponse(self.pages.overview(self.session.state(), self.form_token))

    def item(self, request: Request) -> Response:
        return self._item_page(request.path_params["key"])

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
        if not _same(fields.get("form", ""), self.form_token):
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
            state = self.session.state()
            status = state.find(key)
            if status is None:
                raise StaleView("the item is no longer in the run; nothing was written")
            is_group = choice != "keep" and fields.get("scope") == "group"
            members = group_members(state.statuses, status.item) if is_group else [status]
            keys = [member.item.key for member in members]
            seen = fields.get("group_seen" if is_group else "item_seen", "")
            group = status.item.group if len(keys) > 1 else ""
            request = DecisionRequest(cast("Choice", choice), keys, group)
            self.session.decide([request], self.reviewer, comment, seen=seen)
        except Misconfigured as error:
            code = 409 if isinstance(error, StaleView) else 422
            return self._item_page(key, problem=str(error), comment=comment, code=code)
        # Skipped items are not asked about again at once, only from the list.
        for candidate in undecided(self.session.state().statuses):
            if candidate.item.key not in keys and candidate.state is not ItemState.SKIPPED:
                return RedirectResponse(f"/item/{candidate.item.key}", 303)
        return RedirectResponse("/", 303)

    def _item_page(
        self, key: str, *, problem: str = "", comment: str = "", code: int = 200
    ) -> Response:
        state = self.session.state()
        status = state.find(key)
        if status is None:
            text = self.pages.problem(problem or "There is no such item.")
            return HTMLResponse(text, code if problem else 404)
        text = self.pages.item(state, status, self.form_token, problem=problem, comment=comment)
        return HTMLResponse(text, code)


def _same(text: str, secret: str) -> bool:
    return secrets.compare_digest(text.encode("utf-8", "surrogatepass"), secret.encode())


def _text(code: int, message: str) -> Response:
    return Response(message + "\n", code, media_type="text/plain")
