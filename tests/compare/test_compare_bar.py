"""What two revisions of a suite expect, compared by meaning."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evalkit.checks.core.base import Check
from evalkit.checks.core.schema_order import schema_changes
from evalkit.compare.expectation_changes import bar_changes, count_expectations
from evalkit.plugins import CHECKS, Catalog
from evalkit.suite import Suite, load

LoadSuite = Callable[[str], Suite]
SCENARIO = """\
suite: s
defaults: {{model: m}}
tools:
  refund: {{parameters: {parameters}, result: 1}}
scenarios:
  - id: a
    {keys}
    turns:
{turns}
"""
PARAMETERS = "{type: object, required: [order], properties: {order: {type: string}}}"


@pytest.fixture
def suite(tmp_path: Path) -> LoadSuite:
    count = iter(range(100))

    def build(text: str) -> Suite:
        root = tmp_path / str(next(count))
        root.mkdir()
        (root / "s.yaml").write_text(text)
        return load(root / "s.yaml", root=root, checks=Catalog())

    return build


def text_of(
    expect: str, *more: str, keys: str = "tools: [refund]", parameters: str = PARAMETERS
) -> str:
    turns = "\n".join(f"      - user: hi\n        expect: [{one}]" for one in (expect, *more))
    return SCENARIO.format(turns=turns, keys=keys, parameters=parameters)


def kinds(suite: LoadSuite, old: str, new: str) -> list[str]:
    return [change.kind for change in bar_changes([suite(old)], [suite(new)])]


LOOSENED = [
    ("text: refund policy", "text: refund"),
    ("text: {contains: [a, b]}", "text: a"),
    ("text: {all_of: [refund]}", "text"),
    ("text: {any_of: [refund]}", "text: {any_of: [refund, money]}"),
    ("text: {any_of: [refund policy]}", "text: {any_of: [refund]}"),
    ("text: {not_contains: [stupid, dumb]}", "text: {not_contains: [stupid]}"),
    ("text: {not_contains: stupid}", "text: {not_contains: stupid idea}"),
    ("text: {max_chars: 5}", "text: {max_chars: 6}"),
    ("text: {min_chars: 5}", "text: {min_chars: 4}"),
    ("text: {matches: a}", "text"),
    ("text: {starts_with: Dear}", "text: {starts_with: D}"),
    ("text: {ends_with: Bye.}", "text: {ends_with: .}"),
    ("text: {similar_to: abc, min_ratio: 0.9}", "text: {similar_to: abc, min_ratio: 0.8}"),
    ("text: refund", "text: {contains: refund, ignore_case: true}"),
    ("text: refund", "{text: refund, severity: warn}"),
    ("{not: {text: a}}", "{not: {text: {contains: [a, b]}}}"),
    ("json: {a: 3, b: 4}", "json: {a: 3}"),
    ("json: {a: {min: 3}}", "json: {a: {min: 2}}"),
    ("json: {a: {length: 2}}", "json: {a: {length: {min: 1, max: 2}}}"),
    ("json: {a: 3}", "json: {a: 3, fenced: true}"),
    ("json_schema: {type: object, required: [a]}", "json_schema: {type: object}"),
    ("json_schema: {enum: [a]}", "json_schema: {enum: [a, b]}"),
    ("json_schema: {type: integer}", "json_schema: {type: number}"),
    ("json_schema: {type: string}", "json_schema: {type: [string, 'null']}"),
    ("judge: {rubric: kind, min: 0.8}", "judge: {rubric: kind, min: 0.7}"),
    ("judge: {rubric: kind, min: 0.8}", "judge: kind"),
    ("judge: kind", "judge: {rubric: kind, min: 0.1}"),
    ("citations", "citations: {min: 0}"),
    ("media", "media: {count: {min: 0}}"),
    ("tool_calls: [f]", "tool_calls: [{name: f, min: 0}]"),
    ("tool_calls: [f]", "tool_calls: [{name: f, min: 1}]"),
    ("tool_calls: [{name: f, min: 2}]", "tool_calls: [{name: f, min: 1}]"),
    ("tool_calls: [f, g]", "tool_calls: [f]"),
    ("tool_calls: [f]", "tool_calls: {calls: [f], allow_extra: true}"),
    ("tool_calls: {calls: [f], order: in_order}", "tool_calls: [f]"),
    ("tool_calls: [{name: f, arguments: {a: 1}}]", "tool_calls: [f]"),
    (
        "tool_calls: [{name: f, arguments: {a: 1}}]",
        "tool_calls: [{name: f, arguments: {a: 1}, match: superset}]",
    ),
    ("tool_calls: [f]", "tool_calls: [{name: f, optional: true}]"),
    ("tool_calls: [{name: f, max: 1}]", "tool_calls: [{name: f, max: 2}]"),
    ("steps: [thought]", "steps: {steps: [thought], match: superset}"),
    ("steps: [thought]", "steps: {steps: [thought], match: any_order}"),
    ("steps: [thought]", "steps: {steps: [thought], ignore: thought}"),
    ('steps: "thought model_output"', 'steps: "thought* model_output"'),
    ('steps: "thought+ model_output"', 'steps: "thought* model_output"'),
    ('steps: "thought model_output"', 'steps: "thought (model_output | function_call)"'),
    ('steps: "thought model_output"', 'steps: ". model_output"'),
    ('steps: "thought model_output"', 'steps: ".*"'),
    ("status: completed", "status: [completed, incomplete]"),
    ("error: 400", "error"),
    ("error: {status: 400}", "error: {status: [400, 500]}"),
    ("usage: {total_tokens: {max: 5}}", "usage: {total_tokens: {max: 6}}"),
    (
        "cost: {max: 1, input_per_million: 1, output_per_million: 1}",
        "cost: {max: 2, input_per_million: 1, output_per_million: 1}",
    ),
    ("latency: 500", "latency: 800"),
    ("latency: {max_ms: 500, first_token_ms: 9}", "latency: 500"),
    ("media: {count: 2}", "media: {count: {min: 1}}"),
    ("media: {width: {min: 9}}", "media"),
    ("citations: {min: 3}", "citations: {min: 2}"),
    ("citations: {domains: [a.org]}", "citations: {domains: [a.org, b.org]}"),
    ("citations: {coverage: 0.5}", "citations: {coverage: 0.4}"),
    ("snapshot: json", "snapshot: {of: json, ignore: [/a]}"),
    ("same_as: {history: stateful}", "same_as: {history: stateful, on: [json]}"),
    ("stream: {first_token_ms: 9}", "stream"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new"), LOOSENED)
def test_less_is_expected(suite: LoadSuite, old: str, new: str) -> None:
    assert kinds(suite, text_of(_entry(old)), text_of(_entry(new))) == ["loosened"]
    back = kinds(suite, text_of(_entry(new)), text_of(_entry(old)))
    assert set(back) == {"tightened"}


def _entry(text: str) -> str:
    return text if text.startswith("{") else f"{{{text}}}" if ":" in text else text


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("text: {matches: a}", "text: {matches: b}"),
        ("text: {equals: a}", "text: {equals: b}"),
        ("json: {a: 3}", "json: {a: 4}"),
        ("judge: {rubric: kind}", "judge: {rubric: polite}"),
        ('steps: "thought model_output"', 'steps: "thought function_call"'),
        ('steps: "thought* model_output"', 'steps: "thought model_output*"'),
        ("python: tests.a:b", "python: tests.a:c"),
        ("text: {starts_with: a}", "text: {starts_with: b}"),
        ("json_schema: {pattern: a}", "json_schema: {pattern: b}"),
        (
            "usage: {total_tokens: {max: 5}}",
            "usage: {total_tokens: {max: 4}, total_input_tokens: {max: 3}}",
        ),
    ],
)
def test_what_cannot_be_ordered_is_changed_or_tightened(
    suite: LoadSuite, old: str, new: str
) -> None:
    [kind] = set(kinds(suite, text_of(_entry(old)), text_of(_entry(new))))
    assert kind == ("tightened" if "usage" in old else "changed")


def test_a_check_that_is_gone(suite: LoadSuite) -> None:
    old, new = text_of("{text: a}, {text: b}, {status: completed}"), text_of("{text: a}")
    changes = bar_changes([suite(old)], [suite(new)])
    assert [(change.kind, str(change)) for change in changes] == [
        ("removed", 's::a, turn 1, text: is gone ("b")'),
        ("removed", 's::a, turn 1, status: is gone ("completed")'),
    ]
    assert changes[0].location == "s.yaml:10"


def test_expectations_that_are_merged_or_reordered_are_not_weaker(suite: LoadSuite) -> None:
    old = text_of("{text: a}, {text: b}, {status: completed}")
    assert set(kinds(suite, old, text_of("{status: completed}, {text: [b, a]}"))) == {"tightened"}
    assert kinds(suite, old, text_of("{status: completed}, {text: b}, {text: a}")) == []


def test_a_negated_check_is_another_check(suite: LoadSuite) -> None:
    negated = text_of("{not: {text: a}}, {text: b}")
    assert kinds(suite, negated, text_of("{text: a}, {text: b}")) == ["removed", "added"]
    longer = text_of("{not: {text: {contains: [a, c]}}}, {text: b}")
    assert kinds(suite, negated, longer) == ["loosened"]


def test_patterns_that_accept_the_same_are_the_same(suite: LoadSuite) -> None:
    old, new = "{steps: 'thought thought*'}", "{steps: 'thought+'}"
    assert kinds(suite, text_of(old), text_of(new)) == []


def test_one_check_that_replaces_two_covers_only_one(suite: LoadSuite) -> None:
    old = text_of("{text: {max_chars: 5}}, {text: {max_chars: 9}}")
    assert kinds(suite, old, text_of("{text: {max_chars: 10}}")) == ["removed", "loosened"]


def test_turns_tools_repeats_and_marks(suite: LoadSuite) -> None:
    base = text_of("{text: a}")
    assert kinds(suite, text_of("{text: a}", "{text: b}"), base) == ["removed"]
    loose = PARAMETERS.replace("required: [order], ", "")
    assert kinds(suite, base, text_of("{text: a}", parameters=loose)) == ["loosened"]
    assert kinds(suite, text_of("{text: a}", parameters=loose), base) == ["tightened"]
    assert kinds(suite, base, text_of("{text: a}", keys="tools: []")) == ["changed"]
    marked = text_of("{text: a}", keys="tags: [xfail]\n    tools: [refund]")
    assert kinds(suite, base, marked) == ["loosened"]
    repeated = text_of("{text: a}", keys="repeat: 5\n    tools: [refund]")
    assert kinds(suite, repeated, base) == ["loosened"]


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        ("{reason: late}", "{reason: late, strict: false}", "loosened"),
        ("{reason: late, until: 2026-01-01}", "{reason: late, until: 2027-01-01}", "loosened"),
        ("{reason: late, until: 2026-01-01}", "late", "loosened"),
        ("{reason: late, if: history == 'stateless'}", "late", "loosened"),
        ("{reason: late}", "{reason: late, until: 2026-01-01}", "changed"),
        ("late", "still late", "changed"),
    ],
)
def test_exemptions(suite: LoadSuite, old: str, new: str, kind: str) -> None:
    texts = [text_of("{text: a}", keys=f"xfail: {one}\n    tools: [refund]") for one in (old, new)]
    assert kinds(suite, *texts) == [kind]


def test_a_milder_level_of_a_default_check(suite: LoadSuite) -> None:
    keys = "tools: [refund]\n    history: stateless\n    expect: [{}]"
    base = text_of("{text: a}", keys=keys.format("{text: a}"))
    milder = text_of("{text: a}", keys=keys.format("{text: a}, {history: equivalent}"))
    warned = text_of("{text: a}", keys=keys.format("{text: a}, {history: exact, severity: warn}"))
    assert kinds(suite, base, milder) == ["loosened"]
    assert kinds(suite, base, warned) == ["loosened"]
    assert kinds(suite, milder, base) == ["tightened"]


def test_each_case_has_its_own_expectations(suite: LoadSuite) -> None:
    def text(second: str) -> str:
        keys = f"tools: [refund]\n    cases: [{{id: x, most: 5}}, {{id: y, most: {second}}}]"
        return text_of('{text: {max_chars: "{{ most }}"}}', keys=keys)

    old, new = suite(text("5")), suite(text("7"))
    [change] = bar_changes([old], [new])
    assert str(change) == "s::a, turn 1, text: max_chars: 5 → 7"
    assert count_expectations([old]) == 1


def test_a_file_that_a_check_names(suite: LoadSuite) -> None:
    def build(schema: str) -> Suite:
        text = text_of("{json_schema: {file: answer.json}}")
        with pytest.raises(Exception, match="no such file"):
            suite(text)
        root = Path(suite(text_of("{text: a}")).path).parent
        (root / "answer.json").write_text(schema)
        (root / "s.yaml").write_text(text)
        return load(root / "s.yaml", root=root, checks=Catalog())

    [change] = bar_changes([build('{"required": ["a"]}')], [build("{}")])
    assert (change.kind, str(change)) == (
        "loosened",
        's::a, turn 1, json_schema: answer.json/required: ["a"] → absent',
    )


def test_a_scenario_that_only_one_side_has_is_not_listed(suite: LoadSuite) -> None:
    other = text_of("{text: a}").replace("id: a", "id: b")
    assert kinds(suite, text_of("{text: a}"), other) == []


@pytest.mark.parametrize("name", sorted(CHECKS))
def test_every_declared_strictness_is_of_an_option(name: str) -> None:
    check: type[Check] = CHECKS.get(name)
    assert all(name in check.model_fields or hasattr(check, name) for name in check.strictness)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({}, {"required": ["a"]}, [False]),
        ({"items": {"minimum": 3}}, {"items": {"minimum": 2}}, [True]),
        ({"items": {"minimum": 3}}, {}, [True]),
        ({"additionalProperties": False}, {}, [True]),
        ({}, {"additionalProperties": False}, [False]),
        ({"properties": {"a": {"type": "string"}}}, {"properties": {}}, [True]),
        ({"type": "number"}, {"type": "integer"}, [False]),
        ({"enum": [1, 2]}, {"enum": [2, 3]}, [None]),
        ({"anyOf": [{}]}, {"anyOf": [{}, {}]}, [None]),
        ({"title": "a", "maxLength": 3}, {"title": "b", "maxLength": 3}, []),
        ({"$defs": {"a": {"minLength": 2}}}, {"$defs": {"a": {"minLength": 1}}}, [True]),
        (False, {}, [True]),
        (True, {}, []),
        ({}, False, [False]),
        ({"required": ["a", "b"]}, {"required": ["b", "c"]}, [None]),
    ],
)
def test_schemas_are_ordered_by_keyword(old: Any, new: Any, expected: list[bool | None]) -> None:
    assert [change.is_looser for change in schema_changes(old, new)] == expected
