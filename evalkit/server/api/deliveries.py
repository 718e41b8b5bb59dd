"""What webhooks are told, as values: who is told, by which body, signed how. Pure but for the clock; the requests are made elsewhere.

The body is thin, and the same for every endpoint:

    {"type": "interaction.completed", "version": "v1", "timestamp": "…Z", "data": {"id": "v1_…"}, "user_metadata": {…}}

Deliveries are signed by the Standard Webhooks scheme: headers ``webhook-id``, ``webhook-timestamp`` (seconds since 1970) and
``webhook-signature``, which is ``v1,`` and base64 of HMAC-SHA256 over ``id.timestamp.body``, once for each secret that is still good. The key
is the secret without ``whsec_``, decoded. For ``uris`` of a request the real service signs with a key pair; here ``request_secret`` does.

Only loopback addresses are told anything. What others would have been told is a delivery with a ``refusal``, which is logged and not made.
"""

from __future__ import annotations

import base64
import hmac
import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from evalkit._lib import clock
from evalkit._lib.json import JSON, dumps
from evalkit.protocol.wire_facts import SIGNING_SECRET_PREFIX

EVENT_OF = {
    "completed": "interaction.completed",
    "incomplete": "interaction.completed",
    "failed": "interaction.failed",
    "budget_exceeded": "interaction.failed",
    "requires_action": "interaction.requires_action",
}
"""What the end of a run is told as, by its status; other ends are not told."""


@dataclass(frozen=True, slots=True)
class WebhookDelivery:
    """One POST to make. With a ``refusal`` it is not made; that says why."""

    uri: str
    event: str
    body: str
    headers: Mapping[str, str]
    refusal: str = ""


def delivery(
    number: int, uri: str, event: str, data: JSON, secrets: Sequence[str], metadata: JSON = None
) -> WebhookDelivery:
    """Return the delivery of an event, the server's ``number``-th."""
    envelope = {"type": event, "version": "v1", "timestamp": clock.timestamp(), "data": data}
    body = dumps({**envelope, **({"user_metadata": metadata} if metadata is not None else {})})
    id_, at = f"msg_{number:08x}", str(int(clock.now().timestamp()))
    signatures = " ".join(sign(secret, id_, at, body) for secret in secrets)
    headers = {
        "content-type": "application/json",
        "webhook-id": id_,
        "webhook-timestamp": at,
        "webhook-signature": signatures,
    }
    return WebhookDelivery(uri, event, body, headers, not_loopback(uri))


def data_of(interaction: Mapping[str, JSON]) -> dict[str, JSON]:
    """Return the ``data`` of the event an interaction's end is told as: its id, and of a failure the reason."""
    status = str(interaction["status"])
    id_ = interaction.get("id", "")
    if EVENT_OF[status] != "interaction.failed":
        return {"id": id_}
    error = interaction.get("error") or {}
    return {
        "id": id_,
        "error_code": error.get("code", status),
        "error_message": error.get("message", ""),
    }


def sign(secret: str, id_: str, at: str, body: str) -> str:
    """Return one signature of a delivery by the Standard Webhooks scheme."""
    key = base64.b64decode(secret.removeprefix(SIGNING_SECRET_PREFIX))
    return (
        "v1," + base64.b64encode(hmac.digest(key, f"{id_}.{at}.{body}".encode(), "sha256")).decode()
    )


def secret_of(key: bytes, what: str) -> str:
    """Return the signing secret of something, which follows from the server's key."""
    return (
        SIGNING_SECRET_PREFIX
        + base64.b64encode(
            hmac.digest(key, f"webhook secret {what}".encode(), "sha256")[:24]
        ).decode()
    )


def request_secret(key: bytes) -> str:
    """Return the secret that signs what a request's own ``webhook_config.uris`` are told."""
    return secret_of(key, "webhook_config")


def not_loopback(uri: str) -> str:
    """Say why nothing is sent to an address, ``""`` for one of this machine's own."""
    try:
        host = urlsplit(uri).hostname or ""
        if host == "localhost" or ipaddress.ip_address(host).is_loopback:
            return ""
    except ValueError:
        pass
    return f"{uri} is not on this machine, and only loopback addresses are told"
