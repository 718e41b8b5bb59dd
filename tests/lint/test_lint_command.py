"""The command ``evalkit lint``: output, exit codes, file search, cassettes written by vcrpy."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import vcr
from click.testing import CliRunner

from evalkit.cli import main
from evalkit.lint import RULES
from evalkit.lint.rules import TOPICS
from tests.lint.cassettes import (
    KEY,
    create_request,
    function_call,
    interaction,
    lint_codes,
    lint_findings,
    model_output,
    png,
    recording,
    thought,
    user_input,
    write,
)

ROOT = Path(__file__).parents[2]


def run(*arguments: Any) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["lint", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.output
    return result.exit_code, result.output


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_project_s_own_cassettes_are_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    code, output = run("cassettes", "--fail-on", "warn")
    assert code == 0, output


def test_findings_are_grouped_by_file_and_exchange(project: Path) -> None:
    write(
        project / "tapes" / "app.yaml",
        recording(
            create_request(store=False, input=[user_input()]),
            interaction(thought("EvEFCu4FAQw"), model_output("Nice!"), id=None),
        ),
        recording(
            create_request(
                store=False,
                input=[
                    user_input(),
                    thought("EvEFCu4FAqw"),
                    model_output("Nice!"),
                    user_input("More"),
                ],
            ),
            interaction(id=None, mood="\u202efine"),
        ),
    )
    code, output = run("tapes")
    assert code == 1
    assert output == (
        "tapes/app.yaml:50 exchange 2\n"
        '  error signature_altered: the signature of thought "EvEFCu4FAQw" (response of\n'
        "    exchange 1) was altered\n"
        "    at request /input/1/signature\n"
        '    expected  "EvEFCu4FAQw"\n'
        '    got       "EvEFCu4FAqw"\n'
        '  info new_field: the field "mood" of the interaction is new\n'
        "    at response /mood\n"
        '    got       "<U+202E>fine"\n'
        "\n"
        "1 cassette, 2 exchanges: 1 error, 1 note\n"
    )


def test_lines_are_80_columns_wide_and_harmless(project: Path) -> None:
    hostile = "\x1b[31m\u202e\x00 " + "very long words " * 30
    write(
        project / "c.yaml",
        recording(
            create_request(**{hostile: hostile}),
            interaction(function_call(name=hostile), status=hostile, **{hostile: hostile}),
        ),
    )
    _, output = run("c.yaml")
    assert max(map(len, output.splitlines())) <= 80
    assert "\x1b" not in output
    assert "\u202e" not in output


def test_json_is_one_array_with_all_keys_and_nothing_else(project: Path) -> None:
    write(project / "c.yaml", recording(create_request(), interaction(mood="fine")))
    code, output = run("c.yaml", "--json")
    assert code == 0
    assert json.loads(output) == [
        {
            "file": "c.yaml",
            "exchange": 1,
            "code": "new_field",
            "severity": "info",
            "where": {"line": 2, "part": "response", "pointer": "/mood"},
            "message": 'the field "mood" of the interaction is new',
            "expected": None,
            "got": "fine",
        }
    ]


def test_no_findings_are_an_empty_array_or_one_line(project: Path) -> None:
    write(project / "c.yaml", recording(create_request(), interaction()))
    assert json.loads(run("c.yaml", "--json")[1]) == []
    assert run("c.yaml") == (0, "1 cassette, 1 exchange: no findings\n")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), 0),
        (("--fail-on", "warn"), 1),
        (("--fail-on", "info"), 1),
        (("--fail-on", "info", "--ignore", "new,steps_missing"), 0),
        (("--fail-on", "info", "--select", "new"), 1),
        (("--fail-on", "info", "--select", "secrets", "--select", "media"), 0),
        (("--fail-on", "warn", "--select", "protocol"), 1),
    ],
)
def test_the_exit_code_follows_fail_on(
    arguments: tuple[str, ...], expected: int, project: Path
) -> None:
    write(
        project / "c.yaml",
        recording(create_request(), {"id": "v1_a", "status": "completed", "mood": "fine"}),
    )
    assert run("c.yaml", *arguments)[0] == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nowhere.yaml",), "nowhere.yaml: no such file or folder"),
        ((), "no PATH given; name the cassettes, e.g. evalkit lint cassettes"),
        (
            (".", "--select", "steps_mising"),
            "unknown rule or topic 'steps_mising' (did you mean 'steps_missing'?)",
        ),
        ((".", "--ignore", "secret"), "unknown rule or topic 'secret' (did you mean 'secrets'?)"),
        ((".", "--run", "nowhere"), "nowhere is not a run directory"),
        ((".", "--suites", "nowhere"), "nowhere: no such file or folder"),
        ((".", "--max-age", "-1"), "--max-age"),
    ],
)
def test_a_usage_mistake_is_one_line_and_exit_code_2(
    arguments: tuple[str, ...], message: str, project: Path
) -> None:
    code, output = run(*arguments)
    assert code == 2
    assert message in output
    assert "Traceback" not in output


def test_a_damaged_cassette_is_reported_with_its_line_and_exits_with_3(project: Path) -> None:
    path = write(
        project / "c.yaml",
        recording(create_request(), interaction()),
        recording(create_request(), interaction()),
    )
    path.write_text(path.read_text("utf-8")[:-200], encoding="utf-8")
    write(project / "good.yaml", recording(create_request(), interaction(mood="fine")))
    code, output = run(".")
    assert code == 3
    assert output.startswith("c.yaml:")
    assert "cassette_unreadable" in output
    assert "new_field" in output
    assert run(".", "--ignore", "cassette_unreadable")[0] == 0


def test_only_cassettes_of_a_folder_are_checked(project: Path) -> None:
    write(project / "a" / "b" / "deep.yaml", recording(create_request(), interaction(mood="fine")))
    write(project / ".hidden" / "c.yaml", recording(create_request(), interaction(mood="fine")))
    (project / "a" / "config.yml").write_text("services: {}\n", encoding="utf-8")
    (project / "a" / "b" / "empty.yaml").write_text("", encoding="utf-8")
    (project / "a" / "empty.yaml").write_text("", encoding="utf-8")
    findings = lint_findings(project / "a", project / "a" / "b")
    assert [(Path(finding.file).name, finding.code) for finding in findings] == [
        ("deep.yaml", "new_field"),
        ("empty.yaml", "cassette_unreadable"),
    ]
    assert run("a")[1].endswith(
        "2 cassettes, 1 exchange: 1 error, 1 note; 2 YAML files skipped (not a cassette)\n"
    )


def test_suites_are_found_by_default_folder_option_and_ini(project: Path) -> None:
    suite = (
        "suite: weather\nscenarios:\n  - id: london\n    model: gemini-3.5-flash\n    turns:\n      - user: Hi\n"
        "        expect: [my_own_check: {x: 1}]\n"
    )
    (project / "suites").mkdir()
    (project / "suites" / "w.yaml").write_text(suite, encoding="utf-8")
    write(
        project / "cassettes" / "weather" / "london.yaml",
        recording(create_request(), interaction()),
    )
    write(
        project / "cassettes" / "weather" / "paris.yaml", recording(create_request(), interaction())
    )
    write(project / "cassettes" / "tape" / "mine.yaml", recording(create_request(), interaction()))
    assert "cassettes/weather/paris.yaml\n  warn cassette_orphan" in run("cassettes")[1]
    assert "mine.yaml" not in run("cassettes")[1]
    (project / "suites").rename(project / "evals")
    assert "orphan" not in run("cassettes")[1]
    assert "orphan" in run("cassettes", "--suites", "evals")[1]
    assert "orphan" in run("cassettes", "evals")[1]
    for name, ini in (
        ("pytest.ini", "[pytest]\nevalkit_suites = evals\n"),
        ("pyproject.toml", '[tool.pytest.ini_options]\nevalkit_suites = ["evals"]\n'),
        ("pyproject.toml", '[tool.pytest]\nevalkit_suites = ["evals"]\n'),
        ("setup.cfg", "[tool:pytest]\nevalkit_suites = evals other\n"),
    ):
        (project / name).write_text(ini, encoding="utf-8")
        assert "orphan" in run("cassettes")[1]
        (project / name).unlink()
    (project / "evals" / "w.yaml").rename(project / "evals" / "w.eval.yaml")
    assert "orphan" in run("cassettes")[1]


def test_a_damaged_cassette_is_reported_whatever_is_selected(project: Path) -> None:
    (project / "c.yaml").write_text("interactions: [\n", encoding="utf-8")
    code, output = run("c.yaml", "--select", "history")
    assert code == 3
    assert "cassette_unreadable" in output
    assert run("c.yaml", "--select", "history", "--ignore", "cassette_unreadable")[0] == 0


def test_a_cassette_that_vcrpy_wrote_as_json(service: str, tmp_path: Path) -> None:
    path = tmp_path / "vcr.json"
    with vcr.use_cassette(str(path), serializer="json"):
        httpx.post(
            f"{service}/v1/interactions", json=create_request(input="fine 🙂"), trust_env=False
        )
    assert lint_codes(path) == ["cookie", "new_field"]
    path.write_text(path.read_text("utf-8")[:-20], encoding="utf-8")
    assert lint_codes(path) == ["cassette_unreadable"]


def test_the_table_of_rules_is_printed_and_documented() -> None:
    code, output = run("--rules")
    assert code == 0
    page = (ROOT / "docs" / "lint.md").read_text(encoding="utf-8")
    rows = [
        line
        for line in page.splitlines()
        if line.startswith("| `") and "` |" in line and line.count(" | ") == 2
    ]
    assert rows == [
        f"| `{rule.code}` | {rule.severity} | {rule.meaning} |"
        for topic in TOPICS
        for rule in RULES.values()
        if rule.topic == topic
    ]
    for topic, meaning in TOPICS.items():
        assert f"### `{topic}`: {meaning.partition(' (see')[0]}" in page
    for rule in RULES.values():
        assert f"  {rule.code} " in output


def test_new_fields_are_reported_once_per_file_with_a_count(tmp_path: Path) -> None:
    path = write(
        tmp_path / "c.yaml",
        *[recording(create_request(), interaction(mood="fine")) for _ in range(5)],
        recording(create_request(), interaction(tempo=1)),
    )
    findings = lint_findings(path)
    assert [(finding.exchange, finding.message) for finding in findings] == [
        (1, 'the field "mood" of the interaction is new (5 times in this file)'),
        (6, 'the field "tempo" of the interaction is new'),
    ]


class _Service(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        answer = json.dumps(
            interaction(model_output("seen " + "x" * 200), thought(), mood=body["input"])
        ).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("set-cookie", "NID=511abcdefghijklmnop; HttpOnly")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: Any) -> None:
        return


@pytest.fixture
def service() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Service)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_cassette_that_vcrpy_recorded(service: str, tmp_path: Path) -> None:
    path = tmp_path / "vcr.yaml"
    with vcr.use_cassette(str(path)):
        for words in ("fine", "bad"):
            httpx.post(
                f"{service}/v1/interactions?key={KEY}",
                json=create_request(input=words),
                headers={"x-goog-api-key": KEY},
                trust_env=False,
            )
    findings = lint_findings(path)
    assert [(finding.exchange, finding.code) for finding in findings] == [
        (1, "secret_in_url"),
        (1, "secret_token"),
        (1, "secret_header"),
        (1, "cookie"),
        (1, "new_field"),
    ]
    assert [finding.message for finding in findings if finding.code == "secret_header"] == [
        "a credential in the request header x-goog-api-key (2 recordings)"
    ]
    lines = path.read_text("utf-8").splitlines()
    assert all(lines[finding.where["line"] - 1].startswith("- request:") for finding in findings)


def test_media_that_is_sent_again_is_checked_once(tmp_path: Path) -> None:
    wrong = {
        "type": "user_input",
        "content": [{"type": "image", "data": png(), "mime_type": "image/jpeg"}],
    }
    path = write(
        tmp_path / "c.yaml",
        recording(create_request(store=False, input=[wrong]), interaction(id=None)),
        recording(
            create_request(store=False, input=[wrong, model_output("Hello"), user_input("More")]),
            interaction(id=None),
        ),
    )
    assert lint_codes(path) == ["media_type_differs"]
