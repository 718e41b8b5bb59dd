"""``evalkit init`` in projects that exist already: what it adds, what it leaves, what it refuses."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from evalkit.cli.init_project import NewProject
from evalkit.cli.init_pytest import find_pytest_file
from evalkit.cli.main import main

PYTEST_FILES = {
    "pytest.ini": "[pytest]\naddopts = -q\n",
    ".pytest.ini": "[pytest]",
    "tox.ini": "[tox]\n[pytest]\r\ntestpaths = a\r\n",
    "setup.cfg": "[metadata]\nname = a\n[tool:pytest]  # ours\naddopts = -q\n",
    "pyproject.toml": '[project]\nname = "a"\n\n[tool.pytest.ini_options]\ntestpaths = ["a"]\n',
}


def init(folder: Path, *arguments: str) -> Result:
    before = Path.cwd()
    os.chdir(folder)
    try:
        return CliRunner().invoke(main, ["init", *arguments])
    finally:
        os.chdir(before)


def write(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    return folder


def repository(folder: Path, files: Mapping[str, str], remote: str = "") -> Path:
    folder.mkdir(exist_ok=True)
    git(folder, "init", "-q")
    if remote:
        git(folder, "remote", "add", "origin", remote)
    return write(folder, files)


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_second_call_writes_only_what_is_missing(tmp_path: Path) -> None:
    first = init(tmp_path)
    assert (first.exit_code, "\nexists" in first.output) == (0, False)
    (tmp_path / "evalkit.yaml").unlink()
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    second = init(tmp_path)
    assert re.findall(r"(?m)^(written|added to) +(\S+)", second.output) == [
        ("written", "evalkit.yaml")
    ]
    assert "exists    suites " in second.output
    assert {path: path.read_bytes() for path in before} == before


def test_suites_of_the_project_are_left_alone(tmp_path: Path) -> None:
    write(tmp_path, {"suites/mine.yaml": "suite: mine\n", "evalkit.yaml": "# mine\n"})
    done = init(tmp_path)
    assert "exists    suites                          your suites\n" in done.output
    assert names(tmp_path / "suites") == {"mine.yaml"}
    assert not {"prompts", "cassettes"} & names(tmp_path)
    assert (tmp_path / "evalkit.yaml").read_text() == "# mine\n"


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_lines_are_added_to_the_settings_of_git_once(tmp_path: Path, end: str) -> None:
    newline = end or "\n"
    text = f"*.pyc{newline}/reports/*{end}"
    write(tmp_path, {".gitignore": text, ".gitattributes": "* text=auto"})
    assert "added to  .gitignore" in init(tmp_path).output
    new = (tmp_path / ".gitignore").read_bytes().decode()
    assert new.startswith(text)
    assert new.count("/reports/*") == 1
    assert "*.journal" in new.split(newline)
    attributes = (tmp_path / ".gitattributes").read_text().splitlines()
    assert attributes[0] == "* text=auto"
    assert "suites/** -text" in attributes
    assert "cassettes/**/*.yaml diff=evalkit" in attributes
    assert "exists    .gitignore" in init(tmp_path).output
    assert (tmp_path / ".gitignore").read_bytes().decode() == new


def test_names_in_another_encoding_stay_as_they_are(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_bytes("Café/\n".encode("latin-1"))
    (tmp_path / ".gitattributes").write_bytes("* text=auto\n".encode("utf-16"))
    done = init(tmp_path)
    assert "added to  .gitignore" in done.output
    assert (tmp_path / ".gitignore").read_bytes().startswith(b"Caf\xe9/\n")
    assert b"/reports/*\n" in (tmp_path / ".gitignore").read_bytes()
    # git cannot read UTF-16 either.
    assert "to do     .gitattributes" in done.output
    assert "save .gitattributes as UTF-8, which git needs; call this again" in done.output
    assert (tmp_path / ".gitattributes").read_bytes() == "* text=auto\n".encode("utf-16")
    assert "cassettes/hello " in done.output


def test_reports_and_journals_stay_out_of_git(tmp_path: Path) -> None:
    repository(tmp_path, {})
    init(tmp_path)
    write(tmp_path, {"reports/latest/index.html": "", "cassettes/hello/a.yaml.journal": ""})
    git(tmp_path, "add", "-A")
    added = git(tmp_path, "ls-files").split()
    assert not [name for name in added if name.startswith("reports") or "journal" in name]
    assert {"cassettes/hello/asks_a_tool.yaml", "prompts/assistant.md", "pytest.ini"} < {*added}
    checked = git(tmp_path, "check-attr", "text", "suites/hello.yaml", "prompts/assistant.md")
    assert checked.count("text: unset") == 2


@pytest.mark.parametrize("name", PYTEST_FILES)
def test_the_setting_goes_into_the_file_that_pytest_reads(tmp_path: Path, name: str) -> None:
    text = PYTEST_FILES[name]
    write(tmp_path, {name: text})
    assert f"added to  {name}" in init(tmp_path).output
    assert "pytest.ini" not in names(tmp_path) - {name}
    added = (tmp_path / name).read_bytes().decode()
    line = next(line for line in added.splitlines(keepends=True) if "evalkit_suites" in line)
    assert added.replace(line, "", 1).rstrip() == text.rstrip()
    assert line.endswith("\r\n") == ("\r\n" in text)
    found = find_pytest_file(tmp_path, tmp_path)
    assert found is not None
    assert (found.path.name, found.words("evalkit_suites")) == (name, ["suites"])


def test_the_first_of_several_files_is_the_one_that_pytest_reads(tmp_path: Path) -> None:
    write(tmp_path, PYTEST_FILES)
    assert "added to  pytest.ini" in init(tmp_path).output
    assert "evalkit_suites" not in (tmp_path / "pyproject.toml").read_text()


@pytest.mark.parametrize(
    ("files", "advice"),
    [
        (
            {"pyproject.toml": "[tool]\npytest.ini_options.addopts = '-q'\n"},
            'set in pyproject.toml: evalkit_suites = ["suites"]',
        ),
        (
            {"pytest.ini": "[pytest]\nevalkit_suites = evals\n", "evals/a.yaml": "suite: a"},
            "set in pytest.ini: evalkit_suites = evals suites",
        ),
    ],
)
def test_a_setting_that_cannot_be_added_is_printed(
    tmp_path: Path, files: dict[str, str], advice: str
) -> None:
    write(tmp_path, files)
    done = init(tmp_path)
    assert f"\n  # {advice}\n" in done.output
    assert "to do     " in done.output
    assert all((tmp_path / name).read_text() == text for name, text in files.items())


def test_a_pyproject_without_settings_of_pytest_is_not_changed(tmp_path: Path) -> None:
    write(tmp_path, {"pyproject.toml": "[project]\nname = 'a'\nversion = '1'\n"})
    assert "written   pytest.ini" in init(tmp_path).output
    assert "evalkit" not in (tmp_path / "pyproject.toml").read_text()


@pytest.mark.parametrize(
    ("files", "remote", "system"),
    [
        ({}, "", None),
        ({".github/workflows/a.yml": ""}, "", "github"),
        ({".github/FUNDING.yml": ""}, "", "github"),
        ({".gitlab-ci.yml": ""}, "", "gitlab"),
        ({".gitlab-ci.yml": "", ".github/FUNDING.yml": ""}, "", "gitlab"),
        ({}, "git@github.com:a/gitlab.git", "github"),
        ({}, "https://gitlab.example.com/github/a", "gitlab"),
        ({}, "https://user@github.com/a/b", "github"),
        ({}, "ssh://git@gitlab.com:22/a/b", "gitlab"),
        ({}, "https://example.com/github/b", None),
        ({".gitlab-ci.yml": "", ".github/workflows/a.yml": ""}, "https://github.com/a/b", "github"),
    ],
)
def test_the_ci_system_in_use_is_found(
    tmp_path: Path, files: dict[str, str], remote: str, system: str | None
) -> None:
    repository(tmp_path, files, remote)
    assert NewProject.find(tmp_path).ci_system() == system


def test_only_the_ci_system_in_use_gets_a_workflow(tmp_path: Path) -> None:
    repository(tmp_path, {".gitlab-ci.yml": "stages: [build, deploy]\n"})
    done = init(tmp_path)
    assert not (tmp_path / ".github").exists()
    jobs = yaml.safe_load((tmp_path / ".gitlab/evalkit.yml").read_text())
    # GitLab refuses a job whose stage is not in the list; without the key it is "test".
    assert jobs[".evalkit"]["stage"] == "build"
    advice = "add to .gitlab-ci.yml: include: [{local: .gitlab/evalkit.yml}]"
    assert f"\n  # {advice}\n" in done.output
    write(tmp_path, {".gitlab-ci.yml": "include: [{local: .gitlab/evalkit.yml}]\n"})
    assert "exists    .gitlab-ci.yml" in init(tmp_path).output


@pytest.mark.parametrize("arguments", [["--ci", "none"], ["--no-ci"]])
def test_no_workflow_is_written_on_request(tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / ".github").mkdir()
    result = CliRunner().invoke(main, ["init", str(tmp_path), *arguments])
    assert result.exit_code == 0, result.output
    assert not list((tmp_path / ".github").iterdir())


def test_without_a_ci_system_the_options_are_named(tmp_path: Path) -> None:
    done = init(tmp_path)
    assert "For a workflow: evalkit init --ci github, or --ci gitlab" in done.output
    assert not {".github", ".gitlab", ".gitlab-ci.yml"} & names(tmp_path)
    assert "evalkit init --ci" not in init(tmp_path, "--ci", "github").output


EVALKIT = "python -m pip install pytest-evalkit"
GROUPS = "[project]\nname = 'a'\n[dependency-groups]\ndev = []\ntest = []\nlint = []\n"
EXTRAS = "[project]\nname = 'a'\n[project.optional-dependencies]\ntest = []\ndocs = []\n"


@pytest.mark.parametrize(
    ("files", "commands"),
    [
        ({}, []),
        ({"pyproject.toml": "[tool.ruff]\n"}, []),
        ({"requirements.txt": ""}, ["python -m pip install -r requirements.txt"]),
        (
            {"requirements.txt": "", "requirements-dev.txt": "", "setup.py": ""},
            ["python -m pip install -r requirements.txt -r requirements-dev.txt -e ."],
        ),
        ({"pyproject.toml": EXTRAS}, ["python -m pip install -e '.[test]'"]),
        (
            {"pyproject.toml": GROUPS},
            [
                "python -m pip install --upgrade pip",
                "python -m pip install -e . --group dev --group test",
            ],
        ),
        (
            {"pyproject.toml": GROUPS, "uv.lock": ""},
            [
                "python -m pip install uv",
                "export UV_PROJECT_ENVIRONMENT=\"$(python -c 'import sys; print(sys.prefix)')\"",
                "uv sync --locked --inexact",
            ],
        ),
        (
            {"pyproject.toml": "[tool.poetry]\nname = 'a'\n", "poetry.lock": ""},
            [
                "python -m pip install poetry",
                "poetry config virtualenvs.create false",
                "poetry install --no-interaction",
            ],
        ),
    ],
)
def test_ci_installs_the_dependencies_of_the_project(
    tmp_path: Path, files: dict[str, str], commands: list[str]
) -> None:
    repository(tmp_path, files)
    assert NewProject.find(tmp_path).install_commands() == [*commands, EVALKIT]
    assert init(tmp_path, "--ci", "github").exit_code == 0
    jobs: Any = yaml.safe_load((tmp_path / ".github/workflows/evalkit.yml").read_text())["jobs"]
    expected = [*commands, EVALKIT]
    assert jobs["replay"]["steps"][2]["run"].splitlines() == expected
    base = jobs["compare"]["steps"][2]["run"].splitlines()
    assert [line.strip() for line in base] == ["if [ -d suites ]; then", *expected, "fi"]


def test_a_folder_of_a_larger_repository_is_a_project_of_its_own(tmp_path: Path) -> None:
    own = {"pyproject.toml": GROUPS + "[tool.pytest.ini_options]\n"}
    repository(tmp_path, {"uv.lock": "", ".github/workflows/a.yml": ""})
    bot = write(tmp_path / "services/my bot", own)
    assert init(bot).exit_code == 0
    assert {"suites", "prompts", "cassettes", ".gitignore", "evalkit.yaml"} < names(bot)
    workflow: Any = yaml.safe_load(
        (tmp_path / ".github/workflows/evalkit-services-my-bot.yml").read_text()
    )
    assert workflow["name"] == "evalkit (services/my bot)"
    assert workflow["defaults"]["run"]["working-directory"] == "services/my bot"
    replay = workflow["jobs"]["replay"]["steps"]
    assert replay[-1]["with"]["path"] == "services/my bot/reports/latest"
    assert "uv sync --locked --inexact" in replay[2]["run"]
    assert init(bot, "--ci", "gitlab").exit_code == 0
    jobs = yaml.safe_load((tmp_path / ".gitlab/evalkit-services-my-bot.yml").read_text())
    assert jobs["evalkit-services-my-bot"]["script"][0] == "cd 'services/my bot'"


def test_settings_of_pytest_above_the_folder_decide_where_the_project_is(tmp_path: Path) -> None:
    repository(tmp_path, {"tox.ini": "[pytest]\ntestpaths = tests\n"})
    bot = tmp_path / "services/my bot"
    bot.mkdir(parents=True)
    done = init(bot, "--ci", "github")
    assert done.exit_code == 0, done.output
    assert "added to  ../../tox.ini" in done.output
    assert "evalkit_suites = 'services/my bot/suites'\n" in (tmp_path / "tox.ini").read_text()
    assert names(bot) == {"suites", "prompts", "evalkit.schema.json"}
    assert names(tmp_path / "cassettes") == {"hello-services-my-bot"}
    attributes = git(tmp_path, "check-attr", "text", "services/my bot/suites/hello.yaml")
    assert attributes.endswith("text: unset\n")
    workflow = (tmp_path / ".github/workflows/evalkit.yml").read_text()
    assert "pytest 'services/my bot/suites' --evalkit-report" in workflow


def test_settings_of_pytest_outside_the_repository_do_not_count(tmp_path: Path) -> None:
    write(tmp_path, {"pytest.ini": "[pytest]\n"})
    project = repository(tmp_path / "project", {})
    assert "written   pytest.ini" in init(project).output
    assert (tmp_path / "pytest.ini").read_text() == "[pytest]\n"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"suites": ""}, "suites: is a file (expected a folder)"),
        ({".github": ""}, ".github: is a file (expected a folder)"),
        ({"evalkit.yaml/a": ""}, "evalkit.yaml: is a folder (expected a file)"),
        ({"cassettes": ""}, "cassettes: is a file (expected a folder)"),
        ({"pyproject.toml": "[tool"}, "pyproject.toml: pytest cannot read its settings"),
        ({"pytest.ini": "nonsense"}, "pytest.ini: pytest cannot read its settings"),
        ({"setup.cfg": "[pytest]\n"}, "setup.cfg: pytest cannot read its settings"),
    ],
)
def test_a_file_in_the_way_is_reported_before_anything_is_written(
    tmp_path: Path, files: dict[str, str], message: str
) -> None:
    write(tmp_path, files)
    before = names(tmp_path)
    done = init(tmp_path, "--ci", "github")
    assert (done.exit_code, done.output.count("\n")) == (2, 1), done.output
    assert message in done.output
    assert names(tmp_path) == before


@pytest.mark.skipif(not Path("/proc/1").is_dir(), reason="needs Linux")
def test_a_folder_that_is_read_only_is_reported() -> None:
    # Nobody may create files there, not even root.
    done = CliRunner().invoke(main, ["init", "/proc/1", "--no-ci"])
    assert (done.exit_code, done.output.count("\n")) == (2, 1)
    assert "/proc/1: cannot be written (permission denied); change its mode" in done.output


def test_the_folder_may_be_new(tmp_path: Path) -> None:
    done = init(tmp_path, "a b/new")
    assert done.exit_code == 0, done.output
    assert "\n  cd 'a b/new'\n  git init " in done.output
    assert (tmp_path / "a b/new/suites/hello.yaml").is_file()


RECORD = "pytest suites --evalkit-record all        # later: --evalkit-record changed"


def test_the_printed_next_steps_work(tmp_path: Path) -> None:
    done = init(tmp_path)
    commands = re.findall(r"(?m)^  ([a-z].*)$", done.output)
    assert len(commands) == 9
    # These two need a key and the service.
    own = [one for one in commands if one != RECORD and not one.startswith("export")]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
    script = "\n".join(own).replace("8787", port).replace("serve", f"serve --port {port}")
    environment = {
        "HOME": str(tmp_path),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTEST_ADDOPTS": "-p no:cacheprovider",
        **{f"GIT_{who}_{what}": "a@b.c" for who in ("AUTHOR", "COMMITTER") for what in IDENTITY},
    }
    result = subprocess.run(
        ["bash", "-ec", f"trap 'kill %1' EXIT\n{script}\ngit status --porcelain"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.count("3 variants: 3 passed") == 2
    assert "3 unchanged" in result.stdout
    assert "reports/" not in git(tmp_path, "ls-files")


IDENTITY = ("NAME", "EMAIL")
