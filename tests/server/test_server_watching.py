"""What a server tells those who watch it: health, metrics, HEAD and OPTIONS."""

from __future__ import annotations

from collections import Counter

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from evalkit._lib.version import VERSION
from evalkit.server import Script, create_app, serving
from evalkit.server.calls import Call, Reply
from evalkit.server.faulting.plans import parse_plan
from evalkit.server.metrics import Metrics, route_of

KEY = {"x-goog-api-key": "any"}
HELLO = {"model": "gemini-3.5-flash", "input": "Hello"}
SCRIPT = "script: watched\nrules: [{reply: one two three}]"


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_health_needs_no_key(url: str) -> None:
    response = httpx.get(f"{url}/healthz")
    told = response.json()
    assert (response.status_code, response.headers["content-type"]) == (
        200,
        "application/json; charset=utf-8",
    )
    assert {name: told[name] for name in ("status", "serves", "version")} == {
        "status": "ok",
        "serves": "the script 'guide'",
        "version": VERSION,
    }
    assert (
        0 <= told["uptime_seconds"] < httpx.get(f"{url}/healthz").json()["uptime_seconds"] + 0.001
    )


def test_metrics_count_what_happened() -> None:
    faults = [
        parse_plan("error=503@first=1", "a"),
        parse_plan("reset@first=1", "b"),
        parse_plan("delay=0.001", "c"),
    ]
    with serving(create_app(Script.load(SCRIPT, "t.yaml"), faults=faults)) as url:
        httpx.post(f"{url}/v1/interactions?key=hidden", json=HELLO)
        with pytest.raises(httpx.ReadError):
            httpx.post(f"{url}/v1beta/interactions", json=HELLO, headers=KEY)
        made = httpx.post(f"{url}/v1beta/interactions", json=HELLO, headers=KEY).json()
        streamed = httpx.post(
            f"{url}/interactions", json={**HELLO, "stream": True}, headers=KEY
        ).text
        httpx.get(f"{url}/v1/interactions/{made['id']}", headers=KEY)
        httpx.get(f"{url}/v1/secret/path", headers=KEY)
        httpx.get(f"{url}/healthz")
        response = httpx.get(f"{url}/metrics")
    found = samples(response.text)

    def total(route: str, method: str, status: str) -> float:
        return found[
            "evalkit_requests_total", (("method", method), ("route", route), ("status", status))
        ]

    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert total("/interactions", "POST", "200") == 2
    assert total("/interactions", "POST", "503") == 1
    assert total("/interactions", "POST", "none") == 1
    assert total("/interactions/{id}", "GET", "200") == 1
    assert total("other", "GET", "404") == 1
    assert sum(value for (name, _), value in found.items() if name == "evalkit_requests_total") == 6
    assert found["evalkit_requests_in_flight", ()] == 0
    assert found["evalkit_streams_open", ()] == 0
    assert found["evalkit_stream_events_total", ()] == streamed.count("\ndata: ")
    assert found["evalkit_faults_injected_total", (("kind", "error"),)] == 1
    assert found["evalkit_faults_injected_total", (("kind", "reset"),)] == 1
    assert found["evalkit_faults_injected_total", (("kind", "delay"),)] == 6
    labels = (("route", "/interactions"), ("stream", "true"))
    assert found["evalkit_time_to_first_byte_seconds_count", labels] == 1
    assert (
        0
        < found["evalkit_time_to_first_byte_seconds_sum", labels]
        <= found["evalkit_request_duration_seconds_sum", labels]
    )
    assert made["id"] not in response.text
    assert "hidden" not in response.text
    assert "secret" not in response.text


def test_an_open_stream_is_seen() -> None:
    slow = create_app(Script.load(SCRIPT, "t.yaml"), faults=[parse_plan("event_delay=30", "a")])
    with (
        serving(slow) as url,
        httpx.stream(
            "POST", f"{url}/v1/interactions", json={**HELLO, "stream": True}, headers=KEY
        ) as response,
    ):
        assert response.status_code == 200
        found = samples(httpx.get(f"{url}/metrics").text)
    assert (found["evalkit_streams_open", ()], found["evalkit_requests_in_flight", ()]) == (1, 1)


def test_what_a_back_end_counts_is_shown_through_faults_too() -> None:
    class Counting:
        title = "counting"

        def __init__(self) -> None:
            self.counts = Counter({"upstream_errors": 2, "not a name": 3, "Bad": 1})

        async def answer(self, call: Call) -> Reply:
            return Reply(200, "{}")

        async def close(self) -> None:
            return None

    for faults in ([], [parse_plan("delay=0", "a")]):
        with serving(create_app(Counting(), faults=faults)) as url:
            text = httpx.get(f"{url}/metrics").text
        assert samples(text)["evalkit_upstream_errors_total", ()] == 2
        assert "not a name" not in text
        assert "Bad" not in text


@pytest.mark.parametrize("path", ["/healthz", "/metrics"])
def test_the_watching_paths_are_read_only(url: str, path: str) -> None:
    head = httpx.head(url + path)
    assert (head.status_code, head.content) == (200, b"")
    refused = httpx.post(url + path)
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")
    assert refused.json()["error"]["code"] == "method_not_allowed"
    assert httpx.options(url + path).status_code == 204


def test_head_is_get_without_its_body(url: str) -> None:
    made = httpx.post(f"{url}/v1/interactions", json=HELLO, headers=KEY).json()
    got = httpx.get(f"{url}/v1/interactions/{made['id']}", headers=KEY)
    head = httpx.head(f"{url}/v1/interactions/{made['id']}", headers=KEY)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(got.content))
    assert httpx.head(f"{url}/v1/interactions/none", headers=KEY).status_code == 404


@pytest.mark.parametrize(
    ("path", "status", "allow"),
    [
        ("/v1/interactions", 204, "POST, OPTIONS"),
        ("/v1/interactions/x", 204, "GET, DELETE, OPTIONS"),
        ("/nothing", 404, None),
    ],
)
def test_options_says_what_is_allowed(url: str, path: str, status: int, allow: str | None) -> None:
    response = httpx.options(url + path)
    assert (response.status_code, response.headers.get("allow")) == (status, allow)


@pytest.mark.parametrize("method", ["TRACE", "BREW"])
def test_any_other_method_is_refused_in_the_api_s_shape(url: str, method: str) -> None:
    response = httpx.request(method, f"{url}/v1/interactions", headers=KEY)
    assert (response.status_code, response.json()["error"]["code"]) == (405, "method_not_allowed")


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/v1/interactions", "/interactions"),
        ("/v1beta/interactions/", "/interactions"),
        ("/interactions", "/interactions"),
        ("/prefix/v1/interactions/v1_abc", "/interactions/{id}"),
        ("/v1/interactions/v1_abc/cancel", "/interactions/{id}/cancel"),
        ("/v1/environments/e/files/a/b.txt", "/environments/{id}/files/{path}"),
        ("/v1/webhooks/w:ping", "/webhooks/{id}:ping"),
        ("/v1/webhooks/w:evil", "/webhooks/{id}"),
        ("/v1/interactions/x/secret", "other"),
        ("/", "other"),
        ("", "other"),
        ("/v1/keys/AIza", "other"),
    ],
)
def test_a_route_is_a_template(path: str, route: str) -> None:
    assert route_of(path) == route


@given(
    st.lists(
        st.sampled_from(["v1", "interactions", "agents", "files", "cancel", "a:ping", "x", "", "é"])
        | st.text(max_size=8),
        max_size=8,
    )
)
def test_routes_are_few(parts: list[str]) -> None:
    words = {
        "",
        "other",
        "interactions",
        "agents",
        "environments",
        "webhooks",
        "triggers",
        "{id}",
        "{id}:ping",
        "{path}",
    }
    assert set(route_of("/" + "/".join(parts)).split("/")) <= words | {
        "{id}:rotateSigningSecret",
        "cancel",
        "files",
        "executions",
    }


def test_methods_and_names_of_clients_are_no_labels() -> None:
    metrics = Metrics()
    metrics.begun()
    metrics.ended("/x/secret", "SECRET", 404, stream=False, duration=0.1, first_byte=None)
    text = metrics.text().decode()
    assert 'evalkit_requests_total{method="other",route="other",status="404"} 1.0' in text
    assert "secret" not in text.lower()
