"""Result lines, the journal, totals, the manifest: deterministic, crash-proof, described by the schemas that ship."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from evalkit._lib.files import sha256
from evalkit.errors import UsageError
from evalkit.results import Identity, Journal, Manifest, Run, Totals, result_line, tally
from evalkit.transcript import Exchange, Request, Response, Step, Transcript, Turn
from evalkit.verdict import CheckResult, Finding, Severity, Verdict, Where

WHO = Identity(
    "weather::london[stateless]", "weather", "london", "One call", {"history": "stateless"}, ("stateless",), 1, ("smoke",),
    "suites/weather.yaml", 12, "weather/london.stateless.yaml",
)  # fmt: skip


def schema(name: str) -> Any:
    return json.loads((files("evalkit.results") / "schemas" / f"{name}.schema.json").read_text())


def conversation(text: str = "22 \u202e\ud800") -> Transcript:
    interaction = {
        "status": "completed",
        "usage": {"total_tokens": 9, "total_input_tokens": 4, "odd": "x"},
        "steps": [
            {"type": "thought", "signature": "AA"},
            {"type": "google_search_call", "id": "1", "arguments": {}},
        ],
    }
    response = Response(
        200,
        {"content-type": "application/json"},
        json.dumps(interaction),
        elapsed_ms=12.5,
        source="replayed",
    )
    exchange = Exchange(
        1,
        1,
        Request("POST", "/v1beta/interactions", {"model": "m", "input": text}),
        response,
        interaction,
    )
    failed = Exchange(
        2, 1, Request("POST", "/v1beta/interactions", {}), None, failure="no recording"
    )
    steps = [Step(step, "model", 1) for step in interaction["steps"]]  # type: ignore[arg-type]
    return Transcript(
        {"history": "stateless"},
        [
            Turn(
                1,
                [{"type": "text", "text": text}],
                [exchange, failed],
                steps,
                "completed",
                text=text,
            )
        ],
    )


CHECKS = (
    CheckResult(
        "steps",
        Verdict.FAILED,
        (
            Finding(
                "sequence",
                "they part",
                Where(turn=1, exchange=1, step=2, pointer="/a", part="response"),
                expected=["x"],
                got=None,
                detail="table",
            ),
        ),
        turn=1,
        declared="s.yaml:3",
    ),
    CheckResult("text", Verdict.PASSED, (Finding("near", "close", severity=Severity.WARN),)),
)


def line() -> str:
    return result_line(
        WHO, Verdict.FAILED, "why", CHECKS, conversation(), ["POST /v1beta/interactions"]
    )


def test_a_line_is_ascii_and_carries_the_digest_of_the_rest() -> None:
    text = line()
    assert text.isascii()
    assert "\n" not in text
    value = json.loads(text)
    body, _, tail = text.rpartition(',"digest":')
    assert sha256(body + "}") == value["digest"] == json.loads(tail[:-1])
    assert text == line()


def test_a_line_is_what_the_schema_says() -> None:
    value = json.loads(line())
    jsonschema.validate(value, schema("result"))
    assert value["metrics"] == {
        "tokens": {"total_tokens": 9, "total_input_tokens": 4},
        "exchanges": 2,
        "tool_calls": 1,
        "source": "replayed",
        "elapsed_ms": 12.5,
    }
    finding = value["checks"][0]["findings"][0]
    assert finding["where"] == {
        "turn": 1,
        "exchange": 1,
        "step": 2,
        "pointer": "/a",
        "part": "response",
    }
    assert finding["got"] is None
    assert "expected" not in value["checks"][1]["findings"][0]


def test_a_variant_that_was_never_held_has_a_line_too() -> None:
    value = json.loads(result_line(WHO, Verdict.SKIPPED, "", (), None))
    jsonschema.validate(value, schema("result"))
    assert value["turns"] == []


def test_the_journal_keeps_every_whole_line(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "run")
    journal.append('{"a":1}')
    # No close: what a killed process leaves, with a write that the kill cut in two.
    with journal.path.open("ab") as file:
        file.write(b'{"torn')
    (tmp_path / "run" / "manifest.json").write_text("{}")
    run = Run(tmp_path / "run")
    assert list(run.lines()) == ['{"a":1}']
    assert list(run.results()) == [{"a": 1}]
    journal.append("{}")
    journal.close()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (None, "", "is not a run directory: it has no manifest.json"),
        ("manifest.json", "{", "manifest.json cannot be read"),
        ("manifest.json", "{}", "has no results.jsonl"),
    ],
)
def test_a_folder_that_is_no_run_says_so(
    tmp_path: Path, name: str | None, content: str, message: str
) -> None:
    if name:
        (tmp_path / name).write_text(content)
    with pytest.raises(UsageError, match=message):
        list(Run(tmp_path).lines())


def test_a_line_that_is_not_ascii_is_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    (tmp_path / "results.jsonl").write_bytes(b"{}\n{\xba}\n")
    with pytest.raises(
        UsageError, match=r"results\.jsonl is not as evalkit wrote it: it holds byte 0xBA"
    ):
        list(Run(tmp_path).lines())


@pytest.mark.parametrize("torn", [b'{"b"', b"{\xba", b"\r"])
def test_a_torn_last_line_is_left_out_whatever_is_in_it(tmp_path: Path, torn: bytes) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    (tmp_path / "results.jsonl").write_bytes(b'{"a":1}\n\n' + torn)
    assert list(Run(tmp_path).lines()) == ['{"a":1}', ""]


def test_a_line_that_is_not_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    (tmp_path / "results.jsonl").write_text("{}\n{oops}\n")
    with pytest.raises(UsageError, match=r"results\.jsonl:2 is not JSON"):
        list(Run(tmp_path).results())


def test_results_that_cannot_be_written_are_a_users_problem(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="choose another place with --evalkit-report"):
        Journal(tmp_path / "file" / "run")


def test_totals_have_honest_denominators() -> None:
    totals = Totals(collected=4)
    totals.add(tally(Verdict.FAILED, CHECKS, conversation(), ["x"]))
    totals.add(tally(Verdict.ERRORED, (), None))
    totals.add(tally(Verdict.SKIPPED, (), None))
    assert (totals.scored, totals.failed, totals.errored, totals.skipped, totals.run) == (
        1,
        1,
        1,
        1,
        3,
    )
    assert (totals.checks, totals.warnings, totals.unplayed, totals.tokens) == (2, 1, 1, 9)


def test_the_manifest_is_what_the_schema_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    manifest = Manifest({"record": "none"})
    manifest.suites["suites/weather.yaml"] = {
        "suite": "weather",
        "path": "suites/weather.yaml",
        "digest": "sha256:" + "0" * 64,
    }
    manifest.cassettes["weather/london.yaml"] = None
    manifest.write(tmp_path)
    value = json.loads((tmp_path / "manifest.json").read_text())
    jsonschema.validate(value, schema("manifest"))
    assert (value["started"], value["ended"], value["complete"]) == (
        "2023-11-14T22:13:20Z",
        None,
        False,
    )


@pytest.mark.parametrize(
    "cassettes",
    [
        {},
        {"b/é.yaml": None},
        {"b/2.yaml": "sha256:0", 'a/"1".yaml': None, "b/\ud800.yaml": "sha256:1"},
    ],
)
def test_the_manifest_is_spelled_as_json_indents_it(
    tmp_path: Path, cassettes: dict[str, str | None]
) -> None:
    manifest = Manifest({"record": '\n  "cassettes": []'}, cassettes=cassettes)
    manifest.write(tmp_path)
    text = (tmp_path / "manifest.json").read_bytes().decode("utf-8", "surrogatepass")
    value = json.loads(text)
    assert text == json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    assert value["cassettes"] == [
        {"path": path, "digest": digest} for path, digest in sorted(cassettes.items())
    ]


@pytest.mark.parametrize(
    ("data", "longer"),
    [
        (b"", False),
        (b"{}\n{}\n", False),
        (b"{}\n{}\n{}", False),
        (b"{}\n{}\n{}\n\xff\n", True),
        (b"\xff\n", False),
    ],
)
def test_whether_a_run_is_longer_is_told_by_its_whole_lines(
    tmp_path: Path, data: bytes, longer: bool
) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    run = Run(tmp_path)
    assert not run.longer_than(2)
    (tmp_path / "results.jsonl").write_bytes(data)
    assert run.longer_than(2) is longer
