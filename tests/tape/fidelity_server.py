"""A server whose responses need more than a status and a JSON body to be understood."""

from __future__ import annotations

import gzip
import json
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

BODIES: dict[str, tuple[str, bytes]] = {
    "lines": ("application/x-ndjson", b'{"a": 1}\n'),
    "lines-as-json": ("application/json", b'{"a": 1}\n{"a": 2}\n'),
    "a-line-as-json": ("application/json", b'{"a": 1}\n'),
    "untyped": ("", b'{"a":   1}'),
    "json-as-text": ("text/plain", b'{"a":   1}'),
    "latin": ("text/plain; charset=iso-8859-1", "à la crème\n".encode("latin-1")),
    "mark": ("text/plain", b"\xef\xbb\xbfa\tb  \n \n"),
    "csv": ("text/csv", b"a,b\r\n1,2\r\n"),
    "separators": ("text/plain", "a\rb\x85c\u2028d".encode()),
    "go": ("application/json", b'{"a":[1,{"b":"c, d: e"}],"f":{}}\n'),
    "pretty": ("application/json", b'{\n    "a": [\n        1\n    ]\n}'),
    "odd": ("application/json", b'{ "a":1 , "b" : [ ] }'),
    "binary": ("application/octet-stream", bytes(range(256))),
    "nothing": ("text/plain", b""),
}


class Server(ThreadingHTTPServer):
    """The server, and how many requests it got."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests = 0
        self.sessions: set[str] = set()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *_: Any) -> None:
        """Print nothing."""

    def answer(self, status: int = 200, data: bytes = b"", *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        if status not in (204, 304):
            self.send_header("content-length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD" and status not in (204, 304):
            self.wfile.write(data)

    def answer_json(self, value: Any, *headers: tuple[str, str]) -> None:
        self.answer(200, json.dumps(value).encode(), ("content-type", "application/json"), *headers)

    def read_body(self) -> bytes:
        if self.headers.get("transfer-encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("content-length") or 0))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def handle_request(self) -> None:
        self.server.requests += 1
        body, (name, *rest) = self.read_body(), self.path.strip("/").split("/")
        getattr(self, f"on_{name}")(body, *rest)

    do_GET = do_POST = do_PUT = do_HEAD = handle_request  # noqa: N815
    do_PROPFIND = do_get = do_DELETE = do_QUERY = handle_request  # noqa: N815

    def on_echo(self, body: bytes, *_: str) -> None:
        self.answer_json(
            {"method": self.command, "path": self.path, "body": body.decode("latin-1")}
        )

    def on_redirect(self, body: bytes, code: str) -> None:
        self.answer(int(code), b"", ("location", "/echo/there"))

    def on_page(self, body: bytes, number: str) -> None:
        page = int(number.partition("?")[0])
        following = f'<{self.server.url}/page/{page + 1}?key=a-key-123456>; rel="next"'
        more = (("link", following),) if page < 3 else ()
        self.answer_json(page, ("x-total-count", "3"), *more)

    def on_cursor(self, body: bytes, name: str, number: str) -> None:
        page = int(number)
        more = ((name, str(page + 1)), ("x-has-more", "yes")) if page < 3 else ()
        self.answer_json(page, *more)

    def on_limits(self, body: bytes) -> None:
        self.answer(
            429,
            b"",
            ("RateLimit", "limit=10, remaining=9"),
            ("anthropic-ratelimit-requests-remaining", "5"),
            ("x-ms-ratelimit-remaining-tokens", "7"),
            ("x-amzn-errortype", "ThrottlingException"),
        )

    def on_session(self, body: bytes) -> None:
        self.answer(200, b"", ("location", f"{self.server.url}/part"))

    def on_part(self, body: bytes) -> None:
        *_, last, total = self.headers["content-range"].replace("/", "-").split("-")
        if int(last) + 1 == int(total):
            self.answer_json({"received": int(total)})
        else:
            # The last byte of each part got lost.
            self.answer(308, b"", ("range", f"bytes=0-{int(last) - 1}"))

    def on_login(self, body: bytes) -> None:
        session = secrets.token_hex(16)
        self.server.sessions.add(session)
        self.answer_json(
            {"token": session},
            ("set-cookie", f"session={session}; Path=/; Expires=Wed, 02 Dec 2026 10:00:00 GMT"),
            ("set-cookie", "theme=dark; Path=/"),
        )

    def on_account(self, body: bytes) -> None:
        cookies = self.headers.get("cookie") or ""
        known = [each for each in self.server.sessions if f"session={each}" in cookies]
        self.answer_json({"known": bool(known) and known[0].encode() in body})

    def on_body(self, body: bytes, name: str) -> None:
        kind, data = BODIES[name]
        self.answer(200, data, *([("content-type", kind)] if kind else []))

    def on_gzip(self, body: bytes) -> None:
        data = gzip.compress(b'{"a": 1}')
        self.answer(200, data, ("content-type", "application/json"), ("content-encoding", "gzip"))

    def on_old_gzip(self, body: bytes) -> None:
        data = gzip.compress(b'{"a": 1}')
        self.answer(200, data, ("content-type", "application/json"), ("content-encoding", "x-gzip"))

    def on_size(self, body: bytes) -> None:
        self.answer(200, b"x" * 12345, ("etag", '"v1"'))

    def on_cached(self, body: bytes) -> None:
        self.answer(304, b"", ("etag", '"v1"'))

    def on_upload(self, body: bytes, *_: str) -> None:
        command = self.headers["x-goog-upload-command"]
        if command == "start":
            url = f"{self.server.url}/upload/session?upload_id={secrets.token_urlsafe(24)}"
            self.answer_json({}, ("x-goog-upload-url", url), ("x-goog-upload-status", "active"))
            return
        is_last = "finalize" in command
        file = {"name": "files/abc", "uri": "https://files/abc", "mimeType": "text/plain"}
        status = "final" if is_last else "active"
        self.answer_json({"file": file} if is_last else {}, ("x-goog-upload-status", status))

    def on_protected(self, body: bytes) -> None:
        if self.headers.get("authorization"):
            self.answer_json("welcome")
        else:
            challenge = 'Digest realm="r", nonce="0a1b2c3d4e5f", algorithm=MD5, qop="auth"'
            self.answer(401, b"", ("www-authenticate", challenge))


@contextmanager
def serving_everything() -> Iterator[Server]:
    """Run the server while the block runs."""
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
