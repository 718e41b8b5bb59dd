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

pytestmark = pytest.mark.usefixtures("here")


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
    assert lines[0] == "FAIL  Do not ship yet: 5 of 61 pairs regressed."
    assert lines[1].startswith("  gate default (replayed: nothing that passed may fail): 5 of 61")
    order = [
        lines.index(title)
        for title in (
            "Regressions (5)",
            "Errored or skipped in one of the runs (1)",
            "Improvements (1)",
            "Removed (1)",
            "Added (1)",
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
        "written: new/comparison/index.html",
        "         new/comparison/summary.md",
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
    start = lines.index("Regressions (2 variants, 3 trials)")
    assert lines[start + 1 : start + 8] == [
        "  s::a  2 of 3 trials  (suites/s.yaml:3)",
        "      pass rate about 100% → 25%",
        "      text: text_missing",
        "      answer: hello",
        "  s::b  (suites/s.yaml:3)",
        "      text: text_missing",
        "      answer: hello",
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
    assert actual.exit_code == 1
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


def test_killed_deselected_and_repeated_results() -> None:
    lines = [line(f"c{number}") for number in range(10)]
    old = run("old", lines)
    killed = run("killed", lines[:2], complete=False, totals={"collected": 10, "deselected": 0})
    chosen = run("chosen", lines[:2], totals={"collected": 10, "deselected": 8})
    twice = run("twice", [line("c0", "failed"), *lines])
    reasons = [json.loads(compare(old, new, "--json").output) for new in (killed, chosen, twice)]
    assert [one["verdict"] for one in reasons] == ["inconclusive", "inconclusive", "fail"]
    assert "8 of 10 variants of the candidate have no result" in reasons[0]["reason"]
    assert "8 of 10 variants were deselected" in reasons[1]["reason"]
    assert reasons[2]["candidate"]["results"] == 10
    assert reasons[2]["candidate"]["pass_rate"] == 1
    assert (reasons[2]["candidate"]["duplicates"], reasons[2]["pairs"]["regressed"]) == (1, 0)


@pytest.mark.parametrize(
    ("prices", "tokens", "unknown", "warning"),
    [
        ("m: {input_per_million: 1, output_per_million: 1}", {}, False, ""),
        ("n: {input_per_million: 1, output_per_million: 1}", {}, True, "has no price of 'm'"),
        (
            "m: {input_per_million: 1, output_per_million: 1}",
            {"total_tokens": 300},
            False,
            "1200 tokens in the totals of responses only",
        ),
        (
            "m: {input_per_million: 1, output_per_million: 1}",
            {"total_output_tokens": None},
            False,
            "300 tokens in the totals of responses only",
        ),
        (
            "m: {input_per_million: 1, output_per_million: 1}",
            {"total_output_tokens": None, "total_input_tokens": None},
            True,
            "6 of 6 scored results do not say how many tokens are input and output",
        ),
    ],
)
def test_what_a_cost_leaves_out_is_said(
    here: Path, prices: str, tokens: dict[str, int], unknown: bool, warning: str
) -> None:
    (here / "evalkit.yaml").write_text(
        f"prices:\n  {prices}\ngates:\n  default: {{cost: {{max_mean: 1}}}}\n"
    )
    lines = [line(f"c{number}") for number in range(3)]
    for one in lines:
        usage = {"total_tokens": 100, "total_input_tokens": 50, "total_output_tokens": 50}
        one["metrics"]["tokens"] = usage | tokens
    actual = compare(run("old", lines), run("new", lines), "--json")
    value = json.loads(actual.output)
    assert ("cost" not in value["metrics"]) == unknown
    assert actual.exit_code == (4 if unknown else 0)
    assert warning in " ".join(value["warnings"])
    if unknown:
        assert value["reason"] in (
            "the cost is unknown: evalkit.yaml has no price of 'm'",
            "none of 3 pairs has cost on both sides",
        )


def test_replayed_times_are_not_compared_with_live_ones(here: Path) -> None:
    (here / "evalkit.yaml").write_text("gates:\n  default: {latency: {max_increase: 0.1}}\n")
    old, new = ([line("a", source=one), line("b", source=one)] for one in ("replayed", "live"))
    actual = json.loads(compare(run("old", old), run("new", new), "--json").output)
    assert actual["verdict"] == "inconclusive"
    assert "the baseline is replayed, the candidate live" in actual["reason"]
    assert actual["reason"] in actual["warnings"]


def test_a_copy_of_a_run_is_said_to_be_one() -> None:
    started = {"started": "2026-01-01T00:00:00Z"}
    old, copy = (run(name, [line("a")], **started) for name in ("old", "copy"))
    assert "both directories hold the same run" in " ".join(compare(old, copy).output.split())
    again = run("again", [line("a")], started="2026-01-02T00:00:00Z")
    assert "the same run" not in compare(old, again).output


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
            "CANDIDATE is missing; to compare two models or other choices of one run, give --baseline AXIS=CHOICE",
        ),
        (["run", "none"], "none is not a run directory: it does not exist"),
        (["run", "other", "--config", "no.yaml"], "no.yaml cannot be read"),
        (["run", "run"], "run: a run cannot be compared with itself; name another run, or two"),
        (["run", "other/../run"], "run: a run cannot be compared with itself"),
        (["run", "run", "--candidate-model", "m"], "run: a run cannot be compared with itself"),
        (
            ["run", "other", "--out", "file/x"],
            "file/x/comparison.json: cannot be written (Not a directory); choose another folder with --out",
        ),
    ],
)
def test_wrong_calls(here: Path, arguments: list[str], message: str) -> None:
    run("run", [line("a")])
    run("other", [line("a")])
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
    actual = compare("run", run("other", [line("a")]))
    assert actual.exit_code == 2
    assert actual.output.startswith("evalkit: run/results.jsonl:2")
    assert message in actual.output


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("id", 5, "'id' must be a text"),
        ("suite", None, "'suite' must be a text"),
        ("scenario", ["a"], "'scenario' must be a text"),
        ("metrics", {"tokens": {"total_tokens": 10**400}}, "is not a number from 0 to 1e+18"),
        ("metrics", {"elapsed_ms": 1e308}, "1e+308 is not a number from 0 to 1e+18"),
        ("metrics", {"elapsed_ms": True}, "True is not a number from 0 to 1e+18"),
    ],
)
@pytest.mark.parametrize("command", [["compare", "run", "other"], ["plan", "run", "--margin=0.1"]])
def test_a_damaged_value_of_a_result_is_named(
    command: list[str], name: str, value: Any, message: str
) -> None:
    run("run", [{**line("a"), name: value}, line("b")])
    run("other", [line("a"), line("b")])
    actual = CliRunner().invoke(main, command)
    assert (actual.exit_code, actual.output[:28]) == (2, "evalkit: run/results.jsonl:1")
    assert message in actual.output


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gates: {g: {tokens: {}}}", "'tokens' takes max_mean, max_increase or both, not {}"),
        ("prices: {m: {input_per_million: 1e308, output_per_million: 1}}", "1e+308"),
    ],
)
def test_what_decides_nothing_is_refused(here: Path, text: str, message: str) -> None:
    (here / "evalkit.yaml").write_text(text)
    actual = compare(run("old", [line("a")]), run("new", [line("a")]))
    assert (actual.exit_code, message in actual.output) == (2, True)
