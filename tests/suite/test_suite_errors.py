"""Suites that do not load: every mistake is located, those of a layer are reported together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from evalkit.plugins import Catalog
from evalkit.suite import CheckCatalog
from tests.suite.fake_catalog import FakeCatalog
from tests.suite.project import Project

MISTAKES = Path(__file__).parent / "mistakes"
HEAD = "suite: weather\ndefaults: {model: m}\nvars: {unit: c}\nscenarios:\n  - id: london\n"


def mistakes(name: str) -> list[Any]:
    """Read a table of mistakes.

    Each is ``### title``, a suite, and ``=> line:column message`` for each problem in file order.
    """
    blocks = (MISTAKES / f"{name}.txt").read_text(encoding="utf-8").split("### ")[1:]
    rows = []
    for block in blocks:
        title, _, rest = block.partition("\n")
        text, *expected = (
            rest.rstrip("\n").split("\n=> ")
            if not rest.startswith("=> ")
            else ("", rest[3:].rstrip("\n"))
        )
        rows.append(pytest.param(f"{text}\n" if text else "", expected, id=title))
    return rows


@pytest.mark.parametrize(
    ("text", "expected"),
    [row for name in ("syntax", "top", "scenario", "templates", "tools") for row in mistakes(name)],
)
def test_a_mistake_is_located(project: Project, text: str, expected: list[str]) -> None:
    assert project.problems(text) == expected


SCENARIO = "suite: s\nscenarios:\n  - id: a\n    model: m\n"
TWO = "scenarios:\n  - {{id: a, turns: [{{user: hi}}]}}\n  - {{id: b, turns: [{{user: hi}}]}}\n"
PLACES = {
    "scenario 'a', turn 1": SCENARIO
    + "    turns:\n      # nothing\n      - user: hi\n        expect:\n{}",
    "scenario 'a'": SCENARIO
    + "    turns: [{{user: hi}}]\n    # nothing\n    # nothing\n    expect:\n{}",
    "defaults": "suite: s\n\n\n\n\ndefaults:\n  model: m\n  expect:\n{}" + TWO,
}


@pytest.mark.parametrize(("entry", "expected"), mistakes("expect"))
@pytest.mark.parametrize("place", PLACES)
def test_a_mistake_in_an_expectation_is_located(
    project: Project, place: str, entry: str, expected: list[str]
) -> None:
    """``{}`` in the table is replaced by the location: a turn, a scenario, the defaults."""
    assert project.problems(PLACES[place].format(entry)) == [
        line.replace("{}", place, 1) for line in expected
    ]


BYTES = [
    (
        b"suite: s\ndescription: caf\xe9\n",
        "2:17 not UTF-8 text (byte 0xE9); save the file as UTF-8",
    ),
    ("suite: s\n".encode("utf-16"), "1:1 UTF-16 text; save the file as UTF-8"),
    (b"suite: s\ndescription: a\x07\n", "2:15 a character that YAML does not allow: U+0007"),
    (
        b"suite: s\ndescription: \xed\xa0\x80\n",
        "2:14 not UTF-8 text (byte 0xED); save the file as UTF-8",
    ),
    (b"suite: s\nvars: {a: " + b"9" * 5000 + b"}\n", "2:11 a number with too many digits"),
    (b"suite: s\nvars: " + b"[" * 500 + b"]" * 500 + b"\n", "2:207 nested more than 200 deep"),
    (b"suite: s\nvars: {" + b"a" * 5000 + b": 1, }\n" + b"x: {", None),
]


@pytest.mark.parametrize(
    ("text", "expected"),
    BYTES,
    ids=["latin-1", "utf-16", "control", "surrogate", "long number", "deep", "long key"],
)
def test_invalid_bytes_are_located(project: Project, text: bytes, expected: str | None) -> None:
    (message,) = project.problems(text)
    assert expected in (message, None)
    assert len(message) < 200


def test_a_message_shows_the_source_line_a_caret_and_a_hint(project: Project) -> None:
    text = HEAD + "    turns:\n      - user: hi\n        expect:\n          - step: completed\n"
    assert str(project.refused(text)) == (
        "suites/weather.yaml:9:13 scenario 'london', turn 1: unknown check 'step' (did you "
        "mean 'steps'?)\n"
        "              - step: completed\n"
        "                ^\n"
        "    checks: history, json_schema, status, steps, text, tool_calls, usage"
    )


def test_a_key_of_another_level_gets_a_hint(project: Project) -> None:
    text = "suite: s\nscenarios: [{id: a, model: m, turns: [{user: hi}]}]\nturns: []\n"
    assert (
        str(project.refused(text)).split("\n")[3]
        == "    'turns' is a key of a scenario: is the indentation right?"
    )


def test_the_quoting_hint_keeps_the_spelling_of_a_number(project: Project) -> None:
    hints = (
        project.refused(HEAD + "    turns:\n      - user: 1.10  # a version\n").problems[0].hints
    )
    assert hints == ('if the text is meant, quote it: user: "1.10"',)


EVERYTHING = """\
suite: weather
defaults: {model: m, histroy: stateless}
vars: {unit: c}
tools:
  look: {result: "{{ nothing }}"}
scenarios:
  - id: a
    titel: x
    tools: [lok, look]
    turns:
      - user: "{{ unti }}"
        expect: [step: x]
      - usr: hi
  - id: b
    stream: yes
    turns:
      - user: true
        attach: {image: none.png}
        expect: [status: done]
  - id: a
    turns: [{user: hi}]
  - 3
"""


def test_all_mistakes_in_keys_and_types_are_shown_together(project: Project) -> None:
    assert [problem.split(" ")[0] for problem in project.problems(EVERYTHING)] == [
        "2:22", "8:5", "13:9", "15:13", "17:15", "22:5",
    ]  # fmt: skip


def test_all_other_mistakes_are_shown_together(project: Project) -> None:
    valid_keys = (
        EVERYTHING.replace(", histroy: stateless", "")
        .replace("titel", "title")
        .replace("usr: hi", "user: hi")
        .replace("stream: yes", "stream: true")
        .replace("user: true", "user: hi")
        .replace("  - 3\n", "")
    )
    assert [problem.split(" ")[0] for problem in project.problems(valid_keys)] == [
        "5:22", "9:13", "11:19", "12:18", "18:25", "19:26", "20:9",
    ]  # fmt: skip


def test_no_problem_takes_more_than_twelve_lines(project: Project) -> None:
    broken = project.refused(EVERYTHING)
    assert all(len(str(problem).split("\n")) <= 12 for problem in broken.problems)
    assert "Traceback" not in str(broken)


def test_a_mistake_in_the_defaults_is_reported_once(
    project: Project,
) -> None:
    scenarios = "".join(f"  - {{id: s{number}, turns: [{{user: hi}}]}}\n" for number in range(20))
    text = (
        "suite: s\ndefaults: {model: m, system_instruction: '{{ nope }}', expect: "
        f"[text: '{{{{ nope }}}}']}}\nscenarios:\n{scenarios}"
    )
    assert project.problems(text) == [
        "2:46 defaults: undefined variable 'nope'",
        "2:75 defaults: undefined variable 'nope'",
    ]


@pytest.mark.parametrize(
    "argument", ["!!binary aGk=", "{contains: [!!binary aGk=]}", ".inf", f"{'[' * 90}{']' * 90}"]
)
@pytest.mark.parametrize("catalog", [FakeCatalog(), Catalog()], ids=["fake", "real"])
def test_an_argument_that_is_not_json_is_located(
    project: Project, argument: str, catalog: CheckCatalog
) -> None:
    entries = f"      - text: {argument}\n      - not: {{text: {argument}}}\n"
    project.catalog = catalog
    message = str(project.refused(SCENARIO + "    turns: [{user: hi}]\n    expect:\n" + entries))
    assert "weather.yaml:7:" in message
    assert "weather.yaml:8:" in message


GIVEN = [
    ("given: {cassette: none.yaml}", "5:23 scenario 'a': no such file: 'none.yaml' in suites/ or the "
     "project root"),
    ("given: {cassette: ../../x.yaml}", "5:23 scenario 'a': '../../x.yaml' is outside the project "
     "(project)"),
    ("given: {turns: 2}", "5:12 scenario 'a': missing key 'cassette'"),
    ("given: {cassette: a.yaml, turns: 0}", "5:38 scenario 'a': 'turns' takes at least 1, not 0"),
    ("given: {cassete: a.yaml}", "5:12 scenario 'a': missing key 'cassette'"),
    ("given: []", "5:12 scenario 'a': empty value: 'given' takes at least one entry"),
    ("given: hello", "5:12 scenario 'a': 'given' takes a list of steps or {cassette: …}, not the text "
     "'hello'"),
    ("given: [{text: hi}]", "5:13 scenario 'a': missing key 'type'"),
    ('given: [{type: x, text: "{{ n }}"}]', "5:33 scenario 'a': undefined variable 'n'"),
]  # fmt: skip


@pytest.mark.parametrize(("key", "expected"), GIVEN, ids=range(len(GIVEN)))
def test_a_mistake_in_given_is_located(project: Project, key: str, expected: str) -> None:
    text = f"suite: s\nscenarios:\n  - id: a\n    model: m\n    {key}\n    turns: [{{user: hi}}]\n"
    assert project.problems(text)[0] == expected


def test_an_application_has_its_own_history(project: Project) -> None:
    text = (
        "suite: s\nscenarios:\n  - {id: a, target: {python: 'a:b'}, given: [{type: x}], "
        "turns: [{user: hi}]}\n"
    )
    (problem,) = project.problems(text)
    assert "'given' needs evalkit to run the turns" in problem
