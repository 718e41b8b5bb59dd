"""Google's Agent Development Kit for Python over the Interactions API."""

import asyncio
import base64

from google.adk.agents import Agent, ManagedAgent
from google.adk.agents.run_config import RunConfig, StreamingMode
from google.adk.models import Gemini
from google.adk.runners import InMemoryRunner
from google.adk.tools import google_search
from google.genai.types import Part, UserContent
from shared import AGENT, MODEL, PNG, Recipe, get_current_temperature, report

GEMINI = Gemini(model=MODEL, use_interactions_api=True)
PICTURE = Part.from_bytes(data=base64.b64decode(PNG), mime_type="image/png")
TOOLS = {"tools": [get_current_temperature]}


def helper(**settings) -> Agent:
    return Agent(name="helper", model=GEMINI, **settings)


async def converse(agent, *prompts, stream: bool = False) -> str:
    """Run one conversation with an agent; return its last answer."""
    mode = StreamingMode.SSE if stream else StreamingMode.NONE
    runner = InMemoryRunner(agent=agent, app_name="clients")
    session = await runner.session_service.create_session(app_name="clients", user_id="me")
    answer, partial = "", ""
    for prompt in prompts:
        async for event in runner.run_async(
            user_id="me",
            session_id=session.id,
            new_message=UserContent(prompt),
            run_config=RunConfig(streaming_mode=mode),
        ):
            if event.error_code:
                raise RuntimeError(f"{event.error_code}: {event.error_message}")
            parts = (event.content and event.content.parts) or []
            text = "".join(part.text or "" for part in parts if not part.thought)
            if event.partial:
                partial += text
            elif text:
                answer = text
    await runner.close()
    if stream and answer not in partial:
        raise RuntimeError(f"streamed {partial!r}, but the answer is {answer!r}")
    return answer


loop = asyncio.Runner()  # the client of an agent's model stays in one event loop


def conversation(agent, *prompts, **settings):
    return lambda: loop.run(converse(agent, *prompts, **settings))


report(
    {
        "plain": conversation(helper(), "Explain how AI works in a few words"),
        "stream": conversation(helper(), "Explain how AI works", stream=True),
        "tools": conversation(helper(**TOOLS), "What is the temperature in London?"),
        "tools streamed": conversation(
            helper(**TOOLS), "What is the temperature in Paris?", stream=True
        ),
        "tools parallel": conversation(
            helper(**TOOLS), "What are the temperatures in London and Paris?"
        ),
        "second turn": conversation(
            helper(), "I have 2 dogs in my house.", "How many paws are in my house?"
        ),
        "structured": conversation(
            helper(output_schema=Recipe), "Give me a recipe for banana bread"
        ),
        "media": conversation(helper(), ["What is in this picture?", PICTURE]),
        "search": conversation(helper(tools=[google_search]), "Who won the euro 2024?"),
        "agent": conversation(
            ManagedAgent(name="worker", agent_id=AGENT, environment={"type": "remote"}),
            "Clear the folder.",
            "Write the first 20 Fibonacci numbers to fibonacci.txt.",
            stream=True,
        ),
    }
)
loop.close()
