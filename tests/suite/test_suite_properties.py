"""Loading any file gives a suite or SuiteErrors with short, located problems."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from evalkit._lib import yaml
from evalkit._lib.json import dumps
from evalkit.errors import Problem, SuiteErrors
from evalkit.suite import expand, load
from evalkit.suite.model.json_schema import json_schema
from tests.suite.fake_catalog import FakeCatalog
from tests.suite.test_suite_loading import WEATHER

RICH = (
    WEATHER
    + """\
  - id: rich
    cases: [{id: x, city: Paris, n: 3}, {id: y, city: Rome, n: 4}]
    repeat: 2
    system_instruction: Speak of {{ city }}.
    generation_config: {seed: 1}
    response_format: {type: text, schema: {type: object}}
    service_tier: [flex, standard]
    labels: {team: qa}
    request: {novel_field: [1, 2.5]}
    max_tool_rounds: 2
    timeout: 1.5
    stop_on_failure: true
    stream: [true, false]
    turns:
      - user: In {{ city }}?
        attach: [{audio: "https://example.org/a.mp3"}]
        expect: [text: "at {{ n }}", not: {text: {max_chars: "{{ n }}"}}]
      - user: [{type: text, text: "{{ previous.text }}"}]
        expect: [json_schema, text: "{{ previous.text }}"]
"""
)


def assert_readable(problems: list[Problem]) -> None:
    assert problems
    for problem in problems:
        assert problem.path == "a.yaml"
        assert problem.line >= 1
        assert problem.column >= 1
        assert problem.message
        assert "\n" not in problem.message
        assert len(problem.message) < 400
        assert len(str(problem).split("\n")) <= 12


def outcome(text: str | bytes) -> list[str]:
    """Load a suite from text; return its variants' ids, or that it was properly refused."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
        try:
            suite = load(path, root=Path(folder), checks=FakeCatalog())
        except SuiteErrors as errors:
            problems = errors.problems
            assert_readable(problems)
            return ["refused", *map(str, problems)]
        variants = expand(suite)
        names = [variant.id for variant in variants]
        assert len(set(names)) == len(names)
        assert len({str(variant.cassette).casefold() for variant in variants}) == len(names)
        for variant in variants:
            assert isinstance(variant.fields, dict)
            assert [turn.number for turn in variant.turns] == list(range(1, len(variant.turns) + 1))
        return names


def test_the_sample_suite_loads() -> None:
    assert len(outcome(RICH)) == 2 + 2 * 2 * 2 * 2 * 2


@given(st.text(max_size=200))
@example("suite: *a")
@example("? {a: b}")
@example("suite: !!python/object:os.system x")
@example("\ufeff\ufeff")
@example("a: 1e999")
@example("suite: s\nscenarios: [{id: a, turns: [{user: [[]]}]}]")
@example("suite: s\nscenarios: [{id: a, expect: {a: b}, turns: [[]], cases: {}}]")
def test_any_text_loads_or_is_refused(text: str) -> None:
    assert outcome(text)


@given(st.binary(max_size=60))
def test_any_bytes_load_or_are_refused(data: bytes) -> None:
    assert outcome(data)


@given(
    st.integers(0, len(RICH)),
    st.integers(0, 12),
    st.text(alphabet="-:{}[]'\"#&*!|> \t\nab1.%,?~", max_size=4),
)
def test_a_suite_edited_anywhere_loads_or_is_refused(at: int, removed: int, inserted: str) -> None:
    assert outcome(RICH[:at] + inserted + RICH[at + removed :])


WORDS = sorted(
    {
        key
        for node in json_schema(FakeCatalog())["$defs"].values()
        for key in node.get("properties", {})
    }
    | {"", "zzz"}
)
VALUES = st.recursive(
    st.sampled_from(
        [
            None,
            True,
            0,
            -1,
            1.5,
            "",
            "x",
            "yes",
            "stateful",
            "stateless",
            "{{ x }}",
            "{{",
            "{% x %}",
            "../x",
            "history",
            "status: a",
        ]
    ),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=3)
    ),
    max_leaves=6,
)


def places(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    inner = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    return [path, *(place for key, item in inner for place in places(item, (*path, key)))]


DOCUMENT = yaml.load(RICH)
PLACES = places(DOCUMENT)[1:]


def put(document: Any, path: tuple[str | int, ...], value: Any) -> None:
    """Put a value at a path, if an earlier change left the path in the document."""
    parent = document
    try:
        for step in path[:-1]:
            parent = parent[step]
        parent[path[-1]] = value
    except (LookupError, TypeError):
        pass


@given(st.lists(st.tuples(st.sampled_from(PLACES), VALUES), min_size=1, max_size=3))
def test_a_suite_with_any_value_anywhere_loads_or_is_refused(
    changes: list[tuple[tuple[str | int, ...], Any]],
) -> None:
    document = yaml.load(RICH)
    for path, value in changes:
        put(document, path, value)
    assert outcome(dumps(document))


@given(st.sampled_from(PLACES))
def test_a_suite_without_one_value_loads_or_is_refused(path: tuple[str | int, ...]) -> None:
    document = yaml.load(RICH)
    parent: Any = document
    for step in path[:-1]:
        parent = parent[step]
    del parent[path[-1]]
    assert outcome(dumps(document))


@given(st.integers(0, len(RICH)), st.text(alphabet="-: ab\n", max_size=3))
def test_loading_twice_gives_the_same_result(at: int, inserted: str) -> None:
    text = RICH[:at] + inserted + RICH[at:]
    first = outcome(text)
    assert outcome(text) == first
