"""Behavior of the clients beyond the guide: exceptions, retries, versions, headers."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from evalkit.server import Script, create_app, serving
from evalkit.server.calls import Call, Reply
from evalkit.server.script_backend import ScriptBackend
from evalkit.server.scripting.script import DEFAULT_SCRIPT
from tests.guide.conftest import skip_without
from tests.guide.running import HERE, KEY, SUFFIXES, Outcome, Program, Runner
from tests.guide.snippets import Language

RULES = """\
  - name: overloaded once
    when: {text: overload me once}
    times: 1
    error: {status: 503, retry_after: 1}
  - {when: {text: {contains: story in parts}, continued: false}, reply: "Once ", status: requires_continuation, usage: {total_tokens: 5}}
  - {when: {text: {contains: story in parts}, continued: 1}, reply: "upon a time.", usage: {total_tokens: 7}}

"""
COMPLETED = ("version v1", "version v1beta", "version v1alpha", "version ", "prefix", "revision")
SDKS: tuple[Language, ...] = ("python", "javascript")


class RecordingBackend:
    """The script back end with one valid key; stores the calls it receives."""

    title = "the script, with stored calls"

    def __init__(self) -> None:
        text = DEFAULT_SCRIPT.read_text(encoding="utf-8").replace("rules:\n", f"rules:\n{RULES}", 1)
        self.calls: list[Call] = []
        self._script = ScriptBackend(Script.load(text, "guide.yaml"), api_key=KEY)

    async def handle(self, call: Call) -> Reply:
        self.calls.append(call)
        return await self._script.handle(call)

    async def close(self) -> None:
        await self._script.close()


@dataclass(frozen=True, slots=True)
class ClientRun:
    """The output of a client, and the calls that the server received."""

    outcome: Outcome
    calls: list[Call]

    @property
    def facts(self) -> dict[str, Any]:
        facts: dict[str, Any] = json.loads(self.outcome.out)
        return facts

    def asked(self, text: str) -> list[Call]:
        return [call for call in self.calls if text.encode() in call.body]


Met = Callable[[Language], ClientRun]


@pytest.fixture(scope="module")
def met(runner: Runner, tmp_path_factory: pytest.TempPathFactory) -> Met:
    """Return a function that runs a client's program once."""
    known: dict[Language, ClientRun] = {}
    root: Path = tmp_path_factory.mktemp("beyond")

    def run(language: Language) -> ClientRun:
        skip_without(language)
        if language not in known:
            source = (HERE / "beyond" / f"client{SUFFIXES[language]}").read_text(encoding="utf-8")
            backend = RecordingBackend()
            with serving(create_app(backend)) as url:
                outcome = runner.run(Program("client", language, source), url, root / language)
            known[language] = ClientRun(outcome, backend.calls)
        assert (known[language].outcome.code, known[language].outcome.err) == (0, ""), known[
            language
        ].outcome.out
        return known[language]

    return run


@pytest.mark.parametrize("language", SDKS)
@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("bad request", ["BadRequestError", 400, "invalid_request"]),
        ("wrong key", ["AuthenticationError", 401, "authentication"]),
        ("unknown model", ["NotFoundError", 404, "model_not_found"]),
        ("unknown interaction", ["NotFoundError", 404, "not_found"]),
    ],
)
def test_an_error_raises_the_exception_of_its_status(
    met: Met, language: Language, name: str, error: list[Any]
) -> None:
    assert met(language).facts[name] == error


@pytest.mark.parametrize("language", SDKS)
def test_permanent_errors_are_not_retried(met: Met, language: Language) -> None:
    assert len(met(language).asked("telepathy")) == 1
    assert len(met(language).asked("gpt")) == 1


@pytest.mark.parametrize("language", SDKS)
def test_an_overloaded_server_gets_a_retry_after_the_requested_wait(
    met: Met, language: Language
) -> None:
    seen = met(language)
    assert seen.facts["after a retry"].startswith("You said: “overload me once”.")
    assert seen.facts["waited"] > 0.95
    first, second = seen.asked("overload me once")
    assert first.body == second.body


@pytest.mark.parametrize("language", SDKS)
def test_streams(met: Met, language: Language) -> None:
    facts = met(language).facts
    assert (
        facts["streamed"] == "AI works by learning from examples instead of following fixed rules."
    )
    assert facts["error in a stream"] == ["error", "gateway_timeout"]
    streamed = met(language).asked("Explain how AI works")
    assert [call.headers["accept"] for call in streamed] == ["text/event-stream"]
    assert all("alt" not in call.query for call in met(language).calls)


@pytest.mark.parametrize("language", SDKS)
def test_include_input_returns_the_input(met: Met, language: Language) -> None:
    facts = met(language).facts
    assert facts["with input"] == [["user_input", "thought", "model_output"], "Hi"]
    assert facts["without input"] is True


@pytest.mark.parametrize("language", SDKS)
def test_every_version_and_path_prefix(met: Met, language: Language) -> None:
    seen = met(language)
    assert {name: seen.facts[name] for name in COMPLETED} == dict.fromkeys(COMPLETED, "completed")
    paths = {
        call.path.replace("//", "/") for call in seen.calls if call.path.endswith("/interactions")
    }
    places = {"/v1/interactions", "/v1beta/interactions", "/v1alpha/interactions", "/interactions"}
    assert places < paths
    (prefixed,) = paths - places
    assert prefixed.startswith("/some/prefix/v1")
    revisions = [
        call.headers["api-revision"] for call in seen.calls if "api-revision" in call.headers
    ]
    assert revisions == ["2026-05-20"]


@pytest.mark.parametrize("language", SDKS)
@pytest.mark.parametrize(
    ("name", "fact"),
    [
        ("continued", ["completed", "Once upon a time.", 12, 2]),
        ("agent", ["poet", ["poet"], "antigravity-preview-05-2026", "poet", "completed"]),
        ("agent deleted", ["NotFoundError", 404, "not_found"]),
        ("environment", ["active", 1, 8, True]),
        ("environments", True),
        ("environment deleted", ["NotFoundError", 404, "not_found"]),
        ("webhook", ["enabled", "whsec_", "yours"]),
        ("rotated", True),
        ("webhooks", ["yours"]),
        ("webhook deleted", ["NotFoundError", 404, "not_found"]),
    ],
)
def test_the_other_resources(met: Met, language: Language, name: str, fact: Any) -> None:
    assert met(language).facts[name] == fact


def test_differences_between_javascript_and_python(met: Met) -> None:
    """JavaScript sends a null previous interaction, content without a step, an empty cookie."""
    javascript, python = (
        next(call for call in met(language).asked('"text"') if b"stream" not in call.body)
        for language in reversed(SDKS)
    )
    assert json.loads(javascript.body)["previous_interaction_id"] is None
    assert json.loads(javascript.body)["input"] == [{"type": "text", "text": "Hi"}]
    assert javascript.headers["cookie"] == ""
    assert "previous_interaction_id" not in json.loads(python.body)
    assert json.loads(python.body)["input"] == [
        {"type": "user_input", "content": [{"type": "text", "text": "Hi"}]}
    ]
    assert "cookie" not in python.headers


def test_curl(met: Met) -> None:
    seen = met("curl")
    assert (
        seen.outcome.out
        == """\
key in the query: 200
key as a bearer: 200
no key: 401
wrong key: 401
revision 2026-05-20: 200
revision 2026-05-07: 200
revision nonsense: 200
at /v1: 200
at /v1alpha: 200
at : 200
at /some/prefix/v1beta: 200
in chunks: 200
no JSON: 400
overloaded: 503
and again: 200
compressed: 200
agents: 200
environments: 200
webhooks: 200
agent: 200
agent again: 400
agent deleted: 200
"""
    )
    assert seen.calls[0].headers["content-type"] == "application/x-www-form-urlencoded"
