"""``evalkit init``: the new project passes offline, its workflows work, no file is overwritten."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from evalkit.cli.main import main
from evalkit.config import load_config
from tests.environment import ONLY_EVALKIT


def init(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["init", *arguments])


def shell(script: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a workflow's step as its runner does: in bash that stops at the first error."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    known = {
        "HOME": str(folder.parent),
        "PATH": path,
        "GIT_CONFIG_GLOBAL": "/dev/null",
        **ONLY_EVALKIT,
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
        timeout=600,
        check=False,
    )


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project that ``evalkit init`` set up."""
    folder = tmp_path_factory.mktemp("started")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for system in ("github", "gitlab"):
            found = init("--ci", system)
            assert found.exit_code == 0, found.output
            assert max(map(len, found.output.splitlines())) <= 80
    return folder


@pytest.fixture
def project(started: Path, tmp_path: Path) -> Path:
    """Return a repository with the project on a branch and on the main branch of a remote."""
    folder = tmp_path / "project"
    shutil.copytree(started, folder)
    made = shell(
        "git init -q -b main . && git add . && git commit -qm first && git clone -q --bare "
        f". {tmp_path}/remote && "
        f"git remote add origin {tmp_path}/remote && git fetch -q && git checkout -qb change",
        folder,
    )
    assert made.returncode == 0, made.stderr
    return folder


def test_the_new_project_passes_offline(project: Path) -> None:
    result = shell("unshare -rn pytest suites 2>/dev/null || pytest suites", project)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "3 variants: 3 passed" in result.stdout
    assert "recordings left unplayed" in result.stdout
    assert not list(project.rglob("*.journal"))


def test_the_new_gates_are_valid(started: Path) -> None:
    config = load_config(started / "evalkit.yaml")
    assert config.gates["default"].max_regressions == 0
    assert config.gates["release"].non_inferiority is not None


def workflow(project: Path) -> dict[str, Any]:
    value = yaml.safe_load((project / ".github/workflows/evalkit.yml").read_text())
    assert isinstance(value, dict)
    return value


def steps(project: Path, job: str) -> dict[str, Any]:
    return {step.get("name"): step for step in workflow(project)["jobs"][job]["steps"]}


def compare(project: Path) -> list[subprocess.CompletedProcess[str]]:
    """Run the steps of a pull request: one job on the change, one on the base branch."""
    results = [shell(steps(project, "replay")["Replay"]["run"], project)]
    base = project.parent / "base"
    cloned = shell(f"git clone -q -b main {project.parent}/remote {base}", project)
    assert cloned.returncode == 0, cloned.stderr
    scripts = steps(project, "compare")
    results.append(shell(scripts["Replay the base branch"]["run"], base))
    shutil.copytree(project / "reports/latest", base / "reports/latest")
    results.append(shell(scripts["Compare"]["run"], base))
    return results


def test_the_github_workflow_compares_with_the_base_branch(project: Path, tmp_path: Path) -> None:
    results = compare(project)
    assert [result.returncode for result in results] == [0, 0, 0], [
        result.stdout + result.stderr for result in results
    ]
    assert results[-1].stdout.startswith(
        "PASS  Nothing found that speaks against shipping: 0 of 3 pairs regressed"
    )
    comment = project.parent / "base/reports/comparison/comment.md"
    assert comment.read_text().startswith("<!-- evalkit:comparison -->\n")
    check_comment(project, tmp_path)


def test_code_under_review_has_no_token_that_may_write(project: Path) -> None:
    value = workflow(project)
    assert value["permissions"] == {"contents": "read"}
    assert "permissions" not in value["jobs"]["replay"]
    checkout = value["jobs"]["compare"]["steps"][0]["with"]
    assert checkout["ref"] == "${{ github.event.pull_request.base.sha }}"
    checkouts = [job["steps"][0]["with"] for job in value["jobs"].values()]
    assert [step["persist-credentials"] for step in checkouts] == [False, False]
    condition = "github.event.pull_request.head.repo.full_name == github.repository"
    assert condition in steps(project, "compare")["Comment"]["if"]


def test_actions_are_pinned_by_commit(project: Path) -> None:
    uses = [
        step["uses"]
        for job in workflow(project)["jobs"].values()
        for step in job["steps"]
        if "uses" in step
    ]
    assert len(uses) == 7
    assert [use for use in uses if not re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}", use)] == []


def test_no_text_of_the_pull_request_is_part_of_a_command(project: Path) -> None:
    value: dict[Any, Any] = workflow(project)
    # YAML reads the key ``on`` as true. pull_request_target would give forks a token that may write.
    assert set(value[True]) == {"push", "pull_request"}
    all_steps = [step for job in value["jobs"].values() for step in job["steps"]]
    assert [step["run"] for step in all_steps if "${{" in step.get("run", "")] == []
    assert "[[" not in str(value)
    assert "[%" not in str(value)
    used = set(re.findall(r"\$\{\{ *(.*?) *\}\}", yaml.safe_dump(value)))
    assert used == {"github.event.pull_request.base.sha", "github.token", "github.event.number"}
    with_token = [step["name"] for step in all_steps if "token" in str(step.get("env", ""))]
    assert with_token == ["Comment"]


def test_only_the_job_of_the_base_branch_may_write_a_comment(project: Path) -> None:
    value = workflow(project)
    permissions = {name: job.get("permissions", {}) for name, job in value["jobs"].items()}
    assert permissions == {
        "replay": {},
        "compare": {"contents": "read", "pull-requests": "write"},
    }
    first, *later = value["jobs"]["compare"]["steps"]
    assert first["uses"].startswith("actions/checkout@")
    assert not [step for step in later if str(step.get("uses")).startswith("actions/checkout@")]
    [downloaded] = [
        step["with"] for step in later if str(step.get("uses")).startswith("actions/download")
    ]
    # What the change has produced cannot replace a file of the base branch.
    assert downloaded["path"] == "reports/latest"


def test_the_gitlab_job_takes_the_target_from_the_projects_own_branch(project: Path) -> None:
    made = shell("git tag main change && git push -q origin refs/tags/main", project)
    assert made.returncode == 0, made.stderr
    suite = project / "suites/hello.yaml"
    suite.write_text(suite.read_text().replace('contains: "8"', 'contains: "7"'))
    (project / "evalkit.yaml").write_text(LENIENT)
    made = shell("git commit -qam loose && git push -q -f origin HEAD:refs/tags/main", project)
    assert made.returncode == 0, made.stderr
    made = shell(
        "git clone -q --bare . ../fork.git && git remote set-url origin ../fork.git && "
        "git push -q -f origin HEAD:refs/heads/main && ln -s remote ../remote.git",
        project,
    )
    assert made.returncode == 0, made.stderr
    script = script_of(project, "evalkit-compare")
    gitlab(project, "evalkit")
    results = shell(
        script,
        project,
        CI_MERGE_REQUEST_TARGET_BRANCH_NAME="main",
        CI_MERGE_REQUEST_SOURCE_PROJECT_ID="2",
        CI_MERGE_REQUEST_PROJECT_ID="1",
        CI_MERGE_REQUEST_PROJECT_URL=str(project.parent / "remote"),
    )
    assert results.returncode == 1, results.stdout + results.stderr
    assert "FAIL  Do not ship yet" in results.stdout


LENIENT = "gates:\n  default: {max_regressions: 99}\n"


def test_a_change_cannot_loosen_the_gate_that_judges_it(project: Path) -> None:
    suite = project / "suites/hello.yaml"
    suite.write_text(suite.read_text().replace('contains: "8"', 'contains: "7"'))
    (project / "evalkit.yaml").write_text(LENIENT)
    assert load_config(project / "evalkit.yaml").gates["default"].max_regressions == 99
    compared = compare(project)
    assert [result.returncode for result in compared] == [1, 0, 1]
    assert compared[-1].stdout.startswith("FAIL  Do not ship yet: 2 of 3 pairs regressed")
    results = gitlab(project, "evalkit-compare")
    assert results.returncode == 1
    assert "FAIL  Do not ship yet: 2 of 3 pairs regressed" in results.stdout


def test_a_base_branch_without_suites_is_accepted(project: Path) -> None:
    removed = shell(
        "git checkout -q main && git rm -qr suites && git commit -qm gone && git push -q "
        "origin main && git checkout -q change",
        project,
    )
    assert removed.returncode == 0, removed.stderr
    assert [result.returncode for result in compare(project)] == [0, 0, 0]
    assert not (project.parent / "base/reports/base").exists()


def check_comment(project: Path, tmp_path: Path) -> None:
    """Check that the comment is found by its marker, and updated."""
    fake = tmp_path / "bin" / "gh"
    fake.parent.mkdir()
    fake.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n'
        f'case "$*" in *--jq*) cat {tmp_path}/found;; esac\n'
    )
    fake.chmod(0o755)
    step = steps(project, "compare")["Comment"]
    for found, expected in (
        ("", "--method POST repos/o/r/issues/7/comments"),
        ("41\n", "--method PATCH repos/o/r/issues/comments/41"),
    ):
        (tmp_path / "found").write_text(found)
        (tmp_path / "asked").unlink(missing_ok=True)
        folders = [str(fake.parent), str(Path(sys.executable).parent), os.environ["PATH"]]
        path = os.pathsep.join(folders)
        result = shell(
            step["run"],
            project.parent / "base",
            PATH=path,
            GITHUB_REPOSITORY="o/r",
            NUMBER="7",
            GH_TOKEN="x",
        )
        assert result.returncode == 0, result.stderr
        asked = (tmp_path / "asked").read_text()
        assert 'startswith("<!-- evalkit:comparison -->")' in asked
        assert '.user.login == "github-actions[bot]"' in asked
        assert expected in asked


def gitlab_jobs(project: Path) -> dict[str, Any]:
    value = yaml.safe_load((project / ".gitlab/evalkit.yml").read_text())
    assert isinstance(value, dict)
    return value


def script_of(project: Path, job: str) -> str:
    """Return a job's script without the installation, which needs a network."""
    script = gitlab_jobs(project)[job]["script"]
    assert script.count(INSTALL) == 1
    return "\n".join(command for command in script if command != INSTALL)


INSTALL = "python -m pip install pytest-evalkit"


def gitlab(project: Path, job: str) -> subprocess.CompletedProcess[str]:
    return shell(script_of(project, job), project, CI_MERGE_REQUEST_TARGET_BRANCH_NAME="main")


def test_the_gitlab_jobs_compare_with_the_target_branch(project: Path) -> None:
    assert yaml.safe_load((project / ".gitlab-ci.yml").read_text()) == {
        "include": [{"local": ".gitlab/evalkit.yml"}]
    }
    assert gitlab(project, "evalkit").returncode == 0
    result = gitlab(project, "evalkit-compare")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "PASS  Nothing found that speaks against shipping" in result.stdout
    artifacts = gitlab_jobs(project)["evalkit"]["artifacts"]
    assert (project / artifacts["reports"]["junit"]).is_file()
    assert (project / "reports/comparison/comment.md").is_file()


def test_on_a_push_gitlab_only_replays(project: Path) -> None:
    rules = gitlab_jobs(project)["evalkit-compare"]["rules"]
    assert rules == [{"if": "$CI_MERGE_REQUEST_TARGET_BRANCH_NAME", "when": "always"}]
    # Without rules, a job is not part of the pipeline of a merge request, which the other needs.
    assert gitlab_jobs(project)["evalkit"]["rules"][0] == {
        "if": '$CI_PIPELINE_SOURCE == "merge_request_event"'
    }


def test_a_checkout_with_converted_line_ends_keeps_recordings(
    started: Path, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    shutil.copytree(started, project, ignore=shutil.ignore_patterns(".git"))
    clone = "git init -q . && git add -A && git commit -qm a && git clone -qc core.autocrlf=true . ../clone"
    done = shell(clone, project)
    assert done.returncode == 0, done.stderr
    for path in (*project.glob("*/**/*.yaml"), project / "evalkit.yaml"):
        copy = tmp_path / "clone" / path.relative_to(project)
        assert copy.read_bytes() == path.read_bytes()
        # Without the file that `evalkit init` writes, they can be read all the same.
        copy.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    done = shell("pytest -q suites; evalkit lint cassettes", tmp_path / "clone")
    assert "3 passed" in done.stdout
    assert "no findings" in done.stdout
