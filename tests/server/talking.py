"""Conversations over HTTP like those of the official SDKs, and helpers that read cassettes."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx

from evalkit._lib.json import JSON, canonical, loads
from evalkit.cassette.files import load_cassette
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


def message(body: JSON) -> str:
    """Return the message of an error."""
    return str(body["error"]["message"])


@dataclass
class Talk:
    """One conversation: its texts and settings; ``sent`` are the bodies of its requests."""

    texts: list[str]
    stateless: bool = False
    streamed: bool = True
    tools: bool = False
    sent: list[JSON] = field(default_factory=list)

    async def run(self, client: httpx.AsyncClient) -> None:
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
                interaction = await self._send(client, body)
                previous = interaction.get("id")
                results: list[JSON] = []
                for step in interaction["steps"]:
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

    async def _send(self, client: httpx.AsyncClient, body: JSON) -> dict[str, JSON]:
        self.sent.append(body)
        async with client.stream("POST", PATH, json=body, headers=KEY) as response:
            assert response.status_code == 200, await response.aread()
            chunks = [chunk async for chunk in response.aiter_text()]
            exchange = Exchange(1, 1, Request("POST", PATH, body))
            read_response(exchange, Response(200, dict(response.headers), "".join(chunks)))
        assert exchange.interaction is not None, exchange
        assert exchange.failure is None
        return exchange.interaction


async def run_all(url: str, talks: list[Talk]) -> None:
    """Run conversations in parallel."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    async with httpx.AsyncClient(base_url=url, timeout=120, limits=limits) as client:
        await asyncio.gather(*(talk.run(client) for talk in talks))


def run_talks(url: str, *talks: Talk) -> None:
    """Run conversations one after the other."""

    async def run() -> None:
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            for talk in talks:
                await talk.run(client)

    asyncio.run(run())


def cassettes(folder: Path) -> dict[str, list[Recording]]:
    """Return the recordings below a folder by file name, with the folder if the name is taken."""
    recordings = {}
    for path in sorted(folder.rglob("*.yaml")):
        cassette = load_cassette(path)
        assert cassette is not None
        recordings[
            path.name if path.name not in recordings else f"{path.parent.name}/{path.name}"
        ] = cassette.recordings
    return recordings


def bodies(recordings: list[Recording]) -> list[str]:
    """Return the requests of a cassette, as canonical JSON."""
    return [
        canonical(loads(recording.request_body))
        for recording in recordings
        if recording.request_body
    ]


def without_times(recordings: list[Recording]) -> list[Recording]:
    """Return recordings without times and hosts, which differ from proxy to proxy."""
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
    """Check that every cassette is a complete conversation with a correct history."""
    for path in sorted(folder.rglob("*.yaml")):
        cassette = load_cassette(path)
        assert cassette is not None
        transcript = transcript_of(cassette)
        assert [turn.outcome for turn in transcript.turns] == ["completed"] * len(
            transcript.turns
        ), path.name
        assert list(History(level="exact").run(View(transcript))) == [], path.name
