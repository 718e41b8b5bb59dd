"""Recordings that a test no longer requests: a warning, an error with ``--evalkit-strict``."""

from __future__ import annotations

from tests.tape.plugin.taped_project import TapedProject

TWO = """
from taped_application import ask

def test_hello(evalkit_tape):
    ask("Hello")
    ask("Goodbye")
"""


def shortened(project: TapedProject) -> TapedProject:
    project.write("test_app.py", TWO)
    project.record().assert_outcomes(passed=1)
    project.write("test_app.py", TWO.replace('    ask("Goodbye")\n', ""))
    return project


def test_unplayed_recordings_are_reported(project: TapedProject) -> None:
    result = shortened(project).run("-W", "default", "-W", "ignore:Module already imported")
    result.assert_outcomes(passed=1, warnings=1)
    result.stdout.fnmatch_lines(
        ["*1 recording left unplayed: recording 2: POST /v1beta/interactions*"]
    )


def test_unplayed_recordings_are_an_error_with_strict(project: TapedProject) -> None:
    result = shortened(project).run("--evalkit-strict")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*1 recording left unplayed*"])


def test_a_failed_test_reports_no_unplayed_recordings(project: TapedProject) -> None:
    shortened(project).write("test_app.py", TWO.replace('ask("Goodbye")', "assert False"))
    project.run().assert_outcomes(failed=1)
