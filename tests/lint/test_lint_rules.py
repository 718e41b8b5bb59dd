"""Every rule of the table: one cassette, or folder, that makes it speak, and good ones about which none of them has anything to say."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from evalkit._lib.json import JSON
from evalkit.cassette.format import Recording
from evalkit.cassette.journal import SUFFIX, CassetteJournal, JournalEntry, entry_line
from evalkit.cassette.media import MediaFolder
from evalkit.lint import RULES
from tests.lint.building import (
    COMPLETED,
    CREATED,
    DELTA,
    GOOD,
    KEY,
    START,
    STOP,
    URI,
    asked,
    call,
    codes,
    judged,
    picture,
    png,
    recording,
    result,
    said,
    streamed,
    text,
    thought,
    user,
    write,
)

NOW = datetime(2026, 11, 22, tzinfo=UTC)
METADATA = {"format": 1, "recorded": "2026-11-20T00:00:00Z", "api_revision": "2026-05-20"}
SUITE = "suite: weather\nscenarios:\n  - id: london\n    model: gemini-3.5-flash\n    turns:\n      - user: Hi\n"


def stateless(
    *later: JSON, first: tuple[JSON, ...] = (thought(), text("Nice!"))
) -> list[Recording]:
    """Two requests of a stateless conversation; ``later`` is the second one's input."""
    return [
        recording(asked(store=False, input=[user()]), said(*first, id=None)),
        recording(asked(store=False, input=list(later)), said(id=None)),
    ]


def stateful(request: JSON, *answers: JSON) -> list[Recording]:
    """A stateful conversation whose first answer calls a function."""
    first = recording(asked(), said(thought(), call(), status="requires_action"))
    return [first, *(recording(request, answer) for answer in answers or (said(id="v1_b"),))]


def searched(*steps: JSON) -> JSON:
    """An answer with steps of a search before its text."""
    return said(*steps, text("Found."))


SEARCH_CALL = {"type": "google_search_call", "id": "s1", "arguments": {"queries": ["x"]}}
SEARCH_RESULT = {
    "type": "google_search_result",
    "call_id": "s1",
    "result": [{"search_suggestions": "<b>x</b>"}],
}
MOVED = {**METADATA, "api_revision": "2027-01-01"}

BAD: dict[str, list[Recording]] = {
    # history
    "step_missing": stateless(user(), text("Nice!"), user("More")),
    "step_altered": stateless(user(), thought(), text("Nice?"), user("More")),
    "step_reordered": stateless(user(), text("Nice!"), thought(), user("More")),
    "step_duplicated": stateless(user(), thought(), text("Nice!"), text("Nice!"), user("More")),
    "step_invented": stateless(user(), thought(), text("Nice!"), text("Never said"), user("More")),
    "signature_altered": stateless(user(), thought("EvEf"), text("Nice!"), user("More")),
    "null_added": stateless(user(), {**thought(), "summary": None}, text("Nice!"), user("More")),
    "null_dropped": stateless(
        user(),
        thought(),
        text("Nice!"),
        user("More"),
        first=({**thought(), "summary": None}, text("Nice!")),
    ),
    "input_rewritten": stateless(user("Ho"), thought(), text("Nice!"), user("More")),
    "history_truncated": stateless(
        user(),
        thought(),
        user("More"),
        first=(thought(), text("Nice!"), {**text("And?")}, text("So.")),
    ),
    "previous_unknown": [recording(asked(previous_interaction_id="v1_elsewhere"), said())],
    "history_unknown": [
        recording(
            asked(store=False, input=[user(), thought(), text("Nice!"), user("More")]),
            said(id=None),
        )
    ],
    # stream
    "empty_stream": [streamed("")],
    "created_missing": [streamed(GOOD[1:])],
    "created_twice": [streamed((CREATED, *GOOD))],
    "completed_missing": [streamed(GOOD[:-1])],
    "completed_twice": [streamed((*GOOD, COMPLETED))],
    "event_after_completed": [streamed((*GOOD, STOP))],
    "error_event": [
        streamed(
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
    "event_not_json": [streamed('event: x\ndata: {"event_type"\n\n')],
    "event_not_object": [streamed("data: [1]\n\n")],
    "event_type_missing": [streamed('data: {"index": 0}\n\n')],
    "field_missing": [
        streamed((CREATED, {"event_type": "step.start", "index": 0}, STOP, COMPLETED))
    ],
    "id_changed": [
        streamed((*GOOD[:-1], {**COMPLETED, "interaction": {"id": "v1_b", "status": "completed"}}))
    ],
    "status_conflict": [
        streamed(
            (
                *GOOD[:-1],
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
        streamed(
            (*GOOD[:-1], {**COMPLETED, "interaction": {"id": "v1_a", "status": "in_progress"}})
        )
    ],
    "steps_conflict": [
        streamed(
            (
                *GOOD[:-1],
                {
                    **COMPLETED,
                    "interaction": {"id": "v1_a", "status": "completed", "steps": [text("Other")]},
                },
            )
        )
    ],
    "index_gap": [
        streamed((CREATED, *({**event, "index": 3} for event in (START, DELTA, STOP)), COMPLETED))
    ],
    "start_twice": [streamed((CREATED, START, *GOOD[1:]))],
    "delta_before_start": [streamed((CREATED, DELTA, *GOOD[1:]))],
    "delta_after_stop": [streamed((*GOOD[:-1], DELTA, COMPLETED))],
    "stop_without_start": [streamed((CREATED, {**STOP, "index": 7}, *GOOD[1:]))],
    "stop_twice": [streamed((*GOOD[:-1], STOP, COMPLETED))],
    "step_not_stopped": [streamed((CREATED, START, DELTA, COMPLETED))],
    "delta_type_missing": [
        streamed((CREATED, START, {**DELTA, "delta": {"foo": 1}}, STOP, COMPLETED))
    ],
    "delta_does_not_fit": [
        streamed(
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
        streamed(
            (
                CREATED,
                {**START, "step": call(arguments={})},
                {**DELTA, "delta": {"type": "arguments_delta", "arguments": '{"a'}},
                STOP,
                {**COMPLETED, "interaction": {"id": "v1_a", "status": "requires_action"}},
            )
        )
    ],
    "arguments_not_object": [
        streamed(
            (
                CREATED,
                {**START, "step": call(arguments={})},
                {**DELTA, "delta": {"type": "arguments_delta", "arguments": "[]"}},
                STOP,
                {**COMPLETED, "interaction": {"id": "v1_a", "status": "requires_action"}},
            )
        )
    ],
    "not_streamed": [recording(asked(stream=True), said())],
    "streamed_unasked": [streamed(GOOD, asked())],
    "stored_differs": [
        streamed(GOOD),
        recording(None, said(user(), text("Other")), method="GET", uri=f"{URI}/v1_a"),
    ],
    "stream_broken": [streamed(GOOD[:2], broken="connection reset")],
    "last_frame_open": [streamed("".join(f"data: {json.dumps(event)}\n\n" for event in GOOD)[:-1])],
    # protocol
    "answer_unreadable": [recording(asked(), "<html>sorry</html>")],
    "content_type_other": [
        recording(asked(), said(), response_headers={"content-type": ["text/html"]})
    ],
    "required_missing": [
        recording(
            asked(),
            said({"type": "function_call", "name": "f", "arguments": {}}, status="requires_action"),
        )
    ],
    "wrong_type": [recording(asked(), said(call(arguments="{}"), status="requires_action"))],
    "type_missing": [recording(asked(), said({"content": []}))],
    "steps_missing": [recording(asked(), {"id": "v1_a", "status": "completed"})],
    "request_incomplete": [recording(asked(input=[{"role": "user", "parts": []}]), said())],
    "request_wrong_type": [recording(asked(store="no"), said())],
    # new
    "new_step_type": [recording(asked(), said({"type": "daydream", "of": "sheep"}))],
    "new_content_type": [
        recording(asked(), said({"type": "model_output", "content": [{"type": "hologram"}]}))
    ],
    "new_annotation_type": [
        recording(asked(), said(text("Hi", annotations=[{"type": "gesture"}])))
    ],
    "new_event_type": [streamed((CREATED, {"event_type": "step.pause", "index": 0}, *GOOD[1:]))],
    "new_delta_type": [
        streamed((CREATED, START, {**DELTA, "delta": {"type": "smell"}}, STOP, COMPLETED))
    ],
    "new_tool_type": [recording(asked(tools=[{"type": "crystal_ball"}]), said())],
    "new_field": [recording(asked(), said(mood="fine"))],
    "new_request_field": [recording(asked(mood="fine"), said())],
    "new_status": [recording(asked(), said(status="pondering"))],
    "new_error_shape": [recording(asked(), {"oops": 1}, status=400)],
    # calls
    "result_unpaired": stateful(
        asked(previous_interaction_id="v1_a", input=[result(), result("c9")])
    ),
    "call_unanswered": stateful(asked(previous_interaction_id="v1_a", input="Never mind")),
    "call_open": [recording(asked(), said(call(), status="requires_action"))],
    "server_call_unpaired": [recording(asked(), searched(SEARCH_CALL))],
    # secrets
    "secret_token": [recording(asked(input=f"my key is {KEY}"), said())],
    "secret_header": [
        recording(asked(), said(), request_headers={"x-goog-api-key": ["s3cr3t-value-123"]})
    ],
    "secret_in_url": [recording(asked(), said(), uri=f"{URI}?key=s3cr3t-value-123")],
    "private_key": [recording(asked(input="-----BEGIN RSA PRIVATE KEY-----\nMIIE"), said())],
    "cookie": [
        recording(
            asked(),
            said(),
            response_headers={
                "content-type": ["application/json"],
                "set-cookie": ["NID=0123456789abc; Path=/"],
            },
        )
    ],
    "account_identifier": [
        recording(asked(), said(), request_headers={"x-goog-user-project": ["123456789012"]})
    ],
    "email_in_header": [
        recording(asked(), said(), request_headers={"from": ["jane.doe@corp.example.org"]})
    ],
    # media
    "media_not_base64": [recording(asked(), said(picture("a.b")))],
    "media_damaged": [recording(asked(), said(picture(png()[:60])))],
    "media_type_differs": [recording(asked(), said(picture(png(), "image/jpeg")))],
}

Builder = Callable[[Path], dict[str, Any]]


def _metadata(**fields: JSON) -> Builder:
    def build(folder: Path) -> dict[str, Any]:
        write(folder / "c.yaml", recording(asked(), said()), metadata={**METADATA, **fields})
        return {}

    return build


def _text(name: str, content: str) -> Builder:
    def build(folder: Path) -> dict[str, Any]:
        (folder / name).write_text(content, encoding="utf-8")
        return {}

    return build


def _journal(folder: Path) -> dict[str, Any]:
    journal = CassetteJournal.open(folder / f"c.yaml{SUFFIX}")
    journal.append(entry_line(JournalEntry(recording(asked(), said()))))
    journal.close()
    return {}


def _with_media(folder: Path) -> Path:
    data = png(30_000) if len(png(30_000)) > 40_000 else _noise()
    moved = MediaFolder(folder / "_media").move_out(recording(asked(), said(picture(data))))
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
        write(folder / "cassettes" / "weather" / name, recording(asked(), said()))
    return {"suites": (folder / "suites",), "root": folder}


def _missing(folder: Path) -> dict[str, Any]:
    return _suites(
        folder,
        "london.yaml",
        suite=SUITE + SUITE.partition("scenarios:\n")[2].replace("london", "oslo"),
    )


def _unplayed(folder: Path) -> dict[str, Any]:
    write(
        folder / "weather" / "london.yaml", recording(asked(), said()), recording(asked(), said())
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
    kept = folder / "suites" / "_snapshots" / "weather"
    kept.mkdir(parents=True)
    for name in ("london.turn1.text.txt", "london.turn1.made.json", "london.steps.txt", *names):
        (kept / name).write_text("\n", encoding="utf-8")
    return options


FOLDERS: dict[str, Builder] = {
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


def _crashing(folder: Path) -> dict[str, Any]:
    depth = 600 if sys.version_info < (3, 12) else 3_000  # what the interpreter follows differs
    deep = '{"a":' * depth + "1" + "}" * depth
    write(
        folder / "c.yaml",
        recording(
            asked(store=False, input=[user()]),
            said({**call(), "arguments": json.loads(deep)}, id=None, status="requires_action"),
        ),
        recording(
            asked(
                store=False,
                input=[
                    user(),
                    {**call(), "arguments": json.loads(deep.replace("1", "2"))},
                    result(),
                ],
            ),
            said(id=None),
        ),
    )
    return {}


def test_every_rule_has_a_bad_example() -> None:
    assert {*BAD, *FOLDERS, "rule_crashed"} == set(RULES)


@pytest.mark.parametrize("code", BAD)
def test_a_bad_cassette_is_told(code: str, tmp_path: Path) -> None:
    path = write(tmp_path / "c.yaml", *BAD[code], metadata=METADATA)
    findings = [finding for finding in judged(path, now=NOW) if finding.code == code]
    assert findings, codes(path, now=NOW)
    assert all(
        finding.file == str(path) and finding.severity == RULES[code].severity
        for finding in findings
    )
    assert all(finding.exchange is not None and finding.where["line"] > 1 for finding in findings)


@pytest.mark.parametrize("code", FOLDERS)
def test_a_bad_folder_is_told(code: str, tmp_path: Path) -> None:
    options = FOLDERS[code](tmp_path)
    assert code in codes(tmp_path, now=NOW, **options)


def test_snapshots_that_checks_want_are_no_orphans(tmp_path: Path) -> None:
    options = _snapshots(tmp_path)
    assert codes(tmp_path, now=NOW, **options) == []
    (tmp_path / "suites" / "_snapshots" / "weather" / "london.turn2.text.txt").write_text(
        "old\n", encoding="utf-8"
    )
    (found,) = judged(tmp_path, now=NOW, **options)
    assert (found.code, Path(found.file).name) == ("snapshot_orphan", "london.turn2.text.txt")


def test_exchanges_keep_the_numbers_of_their_recordings(tmp_path: Path) -> None:
    """Traffic that is no part of a conversation, a judge's among it, moves no finding to another recording."""
    judge = recording(
        asked(input="Rubric: x", store=False, labels={"evalkit": "judge"}), said(id=None)
    )
    file = recording(None, {"files": []}, uri=URI.replace("interactions", "files"), method="GET")
    path = write(tmp_path / "c.yaml", file, judge, *BAD["new_field"], metadata=METADATA)
    numbers = {finding.exchange for finding in judged(path, now=NOW) if finding.code == "new_field"}
    alone = {
        finding.exchange
        for finding in judged(
            write(tmp_path / "d.yaml", *BAD["new_field"], metadata=METADATA), now=NOW
        )
    }
    assert numbers == {(number or 0) + 2 for number in alone}


def test_a_body_that_no_rule_can_follow_is_told_and_hides_nothing(tmp_path: Path) -> None:
    _crashing(tmp_path)
    write(tmp_path / "other.yaml", *BAD["new_field"])
    found = codes(tmp_path)
    assert "rule_crashed" in found
    assert "new_field" in found


def good(folder: Path) -> dict[str, Any]:
    """A folder with something for every topic, all of it as it should be."""
    options = _suites(folder, "london.yaml")
    tapes = folder / "cassettes" / "tapes"
    write(
        tapes / "stateless.yaml",
        recording(
            asked(store=False, input=[user()], tools=[{"type": "function", "name": "weather"}]),
            said(thought(), call(), id=None, status="requires_action"),
        ),
        recording(
            asked(store=False, input=[user(), thought(), call(), result()]),
            said(thought("Zz"), text("22"), id=None),
        ),
        recording(
            asked(
                store=False,
                input=[
                    user(),
                    thought(),
                    call(),
                    result(),
                    thought("Zz"),
                    text("22"),
                    user("More"),
                ],
            ),
            said(id=None),
        ),
        metadata=METADATA,
    )
    write(
        tapes / "stateful.yaml",
        *stateful(
            asked(previous_interaction_id="v1_a", input=[result()]),
            searched(thought(), SEARCH_CALL, SEARCH_RESULT),
        ),
        streamed(GOOD),
        recording(None, said(user(), text("Hello")), method="GET", uri=f"{URI}/v1_a"),
        recording(None, {}, method="DELETE", uri=f"{URI}/v1_a"),
        recording(
            asked(model="x"), {"error": {"code": "model_not_found", "message": "No."}}, status=404
        ),
        recording(
            asked(),
            {"error": {"code": 400, "message": "No.", "status": "INVALID_ARGUMENT", "details": []}},
            status=400,
        ),
        recording(
            asked(),
            said(picture(png())),
            request_headers={"x-goog-api-key": ["REDACTED"], "cookie": [""]},
            uri=f"{URI}?key=REDACTED",
        ),
        recording("not json at all", "<html>", uri="https://api.weather.example/v1/now"),
        metadata=METADATA,
    )
    _with_media(folder / "cassettes")
    return {**options, "now": NOW, "max_age": 7.0}


def test_nothing_is_said_of_good_cassettes(tmp_path: Path) -> None:
    options = good(tmp_path)
    assert [
        finding.to_json()
        for finding in judged(tmp_path, **options)
        if finding.code != "media_type_differs"
    ] == []


NEAR: dict[str, list[Recording]] = {
    "history_truncated, two conversations": [
        recording(asked(store=False, input=[user()]), said(id=None)),
        recording(asked(store=False, input=[user("Else")]), said(id=None)),
    ],
    "new_field, a signature on a streamed call": [
        streamed(
            (
                CREATED,
                {**START, "step": {**call(), "signature": "", "arguments": {}}},
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
        recording(asked(previous_interaction_id="v1_a", input=[result()]), said(id="v1_b")),
    ],
    "new_field, what SDKs compute": [recording(asked(), said(output_text="Hello"))],
    "step_not_stopped, cut off by an error": [
        streamed(
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
    "completed_missing, a broken recording": [streamed(GOOD[:2], broken="connection reset")],
    "streamed_unasked, asked for in the query": [streamed(GOOD, asked(), uri=f"{URI}?alt=sse")],
    "last_frame_open, DONE alone": [
        streamed("".join(f"data: {json.dumps(event)}\n\n" for event in GOOD) + "data: [DONE]\n")
    ],
    "call_unanswered, results in the wrong order": [
        recording(asked(), said(call("a"), call("b"), status="requires_action")),
        recording(
            asked(previous_interaction_id="v1_a", input=[result("b"), result("a")]), said(id="v1_b")
        ),
    ],
    "call_open, a call repeated when all is done": stateful(
        asked(previous_interaction_id="v1_a", input=[result()]), said(call(), text("22"), id="v1_b")
    ),
    "result_unpaired, a call made elsewhere": [
        recording(asked(previous_interaction_id="v1_x", input=[result()]), said())
    ],
    "steps_missing, a run that was cancelled": [
        recording(asked(background=True), {"id": "v1_a", "status": "cancelled"})
    ],
    "steps_missing, a run in the background": [
        recording(asked(background=True), {"id": "v1_a", "status": "in_progress"})
    ],
    "server_call_unpaired, paired by order": [
        recording(
            asked(),
            searched(
                {key: value for key, value in SEARCH_CALL.items() if key != "id"}, SEARCH_RESULT
            ),
        )
    ],
    "request_incomplete, text for content": [
        recording(asked(input=[{"type": "user_input", "content": "Hi"}]), said())
    ],
    "secret_token, a signature": [
        recording(asked(), said(thought("CqwB" + KEY + "A" * 40), text("Hi")))
    ],
    "secret_token, base64": [
        recording(asked(), said(picture(png()), thought("x/AIza" + "b" * 35 + "/y")))
    ],
    "secret_header, placeholders": [
        recording(
            asked(),
            said(),
            request_headers={"authorization": ["Bearer <token>"], "x-goog-api-key": ["anything"]},
        )
    ],
    "email_in_header, an address in a text": [
        recording(asked(input="write to jane@corp.example.org"), said())
    ],
    "media_type_differs, another name of the type": [
        recording(asked(), said(picture(png(), "image/x-png")))
    ],
    "wrong_type, a number spelt as text": [
        recording(
            asked(), said(text("Hi", annotations=[{"type": "url_citation", "end_index": "2"}]))
        )
    ],
}


@pytest.mark.parametrize("case", NEAR)
def test_what_only_looks_like_it_is_not_told(case: str, tmp_path: Path) -> None:
    path = write(tmp_path / "c.yaml", *NEAR[case], metadata=METADATA)
    assert case.partition(",")[0] not in codes(path, now=NOW)


def test_the_revision_a_request_asked_for_counts_where_no_metadata_tell(tmp_path: Path) -> None:
    for value, expected in (("2026-05-20", []), ("2026-05-07", ["revision_other"])):
        headers = {"content-type": ["application/json"], "Api-Revision": [value]}
        path = write(tmp_path / "c.yaml", recording(asked(), said(), request_headers=headers))
        assert codes(path) == expected
