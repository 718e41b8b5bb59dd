"""The how-to pages work as printed in examples/support, and their workflows are YAML."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml

from evalkit.server import create_app, load_script, serving
from tests.documentation.pages import BLOCK, DOCS, ROOT, Reader, environment

EXAMPLE = ROOT / "examples" / "support"
PAGES = sorted((DOCS / "how-to").glob("*.md"))
WITH_COMMANDS = [page for page in PAGES if "```console" in page.read_text(encoding="utf-8")]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving(create_app(load_script(EXAMPLE / "script" / "models.yaml"))) as address:
        yield address


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=lambda page: page.stem)
def test_the_commands_of_a_page_work_as_printed(page: Path, tmp_path: Path, url: str) -> None:
    ignored = shutil.ignore_patterns("reports", "__pycache__")
    folder = Path(shutil.copytree(EXAMPLE, tmp_path / "support", ignore=ignored))
    with ExitStack() as stack:
        reader = Reader(folder, environment(GOOGLE_GEMINI_BASE_URL=url), stack, {})
        assert reader.follow(page) >= 1


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_page_is_listed(page: Path) -> None:
    for index in (ROOT / "mkdocs.yml", DOCS / "README.md"):
        assert f"how-to/{page.name}" in index.read_text(encoding="utf-8")


def test_every_yaml_block_of_the_pages_can_be_read() -> None:
    for page in PAGES:
        for language, content in BLOCK.findall(page.read_text(encoding="utf-8")):
            if language == "yaml":
                assert isinstance(yaml.safe_load(content), dict), (page.name, content)


def test_the_recording_workflow_runs_only_by_hand() -> None:
    """A key must never be in a job that runs what somebody proposes."""
    text = (DOCS / "how-to" / "ci-record.md").read_text(encoding="utf-8")
    (block,) = (content for language, content in BLOCK.findall(text) if language == "yaml")
    assert list(yaml.safe_load(block)[True]) == ["workflow_dispatch"]
    assert re.search(r"--evalkit-budget \"\$BUDGET\"", block)
