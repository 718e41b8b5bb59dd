"""The text of a cassette: nothing volatile, nothing twice, nothing lost."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from evalkit.cassette.recording import Cassette, Recording
from evalkit.conversation.cassette_text import cassette_text
from evalkit.errors import CassetteError
from tests.cassette.samples import recording
from tests.cassette.test_preserved_recordings import (
    RUN_A,
    RUN_B,
    background,
    stateful,
    stateless,
    streamed,
)

PROMPT = "# Role\n\nBe polite.\n"


def text(*recordings: Recording) -> str:
    return "\n".join(cassette_text(Cassette(list(recordings))).lines)


def test_a_conversation_is_shown_once() -> None:
    conversation = stateless(RUN_A, city="London")
    tool = {"type": "function", "name": "get_temperature", "description": "Gets it."}
    for one in conversation:
        body = json.loads(one.request_body or "")
        body |= {"model": "m", "system_instruction": PROMPT, "tools": [tool]}
        one.request_body = json.dumps(body)
    assert (
        text(*conversation)
        == """\
model: "m"
store: false
system instruction
  # Role

  Be polite.
tool get_temperature
  Gets it.
turn 1
  user
    How warm is it?
  thought
    Think.
  call get_temperature
    city: "London"
  result
    22
  answer
    22 degrees
turn 2
  user
    And now?
  answer
    Still."""
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (stateless(RUN_A), stateless(RUN_B)),
        (stateful(RUN_A), stateful(RUN_B)),
        (streamed(RUN_A, "Hel|lo"), streamed(RUN_B, "H|el|lo")),
        (background(RUN_A, 2), background(RUN_B, 5)),
    ],
    ids=["stateless", "stateful", "streamed", "background"],
)
def test_another_recording_of_the_same_has_the_same_text(
    old: list[Recording], new: list[Recording]
) -> None:
    assert text(*old) == text(*new)
    assert text(*old).count("turn 1") == 1


def test_settings_that_change_are_shown_where_they_change() -> None:
    first, second, _ = stateful(RUN_A)
    body = json.loads(second.request_body or "")
    second.request_body = json.dumps({**body, "system_instruction": "Be brief.", "top_p": 1})
    assert """\
turn 2
  user
    Bye
  request 2 has other settings
    top_p: 1
    system instruction
      Be brief.
  answer
""" in text(first, second)


def test_a_history_that_is_not_as_received_is_marked() -> None:
    conversation = stateless(RUN_A)
    body = json.loads(conversation[2].request_body or "")
    assert body["input"].pop(1)["type"] == "thought"
    body["input"][3]["content"][0]["text"] = "23 degrees"
    conversation[2].request_body = json.dumps(body)
    assert """\
  history of request 3 is not as received
    without
      thought
        Think.
      answer
        22 degrees
    with
      answer
        23 degrees
""" in text(*conversation)


def one_step(step: dict[str, Any]) -> str:
    answer = {"id": "v1_a", "status": "completed", "steps": [step]}
    return text(recording({"input": "Hi"}, answer)).partition("    Hi\n")[2]


PICTURE = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()
DIGEST = "4c4b6a3be1314ab86138bef4314dde022e600960d8689a2c8f8631802d20dab6"


@pytest.mark.parametrize(
    ("step", "lines"),
    [
        (
            {"type": "thought", "signature": "x", "summary": [{"type": "text", "text": "a\nb"}]},
            "  thought\n    a\n    b",
        ),
        (
            {"type": "function_call", "id": "x", "name": "f", "arguments": {"a": "b\nc", "d": []}},
            "  call f\n    a: |\n      b\n      c\n    d: []",
        ),
        (
            {"type": "model_output", "content": [{"type": "image", "data": PICTURE}]},
            f"  answer\n    [image]\n    [data] {DIGEST}.png",
        ),
        (
            {"type": "model_output", "content": [{"type": "image", "data": "caf\u00e9"}]},
            "  answer\n    [image]\n    [data] caf\u00e9",
        ),
        (
            {
                "type": "model_output",
                "content": [{"type": "text", "text": "A", "annotations": [{"type": "t"}]}],
            },
            '  answer\n    A\n    [annotations] {"type":"t"}',
        ),
        (
            {"type": "a_new_step", "id": "x", "payload": {"a": [1, {"b": "x" * 70}]}},
            f'  a_new_step\n    payload:\n      a:\n        - 1\n        -\n          b: "{"x" * 70}"',
        ),
        ({"type": "model_output", "content": "a\x1b[2J\u202e"}, "  answer\n    a<U+001B>[2J<U+202E>"),
        ({"type": "model_output", "content": [7, None]}, "  answer\n    - 7\n    - null"),
        ({"type": 7}, ""),
    ],
)  # fmt: skip
def test_steps(step: dict[str, Any], lines: str) -> None:
    assert one_step(step).rstrip() == lines.rstrip()


def test_errors_statuses_and_other_traffic() -> None:
    failed = recording({"input": "Hi"}, {"error": {"message": "no\nway"}}, status=400)
    assert text(failed).endswith("  error HTTP 400\n    no\n    way")
    other = recording({"q": 1}, [1], path="/v1beta/files")
    shown = text(other)
    assert shown.startswith("request POST generativelanguage.googleapis.com/v1beta/files\n  q: 1")
    assert shown.endswith("response 200\n  - 1")
    other.body = b"\xff"
    assert "  1 bytes, sha256 " in text(other)


def test_a_judge_is_shown_by_its_answer() -> None:
    judge = recording(
        {"model": "j", "input": "Long.", "labels": {"evalkit": "judge"}},
        {"id": "x", "steps": [{"type": "model_output", "content": "good"}]},
    )
    lines = cassette_text(Cassette([*stateful(RUN_A), judge]))
    assert lines.lines[-3:] == ["judge j", "  answer", "    good"]
    assert lines.tokens == sum(ord("a") + number for number in (1, 2))


def test_what_is_nested_too_deeply_is_an_error() -> None:
    deep = "[" * 900 + "]" * 900
    one = recording({"input": "Hi"})
    one.request_body = f'{{"input": "Hi", "setting": {deep}}}'
    with pytest.raises(CassetteError, match="nested too deeply"):
        text(one)


def test_conversations_that_share_a_beginning_are_shown_once() -> None:
    shared = stateful(RUN_A)[:2]
    fork = recording({"input": "Stay", "previous_interaction_id": f"v1_{RUN_A}_1"}, {"id": "v1_f"})
    shown = text(*shared, fork)
    assert shown.count("Hello.") == 1
    assert shown.index("conversation 1") < shown.index("conversation 2") < shown.index("Stay")
