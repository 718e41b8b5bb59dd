"""Faults: what each kind does to replies, how plans are spelled, and which requests they strike."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.errors import ScriptError
from evalkit.protocol.error_bodies import read_error
from evalkit.protocol.sse import read_events, split_frames
from evalkit.protocol.stream_writer import events_of, sse_text
from evalkit.server import create_app, load_script, serving
from evalkit.server.calls import Call, Reply
from evalkit.server.fault_injection.kinds import KINDS, apply_fault
from evalkit.server.fault_injection.plans import (
    FaultInjector,
    FaultPlan,
    FaultPlanError,
    FaultSelector,
    NumberRange,
    parse_plan,
    plan_from_yaml,
)
from evalkit.server.fault_injection.stream_changes import split_live_frames
from evalkit.server.scripting.script import Script

STEPS = [
    {"type": "thought", "signature": "c2ln"},
    {"type": "model_output", "content": [{"type": "text", "text": "one two three"}]},
]
INTERACTION = {
    "id": "v1_a",
    "status": "completed",
    "steps": STEPS,
    "usage": {"total_output_tokens": 3, "total_thought_tokens": 1},
}
FRAMES = sse_text(events_of(INTERACTION))
INTERACTION_TEXT = json.dumps(INTERACTION)
HALF_BODY = INTERACTION_TEXT[: len(INTERACTION_TEXT) // 2].encode()
PLAIN = Reply(200, INTERACTION_TEXT)
STREAM = Reply(200, frames=FRAMES)
DELTAS = [index for index, frame in enumerate(FRAMES) if '"step.delta"' in frame]


def with_fault(text: str, reply: Reply) -> Reply:
    """Return a reply with a fault in the spelling of the command line."""
    faults = FaultSelector().for_call([parse_plan(text, "a")], Call("POST", "/v1/interactions"))
    return faults.apply(faults.replacement() or reply)


def sent(reply: Reply) -> list[str]:
    return list(reply.frames or ())


@pytest.mark.parametrize(
    ("spelled", "expected"),
    [
        (
            "error=503,retry_after=1",
            {"status": 503, "headers": {"retry-after": "1"}, "frames": None, "end": "whole"},
        ),
        (
            "error=429,code=quota_exceeded,message=No more",
            {"body": '{"error":{"code":"quota_exceeded","message":"No more"}}'},
        ),
        (
            "error=503,shape=gateway",
            {
                "body": '{"error":{"code":503,"message":"The service is overloaded.","status":"UNAVAILABLE","details":[]}}'
            },
        ),
        ("delay=2", {"status": 200, "delay": 2}),
        ("cut=0", {"status": 0, "end": "cut", "body": "", "frames": None}),
        ("reset", {"status": 0, "end": "reset", "body": "", "frames": None}),
    ],
)
@pytest.mark.parametrize("reply", [PLAIN, STREAM], ids=["plain", "streamed"])
def test_faults_with_the_same_effect_on_plain_and_streamed_replies(
    spelled: str, expected: dict[str, object], reply: Reply
) -> None:
    result = with_fault(spelled, reply)
    assert {name: getattr(result, name) for name in expected} == expected
    assert result.faults == (spelled.partition("=")[0],)


@pytest.mark.parametrize(
    ("spelled", "expected"),
    [
        ("first_token=1.5", {"delay": 1.5}),
        ("tokens_per_second=8", {"delay": 0.5}),
        (
            "cut=3",
            {
                "end": "cut",
                "headers": {"content-length": str(len(PLAIN.body))},
                "body": HALF_BODY,
            },
        ),
        (
            "reset=3",
            {"end": "reset", "status": 200, "body": HALF_BODY},
        ),
        (
            "malformed",
            {"end": "whole", "headers": {}, "body": HALF_BODY},
        ),
        ("error=500,after=3", {"status": 500}),
    ],
)
def test_faults_of_plain_replies(spelled: str, expected: dict[str, object]) -> None:
    result = with_fault(spelled, PLAIN)
    assert {name: getattr(result, name) for name in expected} == expected


@pytest.mark.parametrize(
    "spelled", ["event_delay=1", "truncate=2", "duplicate=2", "missing=2", "error_line=2"]
)
def test_faults_of_streams_do_not_change_plain_replies(spelled: str) -> None:
    assert with_fault(spelled, PLAIN) is PLAIN


@pytest.mark.parametrize("kind", [name for name in KINDS if name != "delay"])
def test_an_error_is_not_changed(kind: str) -> None:
    error_reply = Reply(404, "{}")
    plan = plan_from_yaml({kind: 1 if kind not in ("error", "cut", "reset") else {"after": 1}}, "a")
    assert FaultSelector().for_call([plan], Call("GET", "/x")).apply(error_reply) is error_reply


@pytest.mark.parametrize(
    ("spelled", "frames", "end"),
    [
        ("cut=3", FRAMES[:3], "cut"),
        ("reset=3", FRAMES[:3], "reset"),
        ("cut=1000", FRAMES, "cut"),
        ("truncate=5", FRAMES[:5], "whole"),
        ("duplicate=6", [*FRAMES[:6], *FRAMES[5:]], "whole"),
        ("missing=6", [*FRAMES[:5], *FRAMES[6:]], "whole"),
        (
            "error_line=5,status=429",
            [
                *FRAMES[:5],
                '{"error":{"code":"rate_limit_exceeded","message":"Too many requests."}}\n',
            ],
            "whole",
        ),
        (
            "error=504,after=2",
            [
                *FRAMES[:2],
                'event: error\ndata: {"event_type":"error","error":{"code":"deadline_exceeded","message":"The request took too long."}}\n\n',
            ],
            "whole",
        ),
    ],
)
def test_faults_of_streams(spelled: str, frames: list[str], end: str) -> None:
    result = with_fault(spelled, STREAM)
    assert (result.status, sent(result), result.end) == (200, frames, end)


def test_an_event_with_incomplete_json_is_still_an_event() -> None:
    result = with_fault("malformed=4", STREAM)
    events = read_events("".join(sent(result)))
    assert [number for number, _ in events.garbage] == [4]
    assert (len(events.events), events.done) == (len(FRAMES) - 2, True)


def test_a_bare_error_line_is_read_as_an_error() -> None:
    events = read_events("".join(sent(with_fault("error_line=5", STREAM)))).events
    assert events[-1] == {
        "event_type": "error",
        "error": {"code": "service_unavailable", "message": "The service is overloaded."},
    }


@pytest.mark.parametrize(
    ("spelled", "gaps"),
    [
        ("event_delay=0.5", [0.5] * len(FRAMES)),
        ("first_token=0.5", [0.5 if index == DELTAS[0] else 0 for index in range(len(FRAMES))]),
        ("tokens_per_second=4", [0.25 if index in DELTAS else 0 for index in range(len(FRAMES))]),
    ],
)
def test_delays_of_a_stream_become_gaps(spelled: str, gaps: list[float]) -> None:
    result = with_fault(spelled, Reply(200, frames=FRAMES, gaps=[1.0]))
    assert sent(result) == FRAMES
    assert list(result.gaps) == [gaps[0] + 1, *gaps[1:]]
    assert result.delay == 0


def test_several_faults_strike_one_reply_and_one_replaces_it() -> None:
    plans = [
        parse_plan(text, text) for text in ("delay=1", "cut=3", "duplicate=2", "event_delay=1")
    ]
    result = FaultSelector().for_call(plans, Call("POST", "/")).apply(STREAM)
    assert (result.delay, result.end, sent(result)) == (
        1,
        "cut",
        [FRAMES[0], FRAMES[1], FRAMES[1], FRAMES[2]],
    )
    assert result.faults == ("delay", "cut", "duplicate", "event_delay")
    faults = FaultSelector().for_call(
        [parse_plan("delay=1", "a"), parse_plan("error=503", "b"), parse_plan("reset", "c")],
        Call("POST", "/"),
    )
    replacement = faults.replacement()
    assert replacement is not None
    assert (faults.apply(replacement).status, faults.apply(replacement).delay) == (503, 1)


class Endless:
    """A back end that counts its calls, streams live, and notes when its stream is closed."""

    title = "endless"

    def __init__(self, pieces: list[bytes]) -> None:
        self.calls = 0
        self.closed = False
        self._pieces = pieces

    async def handle(self, call: Call) -> Reply:
        self.calls += 1
        return Reply(
            200, live=self, headers={"content-type": "text/event-stream", "content-length": "999"}
        )

    async def close(self) -> None:
        return None

    async def aclose(self) -> None:
        self.closed = True

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if not self._pieces:
            raise StopAsyncIteration
        return self._pieces.pop(0)


async def _read(backend: Endless, *spelled: str) -> tuple[str, Reply]:
    reply = await FaultInjector(backend, [parse_plan(text, text) for text in spelled]).handle(
        Call("POST", "/v1/interactions")
    )
    text = b"".join([part async for part in reply.live]) if reply.live is not None else b""
    if reply.live is not None:
        await reply.live.aclose()  # type: ignore[attr-defined]
    return text.decode(), reply


@pytest.mark.parametrize(
    "spelled",
    [
        "cut=3",
        "truncate=5",
        "duplicate=6",
        "missing=6",
        "error_line=5",
        "malformed=4",
        "error=504,after=2",
        "reset=1",
    ],
)
@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_a_live_stream_is_changed_like_a_complete_one(spelled: str, size: int) -> None:
    raw = (": a comment\n\n" + "".join(FRAMES)).encode()
    backend = Endless([raw[at : at + size] for at in range(0, len(raw), size)])
    text, reply = asyncio.run(_read(backend, spelled))
    whole = with_fault(spelled, STREAM)
    assert text.removeprefix(": a comment\n\n") == "".join(sent(whole))
    assert reply.end == whole.end
    assert backend.closed
    assert "content-length" not in reply.headers


def test_an_event_of_a_live_stream_is_sent_before_the_next_arrives() -> None:
    async def first() -> bytes:
        backend = Endless([FRAMES[0].encode(), b"event: half"])
        reply = await FaultInjector(backend, [parse_plan("cut=3", "a")]).handle(Call("POST", "/"))
        assert reply.live is not None
        part = await anext(aiter(reply.live))
        assert backend._pieces == [b"event: half"]
        return part

    assert asyncio.run(first()) == FRAMES[0].encode()


@pytest.mark.parametrize("spelled", ["error=503", "reset", "cut=0"])
def test_a_replaced_reply_does_not_call_the_back_end(spelled: str) -> None:
    backend = Endless([])
    asyncio.run(_read(backend, spelled))
    assert backend.calls == 0


def test_a_replaced_live_reply_is_closed() -> None:
    backend = Endless([FRAMES[0].encode()])
    _, reply = asyncio.run(_read(backend, "cut=0..0"))
    assert (reply.status, backend.calls, backend.closed) == (0, 1, True)


@given(
    st.lists(st.sampled_from([*FRAMES, ": c\n\n", "data: a\r\n\r\n", "x\r\ry\n\n", "data: end"])),
    st.integers(1, 9),
)
def test_split_frames_are_the_original_bytes(frames: list[str], size: int) -> None:
    raw = "".join(frames).encode()
    pieces = [raw[at : at + size] for at in range(0, len(raw), size)]
    assert b"".join(split(pieces)) == raw
    if "\r" not in raw.decode():
        assert split([raw]) == [frame.encode() for frame in split_frames(raw.decode())]


def split(pieces: list[bytes]) -> list[bytes]:
    async def collect() -> list[bytes]:
        return [frame async for frame in split_live_frames(Endless(pieces))]

    return asyncio.run(collect())


# --- which requests they strike


def call(number: int) -> Call:
    return Call("POST", "/v1/interactions", body=b'{"input": %d}' % number)


@given(st.integers(), st.floats(0, 1), st.lists(st.integers(0, 5), max_size=20), st.randoms())
def test_the_same_requests_get_the_same_faults_in_any_order(
    seed: int, chance: float, numbers: list[int], order: Any
) -> None:
    plan = FaultPlan(
        kind="delay",
        values={"seconds": NumberRange(1.0, 2.0)},
        origin="a",
        probability=chance,
    )

    def delays(numbers: list[int]) -> dict[int, list[float]]:
        selector, result = FaultSelector(seed), dict[int, list[float]]()
        for number in numbers:
            result.setdefault(number, []).append(
                selector.for_call([plan], call(number)).apply(PLAIN).delay
            )
        return result

    shuffled = list(numbers)
    order.shuffle(shuffled)
    assert delays(numbers) == delays(numbers) == delays(shuffled)


def test_faults_have_their_probability_and_depend_on_the_seed() -> None:
    plan = parse_plan("delay=1@0.25", "a")

    def hits(seed: int) -> list[int]:
        selector = FaultSelector(seed)
        return [
            number
            for number in range(2_000)
            if selector.for_call([plan], call(number)).apply(PLAIN).delay
        ]

    assert 400 < len(hits(1)) < 600
    assert hits(1) == hits(1) != hits(2)


def test_a_repeated_request_draws_again_and_a_key_in_the_query_does_not_matter() -> None:
    plan = parse_plan("delay=1@0.5", "a")
    selector = FaultSelector(3)
    again = [selector.for_call([plan], call(1)).apply(PLAIN).delay for _ in range(50)]
    assert set(again) == {0, 1}
    other = FaultSelector(3)
    keyed = Call("POST", "/v1/interactions", query={"key": "secret"}, body=call(1).body)
    assert [other.for_call([plan], keyed).apply(PLAIN).delay for _ in range(50)] == again


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("@every=3", [3, 6, 9]),
        ("@first=2", [1, 2]),
        ("@times=1", [1]),
        ("@every=2,times=2", [2, 4]),
        ("@every=2,first=5", [2, 4]),
        ("@0", []),
        ("@100%", [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
    ],
)
def test_faults_by_number(when: str, expected: list[int]) -> None:
    selector, plan = FaultSelector(), parse_plan(f"duplicate=1{when}", "a")
    result = []
    for number in range(1, 11):
        selector.for_call([plan], call(number)).apply(
            PLAIN
        )  # this fault does not apply to a plain reply
        if selector.for_call([plan], call(number)).apply(STREAM).faults:
            result.append(number)
    assert result == expected


# --- spelling


@pytest.mark.parametrize(
    ("text", "data"),
    [
        (
            "error=503,retry_after=1@0.1",
            {"error": {"status": 503, "retry_after": 1}, "probability": 0.1},
        ),
        ("cut=3@every=5", {"cut": 3, "every": 5}),
        ("cut=3@every=5", "cut=3@every=5"),
        ("reset", {"reset": None}),
        ("delay=0.1..0.5@10%", {"delay": "0.1..0.5", "probability": "10%"}),
        (
            "error_line=2,status=429@first=1,times=1",
            {"error_line": {"after": 2, "status": 429}, "first": 1, "times": 1},
        ),
    ],
)
def test_two_spellings_of_one_plan(text: str, data: object) -> None:
    assert parse_plan(text, "a") == plan_from_yaml(data, "a")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("eror=503", "unknown fault 'eror' (did you mean 'error'?); valid: error, delay, "),
        ("eror=503", "Example: error=503,retry_after=1@0.1"),
        ("cut=x", 'cut: after must be a whole number not below 0, got "x". Example: cut=3'),
        ("cut=1.5", "cut: after must be a whole number"),
        (
            "cut=3,aftr=2",
            "cut does not have the field 'aftr' (did you mean 'after'?); valid: after. Example: cut=3",
        ),
        ("cut=3,2", "'2' is not FIELD=VALUE"),
        (
            "error=200",
            "error: status must be a whole number from 400 to 599, got 200. Example: error=503,retry_after=1",
        ),
        (
            "error,shape=gatway",
            "error: shape must be one of api, gateway, html, got 'gatway' (did you mean 'gateway'?)",
        ),
        ("delay", "delay needs seconds. Example: delay=2"),
        ("delay=5..1", "delay: seconds must be a range from low to high, got 5..1"),
        ("delay=nan", 'delay: seconds must be a number not below 0, got "nan"'),
        (
            "cut=3@evry=2",
            "unknown condition 'evry' (did you mean 'every'?); valid: probability, every, first, times",
        ),
        ("cut=3@2", "probability must be a number from 0 to 1, got 2. Example: cut=3@0.1"),
        (
            "cut=3@every=0",
            "every must be a whole number not below 1, got 0. Example: cut=3@every=5",
        ),
        ("cut=3@every=1..2", "every must be one number"),
        ("tokens_per_second=0", "tokens_per_second: rate must be a number not below 0.001, got 0"),
    ],
)
def test_an_invalid_plan_is_explained_with_an_example(text: str, message: str) -> None:
    with pytest.raises(FaultPlanError) as caught:
        parse_plan(text, "a")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@given(
    st.text(max_size=30)
    | st.from_regex(r"[a-z_]{3,12}(=[0-9.]{0,4})?(@[a-z]*=?[0-9.%]*)?", fullmatch=True)
)
def test_any_text_is_a_plan_or_an_error(text: str) -> None:
    try:
        plan = parse_plan(text, "a")
    except FaultPlanError:
        return
    assert plan.kind in KINDS


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.sampled_from([*KINDS, "every", "x"]), inner)
        ),
    )
)
def test_any_mapping_is_a_plan_or_an_error(data: object) -> None:
    try:
        plan = plan_from_yaml(data, "a")
    except FaultPlanError:
        return
    assert plan.kind in KINDS


def test_every_kind_has_a_valid_example_and_is_documented() -> None:
    docs = (Path(__file__).parents[2] / "docs" / "serve.md").read_text(encoding="utf-8")
    for name, kind in KINDS.items():
        plan = parse_plan(kind.example, "a")
        assert plan.kind == name
        assert f"\n| `{name}" in docs
        for field in list(kind.fields)[1:]:
            assert f"`{field}`" in docs or f"`{field}=" in docs
        assert isinstance(apply_fault(name, plan.values, STREAM), Reply)


# --- in scripts


@pytest.mark.parametrize(
    ("faults", "where", "message"),
    [
        ("{eror: 503}", "3:13", "unknown fault 'eror' (did you mean 'error'?)"),
        (
            "[{cut: 3, evry: 2}]",
            "3:22",
            "only one fault at a time; unknown condition 'evry' (did you mean 'every'?)",
        ),
        (
            "[{error: {stats: 3}}]",
            "3:",
            "error does not have the field 'stats' (did you mean 'status'?)",
        ),
        ("['cut=x']", "3:13", "cut: after must be a whole number"),
        ("[3]", "3:13", "must be a mapping like {cut: 3, every: 5}, got 3"),
    ],
)
def test_an_invalid_fault_in_a_script_is_located(faults: str, where: str, message: str) -> None:
    with pytest.raises(ScriptError) as caught:
        Script.load(f"script: t\nrules: []\nfaults:    {faults}\n", "t.yaml")
    assert f"t.yaml:{where}" in str(caught.value)
    assert message in str(caught.value)


def test_faults_of_a_rule_strike_its_replies_only_and_an_error_stores_nothing(
    scripted: Any,
) -> None:
    client = scripted(
        "  - {when: {text: x}, reply: a b, faults: [{error: 503, first: 1}, {truncate: 3, every: 2}]}\n"
    )
    assert client.create("x")["error"]["code"] == "service_unavailable"
    assert client.last.faults == ("error",)
    first = client.create("x")
    assert first["status"] == "completed"
    client.create("x", stream=True)
    assert client.last.faults == ()
    assert len(client.create("x", stream=True)) == 3
    assert len(client.create("y", stream=True)) > 3


@pytest.mark.parametrize(
    ("fault", "header", "delay"),
    [
        ("error=429,retry_after=3", "3", "3s"),
        ("error=429,retry_delay=2.5", None, "2.5s"),
        ("error=429,retry_after=3,retry_delay=10", "3", "10s"),
        ("error=429,retry_delay=10,shape=gateway", None, "10s"),
        ("error=503,retry_delay=1", None, "1s"),
        ("error=503,retry_after=3", "3", None),
        ("error=429", None, None),
    ],
)
def test_the_delay_before_a_retry_is_in_the_body(
    fault: str, header: str | None, delay: str | None
) -> None:
    app = create_app(load_script(), faults=[parse_plan(fault, "1")])
    body = {"model": "gemini-3.5-flash", "input": "Hello"}
    with serving(app) as url:
        response = httpx.post(f"{url}/v1/interactions", json=body, headers={"x-goog-api-key": "k"})
    assert response.headers.get("retry-after") == header
    details = response.json()["error"].get("details", [])
    expected = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}
    assert details == ([expected] if delay else [])
    assert read_error(response.status_code, response.text).retry_delay == (
        float(delay.removesuffix("s")) if delay else None
    )


def test_a_rule_may_say_the_delay_before_a_retry(scripted: Any) -> None:
    client = scripted("  - error: {status: 429, retry_delay: 7}")
    assert client.create("x")["error"]["details"][0]["retryDelay"] == "7s"
