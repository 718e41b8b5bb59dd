"""The check runner, default checks, checks that need functions of the view, and formatting."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import pydantic
import pytest

from evalkit.checks.core.base import Check, View
from evalkit.checks.core.formatting import excerpt, first_difference, table
from evalkit.checks.core.runner import defaults, run_check, unexpected_error
from evalkit.errors import TargetError
from evalkit.plugins import Catalog
from evalkit.transcript import Transcript
from evalkit.verdict import CheckResult, Finding, Severity, Verdict, Where
from tests.checks.building import transcript


class FixedCheck(Check):
    """A check that returns or raises what it is given."""

    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)
    name = "says"
    what: Any = None

    def run(self, view: View) -> Any:
        """Return it, or raise it."""
        if isinstance(self.what, Exception):
            raise self.what
        return self.what


WRONG = Finding("wrong", "it is wrong")
ODD = Finding("odd", "it is odd", severity=Severity.WARN)
PASSED, FAILED, ERRORED = Verdict.PASSED, Verdict.FAILED, Verdict.ERRORED


def run(what: Any, *, negate: bool = False, severity: Severity = Severity.ERROR) -> CheckResult:
    return run_check(
        FixedCheck(what=what),
        View(transcript({})),
        name="says",
        negate=negate,
        severity=severity,
        turn=3,
        declared="a.yaml:7",
    )


@pytest.mark.parametrize(
    ("what", "plain", "codes", "negated", "negated_codes"),
    [
        ([], PASSED, [], FAILED, ["holds"]),
        (None, PASSED, [], FAILED, ["holds"]),
        ([ODD], PASSED, ["odd"], FAILED, ["holds", "odd"]),
        ([WRONG], FAILED, ["wrong"], PASSED, []),
        ([ODD, WRONG], FAILED, ["odd", "wrong"], PASSED, ["odd"]),
        (ValueError("x"), ERRORED, ["check_crashed"], ERRORED, ["check_crashed"]),
        (KeyError("x"), ERRORED, ["check_crashed"], ERRORED, ["check_crashed"]),
        (RecursionError(), ERRORED, ["check_crashed"], ERRORED, ["check_crashed"]),
        (LookupError("no such variant"), ERRORED, ["check_unusable"], ERRORED, ["check_unusable"]),
        (
            TargetError("no module named x"),
            ERRORED,
            ["check_unusable"],
            ERRORED,
            ["check_unusable"],
        ),
        (["text"], ERRORED, ["check_crashed"], ERRORED, ["check_crashed"]),
    ],
)
def test_verdicts(
    what: Any, plain: Verdict, codes: list[str], negated: Verdict, negated_codes: list[str]
) -> None:
    for negate, verdict, expected in ((False, plain, codes), (True, negated, negated_codes)):
        result = run(what, negate=negate)
        assert (result.verdict, [finding.code for finding in result.findings]) == (
            verdict,
            expected,
        )
        assert (result.name, result.turn, result.declared) == ("says", 3, "a.yaml:7")
        assert all(finding.where.turn == 3 for finding in result.findings)
        soft = run(what, negate=negate, severity=Severity.WARN)
        assert soft.verdict is (verdict if verdict is ERRORED else PASSED)
        assert [finding.code for finding in soft.findings] == expected
        if verdict is not ERRORED:
            assert all(finding.severity is Severity.WARN for finding in soft.findings)


def test_a_finding_keeps_its_own_location() -> None:
    assert run([Finding("wrong", "x", Where(turn=1))]).findings[0].where.turn == 1


@pytest.mark.parametrize(
    ("settings", "declared", "names"),
    [
        ({"history": "stateless"}, set(), ["history"]),
        ({"history": "stateless", "stream": True}, set(), ["history", "stream"]),
        ({"history": "stateless", "stream": True}, {"history"}, ["stream"]),
        ({"history": "stateless", "stream": True}, {"history", "stream"}, []),
        ({"history": "stateful", "stream": False}, set(), []),
        ({}, set(), []),
    ],
)
def test_checks_on_by_default(
    settings: dict[str, Any], declared: set[str], names: list[str]
) -> None:
    assert [check.name for check in defaults(Transcript(settings), declared)] == names


def test_an_unexpected_error() -> None:
    conversation = transcript(
        {"error": {"status": 400, "code": "invalid_request", "message": "bad\u202emodel"}}
    )
    finding = unexpected_error(conversation.turns[0])
    assert finding.code == "api_error"
    assert finding.message == 'the API answered 400 invalid_request: "bad<U+202E>model"'
    assert finding.where == Where(turn=1, exchange=1)
    cancelled = unexpected_error(transcript({"status": "cancelled"}).turns[0])
    assert (cancelled.code, cancelled.message) == (
        "run_failed",
        "the run was cancelled; run it again later",
    )


def check_with(name: str, argument: Any, source: Any, **ports: Any) -> CheckResult:
    conversation = transcript(source)
    view = View(conversation, conversation.turns[-1], **ports)
    check = Catalog().build(name, argument, bare=argument is None)
    return run_check(
        check, view, name=name, negate=False, severity=Severity.ERROR, turn=1, declared=""
    )


def codes(result: CheckResult) -> list[str]:
    return [finding.code for finding in result.findings]


def says(text: str, **more: Any) -> dict[str, Any]:
    return {
        "steps": [{"type": "model_output", "content": [{"type": "text", "text": text}]}],
        **more,
    }


SENT = {
    "type": "text",
    "mime_type": "application/json",
    "schema": {"type": "object", "required": ["a"]},
}


@pytest.mark.parametrize(
    ("response_format", "expected"),
    [
        (SENT, ["schema_violation"]),
        ([{"type": "image"}, SENT], ["schema_violation"]),
        ({"type": "object", "required": ["a"]}, ["schema_violation"]),
        ({**SENT, "schema": {"type": "object"}}, []),
        ({"type": "text", "mime_type": "text/plain"}, ["check_unusable"]),
        ([], ["check_unusable"]),
        (None, ["check_unusable"]),
        ({**SENT, "schema": {"type": "objct"}}, ["check_unusable"]),
    ],
)
def test_the_schema_that_was_sent(response_format: Any, expected: list[str]) -> None:
    assert (
        codes(
            check_with(
                "json_schema", None, says("{}", request={"response_format": response_format})
            )
        )
        == expected
    )


def test_a_schema_from_a_file() -> None:
    files = {"ok.json": '{"type": "array"}', "broken.json": "{", "wrong.json": '{"type": "aray"}'}
    for name, expected in (
        ("ok.json", ["schema_violation"]),
        ("broken.json", ["check_unusable"]),
        ("wrong.json", ["check_unusable"]),
    ):
        assert (
            codes(check_with("json_schema", {"file": name}, says("{}"), read=files.__getitem__))
            == expected
        )
    assert codes(check_with("json_schema", {"file": "ok.json"}, says("{}"))) == [
        "check_unusable"
    ], "no files here"


def no_secret(name: str) -> str:
    if name == "secret":
        raise ValueError("not that name")
    return name


class Recipe(pydantic.BaseModel):
    """A model with a rule that JSON Schema cannot say."""

    name: Annotated[str, pydantic.AfterValidator(no_secret)]
    minutes: int


@dataclasses.dataclass
class Plain:
    """No pydantic model, but pydantic knows what to do."""

    name: str


@pytest.mark.parametrize(
    ("target", "text", "expected"),
    [
        (Recipe, {"name": "bread", "minutes": 15}, []),
        (Recipe, {"name": "bread", "minutes": "15"}, ["schema_violation"]),
        (Recipe, {"name": "bread"}, ["schema_violation"]),
        (Recipe, {"name": "secret", "minutes": 15}, ["model_violation"]),
        (Plain, {"name": 3}, ["schema_violation"]),
        (Plain, {"name": "bread"}, []),
        (object(), {}, ["check_unusable"]),
    ],
)
def test_a_schema_from_python(target: Any, text: Any, expected: list[str]) -> None:
    assert (
        codes(
            check_with(
                "json_schema", {"python": "a:b"}, says(json.dumps(text)), resolve=lambda _: target
            )
        )
        == expected
    )


@pytest.mark.parametrize(
    ("schema", "value", "pointers"),
    [
        ({"items": {"type": "integer"}}, [1, "a", 2, None], ["/1", "/3"]),
        ({"properties": {"a/b": {"const": 1}}}, {"a/b": 2}, ["/a~1b"]),
        ({"additionalProperties": False}, {"x": 1}, [""]),
        (
            {
                "$defs": {"n": {"type": "object", "properties": {"n": {"$ref": "#/$defs/n"}}}},
                "$ref": "#/$defs/n",
            },
            {"n": {"n": 3}},
            ["/n/n"],
        ),
        ({"format": "date"}, "2024-02-30", [""]),
        ({"format": "uuid"}, "x", [""]),
        ({"format": "made-up"}, "x", []),
        (
            {"$schema": "http://json-schema.org/draft-07/schema#", "items": [{"type": "string"}]},
            [1],
            ["/0"],
        ),
        ({"items": {"type": "integer"}}, ["a"] * 150, [*(f"/{index}" for index in range(100)), ""]),
    ],
)
def test_violations_have_pointers(schema: Any, value: Any, pointers: list[str]) -> None:
    result = check_with("json_schema", {"schema": schema}, says(json.dumps(value)))
    assert [finding.where.pointer for finding in result.findings] == pointers


def test_a_violation_of_alternatives_shows_each() -> None:
    schema = {"anyOf": [{"type": "string"}, {"type": "object", "required": ["x"]}]}
    (finding,) = check_with("json_schema", {"schema": schema}, says("{}")).findings
    assert finding.message == "the document: fits none of the 2 alternatives, got {}"
    assert finding.detail.splitlines()[-2:] == [
        "(whole): must be of type string, got {}",
        '(whole): "x" is missing',
    ]


def test_a_value_nested_too_deep_is_a_finding() -> None:
    schema = {"$defs": {"n": {"items": {"$ref": "#/$defs/n"}}}, "$ref": "#/$defs/n"}
    result = check_with("json_schema", {"schema": schema}, says("[" * 400 + "]" * 400))
    assert result.verdict is FAILED
    assert "nested too deep" in result.findings[0].message


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (None, []),
        (True, []),
        ([], []),
        (False, [("assertion", "a:b returned False")]),
        ("two\nlines", [("python", "two")]),
        (
            ["one", {"message": "two", "code": "mine"}, WRONG],
            [("python", "one"), ("mine", "two"), ("wrong", "it is wrong")],
        ),
        ((message for message in ("one", "two")), [("python", "one"), ("python", "two")]),
    ],
)
def test_what_a_function_may_return(answer: Any, expected: list[tuple[str, str]]) -> None:
    result = check_with(
        "python", "a:b", says("x"), resolve=lambda _: lambda transcript, turn: answer
    )
    assert [(finding.code, finding.message) for finding in result.findings] == expected


def refuse(transcript: Any, turn: Any) -> None:
    raise AssertionError("it does not hold\nat all")


async def later(transcript: Any, turn: Any) -> None: ...


@pytest.mark.parametrize(
    ("function", "verdict", "message"),
    [
        (refuse, FAILED, "it does not hold"),
        (lambda transcript, turn: 3, ERRORED, "a:b returned 3, which is not a finding"),
        (lambda transcript, turn: [3], ERRORED, "a:b returned 3, which is not a finding"),
        (
            lambda transcript: None,
            ERRORED,
            "a:b cannot be called with a transcript and a turn (too many positional arguments); "
            "write def b(transcript, turn)",
        ),
        (later, ERRORED, "a:b is asynchronous; a check must be a plain function"),
        ("a string", ERRORED, "a:b is not a function but str"),
    ],
)
def test_wrong_functions(function: Any, verdict: Verdict, message: str) -> None:
    result = check_with("python", "a:b", says("x"), resolve=lambda _: function)
    assert result.verdict is verdict
    assert message in result.findings[0].message


def test_a_function_gets_the_transcript_and_the_turn() -> None:
    calls: list[Any] = []
    check_with(
        "python",
        "a:b",
        {"turns": [says("x"), says("y")]},
        resolve=lambda _: lambda *received: calls.append(received),
    )
    ((received, turn),) = calls
    assert isinstance(received, Transcript)
    assert turn is received.turns[1]


ONE = {"turns": [says('{"a": 1}'), says("b")]}


@pytest.mark.parametrize(
    ("options", "other", "expected"),
    [
        ({}, ONE, []),
        ({}, None, []),
        ({"on": ["text"]}, {"turns": [says('{"a": 1}'), says("c")]}, ["text_differs"]),
        ({}, {"turns": [says('{"a": 1}'), says("c")]}, []),
        ({}, {"turns": [says('{"a": 1}'), says("{}")]}, ["json_differs"]),
        (
            {},
            {"turns": [says('{"a": 1}'), {"steps": [{"type": "thought"}, *says("b")["steps"]]}]},
            ["steps_differ"],
        ),
        (
            {"ignore": "thought"},
            {"turns": [says('{"a": 1}'), {"steps": [{"type": "thought"}, *says("b")["steps"]]}]},
            [],
        ),
        ({"on": "json"}, {"turns": [says('{"a": 1}'), {"steps": []}]}, []),
        (
            {"on": "tool_calls"},
            {"turns": [says("a"), {"steps": [{"type": "function_call", "name": "x"}]}]},
            ["tool_calls_differ"],
        ),
        ({}, {"turns": [says('{"a": 1}')]}, ["turn_missing"]),
    ],
)
def test_same_as(options: Mapping[str, Any], other: Any, expected: list[str]) -> None:
    selectors: list[Any] = []

    def sibling(settings: Any) -> Transcript | None:
        selectors.append(dict(settings))
        return transcript(other) if other is not None else None

    assert (
        codes(check_with("same_as", {"history": "stateful", **options}, ONE, sibling=sibling))
        == expected
    )
    assert selectors == [{"history": "stateful"}]


def test_same_as_over_the_conversation_compares_every_turn() -> None:
    conversation = transcript(ONE)
    view = View(
        conversation, sibling=lambda _: transcript({"turns": [says("{}"), says("b"), says("c")]})
    )
    check = Catalog().build("same_as", {"history": "stateful"}, bare=False)
    result = run_check(
        check, view, name="same_as", negate=False, severity=Severity.ERROR, turn=None, declared=""
    )
    assert [(finding.code, finding.where.turn) for finding in result.findings] == [
        ("json_differs", 1),
        ("turn_missing", 3),
    ]


def test_same_as_without_a_recording_is_errored() -> None:
    def sibling(settings: Any) -> Transcript:
        raise LookupError("london[stateful] has no recording")

    result = check_with("same_as", {"history": "stateful"}, ONE, sibling=sibling)
    assert result.verdict is ERRORED
    assert result.findings[0].message == "london[stateful] has no recording"


def texts(results: Iterable[Finding]) -> str:
    return "\n".join(f"{finding.message}\n{finding.detail}" for finding in results)


HOSTILE = "\x1b[31mred\u202e\x00\ud800"


@pytest.mark.parametrize(
    ("name", "argument", "source"),
    [
        ("text", {"equals": "x", "not_contains": "red", "similar_to": "zzz"}, says(HOSTILE)),
        ("json", {"a": 1}, says(json.dumps({"a": HOSTILE}))),
        ("json", {"a": 1}, says(HOSTILE)),
        (
            "json_schema",
            {"type": "object", "additionalProperties": False},
            says(json.dumps({HOSTILE: 1})),
        ),
        ("steps", [], {"steps": [{"type": HOSTILE}]}),
        ("steps", ["thought"], {"steps": [{"type": HOSTILE}]}),
        (
            "tool_calls",
            [],
            {
                "steps": [
                    {"type": "function_call", "name": HOSTILE, "arguments": {HOSTILE: HOSTILE}}
                ]
            },
        ),
        ("status", "completed", {"status": HOSTILE}),
        ("error", 404, {"error": {"status": 400, "code": HOSTILE, "message": HOSTILE}}),
        (
            "citations",
            {"domains": "a.org", "schemes": "https", "spans": "valid"},
            {
                "steps": [
                    {
                        "type": "model_output",
                        "content": [
                            {
                                "type": "text",
                                "text": HOSTILE,
                                "annotations": [
                                    {
                                        "type": "url_citation",
                                        "url": f"x://{HOSTILE}",
                                        "title": HOSTILE,
                                        "end_index": 99,
                                    }
                                ],
                            }
                        ],
                    }
                ]
            },
        ),
        (
            "media",
            "image",
            {
                "steps": [
                    {
                        "type": "model_output",
                        "content": [{"type": "image", "data": HOSTILE, "mime_type": HOSTILE}],
                    }
                ]
            },
        ),
    ],
)
def test_no_hostile_character_reaches_a_message_or_a_detail(
    name: str, argument: Any, source: Any
) -> None:
    result = check_with(name, argument, source)
    assert result.verdict is FAILED
    text = texts(result.findings)
    assert not set(text) & set(HOSTILE) - set("[31mred")
    assert all("\n" not in finding.message for finding in result.findings)
    assert all(line == line.rstrip() for line in text.splitlines())
    json.dumps([finding.to_json() for finding in result.findings])


def test_media_is_not_copied_into_findings() -> None:
    source = {
        "steps": [
            {
                "type": "model_output",
                "content": [{"type": "image", "data": "A" * 100_000, "mime_type": "image/png"}],
            }
        ]
    }
    result = check_with("media", "image", source)
    assert len(json.dumps(result.to_json())) < 1000
    conversation = transcript({"turns": [
        {"input": [{"type": "user_input", "content": "a"}], "steps": source["steps"]}, {"input": [{"type": "user_input", "content": "a"}]}
    ]})  # fmt: skip
    check = Catalog().build("history", "exact", bare=False)
    result = run_check(
        check,
        View(conversation),
        name="history",
        negate=False,
        severity=Severity.ERROR,
        turn=None,
        declared="",
    )
    assert result.verdict is FAILED
    assert len(json.dumps(result.to_json())) < 5000


def test_the_columns_of_a_table_are_aligned() -> None:
    assert table([["a", "b"], ["long", "", "x"], []]) == "a     b\nlong     x\n"
    assert table([]) == ""


@pytest.mark.parametrize(
    ("expected", "got", "last"),
    [
        ("abc", "abd", "             ^ character 3: expected 'c', got 'd'"),
        ("abc", "ab", "             ^ character 3: expected 'c', got the end"),
        ("a b", "a\u00a0b", "            ^ character 2: expected ' ', got U+00A0 NO-BREAK SPACE"),
        ("a\nb", "a\nc", "              ^ character 3: expected 'b', got 'c'"),
        ("", "\n", "           ^ character 1: expected the end, got U+000A"),
    ],
)
def test_the_first_difference_of_two_texts(expected: str, got: str, last: str) -> None:
    assert first_difference(expected, got).splitlines()[-1] == last


def test_long_texts_are_shown_around_the_difference() -> None:
    lines = first_difference("x" * 500 + "a" + "y" * 500, "x" * 500 + "b" + "y" * 500).splitlines()
    assert all(len(line) < 120 for line in lines)
    assert lines[0].startswith('expected  …"xxx')
    assert lines[0].endswith("…")
    assert lines[0].index("a", 12) == lines[2].index("^")


def test_excerpts_are_short() -> None:
    value: dict[str, Any] = {"data": "A" * 5000, "list": ["short", {"deep": "B" * 5000}], "n": 1}
    short = excerpt(value)
    assert short["list"][0] == "short"
    assert short["data"].endswith("… (5,000 characters)")
    assert len(json.dumps(short)) < 3000
    assert len(value["data"]) == 5000, "the value itself is untouched"
