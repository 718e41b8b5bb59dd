"""Gates of signed decisions: what decides them is signed, and cannot be loosened afterwards."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from evalkit.results.calibrations import NAME as CALIBRATIONS
from evalkit.results.calibrations import write_calibrations
from tests.compare.judged_lines import judged, judgment
from tests.compare.test_compare_judges import calibration
from tests.plugin.project import Project as UserProject
from tests.signoff.conftest import Keys
from tests.signoff.signing_project import (
    NAMESPACE,
    Project,
    codes,
    evalkit,
    result,
    sha256,
    sign,
    verify,
)

GATE = ["--gate", "release", "--baseline", "reports/main"]


def judged_runs(project: Project) -> None:
    lines = [f"{judged(f's{number}', judgment(True))}\n".encode() for number in range(20)]
    started = {"started": "2026-11-20T10:00:00Z", "ended": "2026-11-20T10:00:09Z"}
    for folder in (project.base, project.run):
        project.write_run(folder, lines, **started)


@pytest.mark.parametrize("is_calibrated", [True, False])
def test_a_judge_is_as_calibrated_as_in_a_comparison(
    project: Project, keys: Keys, is_calibrated: bool
) -> None:
    project.config("gates: {release: {max_regressions: 0, judge: {max_age: 30d}}}\n")
    judged_runs(project)
    if is_calibrated:
        write_calibrations(project.root, [calibration(judged="2026-11-01T00:00:00Z")])
    compared = evalkit("compare", "reports/main", "reports/latest", "--gate", "release")
    assert compared.exit_code == (0 if is_calibrated else 1)
    refused = "" if is_calibrated else "gate 'release': fail (the judge of"
    done = sign(keys["ed25519"], *GATE)
    assert (done.exit_code, refused in done.output) == (0 if is_calibrated else 2, True)
    if not is_calibrated:
        assert sign(keys["ed25519"], *GATE, override="labels follow").exit_code == 0
        write_calibrations(project.root, [calibration(judged="2026-11-01T00:00:00Z")])
    assert verify()[0] == 0
    path = project.root / CALIBRATIONS
    path.write_text(path.read_text().replace("2026-11-01", "2020-11-01"))
    code, actual = verify()
    expected = ["file_changed", "gate_differs"] if is_calibrated else []
    assert (code, codes(actual)) == (3 if is_calibrated else 0, expected)


def test_a_gate_without_a_judge_does_not_sign_calibrations(project: Project, keys: Keys) -> None:
    project.config("gates: {release: {max_regressions: 0}}\n")
    judged_runs(project)
    write_calibrations(project.root, [calibration()])
    assert sign(keys["ed25519"], *GATE).exit_code == 0
    (project.root / CALIBRATIONS).unlink()
    assert verify()[0] == 0


def priced(name: str) -> bytes:
    value = json.loads(result(name))
    del value["digest"]
    counts = {"total_tokens": 10, "total_input_tokens": 5, "total_output_tokens": 5}
    value["metrics"] = {"tokens": counts}
    text = json.dumps(value, separators=(",", ":"))
    return f'{text[:-1]},"digest":"{sha256(text.encode())}"}}\n'.encode()


PRICE = "input_per_million: 1, output_per_million: 1"


@pytest.mark.parametrize(
    ("rule", "prices", "expected"),
    [
        ("cost: {max_mean: 1}", f"m: {{{PRICE}}}", []),
        ("cost: {max_mean: 1}", f"m: {{{PRICE}}}, n: {{{PRICE}}}", []),
        ("cost: {max_mean: 1}", "m: {input_per_million: 1, output_per_million: 2}", None),
        ("cost: {max_mean: 1}", "", None),
        ("max_regressions: 0", "m: {input_per_million: 1, output_per_million: 2}", []),
    ],
)
def test_prices_decide_a_gate_on_cost(
    project: Project, keys: Keys, rule: str, prices: str, expected: Sequence[str] | None
) -> None:
    def config(prices: str) -> None:
        project.config(f"gates: {{release: {{{rule}}}}}\nprices: {{{prices}}}\n")

    lines = [priced(name) for name in ("one", "two")]
    for folder in (project.base, project.run):
        project.write_run(folder, lines)
    config(f"m: {{{PRICE}}}")
    assert sign(keys["ed25519"], *GATE).exit_code == 0
    config(prices)
    code, actual = verify()
    if expected is None:
        assert (code, codes(actual)) == (1, ["gate_redefined"])
        assert "expected the price of 'm' as in the configuration" in str(actual["problems"])
    else:
        assert (code, codes(actual)) == (0, expected)


SUITE = """\
suite: polite
defaults: {{model: gemini-3.5-flash}}
scenarios:
  - id: hello
    turns: [{{user: Hello, expect: [{checks}]}}]
"""
REGISTERED = """\
import evalkit

@evalkit.check
def polite(view):
    return None
"""


@pytest.mark.parametrize(
    ("check", "file", "code"),
    [
        ("python: rules:polite", "rules.py", "def polite(transcript, turn):\n    return None\n"),
        ("polite: {}", "suites/conftest.py", REGISTERED),
    ],
)
def test_verifying_runs_no_code_and_says_what_it_cannot_show(
    pytester: pytest.Pytester,
    service: str,
    monkeypatch: pytest.MonkeyPatch,
    keys: Keys,
    check: str,
    file: str,
    code: str,
) -> None:
    """More is expected of the candidate, so its results are judged by the baseline's, too."""
    user = UserProject(pytester, service, monkeypatch)
    key = keys.public["ed25519"]
    signers = user.root / "allowed_signers"
    signers.write_text(f'ada@example.com namespaces="{NAMESPACE}" {key}\n')
    config = "signoff: {allowed_signers: allowed_signers}\ngates: {release: {max_regressions: 0}}\n"
    (user.root / "evalkit.yaml").write_text(config)
    path = Path(user.root / file)
    path.parent.mkdir(exist_ok=True)
    path.write_text(code)
    for name, checks in (("main", check), ("latest", f"{check}, text: {{max_chars: 9000}}")):
        entries = ", ".join(f"{{{one}}}" for one in checks.split(", "))
        user.suite("polite", SUITE.format(checks=entries))
        user.record("--evalkit-report", f"reports/{name}")
    assert sign(keys["ed25519"], *GATE).exit_code == 0
    # In a process of its own, where nothing has registered a check.
    command = [sys.executable, "-m", "evalkit", "verify", "reports/latest", "--json"]
    actual = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert (
        "(gate 'release', max_weakened); to judge them again would run code" in actual["notes"][0]
    )
