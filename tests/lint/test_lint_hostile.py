"""Lint reports on any content and never crashes: bodies changed at random, files truncated."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit._lib.json import JSON
from evalkit.cassette.format import render
from evalkit.cassette.recording import Cassette, Recording
from evalkit.lint import RULES, LintFinding, LintOptions, lint
from evalkit.testing.strategies import interactions, json_values
from tests.lint.cassettes import (
    COMPLETED,
    CREATED,
    DELTA,
    START,
    STOP,
    URI,
    create_request,
    function_call,
    function_result,
    image,
    interaction,
    model_output,
    png,
    recording,
    stream_recording,
    thought,
    user_input,
)

_SEARCH = [
    {"type": "google_search_call", "id": "s1", "arguments": {"queries": ["x"]}},
    {"type": "google_search_result", "call_id": "s1", "result": [{"search_suggestions": "<b>"}]},
]
# Method and URI, request, response (a list: the events of a stream).
BASE: list[list[JSON]] = [
    [
        "POST",
        URI,
        create_request(
            store=False, input=[user_input()], tools=[{"type": "function", "name": "weather"}]
        ),
        interaction(thought(), function_call(), id=None),
    ],
    [
        "POST",
        URI,
        create_request(
            store=False, input=[user_input(), thought(), function_call(), function_result()]
        ),
        interaction(model_output("22"), *_SEARCH, image(png()), id=None),
    ],
    [
        "POST",
        URI,
        create_request(),
        interaction(function_call(), status="requires_action", usage={"total_tokens": 3}),
    ],
    [
        "POST",
        URI,
        create_request(previous_interaction_id="v1_a", input=[function_result()]),
        interaction(model_output("22", annotations=[{"type": "url_citation"}])),
    ],
    ["POST", URI, create_request(stream=True), [CREATED, START, DELTA, STOP, COMPLETED]],
    ["GET", f"{URI}/v1_a", None, interaction(user_input(), model_output("Hello"))],
    ["POST", URI, create_request(), {"error": {"code": "x", "message": "y"}}],
]


def _paths(value: JSON, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [at] if at else []
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    return found + [path for key, item in items for path in _paths(item, (*at, key))]


PATHS = [path for path in _paths(BASE) if len(path) >= 2 and path[1] != 0]
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


def _change(document: JSON, path: tuple[Any, ...], how: str, value: JSON) -> None:
    try:
        holder = document
        for key in path[:-1]:
            holder = holder[key]
        if how == "drop" and len(path) > 2:
            del holder[path[-1]]
        elif how == "double" and isinstance(holder, list) and len(path) > 2:
            holder.insert(path[-1], deepcopy(holder[path[-1]]))
        else:
            holder[path[-1]] = deepcopy(value)
    except (KeyError, IndexError, TypeError):
        return  # an earlier change removed the path


def _recording(entry: list[JSON]) -> Recording:
    method, uri, request, response = entry
    if (
        isinstance(response, list)
        and response
        and all(isinstance(event, dict) for event in response)
    ):
        return stream_recording(response, request if request is not None else "", uri=str(uri))
    status = 400 if isinstance(response, dict) and "error" in response else 200
    return recording(request, response, method=method, uri=str(uri) or URI, status=status)


def _lint(content: str) -> list[LintFinding]:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "app" / "c.yaml"
        path.parent.mkdir()
        path.write_text(content, encoding="utf-8")
        found = lint([path], LintOptions()).findings
    for finding in found:
        assert finding.code in RULES
        json.dumps(finding.to_json(), allow_nan=False)
    assert [finding.message for finding in found if finding.code == "rule_crashed"] == []
    return found


CHANGES = st.lists(
    st.tuples(st.sampled_from(PATHS), st.sampled_from(("set", "drop", "double")), VALUES),
    min_size=1,
    max_size=6,
)


@given(CHANGES)
def test_a_body_with_random_changes_is_checked(
    changes: list[tuple[tuple[Any, ...], str, JSON]],
) -> None:
    document = deepcopy(BASE)
    for path, how, value in changes:
        _change(document, path, how, value)
    _lint(render(Cassette([_recording(entry) for entry in document])))


@pytest.mark.parametrize(
    "value", [None, True, 1.5, "x", [], [1], {}, {"type": ["x"]}, {"type": {}}], ids=repr
)
def test_a_wrong_value_at_any_path_is_checked(value: JSON) -> None:
    """Every path of the conversations above, replaced by each kind of value."""
    for first in range(0, len(PATHS), 5):
        document = deepcopy(BASE)
        for path in PATHS[first : first + 5]:
            _change(document, path, "set", value)
        _lint(render(Cassette([_recording(entry) for entry in document])))


TYPED_FIELDS = (
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
def test_values_that_the_protocol_allows_are_not_reported(interaction: JSON, stored: bool) -> None:
    """The strategy fills these fields as the protocol does, and any other with anything."""
    found = _lint(render(Cassette([recording(create_request(store=stored), interaction)])))
    wrong = [
        finding.where["pointer"]
        for finding in found
        if finding.code in ("wrong_type", "required_missing", "answer_unreadable")
    ]
    assert [pointer for pointer in wrong if pointer.rpartition("/")[2] in TYPED_FIELDS] == []


CONTENT = render(Cassette([_recording(entry) for entry in BASE], {"format": 1}))


@given(st.integers(0, len(CONTENT)), st.integers(0, 40), st.text(max_size=8))
def test_a_garbled_file_is_checked(at: int, length: int, put: str) -> None:
    content = CONTENT[:at] + put + CONTENT[at + length :]
    _lint(content.encode("utf-8", "replace").decode())


@pytest.mark.parametrize("at", [*range(0, len(CONTENT), 211), len(CONTENT) - 1])
def test_a_truncated_file_is_damaged(at: int, tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(CONTENT[:at], encoding="utf-8")
    outcome = lint([path])
    assert [finding.code for finding in outcome.findings] == (
        ["cassette_unreadable"] if at < len(CONTENT) - 1 else []
    )[: len(outcome.findings)]
    assert outcome.damaged == (at < len(CONTENT) - 1)
