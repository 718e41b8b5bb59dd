"""``evalkit calibrate``: labels of reviews and files, the stored calibration, corrected rates."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from evalkit.cli.main import main
from evalkit.results import Run
from evalkit.results.calibrations import NAME, read_calibrations
from evalkit.results.judgments import read_judge_rates
from evalkit.review.labels import judged_answers
from evalkit.verdict import Judgment
from tests.compare.judged_lines import RUBRIC, judged, judgment
from tests.reports.sample import make_run
from tests.review.runs_to_review import project

RUN = "reports/latest"
WHO = ("--name", "Ada", "--email", "ada@example.org")


pytestmark = pytest.mark.usefixtures("here")


def evalkit(*arguments: str, typed: str = "") -> Result:
    actual = CliRunner().invoke(main, list(arguments), input=typed)
    assert actual.exception is None or isinstance(actual.exception, SystemExit), actual.output
    return actual


def calibrate(*arguments: str, code: int = 0) -> str:
    actual = evalkit("calibrate", *arguments)
    assert actual.exit_code == code, actual.output
    return actual.output


def results(judgments: Sequence[Judgment]) -> list[str]:
    return [judged(f"s{number}", one) for number, one in enumerate(judgments)]


def sixty(**changes: Any) -> list[str]:
    """Return 60 results, of which the judge passes the first 40."""
    return results([judgment(number < 40, **changes) for number in range(60)])


def write_labels(rows: Sequence[dict[str, Any]], name: str = "labels.csv") -> str:
    with Path(name).open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return name


def labels_of(passing: range, failing: range, run: str = RUN) -> list[dict[str, Any]]:
    names = {f"weather::s{number}[stateless]": number for number in (*passing, *failing)}
    return [
        {
            "result": one.result,
            "turn": 1,
            "label": "pass" if names[one.result] in passing else "fail",
        }
        for one in judged_answers(Run(Path(run)))
        if one.result in names
    ]


def test_a_sheet_is_labelled_and_calibrates_the_judge(here: Path) -> None:
    project(here, sixty())
    assert "written: labels.csv (50 answers)" in calibrate(
        "--sheet", "labels.csv", "--sample", "50"
    )
    with Path("labels.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["judgment", "result", "turn", "question", "rubric", "answer", "label"]
    numbers = [int(row["result"].split("::s")[1].split("[")[0]) for row in rows]
    assert sum(number >= 40 for number in numbers) == 20, "all of the rare verdict"
    assert numbers != sorted(numbers)
    # People pass the first 36 and two of those that the judge fails.
    for row, number in zip(rows, numbers, strict=True):
        row["label"] = "pass" if number < 36 or number in (58, 59) else "fail"
    output = calibrate("--labels", write_labels(rows))
    assert f"'{RUBRIC}' (gemini-3.5-flash-001)" in output
    assert "  labels       50: people pass" in output
    for name in ("agreement", "sensitivity", "specificity", "kappa"):
        assert f"  {name}" in output
    assert "written: evalkit-calibration.yaml" in output
    (one,) = read_calibrations(here)
    assert (one.rubric, one.model_version, one.labels) == (RUBRIC, "gemini-3.5-flash-001", 50)
    assert one.judged == "2026-11-22T13:00:00Z"
    assert sum(map(sum, one.clusters.values())) == pytest.approx(60, abs=1e-3), "of all judgments"
    (rate,) = read_judge_rates(Path(RUN))
    assert (rate["method"], rate["labels"], rate["judgments"]) == ("prediction-powered", 50, 60)
    assert rate["judged"]["value"] == pytest.approx(2 / 3)
    assert f"Judge: &#39;{RUBRIC}&#39;" in Path(RUN, "index.html").read_text()
    assert "Judges:\n\n* " in Path(RUN, "summary.md").read_text()
    again = calibrate("--labels", "labels.csv")
    assert again == output, "the same labels give the same"
    assert "already" in calibrate(
        "--labels", write_labels(labels_of(range(60), range(0))), "--sheet", "x", code=2
    )


def test_decisions_about_judgments_are_labels(here: Path) -> None:
    project(here, sixty())
    judgments = ("--judgments", "24")
    actual = evalkit("review", RUN, *WHO, *judgments, "--list")
    assert actual.output.count("judgment, judge: judge_passed") == 12
    assert actual.output.count("judgment, judge: judge_failed") == 12, "as many of each verdict"
    items = json.loads(evalkit("review", RUN, *WHO, *judgments, "--json").output)["items"]
    passed, failed, failures = (
        [one["item"] for one in items if one["code"] == code]
        for code in ("judge_passed", "judge_failed", "judge_below")
    )
    assert len(failures) == 20
    one = next(one for one in items if one["code"] == "judge_passed")
    assert one["message"] == "is the judge right that this passed?"
    accept, reject = [*passed[:11], *failed[:10]], [passed[11], *failed[10:]]
    # Whether a failure is tolerated says nothing about the judge.
    options = [word for id_ in [*accept, *failures] for word in ("--accept", id_)]
    options += [word for id_ in reject for word in ("--reject", id_)]
    assert evalkit("review", RUN, *WHO, *judgments, *options).exit_code == 1
    assert "Obsolete" not in evalkit("review", RUN, *WHO, "--list").output
    output = calibrate()
    assert "  labels       24: people pass 13, fail 11" in output
    (stored,) = read_calibrations(here)
    totals = [sum(column) for column in zip(*stored.clusters.values(), strict=True)]
    assert totals == pytest.approx([40 * 11 / 12, 20 * 2 / 12, 40 / 12, 20 * 10 / 12], abs=1e-3)
    conflict = labels_of(range(40, 60), range(40))
    assert "the same answer has another label in reports/latest/decisions.yaml" in calibrate(
        "--labels", write_labels(conflict), code=2
    )


def test_a_person_sees_the_answer_and_the_rubric(here: Path) -> None:
    project(here, [judged("a", judgment(True))])
    actual = evalkit("review", RUN, *WHO, "--judgments", "1", typed="a\n")
    assert "judgment  weather::a[stateless]" in actual.output
    assert "rubric   The answer is polite." in actual.output
    assert "Hello from a." in actual.output
    assert "1 accepted" in actual.output


def test_failures_alone_are_no_sample(here: Path) -> None:
    project(here, sixty())
    output = calibrate("--labels", write_labels(labels_of(range(40, 42), range(42, 60))), code=1)
    assert "not calibrated: the judge has no label of the 40 that it passes" in output
    assert not Path(NAME).exists()
    project(here, results([judgment(n < 40, uncertain=n < 5) for n in range(60)]))
    output = calibrate("--labels", write_labels(labels_of(range(5, 42), range(42, 60))), code=1)
    assert "no label of the 5 that it passes with low confidence" in output


def test_the_last_of_repeated_results_and_the_last_labelled_run_count(here: Path) -> None:
    project(here, [*sixty(), *(judged(f"s{n}", judgment(False)) for n in range(40, 60))])
    make_run(Path("reports/later"), [judged("new", judgment(True))], started="2027-01-01T00:00:00Z")
    labels = write_labels(labels_of(range(38), range(38, 60)))
    output = calibrate(RUN, "reports/later", "--labels", labels)
    assert "  labels       60: people pass 38, fail 22" in output
    (one,) = read_calibrations(here)
    assert one.judged == "2026-11-22T13:00:00Z", "nothing of the later run is labelled"


def test_texts_are_labels_of_every_answer_like_them(here: Path) -> None:
    lines = [
        judged(f"s{n}", judgment(n % 3 > 0), text="Yes." if n % 2 else "No.") for n in range(48)
    ]
    project(here, lines)
    Path("labels.jsonl").write_text(
        '{"text": "Yes.", "label": "pass"}\n\n{"text": "No.\\n", "label": "fail"}\n'
    )
    assert "  labels       48: people pass 24, fail 24" in calibrate("--labels", "labels.jsonl")


def test_a_change_since_the_last_calibration_is_reported(here: Path) -> None:
    project(here, sixty())
    labels = write_labels(labels_of(range(38), range(38, 60)))
    assert "drift" not in calibrate("--labels", labels)
    later = "2026-12-01T00:00:00Z"
    make_run(Path("reports/next"), sixty(version="gemini-3.5-flash-002"), started=later)
    output = calibrate(
        "reports/next",
        "--labels",
        write_labels(labels_of(range(38), range(38, 60), "reports/next")),
    )
    assert "drift        no change is shown since 2026-11-22T13:00:00Z" in output
    assert len(read_calibrations(here)) == 2, "both versions of the judge"
    make_run(Path("reports/last"), sixty(), started="2026-12-02T00:00:00Z")
    labels = write_labels(labels_of(range(20), range(20, 60), "reports/last"))
    record = json.loads(calibrate("reports/last", "--labels", labels, "--json"))["calibrations"][0]
    assert record["drift"]["sentence"].startswith(
        f"the judge has changed since {later}: specificity"
    )
    assert record["labels"] == 60


MISTAKES = {
    "unknown column": (
        "result,lable\nx,pass\n",
        "labels.csv:2:1 unknown column 'lable' (did you mean",
    ),
    "no column": (
        "result\nx\n",
        "labels.csv:2:1 the column 'label' is missing (expected pass or fail)",
    ),
    "other word": (
        "result,label\nx,good\n",
        'labels.csv:2:1 the label must be pass, fail or empty, not "good"',
    ),
    "no label": ("result,label\nx,\n", "labels.csv:1:1 no row has a label; write pass or fail"),
    "no name": ("turn,label\n1,pass\n", "labels.csv:2:1 names no answer; fill in 'judgment'"),
    "not there": (
        "result,turn,label\nweather::s0[stateless],2,pass\n",
        "labels.csv:2:1 no judgment of the runs has result 'weather::s0[stateless]', turn '2'",
    ),
    "ambiguous": (
        "result,label\nweather::two[stateless],pass\n",
        "labels.csv:2:1 2 judgments have result 'weather::two[stateless]'; add one of judgment, check",
    ),
    "contradiction": (
        "result,label\nweather::s0[stateless],pass\nweather::s0[stateless],fail\n",
        "labels.csv:3: the same answer has another label in labels.csv:2",
    ),
    "fields": ("result,label\nx\n", "labels.csv:2:1 1 field where the header has 2"),
    "empty": ("", "labels.csv:1:1 empty file"),
}


@pytest.mark.parametrize(("text", "message"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_in_labels_are_located(here: Path, text: str, message: str) -> None:
    project(here, [*sixty(), judged("two", judgment(True), judgment(True))])
    Path("labels.csv").write_text(text)
    assert message in calibrate("--labels", "labels.csv", code=2)
    assert not Path(NAME).exists()


def test_wrong_calls(here: Path) -> None:
    project(here, sixty())
    assert "no answer is labelled; decide with 'evalkit review RUN --judgments" in calibrate(code=2)
    assert "nowhere" in calibrate("nowhere", code=2)
    assert "labels.txt" in calibrate("--labels", "labels.txt", code=2)
    Path("labels.csv").write_text("")
    assert "name a file that does not exist" in calibrate("--sheet", "labels.csv", code=2)
    project(here, [judged("a")])
    assert "no judge was asked in it; name another run" in calibrate(code=2)
    make_run(Path(RUN), sixty(), started="yesterday")
    labels = write_labels(labels_of(range(38), range(38, 60)))
    assert "'started' is not a time" in calibrate("--labels", labels, code=2)


def test_a_sheet_has_no_formulas(here: Path) -> None:
    project(here, [judged("a", judgment(True), text="=HYPERLINK(1)")])
    calibrate("--sheet", "labels.csv")
    with Path("labels.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert row["answer"] == "'=HYPERLINK(1)"


@pytest.mark.parametrize("column", ["judgment", "result"])
@pytest.mark.parametrize("name", ["a\u200db", "e\u0301", "\u202ea", "zo\u00e9"])
def test_a_sheet_names_any_result_so_that_it_is_found_again(
    here: Path, name: str, column: str
) -> None:
    project(here, [judged(f"{name}{number}", judgment(number > 0)) for number in range(3)])
    calibrate("--sheet", "labels.csv")
    with Path("labels.csv").open() as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row["label"] = "pass"
        row["judgment" if column == "result" else "result"] = ""
    assert "labels       3: people pass 3" in calibrate("--labels", write_labels(rows))


def valid() -> dict[str, Any]:
    entry = {
        "rubric": "x",
        "rubric_digest": "a" * 64,
        "expected": {"min": 0.7},
        "model": "m",
        "judged": "2026-11-22T13:00:00Z",
        "labels": 4,
        "clusters": {"weather::a": [3, 0, 0, 1]},
    }
    return {"evalkit_calibrations": 1, "calibrations": [entry]}


HOSTILE: dict[str, tuple[dict[str, Any], str]] = {
    "negative": ({"clusters": {"a": [4, -1, 0, 1]}}, "clusters.a.1: Input should be greater"),
    "infinite": ({"clusters": {"a": [float("inf"), 0, 0, 1]}}, "clusters.a.0: Input should be"),
    "three cells": ({"clusters": {"a": [1, 0, 0]}}, "clusters.a: List should have at least 4"),
    "too few": ({"labels": 5}, "the clusters have fewer judgments than 5 labels"),
    "no labels": ({"labels": 0}, "labels: Input should be greater than or equal to 1"),
    "text": ({"labels": "4"}, "labels: Input should be a valid integer"),
    "unknown key": ({"passes": True}, "passes: Extra inputs are not permitted"),
    "time": ({"judged": "yesterday"}, "judged: String should match pattern"),
    "digest": ({"rubric_digest": "abc"}, "rubric_digest: String should match pattern"),
}


@pytest.mark.parametrize(("changes", "message"), HOSTILE.values(), ids=HOSTILE)
def test_a_forged_file_is_refused_with_its_line(
    here: Path, changes: dict[str, Any], message: str
) -> None:
    project(here, sixty())
    document = valid()
    document["calibrations"][0] |= changes
    Path(NAME).write_text(yaml.safe_dump(document))
    labels = write_labels(labels_of(range(38), range(38, 60)))
    output = calibrate("--labels", labels, code=2)
    assert "evalkit-calibration.yaml:2: not what 'evalkit calibrate' writes" in output
    assert message in output
    assert "restore the file or delete it" in output


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("evalkit_calibrations: 2\ncalibrations: []\n", ":1: "),
        ("- 1\n", ":1: "),
        ("evalkit_calibrations: 1\ncalibrations: [}\n", ":2: "),
        ("calibrations: &a [*a]\n", ":1: "),
        (
            yaml.safe_dump(valid() | {"calibrations": valid()["calibrations"] * 2}),
            "calibrated again",
        ),
        ("\udcff", "cannot be read"),
    ],
)
def test_a_file_of_another_shape_is_refused(here: Path, text: str, message: str) -> None:
    Path(NAME).write_text(text, errors="surrogateescape")
    with pytest.raises(Exception, match=NAME) as error:
        read_calibrations(here)
    assert message in str(error.value)


def test_names_of_scenarios_cannot_break_the_file(here: Path) -> None:
    lines = [judged(f'a": [1]\n"{n}', judgment(n < 20)) for n in range(40)]
    project(here, lines)
    rows = [
        {"judgment": one.judgment.id, "label": "pass" if number < 20 else "fail"}
        for number, one in enumerate(judged_answers(Run(Path(RUN))))
    ]
    calibrate("--labels", write_labels(rows))
    assert len(read_calibrations(here)[0].clusters) == 40
