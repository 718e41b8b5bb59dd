"""Exchanges as logs contain them, and what an import of them leaves behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from evalkit._lib.yaml import load
from evalkit.cli.main import main
from evalkit.plugins import Catalog
from evalkit.protocol.stream_writer import events_of, sse_text
from evalkit.session import Runner, Settings
from evalkit.suite import expand
from evalkit.suite import load as load_suite
from evalkit.verdict import Verdict
from tests.environment import ONLY_EVALKIT

URL = "https://generativelanguage.googleapis.com/v1/interactions"
MODEL = "gemini-3.5-flash"
TOOL = {"type": "function", "name": "find_order", "parameters": {"type": "object"}}


def text(words: str) -> dict[str, Any]:
    return {"type": "model_output", "content": [{"type": "text", "text": words}]}


def call(id_: str = "c1", **arguments: Any) -> dict[str, Any]:
    return {"type": "function_call", "id": id_, "name": "find_order", "arguments": arguments}


def result(call_id: str = "c1", value: Any = "sent") -> dict[str, Any]:
    return {"type": "function_result", "call_id": call_id, "name": "find_order", "result": value}


def user(words: str) -> dict[str, Any]:
    return {"type": "user_input", "content": [{"type": "text", "text": words}]}


def interaction(*steps: Any, id_: str = "v1_a", status: str = "", **fields: Any) -> dict[str, Any]:
    waits = any(step["type"] == "function_call" for step in steps)
    status = status or ("requires_action" if waits else "completed")
    return {"id": id_, "object": "interaction", "status": status, "steps": list(steps), **fields}


def exchange(
    body: Any, response: Any, *, status: int = 200, method: str = "POST", path: str = ""
) -> dict[str, Any]:
    body = {"model": MODEL, **body} if isinstance(body, dict) and not path else body
    return {
        "request": {"method": method, "url": URL + path, "body": body},
        "response": {"status": status, "body": response},
    }


def streamed(*steps: Any, id_: str = "v1_a") -> str:
    return "".join(sse_text(events_of(interaction(*steps, id_=id_))))


def import_log(*exchanges: Any, name: str = "log.jsonl") -> Result:
    Path(name).write_text("\n".join(map(json.dumps, exchanges)))
    return run_import(name)


def pytest_in(folder: Path, *arguments: str) -> str:
    """Run pytest as a user would, and return its output."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(
        command,
        cwd=folder,
        env=os.environ | ONLY_EVALKIT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    ).stdout


def run_import(*arguments: str) -> Result:
    outcome = CliRunner().invoke(main, ["import", *arguments])
    assert outcome.exception is None or isinstance(outcome.exception, SystemExit), outcome.exception
    return outcome


def scenarios() -> list[dict[str, Any]]:
    """Return the drafted scenarios, after all of them were replayed without an endpoint."""
    root, drafted = Path.cwd(), []
    runner = Runner(Settings.read(root, root / "cassettes", "none", base_url=None, environment={}))
    for path in sorted(root.glob("suites/*.yaml")):
        drafted += load(path.read_text("utf-8"))["scenarios"]
        for variant in expand(load_suite(path, root=root, checks=Catalog())):
            outcome = runner.run(variant)
            assert outcome.verdict is Verdict.PASSED, outcome.message
    assert not list(root.rglob("*.journal"))
    return drafted
