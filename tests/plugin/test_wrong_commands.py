"""Wrong command lines: each is refused with one sentence that says what to write instead."""

from __future__ import annotations

import pytest

from tests.plugin.project import Project


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("helo", " (did you mean 'hello'?)"),
        ("hello[statefull]", " (did you mean 'hello[stateful]'?)"),
        ("hello#3", " (did you mean 'hello'?)"),
        ("zzz", ""),
    ],
)
def test_a_node_id_that_no_suite_has(recorded: Project, name: str, hint: str) -> None:
    result = recorded.run(f"suites/weather.yaml::{name}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    message = (
        f"ERROR: suites/weather.yaml has no test {name!r}{hint}; list them: "
        "pytest suites/weather.yaml --collect-only -q"
    )
    assert message in result.stderr.lines


def test_node_ids_of_other_files_are_left_to_pytest(recorded: Project) -> None:
    (recorded.root / "test_a.py").write_text("def test_a(): pass\n")
    result = recorded.run("test_a.py::test_b", "suites/weather.yaml::hello")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "has no test" not in result.stderr.str()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("-p", "xdist.plugin", "--evalkit-resume", "-n2"),
            "--evalkit-resume and -n exclude each other; resume in one process: leave -n out, or "
            "add -n 0",
        ),
        (("--evalkit-repeat", "0"), "--evalkit-repeat: '0' is not a whole number from 1"),
        (("--evalkit-concurrency", "x"), "--evalkit-concurrency: 'x' is not a whole number from 1"),
        (
            ("--evalkit-record", "all", "--evalkit-base-url", "localhost:8787"),
            "base URL 'localhost:8787': no scheme; it must start with https:// or http://",
        ),
    ],
)
def test_wrong_options(recorded: Project, arguments: tuple[str, ...], message: str) -> None:
    result = recorded.run("suites", *arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert message in result.stderr.str()
    assert "INTERNALERROR" not in result.stdout.str()


def test_a_wrong_suite_does_not_look_like_an_interruption(recorded: Project) -> None:
    (recorded.root / "suites/other.yaml").write_text("suite: other\n")
    result = recorded.run("suites")
    assert "missing key 'scenarios'" in result.stdout.str()
    assert "stopped: " not in result.stdout.str()
