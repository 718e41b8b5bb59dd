"""Imported conversations: drafts that replay, reports of other paths, files that cannot be imported."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from google import genai

from evalkit._lib.yaml import load
from evalkit.cli.main import main
from evalkit.importing.scenario_drafts import escape_templates, scenario_ids
from evalkit.plugins import Catalog
from evalkit.server import create_app, serving
from evalkit.server.scripting.script import Script
from evalkit.suite import load as load_suite
from tests.importing.traffic import exchange, import_log, interaction, pytest_in, run_import, text

SCRIPT = """\
script: shop
rules:
  - when: {text: {contains: order}, results: true}
    reply: "Your order is {{ result.value.state }}."
  - when: {text: {contains: order}, tools: [find_order]}
    steps: [{call: {name: find_order, arguments: {number: "{{ text | replace('order ', '') | int }}"}}}]
  - when: {text: {contains: search}}
    steps: [{search: {queries: [x]}}, {text: Found it., cite: [{url: "https://example.org/a", title: example.org}]}]
  - when: {text: {contains: as JSON}}
    steps: [{json: {name: Rex, age: 3}}]
  - when: {text: fail}
    error: {status: 400}
"""
TOOL = {
    "type": "function",
    "name": "find_order",
    "description": "Finds an order.",
    "parameters": {
        "type": "object",
        "properties": {"number": {"type": "integer"}},
        "required": ["number"],
    },
}
STATES: dict[int, Any] = {1: {"state": "sent"}, 2: {"state": "lost"}}


def call(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["import", *arguments])


class Log:
    """A log that an application writes about its traffic."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lines: list[str] = []

    def exchange(self, request: Any, response: Any, **more: Any) -> None:
        self._lines.append(json.dumps({"request": request, "response": response, **more}))
        self.path.write_text("\n".join(self._lines) + "\n")


@pytest.fixture
def ask(here: Path) -> Iterator[Callable[..., dict[str, Any]]]:
    """Send requests to a real server through httpx, log them, return the parsed responses."""
    import httpx

    log = Log(here / "traffic.jsonl")
    with serving(create_app(Script.load(SCRIPT, "shop.yaml"))) as url, httpx.Client() as client:

        def ask(**body: Any) -> dict[str, Any]:
            body = {"model": "gemini-3.5-flash", **body}
            response = client.post(
                f"{url}/v1/interactions", json=body, headers={"x-goog-api-key": "secret-key-1234"}
            )
            logged = {
                "status": response.status_code,
                "body": response.text
                if "event" in response.headers["content-type"]
                else response.json(),
            }
            log.exchange({"method": "POST", "url": f"{url}/v1/interactions", "body": body}, logged)
            return response.json() if not body.get("stream") else {}

        yield ask


def order(ask: Callable[..., dict[str, Any]], number: int) -> None:
    first = ask(input=f"order {number}", tools=[TOOL], system_instruction="Use {{braces}}.")
    result = {
        "type": "function_result",
        "call_id": first["steps"][-1]["id"],
        "name": "find_order",
        "result": [{"type": "text", "text": json.dumps(STATES[number])}],
    }
    ask(
        input=[result],
        tools=[TOOL],
        previous_interaction_id=first["id"],
        system_instruction="Use {{braces}}.",
    )


def test_a_log_becomes_a_suite_that_replays(ask: Callable[..., dict[str, Any]], here: Path) -> None:
    order(ask, 1)
    order(ask, 2)
    ask(input="search it", tools=[{"type": "google_search"}], stream=True)
    ask(
        input="as JSON",
        response_format={
            "type": "text",
            "mime_type": "application/json",
            "schema": {"type": "object"},
        },
        store=False,
        labels={"a": "b"},
    )
    ask(input="fail")
    outcome = call("traffic.jsonl", "--suite", "shop")
    assert outcome.exit_code == 0, outcome.output
    assert outcome.output.splitlines() == [
        "suites/shop.yaml: 5 scenarios",
        "The expectations are drafts: they say what happened, not what is right. "
        "Read them, and keep what matters.",
    ]
    value = load((here / "suites/shop.yaml").read_text())
    scenarios = {scenario["id"]: scenario for scenario in value["scenarios"]}
    assert list(scenarios) == ["order-1", "order-2", "search-it", "as-json", "fail"]
    assert all(scenario["tags"] == ["drafted"] for scenario in scenarios.values())
    assert value["tools"]["find_order"]["results"] == [
        {"when": {"number": 1}, "result": {"state": "sent"}},
        {"when": {"number": 2}, "result": {"state": "lost"}},
    ]
    assert scenarios["order-1"]["turns"][0]["expect"] == [
        {"status": "completed"},
        {
            "steps": {
                "steps": ["function_call", "function_result", "model_output"],
                "ignore": ["thought"],
            }
        },
        {"tool_calls": [{"name": "find_order", "arguments": {"number": 1}}]},
    ]
    assert scenarios["order-1"]["system_instruction"] == "{% raw %}Use {{braces}}.{% endraw %}"
    assert scenarios["search-it"]["stream"] is True
    assert {"citations": {"min": 1, "spans": "valid"}} in scenarios["search-it"]["turns"][0][
        "expect"
    ]
    assert scenarios["as-json"]["history"] == "stateless"
    assert {"json_schema": "response_format"} in scenarios["as-json"]["turns"][0]["expect"]
    assert scenarios["fail"]["turns"][0]["expect"] == [
        {"error": {"status": 400, "code": "invalid_request"}}
    ]
    assert "secret-key-1234" not in "".join(path.read_text() for path in here.rglob("*.yaml"))
    assert "5 passed" in pytest_in(here, "suites")


def test_the_official_sdk_taped_by_plain_vcrpy(here: Path) -> None:
    import vcr

    with serving() as url, vcr.use_cassette(str(here / "tape.yaml")):
        client = genai.Client(api_key="any", http_options={"base_url": url})
        first = client.interactions.create(
            model="gemini-3.5-flash", input="I have 2 dogs in my house."
        )
        client.interactions.create(
            model="gemini-3.5-flash",
            input="How many paws are in my house?",
            previous_interaction_id=first.id,
        )
    assert call("tape.yaml").exit_code == 0
    (scenario,) = load((here / "suites/tape.yaml").read_text())["scenarios"]
    assert [turn["user"] for turn in scenario["turns"]] == [
        "I have 2 dogs in my house.",
        "How many paws are in my house?",
    ]
    assert (here / "cassettes/tape/i-have-2-dogs-in-my-house.yaml").is_file()


def test_conversations_with_conflicting_tools_become_separate_suites(
    ask: Callable[..., dict[str, Any]], here: Path
) -> None:
    order(ask, 1)
    STATES[1], original = {"state": "back"}, STATES[1]
    try:
        order(ask, 1)
    finally:
        STATES[1] = original
    outcome = call("traffic.jsonl", "--suite", "shop", "--no-cassettes")
    assert outcome.output.splitlines()[:2] == [
        "suites/shop.yaml: 1 scenario",
        "suites/shop-2.yaml: 1 scenario",
    ]
    assert not (here / "cassettes").exists()


def test_media_become_files(ask: Callable[..., dict[str, Any]], here: Path) -> None:
    picture = "iVBORw0KGgo="
    ask(
        input=[
            {"type": "text", "text": "look {{x}}"},
            {"type": "image", "data": picture, "mime_type": "image/png"},
        ]
    )
    ask(
        input=[
            {"type": "image", "data": picture, "mime_type": "image/png"},
            {"type": "text", "text": "look again"},
        ]
    )
    assert call("traffic.jsonl").exit_code == 0
    first, second = load((here / "suites/traffic.yaml").read_text())["scenarios"]
    assert first["turns"][0]["user"] == "{% raw %}look {{x}}{% endraw %}"
    (attachment,) = first["turns"][0]["attach"]
    assert (here / "suites" / attachment["image"]).read_bytes() == b"\x89PNG\r\n\x1a\n"
    assert attachment["image"].endswith(".png")
    assert [block["type"] for block in second["turns"][0]["user"]] == ["image", "text"]


def test_a_call_that_no_stub_fits_is_reported(
    ask: Callable[..., dict[str, Any]], here: Path
) -> None:
    order(ask, 1)
    call("traffic.jsonl", "--suite", "shop", "--no-cassettes")
    path = here / "suites/shop.yaml"
    other = "script: other\nrules:\n  - when: {text: {contains: order}, results: true}\n    reply: 'It said {{ result.text }}'\n"
    other += "  - when: {text: {contains: order}}\n    steps: [{call: {name: find_order, arguments: {number: 7}}}]\n"
    with serving(create_app(Script.load(other, "other.yaml"))) as url:
        options = ["suites", "--evalkit-live", "--evalkit-base-url", url, "--evalkit-report", "run"]
        pytest_in(here, *options)
        (line,) = (here / "run/results.jsonl").read_text().splitlines()
        findings = [
            finding
            for check in json.loads(line)["checks"]
            for finding in check["findings"]
            if finding["code"] == "call_without_answer"
        ]
        assert [(finding["severity"], finding["got"]) for finding in findings] == [
            ("warn", {"number": 7})
        ]
        (here / "mine.py").write_text(
            "def find(number):\n    return {'state': f'asked for {number}'}\n"
        )
        path.write_text(
            path.read_text().replace("    results:\n", "    python: mine:find\n    results:\n", 1)
        )
        pytest_in(here, *options)
        (line,) = (here / "run/results.jsonl").read_text().splitlines()
        assert "call_without_answer" not in line
        assert "asked for 7" in json.loads(line)["turns"][0]["text"]


@pytest.mark.parametrize(
    "text",
    [
        "plain",
        "{{ x }}",
        "{% if %}",
        "{# no #}",
        "{% raw %}{{a}}{% endraw %}",
        "a\nb {{ 'q' }} \\ \u202e",
    ],
)
def test_recorded_text_is_never_read_as_a_template(text: str) -> None:
    from evalkit.suite.model.templates import is_template, template

    written = escape_templates({"x": [text]})["x"][0]
    assert (template(written).render({}) if is_template(written) else written) == text


def test_scenario_ids_are_unique_words() -> None:
    assert list(scenario_ids(["Hello, World!", "hello world", "", "漢字", "x" * 99])) == [
        "hello-world",
        "hello-world-2",
        "conversation",
        "conversation-2",
        "x" * 40,
    ]


def test_results_of_a_run_can_be_imported(ask: Callable[..., dict[str, Any]], here: Path) -> None:
    order(ask, 1)
    call("traffic.jsonl", "--suite", "shop")
    pytest_in(here, "suites", "--evalkit-report", "run")
    outcome = call("run/results.jsonl", "--suite", "again")
    assert outcome.exit_code == 0, outcome.output
    (scenario,) = load_suite(here / "suites/again.yaml", root=here, checks=Catalog()).scenarios
    assert scenario.id == "order-1"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.jsonl", "{", "a.jsonl:1 is not JSON"),
        ("a.jsonl", "\n[]\n", "no conversation: the files contain no request"),
        ("a.jsonl", "\n[1]\n", "a.jsonl:2 item 1 is not an exchange: expected"),
        ("a.jsonl", "{}", "a.jsonl:1 is not an exchange: expected"),
        ("a.jsonl", '{"request": 1, "response": {}}', "a.jsonl:1 is not an exchange: expected"),
        (
            "a.jsonl",
            '{"request": {"body": {}}, "response": {"status": "ok"}}',
            "a.jsonl:1: the status is string, not a number",
        ),
        ("a.jsonl", "", "no conversation: the files contain no request"),
        ("a.yaml", "interactions: [\n", "a.yaml:"),
        ("a.txt", "hello", "a.txt:"),
    ],
)
def test_unusable_files_are_reported(here: Path, name: str, text: str, message: str) -> None:
    (here / name).write_text(text)
    outcome = call(name)
    assert outcome.exit_code == 2
    assert outcome.output.startswith("evalkit: ")
    assert message in outcome.output
    assert not (here / "suites").exists()


def test_existing_files_are_not_overwritten(ask: Callable[..., dict[str, Any]], here: Path) -> None:
    ask(input="Hello")
    (here / "suites").mkdir()
    (here / "suites/traffic.yaml").write_text("mine")
    outcome = call("traffic.jsonl")
    assert (outcome.exit_code, (here / "suites/traffic.yaml").read_text()) == (2, "mine")
    assert (
        "suites/traffic.yaml: the file already exists; choose another name with --suite, "
        "or another folder with --out" in outcome.output
    )
    assert call("traffic.jsonl", "--suite", "a b").output == (
        "evalkit: --suite: 'a b' is not a suite name "
        "(letters, digits, '-', '_' and '.', a letter or digit first)\n"
    )
    assert "No such file" in call("none.yaml").output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--out", "log.jsonl"), "log.jsonl: cannot be written ("),
        (("--cassettes", "log.jsonl/x"), "log.jsonl/x: cannot be written ("),
        (("--redact", "interactions"), "does a pattern of --redact match addresses?"),
        (("-",), "-: not a regular file"),
    ],
)
def test_a_mistake_leaves_nothing_behind(
    here: Path, arguments: tuple[str, ...], message: str
) -> None:
    (here / "log.jsonl").write_text(json.dumps(exchange({"input": "Hi"}, interaction(text("Hi.")))))
    outcome = run_import("log.jsonl", *arguments)
    assert outcome.exit_code == 2
    assert message in outcome.output
    assert sorted(path.name for path in here.iterdir()) == ["log.jsonl", "pyproject.toml"]


@pytest.mark.parametrize("option", ["--sample=3", "--filter=model"])
def test_ids_are_not_sampled(option: str) -> None:
    outcome = run_import("--interaction", "v1_a", option)
    assert outcome.exit_code == 2
    assert "--sample and --filter choose conversations of files; name files" in outcome.output


def test_logs_in_folders_are_mentioned_where_nothing_is_read(here: Path) -> None:
    (here / "logs").mkdir()
    (here / "logs/a.jsonl").write_text("{}")
    assert "logs in folders are not read: name them" in run_import("logs").output


@pytest.mark.parametrize(
    ("out", "schema"),
    [
        ("suites", "../evalkit.schema.json"),
        ("a/b", "../../evalkit.schema.json"),
        (".", "evalkit.schema.json"),
        ("cassettes", "../evalkit.schema.json"),
        ("../beside", "../here/evalkit.schema.json"),
    ],
)
def test_a_suite_is_written_to_its_folder_and_nowhere_else(
    here: Path, monkeypatch: pytest.MonkeyPatch, out: str, schema: str
) -> None:
    (here / "here").mkdir()
    (here / "temporary/inner").mkdir(parents=True)
    monkeypatch.chdir(here / "here")
    monkeypatch.setattr(tempfile, "tempdir", str(here / "temporary/inner"))
    outcome = import_log(exchange({"input": "Hi"}, interaction(text("Hi."))))
    assert outcome.exit_code == 0, outcome.output
    Path("suites/log.yaml").unlink()
    Path("cassettes/log/hi.yaml").unlink()
    assert run_import("log.jsonl", "--out", out).exit_code == 0
    suite = Path(out, "log.yaml").read_text()
    assert suite.startswith(f"# yaml-language-server: $schema={schema}\n")
    assert [*(here / "temporary").rglob("*")] == [here / "temporary/inner"]
