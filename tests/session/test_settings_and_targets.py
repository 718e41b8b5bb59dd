"""Settings from flags and environment, and the Python targets that a session imports."""

from __future__ import annotations

import importlib.util
import re
import shlex
import sys
import zipfile
from collections.abc import Iterator
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest

from evalkit.errors import TargetError, ToolCrashed, UsageError
from evalkit.protocol.wire_facts import API_BASE_URL
from evalkit.session.python_targets import PythonTargets
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
    both = settings(GEMINI_API_KEY="key-1", GOOGLE_API_KEY="key-2")
    assert (both.live_key(), both.secrets) == ("key-1", ("key-1", "key-2"))
    assert "key-1" not in repr(both)
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


def test_the_command_can_be_pasted_into_a_shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("python", "-m", "pytest", "-p", "my plugin")
    session = Settings.read(
        tmp_path, tmp_path / "cassettes", "none", base_url=None, environment={}, command=command
    )
    (tmp_path / "suites").mkdir()
    for folder, path in (
        (tmp_path, "suites/a.yaml"),
        (tmp_path / "suites", "a.yaml"),
        (Path("/"), str(tmp_path / "suites/a.yaml")[1:]),
    ):
        monkeypatch.chdir(folder)
        assert shlex.split(rerecord_command(session, "suites/a.yaml::b[x-y]")) == [
            *command,
            f"{path}::b[x-y]",
            "--evalkit-record",
            "all",
        ]


TOOLS = """\
import functools
import os
import subprocess
import jsonschema
from os import system
from threading import Thread

async def later(a): return {'a': a}
def plain(a, b=2): return a + b
def broken(a): raise RuntimeError('boom')
class Inner:
    value = 7
    def method(self, a): return a
    @staticmethod
    def static(a): return a
class Worker(Thread):
    pass
@functools.lru_cache
def cached(a): return a
shell = functools.partial(os.system)
inner = Inner()
"""


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "project_tools.py").write_text(TOOLS)
    (tmp_path / "broken_module_of_test.py").write_text("1 / 0\n")
    yield tmp_path
    for name in ("project_tools", "broken_module_of_test"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    "name",
    [
        "plain",
        "later",
        "Inner",
        "Inner.method",
        "Inner.static",
        "inner.method",
        "Inner.value",
        "cached",
    ],
)
def test_what_the_project_defines_is_resolved(project: Path, name: str) -> None:
    value = PythonTargets(project).resolve(f"project_tools:{name}")
    assert value == attrgetter(name)(sys.modules["project_tools"])
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
        ("jsonschema:validate", "add to pytest.ini: evalkit_python = jsonschema"),
        ("click.utils:os.system", "add to pytest.ini: evalkit_python = click"),
        ("project_tools:os.system", "os.system is defined in posix, not in the project"),
        ("project_tools:system", "system is defined in posix, not in the project"),
        ("project_tools:subprocess.run", "defined in subprocess, not in the project"),
        ("project_tools:jsonschema.validate", "defined in jsonschema.validators, not in"),
        ("project_tools:shell", "shell is defined in functools, not in the project"),
        ("project_tools:Worker.start", "defined in threading, not in the project"),
        ("project_tools:Worker.__subclasses__", "defined in an unknown module, not in"),
        ("project_tools:plain.__class__", "defined in builtins, not in the project"),
    ],
)
def test_what_the_project_does_not_define_is_rejected(
    project: Path, target: str, message: str
) -> None:
    with pytest.raises(TargetError) as caught:
        PythonTargets(project).resolve(target)
    assert message in str(caught.value)


CALLED = """
import functools, subprocess, contextlib, dataclasses
from threading import Thread
from types import SimpleNamespace
class Shell(subprocess.Popen):
    pass
class Part(functools.partial):
    pass
class Meta(type):
    pass
class Own(metaclass=Meta):
    def __init__(self, a): self.a = a
@dataclasses.dataclass
class Data:
    a: int
class Caller:
    def __call__(self, a): return a
class Empty:
    pass
part = Part(print)
caller = Caller()
space = SimpleNamespace(run=subprocess.run)
wraps = functools.wraps(subprocess.run)(lambda *args, **kwargs: None)
@contextlib.contextmanager
def managed(a): yield a
def itself(a): return a
itself.__wrapped__ = itself
class Methods:
    run = subprocess.run
    @classmethod
    def own(cls, a): return a
popen = subprocess.Popen
"""


@pytest.mark.parametrize(
    ("name", "is_run"),
    [
        ("Own", True),
        ("Data", True),
        ("caller", True),
        ("managed", True),
        ("Methods.own", True),
        ("Shell", False),
        ("Shell.communicate", False),
        ("Part", False),
        ("part", False),
        ("space.run", False),
        ("wraps", False),
        ("itself", False),
        ("Methods.run", False),
        ("popen", False),
        ("caller.__class__.__base__", False),
        ("managed.__globals__.get", False),
        ("__loader__.exec_module", False),
        ("__spec__.loader.load_module", False),
        ("functools.partial", False),
        ("caller.__call__.__func__.__globals__", False),
        ("Caller.__subclasshook__", False),
        ("Caller.mro", False),
        ("caller.__reduce_ex__", False),
        ("caller.__init_subclass__", False),
        ("Own.__subclasses__", False),
        ("Meta.__prepare__", False),
        ("subprocess.os.system", False),
    ],
)
def test_calling_a_target_runs_code_of_the_project_only(
    tmp_path: Path, name: str, is_run: bool
) -> None:
    (tmp_path / "called_of_test.py").write_text(CALLED)
    try:
        targets = PythonTargets(tmp_path)
        if is_run:
            targets.call(f"called_of_test:{name}", {"a": 1})
        else:
            with pytest.raises(TargetError):
                targets.call(f"called_of_test:{name}", {})
    finally:
        sys.modules.pop("called_of_test", None)


def _compiled(source: str, path: Path, checked: bool | None) -> None:
    code = compile(source, path.name, "exec")
    data = importlib._bootstrap_external._code_to_hash_pyc(  # type: ignore[attr-defined]
        code, importlib.util.source_hash(b"def run(a): return a\n"), checked
    )
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)


@pytest.mark.parametrize("checked", [True, False])
def test_a_planted_cache_file_changes_nothing(tmp_path: Path, checked: bool) -> None:
    source = tmp_path / "cached_of_test.py"
    source.write_text("def run(a): return a\n\n")
    evil = "def run(a): return 'planted'\n"
    _compiled(evil, Path(importlib.util.cache_from_source(str(source))), checked)
    try:
        assert PythonTargets(tmp_path).call("cached_of_test:run", {"a": 1}) == 1
    finally:
        sys.modules.pop("cached_of_test", None)


def test_only_python_source_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _compiled("def run(a): return a\n", tmp_path / "bare_of_test.pyc", False)
    with zipfile.ZipFile(tmp_path / "packed.zip", "w") as archive:
        archive.writestr("zipped_of_test.py", "def run(a): return a\n")
    monkeypatch.syspath_prepend(str(tmp_path / "packed.zip"))
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "linked.py").write_text("raise AssertionError\n")
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "linked_of_test.py").symlink_to(tmp_path / "outside" / "linked.py")
    (tmp_path / "project" / "json.py").write_text("raise AssertionError\n")
    for root, target in (
        (tmp_path, "bare_of_test:run"),
        (tmp_path, "zipped_of_test:run"),
        (tmp_path / "project", "linked_of_test:run"),
        (tmp_path / "project", "json:dumps"),
        (tmp_path / "project", "..linked:run"),
        (tmp_path / "project", "a b:run"),
        (tmp_path / "project", ":run"),
        (tmp_path / "project", "/etc/passwd:run"),
    ):
        with pytest.raises(TargetError):
            PythonTargets(root).resolve(target)


def test_a_package_from_elsewhere_in_a_namespace_is_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looking for ``shared.foreign.mod`` would run the code of ``shared.foreign``."""
    foreign = tmp_path / "elsewhere" / "shared_of_test" / "foreign"
    foreign.mkdir(parents=True)
    (foreign / "__init__.py").write_text("raise AssertionError\n")
    (foreign / "mod.py").write_text("def run(a): return a\n")
    (tmp_path / "project" / "shared_of_test").mkdir(parents=True)
    monkeypatch.syspath_prepend(str(tmp_path / "elsewhere"))
    try:
        with pytest.raises(TargetError, match="is not Python source in the project"):
            PythonTargets(tmp_path / "project").resolve("shared_of_test.foreign.mod:run")
    finally:
        sys.modules.pop("shared_of_test", None)


def test_a_named_package_counts_as_the_projects_own(project: Path) -> None:
    targets = PythonTargets(project, ("jsonschema", "click.utils"))
    assert targets.resolve("jsonschema:validate").__name__ == "validate"
    assert targets.resolve("project_tools:jsonschema.validate").__name__ == "validate"
    with pytest.raises(TargetError, match=r"os\.system is defined in posix, not in"):
        targets.resolve("click.utils:os.system")
    with pytest.raises(TargetError, match="evalkit_python = click"):
        targets.resolve("click.core:Command")


def test_a_virtual_environment_in_the_project_is_not_the_project(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = project / ".venv" / "lib" / "python3.13" / "site-packages"
    packages.mkdir(parents=True)
    (packages / "package_of_test.py").write_text("def run(command): raise AssertionError\n")
    monkeypatch.syspath_prepend(str(packages))
    with pytest.raises(TargetError, match="evalkit_python = package_of_test"):
        PythonTargets(project).resolve("package_of_test:run")


def test_a_module_outside_the_project_is_rejected_before_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "stray_module_of_test.py").write_text("def x(): pass\n")
    (tmp_path / "project").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path / "elsewhere"))
    with pytest.raises(TargetError, match="is not Python source in the project"):
        PythonTargets(tmp_path / "project").resolve("stray_module_of_test:x")
    assert "stray_module_of_test" not in sys.modules


def test_a_namespace_package_resolves_to_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("elsewhere", 1), ("project", 2)):
        (tmp_path / name / "twofold_folder_of_test").mkdir(parents=True)
        (tmp_path / name / "twofold_folder_of_test" / "mod.py").write_text(
            f"def x(): return {value}\n"
        )
    (tmp_path / "elsewhere" / "twofold_folder_of_test" / "stray.py").write_text("x = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path / "elsewhere"))
    targets = PythonTargets(tmp_path / "project")
    try:
        assert targets.resolve("twofold_folder_of_test.mod:x")() == 2
        with pytest.raises(TargetError, match="is not Python source in the project"):
            targets.resolve("twofold_folder_of_test.stray:x")
        with pytest.raises(TargetError, match=r"no module 'twofold_folder_of_test\.gone'"):
            targets.resolve("twofold_folder_of_test.gone:x")
    finally:
        for name in [name for name in sys.modules if name.startswith("twofold_folder_of_test")]:
            del sys.modules[name]


def test_tools_are_called_with_the_arguments_of_the_call(project: Path) -> None:
    targets = PythonTargets(project)
    assert targets.call("project_tools:plain", {"a": 1}) == 3
    assert targets.call("project_tools:later", {"a": 1}) == {"a": 1}
    with pytest.raises(ToolCrashed, match="project_tools:broken raised RuntimeError: boom"):
        targets.call("project_tools:broken", {"a": 1})
    with pytest.raises(ToolCrashed, match="TypeError"):
        targets.call("project_tools:plain", {"a": []})
    with pytest.raises(TargetError, match="not callable"):
        targets.call("project_tools:Inner.value", {})


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"wrong": 1}, "missing a required argument: 'a'"),
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
        PythonTargets(project).call("project_tools:plain", arguments, parameters)
