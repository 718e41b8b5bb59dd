"""Arbitrary requests succeed or are refused, and every altered history is refused."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from evalkit._lib.json import dumps
from evalkit.server import Script
from evalkit.server.api.service import Service
from evalkit.server.calls import Call
from evalkit.server.history_integrity import check_pairs, find_alterations
from evalkit.server.history_seals import DEFAULT_KEY, sign_answer
from evalkit.server.requests.error_response import ErrorResponse

Steps = list[dict[str, Any]]

_json = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)
_source = st.fixed_dictionaries(
    {"type": st.sampled_from(["inline", "gcs"]) | _json},
    optional={"target": _json, "content": _json, "encoding": st.just("base64") | _json},
)
_FIELDS: dict[str, Any] = {
    "id": _json,
    "base_agent": st.just("antigravity-preview-05-2026") | _json,
    "tools": st.lists(
        st.fixed_dictionaries({"type": st.just("code_execution") | _json}), max_size=2
    )
    | _json,
    "agent_config": _json,
    "base_environment": st.just("remote")
    | st.fixed_dictionaries(
        {}, optional={"type": st.just("remote"), "sources": _json, "env": _json}
    )
    | _json,
    "sources": st.lists(_source, max_size=2) | _json,
    "network": st.just("disabled") | _json,
    "from_environment": _json,
    "uri": st.sampled_from(["http://127.0.0.1:9", "http://[", "http://h:99999", "https://\ud800"])
    | _json,
    "subscribed_events": st.just(["interaction.completed"]) | _json,
    "state": _json,
    "name": _json,
    "revocation_behavior": _json,
}
_BELONGS = {
    "agents": ("id", "base_agent", "tools", "agent_config", "base_environment"),
    "environments": ("sources", "network", "from_environment"),
    "webhooks": ("uri", "subscribed_events", "name"),
}


@given(data=st.data())
@pytest.mark.parametrize("kind", list(_BELONGS))
def test_a_resource_is_created_or_refused(
    default_script: Script, kind: str, data: st.DataObject
) -> None:
    service = Service(default_script)
    body = data.draw(
        st.fixed_dictionaries({}, optional={name: _FIELDS[name] for name in _BELONGS[kind]})
    )

    def call(method: str, path: str, sent: Any = None) -> tuple[int, Any]:
        reply = service.handle(
            Call(
                method,
                f"/v1beta/{path}",
                headers={"x-goog-api-key": "k"},
                body=dumps(sent).encode() if sent is not None else b"",
            )
        )
        return reply.status, json.loads(reply.body)

    status, created = call("POST", kind, body)
    assert status in (200, 400, 404)
    assert ("error" in created) is (status != 200)
    if status != 200:
        return
    path = f"{kind}/{created['id']}"
    assert call("GET", path)[0] == 200
    assert [item["id"] for item in call("GET", kind)[1][kind]] == [created["id"]]
    if kind == "webhooks":
        changes = data.draw(
            st.fixed_dictionaries(
                {},
                optional={
                    name: _FIELDS[name] for name in ("uri", "subscribed_events", "state", "name")
                },
            )
        )
        assert call("PATCH", path, changes)[0] in (200, 400)
        assert call(
            "POST", f"{path}:rotateSigningSecret", {"revocation_behavior": data.draw(_json)}
        )[0] in (200, 400)
        assert call("POST", f"{path}:ping", {})[0] in (200, 400)
    if kind == "agents":
        prompt = {
            "agent": created["id"],
            "input": "a",
            "background": True,
            "webhook_config": data.draw(_json),
        }
        assert call("POST", "interactions", prompt)[0] in (200, 400, 404)
    assert call("DELETE", path) == (200, {})
    service.deliveries()


# --- altered histories


def conversation(turns: list[int], tail: bool) -> Steps:
    """Return answered turns with that many parallel calls; with ``tail``, one more question."""
    steps: Steps = []
    for turn, calls in enumerate(turns):
        steps.append(
            {"type": "user_input", "content": [{"type": "text", "text": f"question {turn}"}]}
        )
        created = [
            {
                "type": "function_call",
                "id": f"{turn}.{number}",
                "name": "f",
                "arguments": {"n": number},
            }
            for number in range(calls)
        ]
        if created:
            steps += sign_answer(DEFAULT_KEY, steps, [{"type": "thought"}, *created])
            steps += [
                {
                    "type": "function_result",
                    "call_id": call["id"],
                    "result": f"result of {call['id']}",
                }
                for call in created
            ]
        steps += sign_answer(
            DEFAULT_KEY,
            steps,
            [
                {"type": "thought"},
                {"type": "model_output", "content": [{"type": "text", "text": "same"}]},
            ],
        )
    return (
        [*steps, {"type": "user_input", "content": [{"type": "text", "text": "last"}]}]
        if tail
        else steps
    )


def check(steps: Steps) -> None:
    check_pairs(steps, "input[{}]".format)
    for error in find_alterations(DEFAULT_KEY, steps, "input[{}]".format):
        raise error


def without_result_places(steps: Steps) -> Any:
    """Return a history in which the positions of results do not matter, only their order."""
    out: list[Any] = []
    for step in steps:
        if step["type"] == "function_result" and out and isinstance(out[-1], list):
            out[-1].append(step)
        elif step["type"] == "function_result":
            out.append([step])
        elif step["type"] == "function_call" and out and isinstance(out[-1], list):
            out.insert(-1, step)
        else:
            out.append(step)
    return out


@given(
    turns=st.lists(st.integers(0, 3), min_size=1, max_size=3), tail=st.booleans(), data=st.data()
)
def test_every_altered_history_is_refused(
    turns: list[int], tail: bool, data: st.DataObject
) -> None:
    true = conversation(turns, tail)
    check(true)
    altered = copy.deepcopy(true)
    sealed = max(index for index, step in enumerate(true) if step["type"] == "model_output") + 1
    at = data.draw(st.integers(0, sealed - 1))
    how = data.draw(st.sampled_from(["drop", "copy", "swap", "field", "take"]))
    if how == "drop":
        del altered[at]
    elif how == "copy":
        altered.insert(data.draw(st.integers(0, sealed - 1)), copy.deepcopy(true[at]))
    elif how == "swap":
        other = data.draw(st.integers(0, sealed - 1))
        altered[at], altered[other] = altered[other], altered[at]
    elif how == "field":
        altered[at]["added"] = data.draw(_json.filter(lambda value: value is not None))
    else:
        other = data.draw(st.integers(0, sealed - 1))
        altered[at] = copy.deepcopy(true[other])
    assume(without_result_places(altered) != without_result_places(true))
    assume(any(step["type"] not in ("user_input",) for step in altered))
    with pytest.raises(ErrorResponse, match=r"input\[\d+\]") as caught:
        check(altered)
    assert caught.value.status == 400
