"""One cluster for all tests that leave it as it was, and a server that waits on demand."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping

import pytest

from evalkit.server import create_app, load_script, serving
from evalkit.server.calls import Call, Reply
from evalkit.server.script_backend import ScriptBackend
from tests.cluster.processes import KEY, Cluster, Command, wait_until
from tests.plugin.project import Project


class Waiting(ScriptBackend):
    """A back end that responds when it is open; ``arrived`` are the requests so far."""

    def __init__(self) -> None:
        super().__init__(load_script())
        self.gate = threading.Event()
        self.arrived = 0
        self.waiting = 0
        self.most = 0
        self.holds = ""
        self.is_holding = False

    async def handle(self, call: Call) -> Reply:
        import asyncio

        self.arrived += 1
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        while not self.gate.is_set() or (self.holds and self.holds in str(call.body)):
            self.is_holding = self.gate.is_set()
            await asyncio.sleep(0.01)
        self.waiting -= 1
        return await super().handle(call)

    def wait_for_held(self) -> None:
        wait_until(lambda: self.is_holding, "a request that the server holds")

    def wait_for(self, number: int) -> None:
        wait_until(lambda: self.arrived >= number, f"{number} requests, there are {self.arrived}")


class ClusterProject(Project):
    """A project whose sessions run in processes of their own."""

    def start(
        self,
        *arguments: str,
        log: str = "session.log",
        environment: Mapping[str, str] = {},
    ) -> Command:
        words = ["pytest", "suites", "-q", "--evalkit-base-url", self.url, *arguments]
        return Command(words, self.root, log, {"GEMINI_API_KEY": KEY, **environment})

    def finish(self, *arguments: str, environment: Mapping[str, str] = {}) -> str:
        session = self.start(*arguments, environment=environment)
        session.process.wait(120)
        return session.text


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    running = Cluster(tmp_path_factory.mktemp("cluster"), workers=2)
    yield running
    running.end()


@pytest.fixture
def backend() -> Iterator[Waiting]:
    backend = Waiting()
    yield backend
    backend.gate.set()


@pytest.fixture
def project(
    pytester: pytest.Pytester, backend: Waiting, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ClusterProject]:
    with serving(create_app(backend)) as url:
        project = ClusterProject(pytester, url, monkeypatch)
        (project.root / "suites/weather.yaml").unlink()
        yield project
        backend.gate.set()
