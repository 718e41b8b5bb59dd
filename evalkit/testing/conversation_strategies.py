"""Strategies for whole conversations with a fake service: plans, results of tools, transcripts."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from evalkit._lib.json import JSON
from evalkit.conversation import Plan, ToolResult, converse, drive
from evalkit.testing.fake_service import BEHAVIORS, FakeService
from evalkit.testing.strategies import Draw, contents, json_values
from evalkit.transcript import Transcript


@dataclass(frozen=True)
class FixedTurn:
    """A turn with fixed content."""

    message: str | list[dict[str, JSON]]

    def content(self, context: Mapping[str, Any]) -> str | list[dict[str, JSON]]:
        """Return the content."""
        return self.message


_TOOLS: list[dict[str, JSON]] = [
    {"type": "function", "name": "get_current_temperature", "parameters": {"type": "object"}},
    {"type": "function", "name": "set_light"},
    {"type": "google_search"},
]


@st.composite
def plans(draw: DrawFn, *, min_turns: int = 1, max_turns: int = 3) -> Plan:
    """Plans with all combinations of settings that the engine knows, with and without tools."""
    fields: dict[str, JSON] = draw(
        st.just({"model": "gemini-3.5-flash"})
        | st.just({"agent": "antigravity-preview-05-2026", "environment": "remote"})
    )
    extra = st.fixed_dictionaries(
        {},
        optional={
            "system_instruction": st.just("Be short."),
            "tools": st.just(_TOOLS),
            "generation_config": st.just({"seed": 7}),
            "response_format": st.just({"type": "text", "mime_type": "application/json"}),
        },
    )
    blocks = st.lists(contents(unknown=False), min_size=1, max_size=2)
    turns = draw(
        st.lists(
            (st.text(max_size=12) | blocks).map(FixedTurn), min_size=min_turns, max_size=max_turns
        )
    )
    return Plan(
        fields={**fields, **draw(extra)},
        turns=turns,
        history=draw(st.sampled_from(("stateful", "stateless"))),
        stream=draw(st.booleans()),
        background=draw(st.sampled_from((False, False, False, True))),
        max_tool_rounds=draw(st.sampled_from((4, 2, 1, 0))),
        max_hops=4,
        max_polls=6,
    )


def tool_results() -> SearchStrategy[ToolResult]:
    """Results of functions: JSON, text, content blocks, errors; some of undeclared functions."""
    results = (
        json_values()
        | st.text(max_size=12)
        | st.lists(contents(unknown=False), min_size=1, max_size=2)
    )
    return st.builds(ToolResult, results, st.booleans(), st.sampled_from((True, True, True, False)))


def run_conversation(plan: Plan, service: FakeService, draw: Draw) -> Transcript:
    """Run a plan's conversation with a service and random tool results."""
    return drive(
        converse(plan),
        send=service,
        call_tool=lambda call: draw(_TOOL_RESULTS),
        pause=lambda seconds: None,
        end_turn=lambda turn: True,
    )


_TOOL_RESULTS = tool_results()


@st.composite
def transcripts(
    draw: DrawFn,
    plans: SearchStrategy[Plan] | None = None,
    behaviors: Collection[str] = tuple(BEHAVIORS),
) -> Transcript:
    """Transcripts of conversations with a :class:`FakeService`."""
    plan = draw(_PLANS if plans is None else plans)
    return run_conversation(plan, FakeService(draw, behaviors), draw)


_PLANS = plans()
