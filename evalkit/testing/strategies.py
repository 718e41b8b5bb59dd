"""Hypothesis strategies for what travels on the wire: steps of all 23 types and unknown ones, contents, annotations, interactions, streams.

Which fields a step has comes from the protocol's own table, so a new type is generated as soon as the table knows it. Optional fields
come, are null, or stay away; unknown fields come along: everything the protocol allows (protocol sections 3 to 6, 11). Nothing here answers
requests.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import NamedTuple, Protocol, TypeVar

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from evalkit._lib.json import JSON
from evalkit.protocol.step_types import (
    ANNOTATION_FIELDS,
    CONTENT_FIELDS,
    STATUSES,
    STEP_FIELDS,
    STEP_TYPES,
    Fields,
)
from evalkit.protocol.stream_writer import events_of, sse_text

Object = dict[str, JSON]
T = TypeVar("T")


class Draw(Protocol):
    """How a value is drawn: ``data.draw``, or what a composite strategy is given."""

    def __call__(self, strategy: SearchStrategy[T], label: object = ...) -> T:
        """Return a value of the strategy."""
        ...


_WORDS = st.text(max_size=12)
_IDS = st.text("abcdefghij0123456789", min_size=4, max_size=8)
_BASE64 = st.binary(min_size=1, max_size=12).map(lambda data: base64.b64encode(data).decode())
_NAMES = st.sampled_from(("get_current_temperature", "set_light", "lookup"))
_OFFSETS = st.integers(0, 40)


def json_values(max_leaves: int = 4) -> SearchStrategy[JSON]:
    """JSON values of any kind, small."""
    leaves = (
        st.none()
        | st.booleans()
        | st.integers(-(2**53), 2**53)
        | st.floats(allow_nan=False, allow_infinity=False)
        | _WORDS
    )
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORDS, inner, max_size=3),
        max_leaves=max_leaves,
    )


def json_objects() -> SearchStrategy[Object]:
    """JSON objects, as arguments and results are."""
    return st.dictionaries(
        st.sampled_from(("location", "query", "n", "ü")), json_values(), max_size=2
    )


_VALUE: dict[str, SearchStrategy[JSON]] = {
    **dict.fromkeys(("id", "call_id", "place_id", "media_id"), _IDS),
    **dict.fromkeys(("name", "server_name"), _NAMES),
    **dict.fromkeys(("start_index", "end_index", "page_number"), _OFFSETS),
    "signature": _BASE64,
    "data": _BASE64,
    "is_error": st.booleans(),
    "uri": st.just("https://example.com/file"),
    "url": st.sampled_from(("https://example.com/", "javascript:alert(1)")),
    "text": _WORDS,
    "title": _WORDS,
    "mime_type": st.sampled_from(("image/png", "audio/wav", "application/pdf", "x/unheard-of")),
    "search_type": st.just("web_search"),
    "arguments": json_objects(),
    "error": st.fixed_dictionaries({"code": st.integers(1, 16), "message": _WORDS}),
}
"""Values by field name; a field that is not listed may hold any JSON value."""


def _object(
    kind: str, fields: Fields, special: dict[str, SearchStrategy[JSON]]
) -> SearchStrategy[Object]:
    def value(name: str) -> SearchStrategy[JSON]:
        return (
            special[name] if name in special else _VALUE[name] if name in _VALUE else json_values()
        )

    required = {"type": st.just(kind), **{name: value(name) for name in fields.required}}
    optional = {
        **{name: st.none() | value(name) for name in fields.optional},
        "x_unknown": json_values(),
    }
    return st.fixed_dictionaries(required, optional=optional)


def text_annotations() -> SearchStrategy[Object]:
    """Annotations of every known type, and an unknown one."""
    return st.one_of(
        [_object(kind, fields, {}) for kind, fields in ANNOTATION_FIELDS.items()]
        + [_object("x_mark", Fields(), {})]
    )


def contents(
    types: Sequence[str] = tuple(CONTENT_FIELDS), *, unknown: bool = True
) -> SearchStrategy[Object]:
    """Content blocks of the given types, and one of a type nobody knows."""
    special = {"annotations": st.lists(text_annotations(), max_size=2)}
    known = [_object(kind, CONTENT_FIELDS[kind], special) for kind in types]
    return st.one_of(known + ([_object("x_hologram", Fields(("data",)), {})] if unknown else []))


def _special(kind: str) -> dict[str, SearchStrategy[JSON]]:
    blocks = st.lists(contents(), max_size=2)
    result = (
        (_WORDS | json_objects() | blocks)
        if kind.startswith(("function", "mcp"))
        else st.lists(json_objects(), max_size=2)
    )
    return {
        "content": blocks,
        "summary": st.lists(contents(("text", "image"), unknown=False), max_size=2),
        "result": result,
    }


_STEPS = {kind: _object(kind, fields, _special(kind)) for kind, fields in STEP_FIELDS.items()}
_UNKNOWN_STEP = _object("x_dream", Fields(("id",)), {})


def steps(types: Sequence[str] = STEP_TYPES, *, unknown: bool = True) -> SearchStrategy[Object]:
    """Steps of the given types, and of one nobody knows."""
    return st.one_of([_STEPS[kind] for kind in types] + ([_UNKNOWN_STEP] if unknown else []))


def interactions(steps: SearchStrategy[Object] | None = None) -> SearchStrategy[Object]:
    """Interactions as a plain POST answers them, with any status; ``steps`` says of which steps."""
    made = _any_steps if steps is None else steps
    tokens = st.integers(0, 5000)
    return st.fixed_dictionaries(
        {
            "status": st.sampled_from(STATUSES) | st.just("x_paused"),
            "steps": st.lists(made, max_size=4),
        },
        optional={
            "id": _IDS.map("v1_{}".format),
            "object": st.just("interaction"),
            "model": st.just("gemini-3.5-flash"),
            "created": st.just("2026-06-09T12:01:25Z"),
            "usage": st.fixed_dictionaries(
                {},
                optional={
                    "total_tokens": tokens,
                    "total_input_tokens": tokens,
                    "total_output_tokens": tokens,
                },
            ),
            "x_unknown": json_values(),
        },
    )


_any_steps = steps()


class GeneratedStream(NamedTuple):
    """A stream's text, and the Interaction that it tells."""

    text: str
    interaction: Object


@st.composite
def streams(draw: DrawFn, interactions: SearchStrategy[Object] | None = None) -> GeneratedStream:
    """Whole streams, text cut into pieces of any size, with or without event ids and ``[DONE]``."""
    interaction = draw(_any_interactions if interactions is None else interactions)
    events = events_of(
        interaction, event_ids=draw(st.booleans()), words_per_delta=draw(st.integers(1, 4))
    )
    return GeneratedStream("".join(sse_text(events, done=draw(st.booleans()))), interaction)


@st.composite
def broken_streams(draw: DrawFn) -> str:
    """Streams with something wrong: an event lost, doubled or moved, an error thrown in, the text cut anywhere."""
    frames = sse_text(events_of(draw(_any_interactions)))
    place, other = draw(st.integers(0, len(frames) - 1)), draw(st.integers(0, len(frames) - 1))
    match draw(st.sampled_from(("lost", "doubled", "moved", "error", "cut"))):
        case "lost":
            del frames[place]
        case "doubled":
            frames.insert(other, frames[place])
        case "moved":
            frames.insert(other, frames.pop(place))
        case "error":
            frames[place:] = ['{"error": {"code": "gateway_timeout", "message": "late"}}\n\n']
        case _:
            text = "".join(frames)
            return text[: draw(st.integers(0, len(text) - 1))]
    return "".join(frames)


_any_interactions = interactions()
