"""Findings and conversations as plain text."""

from __future__ import annotations

import json
from typing import Any

from evalkit.reports.formatting import findings_of
from evalkit.reports.plain_text import LIMIT, conversation_text, findings_text
from evalkit.results.result_line import parse_head
from tests.reports.sample import line, says, turn
from tests.reports.sample_cases import errored_line, failed_line, media_turn, warned_line


def findings(text: str) -> list[str]:
    return findings_text(findings_of(parse_head(text))).split("\n")


def test_findings_have_places_and_values() -> None:
    lines = findings(failed_line())
    assert lines[:6] == [
        "tool_calls: get_current_temperature: location is 'London', not 'Paris' "
        "(turn 1, exchange 2, step 2, step /arguments/location)",
        '  expected: "Paris"',
        '  got: "London"',
        "    London",
        "  - Paris",
        "history: the signature of step 2 was altered (exchange 2, request /input/1/signature)",
    ]
    assert "usage: 788 tokens, at most 600" in lines


def test_warning_is_marked() -> None:
    [text] = findings(warned_line())
    assert text == "warning, text: the text is longer than 30 characters (turn 1, step 5)"


def test_conversation_has_user_messages_and_steps() -> None:
    assert conversation_text(failed_line(), 1).split("\n") == [
        "turn 1 (completed)",
        "  user",
        "    What is the temperature in London?",
        "  1. thought",
        "  2. call get_current_temperature",
        '    location: "London"',
        "  3. result get_current_temperature",
        '    {"location": "London", "temperature": "22"}',
        "  4. thought",
        "  5. answer",
        "    It is 22 degrees Celsius in London.",
        "turn 2 (completed)",
        "  user",
        "    And tomorrow?",
        "  1. thought",
        "  2. answer",
        "    It will rain.",
    ]


def test_simulated_messages_are_marked() -> None:
    value = json.loads(failed_line())
    value["turns"][0]["simulated"] = {"user": {"goal": "x"}, "exchange": 1}
    text = conversation_text(json.dumps(value), 1)
    assert "\n  simulated user\n    What is the temperature in London?\n" in text
    assert "\n  user\n    And tomorrow?\n" in text


def test_conversation_has_errors_and_outcomes() -> None:
    lines = conversation_text(errored_line(), 1).split("\n")
    assert lines[0] == "turn 1 (api error)"
    assert "  API error: HTTP 429 rate_limit_exceeded: Too many requests." in lines
    assert lines[-1] == "  turn 1 did not complete"
    assert "turn 2 (not run)" in lines


def test_media_are_named_by_their_type_and_file() -> None:
    lines = conversation_text(line("media", [media_turn()]), 1).split("\n")
    assert lines[2:5] == [
        "    What do you see and hear?",
        "    [image]",
        "    [data] 94e03b6c1a88acb63bb5e9a4d1e176575578e429cf2fed3edcc895cc033aa465.png",
    ]
    assert [one.strip() for one in lines if one.endswith(("image]", "audio]", "document]"))] == [
        *("[image]", "[audio]", "[document]"),
        *["[image]"] * 5,
    ]


def test_long_text_is_cut() -> None:
    text = conversation_text(line("long", [turn(1, "?", [says("x" * 9_000)])]), 1)
    assert f"{LIMIT:,} of 9,012 characters shown" in text
    assert len(text) < LIMIT + 200


def test_result_without_turns() -> None:
    assert conversation_text(line("skipped"), 1) == "no turn was run"


def test_result_nested_too_deeply_for_python_names_its_line() -> None:
    value: Any = json.loads(failed_line())
    value["turns"][0]["steps"][1]["step"]["arguments"] = "DEEP"
    text = json.dumps(value).replace('"DEEP"', "[" * 200_000 + "]" * 200_000)
    assert conversation_text(text, 7) == "The conversation is in line 7 of results.jsonl."
