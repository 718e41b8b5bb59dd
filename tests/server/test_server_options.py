"""``--api-key`` and ``--lenient``: through the service, over HTTP and on the command line."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from evalkit.cli.serve import serve as command
from evalkit.errors import UsageError
from evalkit.server import Script, create_app, load_script, serving
from evalkit.server.api.service import Service
from evalkit.server.calls import Call
from evalkit.server.script_backend import ScriptBackend

RIGHT = "the right key, é"


@pytest.mark.parametrize(
    ("headers", "query", "status"),
    [
        ({}, {}, 401),
        ({"x-goog-api-key": ""}, {}, 401),
        ({"x-goog-api-key": "wrong"}, {}, 401),
        ({"x-goog-api-key": RIGHT + " "}, {}, 401),
        ({"x-goog-api-key": RIGHT}, {}, 200),
        ({}, {"key": RIGHT}, 200),
        ({}, {"key": "wrong"}, 401),
        ({"authorization": f"Bearer {RIGHT}"}, {}, 200),
        ({"authorization": "Bearer wrong"}, {}, 401),
        ({"x-goog-api-key": "wrong"}, {"key": RIGHT}, 200),
    ],
)
@pytest.mark.parametrize("path", ["/v1beta/agents", "/v1/webhooks", "/environments"])
def test_only_the_configured_key_is_accepted(
    default_script: Script, path: str, headers: dict[str, str], query: dict[str, str], status: int
) -> None:
    reply = Service(default_script, api_key=RIGHT).handle(
        Call("GET", path, query=query, headers=headers)
    )
    assert reply.status == status
    assert RIGHT not in str(reply.body)


def test_a_wrong_key_and_a_missing_key_have_different_messages(default_script: Script) -> None:
    service = Service(default_script, api_key=RIGHT)
    expected = [
        str(service.handle(Call("GET", "/v1/agents", headers={"x-goog-api-key": key})).body)
        for key in ("", "wrong")
    ]
    assert "No API key." in expected[0]
    assert "The API key is not the one this server was started with." in expected[1]


def test_a_lenient_server_logs_tolerated_violations() -> None:
    lines: list[str] = []
    app = create_app(ScriptBackend(load_script(), lenient=True, log=lines.append))
    body = {
        "model": "gemini-3.5-flash",
        "input": [
            {"type": "model_output", "content": "mine"},
            {"type": "user_input", "content": "a"},
        ],
    }
    with serving(app) as url:
        response = httpx.post(
            f"{url}/v1beta/interactions", json=body, headers={"x-goog-api-key": "k"}
        )
    assert response.status_code == 200
    assert lines == [
        "warning: tolerated: input[0]: this model_output does not follow its signed thought."
        " Send every step of a history exactly as it was received."
    ]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            ["--api-key", "k", "--cassettes", "c"],
            "--api-key and --cassettes cannot be given together",
        ),
        (
            ["--lenient", "--upstream", "http://127.0.0.1:9"],
            "--lenient and --upstream cannot be given together",
        ),
        (["--api-key", ""], "--api-key is empty; omit it to accept any key"),
    ],
)
def test_options_that_exclude_each_other(
    options: list[str], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = CliRunner().invoke(command, ["--port", "0", *options])
    assert isinstance(outcome.exception, UsageError)
    assert str(outcome.exception) == expected
