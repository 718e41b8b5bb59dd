"""Hypothesis strategies for JSON, contents, annotations, steps, interactions and events."""

from __future__ import annotations

import base64
import json

from hypothesis import strategies as st

from evalkit._lib.json import JSON
from evalkit.protocol.step_draft import DELTAS
from evalkit.protocol.step_types import (
    ANNOTATION_FIELDS,
    CONTENT_FIELDS,
    STATUSES,
    STEP_FIELDS,
    Fields,
)
from evalkit.protocol.stream_order import STREAM

Object = dict[str, JSON]


def _as_json(text: str) -> str:
    """Return text after a round trip through JSON, which joins surrogate pairs."""
    decoded: str = json.loads(json.dumps(text))
    return decoded


texts = st.one_of(
    st.text(st.characters(exclude_categories=()), max_size=12).map(_as_json),
    st.sampled_from(
        [
            "",
            " ",
            "Hello  world \n",
            "Straße 東京 😀 ok",
            "a\u2028b\r\nc\x00",
            "\ud83d",
            "data: [DONE]\n\n",
            '{"error": 1}',
        ]
    ),
)
numbers = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
values: st.SearchStrategy[JSON] = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
objects = st.dictionaries(texts, values, max_size=3)
extras = st.dictionaries(st.sampled_from(["x_new", "x_neu", "ключ"]), values, max_size=2)
base64_texts = st.binary(min_size=1, max_size=9).map(lambda data: base64.b64encode(data).decode())


def _typed(
    kind: str, fields: Fields, known: dict[str, st.SearchStrategy[JSON]]
) -> st.SearchStrategy[Object]:
    """Return objects of a type, mostly well-formed; some lack fields or have any value."""
    optional = {
        name: known.get(name, texts) | values if name not in ("text", "id", "call_id") else texts
        for name in (*fields.required, *fields.optional)
    }
    whole = st.fixed_dictionaries(
        {"type": st.just(kind), **{name: optional[name] for name in fields.required}}
    )
    any_ = st.fixed_dictionaries({"type": st.just(kind)}, optional=optional)
    return st.builds(lambda step, more: {**more, **step}, whole | any_, extras)


_SPAN = {"start_index": st.integers(0, 20), "end_index": st.integers(0, 20)}
notes = st.one_of(
    *(_typed(kind, fields, dict(_SPAN)) for kind, fields in ANNOTATION_FIELDS.items()), objects
)

_MEDIA: dict[str, st.SearchStrategy[JSON]] = {
    "annotations": st.lists(notes, max_size=3),
    "data": base64_texts,
    "mime_type": st.sampled_from(["image/png", "audio/l16", "application/pdf"]),
    "sample_rate": st.sampled_from([16000, 24000]),
}
contents = st.one_of(
    *(_typed(kind, fields, _MEDIA) for kind, fields in CONTENT_FIELDS.items()), objects
)

_STEP: dict[str, st.SearchStrategy[JSON]] = {
    "content": st.lists(contents, max_size=4),
    "summary": st.lists(contents, max_size=3),
    "arguments": objects,
    "signature": st.just("") | base64_texts,
    "is_error": st.booleans(),
    "result": values,
    "error": objects,
}


def steps_of_type(kind: str) -> st.SearchStrategy[Object]:
    return _typed(kind, STEP_FIELDS[kind], _STEP)


unknown_steps = st.builds(
    lambda kind, rest: {**rest, "type": kind},
    st.sampled_from(["daydream", "weather_call", "weather_result"]),
    objects,
)
steps = st.one_of(*map(steps_of_type, STEP_FIELDS), unknown_steps, objects)

interactions = st.builds(
    lambda known, more, listed: {**more, **known, "steps": listed},
    st.fixed_dictionaries(
        {"status": st.sampled_from(STATUSES)},
        optional={
            "id": st.sampled_from(["v1_a", "v2_ü"]),
            "object": st.just("interaction"),
            "model": st.sampled_from(["m-1"]),
            "usage": st.dictionaries(st.just("total_tokens"), st.integers(0), max_size=1),
            "created": texts,
            "environment_id": texts,
        },
    ),
    extras,
    st.lists(steps, max_size=4),
)

_indexes = st.integers(-1, 3) | st.sampled_from([None, "1", True, 2.0])
_deltas = st.one_of(
    st.builds(
        lambda kind, rest: {**rest, "type": kind},
        st.sampled_from([*DELTAS, "sparkle", None]),
        _typed("x", Fields((), tuple(_STEP)), _STEP),
    ),
    contents,
    values,
)
_identities = st.fixed_dictionaries(
    {},
    optional={
        "id": texts,
        "status": st.sampled_from(STATUSES) | values,
        "steps": values,
        "usage": values,
    },
)
events = st.one_of(
    values,
    st.builds(
        lambda rest, kind: {**rest, "event_type": kind},
        st.fixed_dictionaries(
            {},
            optional={
                "index": _indexes,
                "step": steps | values,
                "delta": _deltas,
                "interaction": _identities | values,
                "interaction_id": texts | values,
                "status": st.sampled_from(STATUSES) | values,
                "error": values,
                "usage": values,
            },
        ),
        st.sampled_from([*STREAM["new"], "interaction.weighed"]) | values,
    ),
)
"""Events of any shape."""
