"""Answers that take several requests: their tokens, and histories that contain them."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest

from evalkit.protocol.sse import read_events
from evalkit.protocol.step_reader import output_text
from evalkit.server.continuation_token import AnswerPart, issue_token
from tests.server.talking import message

SCRIPT = """script: t
rules:
  - when: {text: Tell me a story., continued: false}
    reply: "Once upon a time "
    status: requires_continuation
  - when: {text: Tell me a story., continued: 1}
    reply: "there was a parser "
    status: requires_continuation
  - when: {text: Tell me a story., continued: true}
    reply: "and it parsed."
"""
ASKED = "Tell me a story."
TOLD = ["Once upon a time ", "there was a parser ", "and it parsed."]


@pytest.fixture
def parts_client(scripted: Callable[[str], Any]) -> Any:
    return scripted(SCRIPT)


def hop(client: Any, answer: Any, **fields: Any) -> Any:
    """Request the next part as SDKs do: by id, or for unstored answers with the input again."""
    with_input = {} if "id" in answer else {"input": ASKED, "store": False}
    by_id = {"previous_interaction_id": answer["id"]} if "id" in answer else {}
    token = {"continuation_token": answer["continuation_token"]}
    return client(
        "POST",
        "/v1/interactions",
        {"model": "gemini-3.5-flash", **with_input, **by_id, **token, **fields},
    )


@pytest.mark.parametrize("store", [True, False], ids=["stored", "not stored"])
def test_an_answer_is_continued_to_its_end(
    parts_client: Any, scripted: Callable[..., Any], store: bool
) -> None:
    answers = [parts_client.create(ASKED, store=store)]
    for _ in range(2):
        answers.append(hop(parts_client if store else scripted(SCRIPT), answers[-1]))
    assert [answer["status"] for answer in answers] == [
        "requires_continuation",
        "requires_continuation",
        "completed",
    ]
    assert [output_text(answer["steps"]) for answer in answers] == TOLD
    assert ["continuation_token" in answer for answer in answers] == [True, True, False]
    assert len({answer["continuation_token"] for answer in answers[:2]}) == 2
    whole = [
        {"type": "user_input", "content": ASKED},
        *(step for answer in answers for step in answer["steps"]),
    ]
    after = [*whole, {"type": "user_input", "content": "Thank you."}]
    assert scripted(SCRIPT).create(after, store=False)["status"] == "completed"
    altered = [*after[:4], {**after[4], "content": []}, *after[5:]]
    assert message(scripted(SCRIPT, strict=True).create(altered, store=False)).startswith(
        "input[4]: this model_output is not as this server sent it."
    )
    assert "another history" in message(
        scripted(SCRIPT, strict=True).create([*after[:1], *after[3:]], store=False)
    )


def test_a_stream_has_the_token_at_its_end(parts_client: Any) -> None:
    last = read_events("".join(parts_client.create(ASKED, stream=True))).events[-1]
    assert last["event_type"] == "interaction.completed"
    assert last["interaction"]["status"] == "requires_continuation"
    second = hop(parts_client, last["interaction"], stream=True)
    assert TOLD[1].split()[0] in "".join(second)


def test_an_unstored_answer_may_follow_a_stored_one(parts_client: Any) -> None:
    first = parts_client.create("Hello")
    part = parts_client.create(ASKED, store=False, previous_interaction_id=first["id"])
    more = hop(parts_client, part, previous_interaction_id=first["id"])
    assert output_text(more["steps"]) == TOLD[1]


def test_a_get_of_a_later_part_lists_no_question(parts_client: Any) -> None:
    more = hop(parts_client, parts_client.create(ASKED))
    assert [step["type"] for step in parts_client.get(more["id"])["steps"]] == [
        "thought",
        "model_output",
    ]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"continuation_token": "x"}, "was not issued by this server"),
        (
            {"continuation_token": base64.b64encode(b"\x13" * 82).decode()},
            "was not issued by this server",
        ),
        ({"continuation_token": "é"}, "was not issued by this server"),
        (
            {"previous_interaction_id": None},
            "belongs to another interaction than 'previous_interaction_id'; without an id, send "
            "the input again",
        ),
        (
            {"input": "Another question"},
            "belongs to another request; send it with the same input, or with the id of its "
            "interaction",
        ),
        (
            {"previous_interaction_id": "OTHER"},
            "belongs to another interaction than 'previous_interaction_id'",
        ),
    ],
)
def test_a_token_is_valid_for_its_own_answer_only(
    parts_client: Any, fields: dict[str, Any], reason: str
) -> None:
    if fields.get("previous_interaction_id") == "OTHER":
        fields = {"previous_interaction_id": parts_client.create("Hello")["id"]}
    body = hop(parts_client, parts_client.create(ASKED), **fields)
    assert parts_client.last.status == 400
    assert message(body).startswith(f"'continuation_token' {reason}")


def test_a_token_of_another_key_is_refused(parts_client: Any) -> None:
    question = [{"type": "user_input", "content": [{"type": "text", "text": ASKED}]}]
    token = issue_token(b"another", AnswerPart(), question, [])
    body = parts_client.create(ASKED, store=False, continuation_token=token)
    assert message(body) == "'continuation_token' was not issued by this server."


def test_a_script_without_signatures_continues_too(scripted: Callable[[str], Any]) -> None:
    client = scripted(SCRIPT.replace("script: t", "script: t\nsignatures: false"))
    first = client.create(ASKED)
    assert output_text(hop(client, first)["steps"]) == TOLD[1]
