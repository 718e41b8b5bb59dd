"""Samples of long logs of API traffic: conversations are told apart in one number per exchange."""

from __future__ import annotations

import gzip
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from evalkit._lib.limits import set_limits
from evalkit.errors import UsageError
from evalkit.importing.log_selection import LogImport, read_logs
from evalkit.importing.traces.selection import Selection
from tests.importing.traffic import (
    TOOL,
    call,
    exchange,
    interaction,
    result,
    run_import,
    scenarios,
    text,
    user,
)

pytestmark = pytest.mark.usefixtures("here")
MODELS = ("gemini-3.5-flash",) * 4 + ("gemini-3.5-pro",)


def stateful(number: int) -> list[dict[str, Any]]:
    """Three exchanges that name the interaction before; the second one is polled."""
    ids = [f"v1_{number}_{index}" for index in range(3)]
    fields = {"model": MODELS[number % 5], "labels": {"team": f"t{number % 3}"}}
    return [
        exchange({**fields, "input": "Hi"}, interaction(text("Hello"), id_=ids[0])),
        exchange(
            {**fields, "input": f"Order {number}?", "previous_interaction_id": ids[0]},
            interaction(text(f"It is number {number}."), id_=ids[1]),
        ),
        exchange(
            {**fields, "input": "Thanks", "previous_interaction_id": ids[1]},
            interaction(text("You are welcome."), id_=ids[2]),
        ),
    ]


def stateless(number: int) -> list[dict[str, Any]]:
    """Three exchanges that re-send the history; the second one answers a call."""
    fields = {"model": MODELS[number % 5], "store": False, "tools": [TOOL]}
    history = [user(f"Where is order {number}?")]
    exchanges = []
    for answer, following in (
        (call(number=number), [result()]),
        (text("It was sent."), [user("Thanks")]),
        (text("You are welcome."), []),
    ):
        body = {**fields, "input": list(history)}
        exchanges.append(exchange(body, {**interaction(answer), "id": None}))
        history += [answer, *following]
    return exchanges


def write(conversations: list[list[dict[str, Any]]], name: str = "log.jsonl") -> Path:
    """Write conversations whose lines are interleaved at random, each in its order."""
    chance = random.Random(name)
    waiting = [list(one) for one in conversations]
    lines = []
    while waiting:
        one = chance.choice(waiting)
        lines.append(json.dumps(one.pop(0)))
        waiting = [left for left in waiting if left]
    Path(name).write_text("\n".join(lines))
    return Path(name)


def bodies(found: LogImport) -> list[dict[str, Any]]:
    return [
        json.loads(one.request_body or "{}")
        for recordings in found.recordings.values()
        for one in recordings
    ]


def test_every_exchange_of_a_chosen_conversation_is_read() -> None:
    log = write([make(number) for number in range(30) for make in (stateful, stateless)])
    found = read_logs([log], Selection(size=20))
    assert (found.conversations, found.lines) == (20, 180)
    assert len(bodies(found)) == 60
    numbers = Counter(
        json.dumps(body["input"]).partition("order ")[2][:2] for body in bodies(found)
    )
    assert all(count % 3 == 0 for name, count in numbers.items() if name)
    again = write([make(number) for make in (stateless, stateful) for number in range(30)], "b.log")
    assert sorted(map(json.dumps, bodies(read_logs([again], Selection(size=20))))) == sorted(
        map(json.dumps, bodies(found))
    )
    assert read_logs([log], Selection(size=1000)).conversations == 60


def test_a_sample_is_spread_over_models_and_labels() -> None:
    log = write([stateful(number) for number in range(60)])
    found = read_logs([log], Selection(size=20, by="model"))
    assert Counter(body["model"] for body in bodies(found)) == {
        "gemini-3.5-flash": 30,
        "gemini-3.5-pro": 30,
    }
    found = read_logs([log], Selection(size=6, by="labels.team"))
    assert Counter(body["labels"]["team"] for body in bodies(found)) == dict.fromkeys(
        ("t0", "t1", "t2"), 6
    )


def test_a_filter_chooses_whole_conversations() -> None:
    log = write([stateful(number) for number in range(10)])
    found = read_logs([log], Selection(expression="input == 'Order 7?' && status == `200`"))
    assert [body["input"] for body in bodies(found)] == ["Hi", "Order 7?", "Thanks"]
    with pytest.raises(UsageError, match="--filter: no call fits"):
        read_logs([log], Selection(expression="input == 'Order 77?'"))
    with pytest.raises(UsageError, match=r"--by: no call has the field 'modell' \(did you mean"):
        read_logs([log], Selection(size=1, by="modell"))


def test_polls_belong_to_the_conversation_that_they_poll() -> None:
    running = interaction(id_="v1_x", status="in_progress")
    done = interaction(text("Done"), id_="v1_x")
    polled = [
        exchange({"input": "Begin", "background": True}, running),
        exchange(None, running, method="GET", path="/v1_x"),
        exchange(None, done, method="GET", path="/v1_x?include_input=true"),
    ]
    log = write([polled, *(stateful(number) for number in range(5))])
    found = read_logs([log], Selection(expression="background"))
    assert [one.method for one in found.recordings["log.jsonl"]] == ["POST", "GET", "GET"]


def test_what_cannot_be_read_is_left_out_and_the_rest_is_imported() -> None:
    good = [json.dumps(one) for one in stateful(1)]
    lines = [good[0], "{broken", json.dumps({"a": 1}), "[" * 5000, *good[1:]]
    Path("log.jsonl.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    outcome = run_import("log.jsonl.gz", "--sample", "5")
    assert outcome.exit_code == 0, outcome.output
    assert "logs: 1 conversation of 4 lines" in outcome.output
    for place in ("log.jsonl.gz:2: not JSON", "log.jsonl.gz:3 is not an exchange", "gz:4: not"):
        assert place in outcome.output


def test_a_conversation_without_end_is_cut() -> None:
    first, *_ = stateful(1)
    following = exchange(
        {"input": "More", "previous_interaction_id": "v1_1_0"},
        interaction(text("More"), id_="v1_1_0"),
    )
    log = write([[first, *[following] * 1100]])
    found = read_logs([log], Selection(size=1))
    assert len(bodies(found)) == 1000
    assert found.problems.count == 101
    assert "more than 1,000 exchanges" in found.problems.messages[0]


def test_a_long_line_is_left_out() -> None:
    long = exchange({"input": "x" * 2000}, interaction(text("Hello")))
    log = write([stateful(1), [long]])
    set_limits(["line=1KB"])
    try:
        found = read_logs([log], Selection(size=9))
    finally:
        set_limits([])
    assert found.conversations == 1
    assert "the line is too large" in found.problems.messages[0]


def test_a_sampled_log_replays() -> None:
    write([make(number) for number in range(6) for make in (stateful, stateless)])
    outcome = run_import("log.jsonl", "--sample", "4", "--by", "model")
    assert outcome.exit_code == 0, outcome.output
    assert "logs: 4 conversations of 36 lines" in outcome.output
    assert len(scenarios()) == 4


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("tape.yaml", "version: 1\ninteractions: []\n", "has neither traces nor a log of traffic"),
        ("empty.jsonl", "", "no conversation: the files contain no request"),
    ],
)
def test_files_that_cannot_be_sampled(name: str, content: str, message: str) -> None:
    Path(name).write_text(content)
    outcome = run_import(name, "--sample", "2")
    assert outcome.exit_code == 2
    assert message in " ".join(outcome.output.split())
