from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.protocol.sse import (
    Frame,
    SseParser,
    events_of_frames,
    frames,
    read_events,
    split_frames,
)
from tests.protocol.streams import STREAMS, Stream

FRAMES = [
    ("nothing", "", []),
    ("data", "data: a\n\n", [Frame(None, "a", None)]),
    ("no space", "data:a\n\n", [Frame(None, "a", None)]),
    ("only one space is dropped", "data:  a\n\n", [Frame(None, " a", None)]),
    ("all fields", "event: e\nid: 7\nretry: 9\ndata: a\n\n", [Frame("e", "a", "7")]),
    ("fields without space", "event:e\nid:7\ndata:a\n\n", [Frame("e", "a", "7")]),
    (
        "fields do not outlive their frame",
        "event: e\nid: 7\n\ndata: a\n\n",
        [Frame(None, "a", None)],
    ),
    ("several data lines", "data: a\ndata\ndata: b\n\n", [Frame(None, "a\n\nb", None)]),
    ("comment", ": data: x\ndata: a\n:\n\n", [Frame(None, "a", None)]),
    ("no data, no frame", "event: e\n\n: ping\n\n", []),
    ("empty data is a frame", "data:\n\n", [Frame(None, "", None)]),
    ("unknown fields", "data: a\nfoo: b\nbar\n\n", [Frame(None, "a", None)]),
    ("a word that starts like a field", "database: x\n\n", []),
    ("CRLF", "data: a\r\n\r\ndata: b\r\n\r\n", [Frame(None, "a", None), Frame(None, "b", None)]),
    ("CR", "data: a\r\rdata: b\r\r", [Frame(None, "a", None), Frame(None, "b", None)]),
    ("line ends mixed", "data: a\r\ndata: b\rdata: c\n\r\n", [Frame(None, "a\nb\nc", None)]),
    (
        "many blank lines",
        "\n\ndata: a\n\n\n\n\ndata: b\n\n",
        [Frame(None, "a", None), Frame(None, "b", None)],
    ),
    ("no last blank line", "data: a\n", [Frame(None, "a", None)]),
    ("no last line end", "data: a", [Frame(None, "a", None)]),
    ("BOM", "\ufeffdata: a\n\n", [Frame(None, "a", None)]),
    ("a second BOM is no BOM", "\ufeff\ufeffdata: a\n\n", []),
    (
        "U+2028 ends no line",
        "data: a\u2028b\x85c\x0bd\n\n",
        [Frame(None, "a\u2028b\x85c\x0bd", None)],
    ),
    ("bare error", '{"error": 1}\n', [Frame(None, '{"error": 1}', None)]),
    ("bare error without line end", '{"error": 1}', [Frame(None, '{"error": 1}', None)]),
    (
        "bare error in a frame",
        'data: a\n{"error": 1}\n\n',
        [Frame(None, '{"error": 1}', None), Frame(None, "a", None)],
    ),
    ("bare error over lines", '{\n"error": {\n}\n}\n', [Frame(None, '{\n"error": {\n}\n}', None)]),
    ("bare object without error", '{"x": 1}\n\n', []),
    ("bare text", "oops\n\n", []),
    (
        "bare error behind a line that never ends",
        '{"x":\n{"error": 1}\n',
        [Frame(None, '{"error": 1}', None)],
    ),
    ("bare error after noise", '{"x":\n\n{"error": 1}\n', [Frame(None, '{"error": 1}', None)]),
]


@pytest.mark.parametrize(
    ("text", "expected"), [row[1:] for row in FRAMES], ids=[row[0] for row in FRAMES]
)
def test_frames_whole_and_byte_by_byte(text: str, expected: list[Frame]) -> None:
    assert frames(text) == expected
    data = text.encode()
    assert _fed([data]) == expected
    assert _fed([data[at : at + 1] for at in range(len(data))]) == expected


def _fed(chunks: list[bytes]) -> list[Frame]:
    parser = SseParser()
    return [found for chunk in chunks for found in parser.feed(chunk)] + parser.close()


@pytest.mark.parametrize("stream", STREAMS, ids=str)
def test_streams_byte_by_byte_give_the_frames_of_the_whole(stream: Stream) -> None:
    data = stream.text.encode()
    whole = frames(stream.text)
    assert _fed([data]) == whole
    assert _fed([data[at : at + 1] for at in range(len(data))]) == whole
    assert all(_fed([data[:cut], data[cut:]]) == whole for cut in range(len(data)))


def test_a_frame_is_out_as_soon_as_its_blank_line_is_in() -> None:
    parser = SseParser()
    assert parser.feed(b"data: a\n") == []
    assert parser.feed(b"\n") == [Frame(None, "a", None)]
    assert parser.feed(b"data: b\r\n\r") == [Frame(None, "b", None)]
    assert parser.feed(b"\ndata: c") == []
    assert parser.close() == [Frame(None, "c", None)]
    assert parser.close() == []


def test_bytes_that_are_no_utf8_are_kept() -> None:
    data = b"data: caf\xe9 \xe2\x82\n\n"
    (found,) = _fed([data[at : at + 1] for at in range(len(data))])
    assert found.data.encode("utf-8", "surrogateescape") == b"caf\xe9 \xe2\x82"


sse_text = st.lists(
    st.sampled_from(
        [
            "data: ",
            "data:",
            "event: x",
            "id: 1",
            ": c",
            "\n",
            "\r",
            "\r\n",
            "\n\n",
            "{",
            "}",
            '{"error": 2}',
            "[DONE]",
            "é😀",
            "\ufeff",
            "a",
        ]
    )
).map("".join)


@given(text=sse_text, data=st.data())
@settings(max_examples=100, deadline=None)
def test_any_chunking_gives_the_same_frames(text: str, data: st.DataObject) -> None:
    payload = text.encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(payload)), max_size=6)))
    chunks = [payload[a:b] for a, b in zip([0, *cuts], [*cuts, len(payload)], strict=True)]
    assert _fed(chunks) == frames(text)


@given(st.binary())
@settings(max_examples=100, deadline=None)
def test_any_bytes_are_read(data: bytes) -> None:
    assert _fed([data]) == frames(data.decode("utf-8", "surrogateescape"))


@given(sse_text)
@settings(max_examples=100, deadline=None)
def test_pieces_joined_are_the_text(text: str) -> None:
    pieces = split_frames(text)
    assert "".join(pieces) == text
    assert all(pieces)
    if "{" not in text and "\ufeff" not in text:
        assert [found for piece in pieces for found in frames(piece)] == frames(text)


@pytest.mark.parametrize("stream", STREAMS, ids=str)
def test_streams_are_cut_behind_each_blank_line(stream: Stream) -> None:
    pieces = split_frames(stream.text)
    assert "".join(pieces) == stream.text
    assert all(piece.endswith(("\n\n", "\r\r", "\r\n\r\n")) for piece in pieces[:-1])
    assert all(len(frames(piece)) <= 1 for piece in pieces)


EVENTS = [
    ("done ends", "data: 1\n\ndata: [DONE]\n\ndata: 2\n\n", [1], True, []),
    ("done with other text is no done", "data: [DONE] \n\n", [], False, [(1, "[DONE] ")]),
    (
        "error gets its type",
        'data: {"error": {"code": "x"}}\n\n',
        [{"event_type": "error", "error": {"code": "x"}}],
        False,
        [],
    ),
    (
        "error with another type keeps it",
        'data: {"event_type": "y", "error": 1}\n\n',
        [{"event_type": "y", "error": 1}],
        False,
        [],
    ),
    (
        "garbage is numbered among all",
        "data: 1\n\ndata: x\n\ndata: {\n\ndata: 2\n\n",
        [1, 2],
        False,
        [(2, "x"), (3, "{")],
    ),
    ("empty data is no event", "data:\n\ndata: 1\n\n", [1], False, []),
    (
        "bare error line",
        '{"error": {"code": 400}}',
        [{"event_type": "error", "error": {"code": 400}}],
        False,
        [],
    ),
]


@pytest.mark.parametrize(
    ("text", "events", "done", "garbage"),
    [row[1:] for row in EVENTS],
    ids=[row[0] for row in EVENTS],
)
def test_events(
    text: str, events: list[object], done: bool, garbage: list[tuple[int, str]]
) -> None:
    assert read_events(text) == (events, done, garbage)
    assert events_of_frames(_fed([text.encode()])) == (events, done, garbage)


def test_deep_nesting_is_garbage_and_no_crash() -> None:
    text = "[" * 100_000
    assert read_events(f"data: {text}\n\n").garbage == [(1, text)]
    assert frames(text.replace("[", '{"a":') + "}") == []


def test_a_flood_of_bare_lines_costs_no_more_than_its_length() -> None:
    assert frames("{x}\n" * 20_001 + json.dumps({"error": 1})) == [
        Frame(None, '{"error": 1}', None)
    ]
