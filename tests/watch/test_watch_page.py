"""docs/watch.md works as printed, its workflows are YAML, and its options are those of the command."""

from __future__ import annotations

import re
import shutil
from contextlib import ExitStack
from pathlib import Path

import yaml

from evalkit.cli.watch import watch
from evalkit.server import create_app, load_script, serving
from tests.documentation.pages import BLOCK, DOCS, ROOT, Reader, environment

PAGE = DOCS / "watch.md"
EXAMPLE = ROOT / "examples" / "support"


def test_the_commands_of_the_page_work_as_printed(tmp_path: Path) -> None:
    ignored = shutil.ignore_patterns("reports", "__pycache__")
    folder = Path(shutil.copytree(EXAMPLE, tmp_path / "support", ignore=ignored))
    with (
        serving(create_app(load_script(EXAMPLE / "script" / "models.yaml"))) as url,
        ExitStack() as stack,
    ):
        reader = Reader(folder, environment(GOOGLE_GEMINI_BASE_URL=url), stack, {})
        assert reader.follow(PAGE) == 3


def test_the_options_of_the_page_are_those_of_the_command() -> None:
    documented = re.findall(r"(?m)^\| `(--[a-z-]+)", PAGE.read_text(encoding="utf-8"))
    options = [name for one in watch.params for name in one.opts if name.startswith("--")]
    assert documented == options


def test_the_workflows_are_yaml_and_run_on_a_schedule() -> None:
    github, gitlab = (
        yaml.safe_load(content)
        for language, content in BLOCK.findall(PAGE.read_text(encoding="utf-8"))
        if language == "yaml"
    )
    assert github[True]["schedule"]
    assert "schedule" in gitlab["watch"]["rules"][0]["if"]
    for text in (str(github), str(gitlab)):
        assert "evalkit watch suites --history" in text
