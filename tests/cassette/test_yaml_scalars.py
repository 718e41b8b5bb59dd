"""Text written as YAML is loaded unchanged by evalkit and by PyYAML."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from evalkit._lib.yaml import load
from evalkit.cassette.bodies import to_bytes, to_text
from evalkit.cassette.format import block_scalar, flow_scalar, quoted_scalar, short_scalar
from tests.cassette.samples import JSONS, TEXTS


def loaded(source: str) -> object:
    ours, theirs = load(source), yaml.load(source, yaml.CSafeLoader)
    assert ours == theirs
    return ours["key"]


@given(TEXTS | st.binary(max_size=200), st.sampled_from([2, 6, 8]))
def test_a_block_loads_as_the_same_text(text: str | bytes, indent: int) -> None:
    nested = "  " * (indent // 2 - 1)
    source = (
        "".join(f"{'  ' * depth}in:\n" for depth in range(indent // 2 - 1))
        + f"{nested}key:{block_scalar(text, indent)}{nested}next: 1\n"
    )
    value = load(source)
    assert yaml.load(source, yaml.CSafeLoader) == value
    for _ in range(indent // 2 - 1):
        value = value["in"]
    assert value == {"key": text, "next": 1}


@given(TEXTS)
def test_short_and_quoted_text_loads_as_the_same_text(text: str) -> None:
    assert loaded(f"key: {short_scalar(text)}\n") == text
    assert loaded(f"key: {quoted_scalar(text)}\n") == text
    assert loaded(f"key: [{short_scalar(text)}, {{a: {short_scalar(text)}}}]\n") == [
        text,
        {"a": text},
    ]


@given(JSONS)
def test_a_flow_value_loads_as_the_same_value(value: object) -> None:
    assert load(f"key: {flow_scalar(value)}\n") == {"key": value}


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("one\ntwo\n", "|\n  one\n  two\n"),
        ("one\n\ntwo", "|-\n  one\n\n  two\n"),
        ("data: 1\n\ndata: 2\n\n", "|+\n  data: 1\n\n  data: 2\n\n"),
        ("naïve 22 °C 👩\u200d🔬\n", "|\n  naïve 22 °C 👩\u200d🔬\n"),
        ("ends with a space \n", '"ends with a space \\n"\n'),
        (" begins with one\n", '" begins with one\\n"\n'),
        ("a\tb\r\nc", '"a\\tb\\r\\n\\\n  c"\n'),
        ("one \n  two\n", '"one \\n\\\n  \\  two\\n"\n'),
        ("reads\u202ebackwards", '"reads\\u202ebackwards"\n'),
        ("\ufeff\x85\u2028\x7f\uffff", '"\\ufeff\\x85\\u2028\\x7f\\uffff"\n'),
        ("", '""\n'),
        (b"\xff\x00", "!!binary |\n  /wA=\n"),
        ("\udcff", "!!binary |\n  /w==\n"),
    ],
)
def test_the_form_of_a_block(text: str | bytes, written: str) -> None:
    assert block_scalar(text, 2) == " " + written


@pytest.mark.parametrize(
    "word",
    [
        "no",
        "Yes",
        "ON",
        "null",
        "~",
        "1e5",
        "12:30",
        "0o17",
        "=",
        "",
        "- a",
        "2026-01-01",
        "a, b",
        "a: b",
        "#a",
    ],
)
def test_words_that_are_special_in_some_yaml_are_quoted(word: str) -> None:
    assert short_scalar(word) == f'"{word}"'


@given(st.binary(max_size=30))
def test_bytes_survive_a_round_trip_through_text(data: bytes) -> None:
    assert to_bytes(to_text(data)) == data
