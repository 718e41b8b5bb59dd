"""Webhooks: which are notified, with which body and signature; real deliveries on loopback."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import queue
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from evalkit._lib.json import dumps
from evalkit.server import Script, create_app, load_script, serving
from evalkit.server.api.service import Service
from evalkit.server.api.webhooks import WebhookDelivery, refusal_of, signing_secret
from evalkit.server.calls import Call, Reply
from evalkit.server.history_seals import DEFAULT_KEY
from evalkit.server.proxy.backend import open_proxy
from evalkit.server.script_backend import ScriptBackend, WebhookSender
from tests.server.talking import message

HOOK = "http://127.0.0.1:9/hook"
ALL = ["interaction.completed", "interaction.failed", "interaction.requires_action"]
RULES = """
  - {when: {text: act}, steps: [{call: f}]}
  - {when: {text: fail}, status: failed, errors: [{code: api_error, message: It broke.}]}
  - {when: {text: broke}, status: budget_exceeded, reply: a}
  - {when: {text: cut}, status: incomplete, reply: a}
"""


def hook(client: Any, uri: str = HOOK, events: list[str] | None = None, **fields: Any) -> Any:
    return client(
        "POST", "/v1beta/webhooks", {"uri": uri, "subscribed_events": events or ALL, **fields}
    )


def deliveries_of(client: Any) -> list[Any]:
    return [json.loads(delivery.body) for delivery in client.service.deliveries()]


def good(delivery: WebhookDelivery, secret: str) -> bool:
    """Verify a delivery as a receiver does: HMAC over id, time and body, for each valid secret."""
    signed = (
        f"{delivery.headers['webhook-id']}.{delivery.headers['webhook-timestamp']}.{delivery.body}"
    )
    mac = hmac.new(
        base64.b64decode(secret.removeprefix("whsec_")), signed.encode(), hashlib.sha256
    ).digest()
    return f"v1,{base64.b64encode(mac).decode()}" in delivery.headers["webhook-signature"].split(
        " "
    )


# --- notifications


@pytest.mark.parametrize(
    ("text", "event", "data"),
    [
        ("hello", "interaction.completed", {}),
        ("cut", "interaction.completed", {}),
        ("act", "interaction.requires_action", {}),
        ("fail", "interaction.failed", {"error_code": "api_error", "error_message": "It broke."}),
        ("broke", "interaction.failed", {"error_code": "budget_exceeded", "error_message": ""}),
    ],
)
def test_webhooks_are_notified_of_the_end_of_a_run(
    scripted: Callable[[str], Any], text: str, event: str, data: dict[str, Any]
) -> None:
    client = scripted(RULES)
    secret = hook(client)["new_signing_secret"]
    started = client.create(text, background=True)
    assert started["status"] == "in_progress"
    (delivery,) = client.service.deliveries()
    assert (delivery.uri, delivery.event, delivery.refusal) == (HOOK, event, "")
    body = json.loads(delivery.body)
    assert body == {
        "type": event,
        "version": "v1",
        "timestamp": body["timestamp"],
        "data": {"id": started["id"], **data},
    }
    assert good(delivery, secret)
    assert not good(delivery, signing_secret(DEFAULT_KEY, "webhook_config"))
    assert client.get(started["id"])["status"] not in ("in_progress", "queued")
    assert deliveries_of(client) == []


def test_a_run_without_a_loopback_listener_ends_by_polls(client: Any) -> None:
    hook(client, "https://example.com/hook")
    hook(client, events=["interaction.failed"])
    started = client.create("Hello", background=True)
    assert client.get(started["id"])["status"] == "in_progress"
    (delivery,) = client.service.deliveries()
    assert (
        delivery.refusal
        == "https://example.com/hook is not on this machine, and only loopback addresses are "
        "notified"
    )
    assert client.get(started["id"])["status"] == "completed"
    assert deliveries_of(client) == []


def test_a_request_with_uris_notifies_only_these(client: Any) -> None:
    hook(client, "http://127.0.0.1:9/registered")
    config = {"uris": [HOOK, "http://localhost:9/b"], "user_metadata": {"job": "nightly", "n": 1}}
    started = client.create("Hello", background=True, webhook_config=config)
    deliveries = client.service.deliveries()
    assert [delivery.uri for delivery in deliveries] == config["uris"]
    assert all(
        json.loads(delivery.body)["user_metadata"] == config["user_metadata"]
        for delivery in deliveries
    )
    assert all(
        good(delivery, signing_secret(DEFAULT_KEY, "webhook_config")) for delivery in deliveries
    )
    assert client.get(started["id"])["status"] == "completed"


def test_metadata_without_uris_is_sent_to_registered_webhooks(client: Any) -> None:
    hook(client)
    client.create("Hello", background=True, webhook_config={"user_metadata": {"a": None}})
    (body,) = deliveries_of(client)
    assert body["user_metadata"] == {"a": None}


def test_foreground_and_cancelled_runs_send_no_notification(client: Any) -> None:
    started = client.create("Hello", background=True)
    hook(client)
    client("POST", f"/v1beta/interactions/{started['id']}/cancel")
    client.create("Hello")
    assert deliveries_of(client) == []


def test_a_streamed_run_sends_a_notification(client: Any) -> None:
    hook(client)
    client.create("Hello", background=True, stream=True)
    assert [body["type"] for body in deliveries_of(client)] == ["interaction.completed"]


@pytest.mark.parametrize("state", ["disabled", "disabled_due_to_failed_deliveries"])
def test_a_disabled_webhook_is_not_notified(client: Any, state: str) -> None:
    id_ = hook(client)["id"]
    assert client("PATCH", f"/v1beta/webhooks/{id_}", {"state": state})["state"] == state
    client.create("Hello", background=True)
    assert deliveries_of(client) == []
    client("PATCH", f"/v1beta/webhooks/{id_}", {"state": "enabled"})
    client.create("Hello", background=True)
    assert len(deliveries_of(client)) == 1


# --- the resource


def test_the_secret_of_a_webhook_is_returned_once(client: Any) -> None:
    created = hook(client, name="mine")
    secret = created["new_signing_secret"]
    assert secret.startswith("whsec_")
    listed = client("GET", f"/v1beta/webhooks/{created['id']}")
    assert listed == {
        name: value for name, value in created.items() if name != "new_signing_secret"
    }
    assert (listed["name"], listed["state"], listed["signing_secrets"]) == (
        "mine",
        "enabled",
        [{"truncated_secret": f"…{secret[-4:]}"}],
    )
    assert secret not in json.dumps([listed, client("GET", "/v1beta/webhooks")])
    assert hook(client)["new_signing_secret"] != secret


def test_a_webhook_is_updated_by_the_fields_sent(client: Any) -> None:
    created = hook(client, name="mine")
    path = f"/v1beta/webhooks/{created['id']}"
    changed = client("PATCH", path, {"uri": "http://127.0.0.1:9/other", "name": None})
    assert (changed["uri"], changed["name"]) == ("http://127.0.0.1:9/other", "mine")
    masked = client("PATCH", path, {"uri": HOOK, "name": "yours"}, update_mask="name, state")
    assert (masked["uri"], masked["name"], masked["subscribed_events"]) == (
        "http://127.0.0.1:9/other",
        "yours",
        ALL,
    )
    assert "Unsupported value for 'update_mask[0]'" in message(
        client("PATCH", path, {}, update_mask="id")
    )
    assert "Unsupported value for 'state'" in message(client("PATCH", path, {"state": "on"}))
    assert message(client("PATCH", path, {"id": "x"})).startswith("Unknown parameter 'id'")


def test_a_ping_is_sent_regardless_of_subscriptions(client: Any) -> None:
    created = hook(client, events=["batch.failed"])
    assert client("POST", f"/v1beta/webhooks/{created['id']}:ping", {}) == {}
    (delivery,) = client.service.deliveries()
    assert (delivery.event, json.loads(delivery.body)["data"]) == ("ping", {"id": created["id"]})
    assert good(delivery, created["new_signing_secret"])
    far = hook(client, "https://example.com/hook")
    refusal = message(client("POST", f"/v1beta/webhooks/{far['id']}:ping"))
    assert refusal.endswith(
        "https://example.com/hook is not on this machine, and only loopback addresses are notified."
    )


@pytest.mark.parametrize(
    ("body", "later", "old_is_good"),
    [
        (None, 0, True),
        ({"revocation_behavior": "revoke_previous_secrets_after_h24"}, 86_399, True),
        ({"revocation_behavior": "REVOKE_PREVIOUS_SECRETS_AFTER_H24"}, 86_400, False),
        ({"revocation_behavior": "revoke_previous_secrets_immediately"}, 0, False),
    ],
)
def test_a_secret_is_rotated(
    client: Any, monkeypatch: pytest.MonkeyPatch, body: Any, later: int, old_is_good: bool
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1800000000")
    created = hook(client)
    path = f"/v1beta/webhooks/{created['id']}"
    new = client("POST", f"{path}:rotateSigningSecret", body)["secret"]
    assert new not in ("", created["new_signing_secret"])
    monkeypatch.setenv("SOURCE_DATE_EPOCH", str(1_800_000_000 + later))
    client("POST", f"{path}:ping")
    (delivery,) = client.service.deliveries()
    assert good(delivery, new)
    assert good(delivery, created["new_signing_secret"]) is old_is_good
    secrets = client("GET", path)["signing_secrets"]
    assert [("expire_time" in secret) for secret in secrets] == (
        [False, True] if old_is_good else [False]
    )


def test_an_invalid_revocation_behavior_is_refused(client: Any) -> None:
    path = f"/v1beta/webhooks/{hook(client)['id']}:rotateSigningSecret"
    assert "Unsupported value for 'revocation_behavior'" in message(
        client("POST", path, {"revocation_behavior": "never"})
    )


@pytest.mark.parametrize(
    ("uri", "near"),
    [
        ("http://127.0.0.1:8000/x", True),
        ("http://127.8.9.1", True),
        ("https://localhost/x", True),
        ("http://[::1]:80/", True),
        ("http://LOCALHOST", True),
        ("http://example.com", False),
        ("http://localhost.example.com", False),
        ("http://127.0.0.1@example.com", False),
        ("http://127.0.0.1.example.com", False),
        ("http://10.0.0.1", False),
        ("http://0.0.0.0", False),
        ("http://169.254.169.254/", False),
        ("http://[::ffff:10.0.0.1]", False),
        ("http://2130706433", False),
        ("http://[x", False),
        ("", False),
    ],
)
def test_only_loopback_addresses_are_notified(uri: str, near: bool) -> None:
    assert (refusal_of(uri) == "") is near


def test_a_page_has_no_notifications_sent_to_this_machine(default_script: Script) -> None:
    service = Service(default_script)

    def send(method: str, path: str, body: Any) -> Reply:
        headers = {"origin": "http://localhost:5173", "x-goog-api-key": "k"}
        return service.handle(
            Call(method, f"/v1/{path}", headers=headers, body=dumps(body).encode())
        )

    near, far = "http://127.0.0.1:6379/", "https://example.com/hook"
    subscribed = {"subscribed_events": ["interaction.completed"]}
    registered = json.loads(send("POST", "webhooks", {"uri": far, **subscribed}).body)
    run = {"model": "gemini-3.5-flash", "input": "Hello", "background": True}
    notified = {**run, "webhook_config": {"uris": [far, near]}}
    daily = {"schedule": "0 9 * * *", "time_zone": "UTC", "display_name": "d"}
    agent = {**notified, "agent": "antigravity-preview-05-2026"}
    del agent["model"]
    for method, path, body in (
        ("POST", "webhooks", {"uri": near, **subscribed}),
        ("PATCH", f"webhooks/{registered['id']}", {"uri": near}),
        ("POST", "interactions", notified),
        ("POST", "triggers", {**daily, "interaction": agent}),
    ):
        reply = send(method, path, body)
        assert (reply.status, "A web page may not" in str(reply.body)) == (403, True), path
    assert send("POST", "interactions", run).status == 200
    assert all(delivery.refusal for delivery in service.deliveries())


# --- real deliveries


class Receiver:
    """A server on loopback that stores requests; it responds with ``statuses``, then 200."""

    def __init__(self) -> None:
        self.got: queue.Queue[tuple[dict[str, str], str]] = queue.Queue()
        self.statuses: list[int] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                receiver.got.put(
                    ({name.lower(): value for name, value in self.headers.items()}, body)
                )
                self.send_response(receiver.statuses.pop(0) if receiver.statuses else 200)
                self.send_header("location", "http://127.0.0.1:9/elsewhere")
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    created = Receiver()
    yield created
    created.close()


def test_a_webhook_is_notified_over_http(receiver: Receiver) -> None:
    lines: queue.Queue[str] = queue.Queue()
    app = create_app(ScriptBackend(load_script(), log=lines.put))
    with (
        serving(app) as url,
        httpx.Client(base_url=f"{url}/v1beta", headers={"x-goog-api-key": "k"}) as http,
    ):
        secret = http.post(
            "/webhooks", json={"uri": receiver.url, "subscribed_events": ALL}
        ).json()["new_signing_secret"]
        http.post("/webhooks", json={"uri": "https://example.com/x", "subscribed_events": ALL})
        started = http.post(
            "/interactions",
            json={"model": "gemini-3.5-flash", "input": "Hello", "background": True},
        ).json()
        headers, body = receiver.got.get(timeout=10)
        assert json.loads(body)["data"] == {"id": started["id"]}
        assert headers["content-type"] == "application/json"
        assert good(WebhookDelivery(uri=receiver.url, event="", body=body, headers=headers), secret)
        assert (
            http.get(f"/interactions/{json.loads(body)['data']['id']}").json()["status"]
            == "completed"
        )
        assert lines.get(timeout=10).startswith(
            "webhook interaction.completed not delivered: https://example.com/x is not on this "
            "machine"
        )
        assert lines.get(timeout=10) == f"webhook interaction.completed delivered to {receiver.url}"


def deliver(url: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    lines: list[str] = []

    async def run() -> None:
        sender = WebhookSender(lines.append, waits=(0.0, 0.0, 0.0))
        sender.send(
            [WebhookDelivery(uri=url, event="ping", body="{}", headers={"webhook-id": "1"})]
        )
        await asyncio.gather(*sender._tasks)
        await sender.close()

    asyncio.run(run())
    return lines


def test_a_failed_delivery_is_retried(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    receiver.statuses = [500, 302]
    assert deliver(receiver.url, monkeypatch) == [f"webhook ping delivered to {receiver.url}"]
    assert [receiver.got.get_nowait()[0]["webhook-id"] for _ in range(3)] == ["1", "1", "1"]


def test_a_delivery_is_given_up(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    receiver.statuses = [500] * 3
    assert deliver(receiver.url, monkeypatch) == [
        f"webhook ping not delivered to {receiver.url}: HTTP 500, 3 times"
    ]
    receiver.close()
    assert deliver(receiver.url, monkeypatch) == [
        f"webhook ping not delivered to {receiver.url}: ConnectError, 3 times"
    ]


def test_closing_cancels_waiting_deliveries(receiver: Receiver) -> None:
    async def run() -> None:
        sender = WebhookSender(lambda line: None)
        sender.send(
            [WebhookDelivery(uri=receiver.url, event="ping", body="{}", headers={})], after=3600
        )
        await sender.close()
        await sender.close()

    asyncio.run(run())
    assert receiver.got.empty()


def test_a_recording_proxy_writes_no_signing_secret(tmp_path: Path) -> None:
    with serving() as upstream, serving(create_app(open_proxy(upstream, tmp_path))) as url:
        created = httpx.post(
            f"{url}/v1/webhooks",
            json={"uri": HOOK, "subscribed_events": ALL},
            headers={"x-goog-api-key": "any"},
        ).json()
        rotated = httpx.post(
            f"{url}/v1/webhooks/{created['id']}:rotateSigningSecret",
            json={},
            headers={"x-goog-api-key": "any"},
        ).json()
    written = "".join(path.read_text() for path in tmp_path.rglob("*") if path.is_file())
    assert created["new_signing_secret"].startswith("whsec_")
    assert "subscribed_events" in written
    for secret in (created["new_signing_secret"], rotated["secret"], "whsec_"):
        assert secret not in written
