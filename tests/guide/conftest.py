"""Fixtures that run each program once for each back end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest

from tests.guide import backends
from tests.guide.running import Outcome, Program, Runner, missing
from tests.guide.snippets import Language


def skip_without(language: Language) -> None:
    """Skip if programs of a language cannot run here; in CI that is a failure."""
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


class ProgramRuns:
    """Runs programs against back ends, each combination once, in its own folder in ``folder``."""

    def __init__(self, runner: Runner, script_url: str, folder: Path) -> None:
        self._runner = runner
        self._script_url = script_url
        self._folder = folder
        self._known: dict[tuple[str, str, str], Outcome] = {}

    def __call__(self, program: Program, backend: str, of: Program | None = None) -> Outcome:
        """Return the outcome of a program; ``of`` is another program whose cassettes are replayed."""
        of = of or program
        skip_without(program.language)
        key = (program.name, backend, of.name)
        if key not in self._known:
            with self._serving(backend, of) as url:
                self._known[key] = self._runner.run(program, url, self._folder / "-".join(key))
        return self._known[key]

    def tapes(self, program: Program) -> list[Path]:
        """Return the files that the proxy recorded for a program."""
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
def ran(runner: Runner, script_url: str, tmp_path_factory: pytest.TempPathFactory) -> ProgramRuns:
    return ProgramRuns(runner, script_url, tmp_path_factory.mktemp("guide"))
