"""agno over the Interactions API: its model class GeminiInteractions."""

import base64
import json
import os

from agno.agent import Agent
from agno.db.in_memory import InMemoryDb
from agno.media import Image
from agno.models.google import GeminiInteractions
from agno.tools import tool
from shared import AGENT, MODEL, PNG, Recipe, get_current_temperature, report


@tool(name="get_current_temperature")
def temperature_as_text(location: str) -> str:
    """Gets the current temperature for a given location."""
    return json.dumps(get_current_temperature(location))


TOOLS = {"tools": [temperature_as_text]}


def helper(of_model=None, **settings) -> Agent:
    model = GeminiInteractions(id=MODEL, api_key=os.environ["GEMINI_API_KEY"], **(of_model or {}))
    return Agent(model=model, telemetry=False, **settings)


def answer(agent: Agent, prompt: str, **settings) -> str:
    run = agent.run(prompt, **settings)
    if run.status != "COMPLETED":
        raise RuntimeError(run.content)
    content = run.content
    return content if isinstance(content, str) else content.model_dump_json()


def streamed(agent: Agent, prompt: str) -> str:
    events = agent.run(prompt, stream=True)
    return "".join(event.content or "" for event in events if event.event == "RunContent")


def two_turns(first: str, second: str, **of_model) -> str:
    chat = helper(of_model, db=InMemoryDb(), add_history_to_context=True, session_id="chat")
    answer(chat, first)
    return answer(chat, second)


DOGS = ("I have 2 dogs in my house.", "How many paws are in my house?")
report(
    {
        "plain": lambda: answer(helper(), "Explain how AI works in a few words"),
        "stream": lambda: streamed(helper(), "Explain how AI works"),
        "tools": lambda: answer(helper(**TOOLS), "What is the temperature in London?"),
        "tools streamed": lambda: streamed(helper(**TOOLS), "What is the temperature in Paris?"),
        # With store=False agno re-sends calls without their thoughts, which the service refuses.
        "tools parallel": lambda: answer(
            helper(**TOOLS), "What are the temperatures in London and Paris?"
        ),
        "second turn": lambda: two_turns(*DOGS),
        "second turn stateless": lambda: two_turns(*DOGS, store=False),
        "structured": lambda: answer(
            helper(output_schema=Recipe), "Give me a recipe for banana bread"
        ),
        "media": lambda: answer(
            helper(),
            "What is in this picture?",
            images=[Image(content=base64.b64decode(PNG), mime_type="image/png")],
        ),
        "search": lambda: answer(helper({"search": True}), "Who won the euro 2024?"),
        "agent": lambda: two_turns(
            "Clear the folder.",
            "Write the first 20 Fibonacci numbers to fibonacci.txt.",
            agent=AGENT,
            environment="remote",
        ),
        "background": lambda: answer(
            helper({"agent": "deep-research-preview-04-2026", "agent_poll_interval": 0.01}),
            "Describe the impact of artificial intelligence on modern healthcare.",
        ),
    }
)
