"""The commands for shards in ``docs/ci.md`` work and produce one merged run."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from evalkit.cli.main import main
from tests.plugin.project import Project

TEXT = (Path(__file__).parents[2] / "docs" / "ci.md").read_text(encoding="utf-8")
GITHUB, GITLAB = (
    yaml.safe_load(block)
    for block in re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    if "shard" in block
)


def of_github() -> tuple[list[str], str]:
    def commands(job: dict[str, Any]) -> list[str]:
        return [step["run"] for step in job["steps"] if "run" in step]

    (suites,) = (
        command for command in commands(GITHUB["jobs"]["replay"]) if command.startswith("pytest")
    )
    (merge,) = (
        command for command in commands(GITHUB["jobs"]["merge"]) if command.startswith("evalkit")
    )
    shards = GITHUB["jobs"]["replay"]["strategy"]["matrix"]["shard"]
    filled = [
        suites.replace("${{ matrix.shard }}", shard).replace("${{ strategy.job-index }}", str(at))
        for at, shard in enumerate(shards)
    ]
    return filled, merge


def of_gitlab() -> tuple[list[str], str]:
    suites, merge = GITLAB["replay"]["script"][-1], GITLAB["merge"]["script"][-1]
    (matrix,) = GITLAB["replay"]["parallel"]["matrix"]
    return [
        suites.replace("$SHARD", shard).replace("$CI_NODE_INDEX", str(at))
        for at, shard in enumerate(matrix["SHARD"], 1)
    ], merge


@pytest.mark.parametrize("example", [of_github, of_gitlab])
def test_documented_shard_commands_produce_one_merged_run(recorded: Project, example: Any) -> None:
    suites, merge = example()
    for command in suites:
        assert "$" not in command
        recorded.run(*shlex.split(command)[1:]).assert_outcomes(passed=2, deselected=2)
    words = [
        str(one)
        for word in shlex.split(merge)[1:]
        for one in (sorted(Path().glob(word)) if "*" in word else [word])
    ]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    assert (
        done.output
        == "2 runs, 4 variants: 4 passed, 0 failed, 0 errored, 0 skipped\nreport: reports/latest/index.html\n"
    )
    assert recorded.manifest()["complete"] is True
