"""A user's project: suites, a server to record from, and a run directory to inspect."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.environment import ONLY_EVALKIT

WEATHER = """\
suite: weather
defaults:
  model: gemini-3.5-flash
  history: [stateful, stateless]
tools:
  get_current_temperature:
    description: Gets the current temperature for a given location.
    parameters:
      type: object
      properties: {location: {type: string}}
      required: [location]
    result: {location: "{{ arguments.location }}", temperature: "22", unit: celsius}
scenarios:
  - id: london
    title: One call, one answer
    tags: [smoke]
    tools: [get_current_temperature]
    turns:
      - user: What is the temperature in London?
        expect:
          - status: completed
          - steps: "thought* function_call function_result thought* model_output"
          - tool_calls: [{name: get_current_temperature, arguments: {location: London}}]
          - text: {contains: "22"}
  - id: hello
    tags: [slow-one]
    turns:
      - user: Explain how AI works in a few words
        expect: [{text: patterns}]
"""


class Project:
    """A folder with suites, and functions that run pytest in it."""

    def __init__(
        self, pytester: pytest.Pytester, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.pytester = pytester
        self.root = pytester.path
        self.url = url
        pytester.makeini("[pytest]\n")
        for name, value in ONLY_EVALKIT.items():
            monkeypatch.setenv(name, value)
        if pytest.version_tuple < (
            9,
        ):  # pytest warns about plugins that are loaded again in this process
            monkeypatch.setenv("PYTEST_ADDOPTS", "-W 'ignore:Module already imported'")
        self.suite("weather", WEATHER)

    def suite(self, name: str, text: str) -> Path:
        path = self.root / "suites" / f"{name}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    def run(self, *arguments: str) -> pytest.RunResult:
        return self.pytester.runpytest_inprocess(*arguments)

    def record(self, *arguments: str, mode: str = "once") -> pytest.RunResult:
        return self.run(
            "suites", "--evalkit-record", mode, "--evalkit-base-url", self.url, *arguments
        )

    def results(self, directory: str = "reports/latest") -> dict[str, dict[str, Any]]:
        lines = (self.root / directory / "results.jsonl").read_text().splitlines()
        return {result["id"]: result for result in map(json.loads, lines)}

    def manifest(self, directory: str = "reports/latest") -> Any:
        return json.loads((self.root / directory / "manifest.json").read_text())

    def cassettes(self) -> list[str]:
        folder = self.root / "cassettes"
        return sorted(
            path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
        )
