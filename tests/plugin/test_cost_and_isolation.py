"""The plugin imports little without suites, opens no socket and breaks no session."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.metadata import entry_points

import pytest

from tests.plugin.project import Project

HEAVY = (
    "httpx",
    "vcr",
    "yaml",
    "pydantic",
    "jinja2",
    "jsonschema",
    "rich",
    "click",
    "starlette",
    "evalkit.suite",
    "evalkit.session",
    "evalkit.results",
)


BARE = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PATH": "/usr/bin:/bin"}


def test_a_session_without_suites_imports_nothing_heavy(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        f"""
        import sys

        def test_nothing_heavy(request):
            assert request.config.pluginmanager.has_plugin("evalkit.pytest_plugin")
            assert [name for name in {HEAVY!r} if name in sys.modules] == []
            assert not request.config.pluginmanager.has_plugin("evalkit-reporter")
        """
    )
    command = [sys.executable, "-m", "pytest", "-p", "evalkit.pytest_plugin", "-q"]
    done = subprocess.run(
        command, cwd=pytester.path, env=BARE, capture_output=True, text=True, check=False
    )
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_the_entry_point_loads_the_plugin(pytester: pytest.Pytester) -> None:
    assert [
        point.name
        for point in entry_points(group="pytest11")
        if point.value == "evalkit.pytest_plugin"
    ] == ["evalkit"]
    command = [sys.executable, "-m", "pytest", "--help"]
    done = subprocess.run(
        command,
        cwd=pytester.path,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "--evalkit-record" in done.stdout


def test_replay_imports_neither_http_nor_recorder(recorded: Project) -> None:
    (recorded.root / "test_after.py").write_text(
        "import sys\n\ndef test_after():\n    assert [name for name in ('httpx', 'vcr', 'jsonschema', 'uvicorn') if name in sys.modules] == []\n"
    )
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "evalkit.pytest_plugin",
        "-q",
        "suites",
        "test_after.py",
    ]
    done = subprocess.run(
        command, cwd=recorded.root, env=BARE, capture_output=True, text=True, check=False
    )
    assert "5 passed" in done.stdout, done.stdout + done.stderr


def test_replay_opens_no_socket(recorded: Project) -> None:
    recorded.pytester.makeconftest(
        """
        import socket

        def refuse(*args, **kwargs):
            raise AssertionError("a socket was opened")

        def pytest_collection_finish():
            socket.socket.connect = refuse
            socket.socket.__init__ = refuse
            socket.create_connection = refuse
            socket.getaddrinfo = refuse
        """
    )
    result = recorded.pytester.runpytest_subprocess("suites")
    result.assert_outcomes(passed=4)


@pytest.mark.skipif(shutil.which("unshare") is None, reason="no unshare(1) here")
def test_replay_without_any_network(recorded: Project) -> None:
    if subprocess.run(["unshare", "-rn", "true"], check=False, capture_output=True).returncode != 0:
        pytest.skip("this machine lets nobody make a network namespace")
    command = ["unshare", "-rn", sys.executable, "-m", "pytest", "suites"]
    done = subprocess.run(command, cwd=recorded.root, capture_output=True, text=True, check=False)
    assert "4 passed" in done.stdout, done.stdout + done.stderr


def test_the_plugin_can_be_switched_off(project: Project) -> None:
    result = project.pytester.runpytest_subprocess("suites", "-p", "no:evalkit.pytest_plugin")
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED


def test_a_session_leaves_the_garbage_collector_alone(recorded: Project) -> None:
    script = """
import gc, sys, pytest

class Watch:
    def pytest_runtest_logreport(self):
        assert gc.isenabled() and gc.get_freeze_count() == 0

ended = pytest.main(["-p", "evalkit.pytest_plugin", "-q", *sys.argv[1:]], plugins=[Watch()])
print(ended.name, gc.isenabled(), gc.get_freeze_count())
"""
    command = [sys.executable, "-c", script, "suites"]
    done = subprocess.run(
        command, cwd=recorded.root, env=BARE, capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines()[-1] == "OK True 0", done.stdout + done.stderr


def test_stored_pytest_reports_do_not_reference_results(recorded: Project) -> None:
    reports: list[pytest.TestReport] = []

    class Keeper:
        @pytest.hookimpl(trylast=True)
        def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
            reports.append(report)

    recorded.pytester.inline_run("suites", plugins=[Keeper()])
    results = [vars(report)["evalkit_result"] for report in reports if report.when == "call"]
    assert results == [{"verdict": "passed"}] * 4
