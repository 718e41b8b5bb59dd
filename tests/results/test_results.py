"""Result lines, journal, totals, manifest: deterministic, crash-safe, valid by their schemas."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, get_type_hints

import jsonschema
import pytest

from evalkit._lib.files import sha256
from evalkit.errors import UsageError
from evalkit.results import Identity, Journal, Manifest, Run, Totals, records
from evalkit.results.records import ResultLine
from evalkit.results.result_line import result_line, result_record, tally_of
from evalkit.transcript import Exchange, Request, Response, Step, Transcript, Turn
from evalkit.verdict import CheckResult, Finding, Severity, Verdict, Where

IDENTITY = Identity(
    id="weather::london[stateless]",
    suite="weather",
    scenario="london",
    title="One call",
    variant={"history": "stateless"},
    parts=("stateless",),
    trial=1,
    tags=("smoke",),
    path="suites/weather.yaml",
    line=12,
    cassette="weather/london.stateless.yaml",
)


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
    request = Request("POST", "/v1beta/interactions", {"model": "m", "input": text})
    exchange = Exchange(1, 1, request, response, interaction=interaction)
    failed = Exchange(
        2, 1, Request("POST", "/v1beta/interactions", {}), None, failure="no recording"
    )
    steps = [Step(step, "model", 1) for step in interaction["steps"]]  # type: ignore[arg-type]
    user = [{"type": "text", "text": text}]
    turn = Turn(1, user, exchanges=[exchange, failed], steps=steps, status="completed", text=text)
    return Transcript({"history": "stateless"}, [turn])


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


def record(
    verdict: Verdict = Verdict.FAILED,
    checks: Sequence[CheckResult] = CHECKS,
    transcript: Transcript | None = None,
    unplayed: Sequence[str] = ("POST /v1beta/interactions",),
) -> ResultLine:
    return result_record(IDENTITY, verdict, "why", checks, transcript, unplayed)


def line() -> str:
    return result_line(record(transcript=conversation()))


def test_line_is_ascii_and_ends_with_the_digest_of_the_rest() -> None:
    text = line()
    assert text.isascii()
    assert "\n" not in text
    value = json.loads(text)
    body, _, tail = text.rpartition(',"digest":')
    assert sha256(body + "}") == value["digest"] == json.loads(tail[:-1])
    assert text == line()


def test_line_is_valid_by_its_schema() -> None:
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


def test_variant_that_did_not_run_has_a_line() -> None:
    value = json.loads(result_line(record(Verdict.SKIPPED, ())))
    jsonschema.validate(value, schema("result"))
    assert value["turns"] == []


RECORDS = {
    "result": {
        "": records.ResultLine,
        "check": records.CheckRecord,
        "finding": records.FindingRecord,
        "judgment": records.JudgmentRecord,
        "turn": records.TurnRecord,
    },
    "manifest": {"": records.ManifestRecord, "origin": records.MergedRun},
}


@pytest.mark.parametrize("name", ["result", "manifest"])
def test_typed_records_have_the_members_of_the_schema(name: str) -> None:
    document = schema(name)
    for definition, record in RECORDS[name].items():
        part = document["$defs"][definition] if definition else document
        assert set(get_type_hints(record)) == set(part["properties"]), definition


def test_journal_keeps_every_complete_line(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "run")
    journal.append('{"a":1}')
    # What a killed process leaves: not closed, the last write cut in two.
    with journal.path.open("ab") as file:
        file.write(b'{"torn')
    (tmp_path / "run" / "manifest.json").write_text("{}")
    run = Run(tmp_path / "run")
    assert list(run.lines()) == ['{"a":1}']
    results: list[Any] = list(run.results())
    assert results == [{"a": 1}]
    journal.append("{}")
    journal.close()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (None, "", "is not a run directory: it has no manifest.json"),
        ("manifest.json", "{", "manifest.json cannot be read"),
        ("manifest.json", "[" * 100_000, "manifest.json cannot be read"),
        ("manifest.json", "{}", "has no results.jsonl"),
    ],
)
def test_folder_that_is_not_a_run_is_refused(
    tmp_path: Path, name: str | None, content: str, message: str
) -> None:
    if name:
        (tmp_path / name).write_text(content)
    with pytest.raises(UsageError, match=message):
        list(Run(tmp_path).lines())


def test_line_that_is_not_ascii_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    (tmp_path / "results.jsonl").write_bytes(b"{}\n{\xba}\n")
    with pytest.raises(UsageError, match=r"results\.jsonl was not written by .*byte 0xBA"):
        list(Run(tmp_path).lines())


@pytest.mark.parametrize("torn", [b'{"b"', b"{\xba", b"\r"])
def test_incomplete_last_line_is_dropped_whatever_it_contains(tmp_path: Path, torn: bytes) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    (tmp_path / "results.jsonl").write_bytes(b'{"a":1}\n\n' + torn)
    assert list(Run(tmp_path).lines()) == ['{"a":1}', ""]


def test_line_that_is_not_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    (tmp_path / "results.jsonl").write_text("{}\n{oops}\n")
    with pytest.raises(UsageError, match=r"results\.jsonl:2 is not JSON"):
        list(Run(tmp_path).results())


def test_unwritable_results_are_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="choose another directory with --evalkit-report"):
        Journal(tmp_path / "file" / "run")


def test_totals_count_scored_and_unscored_results() -> None:
    totals = Totals(collected=5)
    totals.add(tally_of(record(transcript=conversation())))
    totals.add(tally_of(record(Verdict.ERRORED, (), unplayed=())))
    totals.add(tally_of(record(Verdict.SKIPPED, (), unplayed=())))
    counts = (totals.scored, totals.failed, totals.errored, totals.skipped, totals.run)
    assert counts == (1, 1, 1, 1, 3)
    assert (totals.checks, totals.warnings, totals.unplayed, totals.tokens) == (2, 1, 1, 9)
    totals.deselected = 1
    assert totals.summary == (
        "5 variants: 0 passed, 1 failed, 1 errored, 1 skipped, 1 deselected, 1 not run"
    )


def test_tally_of_a_parsed_line_is_that_of_its_values() -> None:
    expected = tally_of(record(transcript=conversation()))
    assert tally_of(json.loads(line())) == expected


def test_manifest_is_valid_by_its_schema(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    manifest = Manifest({"record": "none"})
    manifest.suites["suites/weather.yaml"] = {
        "suite": "weather",
        "path": "suites/weather.yaml",
        "digest": "sha256:" + "0" * 64,
        "collected": 1,
    }
    manifest.cassettes["weather/london.yaml"] = None
    manifest.write(tmp_path)
    value = json.loads((tmp_path / "manifest.json").read_text())
    jsonschema.validate(value, schema("manifest"))
    times = (value["started"], value["ended"], value["complete"])
    assert times == ("2023-11-14T22:13:20Z", None, False)


def test_manifest_with_undecodable_path_is_written(tmp_path: Path) -> None:
    cassettes = {"b/é.yaml": "sha256:0", "b/\ud800.yaml": "sha256:1"}
    Manifest({}, cassettes=cassettes).write(tmp_path)
    text = (tmp_path / "manifest.json").read_bytes().decode("utf-8", "surrogatepass")
    assert json.loads(text)["cassettes"] == [
        {"path": path, "digest": digest} for path, digest in sorted(cassettes.items())
    ]


@pytest.mark.parametrize(
    ("data", "is_longer"),
    [
        (b"", False),
        (b"{}\n{}\n", False),
        (b"{}\n{}\n{}", False),
        (b"{}\n{}\n{}\n\xff\n", True),
        (b"\xff\n", False),
    ],
)
def test_length_of_a_run_counts_complete_lines(
    tmp_path: Path, data: bytes, is_longer: bool
) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    run = Run(tmp_path)
    assert not run.is_longer_than(2)
    (tmp_path / "results.jsonl").write_bytes(data)
    assert run.is_longer_than(2) is is_longer
