"""Templates: their values, their errors, and what they cannot do."""

from __future__ import annotations

from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.errors import SuiteErrors
from evalkit.suite.model.templates import (
    TemplateError,
    contains_template,
    is_template,
    render,
    template,
)
from tests.suite.fake_catalog import Text
from tests.suite.project import Project

VALUES = {
    "n": 22,
    "half": 0.5,
    "yes": True,
    "none": None,
    "city": "Paris",
    "items": [1, "two"],
    "deep": {"a": [{"b": "x"}]},
}


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("{{ n }}", 22),
        ("{{n}}", 22),
        ("{{- n -}}", 22),
        ("{{ half }}", 0.5),
        ("{{ yes }}", True),
        ("{{ none }}", None),
        ("{{ items }}", [1, "two"]),
        ("{{ deep.a[0] }}", {"b": "x"}),
        ("{{ n + 1 }}", 23),
        ("{{ n | string }}", "22"),
        ("{{ '22' | int }}", 22),
        ("{{ items | map('string') }}", ["1", "two"]),
        ("{{ deep.keys() }}", ["a"]),
        ("{{ range(3) }}", [0, 1, 2]),
        ("{{ missing | default('x') }}", "x"),
        ("{{ (n, half) }}", [22, 0.5]),
        (" {{ n }}", " 22"),
        ("{{ n }}\n", "22\n"),
        ("{{ n }}{{ n }}", "2222"),
        ("{{ city }}: {{ n }}", "Paris: 22"),
        ("{% if yes %}a{% else %}b{% endif %}", "a"),
        ("{% for one in items %}{{ one }};{% endfor %}", "1;two;"),
        ("{% set a = 3 %}{{ a }}", "3"),
        ("{% raw %}{{ n }}{% endraw %}", "{{ n }}"),
        ("{{ '{{' }} n }}", "{{ n }}"),
        ("{{ city }} <b>&", "Paris <b>&"),
        ("{# gone #}{{ city }}", "Paris"),
    ],
)
def test_one_expression_renders_to_its_value_all_else_to_text(source: str, value: Any) -> None:
    rendered = render(source, VALUES)
    assert rendered == value
    assert type(rendered) is type(value)


@pytest.mark.parametrize(
    "path",
    [
        "x",
        "x.a",
        "x.a.b",
        "x.items",
        "x.none",
        "x.none.b",
        "x.text.upper",
        "x.text.length",
        "x.missing",
        "x.missing.b",
        "x.__class__",
        "x.a.__class__.mro",
        "missing",
        "missing.a",
        "range",
        "range.a",
        "self",
        "self.a",
    ],
)
def test_a_path_renders_as_any_other_expression_does(path: str) -> None:
    variables = {"x": {"a": {"b": 3}, "none": None, "text": "words", "items": 1}}

    def outcome(source: str) -> Any:
        try:
            return render(source, variables)
        except TemplateError as error:
            return str(error)

    assert outcome(f"{{{{ {path} }}}}") == outcome(f"{{{{ {path} if true }}}}")


@pytest.mark.parametrize(
    "text", ["", "plain", "{n}", "{ {n} }", "}}", "{# kept #}", "100 %}", "\\{"]
)
def test_a_text_without_braces_is_not_a_template(text: str) -> None:
    assert not is_template(text)
    assert render(text, {}) is text


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON_VALUES)
def test_a_value_without_templates_renders_to_itself(value: Any) -> None:
    if not contains_template(value):
        assert render(value, {}) == value


@given(st.text(alphabet="{}%ab |.'-", max_size=12))
def test_rendered_text_is_never_rendered_again(text: str) -> None:
    assert render("{{ said }}", {"said": text}) == text
    assert render("it said {{ said }}", {"said": text}) == f"it said {text}"


@given(st.text(alphabet="{}%#ab |.'\"()[]-+*~in0\n", max_size=30))
def test_any_text_is_a_template_or_an_error(text: str) -> None:
    with suppress(TemplateError):
        template(text).render({"a": 1, "b": [2]})


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{{ n.__class__ }}", "access to attribute '__class__' of 'int' object is unsafe."),
        (
            "{{ ''.__class__.__mro__ }}",
            "access to attribute '__class__' of 'str' object is unsafe.",
        ),
        ("{{ deep.update({'a': 1}) }}", "access to attribute 'update' of 'dict' object is unsafe."),
        ("{{ items.append(1) }}", "access to attribute 'append' of 'list' object is unsafe."),
        (
            "{{ range(10**9) }}",
            "OverflowError: Range too big. The sandbox blocks ranges larger than MAX_RANGE "
            "(100000).",
        ),
        ("{{ missing }}", "'missing' is undefined"),
        ("{{ deep.b }}", "the object has no attribute 'b'"),
        ("{{ none.text }}", "null has no attribute 'text'"),
        ("{{ city.foo }}", "the text has no attribute 'foo'"),
        ("{{ 1 / 0 }}", "ZeroDivisionError: division by zero"),
        ("{{ n + city }}", "TypeError: unsupported operand type(s) for +: 'int' and 'str'"),
        ("{{ namespace() }}", "renders to a Namespace, which is not a JSON value"),
        ("{{ [namespace] }}", "renders to a type, which is not a JSON value"),
    ],
)
def test_a_forbidden_operation_is_reported_when_rendered(source: str, message: str) -> None:
    with pytest.raises(TemplateError) as caught:
        render(source, VALUES)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{{ n", "'{{' that is never closed by '}}'"),
        ("{{ n }", "unexpected '}'"),
        ("{{ a b }}", "'}}' expected"),
        ("{{ }}", "Expected an expression, got 'end of print statement'"),
        ("{% if n %}", "a block that is never closed"),
        ("{% nope %}", "Encountered unknown tag 'nope'"),
        ("{{ n | uper }}", "unknown filter 'uper' (did you mean 'upper'?)"),
        ("{{ n is defind }}", "unknown test 'defind' (did you mean 'defined'?)"),
        ("{{ items | random }}", "unknown filter 'random'"),
        ("{% include 'x' %}", "a suite's template cannot include or import another"),
        ("{% import 'x' as x %}", "a suite's template cannot include or import another"),
        ("{{ " + "(" * 5000 + ")" * 5000 + " }}", "nested too deeply"),
    ],
)
def test_an_invalid_template_is_refused_when_parsed(source: str, message: str) -> None:
    with pytest.raises(TemplateError) as caught:
        template(source)
    assert str(caught.value).startswith(message)


def suite(turns: str, keys: str = "", head: str = "") -> str:
    return (
        f"suite: s\nvars: {{unit: c, n: 3}}\n{head}scenarios:\n  - id: a\n    model: m\n"
        f"{keys}    turns:\n{turns}"
    )


@pytest.mark.parametrize(
    "text",
    [
        suite("      - user: '{{ city | default(unit) }}'\n"),
        suite("      - user: '{% if city is defined %}{{ city }}{% endif %}'\n"),
        suite("      - user: '{% if previous %}{{ previous.text }}{% endif %}x'\n"),
        suite("      - user: hi\n      - user: '{{ previous.text }} {{ turns[0].text }}'\n"),
        suite(
            "      - user: hi\n      - user: hi\n        expect: [text: '{{ turns[0].text }}']\n"
        ),
        suite(
            "      - user: hi\n", "    expect: [text: '{{ turns[0].text }} {{ previous.text }}']\n"
        ),
        suite("      - user: '{% for n in [1] %}{{ loop.index }}{% endfor %}'\n"),
        suite("      - user: hi\n", "    cases: [{unit: f}]\n"),
    ],
)
def test_known_and_guarded_names_are_accepted(project: Project, text: str) -> None:
    assert project.expand(text)


def turn(text: str) -> Any:
    return SimpleNamespace(text=text, json={"answer": text})


def test_a_turn_can_read_earlier_turns(project: Project) -> None:
    text = suite(
        "      - user: one\n      - user: 'you said {{ previous.text }}, {{ "
        "turns[0].json.answer }}'\n"
        "        expect: [text: '{{ previous.text }}']\n"
    )
    (variant,) = project.expand(text)
    earlier = [turn("{{ hi }}")]
    context = {"previous": earlier[0], "turns": earlier}
    assert variant.turns[1].content(context) == "you said {{ hi }}, {{ hi }}"
    assert variant.turns[1].expect[0].check(context) == Text(contains="{{ hi }}")


def test_an_error_during_the_conversation_is_located(project: Project) -> None:
    text = suite(
        "      - user: one\n      - user: '{{ previous.json.city }}'\n"
        "        expect:\n          - text: {max_chars: '{{ previous.text }}'}\n"
    )
    (variant,) = project.expand(text)
    context = {"previous": turn("x"), "turns": [turn("x")]}
    with pytest.raises(SuiteErrors) as caught:
        variant.turns[1].content(context)
    assert (
        str(caught.value).split("\n")[0]
        == "suites/weather.yaml:8:15 scenario 'a', turn 2: the object has no attribute 'city'"
    )
    with pytest.raises(SuiteErrors) as caught:
        variant.turns[1].expect[0].check(context)
    assert str(caught.value).startswith(
        "suites/weather.yaml:10:31 scenario 'a', turn 2: text.max_chars: Input should be a "
        "valid integer\n"
    )


@pytest.mark.parametrize(
    ("user", "row", "content"),
    [
        ("'{{ n }}'", "{n: 22}", "22"),
        ("'{{ n }}'", "{n: true}", "true"),
        ("'{{ n }}'", "{n: {a: 1}}", '{"a":1}'),
        ("'{{ n }}'", "{n: [{type: text, text: hi}]}", [{"type": "text", "text": "hi"}]),
        ("[{type: text, text: '{{ n }}'}]", "{n: hi}", [{"type": "text", "text": "hi"}]),
    ],
)
def test_a_rendered_message_is_text_or_content_blocks(
    project: Project, user: str, row: str, content: Any
) -> None:
    (variant,) = project.expand(suite(f"      - user: {user}\n", f"    cases: [{row}]\n"))
    assert variant.turns[0].content({}) == content


def test_a_message_that_renders_to_nothing_is_refused(project: Project) -> None:
    (variant,) = project.expand(suite("      - user: '{{ n }}'\n", "    cases: [{n: ''}]\n"))
    with pytest.raises(
        SuiteErrors,
        match=r"^suites/weather\.yaml:8:15 scenario 'a', turn 1: the user's message is empty",
    ):
        variant.turns[0].content({})


def test_text_fields_render_to_text(project: Project) -> None:
    keys = (
        "    system_instruction: '{{ n }}'\n    labels: {k: '{{ n }}'}\n"
        "    title: '{{ n }}'\n    generation_config: {seed: '{{ n }}'}\n"
    )
    (variant,) = project.expand(suite("      - user: hi\n", keys))
    assert variant.fields == {
        "model": "m",
        "system_instruction": "3",
        "labels": {"k": "3"},
        "generation_config": {"seed": 3},
    }
    assert variant.title == "3"


def test_an_argument_that_one_row_makes_invalid_is_refused_at_load(project: Project) -> None:
    text = suite(
        "      - user: hi\n        expect: [text: {max_chars: '{{ most }}'}]\n",
        "    cases: [{id: a, most: 3}, {id: b, most: x}, {id: c, most: y}]\n",
    )
    assert project.problems(text) == [
        "9:36 scenario 'a', turn 1: text.max_chars: Input should be a valid integer (in case 'b')"
    ]


ENVIRONMENT = [
    ('system_instruction: "{{ env.A }}"', None),
    ('system_instruction: "a {{ env.A }} {{ env.B }}"', None),
    ('request: {x: ["{{ env.A }}"]}', None),
    ('tools: [{type: mcp_server, headers: {authorization: "Bearer {{ env.A }}"}}]', None),
    ('title: "{{ env.A }}"', "'env' is not known here; environment variables are known in request"),
    ('turns: [{user: "{{ env.A }}"}]', "'env' is not known here; environment variables are known"),
    ('expect: [{text: "{{ env.A }}"}]', "'env' is not known here; environment variables are known"),
    ('cases: [{env: 1}]', "the name 'env' is given to templates by evalkit; choose another"),
    *(
        (f'system_instruction: "{text}"', "an environment variable is a secret, so it is written as")
        for text in (
            "{{ env.A | upper }}", "{{ env.A[:4] }}", "{{ env.A ~ 1 }}", "{{ env }}",
            "{{ env['A'] }}", "{% if env.A %}x{% endif %}", "{% set a = env.A %}{{ a }}",
            "{{ env.A.upper() }}", "{{ env.A }}{{ env.A | upper }}",
        )
    ),
]  # fmt: skip


@pytest.mark.parametrize(("key", "expected"), ENVIRONMENT, ids=range(len(ENVIRONMENT)))
def test_environment_variables_are_written_as_they_are(
    project: Project, key: str, expected: str | None
) -> None:
    turns = "" if key.startswith("turns") else "    turns: [{user: hi}]\n"
    text = f"suite: s\nscenarios:\n  - id: a\n    model: m\n    {key}\n{turns}"
    if expected is not None:
        assert expected in project.problems(text)[0]
        return
    (variant,) = project.expand(text)
    assert "REDACTED" in str(variant.fields)
    assert variant.suite.secret_names <= {"A", "B"}
    assert variant.suite.secret_names
