"""``use``: fragments, and named lists of expectations."""

from __future__ import annotations

from typing import Any

import pytest

from evalkit._lib import yaml
from tests.suite.project import Project
from tests.suite.test_suite_schema import accepted

TOOLS = """\
fragment: tools
vars: {shop: Lumen}
tools:
  look: {description: "Looks at {{ shop }}.", result: {file: result.json}}
defaults:
  system_instruction: {file: prompts/support.md}
  tags: [shared]
  expect: [{status: completed}]
expectations:
  polite:
    - not: {text: rude}
  good: [{use: polite}, {text: {contains: "{{ shop }}"}}]
"""
SUITE = """\
suite: shop
use: [../shared/tools.yaml]
defaults: {model: m, tags: [own]}
scenarios:
  - id: a
    tools: [look]
    turns:
      - user: hi
        expect: [{use: good}]
"""


@pytest.fixture
def shared(project: Project) -> Project:
    project.write("shared/tools.yaml", TOOLS)
    project.write("shared/result.json", '{"n": 1}')
    project.write("shared/prompts/support.md", "For {{ shop }}.")
    return project


def test_a_suite_has_what_its_fragments_declare(shared: Project) -> None:
    (variant,) = shared.expand(SUITE)

    assert variant.fields["system_instruction"] == "For Lumen."
    assert variant.fields["tools"][0]["description"] == "Looks at Lumen."
    assert variant.tools["look"].run({}, variant.variables, lambda *_: None).result == {"n": 1}
    assert variant.tags == ("shared", "own")
    assert [item.name for item in variant.expect] == ["status"]
    assert [(item.name, item.line) for item in variant.turns[0].expect] == [
        ("text", 9),
        ("text", 9),
    ]
    assert [name for name, _ in variant.suite.used_files] == [
        "shared/prompts/support.md", "shared/result.json", "shared/tools.yaml",
    ]  # fmt: skip


def test_the_suites_own_defaults_win(shared: Project) -> None:
    (variant,) = shared.expand(SUITE.replace("model: m", "model: m, system_instruction: Own."))
    assert variant.fields["system_instruction"] == "Own."


def test_a_change_of_a_fragment_changes_the_suite(shared: Project) -> None:
    before = shared.load(SUITE).digest
    shared.write("shared/tools.yaml", TOOLS + "# changed\n")
    assert shared.load(SUITE).digest != before


def test_files_of_a_fragment_are_named_from_its_folder(project: Project) -> None:
    project.write("shared/rows.csv", "id,city\np,Paris\n")
    project.write("shared/ticket.json", "{}")
    project.write("shared/photo.png", b"png")
    project.write(
        "shared/all.yaml",
        "fragment: all\ndefaults:\n  model: m\n  cases: {file: rows.csv}\n"
        "  turns: [{user: '{{ city }}', attach: {image: photo.png}, expect: [json_schema: "
        "{file: ticket.json}]}]\nexpectations: {x: [{not: {json_schema: ticket.json}}]}\n",
    )
    text = "suite: s\nuse: [../shared/all.yaml]\nscenarios: [{id: a, expect: [{use: x}]}]\n"
    (variant,) = project.expand(text)

    (turn,) = variant.turns
    assert turn.content({})[1]["data"] == "cG5n"  # type: ignore[index]
    assert turn.expect[0].argument == {"file": "../shared/ticket.json"}
    assert variant.expect[0].argument == "../shared/ticket.json"
    assert variant.suite.file("../shared/ticket.json") == project.root / "shared" / "ticket.json"
    assert len(variant.suite.used_files) == 4


def test_a_matrix_of_a_fragment(project: Project) -> None:
    project.write(
        "p.yaml", "fragment: p\ndefaults: {model: m, matrix: {prompt: {current: {}, other: {}}}}\n"
    )
    text = "suite: s\nuse: [p.yaml]\nscenarios: [{id: a, turns: [{user: hi}]}]\n"
    assert [variant.name for variant in project.expand(text)] == ["a[current]", "a[other]"]


def test_the_editor_schema_knows_fragments() -> None:
    for text in (TOOLS, SUITE, "fragment: x\n"):
        assert accepted(text)
    for text in (
        "fragment: x\nscenarios: []\n",
        "fragment: x\ntool: {}\n",
        "suite: x\nfragment: x\n",
        SUITE.replace("[{use: good}]", "[{use: good, severity: warn}]"),
    ):
        assert not accepted(text)


REFUSED: list[tuple[str, str, str]] = [
    ("fragment: x\nvars: {shop: 2}\n", "vars: {shop: 1}", "2:8 the variable 'shop' is also in "
     "x.yaml:2:8; rename one, or delete it"),
    ("fragment: x\ntools: {look: {result: 1}}\n", "tools: {look: {result: 2}}", "2:9 tool 'look': the "
     "tool 'look' is also in x.yaml:2:9; rename one, or delete it"),
    ("fragment: x\nexpectations: {e: []}\n", "expectations: {e: []}", "2:16 expectations 'e': the list "
     "of expectations 'e' is also in x.yaml:2:16; rename one, or delete it"),
    ("fragment: x\nvars: {a: 1}\ntool: {}\n", "", "x.yaml:3:1 unknown key 'tool' (did you mean "
     "'tools'?)"),
    ("fragment: x\ndefaults: {modl: m}\n", "", "x.yaml:2:12 defaults: unknown key 'modl' (did you mean "
     "'model'?)"),
    ("fragment: x\ndefaults: {id: m}\n", "", "x.yaml:2:12 defaults: unknown key 'id'"),
    ("fragment: x\nscenarios: []\n", "", "x.yaml:2:1 unknown key 'scenarios'"),
    ("fragment: x y\n", "", "x.yaml:1:11 'fragment' takes up to 120 letters, digits, '-', '_' and '.', "
     "a letter or digit first, not the text 'x y'"),
    ("fragment: x\nvars: {n: .nan}\n", "", "x.yaml:2:11 .nan (not a number) is not a JSON value and "
     "cannot be sent; quote it if the text is meant"),
    ("fragment: x\nvars: {n: }\n", "", "x.yaml:2:8 empty value: 'n' has a colon and nothing after it; "
     'write null or "" if that is meant'),
    ('fragment: x\nvars: {n: "{{ 1 }}"}\n', "", "x.yaml:2:11 vars are plain values: templates are not "
     "rendered here"),
    ("fragment: x\ntools: {t: {}}\n", "", "x.yaml:2:9 tool 't': has no result; give it 'result', "
     "'results' or 'python'"),
    ("fragment: x\ndefaults: {title: '{{ n }}'}\n", "", "x.yaml:2:23 defaults: undefined variable 'n'"),
    ("fragment: x\ndefaults: {expect: [stats]}\n", "", "x.yaml:2:21 defaults: unknown check 'stats' "
     "(did you mean 'status'?)"),
    ("fragment: x\nexpectations: {e: [stats]}\n", "", "x.yaml:2:20 expectations 'e': unknown check "
     "'stats' (did you mean 'status'?)"),
    ("fragment: x\ndefaults: {system_instruction: {file: no.md}}\n", "", "x.yaml:2:39 defaults: no such "
     "file: 'no.md' in the project root"),
    ("fragment: x\ndefaults: {cases: {file: no.csv}}\n", "", "x.yaml:2:26 defaults: no such file: "
     "'no.csv' in the project root"),
    ("fragment: x\nuse: [y.yaml]\n", "", "x.yaml:2:1 unknown key 'use'"),
    ("fragment: a: b\n", "", "x.yaml:1:12 a second ': ' in one line; put the text in quotes"),
    ("suite: x\n", "", "2:7 a fragment begins with 'fragment: <name>', and x.yaml is a suite; move what "
     "suites share to a file of its own"),
    ("tools: {}\n", "", "2:7 a fragment begins with 'fragment: <name>', and x.yaml is not one; move "
     "what suites share to a file of its own"),
    ("", "", "2:7 a fragment begins with 'fragment: <name>', and x.yaml is not one; move what suites "
     "share to a file of its own"),
]  # fmt: skip


@pytest.mark.parametrize(("fragment", "top", "expected"), REFUSED, ids=range(len(REFUSED)))
def test_a_mistake_in_a_fragment_is_located(
    project: Project, fragment: str, top: str, expected: str
) -> None:
    project.write("x.yaml", fragment)
    head = f"suite: shop\n{top or 'use: [x.yaml]'}\n" + ("use: [x.yaml]\n" if top else "")
    text = head + "scenarios: [{id: a, model: m, turns: [{user: hi}]}]\n"
    assert project.problems(text)[0] == expected


@pytest.mark.parametrize(
    ("use", "expected"),
    [
        ("[none.yaml]", "2:7 no such file: 'none.yaml' in suites/ or the project root"),
        ("[../../x.yaml]", "2:7 '../../x.yaml' is outside the project (project)"),
        ("x.yaml", "2:6 'use' takes a list, not the text 'x.yaml'"),
        ("[]", "2:6 empty value: 'use' takes at least one entry"),
        ("[x.yaml, ../x.yaml]", "2:15 '../x.yaml' is listed twice"),
        ("[x.yaml, y.yaml]", "y.yaml:2:12 defaults: the default 'title' is also in x.yaml:2:12; rename "
         "one, or delete it"),
    ],
)  # fmt: skip
def test_fragments_that_cannot_be_used(project: Project, use: str, expected: str) -> None:
    for name in ("x", "y"):
        project.write(f"{name}.yaml", f"fragment: {name}\ndefaults: {{title: T}}\n")
    text = f"suite: shop\nuse: {use}\nscenarios: [{{id: a, model: m, turns: [{{user: hi}}]}}]\n"
    assert project.problems(text)[0] == expected


NAMED: list[tuple[str, str, Any]] = [
    ("{a: [{status: completed}]}", "{use: b}", "4:55 scenario 'x', turn 1: unknown expectations 'b'"),
    ("{a: [{status: completed}]}", "{use: 1}", "4:55 scenario 'x', turn 1: unknown expectations 1"),
    ("{a: [{use: a}]}", "{use: a}", "3:26 expectations 'a': expectations that use themselves: 'a' uses "
     "'a'"),
    ("{a: [{use: b}], b: [{use: a}]}", "{use: a}", "3:41 expectations 'b': expectations that use "
     "themselves: 'a' uses 'b' uses 'a'"),
    ("{a: [{use: none}]}", "status: completed", "3:26 expectations 'a': unknown expectations 'none'"),
    ("{a: [stats]}", "status: completed", "3:20 expectations 'a': unknown check 'stats' (did you mean "
     "'status'?)"),
    ('{a: [{text: "{{ n }}"}]}', "{use: a}", "3:31 expectations 'a': undefined variable 'n'"),
    ("{a: [{status: completed}]}", "{use: a, severity: warn}", "4:58 scenario 'x', turn 1: 'severity' is "
     "beside 'use'; write it in the entries of the list"),
    ("{1a: []}", "status: completed", "3:16 expectations '1a': the name '1a' takes letters, digits, '-' and '_', a letter "
     "first"),
    ("{a: {}}", "status: completed", "3:19 expectations 'a': 'a' takes a list, not an empty mapping"),
]  # fmt: skip


@pytest.mark.parametrize(("lists", "entry", "expected"), NAMED, ids=range(len(NAMED)))
def test_a_mistake_in_named_expectations_is_located(
    project: Project, lists: str, entry: str, expected: str
) -> None:
    text = (
        f"suite: shop\ndefaults: {{model: m}}\nexpectations: {lists}\n"
        f"scenarios: [{{id: x, turns: [{{user: hi, expect: [{entry}]}}]}}]\n"
    )
    assert project.problems(text)[0] == expected


def test_named_expectations_are_built_for_each_row_and_moment(project: Project) -> None:
    text = (
        "suite: shop\ndefaults: {model: m, expect: [{use: e}]}\n"
        'expectations: {e: [{text: "{{ n }}"}, {text: "{{ turns[0].text }}"}]}\n'
        "scenarios: [{id: a, cases: [{n: x}, {n: y}], turns: [{user: hi}]}]\n"
    )
    first, second = project.expand(text)
    assert [first.expect[0].argument, second.expect[0].argument] == ["x", "y"]
    assert first.expect[1].deferred is not None
    assert yaml.load(text)
