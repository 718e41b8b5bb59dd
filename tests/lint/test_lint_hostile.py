"""Whatever stands in a cassette, lint reports and never fails: bodies changed at random places, texts cut and garbled."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit._lib.json import JSON
from evalkit.cassette.format import Cassette, Recording, render
from evalkit.lint import RULES, LintFinding, Options, lint
from evalkit.testing.strategies import interactions, json_values
from tests.lint.building import (
    COMPLETED,
    CREATED,
    DELTA,
    START,
    STOP,
    URI,
    asked,
    call,
    picture,
    png,
    recording,
    result,
    said,
    streamed,
    text,
    thought,
    user,
)

_SEARCH = [
    {"type": "google_search_call", "id": "s1", "arguments": {"queries": ["x"]}},
    {"type": "google_search_result", "call_id": "s1", "result": [{"search_suggestions": "<b>"}]},
]
# Method and URI, request, answer (a list: the events of a stream).
BASE: list[list[JSON]] = [
    [
        "POST",
        URI,
        asked(store=False, input=[user()], tools=[{"type": "function", "name": "weather"}]),
        said(thought(), call(), id=None),
    ],
    [
        "POST",
        URI,
        asked(store=False, input=[user(), thought(), call(), result()]),
        said(text("22"), *_SEARCH, picture(png()), id=None),
    ],
    ["POST", URI, asked(), said(call(), status="requires_action", usage={"total_tokens": 3})],
    [
        "POST",
        URI,
        asked(previous_interaction_id="v1_a", input=[result()]),
        said(text("22", annotations=[{"type": "url_citation"}])),
    ],
    ["POST", URI, asked(stream=True), [CREATED, START, DELTA, STOP, COMPLETED]],
    ["GET", f"{URI}/v1_a", None, said(user(), text("Hello"))],
    ["POST", URI, asked(), {"error": {"code": "x", "message": "y"}}],
]


def _places(value: JSON, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [at] if at else []
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    return found + [place for key, item in items for place in _places(item, (*at, key))]


PLACES = [place for place in _places(BASE) if len(place) >= 2 and place[1] != 0]
VALUES: st.SearchStrategy[JSON] = json_values() | st.sampled_from(
    [
        [],
        {},
        "",
        None,
        "function_call",
        "model_output",
        "v1_a",
        10**400,
        {"type": ["x"]},
        {"type": {}},
    ]
)


def _changed(document: JSON, place: tuple[Any, ...], how: str, value: JSON) -> None:
    try:
        holder = document
        for key in place[:-1]:
            holder = holder[key]
        if how == "drop" and len(place) > 2:
            del holder[place[-1]]
        elif how == "double" and isinstance(holder, list) and len(place) > 2:
            holder.insert(place[-1], deepcopy(holder[place[-1]]))
        else:
            holder[place[-1]] = deepcopy(value)
    except (KeyError, IndexError, TypeError):
        return  # an earlier change took the place away


def _recording(entry: list[JSON]) -> Recording:
    method, uri, request, answer = entry
    if isinstance(answer, list) and answer and all(isinstance(event, dict) for event in answer):
        return streamed(answer, request if request is not None else "", uri=str(uri))
    status = 400 if isinstance(answer, dict) and "error" in answer else 200
    return recording(request, answer, method=method, uri=str(uri) or URI, status=status)


def _judged(content: str) -> list[LintFinding]:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "app" / "c.yaml"
        path.parent.mkdir()
        path.write_text(content, encoding="utf-8")
        found = lint([path], Options()).findings
    for finding in found:
        assert finding.code in RULES
        json.dumps(finding.to_json(), allow_nan=False)
    assert [finding.message for finding in found if finding.code == "rule_crashed"] == []
    return found


CHANGES = st.lists(
    st.tuples(st.sampled_from(PLACES), st.sampled_from(("set", "drop", "double")), VALUES),
    min_size=1,
    max_size=6,
)


@given(CHANGES)
@settings(max_examples=60, deadline=None)
def test_a_body_changed_anywhere_is_reported_on(
    changes: list[tuple[tuple[Any, ...], str, JSON]],
) -> None:
    document = deepcopy(BASE)
    for place, how, value in changes:
        _changed(document, place, how, value)
    _judged(render(Cassette([_recording(entry) for entry in document])))


@pytest.mark.parametrize(
    "value", [None, True, 1.5, "x", [], [1], {}, {"type": ["x"]}, {"type": {}}], ids=repr
)
def test_a_wrong_value_anywhere_is_reported_on(value: JSON) -> None:
    """Every single place of the conversations above, replaced by each kind of value, a few places in one cassette."""
    for first in range(0, len(PLACES), 5):
        document = deepcopy(BASE)
        for place in PLACES[first : first + 5]:
            _changed(document, place, "set", value)
        _judged(render(Cassette([_recording(entry) for entry in document])))


TYPED = (
    "",
    "id",
    "call_id",
    "name",
    "server_name",
    "start_index",
    "end_index",
    "signature",
    "data",
    "is_error",
    "uri",
    "url",
    "text",
)


@given(interactions(), st.booleans())
@settings(max_examples=40, deadline=None)
def test_what_the_protocol_allows_is_not_called_wrong(interaction: JSON, stored: bool) -> None:
    """The strategy types these fields as the protocol does; any other it fills with anything."""
    found = _judged(render(Cassette([recording(asked(store=stored), interaction)])))
    wrong = [
        finding.where["pointer"]
        for finding in found
        if finding.code in ("wrong_type", "required_missing", "answer_unreadable")
    ]
    assert [pointer for pointer in wrong if pointer.rpartition("/")[2] in TYPED] == []


CONTENT = render(Cassette([_recording(entry) for entry in BASE], {"format": 1}))


@given(st.integers(0, len(CONTENT)), st.integers(0, 40), st.text(max_size=8))
@settings(max_examples=60, deadline=None)
def test_a_garbled_file_is_reported_on(at: int, length: int, put: str) -> None:
    content = CONTENT[:at] + put + CONTENT[at + length :]
    _judged(content.encode("utf-8", "replace").decode())


@pytest.mark.parametrize("at", [*range(0, len(CONTENT), 211), len(CONTENT) - 1])
def test_a_cut_file_is_damaged(at: int, tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(CONTENT[:at], encoding="utf-8")
    outcome = lint([path])
    assert [finding.code for finding in outcome.findings] == (
        ["cassette_unreadable"] if at < len(CONTENT) - 1 else []
    )[: len(outcome.findings)]
    assert outcome.damaged == (at < len(CONTENT) - 1)
