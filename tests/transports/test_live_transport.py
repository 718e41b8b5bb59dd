"""The live transport against a real server: requests, retries, network failures, streams, keys."""

from __future__ import annotations

import json
import logging
import socket
import threading
import traceback
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from evalkit.errors import ConnectFailed, Disconnected, TimedOut, TransportError, UsageError
from evalkit.transcript import Request
from evalkit.transports import LiveTransport
from evalkit.transports.httpx_errors import to_evalkit_error
from tests.transports.loopback import Reply, Service, reply, stream

KEY = "planted-secret-key"
CREATE = Request("POST", "/v1beta/interactions", {"model": "m", "input": "é"})
STREAM = Request("POST", "/v1beta/interactions", {"model": "m", "input": "x", "stream": True})


class Time:
    """A clock that moves only in ``sleep``, which records its waits in ``slept``."""

    def __init__(self, step: float = 0.0) -> None:
        self.seconds = 1000.0
        self.slept: list[float] = []
        self.step = step

    def clock(self) -> float:
        self.seconds += self.step
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.seconds += seconds


@pytest.fixture
def time() -> Time:
    return Time()


Make = Callable[..., LiveTransport]


@pytest.fixture
def live(service: Service, time: Time, request: pytest.FixtureRequest) -> Make:
    def make(base_url: str = "", **options: Any) -> LiveTransport:
        arguments = {
            "clock": time.clock,
            "sleep": time.sleep,
            "random": lambda: 0.0,
            "now": lambda: 1_800_000_000.0,
            **options,
        }
        transport = LiveTransport(
            base_url or service.base_url, arguments.pop("key", KEY), **arguments
        )
        request.addfinalizer(transport.close)
        return transport

    return make


# --- what is sent ---


def test_a_request_as_it_is_sent(service: Service, live: Make) -> None:
    response = live().send(
        Request("POST", "/v1beta/interactions", {"model": "m", "input": "é"}, (("alt", "a b:c"),))
    )
    received = service.requests[0]
    assert (received.method, received.path) == ("POST", "/v1beta/interactions?alt=a%20b%3Ac")
    assert received.body == '{"model":"m","input":"é"}'.encode()
    assert {name: received.headers[name] for name in ("x-goog-api-key", "api-revision", "content-type", "accept")} == {
        "x-goog-api-key": KEY, "api-revision": "2026-05-20", "content-type": "application/json", "accept": "application/json",
    }  # fmt: skip
    assert (response.status, response.source, response.broken, response.event_ms) == (
        200,
        "live",
        None,
        (),
    )
    assert response.headers["content-type"] == "application/json"
    assert response.json()["id"] == "v1_echo"
    assert response.elapsed_ms is not None


def test_without_body_and_key_their_headers_are_not_sent(service: Service, live: Make) -> None:
    live(key=None).send(Request("POST", "/v1beta/interactions/v1_a/cancel"))
    received = service.requests[0]
    assert received.body == b""
    assert "content-type" not in received.headers
    assert "x-goog-api-key" not in received.headers


@pytest.mark.parametrize("suffix", ["", "/", "/gate/way", "/gate/way/"])
def test_a_prefix_in_the_base_url_is_used(service: Service, live: Make, suffix: str) -> None:
    transport = live(service.base_url + suffix)
    transport.send(CREATE)
    assert service.requests[0].path == suffix.rstrip("/") + "/v1beta/interactions"
    assert transport.uri(CREATE) == service.base_url + suffix.rstrip("/") + "/v1beta/interactions"


def test_a_redirect_is_not_followed_so_the_key_is_sent_to_one_host_only(
    service: Service, live: Make
) -> None:
    service.script.append(reply({}, 302, location="http://127.0.0.1:9/elsewhere"))
    assert live().send(CREATE).status == 302
    assert len(service.requests) == 1


def test_invalid_utf8_is_preserved(service: Service, live: Make) -> None:
    service.script.append(Reply([b"\xff\xc3\xa9"]))
    assert live().send(CREATE).text.encode("utf-8", "surrogateescape") == b"\xff\xc3\xa9"


def test_a_shared_client_is_used_and_not_closed(service: Service, live: Make) -> None:
    with httpx.Client() as client:
        for _ in range(2):
            transport = live(client=client)
            assert transport.send(CREATE).status == 200
            transport.close()
        assert not client.is_closed
        assert "x-goog-api-key" not in client.headers


# --- retries ---


@pytest.mark.parametrize("status", [408, 409, 429, 500, 503, 599])
def test_temporary_errors_are_retried_four_times_with_growing_waits(
    service: Service, live: Make, time: Time, status: int
) -> None:
    service.answer = lambda received: reply({"error": {}}, status)
    assert live().send(CREATE).status == status
    assert len(service.requests) == 5
    assert time.slept == [0.5, 1.0, 2.0, 4.0]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_final_errors_are_responses(service: Service, live: Make, time: Time, status: int) -> None:
    service.answer = lambda received: reply({"error": {"code": "x"}}, status)
    response = live().send(CREATE)
    assert (response.status, response.json()) == (status, {"error": {"code": "x"}})
    assert (len(service.requests), time.slept) == (1, [])


def test_a_request_that_succeeds_at_a_retry(service: Service, live: Make, time: Time) -> None:
    service.script += [
        reply({}, 503),
        Reply(silent=True),
        Reply([b'{"id"'], cut=True),
        reply({"id": "v1_a"}),
    ]
    response = live().send(CREATE)
    assert response.json() == {"id": "v1_a"}
    assert time.slept == [0.5, 1.0, 2.0]
    assert len({received.body for received in service.requests}) == 1


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"retry_after": "3"}, 3.0),
        ({"retry_after": "0.25"}, 0.25),
        ({"retry_after": "0"}, 0.5),
        ({"retry_after": "-1"}, 0.5),
        ({"retry_after": "soon"}, 0.5),
        ({"retry_after": "inf"}, 0.5),
        ({"retry_after": "Fri, 15 Jan 2027 08:00:07 GMT"}, 7.0),
        ({"retry_after": "Fri, 15 Jan 2027 07:59:00 GMT"}, 0.5),
        ({"retry_after_ms": "1500", "retry_after": "9"}, 1.5),
        ({"retry_after_ms": "x", "retry_after": "9"}, 9.0),
        ({"retry_after": "60"}, 60.0),
    ],
)
def test_the_server_determines_the_wait_before_a_retry(
    service: Service, live: Make, time: Time, headers: dict[str, str], expected: float
) -> None:
    service.script.append(reply({}, 429, **headers))
    assert live().send(CREATE).status == 200
    assert time.slept == [pytest.approx(expected)]


def retry_info(delay: str) -> dict[str, Any]:
    kind = "type.googleapis.com/google.rpc.RetryInfo"
    return {"error": {"code": 429, "details": [{"@type": kind, "retryDelay": delay}]}}


@pytest.mark.parametrize(
    ("body", "headers", "waits"),
    [
        (retry_info("10s"), {}, [10.0]),
        (retry_info("1.5s"), {}, [1.5]),
        ([retry_info("60s")], {}, [60.0]),
        (retry_info("61s"), {}, []),
        (retry_info("0s"), {}, [0.5]),
        (retry_info("soon"), {}, [0.5]),
        (retry_info("10s"), {"retry_after": "2"}, [2.0]),
        (retry_info("10s"), {"retry_after": "soon"}, [10.0]),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_the_body_of_an_error_determines_the_wait_before_a_retry(
    service: Service,
    live: Make,
    time: Time,
    body: Any,
    headers: dict[str, str],
    waits: list[float],
    status: int,
) -> None:
    service.script.append(reply(body, status, **headers))
    assert live().send(STREAM).status == (200 if waits else status)
    assert time.slept == waits


def test_too_long_a_wait_makes_a_response_final(service: Service, live: Make, time: Time) -> None:
    service.script.append(reply({}, 429, retry_after="61"))
    assert live().send(CREATE).status == 429
    assert time.slept == []


def test_waits_have_jitter_and_a_maximum(service: Service, live: Make, time: Time) -> None:
    service.answer = lambda received: reply({}, 500)
    live(random=lambda: 1.0, retries=7).send(CREATE)
    assert time.slept == [0.375, 0.75, 1.5, 3.0, 6.0, 6.0, 6.0]


def test_retries_can_be_disabled(service: Service, live: Make, time: Time) -> None:
    service.answer = lambda received: reply({}, 500)
    assert live(retries=0).send(CREATE).status == 500
    assert len(service.requests) == 1


def test_no_wait_exceeds_the_time_limit(service: Service, live: Make, time: Time) -> None:
    service.answer = lambda received: reply({}, 500)
    assert live(timeout=1.2).send(CREATE).status == 500
    assert time.slept == [0.5]


def test_the_time_limit_of_a_scenario_includes_all_its_requests(
    service: Service, live: Make, time: Time
) -> None:
    transport = live(timeout=10)
    transport.send(CREATE)
    time.seconds += 9
    transport.send(CREATE)
    time.seconds += 2
    with pytest.raises(TimedOut, match="the 10 s for this scenario are used up"):
        transport.send(CREATE)
    assert len(service.requests) == 2


# --- network failures ---


def test_a_refused_connection(live: Make, time: Time) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    with pytest.raises(
        ConnectFailed, match=rf"^127\.0\.0\.1:{port}: cannot connect \(.*\), tried 5 times$"
    ):
        live(f"http://127.0.0.1:{port}").send(CREATE)
    assert len(time.slept) == 4


def test_a_plain_response_that_breaks_off_every_time(service: Service, live: Make) -> None:
    service.answer = lambda received: Reply([b'{"id"'], cut=True)
    with pytest.raises(Disconnected, match=r"the connection broke off .*, tried 5 times"):
        live().send(CREATE)


def test_a_response_that_does_not_arrive(service: Service, live: Make) -> None:
    gate = threading.Event()
    service.answer = lambda received: Reply(gate=gate)
    try:
        with pytest.raises(
            TimedOut, match=r"^127\.0\.0\.1:\d+: no response within the time limit \(timed out\)$"
        ):
            live(request_timeout=0.05).send(CREATE)
        assert len(service.requests) == 1
    finally:
        gate.set()


def test_a_slow_response_exceeds_the_time_limit(service: Service, live: Make) -> None:
    service.answer = lambda received: Reply([b" "] * 50)
    with pytest.raises(TimedOut, match="did not end within the time"):
        live(request_timeout=3.0, clock=Time(step=1.0).clock).send(CREATE)


def test_a_response_that_cannot_be_decompressed(service: Service, live: Make) -> None:
    service.answer = lambda received: Reply(
        [b"no gzip"], headers={"content-encoding": "gzip", "content-type": "application/json"}
    )
    with pytest.raises(Disconnected, match="cannot be decompressed"):
        live(retries=0).send(CREATE)


@pytest.mark.parametrize(
    ("foreign", "expected"),
    [
        (httpx.ConnectTimeout("x"), ConnectFailed),
        (httpx.PoolTimeout("x"), ConnectFailed),
        (httpx.ProxyError("x"), ConnectFailed),
        (httpx.ReadTimeout("x"), TimedOut),
        (httpx.WriteTimeout("x"), TimedOut),
        (httpx.RemoteProtocolError("x"), Disconnected),
        (httpx.LocalProtocolError("x"), Disconnected),
        (httpx.StreamClosed(), Disconnected),
        (httpx.InvalidURL("x"), UsageError),
        (httpx.UnsupportedProtocol("x"), UsageError),
        (httpx.TooManyRedirects("x"), TransportError),
    ],
)
def test_every_exception_of_httpx_is_mapped(foreign: Exception, expected: type[Exception]) -> None:
    error = to_evalkit_error(foreign, "h")
    assert type(error) is expected
    assert str(error).startswith("h: ")


# --- streams ---

EVENTS = [
    {"event_type": "interaction.created"},
    {"event_type": "step.delta", "delta": {"text": "é"}},
    {"event_type": "interaction.completed"},
]


def test_events_are_passed_on_as_they_arrive(service: Service, live: Make) -> None:
    gate = threading.Event()
    service.script.append(stream(*EVENTS, gate=gate, gate_at=2))
    received: list[str] = []

    def on_event(data: str) -> None:
        received.append(json.loads(data)["event_type"])
        if len(received) == 2:
            gate.set()  # the third event is sent only after the second was passed on

    response = live(on_event=on_event).send(STREAM)
    assert received == ["interaction.created", "step.delta", "interaction.completed"]
    assert response.is_stream
    assert response.text.endswith("event: done\ndata: [DONE]\n\n")
    assert len(response.event_ms) == 3
    assert service.requests[0].headers["accept"] == "text/event-stream"


def test_a_stream_sent_byte_by_byte_is_the_same(service: Service, live: Make) -> None:
    whole = b"".join(stream(*EVENTS).chunks)
    service.script.append(
        Reply(
            [whole[index : index + 1] for index in range(len(whole))],
            headers={"content-type": "text/event-stream"},
        )
    )
    response = live().send(STREAM)
    assert response.text == whole.decode()
    assert len(response.event_ms) == 3


def test_event_times_are_measured_from_the_request(service: Service, live: Make) -> None:
    service.script.append(stream(*EVENTS))
    ticking = Time(step=0.001)
    response = live(clock=ticking.clock).send(STREAM)
    assert list(response.event_ms) == sorted(response.event_ms)
    assert 0 < response.event_ms[0] < response.event_ms[-1] < (response.elapsed_ms or 0)


def test_a_broken_stream_has_what_arrived_and_is_not_retried(
    service: Service, live: Make, time: Time
) -> None:
    service.script.append(
        Reply(stream(*EVENTS).chunks[:2], headers={"content-type": "text/event-stream"}, cut=True)
    )
    response = live().send(STREAM)
    assert response.broken is not None
    assert response.broken.startswith("127.0.0.1:")
    assert "the connection broke off" in response.broken
    assert response.text == b"".join(stream(*EVENTS).chunks[:2]).decode()
    assert len(response.event_ms) == 2
    assert (len(service.requests), time.slept) == (1, [])


def test_a_stream_over_its_time_limit_is_broken(service: Service, live: Make) -> None:
    service.script.append(stream(*EVENTS * 20))
    response = live(clock=Time(step=1.0).clock, request_timeout=15.0).send(STREAM)
    assert response.broken is not None
    assert "did not end within the time" in response.broken
    assert response.event_ms


def test_an_error_instead_of_a_stream_is_retried(service: Service, live: Make, time: Time) -> None:
    service.script += [reply({}, 503), stream(*EVENTS)]
    assert live().send(STREAM).is_stream
    assert time.slept == [0.5]


def test_an_exception_of_on_event_is_not_hidden(service: Service, live: Make) -> None:
    service.script.append(stream(*EVENTS))

    def on_event(data: str) -> None:
        raise KeyError(data)

    with pytest.raises(KeyError):
        live(on_event=on_event).send(STREAM)


# --- invalid configuration, and secrets ---


@pytest.mark.parametrize(
    ("base_url", "message"),
    [
        ("", "the base URL is empty"),
        ("  ", "the base URL is empty"),
        ("localhost:8787", "no scheme"),
        ("//h", "no scheme"),
        ("ftp://h", "unknown scheme 'ftp'"),
        ("http://", "no host"),
        ("http://h h/", "no host"),
        ("http://h:port", "Port could not be cast"),
        ("http://h:99999", "Port out of range"),
        ("http://[::1", "Invalid IPv6"),
        ("http://h/?key=planted-secret-key", "must not contain a query or a fragment"),
        ("http://me:planted-secret-key@h/", "must not contain a user or a password"),
    ],
)
def test_an_invalid_base_url(base_url: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        LiveTransport(base_url, None)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    "key", ["planted secret", "planted\nsecret", "plant\u00e9d", "planted\x00"]
)
def test_an_invalid_key_is_reported_by_the_position_of_the_character(key: str) -> None:
    with pytest.raises(UsageError, match=r"character [678] of \d+ is not a printable") as caught:
        LiveTransport("http://h", key)
    assert "planted" not in str(caught.value)


def test_white_space_around_a_key_is_stripped() -> None:
    assert LiveTransport("http://h", " planted-secret-key\n").secrets == (KEY,)
    assert LiveTransport("http://h", " ").secrets == ()


def test_the_key_is_in_no_log_no_message_no_traceback(
    service: Service, live: Make, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    service.answer = lambda received: Reply([b"{"], cut=True)
    transport = live(retries=1)
    assert KEY not in repr(transport)
    with pytest.raises(Disconnected) as caught:
        transport.send(CREATE)
    assert caught.value.__cause__ is None
    frames = traceback.StackSummary.extract(
        traceback.walk_tb(caught.value.__traceback__), capture_locals=True
    )
    assert KEY not in "".join(frames.format())
    assert KEY not in str(caught.value)
    assert any(record.name.startswith("httpcore") for record in caplog.records)
    assert KEY not in caplog.text
