"""Uploads into environments, in the resumable way of the official SDKs: a start that answers with an address, then pieces sent there. Sans-IO.

    PUT  /upload/v1beta/environments/{id}/files/{path}   x-goog-upload-command: start, x-goog-upload-header-content-length: N
         → x-goog-upload-url: http://this.host/upload/sessions/{token}, x-goog-upload-status: active
    POST that address                                    x-goog-upload-command: upload | upload, finalize;  x-goog-upload-offset: N
         → x-goog-upload-status: active | final, and with ``final`` the file

Archives are not unpacked (``extract``).
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field

from evalkit._lib.json import dumps
from evalkit.server.api.environments import Environments
from evalkit.server.calls import Call, Reply
from evalkit.server.requests.error_response import ErrorResponse, bad_request

LARGEST = 64 * 1024 * 1024
"""Bytes an uploaded file may have."""


@dataclass(slots=True)
class _Session:
    environment: str
    path: str
    size: int
    data: bytearray = field(default_factory=bytearray)


class Uploads:
    """``/upload/…``. Addresses follow from the server's key and the number of the upload."""

    def __init__(self, key: bytes, environments: Environments) -> None:
        self._key = key
        self._environments = environments
        self._sessions: dict[str, _Session] = {}
        self._made = 0

    def start(self, call: Call, id: str, path: str) -> Reply:  # noqa: A002 - the path's own name
        """``PUT /upload/{version}/environments/{id}/files/{path}``."""
        if call.headers.get("x-goog-upload-command", "").strip() != "start":
            raise bad_request(
                "'x-goog-upload-command' must be start; files are uploaded the resumable way."
            )
        size = call.headers.get("x-goog-upload-header-content-length", "")
        if not size.isascii() or not size.isdigit():
            raise bad_request(
                "'x-goog-upload-header-content-length' must be the number of bytes that will be sent."
            )
        if int(size[:12]) > LARGEST:
            raise ErrorResponse(413, f"The file is larger than {LARGEST} bytes.")
        if _true(call, "extract"):
            raise ErrorResponse(501, "Archives are not unpacked here; upload the files.")
        path = path.strip("/")
        if not path:
            raise bad_request("The file has no path.")
        if self._environments.holds(id, path) and not _true(call, "overwrite"):
            raise bad_request(
                f"'{path}': there is such a file already; send overwrite=true to replace it.",
                code="already_exists",
            )
        self._made += 1
        token = hmac.digest(self._key, b"upload %d" % self._made, "sha256")[:12].hex()
        self._sessions[token] = _Session(id, path, int(size))
        host = call.headers.get("host", "127.0.0.1")
        headers = {
            "x-goog-upload-url": f"http://{host}/upload/sessions/{token}",
            "x-goog-upload-status": "active",
        }
        return Reply(200, "{}", headers=headers)

    def more(self, call: Call, token: str) -> Reply:
        """``POST /upload/sessions/{token}``: one piece of the file."""
        session = self._sessions.get(token)
        if session is None:
            raise ErrorResponse(404, "There is no such upload, or it is done.")
        words = {word.strip() for word in call.headers.get("x-goog-upload-command", "").split(",")}
        if not words <= {"upload", "finalize"} or not words:
            raise bad_request("'x-goog-upload-command' must be upload, or upload, finalize.")
        offset = call.headers.get("x-goog-upload-offset", "0")
        if offset != str(len(session.data)):
            raise bad_request(
                f"'x-goog-upload-offset' must be {len(session.data)}, got '{offset}'."
            )
        if len(session.data) + len(call.body) > session.size:
            raise bad_request(f"More is sent than the {session.size} bytes that were announced.")
        session.data += call.body
        if "finalize" not in words:
            return Reply(200, "{}", headers={"x-goog-upload-status": "active"})
        if len(session.data) < session.size:
            raise bad_request(
                f"{len(session.data)} of the {session.size} bytes that were announced were sent."
            )
        del self._sessions[token]
        file = self._environments.put(session.environment, session.path, bytes(session.data))
        return Reply(200, dumps(file), headers={"x-goog-upload-status": "final"})


def _true(call: Call, name: str) -> bool:
    return call.query.get(name, "").lower() in ("true", "1")
