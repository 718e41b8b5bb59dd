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


@pytest.mark.parametrize(
    ("name", "text", "is_stranger"),
    [
        (RESULTS, "", False),
        (RESULTS, '{"schema_version":1,"id":"s::a"}\n', False),
        (f".{MANIFEST}.123.tmp", "{", False),
        (RESULTS, '{"name": "of another tool"}\n', True),
        ("notes.txt", "", True),
    ],
)
def test_a_session_that_was_killed_at_its_start_does_not_block_the_next(
    tmp_path: Path, name: str, text: str, is_stranger: bool
) -> None:
    (tmp_path / name).write_text(text)
    if is_stranger:
        with pytest.raises(UsageError, match="contains files and is not a run directory"):
            check_output(tmp_path, "--evalkit-report")
    else:
        check_output(tmp_path, "--evalkit-report")
