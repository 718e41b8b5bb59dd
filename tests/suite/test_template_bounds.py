"""Templates that fight back end with a message, quickly and in little memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from evalkit._lib.limits import set_limits
from evalkit.suite.model.templates import TemplateError, render


@pytest.fixture(autouse=True)
def _small_limit() -> Iterator[None]:
    set_limits(["template=1MB"])
    yield
    set_limits([])


VARIABLES = {"x": "abc", "items": [1, 2, 3], "big": "a\n" * 50_000}
DOUBLE = "{% set n = namespace(s='ab') %}{% for i in range(60) %}{% set n.s = BODY %}{% endfor %}"
NESTED = "{% set a=[1]*1000 %}{% set b=[a]*1000 %}{% set c=[b]*1000 %}"


@pytest.mark.parametrize(
    "source",
    [
        '{{ "a" * 2000000000 }}',
        '{{ 2000000000 * "a" }}',
        "{{ [1] * 2000000000 }}",
        '{{ ("a",) * 2000000000 }}',
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% for a in range(99999) %}" + "y" * 1000 + "{% endfor %}",
        "{% for a in range(99999) %}{{ big }}{% endfor %}",
        '{{ "x"|center(1000000000) }}',
        '{{ "x".center(10**9) }}',
        '{{ "x".ljust(10**9) }}',
        '{{ "1".zfill(width=10**9) }}',
        "{{ big|indent(10**6) }}",
        "{{ big.expandtabs(10**9) }}",
        '{{ big|replace("a", "b" * 1000) }}',
        '{{ big.replace("", "b" * 1000) }}',
        '{{ range(99999)|map("string")|join("x" * 1000) }}',
        '{{ ("b" * 1000).join(range(9999)|map("string")) }}',
        "{{ items|tojson(indent=1000000000) }}",
        '{{ items|batch(10**9, "x")|list }}',
        "{{ items|slice(10**9)|list }}",
        '{{ (1).to_bytes(10**9, "big") }}',
        DOUBLE.replace("BODY", "n.s ~ n.s"),
        DOUBLE.replace("BODY", "n.s + n.s"),
        DOUBLE.replace("BODY", "[n.s, n.s]|join"),
        DOUBLE.replace("BODY", "n.s|string ~ n.s|upper"),
        "{% macro f(n) %}{% if n %}{{ f(n-1) }}{{ f(n-1) }}{% endif %}{% endmacro %}{{ f(60) }}",
        NESTED + "{{ c }}.",
        NESTED + "{{ c|tojson }}",
        NESTED + "{{ c ~ 1 }}",
        "{{ [[[1] * 1000] * 1000] * 1000 }}",
        "{{ [range(99999)] * 99999 }}",
    ],
)
def test_work_and_text_are_bounded(source: str) -> None:
    with pytest.raises(TemplateError, match="limit: 1 MB"):
        render(source, VARIABLES)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{{ 9 ** 999999 }}", "bits"),
        ("{{ 9 ** (9 ** 9) }}", "bits"),
        ("{{ (10 ** 20000) * (10 ** 20000) }}", "bits"),
        ('{{ "%1000000000d" % 1 }}', "width"),
        ('{{ "%*d" % (1000000000, 1) }}', "width"),
        ('{{ "{:>1000000000}".format(1) }}', "width"),
        ('{{ "{:{}}".format(1, 1000000000) }}', "width"),
        ('{{ "%1000000000d"|format(1) }}', "width"),
        ('{{ 1.5|round(1000000000, "ceil") }}', "precision"),
        ("{{ range(10**9)|list }}", "Range too big"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "recursion"),
        ('{{ "abc".translate({97: "x"}) }}', "translate"),
        ("{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}", "nested too deeply"),
    ],
)
def test_numbers_formats_and_depth_are_bounded(source: str, message: str) -> None:
    with pytest.raises(TemplateError, match=message):
        render(source, VARIABLES)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ 1 + 2 }}", 3),
        ("{{ [1] + [2] }}", [1, 2]),
        ("{{ 2 ** 10 }}", 1024),
        ("a{{ 1.5 }}{{ none }}{{ true }}b", "a1.5NoneTrueb"),
        ("{% for i in items %}{{ loop.index }}/{{ loop.length }} {% endfor %}", "1/3 2/3 3/3 "),
        ("{% for i in x|reverse %}{{ loop.revindex }}{{ i }}{% endfor %}", "3c2b1a"),
        ("{% for i in items if i > 1 %}{{ i }}{{ ',' if not loop.last }}{% endfor %}", "2,3"),
        ("{% for i in nope|default([]) %}x{% else %}none{% endfor %}", "none"),
        ("{% for k, v in {'a': 1}.items() %}{{ k }}{{ v }}{% endfor %}", "a1"),
        ("{{ x ~ 1 ~ items }}", "abc1[1, 2, 3]"),
        ("{{ items|join(', ') }}", "1, 2, 3"),
        ("{{ [{'n': 1}, {'n': 2}]|join('+', attribute='n') }}", "1+2"),
        ("{{ '%05.2f' % 3.14159 }}", "03.14"),
        ("{{ '{:>5}|{:,}'.format(x, 1234567) }}", "  abc|1,234,567"),
        ("{{ nope|default(5) }}", 5),
        ("{{ [[1, 2]]|tojson }}", "[[1, 2]]"),
        ("{{ x.center(7, '-') }}", "--abc--"),
    ],
)
def test_ordinary_templates_render_as_before(source: str, expected: Any) -> None:
    assert render(source, VARIABLES) == expected


def test_each_rendering_has_a_budget_of_its_own() -> None:
    for _ in range(30):
        assert len(render("{{ big }}.", VARIABLES)) == 100_001
