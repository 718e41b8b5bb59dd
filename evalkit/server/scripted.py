"""The script back end: the sans-IO service behind the back ends' one method. It never awaits, so the service needs no lock."""

from __future__ import annotations

from dataclasses import replace

from evalkit._lib.version import VERSION
from evalkit.server.calls import Call, Reply
from evalkit.server.script import Script
from evalkit.server.service import Service
from evalkit.server.signatures import DEFAULT_KEY


class Scripted:
    """Serves a script. Who records from here has it in the cassette's metadata, and no such recording passes for the real service's."""

    def __init__(self, script: Script, *, key: bytes = DEFAULT_KEY) -> None:
        self.title = f"the script '{script.title}'"
        self._service = Service(script, key=key)
        self._signed = {"server": f"evalkit-serve/{VERSION} (script {script.name})"}

    async def answer(self, call: Call) -> Reply:
        """Answer by the script, or plainly."""
        reply = self._service.handle(call)
        return replace(reply, headers={**self._signed, **reply.headers})

    async def close(self) -> None:
        """Nothing is held open."""
