from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit._lib.json import JSON, equal
from evalkit.protocol.sse import SseParser, events_of_frames, read_events
from evalkit.protocol.step_reader import output_text, steps_of, text_blocks
from evalkit.protocol.stream_assembler import (
    AssembledStream,
    assemble,
    assemble_rest,
    events_until,
)
from evalkit.protocol.stream_order import (
    PROBLEMS,
    STEP,
    STEP_END,
    STREAM,
    STREAM_END,
    StreamProblem,
)
from tests.protocol import strategies
from tests.protocol.streams import (
    ANNOTATIONS,
    PLAIN,
    PLAIN_STEPS,
    SEARCH,
    STREAMS,
    THOUGHT,
    THOUGHT_STEP,
    WHOLE,
    Stream,
    base64_of,
    completed,
    created,
    delta,
    failed,
    running,
    start,
    stop,
)


def assemble_text(text: str) -> AssembledStream:
    events, _, garbage = read_events(text)
    return assemble(events, garbage=garbage)


def codes(result: AssembledStream) -> list[str]:
    return [problem.code for problem in result.problems]


@pytest.mark.parametrize("stream", STREAMS, ids=str)
def test_streams_give_the_steps_of_the_plain_response(stream: Stream) -> None:
    result = assemble_text(stream.text)
    assert result.interaction is not None
    assert result.interaction["steps"] == stream.steps
    assert codes(result) == stream.codes
    assert result.complete is stream.complete


@pytest.mark.parametrize("stream", STREAMS, ids=str)
def test_truncated_streams_are_read_and_are_not_complete(stream: Stream) -> None:
    data = stream.text.encode()
    completed_at = stream.text.find('"event_type": "interaction.completed"')
    is_complete = False
    for cut in range(len(data)):
        parser = SseParser()
        events, _, garbage = events_of_frames(parser.feed(data[:cut]) + parser.close())
        result = assemble(events, garbage=garbage)
        assert result.complete >= is_complete, "a complete stream stays complete"
        is_complete = result.complete
        assert is_complete or result.problems
        assert not is_complete or 0 < completed_at < cut
        assert _all_text(stream.steps).startswith(_all_text(steps_of(result.interaction or {})))
    assert is_complete or not stream.complete or stream.text.endswith("}")


def _all_text(steps: list[JSON]) -> str:
    return "".join(block.text for block in text_blocks(steps))


def test_the_interaction_is_built_from_created_updates_and_completed() -> None:
    result = assemble(
        [created(), running(status="queued"), *THOUGHT, completed(updated="2026-01-02T03:04:05Z")]
    )
    assert result.interaction == {
        "id": "v1_one",
        "status": "completed",
        "object": "interaction",
        "model": "m-1",
        "usage": {"total_tokens": 9},
        "updated": "2026-01-02T03:04:05Z",
        "steps": [THOUGHT_STEP],
    }


def test_a_response_that_is_not_stored_has_no_id() -> None:
    result = assemble(SEARCH)
    assert result.interaction is not None
    assert "id" not in result.interaction
    assert result.problems == []


def test_an_id_may_arrive_late() -> None:
    result = assemble([created(""), running("v1_late"), completed("")])
    assert result.interaction is not None
    assert result.interaction["id"] == "v1_late"
    assert result.problems == []


def test_a_broken_stream_gives_what_arrived() -> None:
    result = assemble(
        [
            *PLAIN[:-1],
            {
                "event_type": "interaction.status_update",
                "status": "incomplete",
                "usage": {"total_tokens": 3},
            },
        ]
    )
    assert result.interaction == {
        **created()["interaction"],
        "status": "incomplete",
        "usage": {"total_tokens": 3},
        "steps": PLAIN_STEPS,
    }
    assert codes(result) == ["completed_missing", "step_not_stopped"]
    assert not result.complete


def test_running_usage_replaces_a_missing_final_one() -> None:
    result = assemble([created(), start(0, "thought"), stop(0, usage={"total_tokens": 7})])
    assert result.interaction is not None
    assert result.interaction["usage"] == {"total_tokens": 7}


def test_steps_are_in_the_order_of_their_index() -> None:
    events = [created(), start(1, "b"), start(0, "a"), stop(0), stop(1), completed()]
    assert [step["type"] for step in steps_of(assemble(events).interaction or {})] == ["a", "b"]


def test_streams_without_an_interaction_give_none() -> None:
    assert assemble([]) == (
        None,
        [StreamProblem("empty_stream", "the stream has no event", 0)],
        None,
        False,
    )
    assert assemble([failed("x", "y")]).interaction is None


def test_the_error_is_returned_unchanged() -> None:
    result = assemble([created(), failed(400, "Bad\x1b[31m"), completed(status="failed")])
    assert result.error == {"code": 400, "message": "Bad\x1b[31m"}
    assert result.problems == [
        StreamProblem("error_event", "the service broke off: 400: Bad<U+001B>[31m", 2)
    ]
    assert result.complete


def step_of(*events: JSON) -> tuple[JSON, list[str]]:
    """Return the one step of a stream of a start and deltas, and the codes."""
    result = assemble([created(), *events, stop(0), completed()])
    assert result.interaction is not None
    (step,) = result.interaction["steps"]
    return step, codes(result)


TEXT = {"type": "text", "text": "ab"}
FOLDS: list[tuple[str, list[JSON], JSON]] = [
    ("no delta", [start(0, "model_output")], {}),
    (
        "text",
        [start(0, "model_output"), delta(0, "text", text="a"), delta(0, "text", text="b")],
        {"content": [TEXT]},
    ),
    (
        "empty text",
        [start(0, "model_output"), delta(0, "text", text="")],
        {"content": [{"type": "text", "text": ""}]},
    ),
    (
        "text continues start",
        [
            start(0, "model_output", content=[{"type": "text", "text": "a"}]),
            delta(0, "text", text="b"),
        ],
        {"content": [TEXT]},
    ),
    (
        "text continues a string",
        [start(0, "model_output", content="a"), delta(0, "text", text="b")],
        {"content": [TEXT]},
    ),
    (
        "text with more fields",
        [start(0, "model_output"), delta(0, "text", text="ab", x=1)],
        {"content": [{**TEXT, "x": 1}]},
    ),
    (
        "text that continues with more fields",
        [
            start(0, "model_output"),
            delta(0, "text", text="a"),
            delta(0, "text", text="b", x=1),
            delta(0, "text", text=""),
        ],
        {"content": [{**TEXT, "x": 1}]},
    ),
    (
        "text that continues without type, with more fields",
        [
            start(0, "model_output"),
            delta(0, "text", text="a"),
            {"event_type": "step.delta", "index": 0, "delta": {"text": "b", "x": 1}},
        ],
        {"content": [{**TEXT, "x": 1}]},
    ),
    (
        "text with annotations",
        [start(0, "model_output"), delta(0, "text", text="ab", annotations=ANNOTATIONS[:1])],
        {"content": [{**TEXT, "annotations": ANNOTATIONS[:1]}]},
    ),
    (
        "text without type",
        [
            start(0, "model_output"),
            {"event_type": "step.delta", "index": 0, "delta": {"text": "ab"}},
        ],
        {"content": [TEXT]},
    ),
    (
        "text cut inside an emoji",
        [
            start(0, "model_output"),
            delta(0, "text", text="a\ud83d"),
            delta(0, "text", text="\ude00b"),
        ],
        {"content": [{"type": "text", "text": "a😀b"}]},
    ),
    (
        "annotations in two deltas, one of the older name",
        [
            start(0, "model_output"),
            delta(0, "text", text="ab"),
            delta(0, "text_annotation", annotations=ANNOTATIONS[:1]),
            delta(0, "text_annotation_delta", annotations=ANNOTATIONS[1:]),
        ],
        {"content": [{**TEXT, "annotations": ANNOTATIONS}]},
    ),
    (
        "annotations before, after and between text",
        [
            start(0, "model_output"),
            delta(0, "text_annotation_delta", annotations=[]),
            delta(0, "text", text="a"),
            delta(0, "text_annotation_delta", annotations=ANNOTATIONS),
            delta(0, "text", text="b"),
        ],
        {"content": [{**TEXT, "annotations": ANNOTATIONS}]},
    ),
    (
        "annotations belong to the last text, after an image too",
        [
            start(0, "model_output"),
            delta(0, "text", text="ab"),
            delta(0, "image", data="AA=="),
            delta(0, "text_annotation_delta", annotations=ANNOTATIONS),
        ],
        {"content": [{**TEXT, "annotations": ANNOTATIONS}, {"type": "image", "data": "AA=="}]},
    ),
    (
        "images are not joined",
        [start(0, "model_output"), delta(0, "image", data="AA=="), delta(0, "image", data="AA==")],
        {"content": [{"type": "image", "data": "AA=="}, {"type": "image", "data": "AA=="}]},
    ),
    (
        "audio chunks are joined decoded, not as text",
        [
            start(0, "model_output"),
            delta(0, "audio", data=base64_of(b"a")),
            delta(0, "audio", data=base64_of(b"b")),
        ],
        {"content": [{"type": "audio", "data": base64_of(b"ab")}]},
    ),
    (
        "audio that is not base64 is a separate block",
        [
            start(0, "model_output"),
            delta(0, "audio", data="?"),
            delta(0, "audio", data=base64_of(b"b")),
        ],
        {"content": [{"type": "audio", "data": "?"}, {"type": "audio", "data": base64_of(b"b")}]},
    ),
    (
        "audio by reference is a separate block",
        [
            start(0, "model_output"),
            delta(0, "audio", data=base64_of(b"a")),
            delta(0, "audio", uri="https://x.example/a"),
        ],
        {
            "content": [
                {"type": "audio", "data": base64_of(b"a")},
                {"type": "audio", "uri": "https://x.example/a"},
            ]
        },
    ),
    (
        "signature",
        [start(0, "thought", signature=""), delta(0, "thought_signature", signature="s")],
        {"signature": "s"},
    ),
    (
        "last signature that is not empty",
        [
            start(0, "thought"),
            *(delta(0, "thought_signature", signature=value) for value in ("s", "t", "")),
        ],
        {"signature": "t"},
    ),
    ("empty signature of a thought stays", [start(0, "thought", signature="")], {"signature": ""}),
    (
        "empty signature of a call goes",
        [start(0, "function_call", id="c", arguments={}, signature="")],
        {"id": "c", "arguments": {}},
    ),
    (
        "empty signature of a call stays where a delta gives it",
        [
            start(0, "file_search_call", id="c", signature=""),
            delta(0, "file_search_call", signature=""),
        ],
        {"id": "c", "signature": ""},
    ),
    (
        "signature on a call",
        [
            start(0, "function_call", id="c", arguments={}, signature=""),
            delta(0, "thought_signature", signature="s"),
        ],
        {"id": "c", "arguments": {}, "signature": "s"},
    ),
    (
        "summary without type",
        [start(0, "thought"), {"event_type": "step.delta", "index": 0, "delta": {"content": TEXT}}],
        {"summary": [TEXT]},
    ),
    (
        "arguments in pieces",
        [
            start(0, "function_call", arguments={}),
            *(delta(0, "arguments_delta", arguments=piece) for piece in ('{"a', '": [1', ".50]}")),
        ],
        {"arguments": {"a": [1.5]}},
    ),
    (
        "no arguments",
        [start(0, "function_call", arguments={"a": 1}), delta(0, "arguments_delta", arguments=" ")],
        {"arguments": {}},
    ),
    (
        "typed arguments are merged",
        [
            start(0, "mcp_server_tool_call", arguments={"a": 1}),
            delta(0, "mcp_server_tool_call", arguments={"b": 2}, name="n"),
        ],
        {"arguments": {"a": 1, "b": 2}, "name": "n"},
    ),
    (
        "a result is set",
        [
            start(0, "url_context_result", call_id="u"),
            delta(0, "url_context_result", result=[{"status": "error"}], is_error=True),
        ],
        {"call_id": "u", "result": [{"status": "error"}], "is_error": True},
    ),
    (
        "a result may be absent",
        [start(0, "file_search_result", call_id="u"), delta(0, "file_search_result")],
        {"call_id": "u"},
    ),
    (
        "an unknown delta changes nothing",
        [start(0, "model_output"), delta(0, "sparkle", text="x")],
        {},
    ),
]


@pytest.mark.parametrize(
    ("events", "expected"), [row[1:] for row in FOLDS], ids=[row[0] for row in FOLDS]
)
def test_deltas_are_folded_into_their_step(events: list[JSON], expected: JSON) -> None:
    step, result = step_of(*events)
    assert {key: value for key, value in step.items() if key != "type"} == expected
    assert result == []


MISFITS: list[tuple[str, list[JSON], str]] = [
    (
        "text in a call",
        [start(0, "function_call"), delta(0, "text", text="a")],
        "delta_does_not_fit",
    ),
    ("text in a thought", [start(0, "thought"), delta(0, "text", text="a")], "delta_does_not_fit"),
    (
        "text of a wrong type",
        [start(0, "model_output"), delta(0, "text", text=None)],
        "delta_does_not_fit",
    ),
    (
        "image in a result",
        [start(0, "google_search_result"), delta(0, "image", data="AA==")],
        "delta_does_not_fit",
    ),
    (
        "audio in a thought",
        [start(0, "thought"), delta(0, "audio", data="AA==")],
        "delta_does_not_fit",
    ),
    (
        "annotations in a thought",
        [start(0, "thought"), delta(0, "text_annotation_delta", annotations=[])],
        "delta_does_not_fit",
    ),
    (
        "annotations of a wrong type",
        [start(0, "model_output"), delta(0, "text_annotation_delta")],
        "delta_does_not_fit",
    ),
    (
        "summary in an output",
        [start(0, "model_output"), delta(0, "thought_summary", content=TEXT)],
        "delta_does_not_fit",
    ),
    (
        "summary of a wrong type",
        [start(0, "thought"), delta(0, "thought_summary", content="a")],
        "delta_does_not_fit",
    ),
    (
        "signature of a wrong type",
        [start(0, "thought"), delta(0, "thought_signature", signature=3)],
        "delta_does_not_fit",
    ),
    (
        "arguments in an output",
        [start(0, "model_output"), delta(0, "arguments_delta", arguments="{}")],
        "delta_does_not_fit",
    ),
    (
        "arguments of a wrong type",
        [start(0, "function_call"), delta(0, "arguments_delta")],
        "delta_does_not_fit",
    ),
    (
        "another tool's call",
        [start(0, "google_search_call"), delta(0, "url_context_call", arguments={})],
        "delta_does_not_fit",
    ),
    (
        "a result in a call",
        [start(0, "google_search_call"), delta(0, "google_search_result", result=[])],
        "delta_does_not_fit",
    ),
    (
        "no type",
        [start(0, "thought"), {"event_type": "step.delta", "index": 0, "delta": {"x": 1}}],
        "delta_type_missing",
    ),
    (
        "cut arguments",
        [start(0, "function_call"), delta(0, "arguments_delta", arguments='{"a"')],
        "arguments_not_json",
    ),
    (
        "arguments of another kind",
        [start(0, "function_call"), delta(0, "arguments_delta", arguments="[1]")],
        "arguments_not_object",
    ),
]


@pytest.mark.parametrize(
    ("events", "code"), [row[1:] for row in MISFITS], ids=[row[0] for row in MISFITS]
)
def test_deltas_that_do_not_fit_are_named(events: list[JSON], code: str) -> None:
    assert step_of(*events)[1] == [code]


def test_arguments_that_are_no_json_stay_the_text_they_came_as() -> None:
    step, _ = step_of(
        start(0, "function_call", arguments={}), delta(0, "arguments_delta", arguments='{"a"')
    )
    assert step["arguments"] == '{"a"'


def test_arguments_given_as_object_are_taken_and_named() -> None:
    step, result = step_of(
        start(0, "function_call", arguments={}), delta(0, "arguments_delta", arguments={"a": 1})
    )
    assert (step["arguments"], result) == ({"a": 1}, ["delta_does_not_fit"])


STEP_BODY = PLAIN[2:]
ORDER: list[tuple[str, list[JSON], list[tuple[str, int]]]] = [
    ("as it should be", WHOLE, []),
    ("unknown events anywhere", [{"event_type": "x"}, *WHOLE, {"event_type": "y"}], []),
    ("several status updates", [created(), running(), running(), *STEP_BODY, completed()], []),
    ("no created", WHOLE[2:], [("created_missing", 1)]),
    (
        "created late",
        [running(), created(), completed()],
        [("created_missing", 1), ("created_twice", 2)],
    ),
    ("created twice", [created(), created(), completed()], [("created_twice", 2)]),
    ("created is all", [created()], [("completed_missing", 1)]),
    ("only unknown events", [{"event_type": "x"}], [("completed_missing", 1)]),
    ("completed is all", [completed()], [("created_missing", 1)]),
    ("completed twice", [created(), completed(), completed()], [("completed_twice", 3)]),
    ("more after completed", [*WHOLE, running(), running()], [("event_after_completed", 11)]),
    (
        "a step after completed",
        [created(), completed(), start(0, "x"), stop(0)],
        [("event_after_completed", 3), ("event_after_completed", 4)],
    ),
    ("error", [created(), failed()], [("error_event", 2)]),
    ("error at once", [failed()], [("error_event", 1)]),
    ("error after completed", [*WHOLE, failed()], [("error_recovered", 11)]),
    ("error of the model after completed", [*WHOLE, failed("safety")], [("error_event", 11)]),
    (
        "no object",
        [created(), [1], "x", completed()],
        [("event_not_object", 2), ("event_not_object", 3)],
    ),
    ("no event type", [created(), {"index": 0}, completed()], [("event_type_missing", 2)]),
    (
        "created of nothing",
        [{"event_type": "interaction.created"}, completed()],
        [("field_missing", 1)],
    ),
    (
        "start without index",
        [created(), {"event_type": "step.start", "step": {"type": "x"}}, stop(0), completed()],
        [("field_missing", 2)],
    ),
    (
        "start without step",
        [created(), {"event_type": "step.start", "index": 0}, stop(0), completed()],
        [("field_missing", 2)],
    ),
    (
        "start without type",
        [created(), {"event_type": "step.start", "index": 0, "step": {}}, stop(0), completed()],
        [("field_missing", 2)],
    ),
    (
        "delta without delta",
        [created(), start(0, "x"), {"event_type": "step.delta", "index": 0}, stop(0), completed()],
        [("field_missing", 3)],
    ),
    (
        "index as text",
        [
            created(),
            {"event_type": "step.start", "index": "0", "step": {"type": "x"}},
            stop(0),
            completed(),
        ],
        [],
    ),
    (
        "index as a float",
        [
            created(),
            {"event_type": "step.start", "index": 0.0, "step": {"type": "x"}},
            {"event_type": "step.stop", "index": 0.0},
            completed(),
        ],
        [],
    ),
    (
        "index beyond integers",
        [
            created(),
            {"event_type": "step.start", "index": float("inf"), "step": {"type": "x"}},
            stop(0),
            completed(),
        ],
        [("field_missing", 2)],
    ),
    (
        "id changed",
        [created("a"), running("b"), completed("c")],
        [("id_changed", 2), ("id_changed", 3)],
    ),
    (
        "status conflict",
        [created(), running(status="failed"), completed()],
        [("status_conflict", 3)],
    ),
    (
        "status of the end announced",
        [created(), running(status="incomplete"), completed(status="incomplete")],
        [],
    ),
    (
        "completed but running",
        [created(), completed(status="in_progress")],
        [("status_running", 2)],
    ),
    (
        "index gap",
        [created(), start(0, "x"), stop(0), start(2, "x"), stop(2), completed()],
        [("index_gap", 4)],
    ),
    ("steps overlap", [created(), start(0, "x"), start(1, "x"), stop(0), stop(1), completed()], []),
    (
        "started twice",
        [created(), start(0, "x"), start(0, "y"), stop(0), completed()],
        [("start_twice", 3)],
    ),
    (
        "started again after stop",
        [created(), start(0, "x"), stop(0), start(0, "y"), completed()],
        [("start_twice", 4)],
    ),
    (
        "deltas before start, reported once per step",
        [
            created(),
            delta(0, "text", text="a"),
            delta(0, "text", text="b"),
            start(0, "model_output"),
            stop(0),
            completed(),
        ],
        [("delta_before_start", 2)],
    ),
    (
        "delta after stop",
        [created(), start(0, "model_output"), stop(0), delta(0, "text", text="a"), completed()],
        [("delta_after_stop", 4)],
    ),
    ("stop without start", [created(), stop(0), completed()], [("stop_without_start", 2)]),
    (
        "stopped twice",
        [created(), start(0, "x"), stop(0), stop(0), completed()],
        [("stop_twice", 4)],
    ),
    ("never stopped", [created(), start(0, "x"), completed()], [("step_not_stopped", 3)]),
    ("steps in completed that agree", [*PLAIN, completed(steps=PLAIN_STEPS)], []),
    ("steps in completed that differ", [*PLAIN, completed(steps=[])], [("steps_conflict", 10)]),
]


@pytest.mark.parametrize(
    ("events", "expected"), [row[1:] for row in ORDER], ids=[row[0] for row in ORDER]
)
def test_problems_are_named_with_their_event(
    events: list[JSON], expected: list[tuple[str, int]]
) -> None:
    assert [(problem.code, problem.event) for problem in assemble(events).problems] == expected


def test_each_code_is_reported_once_per_step() -> None:
    misfits = [
        delta(index, kind, text="a", data="AA==") for kind in ("text", "image") for index in (0, 1)
    ]
    result = assemble(
        [
            created(),
            start(0, "thought"),
            start(1, "thought"),
            *misfits,
            stop(0),
            stop(1),
            completed(),
        ]
    )
    assert [(problem.code, problem.event) for problem in result.problems] == [
        ("delta_does_not_fit", 4),
        ("delta_does_not_fit", 5),
    ]
    assert "index 1 does not fit: text in a thought step" in result.problems[1].message


def test_different_wrong_events_are_reported_separately() -> None:
    result = assemble([created(), [], [], "x", completed()])
    assert [(problem.message, problem.event) for problem in result.problems] == [
        ("the event is not a JSON object but array", 2),
        ("the event is not a JSON object but string", 4),
    ]


def test_steps_may_arrive_in_completed_only() -> None:
    result = assemble([created(), completed(steps=PLAIN_STEPS)])
    assert result.interaction is not None
    assert (result.interaction["steps"], result.problems) == (PLAIN_STEPS, [])


def test_events_after_completed_change_no_field() -> None:
    late = [
        created("v1_two", model="m-2"),
        running("v1_two"),
        completed("v1_two", status="failed"),
        start(0, "x"),
        stop(0),
    ]
    result = assemble([created(), completed(), *late])
    assert result.interaction == {**completed()["interaction"], "steps": [{"type": "x"}]}
    assert codes(result) == [
        "event_after_completed",
        "event_after_completed",
        "completed_twice",
        "event_after_completed",
        "event_after_completed",
    ]


def test_garbage_is_a_problem_and_counts_as_an_event() -> None:
    result = assemble_text(
        'data: {"event_type": "interaction.created", "interaction": {}}\n\ndata: {"x\n\ndata: 7\n\n'
    )
    assert [(problem.code, problem.event) for problem in result.problems] == [
        ("event_not_json", 2),
        ("event_not_object", 3),
        ("completed_missing", 3),
    ]
    assert result.problems[0].to_json() == {
        "code": "event_not_json",
        "message": "the event's data is not JSON: {\"x",
        "event": 2,
    }


def test_every_problem_is_tested() -> None:
    tested = (
        {code for *_, rows in ORDER for code, _ in rows}
        | {code for *_, code in MISFITS}
        | {"empty_stream", "event_not_json"}
    )
    assert tested == set(PROBLEMS)


def test_the_tables_use_defined_states_and_problems() -> None:
    for table in (STREAM, STEP):
        transitions = [item for row in table.values() for item in row.values()]
        assert {item.state for item in transitions} <= set(table)
        assert {item.problem for item in transitions} - {None} <= set(PROBLEMS)
        assert len({frozenset(row) for row in table.values()}) == 1, (
            "every state has a transition for every event"
        )
    assert set(STREAM_END) == set(STREAM)
    assert {"absent", *STEP_END} == set(STEP)


@given(st.lists(strategies.events, max_size=8))
def test_any_events_are_assembled_and_not_changed(events: list[JSON]) -> None:
    before = copy.deepcopy(events)
    result = assemble(events)
    assert equal(events, before)
    assert all(
        problem.code in PROBLEMS and 0 <= problem.event <= len(events)
        for problem in result.problems
    )
    assert result.complete or result.problems
    assert result.interaction is None or isinstance(result.interaction["steps"], list)


def test_a_long_answer_takes_linear_time() -> None:
    deltas = [delta(0, "text", text="x" * 400) for _ in range(20_000)]
    result = assemble([created(), start(0, "model_output"), *deltas, stop(0), completed()])
    assert len(output_text(steps_of(result.interaction or {}))) == 8_000_000


EMPTY_ERROR: JSON = {"event_type": "error"}


@pytest.mark.parametrize(
    "error",
    [
        EMPTY_ERROR,
        {"event_type": "error", "error": {}},
        {"event_type": "error", "error": None},
        failed("service_unavailable"),
        failed(503),
    ],
)
@pytest.mark.parametrize("position", [0, 1, 4, 10])
def test_a_stream_that_is_completed_in_spite_of_an_error_has_none(
    error: JSON, position: int
) -> None:
    result = assemble([*WHOLE[:position], error, *WHOLE[position:]])
    assert (codes(result), result.error, result.complete) == (["error_recovered"], None, True)
    assert result.interaction == assemble(WHOLE).interaction


@pytest.mark.parametrize(
    "events",
    [
        [created(), EMPTY_ERROR],
        [created(), failed("safety"), completed()],
        [created(), failed("api_error"), completed(status="failed")],
        [created(), failed("api_error"), running()],
    ],
)
def test_an_error_that_ends_a_stream_is_its_error(events: list[JSON]) -> None:
    result = assemble(events)
    assert result.error is not None
    assert codes(result) == ["error_event"]


NUMBERED = [{**event, "event_id": str(number)} for number, event in enumerate(WHOLE, 1)]


@pytest.mark.parametrize("cut", range(1, len(NUMBERED)))
@pytest.mark.parametrize("received", [0, 2])
def test_a_resumed_stream_is_one_stream(cut: int, received: int) -> None:
    """The client may have stopped reading before the last event that was received."""
    before = events_until(NUMBERED[: cut + received], str(cut))
    assert before == NUMBERED[:cut]
    assert assemble_rest(before, NUMBERED[cut:]) == assemble(NUMBERED)


def test_the_problems_of_a_resumed_stream_are_those_of_the_rest() -> None:
    before = [created(), created(), start(0, "thought")]
    result = assemble_rest(before, [stop(0), stop(0), completed()])
    assert [(problem.code, problem.event) for problem in result.problems] == [("stop_twice", 2)]


@pytest.mark.parametrize("cut", range(1, len(WHOLE)))
def test_without_its_beginning_a_stream_has_no_steps_and_no_problems(cut: int) -> None:
    result = assemble_rest([], WHOLE[cut:])
    assert (result.problems, result.complete) == ([], True)
    assert result.interaction is not None
    assert "steps" not in result.interaction
    assert result.interaction["status"] == "completed"


def test_events_without_ids_are_all_received() -> None:
    assert events_until(WHOLE, "3") == WHOLE
