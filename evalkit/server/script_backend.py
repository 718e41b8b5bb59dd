"""The script back end: the service without IO, and the sender of its webhooks.

Handling a call never awaits, so the service needs no lock.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

import httpx

from evalkit._lib.version import VERSION
from evalkit.server.api.service import Service
from evalkit.server.api.webhooks import WebhookDelivery
from evalkit.server.calls import Call, Reply
from evalkit.server.fault_injection.plans import FaultSelector
from evalkit.server.history_seals import DEFAULT_KEY
from evalkit.server.scripting.script import Script

# Seconds before each try. The first wait lets a client receive the response that started a run
# before it is notified of the run's end.
_WAITS = (0.05, 0.5, 2.0)
_TIMEOUT = 10.0


class ScriptBackend:
    """Serves a script.

    ``key``, ``api_key``, ``lenient`` and ``strict`` are options of the service; ``log`` gets a line
    for each tolerated violation and each webhook delivery; ``seed`` decides which requests get the
    script's faults. The ``server`` header names evalkit, so that recordings from here are not
    mistaken for recordings of the real service.
    """

    def __init__(
        self,
        script: Script,
        *,
        key: bytes = DEFAULT_KEY,
        api_key: str | None = None,
        lenient: bool = False,
        strict: bool = False,
        log: Callable[[str], object] = lambda line: None,
        seed: int = 0,
    ) -> None:
        self.title = f"the script '{script.title}'"
        self._service = Service(
            script,
            key=key,
            api_key=api_key,
            lenient=lenient,
            strict=strict,
            warn=lambda line: log(f"warning: {line}"),
            seed=seed,
        )
        self._selector = FaultSelector(seed)
        self._faults = script.faults
        self._sender = WebhookSender(log)
        self._headers = {"server": f"evalkit-serve/{VERSION} (script {script.name})"}

    async def handle(self, call: Call) -> Reply:
        """Reply by the script's rules, or by default."""
        faults = self._selector.for_call(self._faults, call)
        reply = faults.apply(faults.replacement() or self._service.handle(call))
        if deliveries := self._service.deliveries():
            self._sender.send(deliveries, after=reply.delay)
        return replace(reply, headers={**self._headers, **reply.headers})

    async def close(self) -> None:
        """Cancel the deliveries that are still due."""
        await self._sender.close()


class WebhookSender:
    """Sends webhook deliveries in the background, to loopback addresses only.

    A delivery that fails is retried after each of ``waits``. ``log`` gets a line for each delivery:
    sent, given up, or refused. Proxies of the environment are ignored and redirects are not
    followed, because either could lead away from this machine.
    """

    def __init__(self, log: Callable[[str], object], waits: Sequence[float] = _WAITS) -> None:
        self._log = log
        self._waits = waits
        self._tasks: set[asyncio.Task[None]] = set()

    def send(self, deliveries: Sequence[WebhookDelivery], after: float = 0.0) -> None:
        """Start to deliver in ``after`` seconds."""
        for delivery in deliveries:
            if delivery.refusal:
                self._log(f"webhook {delivery.event} not delivered: {delivery.refusal}")
                continue
            task = asyncio.get_running_loop().create_task(self._deliver(delivery, after))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Cancel the deliveries that are still due."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _deliver(self, delivery: WebhookDelivery, after: float) -> None:
        await asyncio.sleep(after)
        failure = ""
        async with httpx.AsyncClient(
            trust_env=False, follow_redirects=False, timeout=_TIMEOUT
        ) as client:
            for wait in self._waits:
                await asyncio.sleep(wait)
                try:
                    response = await client.post(
                        delivery.uri, content=delivery.body, headers=dict(delivery.headers)
                    )
                # httpx raises ValueError for a host name that cannot be encoded.
                except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
                    failure = type(error).__name__
                    continue
                if response.is_success:
                    self._log(f"webhook {delivery.event} delivered to {delivery.uri}")
                    return
                failure = f"HTTP {response.status_code}"
        self._log(
            f"webhook {delivery.event} not delivered to {delivery.uri}: "
            f"{failure}, {len(self._waits)} times"
        )
