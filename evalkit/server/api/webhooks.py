"""Webhooks: registered endpoints, their secrets, and the requests that notify them. Sans-IO.

See docs/protocol.md section 1.4. A background run notifies of its end: ``interaction.completed``
(also if it is incomplete), ``.failed`` (also if a budget ended it) or ``.requires_action``. The
event goes to the ``uris`` of the run's ``webhook_config``, otherwise to every enabled webhook
subscribed to it. The requests wait in the outbox until the script back end sends them. Their body
is short, and the same for every webhook:

    {"type": "interaction.completed", "version": "v1", "timestamp": "…Z",
     "data": {"id": "v1_…"}, "user_metadata": {…}}

They are signed by the Standard Webhooks scheme (standardwebhooks.com): headers ``webhook-id``,
``webhook-timestamp`` (seconds since 1970) and ``webhook-signature``. The signature is ``v1,`` and
the base64 of HMAC-SHA256 over ``id.timestamp.body``, once for each valid secret. The key is the
secret without its prefix, decoded. For ``uris`` of a request the real service signs with a key
pair; this server signs with a secret of its own key.

Addresses outside this machine are stored and listed like others, so that an application's set-up
runs unchanged, but they are not notified: their deliveries have a ``refusal``, which is logged. Web
pages may name no loopback addresses, see :func:`check_page_targets`.
"""

import base64
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from evalkit._lib import clock
from evalkit._lib.json import JSON, dumps
from evalkit._lib.loopback import is_loopback_url
from evalkit.protocol.wire_facts import SIGNING_SECRET_PREFIX
from evalkit.server.access import refuse_page
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
from evalkit.server.requests.error_response import bad_request

EVENT_OF_STATUS = {
    "completed": "interaction.completed",
    "incomplete": "interaction.completed",
    "failed": "interaction.failed",
    "budget_exceeded": "interaction.failed",
    "requires_action": "interaction.requires_action",
}
"""The event at the end of a run, by its status; other ends send no event."""
EVENTS = (
    "batch.succeeded",
    "batch.expired",
    "batch.failed",
    "interaction.requires_action",
    "interaction.completed",
    "interaction.failed",
    "video.generated",
)
_FIELDS = {
    "uri": {
        "type": "string",
        "pattern": r"^https?://([^][\s/?#:][^][\s/?#]*|\[[0-9A-Fa-f:.]+\])",
        "description": "an http or https address",
    },
    "subscribed_events": {
        "type": "array",
        "minItems": 1,
        "items": {"enum": EVENTS},
        "description": "a list with at least one event",
    },
    "name": STRING,
}
_UPDATE_FIELDS = {
    **_FIELDS,
    "state": {"enum": ["enabled", "disabled", "disabled_due_to_failed_deliveries"]},
}
_CREATE = validator(closed_object(_FIELDS, "uri", "subscribed_events"))
_UPDATE = validator(closed_object(_UPDATE_FIELDS))
_UPDATE_MASK = validator({"items": {"enum": list(_UPDATE_FIELDS)}})
_OLD_SECRET_LIFETIME = timedelta(hours=24)
_REVOKE_LATER = "revoke_previous_secrets_after_h24"
_REVOCATION = validator({"enum": [_REVOKE_LATER, "revoke_previous_secrets_immediately"]})


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookDelivery:
    """One POST request. If ``refusal`` is not empty, it is not sent for this reason."""

    uri: str
    event: str
    body: str
    headers: Mapping[str, str]
    refusal: str = ""


@dataclass(slots=True, kw_only=True)
class Webhook:
    """One endpoint. ``fields`` are those that clients send.

    ``secrets`` are the newest and the former ones, each with the time it expires, None if it does
    not.
    """

    id: str
    fields: dict[str, JSON]
    created: str
    updated: str
    secrets: list[tuple[str, datetime | None]]
    rotations: int = 0

    def valid_secrets(self) -> list[tuple[str, datetime | None]]:
        """Return the secrets that have not expired, with the time they will."""
        now = clock.now()
        return [(secret, end) for secret, end in self.secrets if end is None or now < end]

    def to_json(self) -> dict[str, JSON]:
        """Return the resource; of secrets, only the last characters."""
        return {
            "id": self.id,
            **self.fields,
            "create_time": self.created,
            "update_time": self.updated,
            "signing_secrets": [
                {
                    "truncated_secret": f"…{secret[-4:]}",
                    **({"expire_time": f"{end:%Y-%m-%dT%H:%M:%SZ}"} if end else {}),
                }
                for secret, end in self.valid_secrets()
            ],
        }


class Webhooks(ResourceCollection[Webhook]):
    """``/webhooks``, and the outbox of deliveries.

    Secrets are derived from the server's key, so that they are the same each time.
    """

    def __init__(self, key: bytes) -> None:
        super().__init__("webhook", "webhooks", Webhook.to_json)
        self._key = key
        self._created = 0
        self._sent = 0
        self.outbox: list[WebhookDelivery] = []

    def create(self, call: Call) -> Reply:
        """``POST /webhooks``; only this reply contains the secret."""
        body = read_object(call.body, _CREATE)
        check_page_targets(call, body["uri"])
        self._created += 1
        webhook_id = f"wh_{self._created:08x}"
        secret = signing_secret(self._key, f"{webhook_id} 0")
        now = clock.timestamp()
        webhook = Webhook(
            id=webhook_id,
            fields={**body, "state": "enabled"},
            created=now,
            updated=now,
            secrets=[(secret, None)],
        )
        self.add(webhook_id, webhook)
        return Reply(200, dumps({**webhook.to_json(), "new_signing_secret": secret}))

    def update(self, call: Call, resource_id: str) -> Reply:
        """``PATCH /webhooks/{id}``: change the fields sent, or those in ``update_mask``."""
        webhook = self.find(resource_id)
        body = read_object(call.body, _UPDATE)
        check_page_targets(call, body.get("uri"))
        names = (name.strip() for name in call.query.get("update_mask", "").split(","))
        mask = [name for name in names if name]
        check(mask, _UPDATE_MASK, "update_mask")
        webhook.fields |= {name: value for name, value in body.items() if not mask or name in mask}
        webhook.updated = clock.timestamp()
        return Reply(200, dumps(webhook.to_json()))

    def ping(self, call: Call, resource_id: str) -> Reply:
        """``POST /webhooks/{id}:ping``: send an event of type ``ping``, whatever the subscription.

        Replies 400 if the address is not on loopback.
        """
        webhook = self.find(resource_id)
        if refusal := refusal_of(webhook.fields["uri"]):
            raise bad_request(
                f"Webhook '{resource_id}' cannot be pinged: {refusal}.", code="failed_precondition"
            )
        secrets = [secret for secret, _ in webhook.valid_secrets()]
        self._send(webhook.fields["uri"], "ping", {"id": webhook.id}, secrets)
        return Reply(200, "{}")

    def rotate(self, call: Call, resource_id: str) -> Reply:
        """``POST /webhooks/{id}:rotateSigningSecret``: a new secret.

        The former ones expire after a day or at once, by ``revocation_behavior``.
        """
        webhook = self.find(resource_id)
        body = parse_object(call.body or b"{}")
        revocation = str(body.get("revocation_behavior") or _REVOKE_LATER).lower()
        check(revocation, _REVOCATION, "revocation_behavior")
        former: list[tuple[str, datetime | None]] = []
        if revocation == _REVOKE_LATER:
            limit = clock.now() + _OLD_SECRET_LIFETIME
            former = [(secret, min(end or limit, limit)) for secret, end in webhook.valid_secrets()]
        webhook.rotations += 1
        secret = signing_secret(self._key, f"{webhook.id} {webhook.rotations}")
        webhook.secrets = [(secret, None), *former]
        webhook.updated = clock.timestamp()
        return Reply(200, dumps({"secret": secret}))

    def has_listener(self, status: str, config: Mapping[str, JSON] | None) -> bool:
        """Return whether a loopback address is notified of a run that ends in a status."""
        return any(not refusal_of(uri) for uri, _ in self._listeners(status, config))

    def notify_end(
        self, interaction: Mapping[str, JSON], config: Mapping[str, JSON] | None
    ) -> None:
        """Put the deliveries for a run that ended into the outbox."""
        status = str(interaction["status"])
        data = {"id": interaction.get("id", "")}
        if EVENT_OF_STATUS.get(status) == "interaction.failed":
            error = interaction.get("error") or {}
            data["error_code"] = error.get("code", status)
            data["error_message"] = error.get("message", "")
        for uri, secrets in self._listeners(status, config):
            metadata = (config or {}).get("user_metadata")
            self._send(uri, EVENT_OF_STATUS[status], data, secrets, metadata)

    def _listeners(
        self, status: str, config: Mapping[str, JSON] | None
    ) -> list[tuple[str, list[str]]]:
        event = EVENT_OF_STATUS.get(status)
        if event is None:
            return []
        if config and config.get("uris"):
            return [(uri, [signing_secret(self._key, "webhook_config")]) for uri in config["uris"]]
        return [
            (webhook.fields["uri"], [secret for secret, _ in webhook.valid_secrets()])
            for webhook in self.by_id.values()
            if webhook.fields["state"] == "enabled" and event in webhook.fields["subscribed_events"]
        ]

    def _send(
        self, uri: str, event: str, data: JSON, secrets: Sequence[str], metadata: JSON = None
    ) -> None:
        self._sent += 1
        body = dumps(
            {
                "type": event,
                "version": "v1",
                "timestamp": clock.timestamp(),
                "data": data,
                **({} if metadata is None else {"user_metadata": metadata}),
            }
        )
        message_id, sent_at = f"msg_{self._sent:08x}", str(int(clock.now().timestamp()))
        signed = f"{message_id}.{sent_at}.{body}"
        delivery = WebhookDelivery(
            uri=uri,
            event=event,
            body=body,
            headers={
                "content-type": "application/json",
                "webhook-id": message_id,
                "webhook-timestamp": sent_at,
                "webhook-signature": " ".join(_signature(secret, signed) for secret in secrets),
            },
            refusal=refusal_of(uri),
        )
        self.outbox.append(delivery)


def signing_secret(key: bytes, purpose: str) -> str:
    """Return a signing secret, derived from the server's key so that it is always the same."""
    secret = hmac.digest(key, f"webhook secret {purpose}".encode(), "sha256")[:24]
    return SIGNING_SECRET_PREFIX + base64.b64encode(secret).decode()


def refusal_of(uri: str) -> str:
    """Return why nothing is sent to an address; ``""`` for a loopback address."""
    if is_loopback_url(uri):
        return ""
    return f"{uri} is not on this machine, and only loopback addresses are notified"


def check_page_targets(call: Call, *fields: JSON) -> None:
    """Raise ErrorResponse (403) for a web page that has notifications sent to this machine.

    This server sends them without the preflight that a browser needs for other origins. ``fields``
    are a ``uri``, or a ``webhook_config`` with ``uris``; either may be absent.
    """
    uris = [
        uri
        for field in fields
        for uri in (field.get("uris") or () if isinstance(field, dict) else [field or ""])
    ]
    if any(is_loopback_url(uri) for uri in uris):
        refuse_page(call.headers, "have notifications sent to this machine")


def _signature(secret: str, content: str) -> str:
    key = base64.b64decode(secret.removeprefix(SIGNING_SECRET_PREFIX))
    return "v1," + base64.b64encode(hmac.digest(key, content.encode(), "sha256")).decode()
