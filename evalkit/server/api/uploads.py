"""Uploads into environments, in the resumable protocol of the official SDKs. Sans-IO.

The reply to the first request contains an address, to which the client sends the file in pieces:

    PUT  /upload/v1beta/environments/{id}/files/{path}
         x-goog-upload-command: start, x-goog-upload-header-content-length: N
      →  x-goog-upload-url: http://this.host/upload/sessions/{token}, x-goog-upload-status: active
    POST that address
         x-goog-upload-command: upload | upload, finalize;  x-goog-upload-offset: N
      →  x-goog-upload-status: active | final, and with ``final`` the file's entry

Archives (``extract``) are not supported.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field

from evalkit._lib.json import dumps
from evalkit.server.api.environments import Environments, is_true
from evalkit.server.calls import Call, Reply
from evalkit.server.requests.error_response import ErrorResponse, bad_request

MAX_FILE_SIZE = 64 * 1024 * 1024
"""In bytes."""


@dataclass(slots=True)
class UploadSession:
    """One upload; ``size`` is the announced one."""

    environment: str
    path: str
    size: int
    data: bytearray = field(default_factory=bytearray)


class Uploads:
    """``/upload/…``. Addresses are derived from the server's key and the number of the upload."""

    def __init__(self, key: bytes, environments: Environments) -> None:
        self._key = key
        self._environments = environments
        self._sessions: dict[str, UploadSession] = {}
        self._started = 0

    def start(self, call: Call, resource_id: str, path: str) -> Reply:
        """``PUT /upload/{version}/environments/{id}/files/{path}``."""
        if call.headers.get("x-goog-upload-command", "").strip() != "start":
            raise bad_request("'x-goog-upload-command' must be start; uploads are resumable.")
        size = call.headers.get("x-goog-upload-header-content-length", "")
        if not size.isascii() or not size.isdigit():
            raise bad_request(
                "'x-goog-upload-header-content-length' must be the number of bytes to upload."
            )
        if int(size[:12]) > MAX_FILE_SIZE:
            raise ErrorResponse(413, f"The file is larger than {MAX_FILE_SIZE} bytes.")
        if is_true(call, "extract"):
            raise ErrorResponse(501, "Archives are not extracted; upload the files.")
        path = path.strip("/")
        if not path:
            raise bad_request("The path of the file is missing.")
        environment = self._environments.find(resource_id)
        if path in environment.files and not is_true(call, "overwrite"):
            raise bad_request(
                f"'{path}': the file already exists; send overwrite=true to replace it.",
                code="already_exists",
            )
        self._started += 1
        token = hmac.digest(self._key, b"upload %d" % self._started, "sha256")[:12].hex()
        self._sessions[token] = UploadSession(resource_id, path, int(size))
        host = call.headers.get("host", "127.0.0.1")
        headers = {
            "x-goog-upload-url": f"http://{host}/upload/sessions/{token}",
            "x-goog-upload-status": "active",
        }
        return Reply(200, "{}", headers=headers)

    def receive(self, call: Call, token: str) -> Reply:
        """``POST /upload/sessions/{token}``: one piece of the file."""
        session = self._sessions.get(token)
        if session is None:
            raise ErrorResponse(404, "The upload does not exist, or is finished.")
        header = call.headers.get("x-goog-upload-command", "")
        commands = {command.strip() for command in header.split(",")}
        if not commands <= {"upload", "finalize"}:
            raise bad_request("'x-goog-upload-command' must be upload, or upload, finalize.")
        offset = call.headers.get("x-goog-upload-offset", "0")
        if offset != str(len(session.data)):
            raise bad_request(
                f"'x-goog-upload-offset' must be {len(session.data)}, got '{offset}'."
            )
        if len(session.data) + len(call.body) > session.size:
            raise bad_request(f"The file is larger than the announced {session.size} bytes.")
        session.data += call.body
        if "finalize" not in commands:
            return Reply(200, "{}", headers={"x-goog-upload-status": "active"})
        if len(session.data) < session.size:
            raise bad_request(
                f"Only {len(session.data)} of the announced {session.size} bytes were sent."
            )
        del self._sessions[token]
        file = self._environments.put_file(session.environment, session.path, bytes(session.data))
        return Reply(200, dumps(file), headers={"x-goog-upload-status": "final"})
