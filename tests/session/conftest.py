"""A suite that runs against a server with the script of its module, or its own fixture ``url``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest

from evalkit.plugins import Catalog
from evalkit.server import create_app, load_script, serving
from evalkit.session import Runner, Settings
from evalkit.suite import expand, load
from evalkit.transports.live import LiveTransport
from tests.results.test_results import schema
from tests.session.suite_runs import NOWHERE, Results, RunSuite


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Disable retries, which have their own tests."""
    patient = LiveTransport.__init__
    monkeypatch.setattr(
        LiveTransport,
        "__init__",
        lambda self, *args, **kwargs: patient(self, *args, **{**kwargs, "retries": 0}),
    )


@pytest.fixture
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Serve the ``SCRIPT`` of the module."""
    script = tmp_path / "script.yaml"
    script.write_text(request.module.SCRIPT)
    with serving(create_app(load_script(script))) as served:
        yield served


@pytest.fixture
def run_suite(tmp_path: Path, url: str, impatient: None) -> RunSuite:
    """Run scenarios and return the result lines by id. Mode ``replay`` has no server."""

    def go(
        scenarios: str,
        mode: str = "none",
        *,
        live: bool = False,
        secrets: tuple[str, ...] = (),
        url: str = url,
    ) -> Results:
        path = tmp_path / "suites" / "s.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"suite: s\ndefaults: {{model: gemini-3.5-flash}}\n{scenarios}")
        variants = expand(load(path, root=tmp_path, checks=Catalog()))
        base = url if live or mode != "none" else NOWHERE
        runner = Runner(
            Settings(
                root=tmp_path,
                cassettes=tmp_path / "cassettes",
                mode=mode,  # type: ignore[arg-type]
                live=live,
                base_url=base,
                secrets=secrets,
            )
        )
        runner.introduce(variants)
        lines = {}
        for variant in variants:
            line = json.loads(runner.run(variant).line)
            jsonschema.validate(line, schema("result"))
            lines[line["id"]] = line
        return lines

    return go
