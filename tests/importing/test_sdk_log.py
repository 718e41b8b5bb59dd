"""The debug log of google-genai, written by the SDK itself against a real server."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from evalkit.errors import UsageError
from evalkit.importing.traffic_reader import read_traffic
from evalkit.server import serving
from tests.importing.traffic import run_import, scenarios

KEY = "AIzaSyA-key-of-the-log-0123456789abcdefg"
PROGRAM = """
import os, sys
os.environ["GOOGLE_GENAI_DEBUG"] = "1"
from google import genai
client = genai.Client(api_key=sys.argv[2], http_options={"base_url": sys.argv[1]})
first = client.interactions.create(model="gemini-3.5-flash", input='It\\'s "fine" – Grüße')
create = client.interactions.create
second = create(model="gemini-3.5-flash", input="More", previous_interaction_id=first.id)
try:
    create(model="gemini-3.5-flash", input="Lost", previous_interaction_id="v1_unknown")
except Exception:
    pass
for event in create(model="gemini-3.5-flash", input="Streamed", stream=True):
    pass
"""


@pytest.fixture(scope="module")
def log() -> str:
    with serving() as url:
        command = [sys.executable, "-c", PROGRAM, url, KEY]
        result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return result.stderr


def test_a_conversation_is_imported(log: str, here: Path) -> None:
    assert KEY in log
    Path("sdk.log").write_text(log)
    result = run_import("sdk.log")
    assert result.exit_code == 0, result.output
    first, *others = scenarios()
    assert [turn["user"] for turn in first["turns"]] == ['It\'s "fine" – Grüße', "More"]
    assert "error" in next(iter(others[0]["turns"][0]["expect"]))
    Path("sdk.log").unlink()
    assert not any(KEY in path.read_text() for path in here.rglob("*.yaml"))


def test_responses_belong_to_the_oldest_open_request(log: str) -> None:
    Path("sdk.log").write_text(log.replace("\n", "\r\n"))
    first, second, lost, streamed = read_traffic(Path("sdk.log"))
    assert str(first.request_body).startswith('{"model":"gemini-3.5-flash","input":"It')
    assert [one.status for one in (first, second, lost, streamed)] == [200, 200, 404, 0]
    assert (streamed.body, streamed.broken) == ("", "the log has no response")


def test_a_log_with_times_and_bodies_of_several_lines() -> None:
    Path("app.log").write_text(
        "2026-11-30 10:00:00,000 DEBUG google.genai Request:\nMethod: POST\n"
        "URL: https://x.example/v1/interactions\nHeaders: Headers({'a': 'b'})\n"
        'Body: b\'{"input":"Hi"}\'\n'
        "2026-11-30 10:00:01,000 DEBUG google.genai Response:\nStatus Code: 200\n"
        "URL: https://x.example/v1/interactions\nHeaders: Headers(['odd'])\n"
        'Body: {\n  "steps": [],\n  "text": "DEBUG of an answer"\n}\n'
        "2026-11-30 10:00:02,000 INFO app done\n"
    )
    (recording,) = read_traffic(Path("app.log"))
    assert recording.request_body == '{"input":"Hi"}'
    assert recording.body == '{\n  "steps": [],\n  "text": "DEBUG of an answer"\n}'


@pytest.mark.parametrize(
    "layout",
    ["[%(levelname)s] %(message)s", "%(message)s", "[%(asctime)s] %(levelname)s %(message)s"],
)
def test_the_layout_of_the_log_does_not_matter(tmp_path: Path, layout: str) -> None:
    setup = f"import logging\nlogging.basicConfig(level=logging.DEBUG, format={layout!r})\n"
    with serving() as url:
        command = [sys.executable, "-c", setup + PROGRAM, url, KEY]
        result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    path = tmp_path / "sdk.log"
    path.write_text(result.stderr)
    recordings = read_traffic(path)
    assert [one.status for one in recordings] == [200, 200, 404, 0]
    assert all(isinstance(json.loads(one.body), dict) for one in recordings[:3])


def test_the_log_of_the_sdk_for_javascript_is_refused() -> None:
    Path("js.log").write_text("> Request: POST https://x.example/v1/interactions\n  Headers:\n")
    with pytest.raises(UsageError, match=r"js.log: the debug log of the SDK for JavaScript"):
        read_traffic(Path("js.log"))


def test_a_request_that_failed_has_not_the_next_response(tmp_path: Path) -> None:
    def request(text: str) -> str:
        url = "https://example.org/v1beta/interactions"
        body = f'{{"input": "{text}"}}'.encode()
        return f"DEBUG:google.genai:Request:\nMethod: POST\nURL: {url}\nHeaders: Headers({{}})\nBody: {body!r}\n"

    failure = "DEBUG:google.genai:Request Exception\nTraceback (most recent call last):\n  X\n"
    response = (
        "DEBUG:google.genai:Response:\nStatus Code: 200\nURL: "
        'https://example.org/v1beta/interactions\nHeaders: Headers({})\nBody: {"id": "a"}\n'
    )
    path = tmp_path / "sdk.log"
    path.write_text(request("lost") + failure + request("answered") + response)
    lost, answered = read_traffic(path)
    assert (lost.status, answered.status, answered.body) == (0, 200, '{"id": "a"}')
    assert "answered" in str(answered.request_body)
