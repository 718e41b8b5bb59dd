"""Requests match by method, path, query and body; in recorded order; each recording once."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit._lib.json import equal
from evalkit.cassette.matching import Player, normalize_route, route_of
from evalkit.cassette.recording import Recording
from evalkit.cassette.redaction import Redactor
from tests.cassette.samples import FIRST, HOST, JSONS, PATH, SECOND, THIRD, conversation, recording


def take(
    player: Player,
    body: Any,
    method: str = "POST",
    path: str = PATH,
    query: tuple[tuple[str, str], ...] = (),
) -> int | None:
    return player.take(method, path, query, body)


def test_recordings_are_played_in_recorded_order() -> None:
    player = Player(conversation())
    assert [take(player, body) for body in (FIRST, SECOND, THIRD)] == [0, 1, 2]
    assert player.unplayed() == []
    assert take(player, FIRST) is None


def test_recordings_are_played_in_any_order() -> None:
    player = Player([*conversation(), recording(FIRST), recording(SECOND)])
    assert [take(player, body) for body in (THIRD, FIRST, FIRST, SECOND, SECOND, SECOND)] == [
        2,
        0,
        3,
        1,
        4,
        None,
    ]


def test_identical_requests_are_answered_in_recorded_order() -> None:
    player = Player([recording(FIRST), recording(SECOND), recording(FIRST)])
    assert [take(player, body) for body in (SECOND, FIRST, FIRST, FIRST)] == [1, 0, 2, None]


def test_unplayed_recordings_are_listed() -> None:
    player = Player(conversation())
    take(player, SECOND)
    assert player.unplayed() == [0, 2]


@pytest.mark.parametrize(
    ("recorded", "sent", "same"),
    [
        ('{"a": 1, "b": 2}', {"b": 2, "a": 1}, True),
        ('{"a": 1.0, "b": 1e2}', {"a": 1, "b": 100}, True),
        ('{"a": "\\u00e9"}', {"a": "é"}, True),
        ('{"a": 1}', {"a": True}, False),
        ('{"a": 0}', {"a": False}, False),
        ('{"a": null}', {}, False),
        ('{"a": "1"}', {"a": 1}, False),
        ('{"a": [1, 2]}', {"a": [2, 1]}, False),
        # A repeated key has no one value.
        ('{"a": 1, "a": 2}', {"a": 2}, False),
        ('{"a": 12345678901234567890}', {"a": 12345678901234567891}, False),
        ("", None, True),
        (None, None, True),
        ("{}", None, False),
        ("null", None, True),
        ("a=1&b=2", "a=1&b=2", True),
        (b"\xff", None, False),
    ],
)
def test_bodies_are_compared_as_json_values(
    recorded: str | bytes | None, sent: Any, same: bool
) -> None:
    for place in (0, 1):  # once as the next in turn, once result by the index
        player = Player(
            [recording({"other": 1})] * place + [Recording("POST", HOST + PATH, recorded)]
        )
        assert (take(player, sent) == place) is same


@pytest.mark.parametrize(
    ("uri", "path", "query", "same"),
    [
        ("http://127.0.0.1:8787/v1beta/interactions", PATH, (), True),
        ("https://gateway/llm/v2/v1beta/interactions", PATH, (), True),
        (PATH, PATH, (), True),
        ("https://h/v1/interactions", PATH, (), True),
        ("https://h/v1alpha/interactions", "/v1/interactions", (), True),
        ("https://h/interactions", PATH, (), True),
        ("https://h/v1beta/interactions/v1_a", "/v1/interactions/v1_a", (), True),
        ("https://h/v1beta/agents", "/v1/agents", (), True),
        ("https://h/v1beta/environments/e/files/a", "/v1/environments/e/files/a", (), True),
        (
            "https://h/upload/v1/environments/e/files/a",
            "/upload/v1beta/environments/e/files/a",
            (),
            True,
        ),
        ("https://h/v1/webhooks/w:ping", "/v1beta/webhooks/w:ping", (), True),
        ("https://h/v1beta/models/m:generateContent", "/v1/models/m:generateContent", (), True),
        (
            "https://h/v1beta1/projects/p/locations/l/interactions",
            "/v1/projects/p/locations/l/interactions",
            (),
            True,
        ),
        ("https://h/v1beta1/projects/p/locations/l/interactions", PATH, (), False),
        ("https://other/v1/users", "/v2/users", (), False),
        ("https://other/v1/interactionsx", "/v2/interactionsx", (), False),
        ("https://h/interactions", "/interactions", (), True),
        ("https://h/v1beta/interactions/v1_a", "/v1beta/interactions/v1_b", (), False),
        ("https://h/v1beta/interactions?key=abc", PATH, (), True),
        (
            "https://h/v1beta/interactions?key=abc&stream=true",
            PATH,
            (("stream", "true"), ("key", "REDACTED")),
            True,
        ),
        ("https://h/v1beta/interactions?b=2&a=1", PATH, (("a", "1"), ("b", "2")), True),
        ("https://h/v1beta/interactions?a=%3A", PATH, (("a", ":"),), True),
        ("https://h/v1beta/interactions?a=", PATH, (("a", ""),), True),
        ("https://h/v1beta/interactions?a=1", PATH, (), False),
        ("https://h", "/", (), True),
    ],
)
def test_host_key_and_gateway_prefix_do_not_count(
    uri: str, path: str, query: tuple[tuple[str, str], ...], same: bool
) -> None:
    assert (route_of(uri) == normalize_route(path, query)) is same


def test_the_method_counts() -> None:
    player = Player([recording(None, method="GET", path=f"{PATH}/v1_a")])
    assert take(player, None, method="DELETE", path=f"{PATH}/v1_a") is None
    assert take(player, None, method="GET", path=f"{PATH}/v1_a") == 0


def test_a_redacted_recording_matches_the_request_with_the_secret() -> None:
    secret = "planted-secret-key"
    redactor = Redactor([secret], [r"\d{3}-\d{4}"])
    clean, _ = redactor.recording(
        recording({"text": f"é {secret} 555-1234"}, path=f"{PATH}/{secret}")
    )
    sent = {"text": f"é {secret} 555-9999"}
    assert take(Player([clean], redactor), sent, path=f"{PATH}/{secret}") == 0
    assert (
        take(Player([clean], redactor), {"text": "é REDACTED REDACTED"}, path=f"{PATH}/REDACTED")
        == 0
    )
    assert take(Player([clean]), sent, path=f"{PATH}/{secret}") is None


def test_a_played_request_is_still_known() -> None:
    player = Player([recording(FIRST), recording(SECOND)])
    take(player, FIRST)
    assert player.knows("POST", PATH, (), FIRST)
    assert not player.knows("POST", PATH, (), THIRD)


@pytest.mark.parametrize("depth", [300, 600, 900])
def test_a_deeply_nested_body_is_matched(depth: int) -> None:
    body = json.loads("[" * depth + "]" * depth)
    result = [
        Recording("POST", HOST + PATH, f"{'[' * depth}{inner}{']' * depth}") for inner in ("1", "")
    ]
    redactor = Redactor(["planted-secret-key"])
    assert take(Player(result), body) == 1
    assert take(Player(result, redactor), body) == 1


@given(st.lists(JSONS.filter(lambda value: value is not None), max_size=6), st.data())
def test_matching_is_json_equality_each_recording_once(
    bodies: list[Any], data: st.DataObject
) -> None:
    player = Player([recording(body) for body in bodies])
    left = list(range(len(bodies)))
    for _ in range(len(bodies) + 1):
        body = (
            data.draw(st.sampled_from(bodies) | JSONS.filter(lambda value: value is not None))
            if bodies
            else 1
        )
        expected = next(
            (number for number in left if equal(json.loads(json.dumps(bodies[number])), body)), None
        )
        assert take(player, body) == expected
        if expected is not None:
            left.remove(expected)
    assert player.unplayed() == left


@pytest.mark.parametrize(
    "order", [list, lambda numbers: list(reversed(numbers))], ids=["in order", "reversed"]
)
def test_matching_takes_linear_time(monkeypatch: pytest.MonkeyPatch, order: Any) -> None:
    parsed = 0

    def counting(text: str) -> Any:
        nonlocal parsed
        parsed += 1
        return json.loads(text)

    monkeypatch.setattr("evalkit.cassette.matching.loads", counting)
    work = []
    for size in (100, 200):
        player = Player([recording({"n": number}) for number in range(size)])
        parsed = 0
        assert all(take(player, {"n": number}) is not None for number in order(range(size)))
        work.append(parsed)
    assert work[1] <= 2 * work[0]
    assert work[0] <= 300
