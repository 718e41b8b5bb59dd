"""``evalkit review``: dialog, options, JSON, exit codes, wrong calls; 80 columns."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from evalkit.cli.main import main
from evalkit.review.decisions import DecisionFile
from evalkit.verdict import Finding, Where
from tests.reports.sample_cases import hostile_line
from tests.review.runs_to_review import errs, fails, file_of, judged, passes, project, snapshot

RUN = "reports/latest"
WHO = ("--name", "Ada", "--email", "ada@example.org")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", str(tmp_path / "none"))
    return tmp_path


def review(*arguments: str, typed: str = "", who: tuple[str, ...] = WHO) -> Result:
    actual = CliRunner().invoke(main, ["review", RUN, *who, *arguments], input=typed)
    assert actual.exception is None or isinstance(actual.exception, SystemExit), actual.output
    return actual


def decided() -> list[tuple[str, str, str]]:
    return [
        (one.result.split("::")[1].split("[")[0], one.decision, one.comment)
        for one in DecisionFile(Path(RUN)).read()
    ]


def ids() -> list[str]:
    return [one["item"] for one in json.loads(review("--json").output)["items"]]


def test_stepping_through_everything(here: Path) -> None:
    project(here, [fails("a"), snapshot("b", "new"), snapshot("c", "neu", "old"), errs()])
    path = here / file_of("c")
    path.parent.mkdir(parents=True)
    path.write_text("old\n")
    actual = review(typed="a\nr\ns\n")
    assert actual.exit_code == 1
    assert decided() == [("a", "accept", ""), ("b", "reject", ""), ("c", "skip", "")]
    assert not (here / file_of("b")).exists()
    assert "1 accepted, 1 rejected, 1 undecided of 3 items; 1 result errored." in actual.output
    assert "changed snapshot  weather::c[stateless]" in actual.output
    assert "  - old\n  + neu\n" in actual.output
    again = review(typed="a\n")
    assert again.output.startswith("\n3 of 3 ─")
    assert decided()[3:] == [("c", "accept", "")]
    assert f"wrote {file_of('c')}" in again.output
    assert path.read_text() == "neu\n"
    assert again.exit_code == 1  # something is rejected


class TypedMeanwhile(io.BytesIO):
    """Keys that are typed after somebody else has decided about the item."""

    def read1(self, size: int | None = -1, /) -> bytes:
        if not self.tell():
            keys = ids()
            review("--reject", keys[0], who=("--name", "Bob", "--email", "bob@example.org"))
        return super().read1(size)


def test_comment_of_a_refused_decision_is_printed(here: Path) -> None:
    project(here, [fails("a")])
    typed = TypedMeanwhile(b"c\na long reason\na\n")
    actual = CliRunner().invoke(main, ["review", RUN, *WHO], input=typed)
    assert "  your comment, which was not written: a long reason\n" in actual.output
    assert "somebody else has decided about this item" in actual.output
    assert decided() == [("a", "reject", "")]


def test_an_uncertain_judgment_is_asked_about_first(here: Path) -> None:
    project(here, [fails("a"), judged("b", 0.62)])
    actual = review(typed="v\nr\na\n")
    first = actual.output.index("uncertain judgment  weather::b[stateless]")
    assert first < actual.output.index("failure  weather::a[stateless]")
    shown = [line.strip() for line in actual.output.splitlines()]
    for line in (
        "rubric       It names <U+001B>[31mthe weather.",
        "verdict      passed, with the confidence 0.62, expected at least 0.8",
        'answer       {"score": 0.62}, expected {"min": 0.5, "min_confidence": 0.8}',
        "probability  0.62 that it passes",
        "It is 22 degrees Celsius in London.",
    ):
        assert line in shown
    assert max(map(len, shown)) <= 80
    assert decided() == [("b", "reject", ""), ("a", "accept", "")]
    assert DecisionFile(Path(RUN)).read()[0].code == "judge_uncertain"


def test_nothing_left_and_nothing_rejected_is_a_pass(here: Path) -> None:
    project(here, [passes("a"), errs()])
    actual = review(who=())
    assert (actual.exit_code, actual.output) == (
        0,
        "0 accepted, 0 rejected, 0 undecided of 0 items; 1 result errored.\n",
    )
    project(here, [fails("a")])
    assert review(typed="a\n").exit_code == 0


@pytest.mark.parametrize("typed", ["", "q\n", "c\nwords\nq\n"])
def test_quitting_decides_nothing_and_the_next_call_continues(here: Path, typed: str) -> None:
    project(here, [fails("a"), snapshot("b", "x")])
    assert review(typed=typed).exit_code == 1
    assert decided() == []
    review(typed="a\nq\n")
    assert decided() == [("a", "accept", "")]
    assert "new snapshot  weather::b" in review(typed="q\n").output


def test_one_more_key_decides_the_whole_group(here: Path) -> None:
    project(here, [fails("a"), fails("b"), fails("c"), snapshot("d", "x")])
    actual = review(typed="g\nc\nall the same\na\nr\n")
    assert decided() == [
        ("a", "accept", "all the same"),
        ("b", "accept", "all the same"),
        ("c", "accept", "all the same"),
        ("d", "reject", ""),
    ]
    assert "2 others with the identical difference" in actual.output
    assert "accept: 3 items" in actual.output
    assert len({one.group for one in DecisionFile(Path(RUN)).read()[:3]}) == 1


def test_pressing_g_twice_decides_one_item(here: Path) -> None:
    project(here, [fails("a"), fails("b")])
    review(typed="g\ng\na\nq\n")
    assert decided() == [("a", "accept", "")]


def test_a_regression_asks_for_its_comment(here: Path) -> None:
    project(here, [passes("a")], "main")
    project(here, [fails("a")])
    actual = review("--baseline", "reports/main", typed="a\n\nq\n")
    assert decided() == []
    assert "regression  weather::a[stateless]" in actual.output
    assert "accepting a regression needs a comment that says why" in actual.output
    assert review("--baseline", "reports/main", typed="a\nthe test was wrong\n").exit_code == 0
    assert decided() == [("a", "accept", "the test was wrong")]


def test_unknown_keys_are_reported(here: Path) -> None:
    project(here, [fails("a")])
    actual = review(typed="x\n\ng\nk\nr\n")
    assert "unknown key 'x'" in actual.output
    assert "unknown key ''; ? lists the keys" in actual.output
    assert decided() == [("a", "reject", "")]


def test_an_item_keeps_its_number(here: Path) -> None:
    project(here, [snapshot("a", "x"), fails("b"), fails("c"), snapshot("d", "y")])
    actual = review(typed="s\ng\na\nr\nq\n")
    assert re.findall(r"(?m)^(\d of \d) ─", actual.output) == [
        "1 of 4",
        "2 of 4",
        "4 of 4",
    ]
    assert re.findall(r"(?m)^(\d of \d) ─", review(typed="q\n").output) == ["1 of 4"]


def test_the_keys_are_listed(here: Path) -> None:
    project(here, [fails("a")])
    actual = review(typed="?\nq\n")
    assert re.findall(r"(?m)^  (\w)  ", actual.output) == [*"arskgcvq"]


def test_v_shows_the_whole_difference_and_the_conversation(here: Path) -> None:
    project(here, [snapshot("a", "\n".join(f"line {number}" for number in range(60)))])
    actual = review(typed="v\nq\n")
    assert "… and 30 more lines" in actual.output
    assert "+ line 59" in actual.output
    assert "turn 1, function_call get_current_temperature" in actual.output


def test_hostile_text_is_visible_and_nothing_is_wider_than_the_terminal(here: Path) -> None:
    project(
        here,
        [
            hostile_line(long_line=100_000),
            snapshot("b", "x" * 5_000_000),
            errs("\x1b[31m", "::error::\x1b]0;x\x07"),
        ],
    )
    typed = "\x1b[2J\x9b"
    for actual in (review(typed=f"c\n{typed}\nv\nr\nv\nq\n"), review("--list")):
        output = actual.output.replace(typed, "")  # which the runner shows as a terminal would
        assert not {sign for sign in output if not (sign.isprintable() or sign == "\n")}
        assert max(map(len, output.splitlines())) <= 80
        assert len(output) < 500_000
        assert "<U+FFFE>" in output or "<U+001B>" in output
    assert decided() == [("hostile", "reject", "<U+001B>[2J<U+009B>")]


def test_void_decisions_are_shown_and_asked_again(here: Path) -> None:
    project(here, [fails("a"), fails("b"), fails("z")])
    review(typed="g\na\n")
    changed = Finding(
        "not_contained", "the text does not contain '24'", Where(turn=1), expected="24"
    )
    project(here, [fails("a"), fails("b", changed)])
    actual = review("--list")
    assert actual.exit_code == 1
    assert "void  weather::b[stateless]" in actual.output
    message = " ".join(actual.output.split())
    assert (
        "void: the result has changed since the decision; it was accept by Ada <ada@example.org>,"
        in message
    )
    assert "Obsolete: no longer in the run (1)" in actual.output
    assert "1 undecided (1 void) of 2 items" in actual.output
    stepping = review(typed="a\n")
    assert "void: the result has changed" in stepping.output
    assert stepping.exit_code == 0


def test_lists_are_grouped(here: Path) -> None:
    project(here, [fails("a"), fails("b"), snapshot("c", "x")])
    output = review("--list", who=()).output
    keys = ids()
    assert output.index(keys[0]) < output.index(keys[1]) < output.index(keys[2])
    assert "(2 items, identical)" in output


def test_by_options(here: Path) -> None:
    project(here, [fails("a"), fails("b"), snapshot("c", "x"), snapshot("d", "y")])
    keys = ids()
    group = json.loads(review("--json").output)["items"][0]["group"]
    actual = review(
        "--accept",
        group,
        "--accept",
        keys[2][:6],
        "--reject",
        "weather::d[stateless]",
        "--comment",
        "seen by all",
    )
    assert actual.exit_code == 1
    assert decided() == [
        ("a", "accept", "seen by all"),
        ("b", "accept", "seen by all"),
        ("c", "accept", "seen by all"),
        ("d", "reject", "seen by all"),
    ]
    assert (here / file_of("c")).read_text() == "x\n"
    assert [one.group for one in DecisionFile(Path(RUN)).read()] == [group, group, "", ""]
    message = json.loads(review("--accept", keys[3], "--json").output)
    assert message["summary"]["accepted"] == 4
    assert message["items"][3]["decision"]["decision"] == "accept"
    assert review("--list").exit_code == 0


def test_all_new_snapshots_are_accepted_at_once(here: Path) -> None:
    project(here, [fails("a"), snapshot("b", "x"), snapshot("c", "y"), snapshot("d", "z", "w")])
    assert review("--accept", "all-new").exit_code == 1
    assert decided() == [("b", "accept", ""), ("c", "accept", "")]
    assert "'all-new' has no undecided item" in review("--accept", "all-new").output


@pytest.mark.parametrize("names", ["item", "group", "result"])
def test_decisions_are_undone(here: Path, names: str) -> None:
    project(here, [fails("a"), fails("b")])
    [first, *_] = items = json.loads(review("--json").output)["items"]
    review("--reject", first["group"])
    undone = review("--undo", first[names])
    assert undone.exit_code == 1
    expected = [one["item"] for one in (items if names == "group" else [first])]
    entries = DecisionFile(Path(RUN)).read()[2:]
    assert [(one.item, one.decision) for one in entries] == [(item, "skip") for item in expected]
    assert json.loads(review("--json").output)["summary"]["undecided"] == len(expected)
    assert "has no decided item" in review("--undo", first["result"]).output


def test_the_baseline_is_remembered(here: Path) -> None:
    project(here, [passes("a"), passes("b")], "main")
    project(here, [fails("a"), fails("b")])
    review("--baseline", "reports/main", "--reject", ids()[0])
    assert [one["regressed"] for one in json.loads(review("--json").output)["items"]] == [True] * 2
    assert DecisionFile(Path(RUN)).read()[0].baseline == "../main"
    (here / "reports/main/manifest.json").unlink()
    assert not json.loads(review("--json").output)["items"][0]["regressed"]


def test_json_has_all_items(here: Path) -> None:
    project(here, [passes("a"), errs()], "main")
    project(here, [fails("a"), snapshot("b", {"x": 1}, kind="json"), errs()])
    actual = json.loads(review("--json", "--baseline", "reports/main").output)
    assert (
        actual["summary"]["items"],
        actual["summary"]["undecided"],
        actual["summary"]["errored"],
    ) == (
        2,
        2,
        1,
    )
    first, second = actual["items"]
    assert (first["kind"], first["regressed"], first["expected"], "got" in first) == (
        "failure",
        True,
        "23",
        False,
    )
    assert (second["kind"], second["got"], second["file"]) == (
        "new snapshot",
        {"x": 1},
        file_of("b", "json"),
    )
    assert actual["errors"][0]["result"] == "weather::rome[stateless]"


def test_earlier_decisions_are_offered(here: Path) -> None:
    lines = [fails("a"), snapshot("b", "x"), snapshot("c", "y")]
    project(here, lines)
    review(typed="c\nknown\na\na\nr\n")
    (here / file_of("b")).unlink()
    project(here, lines, "next")
    arguments = ["review", "reports/next", "--name", "Bob", "--carry-from", RUN]
    listed = CliRunner().invoke(main, [*arguments, "--list"])
    assert listed.output.count("offered by an earlier run") == 3
    stepped = CliRunner().invoke(main, arguments, input="k\nq\n")
    assert "offered by an earlier run with the same result: accept by Ada" in " ".join(
        stepped.output.split()
    )
    preserved = CliRunner().invoke(main, [*arguments, "--keep"])
    assert preserved.exit_code == 1
    assert "accept: 1 item\nreject: 1 item\n  wrote" in preserved.output
    assert (here / file_of("b")).read_text() == "x\n"
    assert not (here / file_of("c")).exists()
    entries = DecisionFile(Path("reports/next")).read()
    assert [(one.decision, one.comment, one.by, one.kept_from[:20]) for one in entries] == [
        ("accept", "known", "Bob", "Ada <ada@example.org"),
        ("accept", "", "Bob", "Ada <ada@example.org"),
        ("reject", "", "Bob", "Ada <ada@example.org"),
    ]


def test_the_reviewer_defaults_to_the_git_user(here: Path) -> None:
    project(here, [fails("a")])
    assert (
        "the reviewer is not known; give --name and --email" in review(typed="a\n", who=()).output
    )
    assert review(typed="a\n", who=()).exit_code == 2
    (here / "gitconfig").write_text("[user]\n\tname = Grace\n\temail = grace@example.org\n")
    review(typed="a\n", who=())
    assert DecisionFile(Path(RUN)).read()[0].by == "Grace <grace@example.org>"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--accept", "nothing"], 2, "no item, group or result 'nothing'"),
        (["--accept", "weather::"], 2, "is the beginning of several ids"),
        (["--accept", "abc"], 2, "no item, group or result 'abc'"),
        (
            ["--accept", "weather::a[stateless]", "--reject", "weather::a[stateless]"],
            2,
            "is named twice",
        ),
        (["--comment", "x"], 2, "--comment needs --accept or --reject"),
        (["--keep"], 2, "--keep needs --carry-from"),
        (["--web", "--list"], 2, "--web cannot be used with"),
        (["--baseline", "nowhere"], 2, "nowhere is not a run directory"),
        (["--carry-from", "nowhere"], 2, "nowhere is not a run directory"),
    ],
)
def test_wrong_calls_are_one_line(
    here: Path, arguments: list[str], code: int, message: str
) -> None:
    project(here, [fails("a"), fails("b")])
    actual = review(*arguments)
    assert (actual.exit_code, len(actual.output.splitlines())) == (code, 1)
    assert message in actual.output
    assert decided() == []


def test_a_group_without_undecided_items_is_an_error(here: Path) -> None:
    project(here, [fails("a")])
    group = json.loads(review("--json").output)["items"][0]["group"]
    review("--accept", group)
    actual = review("--reject", group)
    assert (actual.exit_code, len(decided())) == (2, 1)
    assert "has no undecided item" in actual.output


def test_integrity_errors_exit_with_three(here: Path) -> None:
    project(here, [fails("a")])
    review("--accept", "weather::a[stateless]")
    project(here, [fails("b")])
    actual = review("--list")
    assert (actual.exit_code, len(actual.output.splitlines())) == (3, 1)
    assert "is about this run" in actual.output
    (here / RUN / "decisions.yaml").write_text("evalkit_decisions: 1\ndecisions: [1")
    assert review("--list").exit_code == 3
    (here / RUN / "decisions.yaml").unlink()
    path = here / RUN / "results.jsonl"
    path.write_text(path.read_text().replace("'23'", "'42'"))
    actual = review("--list")
    assert actual.exit_code == 3
    assert "results.jsonl:1: changed since it was written" in actual.output


def test_a_refused_snapshot_is_reported_and_asked_again(here: Path) -> None:
    project(here, [snapshot("a", "new")])
    path = here / file_of("a")
    path.parent.mkdir(parents=True)
    path.write_text("by hand\n")
    actual = review(typed="a\nr\n")
    assert "changed since the run, so nothing was approved" in actual.output
    assert (decided(), path.read_text()) == ([("a", "reject", "")], "by hand\n")


def test_the_root_is_found_or_given(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project(here / "project", [snapshot("a", "new"), snapshot("b", "old")])
    run = str(here / "project" / RUN)
    monkeypatch.chdir(here)
    assert (
        CliRunner()
        .invoke(main, ["review", run, *WHO, "--accept", "weather::a[stateless]"])
        .exit_code
        == 1
    )
    assert (here / "project" / file_of("a")).read_text() == "new\n"
    (here / "project/suites").rename(here / "suites")
    actual = CliRunner().invoke(
        main,
        ["review", run, *WHO, "--accept", "weather::b[stateless]", "--root", str(here / "project")],
    )
    assert (actual.exit_code, "name the project with --root" in actual.output) == (2, True)


def test_several_options_are_applied_all_or_none(here: Path) -> None:
    project(here, [fails("a"), snapshot("b", "new"), snapshot("c", "neu")])
    path = here / file_of("c")
    path.parent.mkdir(parents=True)
    path.write_text("by hand\n")
    actual = review(
        "--accept",
        "weather::a[stateless]",
        "--accept",
        "weather::b[stateless]",
        "--accept",
        "weather::c[stateless]",
    )
    assert (actual.exit_code, decided()) == (2, [])
    assert not (here / file_of("b")).exists()


def test_a_run_that_did_not_end_is_reported(here: Path) -> None:
    run = project(here, [fails("a")])
    (run.directory / "manifest.json").write_text('{"complete": false}')
    assert "the run did not end" in review("--list").output


def test_invisible_characters_in_the_file_are_made_visible(here: Path) -> None:
    project(here, [fails("a"), fails("b")])
    review("--accept", "weather::a[stateless]")
    path = here / RUN / "decisions.yaml"
    text = path.read_text()
    evil = "\\e[2J\\u202e"  # as YAML spells them
    forged = (
        text.replace("weather::a[stateless]", evil)
        .replace("Ada <", f"{evil} <")
        .replace('  - item: "', '  - item: "x')
    )
    path.write_text(text + forged.partition("decisions:\n")[2])
    actual = review("--list")
    assert "<U+001B>[2J<U+202E>  was accept by <U+001B>[2J<U+202E> <ada" in actual.output
    assert not {"\x1b", "\u202e"} & set(actual.output)
    path.write_text(text + f'    "{evil}": 1\n')
    actual = review("--list")
    assert (actual.exit_code, {"\x1b", "\u202e"} & set(actual.output)) == (3, set())
