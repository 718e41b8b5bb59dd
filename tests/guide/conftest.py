"""Programs run once for each back end, whoever asks for what they did."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest

from tests.guide import backends
from tests.guide.running import Outcome, Program, Runner, missing
from tests.guide.snippets import Language


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


class Ran:
    """Runs a program against a back end, or tells what it did when it was run before. ``folder`` holds a folder for each program and back end."""

    def __init__(self, runner: Runner, script_url: str, folder: Path) -> None:
        self._runner = runner
        self._script_url = script_url
        self._folder = folder
        self._known: dict[tuple[str, str, str], Outcome] = {}

    def __call__(self, program: Program, backend: str, of: Program | None = None) -> Outcome:
        """Return what a program did. Cassettes are those of its own run behind the proxy, or of another program's: ``of``."""
        of = of or program
        need(program.language)
        key = (program.name, backend, of.name)
        if key not in self._known:
            with self._serving(backend, of) as url:
                self._known[key] = self._runner.run(program, url, self._folder / "-".join(key))
        return self._known[key]

    def tapes(self, program: Program) -> list[Path]:
        """Return the files that a program's run behind the proxy left."""
        self(program, backends.PROXY)
        return sorted(path for path in self._tapes(program).rglob("*") if path.is_file())

    def _tapes(self, program: Program) -> Path:
        return self._folder / "tapes" / program.name

    def _serving(self, backend: str, of: Program) -> AbstractContextManager[str]:
        if backend == backends.SCRIPT:
            return nullcontext(self._script_url)
        if backend == backends.PROXY:
            return backends.proxy(self._script_url, self._tapes(of))
        self(of, backends.PROXY)
        return backends.cassettes(self._tapes(of))


@pytest.fixture(scope="session")
def ran(runner: Runner, script_url: str, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    return Ran(runner, script_url, tmp_path_factory.mktemp("guide"))
