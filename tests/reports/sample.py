"""Sample runs for the tests of reports: every verdict, every kind of step, any number of passes.

Lines are written by the real ``result_line``, so that their form is what a session writes.
"""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from evalkit._lib.json import JSON
from evalkit.protocol.step_reader import output_text
from evalkit.protocol.step_types import CLIENT_STEPS
from evalkit.reports.line_reports import write_all
from evalkit.reports.page.run_page import RunPage
from evalkit.results import Run
from evalkit.results.records import Identity
from evalkit.results.result_line import result_line, result_record
from evalkit.transcript import Exchange, Request, Response, Step, Transcript, Turn
from evalkit.verdict import CheckResult, Verdict

SIGNATURE = base64.b64encode(b"a thought that only its maker can read" * 3).decode()


def make_run(directory: Path, lines: Sequence[str], **changes: JSON) -> Run:
    """Write a run directory with these lines and open it; ``changes`` go into the manifest."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "results.jsonl").write_text("".join(f"{text}\n" for text in lines))
    (directory / "manifest.json").write_text(json.dumps(manifest(**changes)))
    return Run(directory)


def write_page(run: Run) -> Path:
    """Write the HTML report of a run and return its path."""
    [path] = write_all(run, [RunPage])
    assert isinstance(path, Path)
    return path


def manifest(**changes: JSON) -> dict[str, Any]:
    """Return a manifest as a session writes it."""
    return {
        "schema_version": 1,
        "evalkit": "0.1.0",
        "python": "3.11.7",
        "pytest": "9.0.1",
        "platform": "Linux x86_64",
        "started": "2026-11-22T13:00:00Z",
        "ended": "2026-11-22T13:00:04Z",
        "complete": True,
        "options": {"record": "none", "cassettes": "cassettes", "strict": False},
        "environment": {"CI": "true"},
        "suites": [
            {"suite": "weather", "path": "suites/weather.yaml", "digest": "sha256:" + "ab" * 32}
        ],
        "cassettes": [
            {"path": "cassettes/weather/london.stateless.yaml", "digest": "sha256:" + "cd" * 32}
        ],
        "totals": {},
        **changes,
    }


def text(words: str, *annotations: JSON) -> dict[str, JSON]:
    """Return a text content block."""
    return {
        "type": "text",
        "text": words,
        **({"annotations": list(annotations)} if annotations else {}),
    }


def says(words: str, *annotations: JSON) -> dict[str, JSON]:
    """Return a model_output step."""
    return {"type": "model_output", "content": [text(words, *annotations)]}


def cites(whole: str, words: str, title: str, url: str) -> dict[str, JSON]:
    """Return a url_citation of ``words`` in ``whole``, with offsets in UTF-8 bytes."""
    start = len(whole[: whole.index(words)].encode())
    return {
        "type": "url_citation",
        "url": url,
        "title": title,
        "start_index": start,
        "end_index": start + len(words.encode()),
    }


def thought(signature: str = SIGNATURE, **more: JSON) -> dict[str, JSON]:
    """Return a thought step."""
    return {"type": "thought", "signature": signature, **more}


def call(
    id_: str = "call_1", name: str = "get_current_temperature", **arguments: JSON
) -> dict[str, JSON]:
    """Return a function_call step."""
    return {"type": "function_call", "id": id_, "name": name, "arguments": arguments}


def answer(
    call_id: str = "call_1", name: str = "get_current_temperature", **result: JSON
) -> dict[str, JSON]:
    """Return a function_result step."""
    return {
        "type": "function_result",
        "call_id": call_id,
        "name": name,
        "result": [text(json.dumps(result))],
    }


def turn(
    number: int,
    user: JSON,
    *rounds: Sequence[dict[str, JSON]],
    first_exchange: int = 1,
    **more: Any,
) -> Turn:
    """Return a turn with one exchange per round.

    ``function_result`` steps are the client's, sent at the start of a round.
    """
    content = [text(user)] if isinstance(user, str) else user
    result = Turn(number, content, **more)
    sent: list[JSON] = [{"type": "user_input", "content": content}]
    for index, steps in enumerate(rounds):
        exchange = first_exchange + index
        new = [step for step in steps if step.get("type") not in CLIENT_STEPS]
        sent += [step for step in steps if step.get("type") in CLIENT_STEPS]
        interaction = {
            "id": f"v1_{number}{exchange}",
            "object": "interaction",
            "model": "gemini-3.5-flash",
            "status": "completed" if index == len(rounds) - 1 else "requires_action",
            "steps": new,
            "usage": {
                "total_tokens": 197,
                "total_input_tokens": 95,
                "total_output_tokens": 20,
                "total_thought_tokens": 82,
            },
        }
        result.status = str(interaction["status"])
        body = {
            "model": "gemini-3.5-flash",
            "store": False,
            "input": list(sent),
            "tools": [{"type": "function", "name": "get_current_temperature"}],
        }
        response = Response(
            200, {"content-type": "application/json"}, "", elapsed_ms=412.5, source="replayed"
        )
        result.exchanges.append(
            Exchange(
                exchange,
                number,
                Request("POST", "/v1beta/interactions", body),
                response,
                interaction=interaction,
            )
        )
        result.steps += [
            Step(step, "client" if step.get("type") in CLIENT_STEPS else "model", exchange)
            for step in steps
        ]
        sent += new
    result.text = output_text([step.raw for step in result.steps])
    return result


def line(
    scenario: str,
    turns: Iterable[Turn] = (),
    checks: Sequence[CheckResult] = (),
    *,
    verdict: Verdict = Verdict.PASSED,
    suite: str = "weather",
    title: str = "",
    message: str = "",
    parts: Sequence[str] = ("stateless",),
    tags: Sequence[str] = (),
    trial: int = 1,
    unplayed: Sequence[str] = (),
) -> str:
    """Return one result line."""
    label = f"{scenario}[{'-'.join(parts)}]" if parts else scenario
    identity = Identity(
        id=f"{suite}::{label}" + (f"#{trial}" if trial > 1 else ""),
        suite=suite,
        scenario=scenario,
        title=title,
        variant={"history": "stateless", "stream": False, "model": "gemini-3.5-flash"},
        parts=parts,
        trial=trial,
        tags=tags,
        path=f"suites/{suite}.yaml",
        line=12,
        cassette=f"cassettes/{suite}/{scenario}.yaml",
    )
    played = list(turns)
    transcript = (
        Transcript({"history": "stateless", "model": "gemini-3.5-flash"}, played)
        if played
        else None
    )
    return result_line(result_record(identity, verdict, message, checks, transcript, unplayed))


def passed(
    name: str, turn_number: int | None = None, declared: str = "suites/weather.yaml:14"
) -> CheckResult:
    """Return a check that passed."""
    return CheckResult(name, Verdict.PASSED, (), turn=turn_number, declared=declared)


def weather(
    question: str = "What is the temperature in London?", number: int = 1, first_exchange: int = 1
) -> Turn:
    """Return a turn with one function call: thought, call, result, thought, text; two exchanges."""
    return turn(
        number,
        question,
        [thought(), call(location="London")],
        [
            answer(location="London", temperature="22"),
            thought(),
            says("It is 22 degrees Celsius in London."),
        ],
        first_exchange=first_exchange,
    )


def passing(index: int, suite: str = "weather") -> str:
    """Return a passing result of usual size: two turns, three exchanges, eight steps."""
    rng = random.Random(index)
    fresh = base64.b64encode(rng.randbytes(150)).decode()
    turns = [
        weather(f"What is the temperature in city {index}?"),
        turn(
            2,
            "And should I take a coat?",
            [thought(fresh), says(f"No, city {index} is warm enough.")],
            first_exchange=3,
        ),
    ]
    checks = [
        passed("status", 1),
        passed("steps", 1),
        passed("tool_calls", 1),
        passed("text", 2),
        passed("history", declared=""),
    ]
    return line(
        f"city{index}",
        turns,
        checks,
        suite=suite,
        title="One call, one answer",
        tags=("smoke",) if index % 3 else ("smoke", "nightly"),
    )
