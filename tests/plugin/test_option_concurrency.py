"""``--evalkit-concurrency``: concurrent conversations, output in the order of the suite."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from evalkit.server import create_app, load_script, serving
from evalkit.server.calls import Call, Reply
from evalkit.server.script_backend import ScriptBackend
from tests.plugin.project import Project

SCENARIOS = "".join(
    f"  - {{id: s{number}, turns: [{{user: Hello {number}}}]}}\n" for number in range(24)
)
SUITE = f"suite: many\ndefaults: {{model: gemini-3.5-flash}}\nscenarios:\n{SCENARIOS}"


class Gathering(ScriptBackend):
    """A back end that responds only when ``together`` requests wait at once."""

    def __init__(self, together: int) -> None:
        super().__init__(load_script())
        self.together, self.most, self._waiting = together, 0, 0
        self._all: list[object] = []

    async def handle(self, call: Call) -> Reply:
        """Wait for the others, a while at most."""
        import asyncio

        self._waiting += 1
        self.most = max(self.most, self._waiting)
        try:
            for _ in range(400):
                if self.most >= self.together:
                    break
                await asyncio.sleep(0.005)
            return await super().handle(call)
        finally:
            self._waiting -= 1


@pytest.fixture
def many(project: Project) -> Project:
    (project.root / "suites/weather.yaml").unlink()
    project.suite("many", SUITE)
    return project


def recorded(project: Project, folder: str) -> dict[str, str]:
    files = (project.root / folder).rglob("*.yaml")
    drop = ("recorded:", "elapsed_ms", "created", "updated", "endpoint:", "uri:", "date:")
    return {
        path.name: "".join(
            line
            for line in path.read_text().splitlines(True)
            if not any(word in line for word in drop)
        )
        for path in files
    }


def test_conversations_run_concurrently_and_are_reported_in_order(many: Project) -> None:
    backend = Gathering(8)
    with serving(create_app(backend)) as url:
        options = ["suites", "--evalkit-record", "once", "--evalkit-base-url", url]
        many.run(*options, "--evalkit-concurrency", "8").assert_outcomes(passed=24)
    assert 8 <= backend.most <= 8
    ids = list(many.results())
    assert ids == [f"many::s{number}" for number in range(24)]
    assert many.manifest()["totals"]["passed"] == 24
    many.run("suites").assert_outcomes(passed=24)


def test_concurrent_cassettes_equal_sequential_ones(many: Project) -> None:
    threads = threading.active_count()
    with serving() as url:
        options = ["suites", "--evalkit-record", "once", "--evalkit-base-url", url]
        many.run(*options, "--evalkit-cassettes", "alone").assert_outcomes(passed=24)
    with serving() as url:
        many.run(
            *options[:-1], url, "--evalkit-cassettes", "together", "--evalkit-concurrency", "6"
        ).assert_outcomes(passed=24)
    assert recorded(many, "alone") == recorded(many, "together")
    # Threads of servers of other tests may still be ending.
    assert threading.active_count() < threads + 20


def test_compared_variants_run_one_at_a_time(project: Project) -> None:
    (project.root / "suites/weather.yaml").unlink()
    suite = "suite: pair\nscenarios:\n  - id: a\n    model: gemini-3.5-flash\n    stream: [false, true]\n    turns: [{user: Hello}]\n"
    project.suite("pair", suite + "    expect: [{same_as: {stream: false}}]\n")
    project.record("--evalkit-concurrency", "4").assert_outcomes(passed=2)


def test_a_replay_needs_no_threads(many: Project) -> None:
    many.record("--evalkit-concurrency", "4").assert_outcomes(passed=24)
    many.run("suites", "--evalkit-concurrency", "4").assert_outcomes(passed=24)


def test_stopping_at_the_first_failure_preserves_recordings(many: Project) -> None:
    many.suite(
        "many",
        SUITE.replace(
            "user: Hello 2}", "user: Hello 2, expect: [{text: {contains: nothing of the kind}}]}"
        ),
    )
    many.record("-x", "--evalkit-concurrency", "4").assert_outcomes(passed=2, failed=1)
    assert len(many.results()) == 3
    assert not list(Path(many.root, "cassettes").rglob("*.journal"))
    assert 3 <= len(many.cassettes()) < 24


@pytest.mark.parametrize("number", ["0", "-1", "many"])
def test_value_must_be_a_positive_integer(many: Project, number: str) -> None:
    result = many.run("suites", "--evalkit-concurrency", number)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
