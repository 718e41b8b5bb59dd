"""Conversations held over HTTP as official SDKs hold them, and what the proxy's cassettes say of them."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx

from evalkit._lib.json import JSON, canonical, loads
from evalkit.cassette.loader import load_cassette
from evalkit.cassette.recording import Recording
from evalkit.checks.core.base import View
from evalkit.checks.history.check import History
from evalkit.conversation.reconstruct import transcript_of
from evalkit.conversation.response_reader import read_response
from evalkit.transcript import Exchange, Request, Response

PATH = "/v1beta/interactions"
KEY = {"x-goog-api-key": "a-key-nobody-may-see"}
TOOL = {
    "type": "function",
    "name": "get_weather",
    "description": "Gets the weather",
    "parameters": {
        "type": "object",
        "properties": {"location": {"type": "string"}},
        "required": ["location"],
    },
}


@dataclass
class Talk:
    """One conversation: its texts, how it keeps history; ``sent`` are the bodies of its requests."""

    texts: list[str]
    stateless: bool = False
    streamed: bool = True
    tools: bool = False
    sent: list[JSON] = field(default_factory=list)

    async def hold(self, client: httpx.AsyncClient) -> None:
        history: list[JSON] = []
        previous: str | None = None
        for text in self.texts:
            user = {"type": "user_input", "content": [{"type": "text", "text": text}]}
            history.append(user)
            new: JSON = text
            while new:
                body: dict[str, JSON] = {"model": "gemini-3.5-flash", "stream": self.streamed}
                if self.tools:
                    body["tools"] = [TOOL]
                if self.stateless:
                    body |= {"store": False, "input": list(history)}
                else:
                    body |= {"input": new, "previous_interaction_id": previous}
                got = await self._ask(client, body)
                previous = got.get("id")
                results: list[JSON] = []
                for step in got["steps"]:
                    history.append(step)
                    if step["type"] == "function_call":
                        results.append(
                            {
                                "type": "function_result",
                                "call_id": step["id"],
                                "name": step["name"],
                                "result": {"degrees": 22},
                            }
                        )
                        history.append(results[-1])
                new = results

    async def _ask(self, client: httpx.AsyncClient, body: JSON) -> dict[str, JSON]:
        self.sent.append(body)
        async with client.stream("POST", PATH, json=body, headers=KEY) as answer:
            assert answer.status_code == 200, await answer.aread()
            chunks = [chunk async for chunk in answer.aiter_text()]
            exchange = Exchange(1, 1, Request("POST", PATH, body))
            read_response(exchange, Response(200, dict(answer.headers), "".join(chunks)))
        assert exchange.interaction is not None, exchange
        assert exchange.failure is None
        return exchange.interaction


async def hold_all(url: str, talks: list[Talk]) -> None:
    """Hold conversations, all at once."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    async with httpx.AsyncClient(base_url=url, timeout=120, limits=limits) as client:
        await asyncio.gather(*(talk.hold(client) for talk in talks))


def hold(url: str, *talks: Talk) -> None:
    """Hold conversations, one after the other."""

    async def held() -> None:
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            for talk in talks:
                await talk.hold(client)

    asyncio.run(held())


def cassettes(folder: Path) -> dict[str, list[Recording]]:
    """Return the recordings of a folder's cassettes, by file name; of two that share one, the second has its folder before it."""
    found = {}
    for path in sorted(folder.rglob("*.yaml")):
        cassette = load_cassette(path)
        assert cassette is not None
        found[path.name if path.name not in found else f"{path.parent.name}/{path.name}"] = (
            cassette.recordings
        )
    return found


def bodies(recordings: list[Recording]) -> list[str]:
    """Return the requests of a cassette, as canonical JSON."""
    return [
        canonical(loads(recording.request_body))
        for recording in recordings
        if recording.request_body
    ]


def without_times(recordings: list[Recording]) -> list[Recording]:
    """Return recordings without what differs from proxy to proxy: times, and the address that was asked."""
    return [
        replace(
            one,
            uri=re.sub(r"^http://[^/]+", "http://service", one.uri),
            elapsed_ms=None,
            event_ms=(0.0,) * len(one.event_ms),
        )
        for one in recordings
    ]


def check_history(folder: Path) -> None:
    """Check that every cassette, read alone, is a whole and faithful conversation."""
    for path in sorted(folder.rglob("*.yaml")):
        cassette = load_cassette(path)
        assert cassette is not None
        transcript = transcript_of(cassette)
        assert [turn.outcome for turn in transcript.turns] == ["completed"] * len(
            transcript.turns
        ), path.name
        assert list(History(level="exact").run(View(transcript))) == [], path.name
