"""From recording to verification, and the page of a signed run."""

from __future__ import annotations

import base64
import platform
import re
import subprocess
import zlib
from pathlib import Path

import pytest
from click.testing import Result

from evalkit.reports.page import embedded_data, run_page
from tests.plugin.project import WEATHER, Project
from tests.signoff.conftest import Keys
from tests.signoff.signing_project import NAMESPACE, evalkit

RUN = "reports/candidate"
WHO = ["--name", "Ada <Lovelace>", "--email", "ada@example.com"]


@pytest.fixture
def user(
    pytester: pytest.Pytester, service: str, monkeypatch: pytest.MonkeyPatch, keys: Keys
) -> Project:
    built = Project(pytester, service, monkeypatch)
    (built.root / "allowed_signers").write_text(
        f'ada@example.com namespaces="{NAMESPACE}" {keys.public["ed25519"]}\n'
    )
    (built.root / "evalkit.yaml").write_text(
        "signoff: {allowed_signers: allowed_signers, required: {qa: 1}}\n"
    )
    return built


def sign(keys: Keys, *more: str) -> Result:
    decision = ["--role", "qa", "--decision", "approved", "--meaning", "approval"]
    return evalkit("signoff", RUN, "--key", str(keys["ed25519"]), *WHO, *decision, *more)


def test_the_whole_journey(user: Project, keys: Keys) -> None:
    user.record().assert_outcomes(passed=4)
    user.run("suites", "--evalkit-report", "reports/main").assert_outcomes(passed=4)
    user.suite("weather", WEATHER.replace("{text: patterns}", "{text: no such word}"))
    user.run("suites", "--evalkit-report", RUN).assert_outcomes(passed=2, failed=2)

    compared = evalkit("compare", "reports/main", RUN)
    assert compared.exit_code == 1
    assert "2 of 4 pairs regressed" in compared.output

    assert evalkit("review", RUN, "--baseline", "reports/main", "--list").exit_code == 1
    for variant in ("stateful", "stateless"):
        evalkit(
            "review",
            RUN,
            "--baseline",
            "reports/main",
            *WHO,
            "--accept",
            f"weather::hello[{variant}]",
            "--comment",
            "as agreed",
        )
    assert evalkit("review", RUN, "--baseline", "reports/main", "--list").exit_code == 0

    gate = ["--gate", "default", "--baseline", "reports/main"]
    refused = sign(keys, *gate)
    assert (
        refused.exit_code,
        refused.output.startswith("evalkit: gate 'default': fail (2 of 4 pairs regressed"),
    ) == (2, True)
    signed = sign(keys, *gate, "--override", "the new wording is right")
    assert signed.exit_code == 0, signed.output
    verified = evalkit("verify", RUN)
    assert verified.exit_code == 0, verified.output
    assert "Ada <Lovelace> <ada@example.com>" in verified.output
    assert "override: the new wording is right" in verified.output
    covered = (user.root / RUN / "manifest.sha256").read_text()
    for name in ("decisions.yaml", "comparison/comparison.json", "results.jsonl"):
        assert f"  {RUN}/{name}\n" in covered
    subprocess.run(
        ["sha256sum", "--quiet", "-c", f"{RUN}/manifest.sha256"], cwd=user.root, check=True
    )

    cassette = user.root / "cassettes" / "weather" / "london.stateless.yaml"
    data = cassette.read_bytes()
    cassette.write_bytes(data[:200] + bytes([data[200] ^ 1]) + data[201:])
    changed = evalkit("verify", RUN)
    assert changed.exit_code == 3
    assert (
        "file_changed  cassettes/weather/london.stateless.yaml: expected sha256" in changed.output
    )


def test_the_page_shows_the_signer_and_cannot_be_changed_unnoticed(
    user: Project, keys: Keys
) -> None:
    user.record("--evalkit-report", RUN).assert_outcomes(passed=4)
    page = user.root / RUN / "index.html"
    before = page.read_bytes()
    signed = sign(keys, "--comment", "<script>alert(1)</script>")
    assert signed.exit_code == 0, signed.output
    text = page.read_text()
    for expected_text in ("Ada &lt;Lovelace&gt;", "approval", "qa"):
        assert expected_text in text
    assert "<script>alert" not in text
    assert page.read_bytes() != before
    assert evalkit("verify", RUN).exit_code == 0
    evalkit("report", RUN)
    assert evalkit("verify", RUN).exit_code == 0
    data = page.read_bytes()
    for at in (0, len(data) // 2, len(data) - 1):
        page.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        actual = evalkit("verify", RUN)
        assert actual.exit_code == 3
        assert (
            "report_differs  index.html: is not what evalkit builds from the data" in actual.output
        )
    page.unlink()
    assert evalkit("verify", RUN).exit_code == 0


def test_every_readable_form_says_whose_times_they_are(user: Project, keys: Keys) -> None:
    user.record("--evalkit-report", RUN)
    assert "by this computer's clock" in sign(keys).output
    assert "the signers' own clocks" in " ".join(evalkit("verify", RUN).output.split())
    assert "the signers' own clocks" in evalkit("verify", RUN, "--json").output
    assert "the signers' own clocks" in (user.root / RUN / "index.html").read_text()


def test_a_page_of_another_version_is_not_called_verified(
    user: Project, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    user.record("--evalkit-report", RUN)
    with monkeypatch.context() as patched:
        patched.setattr(platform, "python_version", lambda: "3.99.0")
        assert sign(keys).exit_code == 0
    # Another Python may write the same page; then it is verified.
    assert "not verified" not in evalkit("verify", RUN).output
    page = user.root / RUN / "index.html"
    page.write_text(page.read_text().replace("Ada", "Eve"))
    done = evalkit("verify", RUN)
    text = " ".join(done.output.split())
    assert done.exit_code == 0
    assert "not verified: index.html cannot be compared: written by evalkit" in text
    assert "and Python 3.99.0" in text


def test_a_run_that_was_moved_or_renamed_is_still_verified(user: Project, keys: Keys) -> None:
    """The page shows the name of its folder."""
    user.record("--evalkit-report", RUN)
    assert sign(keys).exit_code == 0
    (user.root / RUN).rename(user.root / "moved")
    assert evalkit("verify", "moved").exit_code == 0
    (user.root / "link").symlink_to("moved")
    assert evalkit("verify", "link").exit_code == 0
    evalkit("report", "moved")
    assert evalkit("verify", "moved").exit_code == 0
    page = user.root / "moved" / "index.html"
    page.write_bytes(page.read_bytes().replace(b"Lovelace", b"Lovelave"))
    actual = evalkit("verify", "moved")
    assert (actual.exit_code, "report_differs" in actual.output) == (3, True)


@pytest.mark.parametrize("target", [".", "..", "/nowhere"])
@pytest.mark.parametrize("folder", ["", "deep"])
def test_a_link_to_a_folder_is_neither_followed_nor_signed(
    user: Project, keys: Keys, target: str, folder: str
) -> None:
    user.record("--evalkit-report", RUN)
    link = user.root / RUN / folder / "link"
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(target)
    refused = sign(keys)
    assert (refused.exit_code, f"{RUN}/{folder}" in refused.output) == (3, True)
    assert "link: is not a file; replace it by one, or move it away" in refused.output
    link.unlink()
    assert sign(keys).exit_code == 0
    link.symlink_to(target)
    actual = evalkit("verify", RUN)
    assert (actual.exit_code, "file_added" in actual.output) == (3, True)


def test_another_file_in_the_folder_of_the_page_is_found(user: Project, keys: Keys) -> None:
    user.record("--evalkit-report", RUN)
    sign(keys)
    (user.root / RUN / "data").mkdir()
    (user.root / RUN / "data" / "evil.js").write_text("alert(1)")
    done = evalkit("verify", RUN)
    assert (done.exit_code, "report_differs  data/evil.js" in done.output) == (3, True)


def test_a_changed_file_is_named_and_not_the_page_that_shows_it(user: Project, keys: Keys) -> None:
    user.record("--evalkit-report", RUN).assert_outcomes(passed=4)
    user.run("suites", "--evalkit-report", "reports/base").assert_outcomes(passed=4)
    evalkit("compare", "reports/base", RUN, "--out", f"{RUN}/comparison")
    assert sign(keys).exit_code == 0
    assert evalkit("verify", RUN).exit_code == 0
    summary = user.root / RUN / "comparison/summary.md"
    summary.write_text(f"{summary.read_text()}x")
    done = evalkit("verify", RUN)
    text = " ".join(done.output.split())
    assert (done.exit_code, "1 integrity problem" in text) == (3, True)
    assert f"file_changed {RUN}/comparison/summary.md: expected sha256" in text
    assert "report_differs" not in text
    assert "not verified: index.html cannot be compared: it shows whether records are valid" in text


@pytest.mark.parametrize("large", [False, True], ids=["one file", "a folder"])
def test_the_page_may_be_deflated_by_another_zlib(
    user: Project, keys: Keys, monkeypatch: pytest.MonkeyPatch, large: bool
) -> None:
    if large:
        monkeypatch.setattr(run_page, "LARGE", 0)
    user.record("--evalkit-report", RUN).assert_outcomes(passed=4)
    assert sign(keys).exit_code == 0
    files = [
        path
        for path in (user.root / RUN).rglob("*")
        if path.name == "index.html" or path.suffix == ".js"
    ]
    before = {path: path.read_bytes() for path in files}
    with monkeypatch.context() as patch:
        patch.setattr(embedded_data, "LEVEL", 0)
        evalkit("report", RUN)
    assert all(path.read_bytes() != data for path, data in before.items())
    assert evalkit("verify", RUN).exit_code == 0
    text = files[-1].read_text()
    pack = max(re.findall(r"[A-Za-z0-9+/]{99,}=*", text), key=len)
    lines = zlib.decompress(base64.b64decode(pack))
    for other in (lines.replace(b"a", b"b", 1), lines + b" "):
        files[-1].write_text(text.replace(pack, base64.b64encode(zlib.compress(other)).decode()))
        assert "report_differs" in evalkit("verify", RUN).output
    files[-1].write_text(
        text.replace(pack, base64.b64encode(zlib.compress(lines) + b"more").decode())
    )
    assert "report_differs" in evalkit("verify", RUN).output


def test_a_run_is_not_written_over_a_signed_one(user: Project, keys: Keys) -> None:
    user.record("--evalkit-report", RUN).assert_outcomes(passed=4)
    assert sign(keys).exit_code == 0
    assert user.run("suites", "--evalkit-report", RUN).ret == pytest.ExitCode.USAGE_ERROR
    assert evalkit("verify", RUN).exit_code == 0


def test_results_of_another_run_in_a_signed_directory_void_its_records(
    user: Project, keys: Keys
) -> None:
    user.record("--evalkit-report", RUN).assert_outcomes(passed=4)
    assert sign(keys).exit_code == 0
    user.suite("weather", WEATHER.replace("{text: patterns}", "{text: no such word}"))
    user.run("suites", "--evalkit-report", "reports/other").assert_outcomes(passed=2, failed=2)
    for name in ("manifest.json", "results.jsonl"):
        (user.root / "reports/other" / name).replace(user.root / RUN / name)
    actual = evalkit("verify", RUN)
    assert actual.exit_code == 3
    assert "weather::hello[stateful]" in actual.output
    assert "file_changed  suites/weather.yaml" in actual.output
    assert sign(keys, "--override", "x").exit_code == 3


def test_the_files_a_suite_uses_are_covered(user: Project, keys: Keys) -> None:
    user.suite(
        "cities",
        "suite: cities\ndefaults: {model: gemini-3.5-flash}\nscenarios:\n  - id: a\n    cases: {file: cities.csv}\n"
        "    turns: [{user: 'Say {{ city }}'}]\n",
    )
    Path(user.root / "suites" / "cities.csv").write_text("id,city\np,Paris\n")
    user.record("--evalkit-report", RUN).assert_outcomes(passed=5)
    assert sign(keys).exit_code == 0
    assert "  suites/cities.csv\n" in (user.root / RUN / "manifest.sha256").read_text()
    (user.root / "suites" / "cities.csv").write_text("id,city\np,Rome\n")
    actual = evalkit("verify", RUN)
    assert (actual.exit_code, "file_changed  suites/cities.csv" in actual.output) == (3, True)
