"""The streaming agent, on tape: the order of events, what they assemble to, and the call in between."""

from __future__ import annotations

import asyncio

from google import genai
from streaming_agent import StreamingAgent


async def ask(question: str) -> list[str]:
    client = genai.Client()
    pieces = [piece async for piece in StreamingAgent(client).ask(question)]
    await client.aio.aclose()
    return pieces


def test_it_streams_and_calls_its_tool(evalkit_tape):
    pieces = asyncio.run(ask("What is the temperature in London?"))
    assert len(pieces) > 1

    evalkit_tape.expect(
        "stream",
        steps="thought* function_call function_result thought* model_output",
        text={"equals": "".join(pieces)},
    )
