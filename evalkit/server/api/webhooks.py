"""Webhooks (protocol section 1.4): endpoints that clients register, their secrets, and who is told of which end of a run. Sans-IO.

A run in the background tells its end: ``interaction.completed`` (also where it is incomplete), ``.failed`` (also where a budget ended it) or
``.requires_action``, to the ``uris`` of its ``webhook_config``, else to every enabled webhook subscribed to it. What they are told and how
it is signed is ``deliveries``'s; what is to be sent stands in the outbox until whoever serves takes it out.

Addresses beyond this machine are kept and listed as any, so that an application's own set-up runs unchanged, and told nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from evalkit._lib import clock
from evalkit._lib.json import JSON, dumps
from evalkit.server.api.collection import ResourceCollection
from evalkit.server.api.deliveries import (
    EVENT_OF,
    WebhookDelivery,
    data_of,
    delivery,
    not_loopback,
    request_secret,
    secret_of,
)
from evalkit.server.calls import Call, Reply
from evalkit.server.requests.bodies import choice, parse, read_object
from evalkit.server.requests.error_response import bad_request

EVENTS = (
    "batch.succeeded", "batch.expired", "batch.failed", "interaction.requires_action", "interaction.completed", "interaction.failed",
    "video.generated",
)  # fmt: skip
_STATES = ("enabled", "disabled", "disabled_due_to_failed_deliveries")
_FIELDS: dict[str, tuple[str, ...]] = {
    "uri": ("string",),
    "subscribed_events": ("array",),
    "name": ("string",),
}
_OLD_SECRETS = timedelta(hours=24)
_REVOCATIONS = ("revoke_previous_secrets_after_h24", "revoke_previous_secrets_immediately")


@dataclass(slots=True)
class Webhook:
    """One endpoint. ``secrets`` are those still good, newest first, each with its end or None."""

    id: str
    uri: str
    events: Sequence[str]
    name: str | None
    created: str
    updated: str
    state: str = "enabled"
    secrets: list[tuple[str, datetime | None]] = field(default_factory=list)
    rotations: int = 0

    def live(self) -> list[tuple[str, datetime | None]]:
        """Return the secrets that are good now."""
        now = clock.now()
        return [(secret, until) for secret, until in self.secrets if until is None or now < until]

    def shown(self) -> dict[str, JSON]:
        """Return the resource; secrets only by their last characters."""
        return {
            "id": self.id,
            **({"name": self.name} if self.name is not None else {}),
            "uri": self.uri,
            "subscribed_events": list(self.events),
            "state": self.state,
            "create_time": self.created,
            "update_time": self.updated,
            "signing_secrets": [
                {
                    "truncated_secret": f"…{secret[-4:]}",
                    **({"expire_time": f"{until:%Y-%m-%dT%H:%M:%SZ}"} if until else {}),
                }
                for secret, until in self.live()
            ],
        }


class Webhooks:
    """``/webhooks``, and what is to be told to whom. Secrets follow from the server's key, so that they are the same each time."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._shelf: ResourceCollection[Webhook] = ResourceCollection("webhook")
        self._made = self._sent = 0
        self.outbox: list[WebhookDelivery] = []

    def create(self, call: Call) -> Reply:
        """``POST /webhooks``; the only answer that shows the secret."""
        body = read_object(call.body, _FIELDS)
        for name in ("uri", "subscribed_events"):
            if name not in body:
                raise bad_request(f"'{name}' is required.")
        _check(body)
        self._made += 1
        now = clock.timestamp()
        hook = Webhook(
            f"wh_{self._made:08x}",
            body["uri"],
            body["subscribed_events"],
            body.get("name"),
            now,
            now,
        )
        hook.secrets = [(secret_of(self._key, f"{hook.id} 0"), None)]
        self._shelf.add(hook.id, hook)
        return Reply(200, dumps({**hook.shown(), "new_signing_secret": hook.secrets[0][0]}))

    def listed(self, call: Call) -> Reply:
        """``GET /webhooks``."""
        return Reply(200, dumps(self._shelf.page("webhooks", call.query, Webhook.shown)))

    def get(self, call: Call, id: str) -> Reply:  # noqa: A002 - the path's own name
        """``GET /webhooks/{id}``."""
        return Reply(200, dumps(self._shelf.get(id).shown()))

    def update(self, call: Call, id: str) -> Reply:  # noqa: A002
        """``PATCH /webhooks/{id}``: what is sent is changed, of that only what ``update_mask`` names where there is one."""
        hook = self._shelf.get(id)
        body = read_object(call.body, {**_FIELDS, "state": ("string",)})
        mask = [
            name.strip() for name in call.query.get("update_mask", "").split(",") if name.strip()
        ]
        for name in mask:
            choice("update_mask", name, (*_FIELDS, "state"))
        body = {name: value for name, value in body.items() if not mask or name in mask}
        _check(body)
        if "state" in body:
            choice("state", body["state"], _STATES)
        hook.uri, hook.state = body.get("uri", hook.uri), body.get("state", hook.state)
        hook.events, hook.name = (
            body.get("subscribed_events", hook.events),
            body.get("name", hook.name),
        )
        hook.updated = clock.timestamp()
        return Reply(200, dumps(hook.shown()))

    def delete(self, call: Call, id: str) -> Reply:  # noqa: A002
        """``DELETE /webhooks/{id}``."""
        self._shelf.delete(id)
        return Reply(200, "{}")

    def ping(self, call: Call, id: str) -> Reply:  # noqa: A002
        """``POST /webhooks/{id}:ping``: send it an event of type ``ping``, whatever it is subscribed to. 400 where it is not on loopback."""
        hook = self._shelf.get(id)
        if why := not_loopback(hook.uri):
            raise bad_request(f"Webhook '{id}' gets no ping: {why}.", code="failed_precondition")
        self._tell(hook.uri, "ping", {"id": hook.id}, [secret for secret, _ in hook.live()])
        return Reply(200, "{}")

    def rotate(self, call: Call, id: str) -> Reply:  # noqa: A002
        """``POST /webhooks/{id}:rotateSigningSecret``: a new secret; the ones before are good for a day, or no more."""
        hook = self._shelf.get(id)
        body = parse(call.body or b"{}")
        how = str(body.get("revocation_behavior") or _REVOCATIONS[0]).lower()
        choice("revocation_behavior", how, _REVOCATIONS)
        hook.rotations += 1
        end = clock.now() + _OLD_SECRETS
        before = (
            [(secret, min(until or end, end)) for secret, until in hook.live()]
            if how == _REVOCATIONS[0]
            else []
        )
        secret = secret_of(self._key, f"{hook.id} {hook.rotations}")
        hook.secrets = [(secret, None), *before]
        hook.updated = clock.timestamp()
        return Reply(200, dumps({"secret": secret}))

    def heard(self, status: str, config: Mapping[str, JSON] | None) -> bool:
        """Say whether anybody on loopback is told of a run that ends in a status."""
        return any(not not_loopback(uri) for uri, _ in self._listeners(status, config))

    def ended(self, interaction: Mapping[str, JSON], config: Mapping[str, JSON] | None) -> None:
        """Put the deliveries of a run that ended into the outbox."""
        status, metadata = str(interaction["status"]), (config or {}).get("user_metadata")
        for uri, secrets in self._listeners(status, config):
            self._tell(uri, EVENT_OF[status], data_of(interaction), secrets, metadata)

    def _listeners(
        self, status: str, config: Mapping[str, JSON] | None
    ) -> list[tuple[str, list[str]]]:
        event = EVENT_OF.get(status)
        if event is None:
            return []
        if config and config.get("uris"):
            return [(uri, [request_secret(self._key)]) for uri in config["uris"]]
        hooks = [hook for hook in self._shelf if hook.state == "enabled" and event in hook.events]
        return [(hook.uri, [secret for secret, _ in hook.live()]) for hook in hooks]

    def _tell(
        self, uri: str, event: str, data: JSON, secrets: Sequence[str], metadata: JSON = None
    ) -> None:
        self._sent += 1
        self.outbox.append(delivery(self._sent, uri, event, data, secrets, metadata))


def _check(body: Mapping[str, JSON]) -> None:
    uri = body.get("uri")
    if uri is not None and not _is_url(uri):
        raise bad_request(f"'uri' must be an http or https address, got '{uri}'.")
    events = body.get("subscribed_events")
    if events is None:
        return
    if not events:
        raise bad_request("'subscribed_events' is empty.")
    for index, event in enumerate(events):
        choice(f"subscribed_events[{index}]", event, EVENTS)


def _is_url(uri: str) -> bool:
    try:
        parts = urlsplit(uri)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
