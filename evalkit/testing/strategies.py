"""Hypothesis strategies for the API's JSON: steps, contents, annotations, interactions, streams.

The fields of each type are read from the tables in ``protocol.step_types``, so a new type there is
generated at once. Optional fields are present, null or absent; unknown types and fields are
generated too (docs/protocol.md sections 3 to 6 and 11).
"""

import base64
from collections.abc import Sequence
from functools import cache
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
    """Hypothesis's draw function: ``data.draw``, or the argument of a composite strategy."""

    def __call__(self, strategy: SearchStrategy[T], label: object = ...) -> T:
        """Draw a value."""
        ...


_WORDS = st.text(max_size=12)
_IDS = st.text("abcdefghij0123456789", min_size=4, max_size=8)
_BASE64 = st.binary(min_size=1, max_size=12).map(lambda data: base64.b64encode(data).decode())
_NAMES = st.sampled_from(("get_current_temperature", "set_light", "lookup"))
_OFFSETS = st.integers(0, 40)


# Cached, because one for each field would take seconds to build.
@cache
def json_values(max_leaves: int = 4) -> SearchStrategy[JSON]:
    """Small JSON values of any type."""
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


@cache
def json_objects() -> SearchStrategy[Object]:
    """JSON objects like arguments and results."""
    return st.dictionaries(
        st.sampled_from(("location", "query", "n", "ü")), json_values(), max_size=2
    )


_VALUES: dict[str, SearchStrategy[JSON]] = {
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
"""Strategies by field name; all other fields have any JSON value."""


def _object(
    kind: str, fields: Fields, special: dict[str, SearchStrategy[JSON]]
) -> SearchStrategy[Object]:
    values = {**_VALUES, **special}
    required = {name: values.get(name, json_values()) for name in fields.required}
    optional = {name: st.none() | values.get(name, json_values()) for name in fields.optional}
    required["type"] = st.just(kind)
    optional["x_unknown"] = json_values()
    return st.fixed_dictionaries(required, optional=optional)


def text_annotations() -> SearchStrategy[Object]:
    """Annotations of all known types and an unknown one."""
    return st.one_of(
        [_object(kind, fields, {}) for kind, fields in ANNOTATION_FIELDS.items()]
        + [_object("x_mark", Fields(), {})]
    )


def contents(
    types: Sequence[str] = tuple(CONTENT_FIELDS), *, unknown: bool = True
) -> SearchStrategy[Object]:
    """Content blocks of the given types and of an unknown one."""
    special = {"annotations": st.lists(text_annotations(), max_size=2)}
    known = [_object(kind, CONTENT_FIELDS[kind], special) for kind in types]
    return st.one_of(known + ([_object("x_hologram", Fields(("data",)), {})] if unknown else []))


_BLOCKS = st.lists(contents(), max_size=2)
_SUMMARY = st.lists(contents(("text", "image"), unknown=False), max_size=2)
_RESULT = _WORDS | json_objects() | _BLOCKS
_RESULTS = st.lists(json_objects(), max_size=2)


def _special(kind: str) -> dict[str, SearchStrategy[JSON]]:
    result = _RESULT if kind.startswith(("function", "mcp")) else _RESULTS
    return {"content": _BLOCKS, "summary": _SUMMARY, "result": result}


_STEPS = {kind: _object(kind, fields, _special(kind)) for kind, fields in STEP_FIELDS.items()}
_UNKNOWN_STEP = _object("x_dream", Fields(("id",)), {})


def steps(types: Sequence[str] = STEP_TYPES, *, unknown: bool = True) -> SearchStrategy[Object]:
    """Steps of the given types and of an unknown one."""
    return st.one_of([_STEPS[kind] for kind in types] + ([_UNKNOWN_STEP] if unknown else []))


def interactions(steps: SearchStrategy[Object] | None = None) -> SearchStrategy[Object]:
    """Interactions as in the response to a plain POST, with any status and the given steps."""
    tokens = st.integers(0, 5000)
    return st.fixed_dictionaries(
        {
            "status": st.sampled_from(STATUSES) | st.just("x_paused"),
            "steps": st.lists(_ANY_STEPS if steps is None else steps, max_size=4),
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


_ANY_STEPS = steps()


class GeneratedStream(NamedTuple):
    """The text of a stream, and the interaction that its events describe."""

    text: str
    interaction: Object


@st.composite
def streams(draw: DrawFn, interactions: SearchStrategy[Object] | None = None) -> GeneratedStream:
    """Complete streams with deltas of any size, with or without event ids and ``[DONE]``."""
    interaction = draw(_ANY_INTERACTIONS if interactions is None else interactions)
    events = events_of(
        interaction, event_ids=draw(st.booleans()), words_per_delta=draw(st.integers(1, 4))
    )
    return GeneratedStream("".join(sse_text(events, done=draw(st.booleans()))), interaction)


@st.composite
def broken_streams(draw: DrawFn) -> str:
    """Broken streams: an event lost, duplicated or moved, an error, or the text cut anywhere."""
    frames = sse_text(events_of(draw(_ANY_INTERACTIONS)))
    positions = st.integers(0, len(frames) - 1)
    position, other = draw(positions), draw(positions)
    match draw(st.sampled_from(("lost", "duplicated", "moved", "error", "cut"))):
        case "lost":
            del frames[position]
        case "duplicated":
            frames.insert(other, frames[position])
        case "moved":
            frames.insert(other, frames.pop(position))
        case "error":
            frames[position:] = ['{"error": {"code": "gateway_timeout", "message": "late"}}\n\n']
        case _:
            text = "".join(frames)
            return text[: draw(st.integers(0, len(text) - 1))]
    return "".join(frames)


_ANY_INTERACTIONS = interactions()
