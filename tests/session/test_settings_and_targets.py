"""Settings from flags and environment, and the Python targets that a session imports."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evalkit.errors import TargetError, ToolCrashed, UsageError
from evalkit.protocol.wire_facts import API_BASE_URL
from evalkit.session.python_targets import call_tool, resolve
from evalkit.session.settings import Settings, rerecord_command
from evalkit.suite.model.tools import ArgumentsInvalid


def settings(url: str | None = None, **environment: str) -> Settings:
    return Settings.read(
        Path("/p"), Path("/p/cassettes"), "once", base_url=url, environment=environment
    )


@pytest.mark.parametrize(
    ("flag", "environment", "base_url"),
    [
        (None, {}, API_BASE_URL),
        (None, {"GOOGLE_GEMINI_BASE_URL": "http://proxy:1"}, "http://proxy:1"),
        ("http://flag:2", {"GOOGLE_GEMINI_BASE_URL": "http://proxy:1"}, "http://flag:2"),
    ],
)
def test_endpoint_is_read_from_flag_and_environment(
    flag: str | None, environment: dict[str, str], base_url: str
) -> None:
    assert settings(flag, **environment).base_url == base_url


def test_api_keys_are_read_from_the_environment() -> None:
    both = settings(GEMINI_API_KEY="one", GOOGLE_API_KEY="two")
    assert (both.live_key(), both.secrets) == ("one", ("one", "two"))
    assert "one" not in repr(both)
    assert settings(GOOGLE_API_KEY="two").live_key() == "two"
    assert settings("http://127.0.0.1:8787").live_key() == "no-key"
    with pytest.raises(UsageError) as caught:
        settings(GEMINI_API_KEY="").live_key()
    message = str(caught.value)
    assert "\n" not in message
    assert "GEMINI_API_KEY" in message
    assert "--evalkit-base-url" in message


def test_polling_is_fast_only_for_loopback_endpoints() -> None:
    assert settings("http://localhost:1").poll_seconds < 1
    assert settings().poll_seconds == 5.0


def test_the_command_can_be_pasted_into_a_shell() -> None:
    assert (
        rerecord_command("suites/a.yaml", "b[x-y]")
        == "pytest 'suites/a.yaml::b[x-y]' --evalkit-record all"
    )


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "project_tools.py").write_text(
        "async def later(a): return {'a': a}\n"
        "def plain(a, b=2): return a + b\n"
        "def broken(a): raise RuntimeError('boom')\n"
        "class Inner:\n    value = 7\n"
    )
    (tmp_path / "broken_module_of_test.py").write_text("1 / 0\n")
    yield tmp_path
    for name in ("project_tools", "broken_module_of_test"):
        sys.modules.pop(name, None)


def test_targets_are_imported_from_the_project_and_from_packages(project: Path) -> None:
    assert resolve("project_tools:Inner.value", project) == 7
    assert resolve("jsonschema:validate", project).__name__ == "validate"
    assert str(project) not in sys.path


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("os:system", "os is in the standard library"),
        ("subprocess:run", "subprocess is in the standard library"),
        ("no_colon", "not of the form package.module:name"),
        ("project_tools:plane", "no 'plane' (did you mean 'plain'?)"),
        ("no_such_module_anywhere:x", "no module 'no_such_module_anywhere' in"),
        ("broken_module_of_test:x", "importing broken_module_of_test failed: ZeroDivisionError"),
    ],
)
def test_invalid_target_is_rejected(project: Path, target: str, message: str) -> None:
    with pytest.raises(TargetError) as caught:
        resolve(target, project)
    assert message in str(caught.value)


def test_module_outside_the_project_is_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "stray_module_of_test.py").write_text("x = 1\n")
    (tmp_path / "project").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path / "elsewhere"))
    with pytest.raises(TargetError, match="is outside the project"):
        resolve("stray_module_of_test:x", tmp_path / "project")


def test_a_namespace_package_resolves_to_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("elsewhere", 1), ("project", 2)):
        (tmp_path / name / "twofold_folder_of_test").mkdir(parents=True)
        (tmp_path / name / "twofold_folder_of_test" / "mod.py").write_text(f"x = {value}\n")
    (tmp_path / "elsewhere" / "twofold_folder_of_test" / "stray.py").write_text("x = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path / "elsewhere"))
    try:
        assert resolve("twofold_folder_of_test.mod:x", tmp_path / "project") == 2
        with pytest.raises(TargetError, match="is outside the project"):
            resolve("twofold_folder_of_test.stray:x", tmp_path / "project")
        with pytest.raises(TargetError, match=r"no module 'twofold_folder_of_test\.gone'"):
            resolve("twofold_folder_of_test.gone:x", tmp_path / "project")
    finally:
        for name in [name for name in sys.modules if name.startswith("twofold_folder_of_test")]:
            del sys.modules[name]


def test_tools_are_called_with_the_arguments_of_the_call(project: Path) -> None:
    assert call_tool("project_tools:plain", {"a": 1}, project) == 3
    assert call_tool("project_tools:later", {"a": 1}, project) == {"a": 1}
    with pytest.raises(ToolCrashed, match="project_tools:broken raised RuntimeError: boom"):
        call_tool("project_tools:broken", {"a": 1}, project)
    with pytest.raises(ToolCrashed, match="TypeError"):
        call_tool("project_tools:plain", {"a": []}, project)
    with pytest.raises(TargetError, match="not callable"):
        call_tool("project_tools:Inner.value", {}, project)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({}, "missing a required argument: 'a'"),
        ({"a": 1, "wrong": 2}, "unexpected keyword argument 'wrong'"),
        ({"a": 1, "b": "2"}, "/b must be of type integer"),
        ({"a": None}, "/a must be of type integer, got null"),
    ],
)
def test_arguments_that_do_not_fit_never_reach_the_function(
    project: Path, arguments: dict[str, Any], reason: str
) -> None:
    parameters = {
        "type": "OBJECT",
        "properties": {"a": {"type": "INTEGER"}, "b": {"type": "integer"}},
    }
    with pytest.raises(ArgumentsInvalid, match=re.escape(reason)):
        call_tool("project_tools:plain", arguments, project, parameters)
