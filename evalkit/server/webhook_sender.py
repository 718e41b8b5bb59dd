"""Makes the deliveries a service hands out: POSTs to webhooks on this machine, in the background, a few times where they fail.

The one place of the script back end that opens connections, and only to loopback: what has a refusal is logged and left. Proxies of the
environment are not used and redirects not followed, for either could lead elsewhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from evalkit.server.api.deliveries import WebhookDelivery

WAITS = (0.05, 0.5, 2.0)
"""Seconds before each try. The first wait lets the answer that started the run reach its client before the end of the run does."""

_TIMEOUT = 10.0


class WebhookSender:
    """Delivers while its loop runs. ``log`` gets a line for each delivery: made, failed for good, or refused."""

    def __init__(self, log: Callable[[str], object]) -> None:
        self._log = log
        self._tasks: set[asyncio.Task[None]] = set()

    def send(self, deliveries: Sequence[WebhookDelivery], after: float = 0.0) -> None:
        """Deliver in the background, ``after`` so many seconds more."""
        for delivery in deliveries:
            if delivery.refusal:
                self._log(f"webhook {delivery.event} not delivered: {delivery.refusal}")
                continue
            task = asyncio.get_running_loop().create_task(self._deliver(delivery, after))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Give up what is not delivered yet."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _deliver(self, delivery: WebhookDelivery, after: float) -> None:
        import httpx  # a server without webhooks never needs it

        await asyncio.sleep(after)
        why = ""
        async with httpx.AsyncClient(
            trust_env=False, follow_redirects=False, timeout=_TIMEOUT
        ) as client:
            for wait in WAITS:
                await asyncio.sleep(wait)
                try:
                    response = await client.post(
                        delivery.uri, content=delivery.body, headers=dict(delivery.headers)
                    )
                except (
                    httpx.HTTPError,
                    httpx.InvalidURL,
                    ValueError,
                ) as error:  # ValueError: an address that cannot be encoded
                    why = type(error).__name__
                    continue
                if response.is_success:
                    self._log(f"webhook {delivery.event} delivered to {delivery.uri}")
                    return
                why = f"HTTP {response.status_code}"
        self._log(
            f"webhook {delivery.event} not delivered to {delivery.uri}: {why}, {len(WAITS)} times"
        )
