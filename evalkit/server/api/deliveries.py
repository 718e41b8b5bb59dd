"""The requests that notify webhooks: to whom, with which body and signature.

Pure except for the clock; the script back end sends them. The body is short, and the same for
every webhook:

    {"type": "interaction.completed", "version": "v1", "timestamp": "…Z",
     "data": {"id": "v1_…"}, "user_metadata": {…}}

Deliveries are signed by the Standard Webhooks scheme (standardwebhooks.com): headers
``webhook-id``, ``webhook-timestamp`` (seconds since 1970) and ``webhook-signature``. The signature
is ``v1,`` and the base64 of HMAC-SHA256 over ``id.timestamp.body``, once for each valid secret. The
key is the secret without its prefix, decoded. For ``uris`` of a request the real service signs with
a key pair; this server signs with ``request_secret``.

Only loopback addresses are notified. For other addresses a delivery has a ``refusal``, which is
logged instead.
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

EVENT_OF_STATUS = {
    "completed": "interaction.completed",
    "incomplete": "interaction.completed",
    "failed": "interaction.failed",
    "budget_exceeded": "interaction.failed",
    "requires_action": "interaction.requires_action",
}
"""The event at the end of a run, by its status; other ends send no event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookDelivery:
    """One POST request. If ``refusal`` is not empty, it is not sent for this reason."""

    uri: str
    event: str
    body: str
    headers: Mapping[str, str]
    refusal: str = ""


def build_delivery(
    number: int,
    uri: str,
    event: str,
    *,
    data: JSON,
    secrets: Sequence[str],
    metadata: JSON = None,
) -> WebhookDelivery:
    """Return the delivery of an event, the server's ``number``-th."""
    envelope = {"type": event, "version": "v1", "timestamp": clock.timestamp(), "data": data}
    if metadata is not None:
        envelope["user_metadata"] = metadata
    body = dumps(envelope)
    message_id, sent_at = f"msg_{number:08x}", str(int(clock.now().timestamp()))
    headers = {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": sent_at,
        "webhook-signature": " ".join(
            _signature(secret, f"{message_id}.{sent_at}.{body}") for secret in secrets
        ),
    }
    return WebhookDelivery(
        uri=uri, event=event, body=body, headers=headers, refusal=refusal_of(uri)
    )


def event_data(interaction: Mapping[str, JSON]) -> dict[str, JSON]:
    """Return the ``data`` of the event at a run's end: its id, and the error of a failed run."""
    status = str(interaction["status"])
    data = {"id": interaction.get("id", "")}
    if EVENT_OF_STATUS[status] == "interaction.failed":
        error = interaction.get("error") or {}
        data["error_code"] = error.get("code", status)
        data["error_message"] = error.get("message", "")
    return data


def signing_secret(key: bytes, purpose: str) -> str:
    """Return a signing secret, derived from the server's key so that it is always the same."""
    secret = hmac.digest(key, f"webhook secret {purpose}".encode(), "sha256")[:24]
    return SIGNING_SECRET_PREFIX + base64.b64encode(secret).decode()


def request_secret(key: bytes) -> str:
    """Return the secret that signs deliveries to ``webhook_config.uris`` of a request."""
    return signing_secret(key, "webhook_config")


def refusal_of(uri: str) -> str:
    """Return why nothing is sent to an address; ``""`` for a loopback address."""
    try:
        host = urlsplit(uri).hostname or ""
        if host == "localhost" or ipaddress.ip_address(host).is_loopback:
            return ""
    except ValueError:
        pass
    return f"{uri} is not on this machine, and only loopback addresses are notified"


def _signature(secret: str, content: str) -> str:
    key = base64.b64decode(secret.removeprefix(SIGNING_SECRET_PREFIX))
    return "v1," + base64.b64encode(hmac.digest(key, content.encode(), "sha256")).decode()
