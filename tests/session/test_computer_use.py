"""Functions that ``computer_use`` predefines: answered by the suite's tools, never declared."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evalkit.plugins import Catalog
from evalkit.server import create_app, load_script, serving
from evalkit.session import Runner, Settings
from evalkit.suite import expand, load
from tests.checks.sample_turns import codes

SCRIPT = """\
script: browser
rules:
  - {when: {results: true}, reply: done}
  - {when: {text: click}, steps: [{type: function_call, id: c1, name: click_at, arguments: {x: 1, y: 2}}]}
  - {when: {text: note}, steps: [{type: function_call, id: c1, name: take_note, arguments: {}}]}
"""
SUITE = """\
suite: s
defaults: {model: gemini-3.5-flash, history: [stateful, stateless]}
tools:
  click_at: {result: [{type: text, text: clicked}, {type: image, mime_type: image/png, data: AAAA}]}
  take_note: {predefined: true, result: noted}
  look: {description: l, parameters: {type: object}, result: seen}
"""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    script = tmp_path_factory.mktemp("script") / "script.yaml"
    script.write_text(SCRIPT)
    with serving(create_app(load_script(script))) as served:
        yield served


def run(root: Path, url: str, scenario: str) -> list[dict[str, Any]]:
    path = root / "s.yaml"
    path.write_text(f"{SUITE}scenarios: [{scenario}]")
    settings = Settings(root=root, cassettes=root, live=True, base_url=url)
    variants = expand(load(path, root=root, checks=Catalog()))
    return [json.loads(Runner(settings).run(variant).line) for variant in variants]


@pytest.mark.parametrize(
    ("tools", "user", "sent", "answer"),
    [
        ("[{type: computer_use, environment: browser}]", "click", [None], "clicked"),
        ("[{type: computer_use}, click_at, look]", "click", [None, "look"], "clicked"),
        ("[{type: computer_use}]", "note", [None], "noted"),
        ("[{type: code_execution}]", "note", [None], "noted"),
        ("[take_note, look]", "note", ["look"], "noted"),
        ("[look]", "note", ["look"], "noted"),
    ],
)
@pytest.mark.parametrize("expect", ["status: completed", "tool_calls"])
def test_predefined_functions_are_answered_and_not_declared(
    tmp_path: Path,
    url: str,
    tools: str,
    user: str,
    sent: list[str | None],
    answer: str,
    expect: str,
) -> None:
    scenario = f"{{id: a, tools: {tools}, turns: [{{user: {user}, expect: [{expect}]}}]}}"
    for result in run(tmp_path, url, scenario):
        assert result["verdict"] == "passed", result["message"]
        for exchange in result["turns"][0]["exchanges"]:
            declared = exchange["request"]["body"]["tools"]
            assert [tool.get("name") for tool in declared] == sent
        (step,) = [one["step"] for one in result["turns"][0]["steps"] if one["origin"] == "client"]
        assert step["result"][0]["text"] == answer
        assert len(step["result"]) == (2 if answer == "clicked" else 1)


def test_an_excluded_function_is_one_of_the_suite_again(tmp_path: Path, url: str) -> None:
    tools = "[{type: computer_use, excluded_predefined_functions: [click_at]}, click_at]"
    for result in run(tmp_path, url, f"{{id: a, tools: {tools}, turns: [{{user: click}}]}}"):
        declared = result["turns"][0]["exchanges"][0]["request"]["body"]["tools"]
        assert [tool.get("name") for tool in declared] == [None, "click_at"]


def test_a_predefined_function_without_an_answer_is_a_warning(tmp_path: Path, url: str) -> None:
    scenario = (
        "{id: a, tools: [{type: computer_use}], turns: [{user: scroll}], max_tool_rounds: 1}"
    ).replace("scroll", "click")
    text = SUITE.replace("click_at", "other")
    path = tmp_path / "s.yaml"
    path.write_text(f"{text}scenarios: [{scenario}]")
    settings = Settings(root=tmp_path, cassettes=tmp_path, live=True, base_url=url)
    (variant, _) = expand(load(path, root=tmp_path, checks=Catalog()))
    result = json.loads(Runner(settings).run(variant).line)
    assert result["verdict"] == "passed"
    assert [check["findings"][0]["code"] for check in result["checks"]] == ["call_without_answer"]


@pytest.mark.parametrize(
    ("tools", "expected"),
    [
        ([{"type": "computer_use"}], []),
        ([{"type": "computer_use", "excluded_predefined_functions": ["f"]}], ["undeclared_tool"]),
        ([{"type": "google_search"}], ["undeclared_tool"]),
        ([], ["undeclared_tool"]),
    ],
)
def test_calls_under_computer_use_are_not_undeclared(tools: Any, expected: list[str]) -> None:
    call = {"type": "function_call", "id": "c", "name": "f", "arguments": {}}
    done = {"type": "function_result", "call_id": "c", "name": "f", "result": "x"}
    assert codes("tool_calls", {"steps": [call, done], "request": {"tools": tools}}) == expected
