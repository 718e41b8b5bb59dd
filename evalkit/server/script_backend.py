"""The script back end: the sans-IO service behind the back ends' one method, and the delivery of what its webhooks are to be told.

Answering never awaits, so the service needs no lock.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from evalkit._lib.version import VERSION
from evalkit.server.api.service import Service
from evalkit.server.calls import Call, Reply
from evalkit.server.fault_injection.injector import FaultSelector
from evalkit.server.history_integrity import DEFAULT_KEY
from evalkit.server.scripting.script import Script
from evalkit.server.webhook_sender import WebhookSender


class ScriptBackend:
    """Serves a script. Who records from here has it in the cassette's metadata, and no such recording passes for the real service's.

    ``key``, ``api_key`` and ``lenient`` are the service's; ``log`` gets a line for each breach that was let pass and for each delivery;
    ``seed`` decides which requests the script's faults befall.
    """

    def __init__(
        self,
        script: Script,
        *,
        key: bytes = DEFAULT_KEY,
        api_key: str | None = None,
        lenient: bool = False,
        log: Callable[[str], object] = lambda line: None,
        seed: int = 0,
    ) -> None:
        self.title = f"the script '{script.title}'"
        self._service = Service(
            script,
            key=key,
            api_key=api_key,
            lenient=lenient,
            warn=lambda line: log(f"warning: {line}"),
            seed=seed,
        )
        self._dice = FaultSelector(seed)
        self._faults = script.faults
        self._courier = WebhookSender(log)
        self._signed = {"server": f"evalkit-serve/{VERSION} (script {script.name})"}

    async def handle(self, call: Call) -> Reply:
        """Answer by the script, or plainly."""
        throw = self._dice.throw(self._faults, call)
        reply = throw.onto(throw.instead() or self._service.handle(call))
        if deliveries := self._service.deliveries():
            self._courier.send(deliveries, after=reply.delay)
        return replace(reply, headers={**self._signed, **reply.headers})

    async def close(self) -> None:
        """Give up deliveries that were not made yet."""
        await self._courier.close()
