"""Environments (docs/protocol.md section 1.4), created by a client or by an interaction. Sans-IO.

An environment is a record; nothing runs in it. Its files are those of its inline sources, those
uploaded, and those that a script's rule puts there. Code in an answer is not executed, so files it
claims to write do not exist unless the rule says so.

An environment is ``active`` until it was not used for a week (this server's choice), then
``expired``; an expired one cannot be used again.

Files are uploaded in the resumable protocol of the official SDKs. The reply to the first request
contains an address, to which the client sends the file in pieces:

    PUT  /upload/v1beta/environments/{id}/files/{path}
         x-goog-upload-command: start, x-goog-upload-header-content-length: N
      →  x-goog-upload-url: http://this.host/upload/sessions/{token}, x-goog-upload-status: active
    POST that address
         x-goog-upload-command: upload | upload, finalize;  x-goog-upload-offset: N
      →  x-goog-upload-status: active | final, and with ``final`` the file's entry

Archives (``extract``) are not supported.
"""

import hmac
import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from evalkit._lib import clock
from evalkit._lib.json import JSON, dumps
from evalkit.server.api.collection import ResourceCollection, page_body
from evalkit.server.calls import Call, Reply
from evalkit.server.requests.bodies import (
    OBJECT,
    STRING,
    check,
    closed_object,
    decode_base64,
    read_object,
    validator,
)
from evalkit.server.requests.create import ENVIRONMENT_MODE, NETWORK, SOURCES
from evalkit.server.requests.error_response import ErrorResponse, bad_request

LIFETIME = timedelta(days=7)
MAX_FILE_SIZE = 64 * 1024 * 1024
"""In bytes."""
_CREATE = validator(
    closed_object(
        {
            "from_environment": STRING,
            "network": NETWORK,
            "sources": SOURCES,
            "mode": ENVIRONMENT_MODE,
            "custom_config": OBJECT,
            "system_instruction": STRING,
        }
    )
)
_LIST_MODE = validator(ENVIRONMENT_MODE)


@dataclass(slots=True, kw_only=True)
class Environment:
    """One environment; ``files`` by path relative to its root."""

    id: str
    sources: list[JSON]
    network: JSON
    files: dict[str, bytes]
    created: str
    updated: str
    used: datetime
    mode: str | None = None
    custom_config: JSON = None

    @property
    def is_expired(self) -> bool:
        """Whether it was not used for too long."""
        return clock.now() - self.used >= LIFETIME

    def to_json(self) -> dict[str, JSON]:
        """Return the resource; counts are strings, as 64-bit integers are in the API."""
        return {
            "id": self.id,
            "status": "expired" if self.is_expired else "active",
            "created": self.created,
            "updated": self.updated,
            "last_accessed": self.used.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "file_count": str(len(self.files)),
            "size_bytes": str(sum(map(len, self.files.values()))),
            **({"sources": self.sources} if self.sources else {}),
            **({"network": self.network} if self.network is not None else {}),
            **({"mode": self.mode} if self.mode is not None else {}),
            **({"custom_config": self.custom_config} if self.custom_config is not None else {}),
        }

    def entry(self, path: str) -> dict[str, JSON]:
        """Return what a listing contains for the file or directory at a path."""
        entry = {"name": path.rsplit("/", 1)[-1], "path": path, "type": "directory"}
        if path in self.files:
            size = str(len(self.files[path]))
            entry |= {"type": "file", "size_bytes": size, "mime_type": _mime_type(path)}
        return {**entry, "created": self.created, "modified": self.updated}


@dataclass(slots=True)
class UploadSession:
    """One upload; ``size`` is the announced one."""

    environment: str
    path: str
    size: int
    data: bytearray = field(default_factory=bytearray)


class Environments(ResourceCollection[Environment]):
    """``/environments``, and the environments that create requests refer to."""

    def __init__(self, key: bytes) -> None:
        super().__init__("environment", "environments", Environment.to_json)
        self._key = key
        self._created = 0
        self._uploads: dict[str, UploadSession] = {}
        self._uploads_started = 0

    def create(self, call: Call) -> Reply:
        """``POST /environments``; an empty body creates an empty environment.

        Only this reply contains the ``environment_key`` of a self-hosted environment, with which
        the client's sandbox asks for work. None connects here, so the key is not stored.
        """
        body = read_object(call.body or b"{}", _CREATE)
        copied_files: Mapping[str, bytes] = {}
        if "from_environment" in body:
            if body.get("sources"):
                raise bad_request("'from_environment' and 'sources' cannot be used together.")
            source_id = body["from_environment"].removeprefix("environments/")
            source = self._find_active(source_id, "'from_environment': ")
            body = {"sources": source.sources, "network": source.network, **body}
            copied_files = source.files
        self._created += 1
        environment = self._create(f"env_{self._created:08x}", body)
        environment.files |= copied_files
        reply = environment.to_json()
        if environment.mode == "self_hosted":
            key = hmac.digest(self._key, f"key of {environment.id}".encode(), "sha256")
            reply["environment_key"] = f"ek_{key.hex()}"
        return Reply(200, dumps(reply))

    def list_page(self, call: Call) -> Reply:
        """``GET /environments``: one page, of one ``mode`` if the query has it."""
        mode = call.query.get("mode")
        check(mode, _LIST_MODE, "mode")
        numbered = [
            (number, environment)
            for number, environment in self.numbered()
            if mode is None or (environment.mode or "on_demand") == mode
        ]
        return Reply(200, page_body("environments", numbered, call.query, Environment.to_json))

    def files(self, call: Call, resource_id: str, path: str) -> Reply:
        """``GET /environments/{id}/files/{path}``.

        Replies with a file's entry, with its bytes (``alt=media``), or with the entries of a
        directory; ``recursive`` lists all files in it.
        """
        environment = self.find(resource_id)
        path = path.strip("/")
        with_content = call.query.get("alt") == "media"
        if path in environment.files:
            if with_content:
                headers = {"content-type": _mime_type(path)}
                return Reply(200, environment.files[path], headers=headers)
            return Reply(200, dumps({"files": [environment.entry(path)]}))
        prefix = f"{path}/" if path else ""
        below = [name for name in environment.files if name.startswith(prefix)]
        if (path and not below) or with_content:
            raise ErrorResponse(404, f"File '{path}' was not found in environment '{resource_id}'.")
        if not is_true(call, "recursive"):
            names = (name.removeprefix(prefix).split("/", 1)[0] for name in below)
            below = [prefix + name for name in dict.fromkeys(names)]
        page = page_body("files", enumerate(below, 1), call.query, environment.entry)
        return Reply(200, page)

    def start_upload(self, call: Call, resource_id: str, path: str) -> Reply:
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
        environment = self.find(resource_id)
        if path in environment.files and not is_true(call, "overwrite"):
            raise bad_request(
                f"'{path}': the file already exists; send overwrite=true to replace it.",
                code="already_exists",
            )
        self._uploads_started += 1
        token = hmac.digest(self._key, b"upload %d" % self._uploads_started, "sha256")[:12].hex()
        self._uploads[token] = UploadSession(resource_id, path, int(size))
        host = call.headers.get("host", "127.0.0.1")
        headers = {
            "x-goog-upload-url": f"http://{host}/upload/sessions/{token}",
            "x-goog-upload-status": "active",
        }
        return Reply(200, "{}", headers=headers)

    def receive_upload(self, call: Call, token: str) -> Reply:
        """``POST /upload/sessions/{token}``: one piece of the file."""
        session = self._uploads.get(token)
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
        del self._uploads[token]
        file = self.put_file(session.environment, session.path, bytes(session.data))
        return Reply(200, dumps(file), headers={"x-goog-upload-status": "final"})

    def use(self, reference: JSON, seed: str) -> str | None:
        """Return the id of the environment that a create request works in, None without one.

        ``reference`` is the request's ``environment``; a new one gets its id from ``seed``. Raises
        ErrorResponse: 404 for an unknown environment, 400 for an expired one.
        """
        if reference is None:
            return None
        fields: Mapping[str, JSON] = reference if isinstance(reference, dict) else {}
        environment_id = fields.get("environment_id")
        if isinstance(reference, str) and reference != "remote":
            environment_id = reference
        if environment_id is None:
            return self._create(f"env_{seed[:24]}", fields).id
        environment = self._find_active(environment_id, "'environment': ")
        environment.used = clock.now()
        sources = fields.get("sources") or []
        network = fields.get("network")
        if sources or network is not None:
            environment.sources = [*environment.sources, *sources]
            environment.files |= _files_of(sources)
            environment.network = environment.network if network is None else network
            environment.updated = clock.timestamp()
        return environment.id

    def put_file(self, environment_id: str, path: str, data: bytes) -> dict[str, JSON]:
        """Write a file and return its entry. Raises ErrorResponse (404) without environment."""
        environment = self.find(environment_id)
        path = path.strip("/")
        environment.files[path] = data
        environment.updated = clock.timestamp()
        return environment.entry(path)

    def _create(self, environment_id: str, fields: Mapping[str, JSON]) -> Environment:
        now = clock.timestamp()
        sources = list(fields.get("sources") or [])
        environment = Environment(
            id=environment_id,
            sources=sources,
            network=fields.get("network"),
            files=_files_of(sources),
            created=now,
            updated=now,
            used=clock.now(),
            mode=fields.get("mode"),
            custom_config=fields.get("custom_config"),
        )
        return self.add(environment_id, environment)

    def _find_active(self, environment_id: str, prefix: str) -> Environment:
        environment = self.find(environment_id, prefix)
        if environment.is_expired:
            raise bad_request(
                f"{prefix}environment '{environment_id}' has expired.", code="failed_precondition"
            )
        return environment


def is_true(call: Call, name: str) -> bool:
    """Return whether a query parameter is true."""
    return call.query.get(name, "").lower() in ("true", "1")


def _files_of(sources: list[JSON]) -> dict[str, bytes]:
    files = {}
    for index, source in enumerate(sources):
        content = source.get("content")
        if source.get("type") != "inline" or not isinstance(content, str):
            continue
        path = str(source.get("target") or f"source-{index + 1}").strip("/")
        is_base64 = source.get("encoding") == "base64"
        files[path] = (
            decode_base64(content) if is_base64 else content.encode(errors="surrogatepass")
        )
    return files


def _mime_type(path: str) -> str:
    return mimetypes.guess_type(path)[0] or "application/octet-stream"
