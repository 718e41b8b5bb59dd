"""The layout that render writes; both readers and plain YAML agree on it."""

from __future__ import annotations

import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from evalkit.cassette import fast_reader, yaml_reader
from evalkit.cassette.format import parse, render
from evalkit.cassette.recording import Cassette, Recording
from evalkit.errors import CassetteError
from tests.cassette.samples import CASSETTES, FIRST, comparable, conversation, recording

EVENTS = 'event: step.delta\ndata: {"event_type": "step.delta"}\n\nevent: done\ndata: [DONE]\n\n'

LAYOUT = """\
metadata:
  evalkit: "0.1.0"
  redactions: 2
interactions:
- request:
    method: POST
    uri: https://generativelanguage.googleapis.com/v1beta/interactions
    body: |
      {
        "model": "gemini-3.5-flash",
        "stream": true
      }
    headers:
      content-type: [application/json]
  response:
    status: {code: 200, message: OK}
    headers:
      content-type: [text/event-stream; charset=utf-8]
    body:
      string: |+
        event: step.delta
        data: {"event_type": "step.delta"}

        event: done
        data: [DONE]

    evalkit: {elapsed_ms: 812.4, event_ms: [390, 401.75]}
- request:
    method: GET
    uri: https://generativelanguage.googleapis.com/v1beta/interactions/v1_a?stream=false
    body: ""
    headers: {}
  response:
    status: {code: 404, message: Not Found}
    headers:
      retry-after: ["5"]
    body:
      string: ""
    evalkit: {elapsed_ms: 3, broken: "the connection broke off"}
version: 1
"""


def sample() -> Cassette:
    streamed = recording(
        {"model": "gemini-3.5-flash", "stream": True},
        response_headers={"content-type": ["text/event-stream; charset=utf-8"]},
        elapsed_ms=812.4,
        event_ms=(390.0, 401.75),
    )
    streamed.body = EVENTS
    gone = recording(
        None,
        path="/v1beta/interactions/v1_a?stream=false",
        method="GET",
        status=404,
        reason="Not Found",
        elapsed_ms=3.0,
        response_headers={"retry-after": ["5"]},
        broken="the connection broke off",
    )
    gone.request_body = gone.body = ""
    return Cassette([streamed, gone], {"evalkit": "0.1.0", "redactions": 2})


def test_render_writes_the_documented_layout() -> None:
    assert render(sample()) == LAYOUT


def test_the_fast_reader_reads_the_layout() -> None:
    result = fast_reader.read_rendered(LAYOUT.encode())
    assert result == yaml_reader.read_yaml(LAYOUT, "c.yaml")
    assert result is not None
    assert comparable(result) == comparable(sample())
    assert result.metadata == {"evalkit": "0.1.0", "redactions": 2}


def test_the_fast_reader_reads_a_conversation() -> None:
    assert (
        fast_reader.read_rendered(render(Cassette(conversation(), {"suite": "weather"})).encode())
        is not None
    )


@given(CASSETTES)
def test_any_cassette_survives_a_round_trip(cassette: Cassette) -> None:
    text = render(cassette)
    result = parse(text, "c.yaml")
    assert comparable(result) == comparable(cassette)
    assert result.metadata == cassette.metadata
    assert render(result) == text


@given(CASSETTES)
def test_the_fast_reader_agrees_with_the_yaml_reader(cassette: Cassette) -> None:
    text = render(cassette)
    result = fast_reader.read_rendered(text.encode())
    assert result is None or result == yaml_reader.read_yaml(text, "c.yaml")
    assert yaml.load(text, yaml.CSafeLoader)["version"] == 1


# Edits of a file: characters that are special in YAML, and parts removed, doubled or swapped.
PIECES = st.sampled_from(
    [
        " ",
        "  ",
        "\n",
        "\n\n",
        "\t",
        "\r",
        "#",
        ": ",
        "- ",
        "|",
        "-",
        "+",
        "'",
        '"',
        "\\",
        "[",
        "]",
        "{",
        ",",
        "&a ",
        "*a",
        "!!x ",
        "\x85",
        "\u2028",
        "\ufeff",
        "\x7f",
        "é",
        "x",
        "0",
        "...\n",
        "---\n",
        "version: 1\n",
        "headers:",
        "evalkit:",
        "no",
        "null",
    ]
)


@given(st.data())
def test_the_fast_reader_agrees_on_edited_files_or_returns_none(data: st.DataObject) -> None:
    text = render(data.draw(st.sampled_from([sample(), Cassette(conversation(), {"a": "b"})])))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(text)))
        cut = data.draw(st.sampled_from([0, 0, 1, 2, 7, 40]))
        text = text[:place] + data.draw(PIECES | st.just("")) + text[place + cut :]
    result = fast_reader.read_rendered(text.encode())
    if result is not None:
        assert result == yaml_reader.read_yaml(text, "c.yaml")


@pytest.mark.parametrize(
    ("lines", "quickly"),
    [
        ("        a\n", True),
        ("        a\n          b\n", True),
        ("        a\n\n        b\n", True),  # an empty line
        ("        a\n        \n        b\n", True),  # a line of nothing but indentation
        ("        a\n\n\n        b\n", False),
        ("        a\n    \n        b\n", False),  # less than the indentation
        ("        a\n       b\n        c\n", False),
        ("        a\n\n      b\n", False),
        ("        a\n       b\n\n        c\n", False),
        ("        a\n      # b\n", False),
        ("        a\nb\n", False),
        ("\n        a\n", False),
        ("         a\n", False),
        ("        a\n\n", False),
        ("        a\n        \n", False),
        ("        a \n", False),
        ("      a\n", False),
        ("", False),
    ],
)
@pytest.mark.parametrize("chomp", ["", "-", "+"])
def test_the_lines_of_a_block_are_read_as_by_yaml(lines: str, quickly: bool, chomp: str) -> None:
    for key, pad in (
        ('    body: |\n      {\n        "model"', "      "),
        ("      string: |+\n", "        "),
    ):
        start = LAYOUT.index(key) + key.index("|")
        end = LAYOUT.index("    headers:" if pad == "      " else "    evalkit:", start)
        block = "".join(
            line.replace("        ", pad, 1) for line in lines.splitlines(keepends=True)
        )
        text = f"{LAYOUT[:start]}|{chomp}\n{block}{LAYOUT[end:]}"
        result = fast_reader.read_rendered(text.encode())
        if quickly:
            assert result is not None
        if result is not None:
            assert result == yaml_reader.read_yaml(text, "c.yaml")


@pytest.mark.parametrize(
    "request_body", ["{}", "[1, 2]", "a | b", "a |", "x\n  response: |", None, ""]
)
@pytest.mark.parametrize(
    "body",
    ['{"id": "v1_a", "table": "| a | b |"}', EVENTS, f"| a |\n{EVENTS}", "x\n  evalkit: |", ""],
)
def test_bodies_may_have_bars_or_be_empty(request_body: str | None, body: str) -> None:
    odd = recording(None, method="DELETE")
    odd.request_body, odd.body = request_body, body
    empty = recording(None, method="DELETE")
    empty.body = ""
    for recordings in (
        [odd],
        [odd, empty],
        [empty, odd, empty, empty],
        [*conversation(), odd, empty, odd, *conversation()],
    ):
        text = render(Cassette(recordings))
        result = fast_reader.read_rendered(text.encode())
        assert result is not None
        assert result == yaml_reader.read_yaml(text, "c.yaml")


@pytest.mark.parametrize(
    ("lines", "quickly"),
    [
        ("", True),
        ('metadata:\n  a: "1"\n', True),
        ('metadata:\n  a: "x: y # z"\n  b_c: 0\n  d: 12\n  e: ""\n', True),
        ("metadata:\n", False),
        ("metadata: {}\n", False),
        ("metadata:\n  a: 1\n  a: 2\n", False),
        ("metadata:\n  a: 01\n", False),
        ("metadata:\n  a: 1\n\n", False),
        ("metadata:\n  a: 1 \n", False),
        ("metadata:\n  a: 1\n   b: 2\n", False),
        ("metadata:\n  a: 1\n  interactions:\n", False),
        ("metadata:\n  a: 1\n  ", False),
        ('metadata:\n  a: "b\n  c: d"\n', False),
        ("metadata:\n  a: 1\nversion: 1\n", False),
        ('metadata:\n  a: "\\n"\n', False),
    ],
)
def test_metadata_are_read_as_by_yaml(lines: str, quickly: bool) -> None:
    text = lines + LAYOUT[LAYOUT.index("interactions:") :]
    result = fast_reader.read_rendered(text.encode())
    assert (result is not None) == quickly
    if result is not None:
        assert result == yaml_reader.read_yaml(text, "c.yaml")


def test_recordings_with_the_same_headers_do_not_share_them() -> None:
    text = render(Cassette(conversation())).encode()
    first, again = fast_reader.read_rendered(text), fast_reader.read_rendered(text)
    assert first is not None
    assert again is not None
    first.recordings[0].request_headers["content-type"].append("x")
    first.recordings[0].response_headers.clear()
    assert first.recordings[1:] == again.recordings[1:]
    assert again == yaml_reader.read_yaml(text.decode(), "c.yaml")


def test_many_headers_are_read() -> None:
    headers = {f"x-{number}": ["a/b"] for number in range(500)}
    cassette = Cassette([recording(FIRST, response_headers=headers), recording(FIRST)])
    assert comparable(parse(render(cassette), "c.yaml")) == comparable(cassette)


@pytest.mark.parametrize("data", [b"\xff", b"\xed\xa0\x80", b"\xe9t\xe9"])
def test_the_fast_reader_refuses_bytes_that_are_not_utf8(data: bytes) -> None:
    assert fast_reader.read_rendered(LAYOUT.encode().replace(b"gemini", data)) is None


def test_a_truncated_file_is_refused() -> None:
    for end in range(len(LAYOUT) - 1):
        with pytest.raises(CassetteError, match=r"^c\.yaml:\d+ "):
            parse(LAYOUT[:end], "c.yaml")


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("version: 1\n", "", 39, "no 'version: 1': the file is truncated"),
        ("version: 1\n", "version: 2\n", 40, "unknown version 2 of the format"),
        ("    method: POST\n", "", 5, "recording 1, request: 'method:' is missing"),
        (
            "    method: POST\n",
            "    method: 7\n",
            6,
            "recording 1, request: 'method:' is not text: 7",
        ),
        (
            "    uri: https://generativelanguage.googleapis.com/v1beta/interactions\n",
            "    uri:\n",
            7,
            "recording 1, request: 'uri:' is missing",
        ),
        ("code: 404", 'code: "404"', 34, "recording 2, response status: 'code:' is not an integer"),
        (
            "  response:\n    status: {code: 404, message: Not Found}\n",
            "  answer:\n    status: {}\n",
            28,
            "recording 2: 'response:' is missing",
        ),
        (
            "elapsed_ms: 812.4",
            "elapsed_ms: long",
            27,
            "recording 1, response evalkit: not a number of milliseconds",
        ),
        *(
            (
                "elapsed_ms: 812.4",
                f"elapsed_ms: {number}",
                27,
                "recording 1, response evalkit: not a number of milliseconds",
            )
            for number in ("-5", ".inf", ".nan", "1.0e+30", "9" * 400)
        ),
        ("event_ms: [390, 401.75]", "event_ms: 1", 27, "'event_ms:' is not a list"),
        (
            '    body: ""\n',
            "    body: [1]\n",
            31,
            "recording 2, request: the body is neither text nor !!binary",
        ),
        ('    body: ""\n', "    body: 12\n", 31, "the body is a number; quote it"),
        ('  evalkit: "0.1.0"\n', '  evalkit: "0.1.0\n', 10, "the file cannot be read"),
        ("    headers: {}\n", "\theaders: {}\n", 32, "the file cannot be read"),
        ("    headers: {}\n", "    headers: {}\n    headers: {}\n", 33, "duplicate key 'headers'"),
        ("    headers: {}\n", "    headers: !!python/object:os.system {}\n", 32, "the tag"),
        (
            "interactions:\n- request:\n",
            "interactions:\n- 1\n- request:\n",
            5,
            "recording 1 is not a mapping",
        ),
    ],
)
def test_an_invalid_cassette_is_reported_with_file_and_line(
    old: str, new: str, line: int, message: str
) -> None:
    assert old in LAYOUT
    with pytest.raises(CassetteError, match=rf"^c\.yaml:{line} .*{re.escape(message)}") as caught:
        parse(LAYOUT.replace(old, new, 1), "c.yaml")
    assert "nothing was changed" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        (" \n\n", "the file is empty"),
        ("- request: {}\n", "a list, which vcrpy wrote before version 1"),
        ("hello\n", 'not a cassette: "hello"'),
        ("version: 1\n", "'interactions:' is missing"),
        ("version: 1\ninteractions: 3\n", "'interactions:' is not a list"),
        ("version: 1\ninteractions: []\nmetadata: []\n", "'metadata:' is not a mapping"),
        ("version: 1\ninteractions: []\n---\nversion: 1\n", "second document"),
    ],
)
def test_files_that_are_not_cassettes_are_refused(text: str, message: str) -> None:
    with pytest.raises(CassetteError, match=re.escape(message)):
        parse(text, "c.yaml")


def test_a_cassette_may_be_empty() -> None:
    assert parse(render(Cassette()), "c.yaml") == Cassette()


@pytest.mark.parametrize("number", ["1.0", "1e21", "12345678901234567890", "0.1000000000000000055"])
def test_numbers_keep_their_spelling_in_both_bodies(number: str) -> None:
    result = parse(
        render(
            Cassette(
                [Recording("POST", "http://h/", f'{{"n":{number}}}', body=f'{{"n":{number}}}')]
            )
        ),
        "c.yaml",
    ).recordings[0]
    assert result.request_body == result.body == f'{{\n  "n": {number}\n}}\n'


def test_rendering_is_deterministic_and_stable() -> None:
    once = render(Cassette([recording(FIRST)]))
    assert render(parse(once, "c.yaml")) == once


@pytest.mark.parametrize("method", ["get", "Patch", "delete", "pOsT"])
def test_methods_are_read_in_capitals(method: str) -> None:
    text = LAYOUT.replace("method: POST", f"method: {method}")
    assert parse(text, "c.yaml").recordings[0].method == method.upper()
