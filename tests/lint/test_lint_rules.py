"""Every rule of the table: a cassette or folder that it reports, and valid ones without findings."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from evalkit._lib.json import JSON
from evalkit.cassette.files import MediaFolder
from evalkit.cassette.journal import SUFFIX, CassetteJournal, JournalEntry, entry_line
from evalkit.cassette.recording import Recording
from evalkit.lint import RULES, linter
from evalkit.lint.cassette_view import CassetteView
from evalkit.lint.rules import RuleFinding
from tests.lint.cassettes import (
    COMPLETED,
    CREATED,
    DELTA,
    KEY,
    START,
    STOP,
    URI,
    VALID_STREAM,
    create_request,
    function_call,
    function_result,
    image,
    interaction,
    lint_codes,
    lint_findings,
    model_output,
    png,
    recording,
    stream_recording,
    thought,
    user_input,
    write,
)

NOW = datetime(2026, 11, 22, tzinfo=UTC)
METADATA = {"format": 1, "recorded": "2026-11-20T00:00:00Z", "api_revision": "2026-05-20"}
SUITE = "suite: weather\nscenarios:\n  - id: london\n    model: gemini-3.5-flash\n    turns:\n      - user: Hi\n"


def stateless(
    *second_input: JSON, first: tuple[JSON, ...] = (thought(), model_output("Nice!"))
) -> list[Recording]:
    """Return two exchanges of a stateless conversation."""
    return [
        recording(create_request(store=False, input=[user_input()]), interaction(*first, id=None)),
        recording(create_request(store=False, input=list(second_input)), interaction(id=None)),
    ]


def stateful(request: JSON, *responses: JSON) -> list[Recording]:
    """Return a stateful conversation whose first response calls a function."""
    first = recording(
        create_request(), interaction(thought(), function_call(), status="requires_action")
    )
    return [
        first,
        *(recording(request, response) for response in responses or (interaction(id="v1_b"),)),
    ]


def search_interaction(*steps: JSON) -> JSON:
    """Return an interaction with steps of a search before its text."""
    return interaction(*steps, model_output("Found."))


SEARCH_CALL = {"type": "google_search_call", "id": "s1", "arguments": {"queries": ["x"]}}
SEARCH_RESULT = {
    "type": "google_search_result",
    "call_id": "s1",
    "result": [{"search_suggestions": "<b>x</b>"}],
}
NUMBERED_STREAM = [
    {"event_id": str(number)} | event  # type: ignore[operator]
    for number, event in enumerate(VALID_STREAM, 1)
]
RESUMED = f"{URI}/v1_a?stream=true&last_event_id="
OTHER_REVISION = {**METADATA, "api_revision": "2027-01-01"}

INVALID_CASSETTES: dict[str, list[Recording]] = {
    # history
    "step_missing": stateless(user_input(), model_output("Nice!"), user_input("More")),
    "step_altered": stateless(user_input(), thought(), model_output("Nice?"), user_input("More")),
    "step_reordered": stateless(user_input(), model_output("Nice!"), thought(), user_input("More")),
    "step_duplicated": stateless(
        user_input(), thought(), model_output("Nice!"), model_output("Nice!"), user_input("More")
    ),
    "step_invented": stateless(
        user_input(),
        thought(),
        model_output("Nice!"),
        model_output("Never received"),
        user_input("More"),
    ),
    "signature_altered": stateless(
        user_input(), thought("EvEf"), model_output("Nice!"), user_input("More")
    ),
    "null_added": stateless(
        user_input(), {**thought(), "summary": None}, model_output("Nice!"), user_input("More")
    ),
    "null_dropped": stateless(
        user_input(),
        thought(),
        model_output("Nice!"),
        user_input("More"),
        first=({**thought(), "summary": None}, model_output("Nice!")),
    ),
    "input_rewritten": stateless(
        user_input("Ho"), thought(), model_output("Nice!"), user_input("More")
    ),
    "history_truncated": stateless(
        user_input(),
        thought(),
        user_input("More"),
        first=(thought(), model_output("Nice!"), {**model_output("And?")}, model_output("So.")),
    ),
    "previous_unknown": [
        recording(create_request(previous_interaction_id="v1_elsewhere"), interaction())
    ],
    "history_unknown": [
        recording(
            create_request(
                store=False,
                input=[user_input(), thought(), model_output("Nice!"), user_input("More")],
            ),
            interaction(id=None),
        )
    ],
    # stream
    "empty_stream": [stream_recording("")],
    "created_missing": [stream_recording(VALID_STREAM[1:])],
    "created_twice": [stream_recording((CREATED, *VALID_STREAM))],
    "completed_missing": [stream_recording(VALID_STREAM[:-1])],
    "completed_twice": [stream_recording((*VALID_STREAM, COMPLETED))],
    "event_after_completed": [stream_recording((*VALID_STREAM, STOP))],
    "error_recovered": [stream_recording((CREATED, {"event_type": "error"}, *VALID_STREAM[1:]))],
    "stream_cut": [
        stream_recording(VALID_STREAM[:3]),
        recording(None, interaction(), uri=f"{URI}/v1_a", method="GET"),
    ],
    "error_event": [
        stream_recording(
            (
                CREATED,
                START,
                {
                    "event_type": "error",
                    "error": {"code": "gateway_timeout", "message": "Too long."},
                },
            )
        )
    ],
    "event_not_json": [stream_recording('event: x\ndata: {"event_type"\n\n')],
    "event_not_object": [stream_recording("data: [1]\n\n")],
    "event_type_missing": [stream_recording('data: {"index": 0}\n\n')],
    "field_missing": [
        stream_recording((CREATED, {"event_type": "step.start", "index": 0}, STOP, COMPLETED))
    ],
    "id_changed": [
        stream_recording(
            (
                *VALID_STREAM[:-1],
                {**COMPLETED, "interaction": {"id": "v1_b", "status": "completed"}},
            )
        )
    ],
    "status_conflict": [
        stream_recording(
            (
                *VALID_STREAM[:-1],
                {
                    "event_type": "interaction.status_update",
                    "interaction_id": "v1_a",
                    "status": "failed",
                },
                COMPLETED,
            )
        )
    ],
    "status_running": [
        stream_recording(
            (
                *VALID_STREAM[:-1],
                {**COMPLETED, "interaction": {"id": "v1_a", "status": "in_progress"}},
            )
        )
    ],
    "steps_conflict": [
        stream_recording(
            (
                *VALID_STREAM[:-1],
                {
                    **COMPLETED,
                    "interaction": {
                        "id": "v1_a",
                        "status": "completed",
                        "steps": [model_output("Other")],
                    },
                },
            )
        )
    ],
    "index_gap": [
        stream_recording(
            (CREATED, *({**event, "index": 3} for event in (START, DELTA, STOP)), COMPLETED)
        )
    ],
    "start_twice": [stream_recording((CREATED, START, *VALID_STREAM[1:]))],
    "delta_before_start": [stream_recording((CREATED, DELTA, *VALID_STREAM[1:]))],
    "delta_after_stop": [stream_recording((*VALID_STREAM[:-1], DELTA, COMPLETED))],
    "stop_without_start": [stream_recording((CREATED, {**STOP, "index": 7}, *VALID_STREAM[1:]))],
    "stop_twice": [stream_recording((*VALID_STREAM[:-1], STOP, COMPLETED))],
    "step_not_stopped": [stream_recording((CREATED, START, DELTA, COMPLETED))],
    "delta_type_missing": [
        stream_recording((CREATED, START, {**DELTA, "delta": {"foo": 1}}, STOP, COMPLETED))
    ],
    "delta_does_not_fit": [
        stream_recording(
            (
                CREATED,
                START,
                {**DELTA, "delta": {"type": "thought_summary", "content": {}}},
                STOP,
                COMPLETED,
            )
        )
    ],
    "arguments_not_json": [
        stream_recording(
            (
                CREATED,
                {**START, "step": function_call(arguments={})},
                {**DELTA, "delta": {"type": "arguments_delta", "arguments": '{"a'}},
                STOP,
                {**COMPLETED, "interaction": {"id": "v1_a", "status": "requires_action"}},
            )
        )
    ],
    "arguments_not_object": [
        stream_recording(
            (
                CREATED,
                {**START, "step": function_call(arguments={})},
                {**DELTA, "delta": {"type": "arguments_delta", "arguments": "[]"}},
                STOP,
                {**COMPLETED, "interaction": {"id": "v1_a", "status": "requires_action"}},
            )
        )
    ],
    "not_streamed": [recording(create_request(stream=True), interaction())],
    "streamed_unasked": [stream_recording(VALID_STREAM, create_request())],
    "stored_differs": [
        stream_recording(VALID_STREAM),
        recording(
            None, interaction(user_input(), model_output("Other")), method="GET", uri=f"{URI}/v1_a"
        ),
    ],
    "stream_broken": [stream_recording(VALID_STREAM[:2], broken="connection reset")],
    "last_frame_open": [
        stream_recording("".join(f"data: {json.dumps(event)}\n\n" for event in VALID_STREAM)[:-1])
    ],
    # protocol
    "answer_unreadable": [recording(create_request(), "<html>sorry</html>")],
    "content_type_other": [
        recording(create_request(), interaction(), response_headers={"content-type": ["text/html"]})
    ],
    "required_missing": [
        recording(
            create_request(),
            interaction(
                {"type": "function_call", "name": "f", "arguments": {}}, status="requires_action"
            ),
        )
    ],
    "wrong_type": [
        recording(
            create_request(), interaction(function_call(arguments="{}"), status="requires_action")
        )
    ],
    "type_missing": [recording(create_request(), interaction({"content": []}))],
    "steps_missing": [recording(create_request(), {"id": "v1_a", "status": "completed"})],
    "request_incomplete": [
        recording(create_request(input=[{"role": "user", "parts": []}]), interaction())
    ],
    "request_wrong_type": [recording(create_request(store="no"), interaction())],
    # new
    "new_step_type": [
        recording(create_request(), interaction({"type": "daydream", "of": "sheep"}))
    ],
    "new_content_type": [
        recording(
            create_request(),
            interaction({"type": "model_output", "content": [{"type": "hologram"}]}),
        )
    ],
    "new_annotation_type": [
        recording(
            create_request(), interaction(model_output("Hi", annotations=[{"type": "gesture"}]))
        )
    ],
    "new_event_type": [
        stream_recording((CREATED, {"event_type": "step.pause", "index": 0}, *VALID_STREAM[1:]))
    ],
    "new_delta_type": [
        stream_recording((CREATED, START, {**DELTA, "delta": {"type": "smell"}}, STOP, COMPLETED))
    ],
    "new_tool_type": [recording(create_request(tools=[{"type": "crystal_ball"}]), interaction())],
    "new_field": [recording(create_request(), interaction(mood="fine"))],
    "new_request_field": [recording(create_request(mood="fine"), interaction())],
    "new_status": [recording(create_request(), interaction(status="pondering"))],
    "new_error_shape": [recording(create_request(), {"oops": 1}, status=400)],
    # calls
    "result_unpaired": stateful(
        create_request(
            previous_interaction_id="v1_a", input=[function_result(), function_result("c9")]
        )
    ),
    "call_unanswered": stateful(create_request(previous_interaction_id="v1_a", input="Never mind")),
    "thought_unsigned": [
        recording(
            create_request(), interaction(thought(""), function_call(), status="requires_action")
        ),
        recording(
            create_request(previous_interaction_id="v1_a", input=[function_result()]),
            interaction(id="v1_b"),
        ),
    ],
    "call_open": [
        recording(create_request(), interaction(function_call(), status="requires_action"))
    ],
    "server_call_unpaired": [recording(create_request(), search_interaction(SEARCH_CALL))],
    # secrets
    "secret_token": [recording(create_request(input=f"my key is {KEY}"), interaction())],
    "secret_header": [
        recording(
            create_request(),
            interaction(),
            request_headers={"x-goog-api-key": ["s3cr3t-value-123"]},
        )
    ],
    "secret_in_url": [
        recording(create_request(), interaction(), uri=f"{URI}?key=s3cr3t-value-123")
    ],
    "secret_field": [
        recording(
            create_request(environment={"env": {"DB": {"value": "s3cr3t-value-123"}}}),
            interaction(),
        )
    ],
    "private_key": [
        recording(create_request(input="-----BEGIN RSA PRIVATE KEY-----\nMIIE"), interaction())
    ],
    "cookie": [
        recording(
            create_request(),
            interaction(),
            response_headers={
                "content-type": ["application/json"],
                "set-cookie": ["NID=0123456789abc; Path=/"],
            },
        )
    ],
    "account_identifier": [
        recording(
            create_request(),
            interaction(),
            request_headers={"x-goog-user-project": ["123456789012"]},
        )
    ],
    "email_in_header": [
        recording(
            create_request(), interaction(), request_headers={"from": ["jane.doe@corp.example.org"]}
        )
    ],
    # media
    "media_not_base64": [recording(create_request(), interaction(image("a.b")))],
    "media_damaged": [recording(create_request(), interaction(image(png()[:60])))],
    "media_type_differs": [recording(create_request(), interaction(image(png(), "image/jpeg")))],
}

Builder = Callable[[Path], dict[str, Any]]


def _metadata(**fields: JSON) -> Builder:
    def build(folder: Path) -> dict[str, Any]:
        write(
            folder / "c.yaml",
            recording(create_request(), interaction()),
            metadata={**METADATA, **fields},
        )
        return {}

    return build


def _text(name: str, content: str) -> Builder:
    def build(folder: Path) -> dict[str, Any]:
        (folder / name).write_text(content, encoding="utf-8")
        return {}

    return build


def _journal(folder: Path) -> dict[str, Any]:
    journal = CassetteJournal.open(folder / f"c.yaml{SUFFIX}")
    journal.append(entry_line(JournalEntry(recording(create_request(), interaction()))))
    journal.close()
    return {}


def _with_media(folder: Path) -> Path:
    data = png(30_000) if len(png(30_000)) > 40_000 else _noise()
    moved = MediaFolder(folder / "_media").extract(
        recording(create_request(), interaction(image(data)))
    )
    write(folder / "app" / "c.yaml", moved)
    (file,) = (folder / "_media").iterdir()
    return file


def _noise() -> str:
    import base64
    import random

    return base64.b64encode(b"ID3" + random.Random(1).randbytes(40_000)).decode()


def _media_missing(folder: Path) -> dict[str, Any]:
    _with_media(folder).unlink()
    return {}


def _media_altered(folder: Path) -> dict[str, Any]:
    _with_media(folder).write_bytes(b"other")
    return {}


def _media_orphan(folder: Path) -> dict[str, Any]:
    file = _with_media(folder)
    file.with_name("0" * 64 + ".png").write_bytes(b"left over")
    return {}


def _suites(folder: Path, *names: str, suite: str = SUITE) -> dict[str, Any]:
    (folder / "suites").mkdir()
    (folder / "suites" / "weather.yaml").write_text(suite, encoding="utf-8")
    for name in names:
        write(folder / "cassettes" / "weather" / name, recording(create_request(), interaction()))
    return {"suites": (folder / "suites",), "root": folder}


def _missing(folder: Path) -> dict[str, Any]:
    return _suites(
        folder,
        "london.yaml",
        suite=SUITE + SUITE.partition("scenarios:\n")[2].replace("london", "oslo"),
    )


def _unplayed(folder: Path) -> dict[str, Any]:
    write(
        folder / "weather" / "london.yaml",
        recording(create_request(), interaction()),
        recording(create_request(), interaction()),
    )
    run = folder / "run"
    run.mkdir()
    (run / "manifest.json").write_text("{}", encoding="utf-8")
    line = {
        "cassette": "weather/london.yaml",
        "unplayed": ["recording 2: POST /v1beta/interactions"],
    }
    (run / "results.jsonl").write_text(json.dumps(line) + "\n", encoding="utf-8")
    return {"run": run}


def _snapshots(folder: Path, *names: str) -> dict[str, Any]:
    expects = "        expect: [snapshot, {not: {snapshot: {of: json, name: '{{ row }}'}}}]\n    expect: [{snapshot: steps}]\n"
    suite = SUITE.rstrip("\n") + "\n" + expects
    options = _suites(
        folder, "london.yaml", suite=suite.replace("scenarios:", "vars: {row: made}\nscenarios:")
    )
    directory = folder / "suites" / "_snapshots" / "weather"
    directory.mkdir(parents=True)
    for name in ("london.turn1.text.txt", "london.turn1.made.json", "london.steps.txt", *names):
        (directory / name).write_text("\n", encoding="utf-8")
    return options


INVALID_FOLDERS: dict[str, Builder] = {
    "cassette_unreadable": _text("c.yaml", "interactions:\n- request:\n    method: POST\n"),
    "journal_left": _journal,
    "journal_damaged": _text(f"c.yaml{SUFFIX}", "nonsense\nmore\n"),
    "media_missing": _media_missing,
    "media_altered": _media_altered,
    "media_orphan": _media_orphan,
    "stale": lambda folder: {**_metadata(recorded="2026-11-01T00:00:00Z")(folder), "max_age": 7.0},
    "old": _metadata(recorded="2024-01-01T00:00:00Z"),
    "format_other": _metadata(format=2),
    "revision_other": _metadata(api_revision="2027-01-01"),
    "cassette_orphan": lambda folder: _suites(folder, "london.yaml", "paris.yaml"),
    "cassette_missing": _missing,
    "snapshot_orphan": lambda folder: _snapshots(folder, "london.text.txt"),
    "recording_unplayed": _unplayed,
    "suite_unreadable": lambda folder: _suites(folder, suite="suite: weather\nscenarios: 3\n"),
}


def test_every_rule_has_an_invalid_example() -> None:
    assert {*INVALID_CASSETTES, *INVALID_FOLDERS, "rule_crashed"} == set(RULES)


@pytest.mark.parametrize("code", INVALID_CASSETTES)
def test_an_invalid_cassette_is_reported(code: str, tmp_path: Path) -> None:
    path = write(tmp_path / "c.yaml", *INVALID_CASSETTES[code], metadata=METADATA)
    findings = [finding for finding in lint_findings(path, now=NOW) if finding.code == code]
    assert findings, lint_codes(path, now=NOW)
    assert all(
        finding.file == str(path) and finding.severity == RULES[code].severity
        for finding in findings
    )
    assert all(finding.exchange is not None and finding.where["line"] > 1 for finding in findings)


@pytest.mark.parametrize("code", INVALID_FOLDERS)
def test_an_invalid_folder_is_reported(code: str, tmp_path: Path) -> None:
    options = INVALID_FOLDERS[code](tmp_path)
    assert code in lint_codes(tmp_path, now=NOW, **options)


def test_snapshots_that_checks_use_are_not_orphans(tmp_path: Path) -> None:
    options = _snapshots(tmp_path)
    assert lint_codes(tmp_path, now=NOW, **options) == []
    (tmp_path / "suites" / "_snapshots" / "weather" / "london.turn2.text.txt").write_text(
        "old\n", encoding="utf-8"
    )
    (finding,) = lint_findings(tmp_path, now=NOW, **options)
    assert (finding.code, Path(finding.file).name) == ("snapshot_orphan", "london.turn2.text.txt")


def test_exchanges_keep_the_numbers_of_their_recordings(tmp_path: Path) -> None:
    """Traffic outside the conversation, also of a judge, does not shift findings."""
    judge = recording(
        create_request(input="Rubric: x", store=False, labels={"evalkit": "judge"}),
        interaction(id=None),
    )
    file = recording(None, {"files": []}, uri=URI.replace("interactions", "files"), method="GET")
    path = write(
        tmp_path / "c.yaml", file, judge, *INVALID_CASSETTES["new_field"], metadata=METADATA
    )
    numbers = {
        finding.exchange for finding in lint_findings(path, now=NOW) if finding.code == "new_field"
    }
    alone = {
        finding.exchange
        for finding in lint_findings(
            write(tmp_path / "d.yaml", *INVALID_CASSETTES["new_field"], metadata=METADATA), now=NOW
        )
    }
    assert numbers == {(number or 0) + 2 for number in alone}


@pytest.mark.parametrize("crash", [KeyError("boom"), RecursionError()])
def test_a_rule_that_crashes_is_reported_and_hides_nothing(
    crash: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check_crash(view: CassetteView) -> Iterator[RuleFinding]:
        if view.name.endswith("new_model.yaml"):
            raise crash
        yield from ()

    rules = (*linter._RULES_BY_TOPIC, (("history",), check_crash))
    monkeypatch.setattr(linter, "_RULES_BY_TOPIC", rules)
    write(tmp_path / "new_model.yaml", *INVALID_CASSETTES["new_field"])
    write(tmp_path / "other.yaml", *INVALID_CASSETTES["new_field"])
    assert sorted(lint_codes(tmp_path)) == ["new_field", "new_field", "rule_crashed"]


def valid_folder(folder: Path) -> dict[str, Any]:
    """Write a folder with something for every topic, all of it valid."""
    options = _suites(folder, "london.yaml")
    tapes = folder / "cassettes" / "tapes"
    write(
        tapes / "stateless.yaml",
        recording(
            create_request(
                store=False, input=[user_input()], tools=[{"type": "function", "name": "weather"}]
            ),
            interaction(thought(), function_call(), id=None, status="requires_action"),
        ),
        recording(
            create_request(
                store=False, input=[user_input(), thought(), function_call(), function_result()]
            ),
            interaction(thought("Zz"), model_output("22"), id=None),
        ),
        recording(
            create_request(
                store=False,
                input=[
                    user_input(),
                    thought(),
                    function_call(),
                    function_result(),
                    thought("Zz"),
                    model_output("22"),
                    user_input("More"),
                ],
            ),
            interaction(id=None),
        ),
        metadata=METADATA,
    )
    write(
        tapes / "stateful.yaml",
        *stateful(
            create_request(previous_interaction_id="v1_a", input=[function_result()]),
            search_interaction(thought(), SEARCH_CALL, SEARCH_RESULT),
        ),
        stream_recording(VALID_STREAM),
        recording(
            None, interaction(user_input(), model_output("Hello")), method="GET", uri=f"{URI}/v1_a"
        ),
        recording(None, {}, method="DELETE", uri=f"{URI}/v1_a"),
        recording(
            create_request(model="x"),
            {"error": {"code": "model_not_found", "message": "No."}},
            status=404,
        ),
        recording(
            create_request(),
            {"error": {"code": 400, "message": "No.", "status": "INVALID_ARGUMENT", "details": []}},
            status=400,
        ),
        recording(
            create_request(),
            interaction(image(png())),
            request_headers={"x-goog-api-key": ["REDACTED"], "cookie": [""]},
            uri=f"{URI}?key=REDACTED",
        ),
        recording("not json at all", "<html>", uri="https://api.weather.example/v1/now"),
        metadata=METADATA,
    )
    _with_media(folder / "cassettes")
    return {**options, "now": NOW, "max_age": 7.0}


def test_valid_cassettes_have_no_findings(tmp_path: Path) -> None:
    options = valid_folder(tmp_path)
    assert [
        finding.to_json()
        for finding in lint_findings(tmp_path, **options)
        if finding.code != "media_type_differs"
    ] == []


VALID_LOOKALIKES: dict[str, list[Recording]] = {
    "history_truncated, two conversations": [
        recording(create_request(store=False, input=[user_input()]), interaction(id=None)),
        recording(create_request(store=False, input=[user_input("Else")]), interaction(id=None)),
    ],
    "new_field, a signature on a streamed call": [
        stream_recording(
            (
                CREATED,
                {**START, "step": {**function_call(), "signature": "", "arguments": {}}},
                {**DELTA, "delta": {"type": "arguments_delta", "arguments": "{}"}},
                STOP,
                {
                    **COMPLETED,
                    "interaction": {
                        "id": "v1_a",
                        "status": "requires_action",
                        "service_tier": "standard",
                    },
                },
            )
        ),
        recording(
            create_request(previous_interaction_id="v1_a", input=[function_result()]),
            interaction(id="v1_b"),
        ),
    ],
    "new_field, what SDKs compute": [recording(create_request(), interaction(output_text="Hello"))],
    "step_not_stopped, cut off by an error": [
        stream_recording(
            (
                CREATED,
                START,
                {
                    "event_type": "error",
                    "error": {"code": "gateway_timeout", "message": "Too long."},
                },
            )
        )
    ],
    "stream_broken, a stream that was resumed": [
        stream_recording(NUMBERED_STREAM[:2], broken="connection reset"),
        stream_recording(NUMBERED_STREAM[2:3], None, uri=f"{RESUMED}2", method="GET"),
        stream_recording(NUMBERED_STREAM[3:], None, uri=f"{RESUMED}3", method="GET"),
    ],
    "stored_differs, a stream that was resumed and stored": [
        stream_recording(NUMBERED_STREAM),
        stream_recording(NUMBERED_STREAM[4:], None, uri=f"{RESUMED}4", method="GET"),
        recording(None, interaction(), uri=f"{URI}/v1_a", method="GET"),
    ],
    "delta_before_start, a stream whose beginning was not recorded": [
        recording(create_request(), interaction()),
        stream_recording(NUMBERED_STREAM[2:], None, uri=f"{RESUMED}2", method="GET"),
    ],
    "completed_missing, a broken recording": [
        stream_recording(VALID_STREAM[:2], broken="connection reset")
    ],
    "streamed_unasked, asked for in the query": [
        stream_recording(VALID_STREAM, create_request(), uri=f"{URI}?alt=sse")
    ],
    "last_frame_open, DONE alone": [
        stream_recording(
            "".join(f"data: {json.dumps(event)}\n\n" for event in VALID_STREAM) + "data: [DONE]\n"
        )
    ],
    "call_unanswered, results in the wrong order": [
        recording(
            create_request(),
            interaction(function_call("a"), function_call("b"), status="requires_action"),
        ),
        recording(
            create_request(
                previous_interaction_id="v1_a", input=[function_result("b"), function_result("a")]
            ),
            interaction(id="v1_b"),
        ),
    ],
    "call_open, a call repeated when all is done": stateful(
        create_request(previous_interaction_id="v1_a", input=[function_result()]),
        interaction(function_call(), model_output("22"), id="v1_b"),
    ),
    "result_unpaired, a call made elsewhere": [
        recording(
            create_request(previous_interaction_id="v1_x", input=[function_result()]), interaction()
        )
    ],
    "steps_missing, a run that was cancelled": [
        recording(create_request(background=True), {"id": "v1_a", "status": "cancelled"})
    ],
    "steps_missing, a run in the background": [
        recording(create_request(background=True), {"id": "v1_a", "status": "in_progress"})
    ],
    "server_call_unpaired, paired by order": [
        recording(
            create_request(),
            search_interaction(
                {key: value for key, value in SEARCH_CALL.items() if key != "id"}, SEARCH_RESULT
            ),
        )
    ],
    "request_incomplete, text for content": [
        recording(create_request(input=[{"type": "user_input", "content": "Hi"}]), interaction())
    ],
    "secret_token, a signature": [
        recording(
            create_request(), interaction(thought("CqwB" + KEY + "A" * 40), model_output("Hi"))
        )
    ],
    "secret_token, base64": [
        recording(create_request(), interaction(image(png()), thought("x/AIza" + "b" * 35 + "/y")))
    ],
    "secret_header, placeholders": [
        recording(
            create_request(),
            interaction(),
            request_headers={"authorization": ["Bearer <token>"], "x-goog-api-key": ["anything"]},
        )
    ],
    "email_in_header, an address in a text": [
        recording(create_request(input="write to jane@corp.example.org"), interaction())
    ],
    "media_type_differs, another name of the type": [
        recording(create_request(), interaction(image(png(), "image/x-png")))
    ],
    "wrong_type, a number spelt as text": [
        recording(
            create_request(),
            interaction(
                model_output("Hi", annotations=[{"type": "url_citation", "end_index": "2"}])
            ),
        )
    ],
}


@pytest.mark.parametrize("case", VALID_LOOKALIKES)
def test_lookalikes_are_not_reported(case: str, tmp_path: Path) -> None:
    path = write(tmp_path / "c.yaml", *VALID_LOOKALIKES[case], metadata=METADATA)
    assert case.partition(",")[0] not in lint_codes(path, now=NOW)


def test_the_revision_of_a_request_header_counts_without_metadata(tmp_path: Path) -> None:
    for value, expected in (("2026-05-20", []), ("2026-05-07", ["revision_other"])):
        headers = {"content-type": ["application/json"], "Api-Revision": [value]}
        path = write(
            tmp_path / "c.yaml", recording(create_request(), interaction(), request_headers=headers)
        )
        assert lint_codes(path) == expected
