"""``simulator``: what is found in the messages of a model that plays the user."""

from __future__ import annotations

from typing import Any

import pytest

from evalkit.checks.core.base import View
from evalkit.conversation.simulator import INSTRUCTION
from evalkit.verdict import CheckResult, Verdict
from tests.checks.building import transcript
from tests.checks.examples import check_entry


def dialogue(*messages: str, end: str | None = "done") -> dict[str, Any]:
    turns: list[dict[str, Any]] = [
        {
            "user": message,
            "entry": 1,
            "simulated": {"user": {"goal": "x", "max_turns": len(messages)}, "exchange": number},
        }
        for number, message in enumerate(messages, 1)
    ]
    turns[-1]["simulated"]["end"] = end
    return {"turns": turns}


def check(source: Any, entry: Any = "simulator") -> CheckResult:
    return check_entry(entry, View(transcript(source), None))


@pytest.mark.parametrize(
    ("message", "why"),
    [
        ("As an AI, I do not own lamps.", 'it says that it is a machine ("As an AI")'),
        ("as a large language model I cannot", "it says that it is a machine"),
        ("Well, I'm just a language model.", "it says that it is a machine"),
        ("I’m an AI after all", "it says that it is a machine"),
        ("I am simulating a customer here.", "it says that it plays a part"),
        ("I was pretending to be angry.", "it says that it plays a part"),
        ("I'll be playing the role of a customer", "it says that it plays a part"),
        ("Let us end this simulation now.", "it says that it plays a part"),
        ("According to my persona I am angry", "it says that it plays a part"),
        ("My instructions say that I must complain.", "it says that it plays a part"),
        ("I cannot break character here.", "it says that it plays a part"),
        ("The simulated user wants a refund.", "it says that it plays a part"),
        ("Of course! How can I help you today?", "it speaks as the assistant"),
        ("I am happy to assist you with that.", "it speaks as the assistant"),
        ("Is there anything else I can help you with?", "it speaks as the assistant"),
        ("----- conversation 1 -----", "it shows its instructions"),
        (f"I was told: {INSTRUCTION[60:130]}", "it quotes its instructions"),
        (INSTRUCTION.upper(), "it "),
    ],
)
def test_a_message_that_leaves_its_role_is_found(message: str, why: str) -> None:
    result = check(dialogue("Where is my money?", message))
    assert result.verdict is Verdict.ERRORED
    (finding,) = result.findings
    assert finding.code == "simulator_left_role"
    assert finding.message.startswith(f"the simulated user left its role: {why}")
    assert (finding.where.turn, finding.got) == (2, message)


@pytest.mark.parametrize(
    "message",
    [
        "Am I talking to an AI? I want a human!",
        "I am not a bot, stop asking.",
        "As an AI that calls itself smart you should know.",
        "Are you a language model?",
        "I am an angry customer.",
        "Can you help me? How can you help me?",
        "I bought the game Life Simulator. The simulation game crashed.",
        "What are your instructions? Are you still there?",
        "You did not follow my instructions: this simulation of a pump still fails.",
        "That rude mail is out of character for my boss. Two rooms similar in character.",
        "You play a game with me. What you want is my money.",
        "",
        "😀 \u202e <script>alert(1)</script>",
    ],
)
def test_what_a_user_says_is_accepted(message: str) -> None:
    assert check(dialogue("Where is my money?", message)).findings == ()


@pytest.mark.parametrize(
    ("messages", "turns"),
    [
        (("Where is my money?", "Where is my money?"), [2]),
        (("Where is my money?", "where is my MONEY!!!"), [2]),
        (("Where is my refund now?", "Where is my refund then?"), []),
        (("I want my money back today", "No.", "I want my money back, today."), [3]),
        (("Yes, please.", "Yes, please.", "Yes, please."), []),
        (("a b c d " * 2000, "a b c d " * 2000), [2]),
    ],
)
def test_a_repeated_message_is_a_warning(messages: tuple[str, ...], turns: list[int]) -> None:
    result = check(dialogue(*messages))
    assert result.verdict is Verdict.PASSED
    found = [(finding.code, finding.severity, finding.where.turn) for finding in result.findings]
    assert found == [("simulator_repeated", "warn", turn) for turn in turns]


@pytest.mark.parametrize(
    ("entry", "verdict"),
    [
        ("simulator", Verdict.FAILED),
        ({"simulator": {"never_ended": "error"}}, Verdict.FAILED),
        ({"simulator": {"never_ended": "warn"}}, Verdict.PASSED),
        ({"simulator": {}, "severity": "warn"}, Verdict.PASSED),
        ({"not": "simulator"}, Verdict.PASSED),
    ],
)
def test_a_dialogue_without_an_end_fails_by_default(entry: Any, verdict: Verdict) -> None:
    assert check(dialogue("Hello you there", end="max_turns"), entry).verdict is verdict


def test_a_message_out_of_the_part_is_an_error_under_not_too() -> None:
    source = dialogue("As an AI, I am calm.")
    assert check(source, {"not": "simulator"}).verdict is Verdict.ERRORED
    assert check(source, {"simulator": {}, "severity": "warn"}).verdict is Verdict.PASSED


def test_dialogues_are_read_one_by_one() -> None:
    first, second = dialogue("Where is my money?"), dialogue("Where is my money?")
    second["turns"][0]["entry"] = 2
    assert check({"turns": [*first["turns"], *second["turns"]]}).findings == ()
    assert check({"turns": [{"user": "As an AI"}]}).verdict is Verdict.PASSED
