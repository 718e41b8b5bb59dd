"""The requests printed in docs/conversation.md are those the engine sends, key order included."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.conversation.scripted import World, call, plan, says, text, thought

PAGE = Path(__file__).parents[2] / "docs" / "conversation.md"
TOOLS = [{"type": "function", "name": "get_current_temperature"}]


def test_engine_sends_the_requests_printed_on_the_page() -> None:
    printed = [
        json.loads(block)
        for block in re.findall(r"```json\n(.*?)\n```", PAGE.read_text("utf-8"), re.DOTALL)
    ]
    requests = []
    for history in ("stateful", "stateless"):
        asks = says(
            thought(),
            call("get_current_temperature", location="London"),
            status="requires_action",
            id="v1_a",
        )
        world = World(
            [asks, says(text("22 °C."), id="v1_b"), says(text("21 °C."))],
            {"get_current_temperature": {"temperature": "22"}},
        )
        world.run(
            plan(
                "What is the temperature in London?",
                "And tomorrow?",
                history=history,
                fields={"tools": TOOLS},
            )
        )
        requests += world.bodies if history == "stateful" else world.bodies[2:]
    assert [json.dumps(body) for body in printed] == [json.dumps(body) for body in requests]
