"""``evalkit compare``: output, files, exit codes, wrong calls."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from evalkit.cli.main import main
from tests.compare.lines import line, split


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


def run(name: str, lines: Sequence[dict[str, Any]], **manifest: Any) -> str:
    folder = Path(name)
    folder.mkdir()
    (folder / "results.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    (folder / "manifest.json").write_text(
        json.dumps({"schema_version": 1, "complete": True, "options": {}, "suites": [], **manifest})
    )
    return name


def compare(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["compare", *arguments])


def test_the_verdict_is_first_then_the_most_serious_changes() -> None:
    old, new = split(55, 0, 5, 1)
    actual = compare(
        run("old", [*old, line("gone"), line("x\x1b[31m")]),
        run("new", [line("added"), *new, line("x\x1b[31m", "errored")]),
    )
    assert actual.exit_code == 1
    lines = actual.output.splitlines()
    assert lines[0] == "FAIL  gate default: 5 of 61 pairs regressed, none may"
    order = [
        lines.index(title)
        for title in (
            "Regressions (5)",
            "Improvements (1)",
            "Errored or skipped in one of the runs (1)",
            "Added (1)",
            "Removed (1)",
        )
    ]
    assert order == sorted(order)
    assert "\x1b" not in actual.output
    assert max(map(len, lines)) <= 80
    assert "p = 0.2188, not significant." in actual.output
    assert "One trial per variant: nothing is known about flakiness." in " ".join(
        actual.output.split()
    )
    assert lines[-2:] == [
        "written: new/comparison/comparison.json",
        "         new/comparison/index.html",
    ]
    assert Path("new/comparison/index.html").is_file()


def test_long_lists_are_cut_and_counted() -> None:
    actual = compare(run("old", split(0, 0, 25, 0)[0]), run("new", split(0, 0, 25, 0)[1]))
    assert "  … and 5 more, in comparison.json" in actual.output


def test_trials_of_a_variant_are_one_entry() -> None:
    old = [line("a", trial=trial) for trial in (1, 2, 3)] + [line("b")]
    new = [line("a", "failed" if trial > 1 else "passed", trial=trial) for trial in (1, 2, 3)] + [
        line("b", "failed")
    ]
    lines = compare(run("old", old), run("new", new)).output.splitlines()
    start = lines.index("Regressions (3 pairs of 2 variants)")
    assert lines[start + 1 : start + 5] == [
        "  s::a  2 of 3 trials  (suites/s.yaml:3)",
        "      text: text_missing",
        "  s::b  (suites/s.yaml:3)",
        "      text: text_missing",
    ]


def test_json_is_the_file(here: Path) -> None:
    old, new = split(9, 1, 0, 1)
    actual = compare(run("old", old), run("new", new), "--json", "--out", "out/deep")
    assert actual.exit_code == 0
    value = json.loads(actual.output)
    assert value == json.loads((here / "out/deep/comparison.json").read_text())
    assert value.keys() >= {
        "verdict", "reason", "pairs", "mcnemar_p", "difference", "interval", "detectable", "regressions", "improvements", "added", "removed",
        "by_check",
    }  # fmt: skip
    assert value["pairs"] == {"both_passed": 9, "both_failed": 1, "regressed": 0, "improved": 1}


def test_gates_of_the_project(here: Path) -> None:
    (here / "evalkit.yaml").write_text(
        "gates:\n  lax: {max_regressions: 9}\n  sure: {non_inferiority: {margin: 0.01}}\n"
        "prices:\n  m: {input_per_million: 1, output_per_million: 1}\n"
    )
    old, new = split(20, 0, 1, 0)
    for one in [*old, *new]:
        one["metrics"]["tokens"] |= {"total_input_tokens": 400_000, "total_output_tokens": 100_000}
    runs = run("old", old), run("new", new)
    assert compare(*runs, "--gate", "lax").exit_code == 0
    assert compare(*runs, "--gate", "sure").exit_code == 4
    assert (
        json.loads(compare(*runs, "--gate", "lax", "--json").output)["metrics"]["cost"]["candidate"]
        == 0.5
    )
    wrong = compare(*runs, "--gate", "laxx")
    assert (wrong.exit_code, wrong.output) == (
        2,
        "evalkit: unknown gate 'laxx' (did you mean 'lax'?); valid: lax, sure\n",
    )


def test_two_models_of_one_run() -> None:
    lines = [
        line(f"c{number}", parts=[model], model=model)
        for number in range(4)
        for model in ("m-1", "m-2")
    ]
    lines[1]["verdict"] = "failed"
    actual = compare(
        run("both", lines), "--baseline-model", "m-1", "--candidate-model", "m-2", "--json"
    )
    assert json.loads(actual.output)["pairs"] == {
        "both_passed": 3,
        "both_failed": 0,
        "regressed": 1,
        "improved": 0,
    }
    wrong = compare("both", "--baseline-model", "m-1", "--candidate-model", "m-3")
    assert (wrong.exit_code, wrong.output) == (
        2,
        "evalkit: both: no result of model 'm-3' (did you mean 'm-2'?); valid: m-1, m-2\n",
    )


def test_runs_of_one_model_each_pair_though_suites_name_it() -> None:
    old, new = (
        run(name, [line("a", parts=[name, "plain"], model=name)]) for name in ("m-1", "m-2")
    )
    assert json.loads(compare(old, new, "--json").output)["counts"]["paired"] == 1


def test_changes_are_listed() -> None:
    old = run(
        "old",
        [{**line("a"), "settings": {"seed": 1}}],
        suites=[{"suite": "s", "digest": "sha256:1"}],
    )
    new = run(
        "new",
        [{**line("a"), "settings": {"seed": 2}}],
        suites=[{"suite": "s", "digest": "sha256:2"}],
        complete=False,
    )
    output = " ".join(compare(old, new).output.split())
    assert "warning the candidate run did not end" in output
    assert "warning the suites differ (s)" in output
    assert "suite s: sha256:1 → sha256:2 seed (1 pair): 1 → 2" in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["run"],
            "CANDIDATE is missing; to compare two models of one run, give --baseline-model and --candidate-model",
        ),
        (["run", "none"], "none is not a run directory: it has no manifest.json"),
        (["run", "run", "--config", "no.yaml"], "no.yaml cannot be read"),
        (
            ["run", "run", "--out", "file/x"],
            "file/x/comparison.json: cannot be written (Not a directory); choose another folder with --out",
        ),
    ],
)
def test_wrong_calls(here: Path, arguments: list[str], message: str) -> None:
    run("run", [line("a")])
    (here / "file").write_text("")
    actual = compare(*arguments)
    assert actual.exit_code == 2
    assert actual.output.startswith(f"evalkit: {message}")
    assert actual.output.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "message"), [("{}", "KeyError"), ("[]", "is not JSON"), ("{", "is not JSON")]
)
def test_a_line_that_is_not_a_result(here: Path, text: str, message: str) -> None:
    run("run", [line("a")])
    with (here / "run/results.jsonl").open("a") as file:
        file.write(text + "\n")
    actual = compare("run", "run")
    assert actual.exit_code == 2
    assert actual.output.startswith("evalkit: run/results.jsonl:2")
    assert message in actual.output
