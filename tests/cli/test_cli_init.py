"""``evalkit init``: what it writes passes at once, offline; its workflows do what they say; nothing is written over."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from evalkit.cli.init import FILES
from evalkit.cli.main import main
from evalkit.config import load_config


def init(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["init", *arguments])


def shell(script: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a workflow's step as its runner would: bash that stops at the first error."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    known = {
        "HOME": str(folder.parent),
        "PATH": path,
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_AUTHOR_NAME": "a",
        "GIT_AUTHOR_EMAIL": "a@b.c",
    }
    known |= {"GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b.c", **environment}
    return subprocess.run(
        ["bash", "-eo", "pipefail", "-c", script],
        cwd=folder,
        env=known,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project that was started."""
    folder = tmp_path_factory.mktemp("started")
    found = init(str(folder))
    assert found.exit_code == 0, found.output
    assert found.output.count(" written\n") == len(FILES)
    assert (
        "cassettes/hello/              from evalkit's own server, not from a model" in found.output
    )
    assert max(map(len, found.output.splitlines())) <= 80
    return folder


@pytest.fixture
def project(started: Path, tmp_path: Path) -> Path:
    """Return a repository with the started project on a branch, and a remote whose main branch has it too."""
    folder = tmp_path / "project"
    shutil.copytree(started, folder)
    made = shell(
        f"git init -q -b main . && git add . && git commit -qm first && git clone -q --bare . {tmp_path}/remote && "
        f"git remote add origin {tmp_path}/remote && git fetch -q && git checkout -qb change",
        folder,
    )
    assert made.returncode == 0, made.stderr
    return folder


def test_it_passes_at_once_and_offline(project: Path) -> None:
    held = shell("unshare -rn pytest suites 2>/dev/null || pytest suites", project)
    assert held.returncode == 0, held.stdout + held.stderr
    assert "3 variants: 3 passed" in held.stdout
    assert "recordings left unplayed" in held.stdout
    assert not list(project.rglob("*.journal"))


def test_its_gates_can_be_used(started: Path) -> None:
    config = load_config(started / "evalkit.yaml")
    assert config.gate(None)[1].max_regressions == 0
    assert config.gate("release")[1].non_inferiority is not None


def steps(project: Path) -> dict[str, Any]:
    value = yaml.safe_load((project / ".github/workflows/evalkit.yml").read_text())
    return {step.get("name"): step for step in value["jobs"]["replay"]["steps"]}


def compare(project: Path) -> list[subprocess.CompletedProcess[str]]:
    """Run the steps of a pull request."""
    found = steps(project)
    assert found["Replay the base branch"]["env"] == {"BASE": "${{ github.base_ref }}"}
    return [
        shell(found[name]["run"], project, BASE="main")
        for name in ("Replay", "Replay the base branch", "Compare")
    ]


def test_the_github_workflow_compares_with_the_base_branch(project: Path) -> None:
    results = compare(project)
    assert [held.returncode for held in results] == [0, 0, 0], [
        held.stdout + held.stderr for held in results
    ]
    assert results[-1].stdout.startswith("PASS  gate default: 0 of 3 pairs regressed, none may")
    assert (
        (project / "reports/latest/comparison/comment.md")
        .read_text()
        .startswith("<!-- evalkit:comparison -->\n")
    )


def test_a_regression_fails_the_workflow(project: Path) -> None:
    suite = project / "suites/hello.yaml"
    suite.write_text(suite.read_text().replace('contains: "8"', 'contains: "7"'))
    results = compare(project)
    assert [held.returncode for held in results] == [1, 0, 1]
    assert results[-1].stdout.startswith("FAIL  gate default: 2 of 3 pairs regressed, none may")


def test_a_base_branch_without_suites_is_no_error(project: Path) -> None:
    removed = shell(
        "git checkout -q main && git rm -qr suites && git commit -qm gone && git push -q origin main && git checkout -q change",
        project,
    )
    assert removed.returncode == 0, removed.stderr
    assert [held.returncode for held in compare(project)] == [0, 0, 0]
    assert not (project / "reports/base").exists()


def test_the_comment_is_found_again_by_its_marker(project: Path, tmp_path: Path) -> None:
    compare(project)
    fake = tmp_path / "bin" / "gh"
    fake.parent.mkdir()
    fake.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\ncase "$*" in *--jq*) cat {tmp_path}/found;; esac\n'
    )
    fake.chmod(0o755)
    step = steps(project)["Comment"]
    for found, expected in (
        ("", "--method POST repos/o/r/issues/7/comments"),
        ("41\n", "--method PATCH repos/o/r/issues/comments/41"),
    ):
        (tmp_path / "found").write_text(found)
        (tmp_path / "asked").unlink(missing_ok=True)
        path = f"{fake.parent}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        held = shell(
            step["run"], project, PATH=path, GITHUB_REPOSITORY="o/r", NUMBER="7", GH_TOKEN="x"
        )
        assert held.returncode == 0, held.stderr
        asked = (tmp_path / "asked").read_text()
        assert 'startswith("<!-- evalkit:comparison -->")' in asked
        assert expected in asked


def test_the_gitlab_job_does_the_same(project: Path) -> None:
    job = yaml.safe_load((project / ".gitlab/evalkit.yml").read_text())["evalkit"]
    assert yaml.safe_load((project / ".gitlab-ci.yml").read_text()) == {
        "include": [{"local": ".gitlab/evalkit.yml"}]
    }
    script = "\n".join(line for line in job["script"] if "pip install" not in line)
    held = shell(script, project, CI_MERGE_REQUEST_TARGET_BRANCH_NAME="main")
    assert held.returncode == 0, held.stdout + held.stderr
    assert "PASS  gate default" in held.stdout
    assert (project / job["artifacts"]["reports"]["junit"]).is_file()


def test_on_a_push_gitlab_only_replays(project: Path) -> None:
    job = yaml.safe_load((project / ".gitlab/evalkit.yml").read_text())["evalkit"]
    held = shell("\n".join(line for line in job["script"] if "pip install" not in line), project)
    assert held.returncode == 0
    assert "gate" not in held.stdout


def test_nothing_is_written_over(tmp_path: Path) -> None:
    mine = {
        "evalkit.yaml": "# mine",
        "suites/hello.yaml": "# mine too",
        ".gitlab-ci.yml": "# and this",
    }
    for name, text in mine.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    found = init(str(tmp_path))
    assert found.exit_code == 0
    assert {name: (tmp_path / name).read_text() for name in mine} == mine
    assert "evalkit.yaml                  exists, not changed\n" in found.output
    assert (
        ".gitlab-ci.yml                exists, not changed; include .gitlab/evalkit.yml in it\n"
        in found.output
    )
    assert not (tmp_path / "cassettes").exists()
    again = init(str(tmp_path))
    assert " written" not in again.output


def test_without_workflows(tmp_path: Path) -> None:
    assert init(str(tmp_path), "--no-ci").exit_code == 0
    assert {path.name for path in tmp_path.iterdir()} == {
        "suites",
        "cassettes",
        "evalkit.yaml",
        "evalkit.schema.json",
    }


def test_a_place_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    found = init(str(tmp_path / "file"))
    assert (found.exit_code, found.output.count("\n")) == (2, 1)
    assert "cannot write into" in found.output
