"""``evalkit_tape`` records by ``--evalkit-record`` and replays with no server, no key and no option."""

from __future__ import annotations

import pytest

from evalkit.cassette import parse
from tests.tape.plugin.taped_project import TapedProject


def test_mode_none_is_the_default_and_a_miss_suggests_a_fix(project: TapedProject) -> None:
    result = project.run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        [
            "test_app.py::test_hello: the cassette cassettes/test_app/test_hello.yaml has no recording of request 1, POST /v1beta/interactions",
            "*cause: the cassette does not exist yet",
            "*pytest *test_app.py::test_hello --evalkit-record all",
        ]
    )
    assert not (project.root / "cassettes").exists()


def test_once_records_and_none_replays(project: TapedProject) -> None:
    project.record().assert_outcomes(passed=1)
    assert project.cassettes() == ["test_app/test_hello.yaml"]
    text = (project.root / "cassettes/test_app/test_hello.yaml").read_text()
    assert parse(text, "c").metadata["test"] == "test_app.py::test_hello"
    project.run().assert_outcomes(passed=1)
    assert (project.root / "cassettes/test_app/test_hello.yaml").read_text() == text


def test_mode_all_preserves_the_old_cassette_when_the_test_fails(project: TapedProject) -> None:
    project.record().assert_outcomes(passed=1)
    before = (project.root / "cassettes/test_app/test_hello.yaml").read_text()
    project.write(
        "test_app.py",
        "from taped_application import ask\n\ndef test_hello(evalkit_tape):\n    ask('Goodbye')\n    raise OSError\n",
    )
    project.record(mode="all").assert_outcomes(errors=1)
    assert (project.root / "cassettes/test_app/test_hello.yaml").read_text() == before
    project.write(
        "test_app.py",
        "from taped_application import ask\n\ndef test_hello(evalkit_tape):\n    ask('Goodbye')\n    assert False\n",
    )
    project.record(mode="all").assert_outcomes(failed=1)
    assert "Goodbye" in (project.root / "cassettes/test_app/test_hello.yaml").read_text()


def test_error_in_a_fixture_leaves_only_a_journal(project: TapedProject) -> None:
    project.write(
        "test_app.py",
        """
        import pytest
        from taped_application import ask

        @pytest.fixture
        def broken(evalkit_tape):
            ask("Hello")
            raise OSError("no database")

        def test_hello(broken):
            pass
        """,
    )
    project.record().assert_outcomes(errors=1)
    assert project.cassettes() == ["test_app/test_hello.yaml.journal"]


def test_live_reaches_the_endpoint_and_writes_nothing(project: TapedProject) -> None:
    project.run("--evalkit-live", "--evalkit-base-url", project.url).assert_outcomes(passed=1)
    assert not (project.root / "cassettes").exists()


def test_cassette_directory_can_be_configured(project: TapedProject) -> None:
    project.record("--evalkit-cassettes", "taped").assert_outcomes(passed=1)
    assert project.cassettes("taped") == ["test_app/test_hello.yaml"]


def test_environment_is_restored_after_the_test(project: TapedProject) -> None:
    project.write(
        "test_app.py",
        """
        import os
        from taped_application import ask

        def test_hello(evalkit_tape):
            assert os.environ["GEMINI_API_KEY"]
            ask("Hello")

        def test_afterwards():
            assert "GEMINI_API_KEY" not in os.environ
            assert os.environ["GOOGLE_GEMINI_BASE_URL"] == "http://127.0.0.1:9"
        """,
    )
    project.record().assert_outcomes(passed=2)


def test_a_broken_cassette_shows_no_traceback_of_evalkit(project: TapedProject) -> None:
    path = project.write("cassettes/test_app/test_hello.yaml", "interactions: [\n")
    result = project.record(mode="all")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*cassettes/test_app/test_hello.yaml:*"])
    result.stdout.no_fnmatch_line("*evalkit/session/*")
    assert path.read_text() == "interactions: [\n"


ENDINGS = {
    "skip": ("pytest.skip('no sandbox')", "skipped"),
    "unittest": ("raise unittest.SkipTest('no sandbox')", "skipped"),
    "xfail": ("pytest.xfail('ticket 4711')", "xfailed"),
    "fail": ("pytest.fail('too slow')", "failed"),
    "assertion": ("assert answer['id'] == 'v2'", "failed"),
    "crash": ("answer['steps'][99]", "errors"),
    "expected crash": ("raise ValueError('not yet')", "xfailed"),
}


@pytest.mark.parametrize("name", ENDINGS)
def test_any_end_after_the_requests_has_a_cassette(project: TapedProject, name: str) -> None:
    statement, outcome = ENDINGS[name]
    mark = "@pytest.mark.xfail(raises=ValueError)\n" if outcome == "xfailed" else ""
    project.write(
        "test_app.py",
        "import unittest\nimport pytest\nfrom taped_application import ask\n\n"
        f"{mark}def test_hello(evalkit_tape):\n    answer = ask('Hello')\n    {statement}\n",
    )
    for result in (project.record(), project.run()):
        result.assert_outcomes(**{outcome: 1})
    assert project.cassettes() == ["test_app/test_hello.yaml"]


def test_a_skip_in_a_fixture_has_a_cassette(project: TapedProject) -> None:
    project.write(
        "test_app.py",
        """
        import pytest
        from taped_application import ask

        @pytest.fixture
        def model(evalkit_tape):
            if ask("Which tools?")["model"]:
                pytest.skip("this model has no tools")

        def test_hello(model):
            ask("Hello")
        """,
    )
    project.record().assert_outcomes(skipped=1)
    project.run().assert_outcomes(skipped=1)


@pytest.mark.parametrize("statement", ["raise", "pytest.skip('offline')", "assert not 'offline'"])
def test_a_request_without_a_response_leaves_only_a_journal(
    project: TapedProject, statement: str
) -> None:
    project.write(
        "test_app.py",
        f"""
        import pytest, httpx
        from taped_application import ask

        def test_hello(evalkit_tape):
            ask("Hello")
            try:
                httpx.post("http://127.0.0.1:9/v1beta/interactions", json={{"input": "Hello"}})
            except httpx.ConnectError:
                {statement}
        """,
    )
    project.record()
    assert project.cassettes() == ["test_app/test_hello.yaml.journal"]
