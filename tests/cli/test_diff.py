"""``evalkit diff``: files, folders and git revisions, and the text for git itself."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from evalkit.cassette.format import render
from evalkit.cassette.recording import Cassette, Recording
from evalkit.cli.main import main
from tests.cassette.test_preserved_recordings import RUN_A, RUN_B, stateful, stateless


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["diff", *arguments])


def put(name: str, recordings: list[Recording], suite: str = "x") -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render(Cassette(recordings, {"suite": suite})))
    return path


def git(*arguments: str) -> None:
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=m"]
    subprocess.run(["git", *identity, *arguments], check=True, capture_output=True)


@pytest.fixture
def repository(here: Path) -> Path:
    git("init")
    put("cassettes/help/hello.yaml", stateful(RUN_A))
    put("cassettes/help/warm.yaml", stateless(RUN_A))
    put("cassettes/help/gone.yaml", stateful(RUN_A, last="Gone."))
    put("cassettes/help/old.yaml", stateful(RUN_A, last="Moved."))
    Path("cassettes/notes.yaml").write_text("a: 1\n")
    git("add", "-A")
    git("commit", "-m", "1")
    return here


def test_two_files() -> None:
    put("a.yaml", stateful(RUN_A))
    put("b.yaml", stateful(RUN_B, last="Good bye."))
    result = call("a.yaml", "b.yaml")
    assert result.exit_code == 1
    assert (
        result.output
        == """\
b.yaml
  turn 2
    answer
-     Bye.
+     Good bye.
  usage: 197 tokens, now 199

1 conversation differs; 0 the same
"""
    )


def test_ids_times_and_counts_are_no_difference() -> None:
    put("a.yaml", stateless(RUN_A))
    put("b.yaml", stateless(RUN_B))
    result = call("a.yaml", "b.yaml")
    assert (result.exit_code, result.output) == (0, "0 conversations differ; 1 the same\n")


def test_usage_is_one_line_of_a_conversation_that_differs() -> None:
    put("a.yaml", stateful(RUN_A))
    put("b.yaml", stateful(RUN_B, last="x"))
    put("c.yaml", stateful("cccccccc", last="y"))
    assert "  usage: 199 tokens, now 201\n" in call("b.yaml", "c.yaml").output


def test_the_same_difference_is_shown_once() -> None:
    for name in range(14):
        put(f"one/{name:02}.yaml", stateful(RUN_A))
        put(f"two/{name:02}.yaml", stateful(RUN_B, last="x"))
    lines = call("one", "two").output.splitlines()
    assert lines[:2] == ["00.yaml", "01.yaml"]
    assert lines[11:] == [
        "11.yaml",
        "and 2 more",
        "  turn 2",
        "    answer",
        "-     Bye.",
        "+     x",
        "  usage: 2,758 tokens, now 2,786",
        "",
        "14 conversations differ; 0 the same",
    ]


def test_folders() -> None:
    for name, run in (("one", RUN_A), ("two", RUN_B)):
        put(f"{name}/s/same.yaml", stateless(run))
    put("one/s/gone.yaml", stateful(RUN_A, last="Gone."))
    put("one/s/was.yaml", stateful(RUN_A, last="Moved."))
    put("two/s/is.yaml", stateful(RUN_B, last="Moved."))
    put("two/s/new.yaml", stateful(RUN_B, last="\x1b[2JNew."))
    result = call("one", "two")
    assert result.exit_code == 1
    assert result.output.splitlines() == [
        "added  s/new.yaml",
        "removed  s/gone.yaml",
        "renamed  s/was.yaml to s/is.yaml",
        "0 conversations differ, 1 added, 1 removed, 1 renamed; 1 the same",
    ]


def test_revisions_and_the_work_tree(repository: Path) -> None:
    put("cassettes/help/hello.yaml", stateful(RUN_B, last="Good\nbye."))
    put("cassettes/help/warm.yaml", stateless(RUN_B))
    Path("cassettes/help/old.yaml").rename("cassettes/help/moved.yaml")
    Path("cassettes/help/gone.yaml").unlink()
    expected = [
        "cassettes/help/hello.yaml",
        "  turn 2",
        "    answer",
        "-     Bye.",
        "+     Good",
        "+     bye.",
        "  usage: 197 tokens, now 199",
        "",
        "removed  cassettes/help/gone.yaml",
        "renamed  cassettes/help/old.yaml to cassettes/help/moved.yaml",
        "1 conversation differs, 1 removed, 1 renamed; 1 the same",
    ]
    assert call().output.splitlines() == expected
    assert call("HEAD").output.splitlines() == expected
    assert call("HEAD", "--", "cassettes").output.splitlines() == expected
    git("add", "-A")
    git("commit", "-m", "2")
    assert call().output == "0 conversations differ; 3 the same\n"
    for arguments in (["HEAD~1", "HEAD"], ["HEAD~1..HEAD"], ["HEAD~1.."], ["HEAD~1"]):
        assert call(*arguments).output.splitlines() == expected
    only = call("HEAD~1", "HEAD", "--", "cassettes/help/warm.yaml")
    assert (only.exit_code, only.output) == (0, "0 conversations differ; 1 the same\n")
    gone = call("HEAD~1", "cassettes/help/gone.yaml")
    assert gone.exit_code == 2  # without -- a path must exist, as git wants it
    gone = call("HEAD~1", "--", "cassettes/help/gone.yaml")
    assert gone.output.startswith("removed  cassettes/help/gone.yaml\n")


def test_a_subfolder_of_a_repository(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put("cassettes/help/hello.yaml", stateful(RUN_B, last="x"))
    monkeypatch.chdir(repository / "cassettes")
    assert call("help").output.startswith("help/hello.yaml\n")
    assert call("HEAD", "HEAD").exit_code == 0


def test_paths_may_be_absolute_or_end_with_a_slash(repository: Path) -> None:
    shutil.rmtree("cassettes/help")
    expected = call().output
    assert expected.endswith("0 conversations differ, 4 removed; 0 the same\n")
    for path in (str(repository / "cassettes"), "cassettes/help/", "./cassettes", "x/../cassettes"):
        assert call("HEAD", "--", path).output == expected


def test_a_file_is_not_compared_with_a_folder() -> None:
    put("one/a.yaml", stateful(RUN_A))
    result = call("one", "one/a.yaml")
    assert result.exit_code == 2
    assert "one is a file and one a folder" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nonsense"], "'nonsense' is neither a file or folder here nor a git revision"),
        (["a", "b", "c"], "'c' is one revision too many"),
        (["../nothing"], "'../nothing' is neither a file or folder here nor a git revision"),
        (["HEAD", "--", "/"], "git ls-tree failed (fatal: "),
        (["HEAD", "--", "missing"], "'missing': no such file or folder, here or in 'HEAD'"),
        (["--text"], "--text needs one cassette"),
        (["--text", "missing.yaml"], "missing.yaml: cannot be read"),
    ],
)
def test_wrong_calls(repository: Path, arguments: list[str], message: str) -> None:
    result = call(*arguments)
    assert result.exit_code == 2
    assert message in result.output


def test_without_git_two_names_are_needed(here: Path) -> None:
    result = call()
    assert result.exit_code == 2
    assert "name two files or folders" in result.output
    assert "'x' does not exist" in call("x").output


def test_a_damaged_cassette_is_reported_beside_the_rest() -> None:
    put("one/a.yaml", stateful(RUN_A))
    put("two/a.yaml", stateful(RUN_A, last="x"))
    for folder, text in (("one", "interactions: [\n"), ("two", "interactions: {}\n")):
        Path(folder, "b.yaml").write_text(text)
    result = call("one", "two")
    assert result.exit_code == 3
    assert "b.yaml:1 the file is truncated" in result.output
    assert "1 conversation differs; 0 the same" in result.output


def test_a_cassette_damaged_on_one_side_is_not_listed_as_added_or_removed() -> None:
    put("one/a.yaml", stateful(RUN_A))
    put("one/b.yaml", stateful(RUN_A))
    put("two/a.yaml", stateful(RUN_A))
    Path("two/b.yaml").write_text("interactions: [\n")
    result = call("one", "two")
    assert result.exit_code == 3
    first, *_, last = result.output.splitlines()
    assert first.startswith("b.yaml:1 the file is truncated")
    assert last == "0 conversations differ; 1 the same"


def test_the_text_of_one_cassette() -> None:
    put("a.yaml", stateful(RUN_A), suite="one")
    put("b.yaml", stateful(RUN_B), suite="two")
    shown = call("--text", "a.yaml").output
    assert shown == call("--text", "--", "b.yaml").output
    assert "turn 2\n  user\n    Bye\n  answer\n    Bye.\n" in shown
    assert RUN_A not in shown


def test_the_text_of_a_file_that_is_not_a_cassette_is_the_file() -> None:
    # git ends its output where a textconv program fails.
    Path("a.yaml").write_bytes(b"<<<<<<< HEAD\ninteractions: \xff\n")
    result = call("--text", "a.yaml")
    assert result.exit_code == 0
    assert result.output.startswith("not a cassette: file:2 not UTF-8")
    assert "<<<<<<< HEAD\ninteractions: " in result.output
