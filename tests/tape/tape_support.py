"""Helpers for tests of tapes: request bodies, and a server with scripted rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from evalkit.server import Script, create_app, serving
from evalkit.server.script_backend import ScriptBackend
from evalkit.taping.tapes import Tape

MODEL = "gemini-3.5-flash"
DOGS, PAWS = "I have 2 dogs in my house.", "How many paws are in my house?"
MakeTape = Callable[..., Tape]


@contextmanager
def serving_rules(rules: str, *, strict: bool = False) -> Iterator[str]:
    """Serve a script's rules; after the block no server listens at the address."""
    script = Script.load(f"script: tape\nrules:\n{rules}", "tape.yaml")
    with serving(create_app(ScriptBackend(script, strict=strict))) as url:
        yield url


def create(message: Any, **fields: Any) -> dict[str, Any]:
    """Return the body of a create request."""
    return {"model": MODEL, "input": message, **fields}
