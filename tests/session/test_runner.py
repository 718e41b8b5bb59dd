"""Outcomes of variants: passed, failed, errored, skipped; which checks and variants run."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from evalkit.plugins import Catalog
from evalkit.server import create_app, load_script, serving
from evalkit.session import Runner, Settings
from evalkit.suite import expand, load
from evalkit.transports.live import RETRIES, LiveTransport

pytestmark = pytest.mark.usefixtures("quick_retries")

SCRIPT = """\
script: outcomes
rules:
  - {when: {results: true}, reply: done}
  - {when: {text: quota}, error: {status: 429}}
  - {when: {text: down}, error: {status: 503}}
  - {when: {text: blocked}, error: {status: 400, code: safety, message: blocked for safety}}
  - {when: {text: unknown tool}, steps: [{type: function_call, id: c1, name: not_declared, arguments: {}}]}
  - {when: {text: call with a}, steps: [{type: function_call, id: c1, name: tool, arguments: {a: 1}}]}
  - {when: {text: use the tool}, steps: [{call: {name: tool, arguments: {a: 1}}}]}
  - {when: {text: json}, steps: [{json: {a: 1}}]}
  - {when: {text: {contains: say }}, reply: said}
  - {reply: plain}
"""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    script = tmp_path_factory.mktemp("script") / "script.yaml"
    script.write_text(
        SCRIPT.replace(
            "  - {when: {text: {matches: 'error (?P<status>\\d+)'}}, error: {status: 418}}\n", ""
        ).replace(
            "{when: {text: json}, steps: [{json: {a: 1}}]}",
            "{when: {text: json}, steps: [{json: {a: 1}}]}",
        )
    )
    with serving(create_app(load_script(script))) as served:
        yield served


Run = Callable[..., dict[str, dict[str, Any]]]


@pytest.fixture
def run(tmp_path: Path, url: str) -> Iterator[Run]:
    """Return a function that runs scenarios live and returns the result lines by id."""
    (tmp_path / "runner_tools.py").write_text(
        "def boom(**arguments):\n    raise RuntimeError('the tool broke')\n"
        "def takes_b(b=0):\n    return b\n"
    )

    def go(
        scenarios: str, *, live: bool = True, mode: str = "none", base_url: str = url
    ) -> dict[str, dict[str, Any]]:
        path = tmp_path / "suites" / "s.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"suite: s\ndefaults: {{model: gemini-3.5-flash}}\n{scenarios}")
        suite = load(path, root=tmp_path, checks=Catalog())
        variants = expand(suite)
        runner = Runner(
            Settings(
                root=tmp_path,
                cassettes=tmp_path / "cassettes",
                mode=mode,  # type: ignore[arg-type]
                live=live,
                base_url=base_url,
            )
        )
        runner.introduce(variants)
        lines = [json.loads(runner.run(variant).line) for variant in variants]
        return {line["id"]: line for line in lines}

    yield go
    sys.modules.pop("runner_tools", None)


def one(results: dict[str, dict[str, Any]]) -> dict[str, Any]:
    (result,) = results.values()
    return result


def verdicts(result: dict[str, Any]) -> list[tuple[str, str, int | None]]:
    return [(check["name"], check["verdict"], check.get("turn")) for check in result["checks"]]


@pytest.mark.parametrize(
    ("message", "verdict"), [("quota", "errored"), ("down", "errored"), ("blocked", "failed")]
)
def test_unexpected_api_error_is_a_failure_or_an_error_by_its_code(
    run: Run, message: str, verdict: str, impatient: None
) -> None:
    turns = (
        f"[{{user: {message}, expect: [{{text: x}}]}}, {{user: say x, expect: [{{text: said}}]}}]"
    )
    result = one(run(f"scenarios: [{{id: a, turns: {turns}}}]"))
    assert result["verdict"] == verdict
    assert verdicts(result) == [
        ("conversation", verdict, 1),
        ("text", "skipped", 1),
        ("text", "skipped", 2),
    ]
    assert result["checks"][0]["findings"][0]["code"] == "api_error"
    assert [turn["outcome"] for turn in result["turns"]] == ["api_error", "not_run"]


def test_an_expected_api_error_passes(run: Run) -> None:
    result = one(
        run(
            "scenarios: [{id: a, turns: [{user: blocked, expect: [{error: {status: 400, code: safety}}]}]}]"
        )
    )
    assert verdicts(result) == [("error", "passed", 1)]


def test_missing_expected_error_fails(run: Run) -> None:
    result = one(
        run("scenarios: [{id: a, turns: [{user: say x, expect: [{error: {status: 400}}]}]}]")
    )
    assert result["verdict"] == "failed"


def test_a_failed_turn_does_not_stop_the_conversation(run: Run) -> None:
    turns = "[{user: say x, expect: [{text: nothing}]}, {user: say y, expect: [{text: said}]}]"
    result = one(run(f"scenarios: [{{id: a, turns: {turns}}}]"))
    assert verdicts(result) == [("text", "failed", 1), ("text", "passed", 2)]
    stopped = one(run(f"scenarios: [{{id: a, stop_on_failure: true, turns: {turns}}}]"))
    assert verdicts(stopped) == [("text", "failed", 1), ("text", "skipped", 2)]
    assert stopped["turns"][1]["outcome"] == "not_run"


def test_severity_and_negation_apply_to_findings(run: Run) -> None:
    result = one(
        run(
            "scenarios: [{id: a, turns: [{user: say x, expect: [{text: nothing, severity: warn}, {not: {text: nothing}}, {not: {text: said}}]}]}]"
        )
    )
    assert [check["verdict"] for check in result["checks"]] == ["passed", "passed", "failed"]
    assert result["checks"][0]["findings"][0]["severity"] == "warn"


def test_a_tool_that_crashes_is_an_error_with_its_reason(run: Run) -> None:
    result = one(
        run(
            "tools: {tool: {description: t, parameters: {type: object, properties: {a: {type: integer}}}, python: 'runner_tools:boom'}}\n"
            "scenarios: [{id: a, tools: [tool], turns: [{user: use the tool}]}]"
        )
    )
    assert result["verdict"] == "errored"
    finding = result["checks"][0]["findings"][0]
    assert (finding["code"], "RuntimeError: the tool broke" in finding["message"]) == (
        "tool_crashed",
        True,
    )


@pytest.mark.parametrize(
    ("parameters", "answer", "reason", "returns_error"),
    [
        ("{b: {type: integer}}", "python: 'runner_tools:takes_b'", "argument 'a'", True),
        ("{a: {type: string}}", "python: 'runner_tools:boom'", "/a must be of type string", True),
        ("{a: {type: string}}", "result: fixed", "/a must be of type string, got 1", False),
        ("{a: {enum: [2, 3]}}", "result: fixed", "/a must be one of [2, 3], got 1", False),
    ],
)
@pytest.mark.parametrize("expect", ["", "tool_calls", "{not: {status: failed}}"])
def test_invalid_arguments_are_the_fault_of_the_model(
    run: Run, parameters: str, answer: str, reason: str, returns_error: bool, expect: str
) -> None:
    declared = f"{{type: object, properties: {parameters}}}"
    result = one(
        run(
            f"tools: {{tool: {{description: t, parameters: {declared}, {answer}}}}}\n"
            f"scenarios: [{{id: a, tools: [tool], turns: [{{user: call with a, expect: [{expect}]}}]}}]"
        )
    )
    assert result["verdict"] == "failed", result["message"]
    (finding,) = [finding for check in result["checks"] for finding in check["findings"]]
    assert finding["code"] == "arguments_invalid"
    assert reason in finding["message"]
    assert finding["got"] == {"a": 1}
    (sent,) = [each["step"] for each in result["turns"][0]["steps"] if each["origin"] == "client"]
    assert sent.get("is_error", False) is returns_error
    assert ("do not fit the declared parameters" in json.dumps(sent)) is returns_error


@pytest.mark.parametrize(("option", "verdict"), [("schema", "failed"), ("ignore", "passed")])
def test_a_suite_decides_whether_arguments_are_checked(run: Run, option: str, verdict: str) -> None:
    path = f"{{expect: [{{tool_calls: {{arguments: {option}}}}}]"
    results = run(
        "tools: {tool: {description: t, parameters: {type: object, required: [b]}, result: x}}\n"
        f"scenarios: [{{id: a, tools: [tool], turns: [{{user: call with a}}], {path[1:]}}},"
        f" {{id: b, turns: [{{user: say x}}], {path[1:]}}}]"
    )
    assert results["s::a"]["verdict"] == verdict
    assert results["s::b"]["verdict"] == "passed"


def test_a_call_of_an_undeclared_tool_is_a_finding_not_a_crash(run: Run) -> None:
    result = one(run("scenarios: [{id: a, turns: [{user: unknown tool}]}]"))
    assert result["verdict"] == "failed"
    assert [finding["code"] for check in result["checks"] for finding in check["findings"]] == [
        "undeclared_tool"
    ]
    declared = one(
        run(
            "scenarios: [{id: a, turns: [{user: unknown tool, expect: [tool_calls: [{name: not_declared}]]}]}]"
        )
    )
    assert [finding["code"] for check in declared["checks"] for finding in check["findings"]] == [
        "undeclared_tool"
    ]


def test_a_byte_order_mark_in_a_file_of_a_check_is_no_part_of_it(run: Run, tmp_path: Path) -> None:
    (tmp_path / "schema.json").write_text('{"type": "object", "required": ["a"]}', "utf-8-sig")
    turns = "[{user: json, expect: [{json_schema: {file: schema.json}}]}]"
    assert one(run(f"scenarios: [{{id: a, turns: {turns}}}]"))["verdict"] == "passed"


def test_a_check_that_crashes_is_errored_never_failed(run: Run) -> None:
    result = one(
        run("scenarios: [{id: a, turns: [{user: say x, expect: [{python: 'runner_tools:boom'}]}]}]")
    )
    assert result["verdict"] == "errored"
    assert verdicts(result) == [("python", "errored", 1)]


def test_message_that_reads_json_fails_when_the_previous_text_is_not_json(run: Run) -> None:
    turns = "[{user: say x}, {user: 'say {{ previous.json.a }}'}]"
    result = one(run(f"scenarios: [{{id: a, turns: {turns}}}]"))
    assert result["verdict"] == "failed"
    assert result["checks"][0]["findings"][0]["code"] == "answer_unusable"
    fine = one(
        run(
            "scenarios: [{id: a, turns: [{user: json}, {user: 'say {{ previous.json.a }}', expect: [{text: said}]}]}]"
        )
    )
    assert fine["verdict"] == "passed"
    assert fine["turns"][1]["user"] == [{"type": "text", "text": "say 1"}]


def test_unreachable_endpoint_is_a_network_error(run: Run, impatient: None) -> None:
    result = one(run("scenarios: [{id: a, turns: [{user: say x}]}]", base_url="http://127.0.0.1:9"))
    assert result["verdict"] == "errored"
    assert result["checks"][0]["findings"][0]["code"] == "connect_failed"


def test_unreachable_endpoint_is_retried_by_one_variant_only(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    retries = []
    patient = LiveTransport.__init__

    def note(self: LiveTransport, *args: Any, **kwargs: Any) -> None:
        retries.append(kwargs["retries"])
        patient(self, *args, **{**kwargs, "retries": 0})

    monkeypatch.setattr(LiveTransport, "__init__", note)
    scenarios = ", ".join(f"{{id: {name}, turns: [{{user: say x}}]}}" for name in "abc")
    run(f"scenarios: [{scenarios}]", base_url="http://127.0.0.1:9")
    assert retries == [RETRIES, 0, 0]


SAME = "scenarios: [{id: a, history: [stateful, stateless], turns: [{user: say x}], expect: [{same_as: {history: stateful}}]}]"


def test_same_as_runs_no_variant_twice(run: Run, tmp_path: Path) -> None:
    results = run(SAME, live=False, mode="all")
    assert {result["verdict"] for result in results.values()} == {"passed"}
    assert {result["metrics"]["source"] for result in results.values()} == {"recorded"}
    before = {path: path.read_bytes() for path in (tmp_path / "cassettes").rglob("*.yaml")}
    assert len(before) == 2
    replayed = run(SAME, live=False)
    assert {result["verdict"] for result in replayed.values()} == {"passed"}
    assert {path: path.read_bytes() for path in before} == before


def test_same_as_reports_the_missing_recording_of_the_sibling(run: Run, tmp_path: Path) -> None:
    run(SAME, live=False, mode="all")
    (tmp_path / "cassettes" / "s" / "a.stateful.yaml").unlink()
    result = run(SAME, live=False)["s::a[stateless]"]
    assert result["verdict"] == "errored"
    assert "a[stateful] cannot be compared" in result["message"]


def test_exhausted_quota_does_not_replace_a_recording(
    run: Run, tmp_path: Path, impatient: None
) -> None:
    run("scenarios: [{id: a, turns: [{user: say x}]}]", live=False, mode="all")
    path = tmp_path / "cassettes" / "s" / "a.yaml"
    good = path.read_bytes()
    result = one(run("scenarios: [{id: a, turns: [{user: quota}]}]", live=False, mode="all"))
    assert result["verdict"] == "errored"
    assert path.read_bytes() == good
