"""``evalkit_tape`` with suites, ini options, pytest-xdist, async tests, and unused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.tape.plugin.taped_project import HELLO, TapedProject


def test_fixture_does_not_record_ignored_hosts(project: TapedProject) -> None:
    project.pytester.makeini("[pytest]\nevalkit_ignore_hosts = loopback\n")
    project.write(
        "test_app.py",
        HELLO.replace(
            '    evalkit_tape.expect(text="Hello")\n',
            "    assert evalkit_tape.conversations() == []\n",
        ),
    )
    project.run("--evalkit-base-url", project.url).assert_outcomes(passed=1)
    assert not (project.root / "cassettes").exists()


def test_patterns_are_redacted(project: TapedProject) -> None:
    project.pytester.makeini("[pytest]\nevalkit_redact = Hel+o\n")
    project.write("test_app.py", HELLO.replace('text="Hello"', 'text="REDACTED"'))
    project.record().assert_outcomes(passed=1)
    assert "Hello" not in (project.root / "cassettes/test_app/test_hello.yaml").read_text()
    project.run().assert_outcomes(passed=1)


def test_suites_and_tapes_in_one_session(project: TapedProject) -> None:
    project.write(
        "suites/s.yaml",
        """
        suite: s
        scenarios:
          - {id: a, model: gemini-3.5-flash, turns: [{user: Hello}]}
          - {id: b, target: {python: "taped_application:answer"}, turns: [{user: Hello, expect: [text: Hello]}]}
        """,
    )
    project.write(
        "taped_application.py",
        (project.root / "taped_application.py").read_text()
        + "\ndef answer(message, context):\n    ask(message)\n",
    )
    project.record().assert_outcomes(passed=3)
    assert [name for name in project.cassettes() if name.endswith(".yaml")] == [
        "s/a.yaml",
        "s/b.yaml",
        "test_app/test_hello.yaml",
    ]
    result = project.run("--evalkit-strict")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(
        [
            "2 variants and 1 application test: 3 passed, 0 failed*",
            "0 recordings left unplayed, 0 cassettes used by no variant",
        ]
    )


def test_fixture_records_in_xdist_workers(project: TapedProject) -> None:
    project.write(
        "test_app.py",
        HELLO
        + HELLO.replace("test_hello", "test_again").replace("ask(", "ask(").split("import ask")[1],
    )
    project.record().assert_outcomes(passed=2)
    done = project.pytester.runpytest_subprocess("-p", "xdist", "-n", "2", "-p", "no:cacheprovider")
    done.assert_outcomes(passed=2)


def test_fixture_records_async_tests(project: TapedProject) -> None:
    project.write(
        "test_app.py",
        """
        import os
        import httpx
        import pytest

        pytestmark = pytest.mark.anyio

        @pytest.fixture
        def anyio_backend():
            return "asyncio"

        async def test_hello(evalkit_tape):
            async with httpx.AsyncClient(base_url=os.environ["GOOGLE_GEMINI_BASE_URL"]) as client:
                body = {"model": "gemini-3.5-flash", "input": "Hello"}
                await client.post("/v1beta/interactions", json=body, headers={"x-goog-api-key": "any"})
            evalkit_tape.expect(text="Hello")
        """,
    )
    project.record("-p", "anyio").assert_outcomes(passed=1)
    project.run("-p", "anyio").assert_outcomes(passed=1)


def test_session_without_tapes_does_not_import_the_recorder(tmp_path: Path) -> None:
    code = (
        "import sys, pytest; pytest.main(['--co', '-q', '-p', 'no:cacheprovider', '--fixtures']);"
        "print([name for name in sys.modules if name.split('.')[0] == 'vcr' or name.startswith('evalkit.session')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert "evalkit_tape" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"
