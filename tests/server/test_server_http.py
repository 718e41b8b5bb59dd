"""The server over real HTTP on loopback: bytes, headers, limits, odd clients, and the command line."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from evalkit.cli.serve import serve as command
from evalkit.errors import UsageError
from evalkit.server import Script, create_app, load_script, serve, serving

KEY = {"x-goog-api-key": "any"}
HELLO = {"model": "gemini-3.5-flash", "input": "Hello"}


@pytest.mark.parametrize(
    ("request_", "status", "body"),
    [
        (
            {"method": "POST", "url": "/v1beta/interactions", "json": HELLO, "headers": {}},
            401,
            b'{"error":{"code":"authentication","message":"No API key. Send one in the header x-goog-api-key or as ?key=."}}',
        ),
        (
            {
                "method": "POST",
                "url": "/v1beta/interactions",
                "json": {**HELLO, "model": "no-such-model"},
            },
            404,
            b'{"error":{"code":"model_not_found","message":"Model \'no-such-model\' was not found."}}',
        ),
        (
            {"method": "POST", "url": "/v1beta/interactions", "json": {**HELLO, "temprature": 1}},
            400,
            b'{"error":{"code":400,"message":"Unknown parameter \'temprature\'.","status":"INVALID_ARGUMENT","details":'
            b'[{"@type":"type.googleapis.com/google.rpc.BadRequest","fieldViolations":'
            b'[{"field":"temprature","description":"Unknown parameter \'temprature\'."}]}]}}',
        ),
        (
            {"method": "POST", "url": "/v1/interactions", "content": b"{"},
            400,
            b'{"error":{"code":"invalid_request","message":"The body is not JSON: Expecting property name enclosed in double quotes:'
            b' line 1 column 2 (char 1)."}}',
        ),
        (
            {
                "method": "POST",
                "url": "/v1/interactions",
                "json": {**HELLO, "previous_interaction_id": "v1_none"},
            },
            404,
            b'{"error":{"code":"not_found","message":"\'previous_interaction_id\': interaction \'v1_none\' was not found."}}',
        ),
        (
            {"method": "GET", "url": "/v1beta/interactions/v1_none"},
            404,
            b'{"error":{"code":"not_found","message":"Interaction \'v1_none\' was not found."}}',
        ),
        (
            {"method": "PUT", "url": "/v1beta/interactions"},
            405,
            b'{"error":{"code":"method_not_allowed","message":"PUT is not allowed here; allowed: POST."}}',
        ),
        (
            {"method": "GET", "url": "/favicon.ico"},
            404,
            b'{"error":{"code":"not_found","message":"/favicon.ico was not found; under /v1beta this server has: '
            b'interactions, agents, environments, webhooks, triggers, voices, credentials, decisions."}}',
        ),
        (
            {
                "method": "POST",
                "url": "/v1/interactions",
                "json": {**HELLO, "input": "Answer with error 429"},
            },
            429,
            b'{"error":{"code":"rate_limit_exceeded","message":"Too many requests."}}',
        ),
    ],
)
def test_an_error_to_the_byte(
    url: str, request_: dict[str, object], status: int, body: bytes
) -> None:
    response = httpx.request(**{"headers": KEY, **request_, "url": f"{url}{request_['url']}"})  # type: ignore[arg-type]
    assert (response.status_code, response.content) == (status, body)
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    assert response.headers.get("retry-after") == ("1" if status == 429 else None)


def test_the_way_curl_sends_requests(url: str) -> None:
    history = [{"type": "user_input", "content": "I have 2 dogs in my house."}]
    first = httpx.post(
        f"{url}/v1beta/interactions?key=k",
        json={"model": "gemini-3.5-flash", "store": False, "input": history},
    ).json()
    history = [
        *history,
        *first["steps"],
        {"type": "user_input", "content": "How many paws are in my house?"},
    ]
    second = httpx.post(
        f"{url}/v1beta/interactions?key=k",
        json={"model": "gemini-3.5-flash", "store": False, "input": history},
    ).json()
    assert (
        second["steps"][-1]["content"][0]["text"]
        == "There are 8 paws in your house. 2 dogs × 4 paws = 8 paws."
    )


def test_a_stream_has_its_content_type_and_is_complete(url: str) -> None:
    with httpx.stream(
        "POST", f"{url}/v1beta/interactions?alt=sse", json={**HELLO, "stream": True}, headers=KEY
    ) as response:
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        text = "".join(response.iter_text())
    assert text.startswith("event: interaction.created\n")
    assert text.endswith("event: done\ndata: [DONE]\n\n")


def test_lone_surrogates_are_returned_unchanged(url: str) -> None:
    raw = b'{"model": "gemini-3.5-flash", "input": "\\ud83d half"}'
    response = httpx.post(f"{url}/v1beta/interactions", content=raw, headers=KEY)
    assert response.status_code == 200
    stored = httpx.get(f"{url}/v1beta/interactions/{response.json()['id']}", headers=KEY).content
    assert b"\\ud83d half" in stored


def test_a_body_that_is_too_large_is_refused_with_and_without_a_length() -> None:
    with serving(create_app(load_script(), max_body=1_000)) as url:
        fits = httpx.post(f"{url}/v1/interactions", json={**HELLO, "input": "x" * 900}, headers=KEY)
        assert fits.status_code == 200
        declared = httpx.post(
            f"{url}/v1/interactions", json={**HELLO, "input": "x" * 2_000}, headers=KEY
        )
        chunked = httpx.post(f"{url}/v1/interactions", content=iter([b"x" * 600] * 3), headers=KEY)
    body = b'{"error":{"code":"request_too_large","message":"The request body is larger than 1000 bytes."}}'
    assert (declared.status_code, declared.content) == (413, body)
    assert (chunked.status_code, chunked.content) == (413, body)


def test_a_delay_is_slept() -> None:
    script = Script.load(
        "script: t\nrules: [{reply: a b, delay: 0.05, event_delay: 0.01}]", "t.yaml"
    )
    with serving(create_app(script)) as url:
        response = httpx.post(f"{url}/v1/interactions", json={**HELLO, "stream": True}, headers=KEY)
    assert response.elapsed.total_seconds() >= 0.05 + 0.01 * response.text.count("\n\n")


def test_requests_are_logged_without_their_key() -> None:
    lines: list[str] = []
    with serving(create_app(load_script(), log=lines.append)) as url:
        httpx.post(
            f"{url}/v1/interactions?key=secret", json={**HELLO, "input": "Who won the euro 2024?"}
        )
        httpx.post(f"{url}/v1/interactions", json=HELLO, headers={"x-goog-api-key": "secret"})
        httpx.get(f"{url}/v1/interactions/x?key=secret")
    assert re.fullmatch(
        r"POST /v1/interactions 200  rule 'Euro 2024 from memory' \(guide.yaml:\d+\)", lines[0]
    )
    assert lines[1:] == [
        "POST /v1/interactions 200  default answer",
        "GET /v1/interactions/x 404  not_found",
    ]


def test_a_crash_of_the_server_is_an_error_in_the_shape_of_the_api(
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Broken(Script):
        def find(self, *_: object) -> None:
            raise RuntimeError("a bug")

    with serving(create_app(Broken(name="t", title="t"))) as url:
        response = httpx.post(f"{url}/v1/interactions", json=HELLO, headers=KEY)
    assert (response.status_code, response.json()["error"]["code"]) == (500, "api_error")
    assert "a bug" not in response.text
    assert "RuntimeError: a bug" in capsys.readouterr().err


def test_serving_listens_on_loopback_only() -> None:
    with serving() as url:
        assert url.startswith("http://127.0.0.1:")
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)


def test_a_port_in_use_is_a_usage_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(
            UsageError,
            match=rf"cannot serve on 127\.0\.0\.1:{port}: the port is in use; choose another one",
        ) as caught:
            serve(create_app(load_script()), "127.0.0.1", port)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("host", ["203.0.113.7", "no.such.host.invalid"])
def test_an_address_of_another_machine_is_a_usage_error(host: str) -> None:
    with pytest.raises(UsageError, match="cannot serve on"):
        serve(create_app(load_script()), host, 0)


def test_help_shows_an_example() -> None:
    result = CliRunner().invoke(command, ["--help"])
    assert result.exit_code == 0
    assert "Example:" in result.output
    assert "evalkit serve --port 8787" in result.output


def test_the_command_serves_a_script_until_interrupted(tmp_path: Path) -> None:
    script = tmp_path / "mine.yaml"
    script.write_text("script: mine\nrules: [{reply: served}]", encoding="utf-8")
    code = "from evalkit.cli.serve import serve; serve()"
    with subprocess.Popen(
        [sys.executable, "-c", code, "--port", "0", "--script", str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        result = re.fullmatch(
            r"evalkit serves the script 'mine' at (http://127\.0\.0\.1:\d+)   \(Ctrl-C ends\)\n",
            first,
        )
        assert result, first
        response = httpx.post(f"{result[1]}/v1beta/interactions", json=HELLO, headers=KEY)
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
    assert response.json()["steps"][-1]["content"][0]["text"] == "served"
    assert process.returncode == 0
    assert f"GOOGLE_GEMINI_BASE_URL={result[1]}" in rest
    assert f"POST /v1beta/interactions 200  rule at {script}:2" in rest
    assert "Traceback" not in rest
