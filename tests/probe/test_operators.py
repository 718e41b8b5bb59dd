"""Every operator: what it changes in a conversation, and that the recording stays as it was."""

from __future__ import annotations

import json
import tracemalloc
from copy import deepcopy
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.probe.operators import OPERATORS, mutants_of
from evalkit.probe.recorded import Mutant, Recorded
from evalkit.protocol.stream_writer import events_of
from evalkit.results.stored_transcript import stored_transcript
from evalkit.transcript import Transcript

CALL: dict[str, Any] = {
    "type": "function_call", "id": "c1", "name": "find", "signature": "c2ln",
    "arguments": {"code": "HB-20", "count": 2, "paid": True, "tags": ["a"]},
}  # fmt: skip
OTHER_CALL = {"type": "function_call", "id": "c2", "name": "cancel", "arguments": {"code": "HB-20"}}
THOUGHT = {"type": "thought", "signature": "c2lnbmF0dXJl"}


def text(value: str, annotations: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    block: dict[str, Any] = {"type": "text", "text": value}
    if annotations:
        block["annotations"] = annotations
    return {"type": "model_output", "content": [block]}


def conversation(*turns: list[list[dict[str, Any]]], streamed: bool = False) -> Transcript:
    """Return a stateless conversation; a turn is a list of answers, an answer a list of steps."""
    lines: list[dict[str, Any]] = []
    history: list[dict[str, Any]] = []
    number = 0
    for turn_number, answers in enumerate(turns, 1):
        exchanges, timeline = [], []
        history.append({"type": "user_input", "content": [{"type": "text", "text": "Hi"}]})
        for steps in answers:
            number += 1
            interaction: dict[str, Any] = {
                "id": f"v1_{number}",
                "status": "completed",
                "steps": steps,
            }
            interaction["usage"] = {"total_tokens": 100}
            response: dict[str, Any] = {"status": 200, "source": "replayed"}
            if streamed:
                response["events"] = events_of(interaction)
            else:
                response["body"] = interaction
            body = {"store": False, "stream": streamed, "input": deepcopy(history)}
            request = {"method": "POST", "path": "/v1beta/interactions", "body": body}
            exchanges.append({"number": number, "request": request, "response": response})
            timeline += [{"origin": "model", "exchange": number, "step": step} for step in steps]
            history += steps
        lines.append(
            {
                "number": turn_number, "user": [{"type": "text", "text": "Hi"}], "outcome": "completed",
                "status": "completed", "text": "", "steps": timeline, "exchanges": exchanges,
            }
        )  # fmt: skip
    transcript = stored_transcript({"settings": {}, "turns": lines})  # type: ignore[typeddict-item]
    transcript.settings = {"system_instruction": "Be brief.\nNever quote this."}
    return transcript


def mutants(name: str, transcript: Transcript) -> list[Mutant]:
    return list(OPERATORS[name].mutate(Recorded(transcript, ["find", "cancel"])))


ONE_TEXT = "It is not late, said Ada. The ferry leaves on 2026-05-04 at 14:30."
CITED = text("Spain won.", [{"type": "url_citation", "url": "https://a.org/x", "title": "a.org", "start_index": 0, "end_index": 5}])  # fmt: skip
DOCUMENT = text('{"name": "Ada", "age": 36, "tags": []}')
PICTURE = {"type": "model_output", "content": [{"type": "image", "mime_type": "image/png", "data": "iVBORw0KGgoAAAANSUhEUg=="}]}  # fmt: skip

CHANGES: dict[str, tuple[list[Any], list[str]]] = {
    "argument_changed": ([[[CALL]]], ['code "HB-20x" instead of "HB-20"', "count 3 instead of 2", "paid false", "tags []"]),
    "argument_dropped": ([[[CALL]]], ["without code", "without count", "without paid", "without tags"]),
    "argument_type": ([[[CALL]]], ['code ["HB-20"]', 'count "2"', 'paid "True"', 'tags "x"']),
    "call_omitted": ([[[CALL, OTHER_CALL]]], ["find was not called", "cancel was not called"]),
    "call_doubled": ([[[CALL]]], ["find was called twice"]),
    "call_added": ([[[CALL]], [[text("Done.")]]], ["find was called"]),
    "calls_reordered": ([[[CALL, OTHER_CALL]]], ["cancel was called before find"]),
    "call_other_tool": ([[[CALL]]], ["cancel was called instead of find"]),
    "number_changed": ([[[text(ONE_TEXT)]]], ["'14:30' became '14:31'"]),
    "date_changed": ([[[text("On 2026-05-04 or in May.")]]], ["'2026-05-04' became '2026-05-05'", "'May' became 'June'"]),
    "name_changed": ([[[text(ONE_TEXT)]]], ["'Ada' became 'Zanzibar'"]),
    "negation_flipped": ([[[text(ONE_TEXT)]]], ["'It is not late, said' became 'It is late, said'"]),
    "answer_cut": ([[[text(ONE_TEXT)]]], ["the answer ends after"]),
    "answer_emptied": ([[[text(ONE_TEXT)]]], ["the answer is empty"]),
    "answer_other_language": ([[[text(ONE_TEXT)]]], ["the answer became"]),
    "answer_refused": ([[[text(ONE_TEXT)]]], ["can't help"]),
    "secret_added": ([[[text(ONE_TEXT)]]], ["password"]),
    "insult_added": ([[[text(ONE_TEXT)]]], ["idiot"]),
    "instructions_quoted": ([[[text(ONE_TEXT)]]], ["the instructions were printed"]),
    "answer_verbose": ([[[text("Yes.")]]], ["20 characters instead of 4"]),
    "turn_forgotten": ([[[text("One.")]], [[text("Two.")]]], ["not sure what you mean"]),
    "citation_dropped": ([[[CITED]]], ["a.org"]),
    "citation_moved": ([[[CITED]]], ["is after the end of the text"]),
    "citation_domain": ([[[CITED]]], ["example.net is cited"]),
    "claim_uncited": ([[[CITED]]], ["without a source"]),
    "field_missing": ([[[DOCUMENT]]], ["name is missing", "age is missing", "tags is missing"]),
    "field_null": ([[[DOCUMENT]]], ["name is null", "age is null", "tags is null"]),
    "field_extra": ([[[DOCUMENT]]], ["comment"]),
    "field_type": ([[[DOCUMENT]]], ["name", "age", "tags"]),
    "media_type": ([[[PICTURE]]], ["image/webp instead of image/png"]),
    "media_cut": ([[[PICTURE]]], ["ends in the middle"]),
    "usage_doubled": ([[[text("One.")]]], ["200 tokens instead of 100"]),
    "thought_lost": ([[[THOUGHT, text("One.")]], [[text("Two.")]]], ["request 2"]),
    "signature_lost": ([[[THOUGHT, text("One.")]], [[text("Two.")]]], ["request 2"]),
    "signature_altered": ([[[THOUGHT, text("One.")]], [[text("Two.")]]], ["request 2"]),
    "history_truncated": ([[[text("One.")]], [[text("Two.")]]], ["request 2"]),
    "history_rewritten": ([[[text("One.")]], [[text("Two.")]]], ["request 2"]),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_what_an_operator_changes(name: str) -> None:
    turns, expected = CHANGES[name]
    found = mutants(name, conversation(*turns))
    assert len(found) == len(expected), [one.change for one in found]
    for mutant, part in zip(found, expected, strict=True):
        assert part in mutant.change
        assert mutant.operator == name
        assert mutant.answers or mutant.requests


@pytest.mark.parametrize("name", ["stream_cut", "stream_reordered"])
def test_operators_of_streams(name: str) -> None:
    plain = conversation([[text("One two three.")]])
    streamed = conversation([[text("One two three.")]], streamed=True)
    assert not mutants(name, plain)
    assert len(mutants(name, streamed)) == 1


def test_a_moved_citation_is_wholly_outside_the_text() -> None:
    (mutant,) = mutants("citation_moved", conversation([[CITED]]))
    (changed,) = mutant.answers.values()
    assert isinstance(changed, dict)
    (citation,) = changed["steps"][0]["content"][0]["annotations"]
    assert (citation["start_index"], citation["end_index"]) == (100_000, 100_005)


def test_every_operator_is_in_these_tests() -> None:
    assert {*CHANGES, "stream_cut", "stream_reordered"} == set(OPERATORS)


@pytest.mark.parametrize("name", OPERATORS)
def test_nothing_to_change_yields_no_mutant(name: str) -> None:
    assert not mutants(name, conversation())
    empty = conversation([[]], [[]])
    assert all(one.operator in ("usage_doubled",) for one in mutants(name, empty))


def test_a_long_answer_needs_little_memory() -> None:
    transcript = conversation([[text(" ".join(str(number) for number in range(10, 4_000)))]])
    tracemalloc.start()
    chosen = mutants_of(Recorded(transcript, []), ["number_changed"], 3, Random(1))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(chosen) == 3
    assert peak < 5 << 20


WORDS = st.text(alphabet='aA1 .,:-\n{}[]"not is May 2026-01-31é😀', max_size=40)
STEPS = st.one_of(
    WORDS.map(text),
    st.just(THOUGHT),
    st.just(CALL),
    st.just(OTHER_CALL),
    st.just(CITED),
    st.just(DOCUMENT),
    st.just(PICTURE),
    st.sampled_from([{"type": "model_output"}, {"type": "unknown", "x": 1}, {"type": "model_output", "content": "bare"}]),
)  # fmt: skip
TURNS = st.lists(st.lists(st.lists(STEPS, max_size=4), max_size=2), max_size=3)


@settings(max_examples=60, deadline=None)
@given(TURNS, st.integers(0, 3))
def test_mutants_differ_and_the_recording_stays(turns: list[Any], seed: int) -> None:
    transcript = conversation(*turns)
    before = json.dumps([turn.to_json() for turn in transcript.turns])
    recorded = Recorded(transcript, ["find", "cancel"])
    chosen = mutants_of(recorded, tuple(OPERATORS), 2, Random(seed))
    again = mutants_of(recorded, tuple(OPERATORS), 2, Random(seed))
    assert [one.change for one in chosen] == [one.change for one in again]
    interactions = {one.number: one.interaction for one in transcript.exchanges}
    for mutant in chosen:
        for number, changed in mutant.answers.items():
            # Two equal calls that change places: such a mutant is equivalent.
            is_swap = mutant.operator == "calls_reordered"
            assert is_swap or changed != interactions[number], mutant
    assert json.dumps([turn.to_json() for turn in transcript.turns]) == before
