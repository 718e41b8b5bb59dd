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
    """Calls a service as a client would, without a socket.

    Bodies are parsed; ``last`` is the last reply, ``warnings`` the tolerated violations.
    """

    def __init__(self, script: Script, *, lenient: bool = False, strict: bool = False) -> None:
        self.warnings: list[str] = []
        self.service = Service(script, lenient=lenient, strict=strict, warn=self.warnings.append)
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
def default_script() -> Script:
    """The included script; a script is a value, so all tests share one."""
    return load_script()


@pytest.fixture
def client(default_script: Script) -> Client:
    """A client of a new service with the included script."""
    return Client(default_script)


@pytest.fixture
def lenient(default_script: Script) -> Client:
    """A client of a new, lenient service with the included script."""
    return Client(default_script, lenient=True)


@pytest.fixture
def strict(default_script: Script) -> Client:
    """A client of a new, strict service with the included script."""
    return Client(default_script, strict=True)


@pytest.fixture
def scripted() -> Callable[..., Client]:
    """Return a client of a new service by the text of a script's rules."""

    def make(rules: str, *, strict: bool = False) -> Client:
        return Client(
            Script.load(
                rules if rules.startswith("script:") else f"script: test\nrules:\n{rules}",
                "test.yaml",
            ),
            strict=strict,
        )

    return make


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The base URL of a real server with the included script."""
    with serving() as base_url:
        yield base_url
