"""``--evalkit-otlp``: a session sends its conversations to a collector."""

from __future__ import annotations

import pytest

from tests.plugin.project import Project
from tests.results.collector import collecting


def test_a_session_sends_each_result_once(recorded: Project) -> None:
    project = recorded
    with collecting() as collector:
        result = project.run("suites", "-n", "2", "-p", "xdist", "--evalkit-otlp", collector.url)
    result.assert_outcomes(passed=4)
    roots = [span for span in collector.items("/v1/traces") if "parentSpanId" not in span]
    assert sorted(span["name"] for span in roots) == sorted(project.results())
    events = collector.items("/v1/logs")
    assert len(events) == sum(len(one["checks"]) for one in project.results().values())


def test_a_collector_that_is_not_reached_does_not_fail_the_session(recorded: Project) -> None:
    project = recorded
    result = project.run("suites", "--evalkit-otlp", "http://127.0.0.1:1")
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(
        [
            "cannot send all spans: 127.0.0.1:1: cannot connect*; then run: "
            "evalkit export reports/latest --otlp http://127.0.0.1:1"
        ]
    )
    assert (project.root / "reports/latest/index.html").is_file()


def test_an_invalid_address_is_refused_before_anything_runs(project: Project) -> None:
    result = project.run("suites", "--evalkit-otlp", "localhost:4318")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*invalid address 'localhost:4318' (expected*"])
    assert not (project.root / "reports").exists()


def test_invalid_headers_are_refused_before_anything_runs(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "s3cret")
    result = project.run("suites", "--evalkit-otlp", "http://h:4318")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["OTEL_EXPORTER_OTLP_HEADERS: invalid (expected name=value*"])
    assert "s3cret" not in f"{result.stdout}{result.stderr}"
    assert not (project.root / "reports").exists()


@pytest.mark.parametrize("address", ["http://me:s3cret@h:4318", "http://h:4318?api-key=s3cret"])
def test_an_address_with_a_secret_is_refused_before_anything_runs(
    project: Project, address: str
) -> None:
    result = project.run("suites", "--evalkit-otlp", address)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["collector * h: *; set headers in OTEL_EXPORTER_OTLP_HEADERS"])
    assert "s3cret" not in f"{result.stdout}{result.stderr}"
    assert not (project.root / "reports").exists()
