"""``evalkit merge``: merged runs byte for byte, refused calls, and atomic output."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner, Result

from evalkit.cli.main import main
from evalkit.results import Totals
from tests.results.shards import line, write
from tests.results.test_merge import SCHEMA

A, B, C = line("a"), line("b", "failed"), line("c")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("CI", raising=False)
    return tmp_path


@pytest.fixture
def shards(here: Path) -> list[str]:
    return [
        str(write(Path("shards", name), lines, collected=3))
        for name, lines in (("1", [B, A]), ("2", [C]))
    ]


def merge(*arguments: str) -> Result:
    done = CliRunner().invoke(main, ["merge", *arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
    return done


def refused(*arguments: str) -> str:
    done = merge(*arguments)
    assert done.exit_code == 2
    assert done.output.startswith("evalkit: ")
    return done.output.removeprefix("evalkit: ").rstrip("\n")


def names(folder: Path | str = ".") -> list[str]:
    return sorted(path.name for path in Path(folder).iterdir())


def read(folder: str = "out") -> dict[str, Any]:
    value: dict[str, Any] = json.loads(Path(folder, "manifest.json").read_text())
    jsonschema.validate(value, SCHEMA)
    return value


def test_two_runs_become_one(shards: list[str]) -> None:
    done = merge(*shards, "--output", "out")
    assert (done.exit_code, done.output) == (
        0,
        "2 runs, 3 variants: 2 passed, 1 failed, 0 errored, 0 skipped\nreport: out/index.html\n",
    )
    assert Path("out/results.jsonl").read_text() == f"{B}\n{A}\n{C}\n"
    assert names("out") == [
        "index.html",
        "junit.xml",
        "manifest.json",
        "results.jsonl",
        "summary.md",
    ]
    assert names() == ["out", "shards"]
    assert read()["complete"] is True
    pages = {name: Path("out", name).read_bytes() for name in names("out")}
    assert CliRunner().invoke(main, ["report", "out"]).exit_code == 0
    assert {name: Path("out", name).read_bytes() for name in pages} == pages


def test_results_are_in_the_order_of_the_runs(shards: list[str]) -> None:
    merge(*reversed(shards), shards[0], "--output", "out")
    assert Path("out/results.jsonl").read_text() == f"{C}\n{B}\n{A}\n"
    assert [origin["path"] for origin in read()["merged"]] == ["shards/2", "shards/1"]


def test_merged_runs_can_be_merged(shards: list[str]) -> None:
    write(Path("more"), [line("d", suite="t")], suites=["t"])
    assert merge(*shards, "--output", "some").exit_code == 0
    assert merge("some", "more", "--output", "out").output.startswith(
        "2 runs, 4 variants: 3 passed, 1 failed"
    )
    assert [origin["path"] for origin in read()["merged"][0]["merged"]] == shards


def test_deselected_variants_may_be_in_a_later_run() -> None:
    for name, text in (("first", A), ("second", B), ("third", C)):
        write(Path(name), [text], collected=3)
    assert (
        "1 variant deselected in every run" in merge("first", "second", "--output", "some").stderr
    )
    assert merge("some", "third", "--output", "out").stderr == ""
    assert read()["complete"] is True
    write(Path("stopped"), [], collected=3, complete=False)
    merge("first", "second", "stopped", "--output", "some")
    assert (
        merge("some", "third", "--output", "out").stderr
        == "evalkit: not complete: some is itself not complete\n"
    )


def test_ci_reports_are_written_in_ci(shards: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    merge(*shards, "--output", "out")
    assert {"badge.json", "ctrf.json"} <= set(names("out"))


def test_incomplete_line_is_dropped(shards: list[str]) -> None:
    with Path(shards[0], "results.jsonl").open("a") as file:
        file.write(C[:50])
    assert merge(*shards, "--output", "out").exit_code == 0
    assert Path("out/results.jsonl").read_text() == f"{B}\n{A}\n{C}\n"


def test_killed_run_is_merged_and_reported(shards: list[str]) -> None:
    killed = write(
        Path("killed"),
        [line("d"), line("e")],
        suites=["t"],
        collected=5,
        ended=None,
        complete=False,
        totals=Totals(5).to_json(),
    )
    with (killed / "results.jsonl").open("a") as file:
        file.write(C[:50])
    done = merge(*shards, "killed", "--output", "out")
    assert done.exit_code == 0
    assert done.stderr == "evalkit: not complete: killed did not end (2 results)\n"
    assert (
        done.stdout.splitlines()[0]
        == "3 runs, 8 variants: 4 passed, 1 failed, 0 errored, 0 skipped, 3 not run"
    )
    assert read()["complete"] is False


def test_run_with_missing_results_is_reported(shards: list[str]) -> None:
    stopped = write(Path("stopped"), [line("d")], suites=["t"], complete=False)
    value = json.loads((stopped / "manifest.json").read_text())
    value["totals"]["collected"] = value["suites"][0]["collected"] = 3
    (stopped / "manifest.json").write_text(json.dumps(value))
    done = merge(*shards, "stopped", "--output", "out")
    assert done.stderr == "evalkit: not complete: stopped has 2 variants without a result\n"
    assert (
        done.stdout.splitlines()[0]
        == "3 runs, 6 variants: 3 passed, 1 failed, 0 errored, 0 skipped, 2 not run"
    )


def test_variants_deselected_by_all_runs_are_a_gap_unless_allowed(shards: list[str]) -> None:
    done = merge(shards[0], "--output", "out")
    assert done.exit_code == 0
    assert (
        done.stderr
        == "evalkit: not complete: 1 variant deselected in every run (--allow-deselected)\n"
    )
    assert (
        done.stdout.splitlines()[0]
        == "1 run, 3 variants: 1 passed, 1 failed, 0 errored, 0 skipped, 1 deselected"
    )
    assert read()["complete"] is False
    assert merge(shards[0], "--output", "out", "--allow-deselected").stderr == ""
    assert read()["complete"] is True


def test_existing_run_is_replaced_and_decisions_stay(shards: list[str]) -> None:
    merge(shards[0], "--output", "out")
    Path("out/data").mkdir()
    Path("out/badge.json").write_text("old")
    Path("out/decisions.yaml").write_text("mine")
    Path("out/comparison").mkdir()
    Path("out/comparison/comment.md").write_text("mine")
    Path("out/link").symlink_to("decisions.yaml")
    assert merge(*shards, "--output", "out").exit_code == 0
    made = ["index.html", "junit.xml", "manifest.json", "results.jsonl", "summary.md"]
    assert names("out") == sorted([*made, "comparison", "decisions.yaml", "link"])
    assert Path("out/comparison/comment.md").read_text() == Path("out/link").read_text() == "mine"
    assert names() == ["out", "shards"]


def test_output_may_be_empty_or_not_exist(shards: list[str]) -> None:
    Path("empty").mkdir()
    for place in ("empty", "deep/er"):
        assert merge(*shards, "--output", place).exit_code == 0
        assert read(place)["complete"] is True


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["shards/1", "none"], "none is not a run directory: it does not exist"),
        (["shards"], "shards is not a run directory, but contains some; did you mean shards/1?"),
        (["shards/1", "--output", "shards/../shards/1"], (
            "shards/../shards/1 and shards/1, which is to be merged, are the same folder or "
            "contain each other; name another folder with --output"
        )),
        (["shards/1", "--output", "shards"], (
            "shards and shards/1, which is to be merged, are the same folder or contain each "
            "other; name another folder with --output"
        )),
        (["shards/1", "--output", "full"], "full contains files and is not a run directory; name another one with --output"),
        (["shards/1", "--output", "full/file"], "full/file is a file; name a directory with --output"),
        (["shards/1", "--output", "full/file/x"], "full/file/x: cannot be written (File exists); choose another folder with --output"),
        (["shards/1", "--output", "signed"], (
            "signed is signed off, and a new run would void its records; name another one "
            "with --output"
        )),
        (["shards/1", "other"], (
            "1 variant with two different results:\n  s::a: shards/1 and other\n"
            "merge only one"
        )),
        (["shards/1", "newer"], (
            "1 file not the same in all runs:\n  suites/s.yaml: shards/1 and newer\n"
            "run every shard from the same state"
        )),
    ],
)  # fmt: skip
def test_wrong_calls_are_refused(shards: list[str], arguments: list[str], message: str) -> None:
    write(Path("other"), [line("a", "failed")])
    newer = write(Path("newer"), [line("d")])
    (newer / "manifest.json").write_text(
        (newer / "manifest.json").read_text().replace("sha256:0", "sha256:1")
    )
    Path("full").mkdir()
    Path("full/file").write_text("")
    write(Path("signed"), [A])
    Path("signed/signoffs").mkdir()
    Path("signed/signoffs/0001.intoto.jsonl").write_text("")
    before = names()
    assert refused(
        *arguments, *([] if "--output" in arguments else ["--output", "out"])
    ).startswith(message)
    assert names() == before


@pytest.mark.parametrize("arguments", [["--output", "out"], ["shards/1"]])
def test_run_and_output_are_required(arguments: list[str]) -> None:
    done = merge(*arguments)
    assert done.exit_code == 2
    assert "Error: Missing" in done.output


UNSEALED = A.rpartition(',"digest"')[0] + "}"


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        (A.replace("passed", "failed"), 3, "shards/1/results.jsonl:2 s::a: changed since it was written (expected digest "),
        (UNSEALED, 3, (
            "shards/1/results.jsonl:2 s::a: changed since it was written (it does not end "
            "with its digest); fetch"
        )),
        ("[]", 2, "shards/1/results.jsonl:2 is not JSON: a result is a JSON object; fetch"),
        ("", 2, "shards/1/results.jsonl:2 is not JSON"),
        (A[:-9], 2, "shards/1/results.jsonl:2 is not JSON"),
        ("[" * 100_000, 2, "shards/1/results.jsonl:2 is not JSON"),
        ("é", 2, "shards/1/results.jsonl was not written by evalkit: it contains byte 0xC3"),
        (line("a", schema_version=2), 2, (
            "shards/1/results.jsonl:2: schema_version is 2 (expected 1); read the run with the "
            "version of evalkit that wrote it"
        )),
        (line("a").replace('"tags":[],', ""), 3, "shards/1/results.jsonl:2 s::a: changed"),
        (line("a", without="tags"), 2, (
            "shards/1/results.jsonl:2 is not a valid result: 'tags' is missing; run its "
            "suites again"
        )),
        (line("a", checks=None), 2, "shards/1/results.jsonl:2 is not a valid result: "),
        (line("a", metrics={"tokens": {"total_tokens": "x"}}), 2, "shards/1/results.jsonl:2 is not a valid result: "),
        (B, 3, "shards/1: manifest.json states 1 passed, the results have 0; fetch"),
    ],
)  # fmt: skip
def test_damaged_results_are_refused(shards: list[str], text: str, code: int, message: str) -> None:
    Path(shards[0], "results.jsonl").write_text(f"{B}\n{text}\n", encoding="utf-8")
    done = merge(*shards, "--output", "out")
    assert (done.exit_code, done.output.count("\n")) == (code, 1)
    assert done.output.startswith(f"evalkit: {message}")
    assert names() == ["shards"]


def test_missing_results_are_refused(shards: list[str]) -> None:
    Path(shards[1], "results.jsonl").unlink()
    assert refused(*shards, "--output", "out") == "shards/2 has no results.jsonl"
    Path(shards[1], "results.jsonl").mkdir()
    assert (
        refused(*shards, "--output", "out")
        == "shards/2/results.jsonl: cannot be read (Is a directory)"
    )
    Path(shards[1], "manifest.json").write_text("[" * 100_000)
    assert refused(*shards, "--output", "out").startswith("shards/2/manifest.json cannot be read: ")


def full_disk(*_: Any, **__: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    "place",
    ["os.fsync", "pathlib.Path.rename", "shutil.copytree", "evalkit.cli.merge.write_all"],
)
def test_full_disk_leaves_the_output_as_it_was(shards: list[str], place: str) -> None:
    merge(shards[0], "--output", "out")
    Path("out/decisions.yaml").write_text("mine")
    before = {name: Path("out", name).read_bytes() for name in names("out")}
    with pytest.MonkeyPatch.context() as broken:
        broken.setattr(place, full_disk)
        assert (
            refused(*shards, "--output", "out")
            == "out: cannot be written (No space left on device); choose another folder with --output"
        )
    assert {name: Path("out", name).read_bytes() for name in names("out")} == before
    assert names() == ["out", "shards"]


def test_existing_run_is_restored_if_it_cannot_be_replaced(
    shards: list[str], monkeypatch: pytest.MonkeyPatch, here: Path
) -> None:
    merge(shards[0], "--output", "out")
    real: Callable[[Path, Path], Path] = Path.rename

    def rename(self: Path, target: Path) -> Path:
        if target == here / "out" and self.parent.name.endswith(".tmp") and self.name == "out":
            full_disk()
        return real(self, target)

    before = Path("out/results.jsonl").read_bytes()
    monkeypatch.setattr(Path, "rename", rename)
    assert refused(*shards, "--output", "out").startswith("out: cannot be written")
    assert Path("out/results.jsonl").read_bytes() == before
    assert names() == ["out", "shards"]


KILLED = """
import os, signal, sys
from pathlib import Path

import evalkit.reports.line_reports
from evalkit.cli import main
from evalkit.results.merge import MergedResults

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

added, add, rename, moment = 0, MergedResults.add, Path.rename, sys.argv.pop(1)

def counted_add(self, *rest):
    global added
    added += 1
    return die() if added == 7 else add(self, *rest)

def renaming(self, target):
    return die() if self.name == "out" else rename(self, target)

if moment == "among the results":
    MergedResults.add = counted_add
elif moment == "before the reports":
    evalkit.reports.line_reports.write_all = die
else:
    Path.rename = renaming
main()
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL")
@pytest.mark.parametrize(
    "moment", ["among the results", "before the reports", "before the last renaming"]
)
def test_kill_leaves_no_partial_run(here: Path, moment: str) -> None:
    for shard in range(4):
        write(
            here / "shards" / str(shard),
            [line(f"{shard}-{number}") for number in range(3)],
            collected=12,
        )
    command = [
        sys.executable,
        "-c",
        KILLED,
        moment,
        "merge",
        *(f"shards/{number}" for number in range(4)),
        "--output",
        "out",
    ]
    assert subprocess.run(command, check=False, capture_output=True).returncode == -signal.SIGKILL
    assert not Path("out").exists()
    assert len(list(here.glob(".out.*.tmp"))) == 1
    history = CliRunner().invoke(main, ["history", "."])
    assert "tmp" not in history.output
    assert merge(*(f"shards/{number}" for number in range(4)), "--output", "out").exit_code == 0
    assert read()["totals"]["passed"] == 12
