"""``target:``: an application's function runs the turns of a suite, recorded and replayed."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evalkit.plugins import Catalog
from evalkit.server import serving
from evalkit.session import Runner, Settings
from evalkit.suite import expand, load
from evalkit.taping.target_runner import run_target

APPLICATION = """
import asyncio, json, re
import httpx

def _say(context, message, **fields):
    body = {"model": context.model or "gemini-3.5-flash", "input": message, **fields}
    answer = httpx.post(context.base_url + "/v1beta/interactions", json=body, headers={"x-goog-api-key": context.api_key})
    answer.raise_for_status()
    return answer.json()

def stateful(message, context):
    before = context.state.get("id")
    got = _say(context, message, **({"previous_interaction_id": before} if before else {}))
    context.state["id"] = got["id"]
    return "what is returned is not judged"

def stateless(message, context):
    history = context.state.setdefault("history", [])
    history.append({"type": "user_input", "content": [{"type": "text", "text": message}]})
    while True:
        got = _say(context, history, store=False, tools=context.fields.get("tools", []))
        calls = []
        for step in got["steps"]:
            history.append(step)
            if step["type"] == "function_call":
                calls.append(step)
                result_text = json.dumps({"location": step["arguments"]["location"], "temperature": "22", "unit": "celsius"})
                result = {"type": "function_result", "name": step["name"], "call_id": step["id"]}
                history.append({**result, "result": [{"type": "text", "text": result_text}]})
        if not calls:
            return

def forgetful(message, context):
    history = context.state.setdefault("history", [])
    history.append({"type": "user_input", "content": [{"type": "text", "text": message}]})
    got = _say(context, history, store=False)
    history += [step for step in got["steps"] if step["type"] != "thought"]

def forgets_the_id(message, context):
    _say(context, message)

async def asynchronous(message, context):
    if "client" not in context.state:
        context.state["client"] = httpx.AsyncClient(headers={"x-goog-api-key": context.api_key})
        context.state["loop"] = asyncio.get_running_loop()
    assert context.state["loop"] is asyncio.get_running_loop()
    body = {"model": "gemini-3.5-flash", "input": message, "stream": True, **context.state.get("more", {})}
    answer = await context.state["client"].post(context.base_url + "/v1beta/interactions", json=body)
    answer.raise_for_status()
    context.state["more"] = {"previous_interaction_id": re.search(r'"id": ?"(v1_[^"]+)', answer.text)[1]}
    if context.turn == 2:
        await context.state["client"].aclose()

def from_environment(message, context):
    import os
    assert os.environ["GOOGLE_GEMINI_BASE_URL"] == context.base_url
    headers = {"x-goog-api-key": os.environ["GEMINI_API_KEY"]}
    body = {"model": "gemini-3.5-flash", "input": message}
    httpx.post(os.environ["GOOGLE_GEMINI_BASE_URL"] + "/v1beta/interactions", json=body, headers=headers)

def swallows(message, context):
    try:
        _say(context, message + " " + context.state.get("more", "please"))
    except Exception:
        pass

def says_more(message, context):
    _say(context, message + " and more")

def blocks(message, context):
    assert [block["type"] for block in message] == ["text", "image"]
    _say(context, message)

def breaks(message, context):
    raise RuntimeError("the application broke")

def silent(message, context):
    return message

def refused(message, context):
    _say(context, message, previous_interaction_id="v1_unknown")

def loops(message, context):
    for number in range(5):
        try:
            _say(context, f"{message} {number}")
        except Exception:
            pass

number = 7
"""
Run = Callable[..., dict[str, Any]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.delitem(
        sys.modules, "target_application", raising=False
    )  # each test has its own project
    (tmp_path / "target_application.py").write_text(APPLICATION)
    monkeypatch.chdir(tmp_path)

    def go(
        scenario: str, *, url: str = "http://127.0.0.1:9", mode: str = "none", live: bool = False
    ) -> dict[str, Any]:
        path = tmp_path / "suites" / "s.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(
            "suite: s\nscenarios:\n  - id: a\n" + textwrap.indent(textwrap.dedent(scenario), "    ")
        )
        (variant,) = expand(load(path, root=tmp_path, checks=Catalog()))
        runner = Runner(
            Settings(
                root=tmp_path,
                cassettes=tmp_path / "cassettes",
                mode=mode,  # type: ignore[arg-type]
                live=live,
                base_url=url,
            ),
            run_target=run_target,
        )
        outcome = runner.run(variant)
        line: dict[str, Any] = json.loads(outcome.line)
        return {**line, "message": outcome.message}

    return go


def scenario(function: str, *turns: str, more: str = "") -> str:
    messages = "".join(f"  - {turn}\n" for turn in turns)
    return f"target: {{python: target_application:{function}}}\n{textwrap.dedent(more)}turns:\n{messages}"


DOGS = (
    "{user: I have 2 dogs in my house., expect: [status: completed]}",
    "{user: How many paws are in my house?, expect: [text: 8 paws]}",
)
TOOL = """
tools:
  - type: function
    name: get_current_temperature
    description: Gets the current temperature for a given location.
    parameters: {type: object, properties: {location: {type: string}}, required: [location]}
"""
HELD = [
    ("stateful", DOGS, "expect: [{steps: (thought model_output)+}]\n", ["status", "text", "steps"]),
    ("stateless", DOGS, "", ["status", "text", "history"]),
    ("asynchronous", DOGS[:1] * 2, "", ["status", "status", "stream"]),
    ("from_environment", DOGS[:1], "", ["status"]),
    (
        "stateless",
        (
            "{user: What is the temperature in London?, expect: [{tool_calls: [{name: get_current_temperature}]}, text: '22']}",
        ),
        TOOL + "expect: [{steps: thought* function_call function_result thought* model_output}]\n",
        ["tool_calls", "text", "steps", "history"],
    ),
]


@pytest.mark.parametrize(("function", "turns", "more", "checks"), HELD)
def test_a_target_is_recorded_and_replayed_without_its_server(
    run: Run, function: str, turns: tuple[str, ...], more: str, checks: list[str]
) -> None:
    text = scenario(function, *turns, more=more)
    with serving() as url:
        recorded = run(text, url=url, mode="once")
    replayed = run(text, url=url)
    for result in (recorded, replayed):
        assert (result["verdict"], result["message"]) == ("passed", "")
        assert [check["name"] for check in result["checks"]] == checks
        assert [turn["number"] for turn in result["turns"]] == list(range(1, len(turns) + 1))
        assert all(turn["exchanges"] for turn in result["turns"])
        assert result["cassette"] == "s/a.yaml"
        assert result["unplayed"] == []
    assert [result["metrics"]["source"] for result in (recorded, replayed)] == [
        "recorded",
        "replayed",
    ]


JUDGED = (
    "{user: I have 2 dogs in my house., expect: [{judge: {rubric: 'It says \"2 dogs\".', model: gemini-3.5-flash}}]}",
    "{user: How many paws are in my house?, expect: [{judge: {rubric: 'It says \"12 paws\".', samples: 2}}, text: 8 paws]}",
)


@pytest.mark.parametrize("function", ["stateful", "stateless", "asynchronous"])
@pytest.mark.parametrize("more", ["", "stop_on_failure: true\n"])
def test_judge_of_a_target_is_recorded_on_its_tape(run: Run, function: str, more: str) -> None:
    turns = JUDGED if function != "asynchronous" else JUDGED[:1] * 2
    text = scenario(
        function,
        *turns,
        more=f"model: gemini-3.5-flash\n{more}expect: [{{judge: {{ask: decision, rubric: It never shouts.}}}}]\n",
    )
    with serving() as url:
        recorded = run(text, url=url, mode="once")
    replayed = run(text, url=url)
    for result, source in ((recorded, "recorded"), (replayed, "replayed")):
        messages = [
            (check["name"], check["verdict"])
            for check in result["checks"]
            if check["name"] == "judge"
        ]
        assert messages == [
            ("judge", "passed"),
            ("judge", "passed" if function == "asynchronous" else "failed"),
            ("judge", "passed"),
        ]
        assert [exchange["response"]["source"] for exchange in result["judge_exchanges"]] == [
            source
        ] * (3 if function == "asynchronous" else 4)
        assert [len(turn["exchanges"]) for turn in result["turns"]] == [1, 1], (
            "what is asked about a turn is no part of it"
        )
        assert result["unplayed"] == []
    missing = run(text.replace("never shouts", "never whispers"), url=url)
    assert (
        missing["checks"][-1 - (function == "stateless") - (function == "asynchronous")]["verdict"]
        == "errored"
    )


def test_checks_of_a_target_use_the_requests_it_sent(run: Run) -> None:
    with serving() as url:
        result = run(scenario("forgetful", *DOGS), url=url, mode="once")
    assert result["verdict"] == "failed"
    (history,) = [check for check in result["checks"] if check["name"] == "history"]
    assert [finding["code"] for finding in history["findings"]] == ["step_missing"]


def test_target_receives_a_message_with_attachments_as_content_blocks(
    run: Run, tmp_path: Path
) -> None:
    (tmp_path / "p.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with serving() as url:
        assert (
            run(
                scenario("blocks", "{user: What is it?, attach: {image: p.png}}"),
                url=url,
                mode="once",
            )["verdict"]
            == "passed"
        )


def test_live_session_of_a_target_writes_no_cassette(run: Run, tmp_path: Path) -> None:
    with serving() as url:
        assert run(scenario("stateful", *DOGS), url=url, live=True)["verdict"] == "passed"
    assert not (tmp_path / "cassettes").exists()


FAULTS = [
    (
        "breaks",
        "errored",
        "tool_crashed",
        "the target target_application:breaks raised RuntimeError: the application broke",
    ),
    (
        "silent",
        "errored",
        "tool_crashed",
        "the target target_application:silent sent no request to the interactions resource in turn 1",
    ),
    ("refused", "failed", "api_error", "the API answered 404"),
    (
        "nothing",
        "errored",
        "misconfigured",
        "python target 'target_application:nothing': target_application has no 'nothing'",
    ),
    ("number", "errored", "misconfigured", "target 'target_application:number' is not callable"),
]


@pytest.mark.parametrize(("function", "verdict", "code", "message"), FAULTS)
def test_fault_of_a_target_determines_the_verdict(
    run: Run, function: str, verdict: str, code: str, message: str, tmp_path: Path
) -> None:
    with serving() as url:
        result = run(scenario(function, "{user: Hello}", "{user: Goodbye}"), url=url, mode="once")
    assert result["verdict"] == verdict
    finding = result["checks"][0]["findings"][0]
    assert finding["code"] == code
    assert message in finding["message"]
    assert "suites/s.yaml:3" in result["message"]
    if result["turns"]:
        assert [turn["outcome"] for turn in result["turns"]][1] == "not_run"
    assert not (tmp_path / "cassettes/s/a.yaml").exists()


@pytest.mark.parametrize(("most", "verdict"), [(5, "passed"), (4, "errored")])
def test_a_target_that_loops_is_stopped(run: Run, most: int, verdict: str) -> None:
    text = scenario("loops", "{user: Hello}", "{user: Hello again}", more=f"max_requests: {most}\n")
    with serving() as url:
        result = run(text, url=url, mode="once")
        assert result["verdict"] == verdict
        assert result["metrics"]["exchanges"] == (10 if most == 5 else 4)
        if verdict == "errored":
            message = "the target target_application:loops sent 4 requests in turn 1 (max_requests)"
            assert message in result["message"]


def test_an_expected_error_of_a_target_passes(run: Run) -> None:
    text = scenario("refused", "{user: Hello, expect: [error: {status: 404}]}")
    with serving() as url:
        assert run(text, url=url, mode="once")["verdict"] == "passed"
    assert run(text, url=url)["verdict"] == "passed"


@pytest.mark.parametrize("function", ["swallows", "says_more"])
def test_a_miss_is_reported_even_if_the_target_swallows_it(run: Run, function: str) -> None:
    with serving() as url:
        run(scenario("stateful", "{user: Hello}"), url=url, mode="once")
    result = run(scenario(function, "{user: Hello}"), url=url)
    assert result["verdict"] == "errored"
    assert result["checks"][0]["findings"][0]["code"] == "cassette_miss"
    assert "user text changed" in result["message"]
    assert "pytest suites/s.yaml::a --evalkit-record all" in result["message"]
    assert len(result["unplayed"]) == 1


def test_failed_turn_stops_the_target_when_configured(run: Run) -> None:
    text = scenario(
        "stateful",
        "{user: Hello, expect: [text: Goodbye]}",
        "{user: Hello}",
        more="stop_on_failure: true\n",
    )
    with serving() as url:
        result = run(text, url=url, mode="once")
    assert [turn["outcome"] for turn in result["turns"]] == ["completed", "not_run"]


def test_model_of_a_target_is_optional(run: Run) -> None:
    with serving() as url:
        result = run(
            scenario("stateful", "{user: Hello}", more="model: gemini-3.1-pro\n"),
            url=url,
            live=True,
        )
    assert result["turns"][0]["exchanges"][0]["request"]["body"]["model"] == "gemini-3.1-pro"


def test_a_target_that_loses_the_conversation_passes_with_a_warning(run: Run) -> None:
    with serving() as url:
        recorded = run(scenario("forgets_the_id", *DOGS[:1], DOGS[0]), url=url, mode="once")
    for result in (recorded, run(scenario("forgets_the_id", *DOGS[:1], DOGS[0]), url=url)):
        assert result["verdict"] == "passed"
        (finding,) = result["checks"][-1]["findings"]
        assert (finding["code"], finding["severity"]) == ("id_lost", "warn")
