"""Environments (protocol section 1.4): made by hand or by an interaction, used again by id, seen in a list. Sans-IO; nothing runs in them.

An environment is a record. Its files are those its inline sources hold and those a script's answers leave in it; code of an answer is not run,
and what it claims to have written is not there unless the script says so.
It is ``active`` until nobody has used it for a week, ``expired`` after; an expired one is not used again. (The week is this server's.)
"""

from __future__ import annotations

import base64
import binascii
import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from evalkit._lib import clock
from evalkit._lib.json import JSON, dumps
from evalkit.server.api.collection import ResourceCollection, page_of
from evalkit.server.calls import Call, Reply
from evalkit.server.requests.bodies import read_object
from evalkit.server.requests.create_parts import check_place
from evalkit.server.requests.error_response import ErrorResponse, bad_request

LIFETIME = timedelta(days=7)
_FIELDS: dict[str, tuple[str, ...]] = {
    "from_environment": ("string",),
    "network": ("string", "object"),
    "sources": ("array",),
}
_MEDIA = "application/octet-stream"


@dataclass(slots=True)
class Environment:
    """One environment; ``files`` by path relative to its root."""

    id: str
    sources: list[JSON]
    network: JSON
    files: dict[str, bytes]
    created: str
    updated: str
    used: datetime

    @property
    def expired(self) -> bool:
        """Whether nobody used it for too long."""
        return clock.now() - self.used >= LIFETIME

    def shown(self) -> dict[str, JSON]:
        """Return the resource; counts are text, as 64-bit integers are."""
        return {
            "id": self.id,
            "status": "expired" if self.expired else "active",
            "created": self.created,
            "updated": self.updated,
            "last_accessed": self.used.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "file_count": str(len(self.files)),
            "size_bytes": str(sum(map(len, self.files.values()))),
            **({"sources": self.sources} if self.sources else {}),
            **({"network": self.network} if self.network is not None else {}),
        }


class Environments:
    """``/environments``, and what a create request's ``environment`` stands for."""

    def __init__(self) -> None:
        self._shelf: ResourceCollection[Environment] = ResourceCollection("environment")
        self._made = 0

    def create(self, call: Call) -> Reply:
        """``POST /environments``; an empty body makes an empty one."""
        body = read_object(call.body or b"{}", _FIELDS)
        check_place(body, "")
        files: Mapping[str, bytes] = {}
        if "from_environment" in body:
            if body.get("sources"):
                raise bad_request("'from_environment' and 'sources' cannot be used together.")
            copied = self._usable(
                body["from_environment"].removeprefix("environments/"), "'from_environment': "
            )
            body = {"sources": copied.sources, "network": copied.network, **body}
            files = copied.files
        self._made += 1
        made = self._add(f"env_{self._made:08x}", body)
        made.files |= files
        return Reply(200, dumps(made.shown()))

    def listed(self, call: Call) -> Reply:
        """``GET /environments``."""
        return Reply(200, dumps(self._shelf.page("environments", call.query, Environment.shown)))

    def get(self, call: Call, id: str) -> Reply:  # noqa: A002 - the path's own name
        """``GET /environments/{id}``; looking is no use of it."""
        return Reply(200, dumps(self._shelf.get(id).shown()))

    def delete(self, call: Call, id: str) -> Reply:  # noqa: A002
        """``DELETE /environments/{id}``."""
        self._shelf.delete(id)
        return Reply(200, "{}")

    def files(self, call: Call, id: str, path: str) -> Reply:  # noqa: A002
        """``GET /environments/{id}/files/{path}``: a file, a directory's entries (``recursive``: its files), or with ``alt=media`` bytes."""
        held = self._shelf.get(id)
        path = path.strip("/")
        if path in held.files:
            if call.query.get("alt") == "media":
                return Reply(200, held.files[path], headers={"content-type": _mime(path)})
            return Reply(200, dumps({"files": [_file(held, path)]}))
        prefix = f"{path}/" if path else ""
        below = [name.removeprefix(prefix) for name in held.files if name.startswith(prefix)]
        if (path and not below) or call.query.get("alt") == "media":
            raise ErrorResponse(404, f"File '{path}' was not found in environment '{id}'.")
        names = (
            below
            if call.query.get("recursive", "").lower() in ("true", "1")
            else dict.fromkeys(name.split("/", 1)[0] for name in below)
        )
        return Reply(
            200,
            dumps(
                page_of(
                    "files",
                    enumerate(names, 1),
                    call.query,
                    lambda name: _entry(held, prefix + name),
                )
            ),
        )

    def of(self, given: JSON, seed: str) -> str | None:
        """Return the id of the environment a request works in: a fresh one, or one that exists; None where none is asked for.

        Raises ErrorResponse: 404 where it is unknown, 400 where it has expired.
        """
        if given is None:
            return None
        wanted = (
            given.get("environment_id")
            if isinstance(given, dict)
            else given
            if given != "remote"
            else None
        )
        if wanted is None:
            return self._add(f"env_{seed[:24]}", given if isinstance(given, dict) else {}).id
        held = self._usable(wanted, "'environment': ")
        held.used = clock.now()
        if isinstance(given, dict) and (given.get("sources") or given.get("network") is not None):
            held.sources = [*held.sources, *(given.get("sources") or [])]
            held.files |= _files_of(given.get("sources") or [])
            held.network = given["network"] if given.get("network") is not None else held.network
            held.updated = clock.timestamp()
        return held.id

    def holds(self, id_: str, path: str) -> bool:
        """Say whether an environment has a file. Raises ErrorResponse (404) for an environment that is not there."""
        return path in self._shelf.get(id_).files

    def put(self, id_: str, path: str, data: bytes) -> dict[str, JSON]:
        """Write a file and return its entry. Raises ErrorResponse (404) for an environment that is not there."""
        held = self._shelf.get(id_)
        path = path.strip("/")
        held.files[path] = data
        held.updated = clock.timestamp()
        return _file(held, path)

    def _add(self, id_: str, fields: Mapping[str, JSON]) -> Environment:
        now = clock.timestamp()
        sources = list(fields.get("sources") or [])
        return self._shelf.add(
            id_,
            Environment(
                id_, sources, fields.get("network"), _files_of(sources), now, now, clock.now()
            ),
        )

    def _usable(self, id_: str, where: str) -> Environment:
        held = self._shelf.get(id_, where)
        if held.expired:
            raise bad_request(
                f"{where}environment '{id_}' has expired.", code="failed_precondition"
            )
        return held


def _files_of(sources: list[JSON]) -> dict[str, bytes]:
    files = {}
    for index, source in enumerate(sources):
        if source.get("type") != "inline" or not isinstance(source.get("content"), str):
            continue
        path = str(source.get("target") or f"source-{index + 1}").strip("/")
        content = source["content"]
        if source.get("encoding") != "base64":
            files[path] = content.encode(errors="surrogatepass")
            continue
        try:
            files[path] = base64.b64decode(content, validate=True)
        except (ValueError, binascii.Error):
            raise bad_request(f"'sources[{index}].content' is not base64.") from None
    return files


def _entry(held: Environment, path: str) -> dict[str, JSON]:
    if path in held.files:
        return _file(held, path)
    return {
        "name": path.rsplit("/", 1)[-1],
        "path": path,
        "type": "directory",
        "created": held.created,
        "modified": held.updated,
    }


def _file(held: Environment, path: str) -> dict[str, JSON]:
    about = {
        "name": path.rsplit("/", 1)[-1],
        "path": path,
        "type": "file",
        "size_bytes": str(len(held.files[path])),
        "mime_type": _mime(path),
    }
    return {**about, "created": held.created, "modified": held.updated}


def _mime(path: str) -> str:
    return mimetypes.guess_type(path)[0] or _MEDIA
