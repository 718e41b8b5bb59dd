"""Long texts are one line per line of text in a cassette, and every reader restores them exactly."""

from __future__ import annotations

import difflib
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vcr.serialize import deserialize
from vcr.serializers import yamlserializer

from evalkit.cassette import fast_reader, yaml_reader
from evalkit.cassette.bodies import JSON_STYLES, indent_json, restyle_json, to_bytes
from evalkit.cassette.format import parse, render
from evalkit.cassette.matching import Player
from evalkit.cassette.recording import Cassette, Recording
from tests.cassette.samples import HOST, PATH, recording, without_json_space

PROMPT = """\
# Role

You are the support assistant of Lumen, a maker of "desk lamps".

- Be polite.
  - Say when you do not know.
- Files are in C:\\news.
"""
JSON_TYPE = {"content-type": ["application/json"]}

QUOTED = r"""
    body: "{
        \"model\": \"gemini-3.5-flash\",
        \"system_instruction\": \"\
          # Role\\n\\n\
          You are the support assistant of Lumen, a maker of \\\"desk lamps\\\".\\n\\n\
          - Be polite.\\n\
          \  - Say when you do not know.\\n\
          - Files are in C:\\\\news.\\n\",
        \"input\": \"Hi\"
      }"
    headers:
"""


def request_with(prompt: str) -> Recording:
    return recording({"model": "gemini-3.5-flash", "system_instruction": prompt, "input": "Hi"})


def test_a_long_text_has_one_line_for_each_of_its_lines() -> None:
    assert QUOTED in render(Cassette([request_with(PROMPT)]))


def test_an_edited_sentence_is_the_only_line_that_differs() -> None:
    old, new = (
        render(Cassette([request_with(text)])).splitlines()
        for text in (PROMPT, PROMPT.replace("polite", "brief"))
    )
    changed = [line for line in difflib.ndiff(old, new) if line[0] in "+-"]
    assert [line[0] + line[2:].strip() for line in changed] == [
        r"-- Be polite.\\n" + "\\",
        r"+- Be brief.\\n" + "\\",
    ]


@pytest.mark.parametrize("text", ["one line " * 100, "a\nb", "a line that ends " * 10 + "\n"])
def test_other_texts_are_in_a_literal_block(text: str) -> None:
    assert "body: |\n" in render(Cassette([request_with(text)]))


def read_by_all(cassette: Cassette) -> tuple[Recording, bool]:
    """Return the only recording as all readers read it, and whether the fast reader did."""
    text = render(cassette)
    quick = fast_reader.read_rendered(text.encode())
    plain = yaml_reader.read_yaml(text, "c.yaml")
    if quick is not None:
        assert quick == plain
    only = plain.recordings[0]
    requests, responses, *_ = deserialize(text, yamlserializer)
    sent = requests[0].body
    assert (b"" if sent is None else sent) == to_bytes_of(only.request_body)
    assert responses[0]["body"]["string"] == to_bytes_of(only.body)
    assert render(plain) == text
    return only, quick is not None


def to_bytes_of(body: str | bytes | None) -> bytes:
    return body if isinstance(body, bytes) else to_bytes(body or "")


# Everything that YAML, JSON or an editor treats as special.
CHARACTERS = st.sampled_from(
    (
        *("\n", "\n\n", "\r\n", "\r", "\t", " ", "  ", "\\", "\\n", '"', "'", "# ", ": ", "- "),
        *("\u2028", "\x85", "\x00", "\u202e", "\ufeff", "\ud800", "\udc80", "\x7f", "é", "日本"),
        *("😀", "---\n", "a word ", "some words in a row that fill a line ", "{{ x }}", "%"),
    )
)
LONG_TEXTS = st.lists(CHARACTERS | st.text(max_size=30), min_size=3, max_size=30).map("".join)
VALUES: st.SearchStrategy[Any] = st.recursive(
    LONG_TEXTS | st.integers() | st.none() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(LONG_TEXTS, inner, max_size=3),
    max_leaves=6,
)
DOCUMENTS = st.dictionaries(st.sampled_from(["text", "input", "steps"]), VALUES, min_size=1)


@given(DOCUMENTS, st.booleans(), st.sampled_from(list(JSON_STYLES)))
def test_json_is_restored_by_every_reader(
    value: dict[str, Any], is_ascii: bool, style: str
) -> None:
    text = restyle_json(json.dumps(value, ensure_ascii=is_ascii), style)
    only, _ = read_by_all(Cassette([Recording("POST", HOST + PATH, text, JSON_TYPE, body=text)]))
    if isinstance(only.body, str) and isinstance(only.request_body, str):
        assert without_json_space(only.request_body) == without_json_space(text)
        # A tape restores the white space that a response had.
        restored = restyle_json(only.body, only.json_style) if only.json_style else only.body
        assert restored == text
    else:
        assert to_bytes_of(only.body) in (to_bytes(text), to_bytes(indent_json(text) + "\n"))


@given(LONG_TEXTS.filter(lambda text: not text.lstrip().startswith(("{", "["))))
def test_other_text_is_restored_exactly_by_every_reader(text: str) -> None:
    plain = {"content-type": ["text/plain"]}
    only, _ = read_by_all(
        Cassette([Recording("POST", HOST + PATH, text, response_headers=plain, body=text)])
    )
    assert to_bytes_of(only.request_body) == to_bytes_of(only.body) == to_bytes(text)


def test_a_megabyte_is_restored() -> None:
    value = {"text": "a paragraph of words\u2028\n" * 45_000}
    only, is_fast = read_by_all(Cassette([recording(value, value)]))
    assert json.loads(only.request_body or "") == json.loads(only.body) == value
    assert is_fast


@pytest.mark.parametrize("text", [PROMPT, PROMPT * 20, PROMPT.replace("e", "é日😀")])
def test_ordinary_prompts_take_the_fast_reader_and_match(text: str) -> None:
    sent = {"system_instruction": text, "input": [{"type": "text", "text": text}]}
    cassette = parse(render(Cassette([recording(sent, {"output": text})])), "c.yaml")
    assert read_by_all(cassette)[1]
    assert Player(cassette.recordings).take("POST", PATH, (), sent) == 0


EDITS = st.sampled_from(
    (
        *("\\", "\\\\", '"', " ", "\n", "\n\n", "\\\n", " \\\n", "\\ ", "\\ud83d\\ude00", "\\x41"),
        *("\\_", "\\e", "#", "\t", "a", "\\n", "\n---\n", "\n  ", "\\u0041", "{", "}"),
    )
)


@given(st.data())
def test_the_readers_agree_on_edited_quoted_bodies(data: st.DataObject) -> None:
    text = render(Cassette([recording({"a": PROMPT, "b": {}}, {"c": [PROMPT]})]))
    start = text.index("body:")
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(start, len(text)))
        cut = data.draw(st.sampled_from([0, 0, 1, 2, 7]))
        text = text[:place] + data.draw(EDITS | st.just("")) + text[place + cut :]
    result = fast_reader.read_rendered(text.encode())
    if result is not None:
        assert result == yaml_reader.read_yaml(text, "c.yaml")


def test_a_body_that_the_service_indented_keeps_its_white_space() -> None:
    for style in ("indented", "indented-line"):
        text = restyle_json(json.dumps({"id": "v1_a", "output": PROMPT}), style)
        rendered = render(Cassette([Recording("POST", HOST, "", body=text)]))
        assert re.search(rf"evalkit: \{{json: {style}\}}", rendered)
        only = parse(rendered, "c.yaml").recordings[0]
        assert restyle_json(str(only.body), only.json_style) == text
