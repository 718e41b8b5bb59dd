"""Whose fault is it: the verdict of a variant by what the service sends, and the reason."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evalkit.errors import Disconnected, TransportError
from evalkit.plugins import Catalog
from evalkit.session import Runner, Settings, effects
from evalkit.suite import expand, load
from evalkit.transcript import Request, Response
from tests.conversation.scripted import answer, interaction, says, stream, streamed, text, thought

WHOLE = streamed(thought(), text("Hello"), id="v1_s")
HALF = WHOLE[:4]
HALF_STREAM = stream(*HALF, done=False)
BAD_KEY = {"error": {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT"}}


class ScriptedEndpoint:
    """An endpoint that responds with a list, in order; exceptions in it are raised."""

    secrets: tuple[str, ...] = ()

    def __init__(self, responses: Sequence[Response | Exception]) -> None:
        self.responses = list(responses)

    def uri(self, request: Request) -> str:
        return f"http://service{request.path}"

    def send(self, request: Request) -> Response:
        response = self.responses.pop(0)
        if isinstance(response, Exception):
            raise response
        return response

    def close(self) -> None:
        pass


Run = Callable[..., dict[str, Any]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that records one scenario and returns its result line."""
    monkeypatch.setattr("evalkit.session.effects.time.sleep", lambda seconds: None)

    def go(
        expect: str,
        *responses: Response | Exception,
        fields: str = "",
        turns: str = "",
        tools: str = "{}",
    ) -> dict[str, Any]:
        path = tmp_path / "suites" / "s.yaml"
        path.parent.mkdir(exist_ok=True)
        turns = turns or f"[{{user: hi, expect: {expect}}}]"
        path.write_text(
            f"suite: s\ntools: {tools}\n"
            f"scenarios: [{{id: a, model: m, {fields} turns: {turns}}}]\n",
            "utf-8",
        )
        (variant,) = expand(load(path, root=tmp_path, checks=Catalog()))
        settings = Settings(
            root=tmp_path,
            cassettes=tmp_path / "cassettes",
            mode="all",
            base_url="https://service.example",
        )
        session = Runner(settings, endpoint=lambda _: ScriptedEndpoint(responses))
        result: dict[str, Any] = json.loads(session.run(variant).line)
        return result

    return go


def failure(**error: Any) -> dict[str, Any]:
    return {"event_type": "error", "error": error}


def findings(result: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        (finding["severity"], finding["message"])
        for check in result["checks"]
        for finding in check["findings"]
    ]


INFRASTRUCTURE: dict[str, tuple[str, list[Response | Exception], str]] = {
    "key": ("", [answer(BAD_KEY, status=400)], "INVALID_ARGUMENT"),
    "billing": ("", [answer([{"error": {"message": "Enable billing."}}], status=400)], "Enable"),
    "gateway's page": ("", [answer("<title>Bad Gateway</title>", status=502)], "HTTP 502 Bad Gateway; "),
    "error in a body of 200": ("", [answer({"error": {"code": "api_error"}})], "api_error"),
    "page of a proxy": ("", [answer("<html>", content_type="text/html")], "not JSON"),
    "empty object": ("", [answer("{}")], "not an Interaction, it has no status: {}"),
    "answer of another API": ("", [answer({"candidates": []})], "not an Interaction"),
    "chat completion": (
        "", [answer({"id": "c-1", "object": "chat.completion", "choices": []})],
        'not an Interaction, its object is "chat.completion": {"id":"c-1",',
    ),
    "answer of OpenAI's Responses API": (
        "", [answer({"id": "resp_1", "object": "response", "status": "completed", "output": []})],
        'not an Interaction, its object is "response": {"id":"resp_1",',
    ),
    "poll answered by another API": (
        "background: true,",
        [says(status="in_progress"),
         answer({"id": "run_1", "object": "thread.run", "status": "completed"})],
        'its object is "thread.run"',
    ),
    "health page": ("", [answer({"status": "ok"})], 'it has neither id nor steps: {"status":"ok"}'),
    "JSend": (
        "", [answer({"status": "success", "data": {"text": "Hello"}})], "neither id nor steps",
    ),
    "number as status": ("", [answer({"id": "x", "status": 200})], "it has no status"),
    "null as status": ("", [answer({"id": "x", "status": None})], "it has no status"),
    "problem details of a gateway": (
        "", [answer({"title": "Too Many Requests", "status": 429})], "it has no status",
    ),
    "error of Anthropic's API": (
        "", [answer({"type": "error", "error": {"type": "overloaded_error", "message": "Busy"}})],
        'overloaded_error: "Busy"; run it again',
    ),
    "poll without a run": (
        "background: true,", [says(status="in_progress"), answer("{}")], "not an Interaction",
    ),
    "text as error in a stream": (
        "stream: true,",
        [answer('data: {"error": "upstream timed out"}\n\n', content_type="text/event-stream")],
        'error: "upstream timed out"; run it again',
    ),
    "no connection": ("", [Disconnected("service: the connection broke off")], "broke off"),
    "rate limit in a stream": (
        "stream: true,",
        [stream(*HALF, failure(code="rate_limit_exceeded", message="slow down"))],
        "rate_limit_exceeded: \"slow down\"",
    ),
    "number in a stream": (
        "stream: true,", [stream(failure(code=504, message="late"))], "504: \"late\"",
    ),
    "empty error that ends a stream": (
        "stream: true,", [stream(*HALF, {"event_type": "error"})], "no reason given",
    ),
    "bare list in a stream": (
        "stream: true,",
        [answer('data: {}\n\n[{\n "error": {\n  "code": 503\n }\n}]', content_type="text/event-stream")],
        "the API answered HTTP 503 Service Unavailable; run",
    ),
    "cut stream": ("stream: true,", [stream(*HALF, done=False)], "broke off after 4 events"),
    "error while polling": (
        "background: true,",
        [says(status="in_progress"), answer({"error": {"code": "not_found"}}, status=404)],
        "404 not_found",
    ),
    "idle run": (
        "background: true,", [says(status="in_progress"), says(status="idle")], "is idle",
    ),
    "unknown status": (
        "background: true,", [says(status="in_progress"), says(status="suspended")],
        'no answer and the unknown status "suspended"; run it again',
    ),
    "unknown status after a thought": ("", [says(thought(), status="pending")], '"pending"'),
    "cancelled run": ("", [says(text("Hel"), status="cancelled")], "was cancelled"),
    "run that failed by the service": (
        "background: true,",
        [says(status="in_progress"), says(status="failed", errors=[{"code": "api_error"}])],
        "the run failed: api_error",
    ),
    "output that ended by the service": (
        "",
        [says({"type": "model_output", "error": {"code": 14, "message": "gone"}})],
        "the output ended in an error: unavailable: \"gone\"",
    ),
    "cut background stream whose poll fails": (
        "stream: true, background: true,",
        [stream(*HALF, done=False), answer("", status=503)],
        "the API answered HTTP 503 Service Unavailable; run",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", INFRASTRUCTURE)
def test_a_fault_of_the_infrastructure_is_errored_with_its_reason(run: Run, case: str) -> None:
    fields, responses, reason = INFRASTRUCTURE[case]
    result = run("[{text: Hello}]", *responses, fields=fields)
    assert result["verdict"] == "errored"
    first = result["checks"][0]
    assert (first["name"], first["verdict"]) == ("conversation", "errored")
    assert reason in first["findings"][0]["message"]
    assert "\n" not in first["findings"][0]["message"]
    assert first["findings"][0]["message"] in result["message"]


WITHOUT_ERROR = {
    "{}": "", "": "", "[]": "", "null": "", '{"error": {}}': "", '{"error": null}': "",
    "7": ": 7", '"gone"': ": gone", "no route": ": no route", "<html><h1>Bad</h1>": ": Bad",
    '{"detail": 1}': ': {"detail": 1}', '{"message": "no"}': ": no",
}  # fmt: skip


@pytest.mark.parametrize("body", WITHOUT_ERROR)
@pytest.mark.parametrize(
    ("status", "reason"),
    [(502, "Bad Gateway"), (404, "Not Found"), (302, "Found")],
)
def test_an_http_error_without_a_reason_is_named_by_its_status(
    run: Run, body: str, status: int, reason: str
) -> None:
    result = run("[{text: Hello}]", answer(body, status=status))
    message = f"the API answered HTTP {status} {reason}".strip() + WITHOUT_ERROR[body]
    (finding,) = result["checks"][0]["findings"]
    assert finding["message"].partition(";")[0] == message
    assert result["turns"][0]["error"]["message"] == message.removeprefix("the API answered ")
    assert result["verdict"] == "errored" or body in ('{"error": {}}', '{"error": null}')


MODEL = {
    "blocked": (
        answer({"error": {"code": "safety", "message": "No."}}, status=400),
        "the output was blocked: 400 safety: \"No.\"",
    ),
    "request": (
        answer({"error": {"code": "invalid_request", "message": "No."}}, status=400),
        "the API answered 400 invalid_request: \"No.\"",
    ),
    "run blocked": (
        says(status="failed", errors=[{"code": "recitation", "message": "Known text."}]),
        "the output was blocked: recitation: \"Known text.\"",
    ),
    "one error of the model among others": (
        says(status="failed", errors=[{"code": "api_error"}, {"code": "malformed_function_call"}]),
        "the run failed: api_error: \"no reason given\", malformed_function_call",
    ),
    "run failed for no reason": (says(status="failed"), "the run failed and gives no reason"),
    "cut off": (
        says(text("Hel"), status="incomplete"), "cut off at 20 tokens (max_output_tokens)",
    ),
    "budget": (says(text("Hel"), status="budget_exceeded"), "used up its budget"),
    "empty": (says(thought()), "the answer is empty"),
    "output with an error": (
        says({"type": "model_output", "error": {"code": 3, "message": "No video."}}),
        "the output ended in an error: invalid_argument: \"No video.\"",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", MODEL)
def test_a_fault_of_the_model_is_failed_and_named(run: Run, case: str) -> None:
    response, reason = MODEL[case]
    result = run("[{text: Hello}]", response, fields="generation_config: {max_output_tokens: 20},")
    assert result["verdict"] == "failed"
    assert reason in result["message"]


@pytest.mark.parametrize(
    ("expect", "response"),
    [
        ("[{error: {status: 429, code: resource_exhausted}}]",
         answer({"error": {"code": 429, "status": "RESOURCE_EXHAUSTED"}}, status=429)),
        ("[{error: {code: api_key_expired}}]",
         answer({"error": {"code": 400, "status": "INVALID_ARGUMENT",
                           "details": [{"reason": "API_KEY_EXPIRED"}]}}, status=400)),
        ("[{error: {code: INVALID_ARGUMENT}}]",
         answer({"error": {"code": "invalid_request", "status": "INVALID_ARGUMENT"}}, status=400)),
        ("[{text: Hello}]", says(text("Hello"), status="archived")),
        ("[{status: suspended}]", says(status="suspended")),
        ("[{error: {status: 401}}]", answer({"error": {}}, status=401)),
        ("[{error: {code: api_error}}]", says(status="failed", errors=[{"code": "api_error"}])),
        ("[{error: {code: unavailable}}]", says({"type": "model_output", "error": {"code": 14}})),
        ("[{status: failed}]", says(status="failed", errors=[{"code": "api_error"}])),
        ("[{status: [completed, cancelled]}]", says(status="cancelled")),
        ("[{status: idle}]", says(status="idle")),
        ("[{text: Hello}]", says(text("Hello"), errors=[{"code": "api_error"}])),
    ],
)  # fmt: skip
def test_an_expected_end_passes_whosever_fault_it_is(
    run: Run, expect: str, response: Response
) -> None:
    assert run(expect, response)["verdict"] == "passed"


@pytest.mark.parametrize(
    "error",
    [
        {"code": 504, "status": "DEADLINE_EXCEEDED"},
        {"code": "safety", "message": "No."},
        {"code": "invalid_request", "message": "No."},
    ],
)
@pytest.mark.parametrize("events", [[], HALF])
def test_an_expected_error_of_a_stream_passes(
    run: Run, events: list[Any], error: dict[str, Any]
) -> None:
    word = error.get("status", error["code"])
    broken = stream(*events, failure(**error))
    expected = run(f"[{{error: {{code: {word}}}}}]", broken, fields="stream: true,")
    assert expected["verdict"] == "passed"
    both = run(f"[{{error: {word}}}, stream]", broken, fields="stream: true,")
    assert both["verdict"] == "failed"


@pytest.mark.parametrize(
    ("fields", "responses", "warning"),
    [
        (
            "stream: true, background: true,",
            [stream(*HALF, done=False), says(text("Hello"), id="v1_s")],
            "polling completed the run",
        ),
        (
            "stream: true, background: true,",
            [
                replace(HALF_STREAM, text=HALF_STREAM.text + 'event: x\ndata: {"event_ty'),
                says(text("Hello"), id="v1_s"),
            ],
            "polling completed the run",
        ),
        (
            "stream: true, background: true,",
            [
                stream(*HALF, failure(code="deadline_exceeded", message="10 minutes")),
                says(status="in_progress", id="v1_s"),
                says(text("Hello"), id="v1_s"),
            ],
            'polling completed the run: deadline_exceeded: "10 minutes"',
        ),
        (
            "stream: true,",
            [stream(*HALF[:2], {"event_type": "error"}, *WHOLE[2:])],
            "completed in spite of it: no reason given",
        ),
    ],
)
def test_what_is_completed_passes_with_a_warning(
    run: Run, fields: str, responses: list[Response], warning: str
) -> None:
    result = run("[{text: {equals: Hello}}, {status: completed}]", *responses, fields=fields)
    assert result["verdict"] == "passed"
    ((severity, message),) = findings(result)
    assert (severity, warning in message) == ("warn", True)


def test_a_recording_of_a_run_that_the_service_broke_is_not_written(
    run: Run, tmp_path: Path
) -> None:
    run("[{text: Hello}]", says(status="failed", errors=[{"code": "internal"}]))
    assert not list(tmp_path.rglob("cassettes/**/*.yaml"))
    run("[{text: Hello}]", says(status="failed", errors=[{"code": "safety"}]))
    assert list(tmp_path.rglob("cassettes/**/*.yaml"))


def test_polling_ends_after_an_hour_and_says_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert effects.POLL_LIMIT == 3600
    monkeypatch.setattr(effects, "POLL_LIMIT", 120)
    running = answer(interaction(status="in_progress", steps=None))
    result = run("[]", *[running] * 26, fields="background: true,")
    assert result["verdict"] == "errored"
    assert len(result["turns"][0]["exchanges"]) == 26
    ((_, message),) = findings(result)
    assert "after 2 minutes" in message
    assert "'timeout'" in message


def test_other_exceptions_of_a_transport_are_errored(run: Run) -> None:
    assert run("[{text: x}]", TransportError("the request failed"))["verdict"] == "errored"


@pytest.mark.parametrize(
    "broken",
    [
        answer({"error": {"code": "quota_exceeded"}}, status=429),
        answer('{"id"', broken="the connection broke off"),
        says(status="failed", errors=[{"code": "internal"}]),
        TransportError("cannot connect"),
    ],
)
def test_a_variant_is_not_blamed_for_the_variant_that_it_is_compared_with(
    tmp_path: Path, broken: Response | Exception
) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(
        "suite: s\nscenarios: [{id: a, model: m, history: [stateful, stateless],"
        " turns: [{user: hi, expect: [{same_as: {history: stateful}}]}]}]\n"
    )
    variants = expand(load(path, root=tmp_path, checks=Catalog()))
    settings = Settings(
        root=tmp_path, cassettes=tmp_path / "cassettes", mode="all", base_url="https://service"
    )
    responses = {"s::a[stateful]": broken, "s::a[stateless]": says(text("Hello"))}
    session = Runner(settings, endpoint=lambda each: ScriptedEndpoint([responses[each.id]]))
    session.introduce(variants)
    outcomes = [session.run(variant) for variant in variants]
    assert [outcome.verdict for outcome in outcomes] == ["errored", "errored"]
    assert "a[stateful] cannot be compared" in outcomes[1].message


PARAMETERS = "parameters: {type: object, properties: {x: {type: integer}}}, result: ok"


@pytest.mark.parametrize(
    ("name", "tool", "listed", "arguments", "verdict", "code"),
    [
        ("click_at", PARAMETERS, "{type: computer_use}", {"x": "a"}, "passed", ""),
        ("scroll_at", PARAMETERS, "{type: computer_use}, scroll_at", {"x": []}, "passed", ""),
        ("fly", f"predefined: true, {PARAMETERS}", "", {"x": "a"}, "passed", ""),
        (
            "click_at",
            "python: 'screen_of_tests:click'",
            "{type: computer_use}",
            {"x": 1, "button": "left"},
            "passed",
            "call_without_answer",
        ),
        ("click_at", PARAMETERS, "{type: computer_use}", "1", "failed", "arguments_invalid"),
        ("click_at", PARAMETERS, "click_at", {"x": "a"}, "failed", "arguments_invalid"),
        (
            "click_at",
            PARAMETERS,
            "{type: computer_use, excluded_predefined_functions: [click_at]}, click_at",
            {"x": "a"},
            "failed",
            "arguments_invalid",
        ),
    ],
)
def test_the_parameters_of_a_predefined_function_are_those_of_the_service(
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    tool: str,
    listed: str,
    arguments: Any,
    verdict: str,
    code: str,
) -> None:
    (tmp_path / "screen_of_tests.py").write_text("def click(x):\n    return x\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    call = {"type": "function_call", "id": "c", "name": name, "arguments": arguments}
    result = run(
        "[]",
        says(call, status="requires_action"),
        says(text("Done.")),
        fields=f"tools: [{listed}],",
        tools=f"{{{name}: {{description: d, {tool}}}}}",
    )
    assert result["verdict"] == verdict
    codes = [finding["code"] for check in result["checks"] for finding in check["findings"]]
    assert codes == ([code] if code else [])
