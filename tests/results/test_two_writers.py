"""Two sessions and one run directory: the second is refused, the first loses nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalkit.errors import UsageError
from evalkit.results import Journal
from evalkit.results.run_directory import MANIFEST, RESULTS, check_output


def test_a_directory_is_refused_while_another_session_writes_it(tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_text("{}")
    journal = Journal(tmp_path, ["{}"])
    journal.append('{"a":1}')
    for _ in range(2):
        with pytest.raises(UsageError, match="another session is writing"):
            check_output(tmp_path, "--evalkit-report")
    journal.append('{"b":2}')
    journal.close()
    check_output(tmp_path, "--evalkit-report")
    assert (tmp_path / RESULTS).read_text() == '{}\n{"a":1}\n{"b":2}\n'


def test_a_file_in_place_of_the_directory_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run"
    path.write_text("mine")
    with pytest.raises(UsageError, match="is a file"):
        check_output(path, "--evalkit-report")
    assert path.read_text() == "mine"
