"""Suites that load: the effect of each key."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evalkit import suite
from evalkit._lib.files import sha256
from evalkit.errors import SuiteErrors
from evalkit.plugins import Catalog
from evalkit.suite import Variant
from tests.suite.fake_catalog import Status, Text
from tests.suite.project import Project

WEATHER = """\
# yaml-language-server: $schema=../evalkit.schema.json
suite: weather
description: Function calling, both ways of keeping history.
defaults:
  model: gemini-3.5-flash
  history: [stateful, stateless]
  tags: [nightly]
  expect:
    - history
vars: {unit: celsius}
tools:
  get_current_temperature:
    description: Gets the current temperature for a given location.
    parameters:
      type: object
      properties: {location: {type: string, description: "The city name, e.g. San Francisco"}}
      required: [location]
    result: {location: "{{ arguments.location }}", temperature: "22", unit: "{{ unit }}"}
scenarios:
  - id: london
    title: One call, one answer
    tags: [smoke]
    tools: [get_current_temperature, {type: google_search}]
    turns:
      - user: What is the temperature in London?
        expect:
          - status: completed
          - text: {contains: "22"}
            severity: warn
          - not:
              text: "23"
      - user: And now in {{ unit }}?
    expect:
      - usage: {total_tokens: {max: 600}}
"""


def load_one(
    project: Project, keys: str = "", head: str = "", turns: str = "[{user: hi}]"
) -> Variant:
    body = "".join(f"    {line}\n" for line in keys.splitlines())
    return project.expand(f"suite: s\n{head}scenarios:\n  - id: a\n    turns: {turns}\n{body}")[0]


def test_a_suite_with_many_features_loads(project: Project) -> None:
    stateful, stateless = project.expand(WEATHER)
    assert (stateful.id, stateless.id) == (
        "weather::london[stateful]",
        "weather::london[stateless]",
    )
    assert stateful.title == "One call, one answer"
    assert stateful.tags == ("nightly", "smoke")
    assert stateful.line == 20
    assert [turn.line for turn in stateful.turns] == [25, 32]
    assert [turn.content({}) for turn in stateful.turns] == [
        "What is the temperature in London?",
        "And now in celsius?",
    ]
    assert [(e.name, e.line, e.negate, e.severity) for e in stateful.turns[0].expect] == [
        ("status", 27, False, "error"),
        ("text", 28, False, "warn"),
        ("text", 30, True, "error"),
    ]
    assert [(e.name, e.line) for e in stateful.expect] == [("history", 9), ("usage", 34)]
    assert stateful.turns[0].expect[0].check({}) == Status(value="completed")
    assert stateful.turns[0].expect[1].check({}) == Text(contains="22")
    assert stateful.fields == {
        "model": "gemini-3.5-flash",
        "tools": [
            {
                "type": "function",
                "name": "get_current_temperature",
                "description": "Gets the current temperature for a given location.",
                "parameters": {
                    "type": "object",
                    "properties": {
                        "location": {
                            "type": "string",
                            "description": "The city name, e.g. San Francisco",
                        }
                    },
                    "required": ["location"],
                },
            },
            {"type": "google_search"},
        ],
    }


def test_omitted_keys_have_defaults(project: Project) -> None:
    variant = load_one(project, "model: m")
    assert variant.settings == {
        "model": "m",
        "history": "stateful",
        "stream": False,
        "background": False,
    }
    assert (variant.max_tool_rounds, variant.timeout, variant.stop_on_failure, variant.title) == (
        8,
        None,
        False,
        "",
    )
    assert (variant.tags, list(variant.expect), variant.tools, variant.variables) == (
        (),
        [],
        {},
        {},
    )
    assert variant.fields == {"model": "m"}


REQUEST_FIELDS = """\
agent: helper-1
agent_config: {type: dynamic, depth: 3}
environment: remote
system_instruction: Be brief.
response_format: {type: text, mime_type: application/json, schema: {type: object}}
response_modalities: [text]
response_mime_type: text/plain
service_tier: flex
labels: {team: qa}
safety_settings: [{type: x, threshold: y}]
webhook_config: {uris: ["https://example.org"]}
request: {novel_field: [1, null, 2.5], labels: {team: other}}
max_tool_rounds: 2
timeout: 1.5
stop_on_failure: true
stream: true
"""


def test_request_fields_are_sent_as_the_api_names_them(project: Project) -> None:
    variant = load_one(project, REQUEST_FIELDS)
    assert variant.fields == {
        "agent": "helper-1",
        "service_tier": "flex",
        "agent_config": {"type": "dynamic", "depth": 3},
        "environment": "remote",
        "system_instruction": "Be brief.",
        "response_format": {
            "type": "text",
            "mime_type": "application/json",
            "schema": {"type": "object"},
        },
        "response_modalities": ["text"],
        "response_mime_type": "text/plain",
        "labels": {"team": "other"},
        "safety_settings": [{"type": "x", "threshold": "y"}],
        "webhook_config": {"uris": ["https://example.org"]},
        "novel_field": [1, None, 2.5],
    }
    assert next(iter(variant.fields)) == "agent"
    assert (variant.max_tool_rounds, variant.timeout, variant.stop_on_failure) == (2, 1.5, True)
    assert variant.settings["stream"] is True


DEFAULTS = [
    (
        "a scenario's own value wins",
        "{model: a, timeout: 3}",
        "timeout: 9",
        lambda v: v.timeout == 9,
    ),
    (
        "nothing is merged inside a value",
        "{model: a, generation_config: {seed: 1}}",
        "generation_config: {top_p: 1}",
        lambda v: v.fields["generation_config"] == {"top_p": 1},
    ),
    (
        "tags add up, once each",
        "{model: a, tags: [x, y]}",
        "tags: [y, z]",
        lambda v: v.tags == ("x", "y", "z"),
    ),
    (
        "expect adds up, defaults first",
        "{model: a, expect: [status: completed]}",
        "expect: [history]",
        lambda v: [e.name for e in v.expect] == ["status", "history"],
    ),
    (
        "an agent drops the default model",
        "{model: a, generation_config: {seed: 1}, labels: {k: v}}",
        "agent: x",
        lambda v: v.fields == {"agent": "x", "labels": {"k": "v"}},
    ),
    (
        "a model drops the default agent",
        "{agent: a, agent_config: {type: t}, environment: remote}",
        "model: x",
        lambda v: v.fields == {"model": "x", "environment": "remote"},
    ),
    (
        "a list may be narrowed",
        "{model: a, history: [stateful, stateless]}",
        "history: stateless",
        lambda v: v.parts == () and v.settings["history"] == "stateless",
    ),
    (
        "no tools may be said",
        "{model: a, tools: [{type: google_search}]}",
        "tools: []",
        lambda v: v.fields.get("tools", []) == [],
    ),
    (
        "cases may be shared",
        "{model: a, cases: [{n: 1}]}",
        "title: 'No {{ n }}'",
        lambda v: v.title == "No 1",
    ),
]


@pytest.mark.parametrize(
    ("defaults", "keys", "holds"), [row[1:] for row in DEFAULTS], ids=[row[0] for row in DEFAULTS]
)
def test_defaults_are_merged_under_a_scenario(
    project: Project, defaults: str, keys: str, holds: Any
) -> None:
    assert holds(load_one(project, keys, head=f"defaults: {defaults}\n"))


def test_turns_can_be_in_the_defaults(project: Project) -> None:
    text = (
        "suite: s\ndefaults:\n  turns:\n    - user: hi\n      expect: [history]\nscenarios:\n"
        "  - {id: a, model: m}\n  - {id: b, model: n}\n"
    )
    variants = project.expand(text)
    assert [
        (turn.line, turn.content({}), turn.expect[0].line)
        for variant in variants
        for turn in variant.turns
    ] == [(4, "hi", 5)] * 2


def test_expectations_of_the_defaults_are_rendered_for_each_scenario(project: Project) -> None:
    text = (
        "suite: s\ndefaults: {model: m, expect: [{text: '{{ n }}!'}, history]}\nscenarios:\n"
        "  - {id: a, cases: [{n: 1}, {n: 2}], turns: [{user: hi}]}\n"
        "  - {id: b, cases: [{n: 3}], turns: [{user: hi}]}\n"
    )
    assert [variant.expect[0].check({}) for variant in project.expand(text)] == [
        Text(contains=f"{n}!") for n in (1, 2, 3)
    ]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(
            "\ufeffsuite: s\nscenarios: [{id: a, model: m, turns: [{user: hi}]}]\n",
            id="byte order mark",
        ),
        pytest.param(
            "suite: s\r\nscenarios:\r\n  - id: a\r\n    model: m\r\n    turns: [{user: hi}]\r\n",
            id="CRLF",
        ),
        pytest.param(
            "suite: s\nscenarios: [{id: a, model: m, turns: [{user: hi}]}]", id="no last line end"
        ),
        pytest.param(
            '{"suite": "s", "scenarios": [{"id": "a", "model": "m", "turns": [{"user": "hi"}]}]}',
            id="JSON",
        ),
        pytest.param(
            "%YAML 1.2\n---\nsuite: s\nscenarios: [{id: a, model: m, turns: [{user: hi}]}]\n...\n",
            id="directive",
        ),
    ],
)
def test_line_ends_and_byte_order_marks_make_no_difference(project: Project, text: str) -> None:
    suite_ = project.load(text)
    assert [scenario.id for scenario in suite_.scenarios] == ["a"]


@pytest.mark.parametrize("word", ['"yes"', "'no'", "|\n          yes", "yes please", "!!str yes"])
def test_quoted_yes_is_text(project: Project, word: str) -> None:
    (variant,) = project.expand(
        f"suite: s\nscenarios:\n  - id: a\n    model: m\n    turns:\n      - user: {word}\n"
    )
    content = variant.turns[0].content({})
    assert isinstance(content, str)
    assert content.split()[0] in ("yes", "no")


def test_yaml_aliases_keep_lines_and_values(project: Project) -> None:
    text = (
        "suite: s\ndefaults: {model: m}\nscenarios:\n  - id: a\n    turns: &turns\n"
        "      - user: hi\n        expect: &checks\n          - history\n"
        "  - id: b\n    turns: *turns\n    expect: *checks\n"
    )
    a, b = project.expand(text)
    assert [turn.content({}) for turn in b.turns] == ["hi"]
    assert (b.line, b.turns[0].line, b.turns[0].expect[0].line, b.expect[0].line) == (9, 6, 8, 8)
    assert a.turns[0].line == 6


def test_entries_know_their_lines(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(text: str) -> Any:
        raise AssertionError("a file without mistakes was parsed for positions")

    monkeypatch.setattr("evalkit._lib.yaml.locate", refuse)
    stateful, _ = project.expand(WEATHER)
    assert stateful.turns[0].expect[2].line == 30


def test_equal_entries_have_the_same_check_object(project: Project) -> None:
    project.catalog = Catalog()
    first, second = project.expand(
        "suite: s\ndefaults: {model: m}\nscenarios:\n"
        "  - {id: a, turns: [{user: hi, expect: [status: completed]}]}\n"
        "  - {id: b, turns: [{user: hi, expect: [status: completed]}]}\n"
    )
    assert first.turns[0].expect[0].built is second.turns[0].expect[0].built


def test_different_entries_have_different_checks(project: Project) -> None:
    entries = (
        "[status: completed, {not: {status: completed}}, {status: completed, severity: "
        "warn}, {not: history}, history,"
        " usage: {total_tokens: {max: 1}}, usage: {total_tokens: {max: 2}}, usage: "
        "{total_tokens: {max: 1}}]"
    )
    (variant,) = project.expand(
        f"suite: s\nscenarios: [{{id: a, model: m, turns: [{{user: hi, expect: {entries}}}], "
        f"expect: {entries}}}]\n"
    )
    for expect in (variant.turns[0].expect, variant.expect):
        assert [(item.name, item.negate, item.severity) for item in expect[:5]] == [
            ("status", False, "error"),
            ("status", True, "error"),
            ("status", False, "warn"),
            ("history", True, "error"),
            ("history", False, "error"),
        ]
        assert [vars(item.check({}))["total_tokens"].max for item in expect[5:]] == [1, 2, 1]
        assert [item.argument for item in expect[4:7]] == [
            None,
            {"total_tokens": {"max": 1}},
            {"total_tokens": {"max": 2}},
        ]


SHARING = (
    "",
    "title: '{{ where }}'",
    "tags: [slow]",
    "tools: []",
    "tools: [plain]",
    "tools: [plain, templated]",
    "tools: [templated, plain]",
    "tools: [plain, {type: google_search}]",
    "tools: [{type: google_search}]",
    "model: other",
    "model: [a, b]",
    "history: [stateful, stateless]",
    "request: {user_id: '{{ where }}'}",
    "labels: {a: b}",
    "cases: [{where: Rome}]",
    "cases: [{where: Rome}, {where: Bonn}]\n    tools: [templated]",
)


@pytest.mark.parametrize(
    "defaults",
    ["{model: m}", "{model: [m, n], system_instruction: 'In {{ where }}.', tools: [templated]}"],
)
@pytest.mark.parametrize("first", SHARING)
@pytest.mark.parametrize("second", SHARING)
def test_scenarios_do_not_affect_each_other(
    project: Project, defaults: str, first: str, second: str
) -> None:
    head = (
        f"suite: s\nvars: {{where: London}}\ndefaults: {defaults}\n"
        "tools:\n  plain: {result: 1}\n"
        "  templated: {description: 'For {{ where }}.', result: '{{ where }}'}\nscenarios:\n"
    )
    first_text, second_text = (
        f"  - id: {name}\n    {keys}\n    turns: [{{user: hi}}]\n"
        for name, keys in (("one", first), ("two", second))
    )
    together = project.load(head + first_text + second_text)
    for index, text in enumerate((first_text, second_text)):
        (alone,) = project.load(head + text).scenarios
        scenario = together.scenarios[index]
        adjusted = replace(
            scenario, line=alone.line, path=alone.path, tools=alone.tools, turns=alone.turns
        )
        assert adjusted == alone
        assert list(scenario.tools.values()) == list(alone.tools.values())


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ("system_instruction: '{{ where }}'", "4:38 defaults: undefined variable 'where'"),
        ("tools: [templated]", "tool 'templated': undefined variable 'where'"),
    ],
)
def test_a_variable_of_another_scenarios_cases_is_undefined(
    project: Project, keys: str, problem: str
) -> None:
    messages = project.problems(
        "suite: s\ntools: {templated: {result: '{{ where }}'}}\ndefaults:\n"
        f"  {{model: m, {keys}}}\nscenarios:\n"
        "  - {id: one, cases: [{where: Rome}], turns: [{user: hi}]}\n"
        "  - {id: two, turns: [{user: hi}]}\n"
    )
    assert [problem in line for line in messages] == [True], messages


def test_a_missing_file_is_reported_everywhere_it_is_named(project: Project) -> None:
    expect = "expect: [json_schema: {file: gone.json}]"
    messages = project.problems(
        f"suite: s\nscenarios:\n  - {{id: a, model: m, turns: [{{user: hi, {expect}}}]}}\n"
        f"  - {{id: b, model: m, turns: [{{user: hi, {expect}}}]}}\n"
    )
    assert [
        "scenario 'a', turn 1: no such file" in messages[0],
        "scenario 'b', turn 1: no such file" in messages[1],
    ] == [True, True]


def test_the_digest_covers_the_file_and_all_files_it_uses(project: Project) -> None:
    text = "suite: s\nscenarios: [{id: a, model: m, turns: [{user: hi}]}]\n"
    assert project.load(text).digest == sha256(text)
    project.write("suites/cities.csv", "city\nParis\n")
    project.write("suites/photo.png", b"png")
    project.write("suites/schema.json", "{}")
    text = (
        "suite: s\nscenarios:\n  - id: a\n    model: m\n    cases: {file: cities.csv}\n"
        "    turns: [{user: hi, attach: {image: photo.png}, expect: [json_schema: schema.json]}]\n"
    )
    seen = {project.load(text).digest, project.load(text).digest}
    for name in ("cities.csv", "photo.png", "schema.json"):
        before = (project.suites / name).read_bytes()
        project.write(f"suites/{name}", before + b"\n")
        seen.add(project.load(text).digest)
        project.write(f"suites/{name}", before)
        seen.add(project.load(text).digest)
    assert len(seen) == 4


def test_the_digest_reports_a_file_that_disappeared(project: Project) -> None:
    path = project.write("suites/photo.png", b"png")
    suite_ = project.load(
        "suite: s\nscenarios: [{id: a, model: m, turns: [{attach: {image: photo.png}}]}]\n"
    )
    path.unlink()
    with pytest.raises(
        SuiteErrors, match=r"^suites/weather\.yaml:1:1 cannot read suites/photo\.png: "
    ):
        _ = suite_.digest


def test_a_suite_resolves_file_names(project: Project) -> None:
    project.write("schemas/a.json", "{}")
    suite_ = project.load("suite: s\nscenarios: [{id: a, model: m, turns: [{user: hi}]}]\n")
    assert suite_.file("schemas/a.json") == project.root / "schemas/a.json"
    assert suite_.file("../schemas/a.json") == project.root / "schemas/a.json"
    with pytest.raises(SuiteErrors, match="outside the project"):
        suite_.file("../../a.json")


def test_a_suite_outside_the_root_has_its_whole_path_as_label(
    project: Project, tmp_path: Path
) -> None:
    path = tmp_path / "elsewhere.yaml"
    path.write_text("[]\n")
    with pytest.raises(SuiteErrors) as caught:
        suite.load(path, root=project.root, checks=project.catalog)
    assert str(caught.value).startswith(f"{path.as_posix()}:1:1 ")


def test_a_missing_suite_file_is_reported(project: Project) -> None:
    with pytest.raises(
        SuiteErrors, match=r"^suites/none\.yaml:1:1 cannot read the file: No such file"
    ):
        suite.load(project.suites / "none.yaml", root=project.root, checks=project.catalog)


def test_the_public_names() -> None:
    assert sorted(suite.__all__) == [
        "BadArguments",
        "CheckCatalog",
        "Expectation",
        "Scenario",
        "Suite",
        "Tool",
        "ToolOutcome",
        "TurnPlan",
        "Variant",
        "cassettes_of",
        "expand",
        "load",
    ]


def test_loading_a_suite_imports_no_network_or_cli_library(project: Project) -> None:
    path = project.write(
        "suites/a.yaml",
        "suite: s\nscenarios: [{id: a, model: m, turns: [{user: hi, expect: [history]}]}]\n",
    )
    code = (
        "import sys; from pathlib import Path; import evalkit.suite as s; from "
        "tests.suite.fake_catalog import FakeCatalog;"
        f"loaded = s.load(Path({str(path)!r}), root=Path({str(project.root)!r}), "
        "checks=FakeCatalog()); s.expand(loaded)[0].fields;"
        "print([name for name in ('httpx', 'jsonschema', 'click', 'rich', 'pytest') if name "
        "in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert result.stdout.strip() == "[]"
