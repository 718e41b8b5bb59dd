"""Secrets: credentials that clients store, and tokens for one interaction. Sans-IO.

See docs/protocol.md section 12. Values of a credential are written only: no reply repeats them, so
they are not stored. An auth token is a key for this server until it expires or is deleted.
"""

import hmac
from collections.abc import Container
from datetime import datetime, timedelta

from evalkit._lib import clock
from evalkit._lib.json import JSON, dumps
from evalkit.server.api.collection import ResourceCollection
from evalkit.server.calls import Call, Reply
from evalkit.server.requests.bodies import (
    STRING,
    check,
    closed_object,
    parse_object,
    read_object,
    validator,
)
from evalkit.server.requests.error_response import ErrorResponse, bad_request

_TYPES = {"enum": ["bearer_token", "environment_variable", "oauth2"]}
_CREATE = validator(
    {
        "required": ["id", "type"],
        "properties": {"id": {"type": "string", "minLength": 1}, "type": _TYPES},
    }
)
_UPDATE = validator({"properties": {"type": _TYPES}})
_CREATE_TOKEN = validator(closed_object({"expire_time": STRING}))
_TOKEN_LIFETIME = timedelta(hours=1)


class Credentials(ResourceCollection[dict[str, JSON]]):
    """``/credentials``."""

    def __init__(self) -> None:
        super().__init__("credential", "credentials")

    def create(self, call: Call) -> Reply:
        """``POST /credentials``."""
        body = parse_object(call.body)
        check(body, _CREATE, "")
        credential_id = body["id"]
        if credential_id in self.by_id:
            # Not 409, which the SDKs retry.
            message = f"'id': credential '{credential_id}' already exists."
            raise bad_request(message, code="already_exists")
        now = clock.timestamp()
        times = {"create_time": now, "update_time": now}
        resource = {"id": credential_id, "status": "active", "type": body["type"], **times}
        return Reply(200, dumps(self.add(credential_id, resource)))

    def update(self, call: Call, resource_id: str) -> Reply:
        """``PATCH /credentials/{id}``: new values."""
        credential = self.find(resource_id)
        check(parse_object(call.body), _UPDATE, "")
        credential["update_time"] = clock.timestamp()
        return Reply(200, dumps(credential))


class AuthTokens:
    """``/interactions/{id}/auth_tokens``; ``interactions`` contains the ids of those that exist."""

    def __init__(self, key: bytes, interactions: Container[str]) -> None:
        self._key = key
        self._interactions = interactions
        self._expiry: dict[str, datetime] = {}
        self._created = 0

    def create(self, call: Call, resource_id: str) -> Reply:
        """``POST``: a token, for an hour or until ``expire_time``."""
        self._check_interaction(resource_id)
        end = read_object(call.body or b"{}", _CREATE_TOKEN).get("expire_time")
        try:
            expiry = datetime.fromisoformat(end) if end else clock.now() + _TOKEN_LIFETIME
        except ValueError:
            raise bad_request(f"'expire_time' must be a time like {clock.timestamp()}.") from None
        self._created += 1
        seed = f"auth token {resource_id} {self._created}".encode()
        token = hmac.digest(self._key, seed, "sha256")[:20].hex()
        self._expiry[token] = expiry.astimezone()
        body = {"auth_token": f"auth_tokens/{token}", "expires_at": end or f"{expiry:%FT%TZ}"}
        return Reply(200, dumps(body))

    def delete(self, call: Call, resource_id: str, token: str) -> Reply:
        """``DELETE …/{token}``."""
        self._check_interaction(resource_id)
        if self._expiry.pop(token, None) is None:
            raise ErrorResponse(404, "The auth token was not found.")
        return Reply(200, "{}")

    def accepts(self, key: str) -> bool:
        """Return whether a key is a valid token."""
        expiry = self._expiry.get(key.removeprefix("auth_tokens/"))
        return expiry is not None and clock.now() < expiry

    def _check_interaction(self, interaction_id: str) -> None:
        if interaction_id not in self._interactions:
            raise ErrorResponse(404, f"Interaction '{interaction_id}' was not found.")
