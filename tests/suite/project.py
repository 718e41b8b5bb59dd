"""A project on disk to load suites from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from evalkit.errors import SuiteErrors
from evalkit.suite import CheckCatalog, Suite, Variant, expand, load
from tests.suite.fake_catalog import FakeCatalog


class Project:
    """A project directory with a ``suites`` directory; suites are loaded from text."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.suites = root / "suites"
        self.suites.mkdir(parents=True)
        self.fake_catalog = FakeCatalog()
        self.catalog: CheckCatalog = self.fake_catalog

    def write(self, name: str, content: str | bytes) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(
            content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
        )
        return path

    def load(self, text: str | bytes, name: str = "suites/weather.yaml") -> Suite:
        return load(self.write(name, text), root=self.root, checks=self.catalog)

    def expand(
        self, text: str, models: Sequence[str] = (), repeat: int | None = None
    ) -> list[Variant]:
        return expand(self.load(text), models=models, repeat=repeat)

    def refused(self, text: str | bytes) -> SuiteErrors:
        with pytest.raises(SuiteErrors) as caught:
            self.load(text)
        return caught.value

    def problems(self, text: str | bytes) -> list[str]:
        """Each problem's first line, the name of the suite file left out."""
        return [
            str(problem).split("\n")[0].removeprefix("suites/weather.yaml:")
            for problem in self.refused(text).problems
        ]
