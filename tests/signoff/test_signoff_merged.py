"""A run merged from shards is compared, signed and verified like any other."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import Result

from tests.plugin.project import WEATHER, Project
from tests.signoff.conftest import Keys
from tests.signoff.signing_project import NAMESPACE, evalkit

WHOLE, MERGED = "reports/whole", "reports/merged"
MORE = """\
suite: more
defaults: {model: gemini-3.5-flash}
scenarios:
  - {id: failing, turns: [{user: Hello, expect: [{text: {contains: something else}}]}]}
  - {id: passing, tags: [smoke], turns: [{user: Hello}]}
"""
CUTS = {
    "by -k": [["suites", "-k", "stateless"], ["suites", "-k", "not stateless"]],
    "by -m": [
        ["suites", "-m", "smoke"],
        ["suites", "-m", "not smoke and not slow_one"],
        ["suites", "-m", "slow_one"],
    ],
    "by file": [["suites/weather.yaml"], ["suites/more.yaml"]],
    "by file, one of them by -k": [
        ["suites/more.yaml"],
        ["suites/weather.yaml", "-k", "london"],
        ["suites", "-k", "hello"],
    ],
    "that overlap": [["suites", "-k", "london or failing"], ["suites", "-k", "not london"]],
}


@pytest.fixture
def user(pytester: pytest.Pytester, service: str, monkeypatch: pytest.MonkeyPatch) -> Project:
    built = Project(pytester, service, monkeypatch)
    built.suite("weather", WEATHER.replace("slow-one", "slow_one"))
    built.suite("more", MORE)
    monkeypatch.delenv("CI", raising=False)
    built.record("--evalkit-report", WHOLE).assert_outcomes(passed=5, failed=1)
    built.run("suites", "--evalkit-report", WHOLE).assert_outcomes(passed=5, failed=1)
    return built


def merged(user: Project, cut: Sequence[Sequence[str]]) -> Result:
    folders = [f"shards/{number}" for number, _ in enumerate(cut)]
    for folder, arguments in zip(folders, cut, strict=True):
        user.run(*arguments, "--evalkit-report", folder)
    return evalkit("merge", *folders, "--output", MERGED)


@pytest.mark.parametrize("cut", CUTS)
def test_merged_shards_equal_one_run(user: Project, cut: str) -> None:
    done = merged(user, CUTS[cut])
    assert done.output == (
        f"{len(CUTS[cut])} runs, 6 variants: 5 passed, 1 failed, 0 errored, 0 skipped\nreport: reports/merged/index.html\n"
    )
    rows = [sorted(Path(run, "results.jsonl").read_bytes().splitlines()) for run in (WHOLE, MERGED)]
    assert rows[0] == rows[1]
    whole, one = user.manifest(WHOLE), user.manifest(MERGED)
    assert [origin["path"] for origin in one.pop("merged")] == [
        f"shards/{number}" for number, _ in enumerate(CUTS[cut])
    ]
    for value in (whole, one):
        del value["started"], value["ended"]
    assert one == whole


def test_models_of_one_suite_in_shards(user: Project) -> None:
    models = ["--evalkit-model", "gemini-3.5-flash", "--evalkit-model", "gemini-3.1-flash-image"]
    user.record(*models, "--evalkit-report", WHOLE)
    done = merged(user, [["suites", *models, "-k", "3.5"], ["suites", *models, "-k", "3.1"]])
    assert done.output.startswith("2 runs, 12 variants: ")
    assert user.manifest(MERGED)["totals"] == user.manifest(WHOLE)["totals"]


def test_two_models_under_one_name_are_two_runs(user: Project) -> None:
    user.record(
        "--evalkit-model", "gemini-3.1-flash-image", "--evalkit-report", "shards/other", mode="all"
    )
    refused = evalkit("merge", WHOLE, "shards/other", "--output", MERGED)
    assert refused.exit_code == 2
    assert "6 variants with two different results" in refused.output


def test_a_merged_run_can_be_compared_and_signed(user: Project, keys: Keys) -> None:
    merged(user, CUTS["by -m"])
    compared = evalkit("compare", WHOLE, MERGED, "--json")
    assert compared.exit_code == 0
    actual = json.loads(compared.output)
    assert actual["pairs"] == {"both_passed": 5, "both_failed": 1, "regressed": 0, "improved": 0}
    assert (actual["configuration"], actual["added"], actual["removed"]) == ([], [], [])
    page = (user.root / MERGED / "index.html").read_bytes()
    assert evalkit("report", MERGED).exit_code == 0
    assert (user.root / MERGED / "index.html").read_bytes() == page

    who = ["--name", "Ada Lovelace", "--email", "ada@example.com"]
    assert (
        evalkit(
            "review", MERGED, *who, "--accept", "more::failing", "--comment", "as agreed"
        ).exit_code
        == 0
    )
    (user.root / "allowed_signers").write_text(
        f'ada@example.com namespaces="{NAMESPACE}" {keys.public["ed25519"]}\n'
    )
    (user.root / "evalkit.yaml").write_text(
        "gates: {strict: {min_pass_rate: 1.0}}\nsignoff: {allowed_signers: allowed_signers, required: {qa: 1}}\n"
    )
    decision = [
        "--role",
        "qa",
        "--decision",
        "approved",
        "--meaning",
        "approval",
        "--override",
        "as agreed",
    ]
    decision += ["--gate", "strict", "--baseline", WHOLE]
    signed = evalkit("signoff", MERGED, "--key", str(keys["ed25519"]), *who, *decision)
    assert signed.exit_code == 0, signed.output
    verified = evalkit("verify", MERGED)
    assert verified.exit_code == 0, verified.output
    refused = evalkit("merge", "shards/0", "--output", MERGED)
    assert (refused.exit_code, "is signed off" in refused.output) == (2, True)
