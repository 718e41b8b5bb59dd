"""Indentation changes only white space between JSON tokens; compressed bodies are decompressed."""

from __future__ import annotations

import gzip
import json
import sys
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.cassette.bodies import indent_json, request_text
from evalkit.cassette.content_codings import decompress_body
from tests.cassette.samples import JSONS


def tokens(text: str) -> Any:
    """Return JSON with the spelling of numbers and with all keys in order."""
    keep: Any = lambda pairs: ("object", tuple(pairs))  # noqa: E731
    return json.loads(
        text,
        object_pairs_hook=keep,
        parse_float=lambda raw: ("float", raw),
        parse_int=lambda raw: ("int", raw),
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a":1.0,"b":1e21}', '{\n  "a": 1.0,\n  "b": 1e21\n}'),
        (
            '{"n":12345678901234567890,"m":0.1000000000000000055,"z":-0.0,"e":1E+2}',
            '{\n  "n": 12345678901234567890,\n  "m": 0.1000000000000000055,\n'
            '  "z": -0.0,\n  "e": 1E+2\n}',
        ),
        ('{"b":1,"a":2,"b":3}', '{\n  "b": 1,\n  "a": 2,\n  "b": 3\n}'),
        ('["\\u00e9\\/ \\ud800 é {[,:]}\\"\\\\"]', '[\n  "\\u00e9\\/ \\ud800 é {[,:]}\\"\\\\"\n]'),
        (
            '{"a":{},"b":[],"c":[[],{}]}',
            '{\n  "a": {},\n  "b": [],\n  "c": [\n    [],\n    {}\n  ]\n}',
        ),
        (" \r\n{ } \t", "{}"),
        ("[true,false,null]", "[\n  true,\n  false,\n  null\n]"),
    ],
)
def test_indenting_preserves_every_token(text: str, expected: str) -> None:
    assert indent_json(text) == expected
    assert tokens(indent_json(text)) == tokens(text)


@given(JSONS, st.booleans(), st.sampled_from([None, 0, 1, 5]))
def test_indenting_preserves_the_tokens_of_any_json(
    value: object, ascii_only: bool, indent: int | None
) -> None:
    text = json.dumps([value], ensure_ascii=ascii_only, indent=indent)
    assert tokens(indent_json(text)) == tokens(text)
    assert indent_json(indent_json(text)) == indent_json(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "plain",
        '"a"',
        "12",
        "{",
        '{"a": 1,}',
        "{'a': 1}",
        "data: {}\n\n",
        "[" * 100_000,
        '{"a": "tab\there"}',
    ],
)
def test_other_text_is_not_changed(text: str) -> None:
    assert indent_json(text) == text


@given(JSONS)
def test_a_request_is_sent_as_json_of_the_same_value(value: object) -> None:
    assert json.loads(request_text(value)) == value


def test_request_text_escapes_unreadable_characters_only() -> None:
    assert request_text({"text": "naïve 日本 °"}) == '{"text":"naïve 日本 °"}'
    assert request_text(["a\u202eb\u2028\ud800\x00"]) == '["a\\u202eb\\u2028\\ud800\\u0000"]'


RAW = b'{"id": "v1_a"}'


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", gzip.compress(RAW)),
        ("deflate", zlib.compress(RAW)),
        ("deflate", zlib.compress(RAW)[2:-4]),
        ("GZIP", RAW),
        ("identity", RAW),
        ("deflate, gzip", gzip.compress(zlib.compress(RAW))),
    ],
    ids=["gzip", "zlib", "raw deflate", "opened already", "identity", "two codings"],
)
def test_compressed_bodies_are_decompressed(coding: str, body: bytes) -> None:
    assert decompress_body(body, {"Content-Encoding": [coding]}) == RAW


def test_a_coding_without_its_library_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for library in ("compression.zstd", "backports.zstd", "zstandard"):
        monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ValueError, match="compressed with 'zstd'; install zstandard"):
        decompress_body(b"x", {"content-encoding": ["zstd"]})
