"""Python tools whose function and declared parameters disagree: a fault of the suite."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evalkit.errors import TargetError
from evalkit.plugins import Catalog
from evalkit.session import Runner, Settings
from evalkit.session.python_targets import PythonTargets
from evalkit.session.tool_signatures import signature_conflicts
from evalkit.suite import expand, load


def schema(*names: str, required: tuple[str, ...] = ()) -> dict[str, Any]:
    return {"type": "object", "properties": {n: {} for n in names}, "required": list(required)}


@pytest.mark.parametrize(
    ("function", "parameters", "expected"),
    [
        (lambda a: a, schema("a", required=("a",)), []),
        (lambda a=1: a, schema("a"), []),
        (lambda **rest: rest, schema("a"), []),
        (lambda *args, a=1: a, schema("a"), []),
        (lambda: 1, None, []),
        (lambda a: a, schema("a"), ["'a', which 'parameters' leaves optional"]),
        (lambda *, a: a, schema("a"), ["'a', which 'parameters' leaves optional"]),
        (lambda a, **rest: a, schema("b", required=("b",)), ["'a', which 'parameters' does not"]),
        (lambda a: a, None, ["'a', which 'parameters' does not declare"]),
        (lambda a=1: a, schema("a", "b"), ["has no argument 'b', which 'parameters' declares"]),
        (lambda a, b: a, schema("c"), ["argument 'a'", "argument 'b'", "no argument 'c'"]),
        (lambda a, /: a, schema("a", required=("a",)), ["'a' by position only"]),
        (lambda a: a, {"$ref": "#/$defs/x", "$defs": {"x": schema("a")}}, []),
        (lambda a: a, schema("a") | {"anyOf": [{"required": ["a"]}]}, []),
        (lambda a: a, {"properties": []}, []),
        (dict, schema("a"), []),
        (str, "not a schema", []),
        (3, schema("a"), []),
    ],
)
def test_a_function_must_accept_what_is_declared(
    function: Callable[..., Any], parameters: Any, expected: list[str]
) -> None:
    conflicts = list(signature_conflicts(function, parameters))
    assert len(conflicts) == len(expected)
    assert all(part in conflict for part, conflict in zip(expected, conflicts, strict=True))


SUITE = """\
suite: s
tools:
  warm:
    description: w
    parameters: {type: object, properties: {city: {type: string}, unit: {type: string}}}
    python: %s:warm
  free: {predefined: true, python: %s:warm}
scenarios:
  - {id: a, model: m, tools: [warm], turns: [{user: hi}]}
"""


def test_a_conflict_is_an_error_of_the_suite_before_anything_is_sent(tmp_path: Path) -> None:
    (tmp_path / "signature_tools.py").write_text("def warm(city): return city\n")
    path = tmp_path / "s.yaml"
    path.write_text(SUITE.replace("%s", "signature_tools"))
    # Nothing listens there.
    settings = Settings(root=tmp_path, cassettes=tmp_path, live=True, base_url="http://127.0.0.1:9")
    (variant,) = expand(load(path, root=tmp_path, checks=Catalog()))
    result = json.loads(Runner(settings).run(variant).line)
    assert result["verdict"] == "errored"
    (finding,) = [finding for check in result["checks"] for finding in check["findings"]]
    text = f"{finding['message']}\n{finding['detail']}"
    assert "s.yaml:6:13 tool 'warm': signature_tools:warm requires the argument 'city'" in text
    assert "has no argument 'unit', which 'parameters' declares" in text
    assert "python: signature_tools:warm" in text


@pytest.mark.parametrize(
    ("arguments", "is_suite"),
    [({"b": 1}, True), ({}, True), ({"b": 1, "invented": 2}, False), ({"invented": 2}, False)],
)
def test_only_an_invented_argument_is_the_fault_of_the_model(
    tmp_path: Path, arguments: dict[str, Any], is_suite: bool
) -> None:
    module = f"composed_{tmp_path.name}"
    (tmp_path / f"{module}.py").write_text("def f(a, b=1): return a\n")
    composed = {"properties": {"a": {}, "b": {}}, "anyOf": [{}]}
    targets = PythonTargets(tmp_path)
    if is_suite:
        with pytest.raises(TargetError, match="make 'parameters' and the function agree"):
            targets.call(f"{module}:f", arguments, composed)
    else:
        assert targets.signature_misfit(f"{module}:f", arguments, composed)
