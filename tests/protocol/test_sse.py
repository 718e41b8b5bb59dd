from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.protocol.sse import (
    Frame,
    SseParser,
    events_of_frames,
    frames,
    is_event_stream,
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
        "fields belong to one frame",
        "event: e\nid: 7\n\ndata: a\n\n",
        [Frame(None, "a", None)],
    ),
    ("several data lines", "data: a\ndata\ndata: b\n\n", [Frame(None, "a\n\nb", None)]),
    ("comment", ": data: x\ndata: a\n:\n\n", [Frame(None, "a", None)]),
    ("no frame without data", "event: e\n\n: ping\n\n", []),
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
    ("a second BOM is text", "\ufeff\ufeffdata: a\n\n", []),
    (
        "U+2028 does not end a line",
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
    (
        "bare list over lines after a frame",
        'data: a\n\n[{\n  "error": {\n    "code": 503\n  }\n}\n]',
        [
            Frame(None, "a", None),
            Frame(None, '[{\n"error": {\n"code": 503\n}\n}\n]', None),
        ],
    ),
    ("bare list", '[{"error": 1}]\n', [Frame(None, '[{"error": 1}]', None)]),
    ("end of a list", ',\n{"error": 1}\n]\n\n', [Frame(None, '{"error": 1}', None)]),
    ("bare list without error", '[{"x": 1}]\n["error"]\n', []),
    ("bare object without error", '{"x": 1}\n\n', []),
    ("bare text", "oops\n\n", []),
    (
        "bare error after an unfinished line",
        '{"x":\n{"error": 1}\n',
        [Frame(None, '{"error": 1}', None)],
    ),
    ("bare error after noise", '{"x":\n\n{"error": 1}\n', [Frame(None, '{"error": 1}', None)]),
]


@pytest.mark.parametrize(
    ("text", "expected"), [row[1:] for row in FRAMES], ids=[row[0] for row in FRAMES]
)
def test_frames_of_whole_text_and_of_single_bytes(text: str, expected: list[Frame]) -> None:
    assert frames(text) == expected
    data = text.encode()
    assert _fed([data]) == expected
    assert _fed([data[at : at + 1] for at in range(len(data))]) == expected


def _fed(chunks: list[bytes]) -> list[Frame]:
    parser = SseParser()
    return [frame for chunk in chunks for frame in parser.feed(chunk)] + parser.close()


@pytest.mark.parametrize("stream", STREAMS, ids=str)
def test_streams_cut_anywhere_give_the_same_frames(stream: Stream) -> None:
    data = stream.text.encode()
    whole = frames(stream.text)
    assert _fed([data]) == whole
    assert _fed([data[at : at + 1] for at in range(len(data))]) == whole
    assert all(_fed([data[:cut], data[cut:]]) == whole for cut in range(len(data)))


def test_a_blank_line_completes_a_frame_at_once() -> None:
    parser = SseParser()
    assert parser.feed(b"data: a\n") == []
    assert parser.feed(b"\n") == [Frame(None, "a", None)]
    assert parser.feed(b"data: b\r\n\r") == [Frame(None, "b", None)]
    assert parser.feed(b"\ndata: c") == []
    assert parser.close() == [Frame(None, "c", None)]
    assert parser.close() == []


def test_bytes_that_are_not_utf8_are_preserved() -> None:
    data = b"data: caf\xe9 \xe2\x82\n\n"
    (frame,) = _fed([data[at : at + 1] for at in range(len(data))])
    assert frame.data.encode("utf-8", "surrogateescape") == b"caf\xe9 \xe2\x82"


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
def test_any_chunking_gives_the_same_frames(text: str, data: st.DataObject) -> None:
    payload = text.encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(payload)), max_size=6)))
    chunks = [payload[a:b] for a, b in zip([0, *cuts], [*cuts, len(payload)], strict=True)]
    assert _fed(chunks) == frames(text)


@given(st.binary())
def test_any_bytes_are_parsed(data: bytes) -> None:
    assert _fed([data]) == frames(data.decode("utf-8", "surrogateescape"))


@given(sse_text)
def test_split_frames_joined_are_the_text(text: str) -> None:
    parts = split_frames(text)
    assert "".join(parts) == text
    assert all(parts)
    if "{" not in text and "\ufeff" not in text:
        assert [frame for part in parts for frame in frames(part)] == frames(text)


@pytest.mark.parametrize("stream", STREAMS, ids=str)
def test_streams_are_split_after_each_blank_line(stream: Stream) -> None:
    parts = split_frames(stream.text)
    assert "".join(parts) == stream.text
    assert all(part.endswith(("\n\n", "\r\r", "\r\n\r\n")) for part in parts[:-1])
    assert all(len(frames(part)) <= 1 for part in parts)


EVENTS = [
    ("done ends", "data: 1\n\ndata: [DONE]\n\ndata: 2\n\n", [1], True, []),
    ("done with other text does not end", "data: [DONE] \n\n", [], False, [(1, "[DONE] ")]),
    (
        "error gets its type",
        'data: {"error": {"code": "x"}}\n\n',
        [{"event_type": "error", "error": {"code": "x"}}],
        False,
        [],
    ),
    (
        "error in a list gets its type",
        'data: [{"x": 1}, {"error": {"code": "x"}}]\n\n',
        [{"event_type": "error", "error": {"code": "x"}}],
        False,
        [],
    ),
    (
        "object of a frame that is named error",
        'event: error\ndata: {"code": 503}\n\n',
        [{"event_type": "error", "error": {"code": 503}}],
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
    ("JSON that the end cuts", 'data: 1\n\nevent: x\ndata: {"a', [1], False, []),
    ("JSON that the end cuts after its line", 'data: 1\n\ndata: {"a\n', [1], False, []),
    ("text at the end", "data: 1\n\ndata: gone", [1], False, [(2, "gone")]),
    ("a whole event at the end", "data: 1\n\ndata: [2]", [1, [2]], False, []),
    ("empty data is not an event", "data:\n\ndata: 1\n\n", [1], False, []),
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
def test_events_are_read_up_to_done(
    text: str, events: list[object], done: bool, garbage: list[tuple[int, str]]
) -> None:
    assert read_events(text) == (events, done, garbage)
    assert events_of_frames(_fed([text.encode()])) == (events, done, garbage)


def test_deep_nesting_is_garbage_not_a_crash() -> None:
    text = "[" * 100_000
    assert read_events(f"data: {text}\n\n").garbage == [(1, text)]
    assert frames(text.replace("[", '{"a":') + "}") == []


def test_many_bare_lines_take_linear_time() -> None:
    assert frames("{x}\n" * 20_001 + json.dumps({"error": 1})) == [
        Frame(None, '{"error": 1}', None)
    ]


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("text/event-stream", True),
        ("Text/Event-Stream; Charset=UTF-8", True),
        ("text/event-stream;charset=utf-8", True),
        (" text/event-stream ", True),
        ("text/event-streams", False),
        ("application/json", False),
        ("", False),
    ],
)
def test_a_stream_is_known_by_its_content_type(content_type: str, expected: bool) -> None:
    assert is_event_stream({"content-type": content_type}) is expected
    assert is_event_stream({}) is False
