"""One server for every test of a module, and a way to call the service without HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from evalkit.server import load_script, serving
from evalkit.server.api.service import Service
from evalkit.server.calls import Call, Reply
from evalkit.server.scripting.script import Script


class Client:
    """A service called as a client would, without a socket. Answers are parsed; ``last`` is the whole reply, ``warnings`` what was let pass."""

    def __init__(self, script: Script, *, lenient: bool = False) -> None:
        self.warnings: list[str] = []
        self.service = Service(script, lenient=lenient, warn=self.warnings.append)
        self.last = Reply(0)

    def __call__(self, method: str, path: str, body: Any = None, **query: str) -> Any:
        raw = (
            body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        )
        self.last = self.service.handle(
            Call(method, path, query=query, headers={"x-goog-api-key": "any"}, body=raw)
        )
        return json.loads(self.last.body) if self.last.frames is None else list(self.last.frames)

    def create(self, text: Any = "Hello", **fields: Any) -> Any:
        target = {} if "agent" in fields or "model" in fields else {"model": "gemini-3.5-flash"}
        return self("POST", "/v1beta/interactions", {**target, "input": text, **fields})

    def get(self, id_: str, **query: str) -> Any:
        return self("GET", f"/v1beta/interactions/{id_}", **query)


@pytest.fixture(scope="session")
def shipped() -> Script:
    """The script that ships; a script is a value, so one will do for all."""
    return load_script()


@pytest.fixture
def client(shipped: Script) -> Client:
    """A client of a fresh service with the script that ships."""
    return Client(shipped)


@pytest.fixture
def lenient(shipped: Script) -> Client:
    """A client of a fresh, lenient service with the script that ships."""
    return Client(shipped, lenient=True)


@pytest.fixture
def scripted() -> Callable[[str], Client]:
    """Make a client of a fresh service from the text of a script's rules."""

    def make(rules: str) -> Client:
        return Client(
            Script.load(
                rules if rules.startswith("script:") else f"script: test\nrules:\n{rules}",
                "test.yaml",
            )
        )

    return make


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The base URL of a real server with the script that ships."""
    with serving() as base_url:
        yield base_url
