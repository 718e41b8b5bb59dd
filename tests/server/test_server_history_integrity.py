"""Violations of the protocol, by their exact messages; each request goes to a new server."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from evalkit._lib.json import dumps
from evalkit.protocol.step_reader import output_text
from evalkit.server import load_script
from evalkit.server.api.service import Service
from evalkit.server.calls import Call
from evalkit.server.history_seals import DEFAULT_KEY
from tests.weather import WEATHER

Steps = list[dict[str, Any]]
Alter = Callable[[Steps], Steps]
TOOLS = [WEATHER]
EXACTLY = " Send every step of a history exactly as it was received."
MODEL = "gemini-3.5-flash"
AGENT = "antigravity-preview-05-2026"


def fresh(
    body: dict[str, Any],
    *,
    key: bytes = DEFAULT_KEY,
    lenient: bool = False,
    strict: bool = False,
    warn: Callable[[str], object] = print,
) -> Any:
    """Return the answer of a server that was started for this request."""
    service = Service(load_script(), key=key, lenient=lenient, strict=strict, warn=warn)
    reply = service.handle(
        Call(
            "POST",
            "/v1beta/interactions",
            headers={"x-goog-api-key": "k"},
            body=dumps(body).encode(),
        )
    )
    return {"http": reply.status, **json.loads(reply.body)}


def ask(history: Steps, **options: Any) -> Any:
    return fresh({"model": MODEL, "store": False, "tools": TOOLS, "input": history}, **options)


def user(text: str) -> dict[str, Any]:
    return {"type": "user_input", "content": [{"type": "text", "text": text}]}


def result(call: dict[str, Any], degrees: int = 20) -> dict[str, Any]:
    value = {"location": call["arguments"]["location"], "temperature": degrees}
    return {"type": "function_result", "call_id": call["id"], "name": call["name"], "result": value}


@pytest.fixture(scope="module")
def history() -> Steps:
    """A question, two parallel calls, their results, the answer, another question.

    Every answer is by another server.

    Indexes: 0 user_input, 1 thought, 2 and 3 function_call, 4 and 5 function_result, 6 thought,
    7 model_output, 8 user_input.
    """
    steps: Steps = [user("What are the temperatures in London and Paris?")]
    steps += ask(steps)["steps"]
    steps += [result(steps[2]), result(steps[3])]
    steps += ask(steps)["steps"]
    return [*steps, user("Thank you.")]


def put(index: int, **fields: Any) -> Alter:
    return lambda steps: [
        {**step, **fields} if number == index else step for number, step in enumerate(steps)
    ]


def drop(*indexes: int) -> Alter:
    return lambda steps: [step for index, step in enumerate(steps) if index not in indexes]


def without(index: int, field: str) -> Alter:
    return lambda steps: [
        {name: value for name, value in step.items() if number != index or name != field}
        for number, step in enumerate(steps)
    ]


def order(*indexes: int) -> Alter:
    return lambda steps: [steps[index] for index in indexes]


def insert(index: int, step: dict[str, Any]) -> Alter:
    return lambda steps: [*steps[:index], step, *steps[index:]]


def again(index: int, source: int) -> Alter:
    return lambda steps: [*steps[:index], steps[source], *steps[index:]]


def signed_elsewhere(steps: Steps) -> Steps:
    other = fresh(
        {"model": MODEL, "store": False, "input": [user("Hello")]}, key=b"another server"
    )["steps"]
    return [*steps[:6], {**steps[6], "signature": other[0]["signature"]}, *steps[7:]]


def borrowed(steps: Steps) -> Steps:
    return [*steps[:6], {**steps[6], "signature": steps[1]["signature"]}, *steps[7:]]


SAID = {"type": "model_output", "content": [{"type": "text", "text": "mine"}]}
INVENTED = {
    "type": "function_call",
    "id": "mine",
    "name": "get_current_temperature",
    "arguments": {"location": "Rome"},
}
FOR_INVENTED = {"type": "function_result", "call_id": "mine", "result": "1"}
ANOTHER = "was signed for another history: a step before it was altered, removed, added or moved."

ATTACKS: list[tuple[str, Alter, str]] = [
    (
        "answer altered",
        put(7, content=[{"type": "text", "text": "no"}]),
        "input[7]: this model_output is not as this server sent it.",
    ),
    (
        "field added to an answer",
        put(7, x=1),
        "input[7]: this model_output is not as this server sent it.",
    ),
    (
        "arguments altered",
        put(2, arguments={"location": "Rome"}),
        "input[2]: this function_call is not as this server sent it.",
    ),
    (
        "name altered",
        put(2, name="other"),
        "input[2]: this function_call is not as this server sent it.",
    ),
    (
        "thought altered",
        put(6, summary=[{"type": "text", "text": "x"}]),
        "input[6]: this thought is not as this server sent it.",
    ),
    (
        "question altered",
        put(0, content=[{"type": "text", "text": "x"}]),
        f"input[1]: this thought {ANOTHER}",
    ),
    ("result altered", put(4, result="x"), f"input[6]: this thought {ANOTHER}"),
    ("question dropped", drop(0), f"input[0]: this thought {ANOTHER}"),
    ("beginning dropped", drop(0, 1, 2, 3, 4, 5), f"input[0]: this thought {ANOTHER}"),
    ("answer dropped", drop(7), "input[6]: this thought was followed by a step that is missing."),
    (
        "call and result dropped",
        drop(2, 4),
        "input[2]: this function_call was sent by this server after a step that is missing.",
    ),
    (
        "last call and result dropped",
        drop(3, 5),
        "input[2]: this function_call was followed by a step that is missing.",
    ),
    (
        "thought dropped",
        drop(1),
        "input[1]: this function_call does not follow its signed thought.",
    ),
    (
        "thought behind results dropped",
        drop(6),
        "input[6]: this model_output was not sent by this server.",
    ),
    (
        "calls exchanged",
        order(0, 1, 3, 2, 4, 5, 6, 7, 8),
        "input[2]: this function_call is out of order.",
    ),
    ("results exchanged", order(0, 1, 2, 3, 5, 4, 6, 7, 8), f"input[6]: this thought {ANOTHER}"),
    (
        "thought behind its calls",
        order(0, 2, 3, 1, 4, 5, 6, 7, 8),
        "input[1]: this function_call does not follow its signed thought.",
    ),
    (
        "answer before its thought",
        order(0, 1, 2, 3, 4, 5, 7, 6, 8),
        "input[6]: this model_output was not sent by this server.",
    ),
    ("question put later", order(1, 2, 3, 4, 5, 6, 7, 0, 8), f"input[0]: this thought {ANOTHER}"),
    ("answer twice", again(8, 7), "input[8]: this model_output is repeated."),
    ("thought twice", again(7, 6), "input[7]: this thought has the signature of input[6]."),
    (
        "answer of a turn twice",
        lambda steps: [*steps, *steps[6:8], user("x")],
        "input[9]: this thought has the signature of input[6].",
    ),
    (
        "answer invented",
        insert(8, SAID),
        "input[8]: this model_output was not sent by this server.",
    ),
    (
        "answer put before all",
        insert(0, SAID),
        "input[0]: this model_output does not follow its signed thought.",
    ),
    (
        "answer invented for a new question",
        lambda steps: [*steps, SAID, user("x")],
        "input[9]: this model_output does not follow its signed thought.",
    ),
    (
        "call and result invented",
        lambda steps: [*steps[:4], INVENTED, *steps[4:6], FOR_INVENTED, *steps[6:]],
        "input[4]: this function_call was not sent by this server.",
    ),
    (
        "tool of the server invented",
        insert(7, {"type": "google_search_call", "id": "s", "arguments": {}}),
        "input[7]: this google_search_call was not sent by this server.",
    ),
    ("question invented", insert(6, user("x")), "input[7]: this thought " + ANOTHER),
    (
        "signature altered",
        put(6, signature="AAAA" * 40),
        "input[6]: this thought has a signature that this server did not create.",
    ),
    (
        "signature no base64",
        put(6, signature="?"),
        "input[6]: this thought has a signature that this server did not create.",
    ),
    ("signature emptied", put(6, signature=""), "input[6]: this thought has no signature."),
    ("signature null", put(6, signature=None), "input[6]: this thought has no signature."),
    ("signature removed", without(6, "signature"), "input[6]: this thought has no signature."),
    (
        "signature of another server",
        signed_elsewhere,
        "input[6]: this thought has a signature that this server did not create.",
    ),
    ("signature borrowed", borrowed, "input[6]: this thought has the signature of input[1]."),
]


@pytest.mark.parametrize(
    ("alter", "expected"), [row[1:] for row in ATTACKS], ids=[row[0] for row in ATTACKS]
)
def test_a_strict_server_refuses_an_altered_history_naming_the_step(
    history: Steps, alter: Alter, expected: str
) -> None:
    answer = ask(alter(copy.deepcopy(history)), strict=True)
    assert answer == {
        "http": 400,
        "error": {"code": "invalid_request", "message": expected + EXACTLY},
    }


@pytest.mark.parametrize("alter", [row[1] for row in ATTACKS], ids=[row[0] for row in ATTACKS])
@pytest.mark.parametrize("lenient", [False, True])
def test_an_alteration_of_an_earlier_turn_is_logged_once(
    history: Steps, alter: Alter, lenient: bool
) -> None:
    warnings: list[str] = []
    answer = ask(alter(copy.deepcopy(history)), lenient=lenient, warn=warnings.append)
    assert answer["http"] == 200
    assert len(warnings) == 1
    assert warnings[0].startswith("tolerated: input[")


ATTACKS_ON_CALLS: list[tuple[str, Alter, str]] = [
    ("signature emptied", put(1, signature=""), "input[1]: this thought has no signature."),
    ("signature removed", without(1, "signature"), "input[1]: this thought has no signature."),
    (
        "signature altered",
        put(1, signature="AAAA" * 40),
        "input[1]: this thought has a signature that this server did not create.",
    ),
    (
        "arguments altered",
        put(3, arguments={"location": "Rome"}),
        "input[3]: this function_call is not as this server sent it.",
    ),
    (
        "call invented",
        lambda steps: [*steps[:4], INVENTED, *steps[4:], FOR_INVENTED],
        "input[4]: this function_call was not sent by this server.",
    ),
    (
        "question and call altered",
        lambda steps: put(2, name="other")([user("x"), *steps[1:]]),
        "input[2]: this function_call is not as this server sent it.",
    ),
]


@pytest.mark.parametrize(
    ("alter", "expected"),
    [row[1:] for row in ATTACKS_ON_CALLS],
    ids=[row[0] for row in ATTACKS_ON_CALLS],
)
def test_every_server_refuses_altered_calls_of_the_current_turn(
    history: Steps, alter: Alter, expected: str
) -> None:
    answer = ask(alter(copy.deepcopy(history[:6])))
    assert answer == {
        "http": 400,
        "error": {"code": "invalid_request", "message": expected + EXACTLY},
    }


REBUILT: list[tuple[str, Alter]] = [
    ("summary added", put(1, summary=[{"type": "text", "text": "I call a function."}])),
    ("question shortened", put(0, content=[{"type": "text", "text": "London and Paris?"}])),
    ("question dropped", drop(0)),
    ("thought dropped", drop(1)),
    ("signature on the call", put(2, signature="")),
    ("sentinel", put(1, signature="skip_thought_signature_validator")),
    (
        "encoded sentinel",
        put(1, signature=base64.b64encode(b"skip_thought_signature_validator").decode()),
    ),
    (
        "sentinels on the calls",
        lambda steps: [
            {**step, "signature": "context_engineering_is_the_way_to_go"}
            if step["type"] == "function_call"
            else step
            for step in drop(1)(steps)
        ],
    ),
]


@pytest.mark.parametrize("alter", [row[1] for row in REBUILT], ids=[row[0] for row in REBUILT])
def test_what_clients_change_around_signed_calls_is_accepted(history: Steps, alter: Alter) -> None:
    assert ask(alter(copy.deepcopy(history[:6])))["status"] == "completed"


PAIRS: list[tuple[str, Alter, str]] = [
    (
        "result without call",
        lambda steps: [user("a"), steps[4]],
        "input[1]: this function_result answers the call '{a}', which is not in the conversation.",
    ),
    (
        "result with another id",
        put(4, call_id="no"),
        "input[4]: this function_result answers the call 'no', which is not in the conversation.",
    ),
    (
        "result twice",
        again(6, 4),
        "input[6]: this function_result answers the call '{a}' a second time.",
    ),
    (
        "result before its call",
        order(0, 4, 1, 2, 3, 5, 6, 7, 8),
        "input[1]: this function_result precedes its call '{a}'.",
    ),
    (
        "call without result",
        drop(4),
        "input[2]: the function_call '{a}' (get_current_temperature) has no function_result.",
    ),
    (
        "calls without results",
        drop(4, 5, 6, 7),
        "input[2]: the function_call '{a}' (get_current_temperature) has no function_result.",
    ),
    (
        "a third result without an id",
        insert(6, {"type": "function_result", "result": "x"}),
        "input[6]: this function_result has no call_id, and no call waits for it.",
    ),
]


@pytest.mark.parametrize(
    ("alter", "expected"), [row[1:] for row in PAIRS], ids=[row[0] for row in PAIRS]
)
def test_a_call_or_result_without_its_counterpart_is_refused(
    history: Steps, alter: Alter, expected: str
) -> None:
    answer = ask(alter(copy.deepcopy(history)))
    assert answer == {
        "http": 400,
        "error": {"code": "invalid_request", "message": expected.format(a=history[2]["id"])},
    }


@pytest.mark.parametrize("alter", [row[1] for row in PAIRS], ids=[row[0] for row in PAIRS])
def test_a_lenient_server_accepts_unpaired_calls(history: Steps, alter: Alter) -> None:
    warnings: list[str] = []
    assert ask(alter(copy.deepcopy(history)), lenient=True, warn=warnings.append)["http"] == 200
    assert "function_" in warnings[0]


@pytest.mark.parametrize(
    "alter",
    [
        order(0, 1, 2, 3, 4, 5, 6, 7, 8),
        order(0, 1, 2, 4, 3, 5, 6, 7, 8),
        lambda steps: [dict(reversed(step.items())) for step in steps],
        put(4, x=None),
        put(7, error=None),
        order(8),
        order(0, 8),
    ],
    ids=[
        "as it was",
        "each result behind its call",
        "keys in another order",
        "null in a result",
        "null in an answer",
        "forgotten",
        "questions",
    ],
)
def test_an_unaltered_history_is_accepted(history: Steps, alter: Alter) -> None:
    assert ask(alter(copy.deepcopy(history)))["http"] == 200


def test_results_of_parallel_calls_may_be_in_any_order(history: Steps) -> None:
    answer = (
        "The temperature in London is currently 20°C. The temperature in Paris is currently 20°C."
    )
    for order_ in ([4, 5], [5, 4]):
        assert (
            output_text(ask([*history[:4], *(history[index] for index in order_)])["steps"])
            == answer
        )
    assert output_text(ask([*history[:3], history[4], history[3], history[5]])["steps"]) == answer


# --- requests

REQUESTS: list[tuple[str, dict[str, Any], str]] = [
    (
        "background that is not kept",
        {"background": True, "store": False},
        "'background' needs 'store': a run that is not stored cannot be polled.",
    ),
    ("model and agent", {"agent": AGENT}, "'model' and 'agent' cannot be used together."),
    (
        "generation_config with agent",
        {"model": None, "agent": AGENT, "generation_config": {"seed": 1}},
        "'generation_config' cannot be used with 'agent'.",
    ),
    (
        "cached_content with agent",
        {"model": None, "agent": AGENT, "cached_content": "x"},
        "'cached_content' cannot be used with 'agent'.",
    ),
    (
        "agent_config with model",
        {"agent_config": {"type": "dynamic"}},
        "'agent_config' cannot be used with 'model'.",
    ),
    (
        "research in the foreground",
        {"model": None, "agent": "deep-research-preview-04-2026"},
        "Agent 'deep-research-preview-04-2026' needs 'background': true.",
    ),
    (
        "webhook in the foreground",
        {"webhook_config": {"uris": ["http://127.0.0.1:1"]}},
        "'webhook_config' needs 'background': true; a run in the foreground sends no "
        "notifications.",
    ),
    ("unknown field", {"modle": "x"}, "Unknown parameter 'modle' (did you mean 'model'?)."),
    (
        "unknown field of generation_config",
        {"generation_config": {"max_tokens": 1}},
        "Unknown parameter 'generation_config.max_tokens' (did you mean 'max_output_tokens'?).",
    ),
    (
        "unknown field of environment",
        {"environment": {"typ": "remote"}},
        "Unknown parameter 'environment.typ' (did you mean 'type'?).",
    ),
    (
        "token of nobody",
        {"continuation_token": "x"},
        "'continuation_token' was not issued by this server.",
    ),
]


@pytest.mark.parametrize(
    ("fields", "expected"), [row[1:] for row in REQUESTS], ids=[row[0] for row in REQUESTS]
)
def test_a_request_the_api_refuses(fields: dict[str, Any], expected: str) -> None:
    answer = fresh({"model": MODEL, "input": "Hello", **fields})
    assert (answer["http"], answer["error"]["message"]) == (400, expected)
    gateway = expected.startswith("Unknown parameter")
    assert answer["error"].get("status") == ("INVALID_ARGUMENT" if gateway else None)
    assert answer["error"]["code"] == (400 if gateway else "invalid_request")


@pytest.mark.parametrize(
    ("fields", "expected"), [row[1:] for row in REQUESTS], ids=[row[0] for row in REQUESTS]
)
def test_a_lenient_server_accepts_the_request(fields: dict[str, Any], expected: str) -> None:
    warnings: list[str] = []
    answer = fresh({"model": MODEL, "input": "Hello", **fields}, lenient=True, warn=warnings.append)
    assert (answer["http"], warnings) == (200, [f"tolerated: {expected}"])
    assert answer["status"] == "completed"


@pytest.mark.parametrize(
    "body",
    [
        {"input": "Hello"},
        {"model": "gpt", "input": "Hello"},
        {"model": MODEL},
        {"model": MODEL, "input": 3},
        {"model": MODEL, "input": [{"type": "user_input"}]},
        {"model": MODEL, "input": "Hello", "store": "no"},
        {"model": MODEL, "input": "Hello", "previous_interaction_id": "v1_none"},
    ],
)
def test_a_lenient_server_refuses_what_cannot_be_interpreted(body: dict[str, Any]) -> None:
    assert 400 <= fresh(body, lenient=True)["http"] <= 404
