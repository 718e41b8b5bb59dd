"""Signatures: which changes of a history are accepted, and which step a refusal names."""

from __future__ import annotations

import base64
import copy
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.server.history_integrity import find_alterations
from evalkit.server.history_seals import DEFAULT_KEY, sign_answer, state_of
from evalkit.server.requests.error_response import ErrorResponse

Steps = list[dict[str, Any]]


def user(text: str) -> dict[str, Any]:
    return {"type": "user_input", "content": [{"type": "text", "text": text}]}


def output_step(text: str) -> dict[str, Any]:
    return {"type": "model_output", "content": [{"type": "text", "text": text}]}


def call(id_: str, **arguments: Any) -> dict[str, Any]:
    return {"type": "function_call", "id": id_, "name": "f", "arguments": arguments}


def result(id_: str, value: str) -> dict[str, Any]:
    return {"type": "function_result", "call_id": id_, "name": "f", "result": value}


def conversation() -> Steps:
    """Return two answered questions, the first with two parallel calls."""
    steps = [user("one")]  # 0
    steps += sign_answer(
        DEFAULT_KEY, steps, [{"type": "thought"}, call("a", city="London"), call("b", city="Paris")]
    )  # 1 2 3
    steps += [result("a", "20"), result("b", "22")]  # 4 5
    steps += sign_answer(DEFAULT_KEY, steps, [{"type": "thought"}, output_step("20 and 22")])  # 6 7
    steps += [user("two")]  # 8
    steps += sign_answer(DEFAULT_KEY, steps, [{"type": "thought"}, output_step("done")])  # 9 10
    steps += [user("three")]  # 11
    return steps


def check(steps: Steps, key: bytes = DEFAULT_KEY) -> None:
    for error in find_alterations(key, steps, "input[{}]".format):
        raise error


def test_a_history_sent_back_as_received_is_valid() -> None:
    check(conversation())


@pytest.mark.parametrize("length", range(12))
def test_every_beginning_of_a_history_without_a_cut_answer_is_valid(length: int) -> None:
    steps = conversation()[:length]
    if length in (2, 3, 7, 10):  # the last answer is incomplete
        with pytest.raises(ErrorResponse, match="followed by a step that is missing"):
            check(steps)
    else:
        check(steps)


def test_results_may_follow_their_calls_directly() -> None:
    steps = conversation()
    check([*steps[:3], steps[4], steps[3], *steps[5:]])


def test_a_history_that_is_left_out_is_a_new_one() -> None:
    check([user("three")])
    check([user("one"), user("two"), user("three")])


def change(index: int, **fields: Any) -> Callable[[Steps], Steps]:
    def apply(steps: Steps) -> Steps:
        steps[index] = {**steps[index], **fields}
        return steps

    return apply


def drop(*indexes: int) -> Callable[[Steps], Steps]:
    return lambda steps: [step for index, step in enumerate(steps) if index not in indexes]


def swap(one: int, other: int) -> Callable[[Steps], Steps]:
    def apply(steps: Steps) -> Steps:
        steps[one], steps[other] = steps[other], steps[one]
        return steps

    return apply


def insert(index: int, step: dict[str, Any]) -> Callable[[Steps], Steps]:
    return lambda steps: [*steps[:index], step, *steps[index:]]


@pytest.mark.parametrize(
    ("alter", "place", "reason"),
    [
        (
            change(7, content=[{"type": "text", "text": "20 and 23"}]),
            "input[7]",
            "is not as this server sent it",
        ),
        (change(7, extra=1), "input[7]", "is not as this server sent it"),
        (change(3, arguments={"city": "Rome"}), "input[3]", "is not as this server sent it"),
        (
            change(6, summary=[{"type": "text", "text": "mine"}]),
            "input[6]",
            "is not as this server sent it",
        ),
        (change(0, content=[{"type": "text", "text": "another"}]), "input[1]", "another history"),
        (change(4, result="30"), "input[6]", "another history"),
        (drop(8), "input[8]", "another history"),
        (drop(0, 1, 2, 3, 4, 5, 6, 7), "input[1]", "another history"),
        (drop(7), "input[6]", "followed by a step that is missing"),
        (drop(3, 5), "input[2]", "followed by a step that is missing"),
        (drop(2, 4), "input[2]", "was sent by this server after a step that is missing"),
        (swap(2, 3), "input[2]", "is out of order"),
        (insert(2, call("c")), "input[2]", "was not sent by this server"),
        (insert(8, output_step("20 and 22")), "input[8]", "is repeated"),
        (swap(1, 6), "input[1]", "another history"),
        (drop(6), "input[6]", "was not sent by this server"),
        (drop(1), "input[1]", "does not follow its signed thought"),
        (insert(8, output_step("and more")), "input[8]", "was not sent by this server"),
        (insert(9, output_step("mine")), "input[9]", "does not follow its signed thought"),
        (insert(0, output_step("mine")), "input[0]", "does not follow its signed thought"),
        (change(9, signature=""), "input[9]", "has no signature"),
        (change(9, signature=None), "input[9]", "has no signature"),
        (change(9, signature="not base64!"), "input[9]", "did not create"),
        (change(9, signature="\ud800"), "input[9]", "did not create"),
        (
            change(9, signature=base64.b64encode(b"\x12" + b"x" * 100).decode()),
            "input[9]",
            "did not create",
        ),
    ],
)
def test_an_altered_history_names_the_step(
    alter: Callable[[Steps], Steps], place: str, reason: str
) -> None:
    with pytest.raises(ErrorResponse) as caught:
        check(alter(conversation()))
    assert caught.value.status == 400
    assert caught.value.code == "invalid_request"
    assert caught.value.message.startswith(f"{place}: this ")
    assert reason in caught.value.message
    assert caught.value.message.endswith("Send every step of a history exactly as it was received.")


def test_a_missing_thought_and_answer_break_the_next_seal() -> None:
    with pytest.raises(ErrorResponse, match="another history"):
        check(drop(6, 7)(conversation()))


@pytest.mark.parametrize(
    "at", [7, 8, 9], ids=["behind it", "behind its answer", "behind the next question"]
)
def test_a_repeated_thought_is_refused(at: int) -> None:
    steps = conversation()
    altered = insert(at, steps[6])(steps)
    with pytest.raises(
        ErrorResponse, match=rf"input\[{at}\]: this thought has the signature of input\[6\]"
    ):
        check(altered)


def test_a_continued_answer_is_signed_on_top_of_the_first_part() -> None:
    whole = [user("one")]
    first = sign_answer(DEFAULT_KEY, whole, [{"type": "thought"}, output_step("a")])
    second = sign_answer(
        DEFAULT_KEY, [], [{"type": "thought"}, output_step("b")], state_of(first, state_of(whole))
    )
    check([*whole, *first, *second, user("two")])
    assert state_of([*first, *second], state_of(whole)) == state_of([*whole, *first, *second])
    with pytest.raises(ErrorResponse, match=r"input\[1\].*another history"):
        check([*whole, *second])


def test_a_signature_of_another_key_is_refused() -> None:
    with pytest.raises(ErrorResponse, match="did not create"):
        check(conversation(), key=b"another")


def test_a_signature_in_another_position_is_refused() -> None:
    steps = conversation()
    steps[9]["signature"] = steps[6]["signature"]
    with pytest.raises(
        ErrorResponse, match=r"input\[9\]: this thought has the signature of input\[6\]"
    ):
        check(steps)


def test_signatures_are_as_long_as_real_ones_and_deterministic() -> None:
    signatures = [step["signature"] for step in conversation() if step["type"] == "thought"]
    assert signatures == [step["signature"] for step in conversation() if step["type"] == "thought"]
    assert all(80 <= len(base64.b64decode(text)) <= 200 for text in signatures)
    assert len(set(signatures)) == 3


def test_an_answer_of_very_many_steps_is_sealed() -> None:
    steps = [user("go")]
    steps += sign_answer(
        DEFAULT_KEY,
        steps,
        [{"type": "thought"}, *(output_step(str(number)) for number in range(400))],
    )
    check(steps)
    steps[380] = output_step("altered")
    with pytest.raises(ErrorResponse):
        check(steps)


def respelled(value: Any, choose: Callable[[], bool]) -> Any:
    """Return a JSON value as SDKs may spell it: other key order, integral floats, added nulls."""
    if isinstance(value, dict):
        items = [(name, respelled(item, choose)) for name, item in value.items()]
        if choose():
            items.reverse()
        if choose():
            items.append(("added", None))
        return dict(items)
    if isinstance(value, list):
        return [respelled(item, choose) for item in value]
    return (
        float(value)
        if isinstance(value, int)
        and not isinstance(value, bool)
        and abs(value) < 2**50
        and choose()
        else value
    )


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(arguments=st.dictionaries(st.text(max_size=3), _json, max_size=3), data=st.data())
def test_spelling_may_differ_but_values_may_not(
    arguments: dict[str, Any], data: st.DataObject
) -> None:
    steps: Steps = [user("é")]
    steps += sign_answer(
        DEFAULT_KEY, steps, [{"type": "thought"}, {**call("a"), "arguments": arguments}]
    )
    check([respelled(step, lambda: data.draw(st.booleans())) for step in copy.deepcopy(steps)])
    altered = copy.deepcopy(steps)
    altered[2]["arguments"]["new"] = 1 if arguments.get("new") != 1 else 2
    with pytest.raises(ErrorResponse, match=r"input\[2\]"):
        check(altered)
