"""The API version of requests: the suite's key, the option, and replay at another version."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from evalkit.server import serving

SUITE = """\
suite: versions
defaults: {model: gemini-3.5-flash}
scenarios:
  - {id: plain, turns: [{user: Hello}]}
  - {id: stable, api_version: v1, history: [stateful, stateless], turns: [{user: Hello}, {user: Again}]}
  - id: judged
    api_version: v1alpha
    turns: [{user: Hello, expect: [{judge: {rubric: 'Contains "Hello".', model: gemini-3.5-flash}}]}]
  - {id: background, api_version: v1, background: true, turns: [{user: Hello}]}
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.path.joinpath("suites").mkdir()
    pytester.path.joinpath("suites", "versions.yaml").write_text(SUITE, encoding="utf-8")
    return pytester


def recorded_paths(folder: Path) -> dict[str, set[str]]:
    paths = {}
    for file in folder.rglob("*.yaml"):
        entries = yaml.safe_load(file.read_text(encoding="utf-8"))["interactions"]
        uris = (entry["request"]["uri"].split("/", 4) for entry in entries)
        paths[file.stem] = {uri[3] for uri in uris}
    return paths


def test_requests_have_the_version_of_the_suite_and_any_is_replayed(
    project: pytest.Pytester,
) -> None:
    with serving() as url:
        record = project.runpytest("suites", "--evalkit-record=all", f"--evalkit-base-url={url}")
    record.assert_outcomes(passed=5)
    assert recorded_paths(project.path / "cassettes") == {
        "plain": {"v1beta"},
        "stable.stateful": {"v1"},
        "stable.stateless": {"v1"},
        "judged": {"v1alpha"},
        "background": {"v1"},
    }
    project.runpytest("suites").assert_outcomes(passed=5)
    for version in ("v1", "v1beta"):
        result = project.runpytest("suites", f"--evalkit-api-version={version}")
        result.assert_outcomes(passed=5)


def test_the_option_replaces_the_version_of_every_suite(project: pytest.Pytester) -> None:
    with serving() as url:
        options = ("--evalkit-record=all", f"--evalkit-base-url={url}", "--evalkit-api-version=v1")
        project.runpytest("suites", *options).assert_outcomes(passed=5)
    assert set.union(*recorded_paths(project.path / "cassettes").values()) == {"v1"}


@pytest.mark.parametrize("version", ["1", "beta", "v1/../x", ""])
def test_an_invalid_version_is_an_error(project: pytest.Pytester, version: str) -> None:
    result = project.runpytest("suites", f"--evalkit-api-version={version}")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines([f"*--evalkit-api-version '{version}': not a version (like v1, *"])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_an_invalid_version_in_a_suite_names_its_line(project: pytest.Pytester) -> None:
    path = project.path / "suites" / "versions.yaml"
    path.write_text(SUITE.replace("v1alpha", "latest"), encoding="utf-8")
    result = project.runpytest("suites", "--collect-only")
    result.stdout.fnmatch_lines(["*versions.yaml:7*"])
