"""The check ``history`` on random conversations.

Exact ones pass. One mistake gives one finding, with its own code and location.
"""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit._lib.json import resolve_pointer
from evalkit.checks.core.base import View
from evalkit.checks.history.check import History, Level
from evalkit.verdict import Finding
from tests.checks.building import transcript


class RandomConversation(NamedTuple):
    """An exact stateless conversation: its inputs and the steps of its responses.

    ``history[k]`` are the indexes of the history in the input of request ``k``.
    """

    inputs: list[list[dict[str, Any]]]
    answers: list[list[dict[str, Any]]]
    history: list[list[int]]


@st.composite
def conversations(draw: st.DrawFn, *, least: int = 2, calls: bool = True) -> RandomConversation:
    """Draw a conversation with unique texts, ids and signatures; users may repeat themselves."""
    count = 0

    def unique(word: str) -> str:
        nonlocal count
        count += 1
        return f"{word}-{count}-é☃"

    def user() -> dict[str, Any]:
        return {
            "type": "user_input",
            "content": [{"type": "text", "text": draw(st.sampled_from(["go on", unique("say")]))}],
        }

    def thought() -> list[dict[str, Any]]:
        extra: dict[str, Any] = draw(
            st.sampled_from([{}, {"summary": None}, {"summary": [{"type": "text", "text": "hm"}]}])
        )
        return [{"type": "thought", "signature": unique("sig"), **extra}]

    def output() -> list[dict[str, Any]]:
        cited = {"type": "url_citation", "start_index": 0, "end_index": 3}
        notes: dict[str, Any] = draw(
            st.sampled_from([{}, {"annotations": None}, {"annotations": [cited]}])
        )
        return [
            {
                "type": "model_output",
                "content": [{"type": "text", "text": unique("text"), **notes}],
                "x_new": {"flag": True, "n": 1},
            }
        ]

    def call() -> list[dict[str, Any]]:
        return [
            {
                "type": "function_call",
                "id": unique("call"),
                "name": "look",
                "arguments": {"at": unique("it"), "deep": None},
            }
        ]

    def search() -> list[dict[str, Any]]:
        name = unique("search")
        result = {
            "type": "google_search_result",
            "call_id": name,
            "result": [{"search_suggestions": "<b>"}],
            "is_error": False,
        }
        return [
            {
                "type": "google_search_call",
                "id": name,
                "arguments": {"queries": [unique("q")]},
                "search_type": None,
            },
            result,
        ]

    kinds = [thought, output, search, call] if calls else [thought, output, search]
    inputs: list[list[dict[str, Any]]] = [[user()]]
    answers: list[list[dict[str, Any]]] = []
    places: list[list[int]] = [[]]
    for _ in range(draw(st.integers(least, 4))):
        answer = [
            step
            for make in draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=4))
            for step in make()
        ]
        answers.append(answer)
        after = draw(st.booleans())
        following, place = list(inputs[-1]), list(range(len(inputs[-1])))
        results = []
        for step in answer:
            place.append(len(following))
            following.append(step)
            if step["type"] == "function_call":
                text = [{"type": "text", "text": unique("r")}]
                result = {
                    "type": "function_result",
                    "call_id": step["id"],
                    "name": "look",
                    "result": text,
                }
                if after:
                    results.append(result)
                else:
                    following.append(result)
        following += results
        if draw(st.booleans()) or not any(step["type"] == "function_call" for step in answer):
            following.append(user())
        inputs.append(following)
        places.append(place)
    return RandomConversation(
        inputs[:-1] if len(inputs) > len(answers) + 1 else inputs, answers, places
    )


def check_history(
    inputs: list[Any],
    answers: list[list[dict[str, Any]]],
    level: Level = "exact",
    turn: int | None = None,
) -> list[Finding]:
    answers = [*answers, []][: len(inputs)]
    exchanges = [
        {"input": sent, "steps": steps} for sent, steps in zip(inputs, answers, strict=True)
    ]
    conversation = transcript(
        {
            "turns": [{"exchanges": [item]} for item in exchanges],
            "settings": {"history": "stateless"},
        }
    )
    return list(
        History(level=level).run(View(conversation, conversation.turns[turn - 1] if turn else None))
    )


def locations(findings: list[Finding]) -> list[tuple[str, int | None, str | None]]:
    return [(finding.code, finding.where.exchange, finding.where.pointer) for finding in findings]


def respell(value: Any) -> Any:
    """Return a JSON value in another spelling: other key order, floats for integers."""
    if isinstance(value, dict):
        return {key: respell(item) for key, item in reversed(value.items())}
    if isinstance(value, list):
        return [respell(item) for item in value]
    return float(value) if type(value) is int else value


@given(conversations())
def test_an_exact_history_passes_in_any_spelling(conversation: RandomConversation) -> None:
    assert check_history(conversation.inputs, conversation.answers) == []
    assert check_history(deepcopy(conversation.inputs), conversation.answers) == []
    assert check_history(respell(conversation.inputs), conversation.answers) == []


@st.composite
def changed_requests(
    draw: st.DrawFn, *, least: int = 1
) -> tuple[RandomConversation, int, list[Any], list[int]]:
    """Draw a conversation, the index of a request, a copy of its input, and its history indexes."""
    conversation = draw(conversations())
    at = draw(st.integers(1, len(conversation.inputs) - 1))
    return conversation, at, deepcopy(conversation.inputs[at]), conversation.history[at]


def check_changed(conversation: RandomConversation, at: int, sent: list[Any]) -> list[Finding]:
    return check_history([*conversation.inputs[:at], sent], conversation.answers[: at + 1])


@given(changed_requests(), st.data())
def test_a_dropped_step_is_one_step_missing(case: Any, data: st.DataObject) -> None:
    conversation, at, sent, places = case
    place = data.draw(st.sampled_from(places))
    missing = sent.pop(place)
    findings = check_changed(conversation, at, sent)
    assert [finding.code for finding in findings] == ["step_missing"]
    assert findings[0].expected == missing
    # Of two equal neighbors either may be the missing one; a step before results may have been
    # before or after them.
    possible = {
        near
        for near in range(len(sent) + 1)
        if conversation.inputs[at][near : near + 1] == [missing]
    } | {place}
    while sent[max(possible) :] and sent[max(possible)]["type"] == "function_result":
        possible.add(max(possible) + 1)
    assert findings[0].where.pointer in {f"/input/{near}" for near in possible}
    assert findings[0].where.exchange == at + 1


@given(changed_requests(), st.data())
def test_two_steps_that_changed_places_are_one_step_reordered(
    case: Any, data: st.DataObject
) -> None:
    conversation, at, sent, places = case
    one, other = data.draw(
        st.sampled_from([(a, b) for a in places for b in places if a < b] or [(0, 0)])
    )
    if sent[one] == sent[other]:
        return
    sent[one], sent[other] = sent[other], sent[one]
    findings = check_changed(conversation, at, sent)
    assert [finding.code for finding in findings] == ["step_reordered"]
    alike = [
        f"/input/{place}" for place, step in enumerate(sent) if step in (sent[one], sent[other])
    ]
    assert findings[0].where.pointer in alike


@given(changed_requests(), st.data())
def test_a_doubled_step_is_one_step_duplicated(case: Any, data: st.DataObject) -> None:
    conversation, at, sent, places = case
    place = data.draw(st.sampled_from(places))
    where = data.draw(st.integers(0, places[-1]))
    sent.insert(where, deepcopy(sent[place]))
    findings = check_changed(conversation, at, sent)
    assert [finding.code for finding in findings] == ["step_duplicated"]
    copies = [f"/input/{index}" for index, step in enumerate(sent) if step == sent[where]]
    assert findings[0].where.pointer in copies


@given(changed_requests(), st.data())
def test_an_altered_signature_is_one_signature_altered(case: Any, data: st.DataObject) -> None:
    conversation, at, sent, places = case
    signed = [place for place in places if "signature" in sent[place]]
    if not signed:
        return
    place = data.draw(st.sampled_from(signed))
    was = sent[place]["signature"]
    sent[place]["signature"] = data.draw(st.sampled_from([was[:-1], was.upper(), "", was + "="]))
    findings = check_changed(conversation, at, sent)
    assert locations(findings) == [("signature_altered", at + 1, f"/input/{place}/signature")]
    assert (findings[0].expected, findings[0].got) == (was, sent[place]["signature"])
    del sent[place]["signature"]
    assert locations(check_changed(conversation, at, sent)) == [
        ("signature_altered", at + 1, f"/input/{place}/signature")
    ]


def leaves(value: Any, path: str = "") -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        return [
            (path, value),
            *(found for key, item in value.items() for found in leaves(item, f"{path}/{key}")),
        ]
    if isinstance(value, list):
        return [
            found for index, item in enumerate(value) for found in leaves(item, f"{path}/{index}")
        ]
    return [(path, value)]


@given(changed_requests(), st.data())
def test_a_changed_string_is_reported_at_its_pointer(case: Any, data: st.DataObject) -> None:
    conversation, at, sent, places = case
    place = data.draw(st.sampled_from(places))
    special = ("/signature", "/type", "/call_id", "/id")
    paths = [
        path
        for path, value in leaves(sent[place])
        if isinstance(value, str) and not path.endswith(special)
    ]
    path = data.draw(st.sampled_from(paths or [""]))
    if not path:
        return
    holder = resolve_pointer(sent[place], path.rpartition("/")[0])
    key: Any = path.rpartition("/")[2]
    key = int(key) if isinstance(holder, list) else key
    holder[key] += "!"
    code = (
        "input_rewritten"
        if sent[place]["type"] in ("user_input", "function_result")
        else "step_altered"
    )
    assert locations(check_changed(conversation, at, sent)) == [
        (code, at + 1, f"/input/{place}{path}")
    ]


@given(changed_requests(), st.data())
def test_added_and_dropped_nulls_are_reported_and_allowed_by_equivalent(
    case: Any, data: st.DataObject
) -> None:
    conversation, at, sent, places = case
    place = data.draw(st.sampled_from(places))
    objects = [(path, value) for path, value in leaves(sent[place]) if isinstance(value, dict)]
    path, holder = data.draw(st.sampled_from(objects))
    nulls = [key for key, value in holder.items() if value is None]
    dropping: bool = data.draw(st.booleans())
    if nulls and dropping:
        del holder[nulls[0]]
        code, word = "null_dropped", nulls[0]
    else:
        holder["error"] = None
        code, word = "null_added", "error"
    assert locations(check_changed(conversation, at, sent)) == [
        (code, at + 1, f"/input/{place}{path}/{word}")
    ]
    forgiven = check_history(
        [*conversation.inputs[:at], sent], conversation.answers[: at + 1], "equivalent"
    )
    assert (forgiven == []) == (not path.startswith("/arguments"))


@given(changed_requests(), st.data())
def test_an_unknown_step_is_one_step_invented(case: Any, data: st.DataObject) -> None:
    conversation, at, sent, places = case
    where = data.draw(st.integers(0, places[-1]))
    sent.insert(
        where, {"type": "model_output", "content": [{"type": "text", "text": "never said"}]}
    )
    assert locations(check_changed(conversation, at, sent)) == [
        ("step_invented", at + 1, f"/input/{where}")
    ]


@given(changed_requests(), st.data())
def test_a_missing_result_is_one_call_unanswered(case: Any, data: st.DataObject) -> None:
    conversation, at, sent, places = case
    fresh = [
        place
        for place in range(len(sent))
        if place not in places and sent[place]["type"] == "function_result"
    ]
    if not fresh:
        return
    place = data.draw(st.sampled_from(fresh))
    missing = sent.pop(place)
    call = next(index for index, step in enumerate(sent) if step.get("id") == missing["call_id"])
    assert locations(check_changed(conversation, at, sent)) == [
        ("call_unanswered", at + 1, f"/input/{call}")
    ]
    sent.insert(place, {**missing, "call_id": "nobody"})
    assert locations(check_changed(conversation, at, sent)) == [
        ("result_unpaired", at + 1, f"/input/{place}/call_id")
    ]


@given(changed_requests(), st.data())
def test_a_cut_history_is_one_history_truncated(case: Any, data: st.DataObject) -> None:
    conversation, at, sent, places = case
    if len(places) < 3:
        return
    cut = data.draw(st.integers(2, len(places) - 1))
    remaining = [step for index, step in enumerate(sent) if index not in places[:cut]]
    answers = [step for step in remaining if step["type"] == "function_result"]
    calls = {step["id"] for step in remaining if step["type"] == "function_call"}
    if any(step["call_id"] not in calls for step in answers):
        return
    findings = check_changed(conversation, at, remaining)
    assert locations(findings) == [("history_truncated", at + 1, "/input/0")]
    assert locations(
        check_changed(conversation, at, [{"type": "user_input", "content": "something else"}])
    ) == [("history_truncated", at + 1, "/input/0")]


@pytest.mark.parametrize("text", [json.dumps({"a": 1})])
def test_true_is_not_one(text: str) -> None:
    first = [{"type": "user_input", "content": [{"type": "text", "text": "a"}]}]
    answer = [{"type": "thought", "x": 1}]
    assert locations(
        check_history([first, [*first, {"type": "thought", "x": True}]], [answer])
    ) == [("step_altered", 2, "/input/1/x")]
