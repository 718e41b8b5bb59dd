"""Programs run once for each back end, whoever asks for what they did."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext

import pytest

from tests.guide import backends
from tests.guide.running import Outcome, Program, Runner, missing
from tests.guide.snippets import Language

Ran = Callable[[Program, str], Outcome]


def need(language: Language) -> None:
    """Skip where programs of a language cannot be run; in CI that is a failure."""
    if why := missing(language):
        (pytest.fail if os.environ.get("CI") else pytest.skip)(why)


@pytest.fixture(scope="session")
def runner() -> Iterator[Runner]:
    made = Runner()
    yield made
    made.close()


@pytest.fixture(scope="session")
def script_url() -> Iterator[str]:
    with backends.script() as url:
        yield url


@pytest.fixture(scope="session")
def ran(runner: Runner, script_url: str, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """Run a program against a back end, or return what it did when it was run before. Cassettes are those of its run behind the proxy."""
    known: dict[tuple[str, str], Outcome] = {}
    root = tmp_path_factory.mktemp("guide")

    def run(program: Program, backend: str) -> Outcome:
        need(program.language)
        if (program.name, backend) not in known:
            tapes = root / "tapes" / program.name
            if backend == backends.CASSETTES:
                run(program, backends.PROXY)
            serve: dict[str, Callable[[], AbstractContextManager[str]]] = {
                backends.SCRIPT: lambda: nullcontext(script_url),
                backends.PROXY: lambda: backends.proxy(script_url, tapes),
                backends.CASSETTES: lambda: backends.cassettes(tapes),
            }
            with serve[backend]() as url:
                known[program.name, backend] = runner.run(program, url, root / backend / program.name)
        return known[program.name, backend]

    return run
