"""Measure what an import of a sample of many traces costs: time, and the most memory.

    python benchmarks/import_traces.py [lines [conversations [spans|log]]]

A file of OTLP spans, or a log of requests and responses, is written into a temporary folder, a call
of a model in each line. Four calls are one conversation, the second of which answers a function
call; each call repeats the history, and the lines of some thousand conversations are interleaved.
Then ``evalkit import`` chooses a sample over the models and replays it, as a user would: wall time,
peak resident memory of the process, and how many scenarios of each model were written.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

LINES = 1_000_000
SAMPLE = 500
AT_ONCE = 4_000
CALLS = 4
# Of unequal size, so that an even sample differs from a plain one.
MODELS = ("gemini-3.5-flash",) * 90 + ("gemini-3.5-pro",) * 9 + ("gemini-3.6-flash",)
LIMIT_MB = 300
URL = "https://generativelanguage.googleapis.com/v1beta/interactions"
DETAILS = "It was packed in the morning and left the warehouse at noon. " * 4


def main() -> int:
    """Print the figures; return 1 where the memory is above its limit."""
    lines = int(sys.argv[1]) if len(sys.argv) > 1 else LINES
    sample = int(sys.argv[2]) if len(sys.argv) > 2 else SAMPLE
    line = exchange if sys.argv[3:] == ["log"] else span
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "pyproject.toml").write_text("")
        started = time.perf_counter()
        with (root / "calls.jsonl").open("w") as file:
            file.writelines(calls(lines, line))
        size = (root / "calls.jsonl").stat().st_size
        print(f"{lines:,} lines, {size / 1e6:,.0f} MB, written in {since(started)}")
        command = [sys.executable, "-m", "evalkit", "import", "calls.jsonl"]
        options = ["--sample", str(sample), "--by", "model"]
        started = time.perf_counter()
        process = subprocess.Popen([*command, *options], cwd=root)
        _, status, usage = os.wait4(process.pid, 0)
        peak = usage.ru_maxrss / 1024
        print(f"evalkit import --sample {sample}: {since(started)}, peak {peak:,.0f} MB")
        print(f"CPU {usage.ru_utime + usage.ru_stime:.1f} s, exit code {status >> 8}")
        suites = "".join(path.read_text() for path in root.glob("suites/*.yaml"))
        print("scenarios:", dict(Counter(re.findall(r"^    model: (\S+)", suites, re.MULTILINE))))
    return int(peak > LIMIT_MB or status != 0)


def calls(lines: int, line: Callable[[int, int], str]) -> Iterator[str]:
    """Yield lines, those of ``AT_ONCE`` conversations in turn."""
    count = -(-lines // CALLS)
    for first in range(0, count, AT_ONCE):
        batch = range(first, min(first + AT_ONCE, count))
        for call in range(CALLS):
            for number in batch:
                yield line(number, call) + "\n"


def span(number: int, call: int) -> str:
    """Return a call of a conversation as a line of the Collector's file exporter."""
    model = MODELS[number % len(MODELS)]
    result: dict[str, object] = {
        "type": "tool_call_response",
        "id": "c1",
        "response": {"state": "sent"},
    }
    order = {"number": str(number)}
    function: dict[str, object] = {
        "type": "tool_call",
        "id": "c1",
        "name": "find_order",
        "arguments": order,
    }
    messages = [
        message("user", text(f"Where is my order {number}?")),
        message("assistant", function),
        message("tool", result),
        message("assistant", text(f"Order {number} was sent. {DETAILS}")),
        message("user", text(f"When will it arrive? I live in region {number % 1000}.")),
        message("assistant", text(f"Tomorrow. {DETAILS}")),
        message("user", text("Thank you!")),
        message("assistant", text("You are welcome.")),
    ]
    start = 1_780_000_000_000_000_000 + number * 10**6 + call * 10**10
    attributes: dict[str, str] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "gcp.gemini",
        "gen_ai.conversation.id": f"conversation-{number}",
        "gen_ai.request.model": model,
        "gen_ai.response.id": f"response-{number}-{call}",
        "gen_ai.input.messages": json.dumps(messages[: 2 * call + 1]),
        "gen_ai.output.messages": json.dumps([messages[2 * call + 1]]),
        "gen_ai.tool.definitions": TOOLS,
    }
    pairs = [{"key": key, "value": {"stringValue": value}} for key, value in attributes.items()]
    tokens = {"key": "gen_ai.usage.input_tokens", "value": {"intValue": "100"}}
    record = {
        "traceId": f"{number:032x}",
        "spanId": f"{number * CALLS + call:016x}",
        "name": f"chat {model}",
        "kind": 3,
        "startTimeUnixNano": str(start),
        "endTimeUnixNano": str(start + 10**9),
        "attributes": [*pairs, tokens],
        "status": {},
    }
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [record]}]}]})


def exchange(number: int, call: int) -> str:
    """Return a call of a conversation as a log of traffic has it, without a stored interaction."""
    find = {"type": "function_call", "id": "c1", "name": "find_order"}
    steps: list[dict[str, object]] = [
        step("user_input", f"Where is my order {number}?"),
        {**find, "arguments": {"number": str(number)}},
        {"type": "function_result", "call_id": "c1", "name": "find_order", "result": "sent"},
        step("model_output", f"Order {number} was sent. {DETAILS}"),
        step("user_input", f"When will it arrive? I live in region {number % 1000}."),
        step("model_output", f"Tomorrow. {DETAILS}"),
        step("user_input", "Thank you!"),
        step("model_output", "You are welcome."),
    ]
    model = MODELS[number % len(MODELS)]
    sent = {"model": model, "store": False, "tools": json.loads(TOOLS)}
    answer = {
        "id": f"v1_{number}_{call}",
        "object": "interaction",
        "status": "completed" if call else "requires_action",
        "steps": [steps[2 * call + 1]],
    }
    request = {"method": "POST", "url": URL, "body": sent | {"input": steps[: 2 * call + 1]}}
    return json.dumps({"request": request, "response": {"status": 200, "body": answer}})


def step(kind: str, words: str) -> dict[str, object]:
    """Return a step with one text."""
    return {"type": kind, "content": [{"type": "text", "text": words}]}


def message(role: str, part: dict[str, object]) -> dict[str, object]:
    """Return a message with one part."""
    return {"role": role, "parts": [part]}


def text(content: str) -> dict[str, object]:
    """Return a part with text."""
    return {"type": "text", "content": content}


def since(started: float) -> str:
    """Return the time since a moment."""
    return f"{time.perf_counter() - started:.1f} s"


TOOLS = json.dumps(
    [
        {
            "type": "function",
            "name": "find_order",
            "description": "Finds an order.",
            "parameters": {"type": "object", "properties": {"number": {"type": "string"}}},
        }
    ]
)

if __name__ == "__main__":
    sys.exit(main())
