"""``same_as``: each conversation is recorded once, in any order and with any number of workers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from starlette.applications import Starlette

from evalkit.plugins import Catalog
from evalkit.server import Script, create_app, serving
from evalkit.session import Runner, Settings
from evalkit.suite import expand, load
from evalkit.verdict import Verdict
from tests.plugin.project import Project

TRIPLES = """\
suite: triples
defaults: {model: gemini-3.5-flash}
scenarios:
  - id: streamed
    stream: [false, true]
    turns: [{user: Say one, expect: [{same_as: {stream: false, on: text}}]}]
  - id: stored
    history: [stateful, stateless]
    turns: [{user: Say two}, {user: Say three}]
    expect: [{same_as: {history: stateless, on: text}}]
  - id: early
    stop_on_failure: true
    history: [stateful, stateless]
    turns: [{user: Say four, expect: [{same_as: {history: stateful, on: text}}]}, {user: Say five}]
"""
REQUESTS = 2 + 4 + 4
ORDERS = {
    "as written": "pass",
    "last first": "items.reverse()",
    "scenarios in turn": "items.sort(key=lambda item: (item.name[::-1]))",
}


class CountingServer(Starlette):
    """An ASGI application that counts the requests to another one."""

    def __init__(self) -> None:
        super().__init__()
        script = "script: slow\nrules: [{delay: 0.05, reply: '{{ text }}'}]\n"
        self._app = create_app(Script.load(script, "slow.yaml"))
        self.requests = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.requests += scope.get("method") == "POST"
        await self._app(scope, receive, send)


@pytest.fixture
def counter(project: Project) -> Iterator[CountingServer]:
    counter = CountingServer()
    (project.root / "suites" / "weather.yaml").unlink()
    project.suite("triples", TRIPLES)
    with serving(counter) as project.url:
        yield counter


def reorder(project: Project, statement: str) -> None:
    (project.root / "conftest.py").write_text(
        f"def pytest_collection_modifyitems(items):\n    {statement}\n"
    )


@pytest.mark.parametrize("order", ORDERS)
def test_each_conversation_is_recorded_once_in_any_order(
    project: Project, counter: CountingServer, order: str
) -> None:
    reorder(project, ORDERS[order])
    for number in (1, 2):
        project.record(mode="all").assert_outcomes(passed=6)
        assert counter.requests == number * REQUESTS
    project.run("suites").assert_outcomes(passed=6)
    assert counter.requests == 2 * REQUESTS


def test_workers_record_each_conversation_once(project: Project, counter: CountingServer) -> None:
    reorder(project, ORDERS["scenarios in turn"])
    arguments = ("suites", "--evalkit-record", "all", "--evalkit-base-url", project.url)
    result = project.pytester.runpytest_subprocess(*arguments, "-p", "xdist.plugin", "-n", "2")
    result.assert_outcomes(passed=6)
    assert counter.requests == REQUESTS


def test_a_sibling_that_another_worker_recorded_meanwhile_is_replayed(
    project: Project, counter: CountingServer
) -> None:
    settings = Settings(
        root=project.root, cassettes=project.root / "cassettes", mode="all", base_url=project.url
    )
    suite = load(project.root / "suites" / "triples.yaml", root=project.root, checks=Catalog())
    stateful, stateless = (each for each in expand(suite) if each.scenario.id == "early")
    workers = Runner(settings), Runner(settings)
    for worker in workers:
        worker.introduce([stateful, stateless])
    assert workers[0].run(stateful).verdict is Verdict.PASSED
    assert counter.requests == 2
    # It compares with its sibling after its first turn, while its own recording has begun.
    assert workers[1].run(stateless).verdict is Verdict.PASSED
    assert counter.requests == 4
