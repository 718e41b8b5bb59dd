"""A project with an application and its tests, and functions that run pytest in it."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

APPLICATION = """
import os
import httpx

def ask(message, **fields):
    url = os.environ["GOOGLE_GEMINI_BASE_URL"] + "/v1beta/interactions"
    body = {"model": "gemini-3.5-flash", "input": message, **fields}
    answer = httpx.post(url, json=body, headers={"x-goog-api-key": os.environ["GEMINI_API_KEY"]})
    answer.raise_for_status()
    return answer.json()

def careless(message):
    try:
        return ask(message)
    except Exception:
        return None
"""
HELLO = """
from taped_application import ask

def test_hello(evalkit_tape):
    ask("Hello")
    evalkit_tape.expect(text="Hello")
"""


class TapedProject:
    """A user's project."""

    def __init__(
        self, pytester: pytest.Pytester, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.pytester = pytester
        self.root = pytester.path
        self.url = url
        pytester.makeini("[pytest]\n")
        monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
        monkeypatch.setenv("PYTEST_PLUGINS", "evalkit.pytest_plugin")
        if pytest.version_tuple < (
            9,
        ):  # pytest warns about plugins that are loaded again in this process
            monkeypatch.setenv("PYTEST_ADDOPTS", "-W 'ignore:Module already imported'")
        # No server listens at this address during replay.
        monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", "http://127.0.0.1:9")
        monkeypatch.syspath_prepend(str(self.root))
        self.write("taped_application.py", APPLICATION)
        self.write("test_app.py", HELLO)

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return path

    def run(self, *arguments: str) -> pytest.RunResult:
        return self.pytester.runpytest_inprocess("-p", "no:cacheprovider", *arguments)

    def record(self, *arguments: str, mode: str = "once") -> pytest.RunResult:
        return self.run("--evalkit-record", mode, "--evalkit-base-url", self.url, *arguments)

    def cassettes(self, folder: str = "cassettes") -> list[str]:
        top = self.root / folder
        return sorted(path.relative_to(top).as_posix() for path in top.rglob("*") if path.is_file())
